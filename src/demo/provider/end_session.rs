//! The end_session_endpoint (OpenID Connect RP-Initiated Logout 1.0), as AgentConnect answers it: by GET alone, then a
//! page whose form sends itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response};

use super::BASE;
use super::authorization::OAuthError;
use super::interaction::SESSION_COOKIE;
use super::keys::unverified_claims;
use super::params::{Params, with_query};
use super::registration::Registration;
use super::state::State;
use crate::demo::site::{Body, cookie, see_other, with_header};

/// A logout that was asked for.
#[derive(Debug)]
pub(super) struct EndSession {
    /// `post_logout_redirect_uri` with its `state`; none: the agent stays on our own page.
    pub(super) return_to: Option<String>,
}

/// Checks a logout request and asks the browser to confirm it.
pub(super) fn ask(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let Ok(params) = Params::parse(request.uri().query().unwrap_or_default().as_bytes()) else {
        return state.pages.error(REPEATED);
    };
    match EndSession::parse(state, &params) {
        Err(error) => state.pages.error(error),
        Ok(asked) => {
            let return_to = asked.return_to.clone();
            let id = state.end_sessions.add(Arc::new(asked), state.now());
            state.pages.end_session(&format!("{BASE}/session/end/confirm"), &id, return_to.as_deref())
        }
    }
}

/// Ends the SSO session and sends the agent back.
pub(super) fn confirm(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let id = Params::parse(request.body()).ok().and_then(|form| form.owned("id"));
    let Some(asked) = id.and_then(|id| state.end_sessions.take(&id, state.now())) else {
        return state.pages.error(SESSION_NOT_FOUND);
    };
    if let Some(session) = cookie(request, SESSION_COOKIE) {
        state.sessions.take(session, state.now());
    }
    let mut response = asked.return_to.as_ref().map_or_else(|| state.pages.signed_out(), |uri| see_other(uri));
    with_header(
        &mut response,
        SET_COOKIE,
        &format!("{SESSION_COOKIE}=; Path={BASE}; Max-Age=0; HttpOnly; SameSite=Lax"),
    );
    response
}

impl EndSession {
    fn parse(state: &State, params: &Params) -> Result<Self, OAuthError> {
        let client = client(state, params)?;
        let return_to = match (client, params.text("post_logout_redirect_uri")) {
            (Some(client), Some(uri))
                if client.post_logout_redirect_uris.iter().any(|registered| registered == uri) =>
            {
                let state: Vec<_> = params.text("state").map(|state| ("state", state)).into_iter().collect();
                Some(with_query(uri, &state))
            }
            (Some(_), Some(_)) => return Err(URI_NOT_REGISTERED),
            // Without a client there is nothing to compare the address with: it is passed over in silence.
            (None, _) | (Some(_), None) => None,
        };
        Ok(Self { return_to })
    }
}

/// The client that asks, by its ID token, whose expiry does not matter, or by its name.
fn client(state: &State, params: &Params) -> Result<Option<Arc<Registration>>, OAuthError> {
    let named = match params.text("client_id") {
        Some(id) => Some(state.registrations.find(id).ok_or(INVALID_CLIENT)?),
        None => None,
    };
    let Some(hint) = params.text("id_token_hint") else { return Ok(named) };
    let hinted = hinted(state, hint).ok_or(INVALID_HINT)?;
    match named {
        Some(named) if named.client_id != hinted.client_id => Err(CLIENT_MISMATCH),
        _ => Ok(Some(hinted)),
    }
}

fn hinted(state: &State, hint: &str) -> Option<Arc<Registration>> {
    let claims = unverified_claims(hint)?;
    let client = state.registrations.find(claims.get("aud")?.as_str()?)?;
    let ours = claims.get("iss")?.as_str()? == state.issuer && state.keys.made(&client, hint);
    ours.then_some(client)
}

const CLIENT_MISMATCH: OAuthError = OAuthError::new("invalid_request", "client_id does not match the id_token_hint");
const INVALID_CLIENT: OAuthError = OAuthError::new("invalid_client", "client is invalid");
const INVALID_HINT: OAuthError = OAuthError::new("invalid_request", "could not validate id_token_hint");
const REPEATED: OAuthError = OAuthError::new("Y000400", "a parameter was sent twice");
const SESSION_NOT_FOUND: OAuthError = OAuthError::new("session-not-found", "this logout is over or unknown");
const URI_NOT_REGISTERED: OAuthError = OAuthError::new("invalid_request", "post_logout_redirect_uri not registered");
