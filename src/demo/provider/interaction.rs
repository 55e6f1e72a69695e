//! The authorization endpoint and the login page (OpenID Connect Core 1.0 section 3.1.2, RFC 9207).

use std::sync::Arc;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Method, Request, Response};

use super::BASE;
use super::authorization::{AuthorizationRequest, OAuthError, Refusal, ReturnTo};
use super::params::{Params, Repeated};
use super::state::{Grant, State};
use crate::demo::agents::Agent;
use crate::demo::site::{Body, cookie, see_other, with_header};

/// The cookie of the SSO session.
pub(super) const SESSION_COOKIE: &str = "pc_session_id";

/// Answers an authorization request: at once where the agent is known, else by way of the login page.
pub(super) fn authorize(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let Ok(params) = sent(request) else { return state.pages.error(REPEATED) };
    match AuthorizationRequest::parse(&params, &state.registrations) {
        Err(Refusal::Client(return_to, error)) => tell(state, &return_to, error),
        Err(Refusal::Page(error)) => state.pages.error(error),
        Ok(asked) => proceed(state, asked, cookie(request, SESSION_COOKIE)),
    }
}

/// The login page.
pub(super) fn show(state: &State, id: &str) -> Response<Body> {
    match state.interactions.find(id, state.now()) {
        Some(asked) => state.pages.login(&format!("{BASE}/interaction/{id}"), &asked),
        None => state.pages.error(SESSION_NOT_FOUND),
    }
}

/// What the agent chose on the login page: who to be, or to give up.
pub(super) fn choose(state: &State, id: &str, request: &Request<Bytes>) -> Response<Body> {
    let Ok(params) = Params::parse(request.body()) else { return state.pages.error(REPEATED) };
    let agent = params.text("agent").and_then(Agent::find);
    if agent.is_none() && params.text("cancel").is_none() {
        return show(state, id);
    }
    let Some(asked) = state.interactions.take(id, state.now()) else { return state.pages.error(SESSION_NOT_FOUND) };
    match agent {
        None => tell(state, &asked.return_to, ABORTED),
        Some(agent) if !asked.claims.admits(agent.acr) => tell(state, &asked.return_to, ACR_NOT_SATISFIED),
        Some(agent) => log_in(state, asked, agent),
    }
}

fn sent(request: &Request<Bytes>) -> Result<Params, Repeated> {
    match *request.method() {
        Method::POST => Params::parse(request.body()),
        _ => Params::parse(request.uri().query().unwrap_or_default().as_bytes()),
    }
}

fn proceed(state: &State, asked: AuthorizationRequest, session: Option<&str>) -> Response<Body> {
    let known = session.and_then(|id| Some((id, state.sessions.find(id, state.now())?)));
    match known.filter(|(_, agent)| reusable(&asked, agent)) {
        Some((session, agent)) => grant(state, Arc::new(asked), agent, session.to_owned()),
        None if asked.silent => tell(state, &asked.return_to, LOGIN_REQUIRED),
        None => {
            let id = state.interactions.add(Arc::new(asked), state.now());
            see_other(&format!("{BASE}/interaction/{id}"))
        }
    }
}

/// Whether the agent of a session may be taken for granted: not where a hint names someone else, nor where the levels
/// required are not held, nor at the levels that always ask for a new proof.
fn reusable(asked: &AuthorizationRequest, agent: &Agent) -> bool {
    let same = |hint: &Option<String>, value: &str| hint.as_ref().is_none_or(|hint| hint.eq_ignore_ascii_case(value));
    let always_anew = asked.claims.essential_acr.is_some() && matches!(agent.acr, "eidas2" | "eidas3");
    same(&asked.login_hint, agent.email)
        && same(&asked.idp_hint, agent.idp_id)
        && asked.claims.admits(agent.acr)
        && !always_anew
}

fn log_in(state: &State, asked: Arc<AuthorizationRequest>, agent: &'static Agent) -> Response<Body> {
    let session = state.sessions.add(agent, state.now());
    let mut response = grant(state, asked, agent, session.clone());
    let cookie = format!("{SESSION_COOKIE}={session}; Path={BASE}; HttpOnly; SameSite=Lax");
    with_header(&mut response, SET_COOKIE, &cookie);
    response
}

fn grant(state: &State, request: Arc<AuthorizationRequest>, agent: &'static Agent, session: String) -> Response<Body> {
    let return_to = request.return_to.clone();
    let code = state.codes.add(Arc::new(Grant { request, agent, session, auth_time: state.now() }), state.now());
    see_other(&return_to.with(&[("code", &code)], &state.issuer))
}

fn tell(state: &State, return_to: &ReturnTo, error: OAuthError) -> Response<Body> {
    let answer = [("error", error.error), ("error_description", error.description)];
    see_other(&return_to.with(&answer, &state.issuer))
}

const ABORTED: OAuthError = OAuthError::new("access_denied", "user authentication aborted");
const ACR_NOT_SATISFIED: OAuthError = OAuthError::new("access_denied", "requested ACRs could not be satisfied");
const LOGIN_REQUIRED: OAuthError = OAuthError::new("login_required", "End-User authentication is required");
const REPEATED: OAuthError = OAuthError::new("Y000400", "a parameter was sent twice");
const SESSION_NOT_FOUND: OAuthError = OAuthError::new("session-not-found", "this login is over or unknown");
