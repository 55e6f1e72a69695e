//! The authorization request (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636), with the checks and the order of
//! AgentConnect: the form of every parameter, the client, its address, then everything that the client is told.

use std::sync::Arc;

use super::claims_request::ClaimsRequest;
use super::params::{Params, with_query};
use super::registration::{Registration, Registrations};
use crate::demo::agents::Agent;

/// A request that may be answered with a code.
#[derive(Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client: Arc<Registration>,
    pub(super) return_to: ReturnTo,
    /// The known and granted scopes asked for, `openid` among them.
    pub(super) scope: Vec<&'static str>,
    pub(super) nonce: Option<String>,
    /// `code_challenge`, method S256.
    pub(super) code_challenge: Option<String>,
    pub(super) claims: ClaimsRequest,
    /// `prompt=none`: answer at once or not at all.
    pub(super) silent: bool,
    pub(super) login_hint: Option<String>,
    pub(super) idp_hint: Option<String>,
}

/// Where the answer goes, and the `state` that goes with it.
#[derive(Clone, Debug)]
pub(super) struct ReturnTo {
    pub(super) redirect_uri: String,
    pub(super) state: String,
}

impl ReturnTo {
    /// The address that carries `answer`, `state` and the `iss` of RFC 9207 back to the client.
    pub(super) fn with(&self, answer: &[(&str, &str)], issuer: &str) -> String {
        let common = [("state", self.state.as_str()), ("iss", issuer)];
        with_query(&self.redirect_uri, &[answer, &common].concat())
    }
}

/// An error as OAuth names it, and its description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OAuthError {
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

impl OAuthError {
    /// `error` and `error_description`.
    pub(super) const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }
}

/// Why there is no request to answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client is told.
    Client(ReturnTo, OAuthError),
    /// Only the agent is told: the client is unknown, or its address is not to be trusted.
    Page(OAuthError),
}

impl AuthorizationRequest {
    /// Checks the parameters of a request.
    pub(super) fn parse(params: &Params, registrations: &Registrations) -> Result<Self, Refusal> {
        let form = Form::parse(params).ok_or(Refusal::Page(MALFORMED))?;
        let client = registrations.find(form.client_id).ok_or(Refusal::Page(INVALID_CLIENT))?;
        if !client.redirect_uris.iter().any(|registered| registered == form.redirect_uri) {
            return Err(Refusal::Page(INVALID_REDIRECT_URI));
        }
        let return_to = ReturnTo { redirect_uri: form.redirect_uri.to_owned(), state: form.state.to_owned() };
        match Self::negotiate(params, &form, &client) {
            Ok(Negotiated { scope, claims, code_challenge, silent }) => Ok(Self {
                client,
                return_to,
                scope,
                nonce: params.owned("nonce"),
                code_challenge,
                claims,
                silent,
                login_hint: params.owned("login_hint"),
                idp_hint: params.owned("idp_hint"),
            }),
            Err(error) => Err(Refusal::Client(return_to, error)),
        }
    }

    fn negotiate(params: &Params, form: &Form<'_>, client: &Registration) -> Result<Negotiated, OAuthError> {
        if form.response_type != "code" {
            return Err(UNSUPPORTED_RESPONSE_TYPE);
        }
        if params.text("response_mode").is_some_and(|mode| mode != "query") {
            return Err(UNSUPPORTED_RESPONSE_MODE);
        }
        let silent = silent(params.text("prompt"))?;
        let code_challenge = code_challenge(params)?;
        let scope = granted(form.scope, client)?;
        let mut claims = params
            .text("claims")
            .map_or_else(|| Ok(ClaimsRequest::default()), ClaimsRequest::parse)
            .map_err(|_| INVALID_CLAIMS)?;
        // AgentConnect's older way to ask for the level; it requires nothing.
        claims.acr |= params.text("acr_values").is_some();
        let known_idp = |hint| Agent::all().iter().any(|agent| agent.idp_id == hint);
        if params.text("idp_hint").is_some_and(|hint| !known_idp(hint)) {
            return Err(IDP_HINT_NOT_FOUND);
        }
        Ok(Negotiated { scope, claims, code_challenge, silent })
    }
}

struct Negotiated {
    scope: Vec<&'static str>,
    claims: ClaimsRequest,
    code_challenge: Option<String>,
    silent: bool,
}

/// The parameters that must be there, after every parameter was found well-formed.
struct Form<'a> {
    client_id: &'a str,
    redirect_uri: &'a str,
    response_type: &'a str,
    scope: &'a str,
    state: &'a str,
}

impl<'a> Form<'a> {
    fn parse(params: &'a Params) -> Option<Self> {
        let well_formed = |name: &str, form: fn(&str) -> bool| params.text(name).is_none_or(form);
        let optional_ones = well_formed("nonce", |nonce| nonce.is_ascii() && nonce.len() <= 512)
            && well_formed("login_hint", is_email)
            && well_formed("siret_hint", |siret| siret.chars().count() == 14);
        optional_ones.then_some(())?;
        Some(Self {
            client_id: params.text("client_id")?,
            redirect_uri: params.text("redirect_uri").filter(|uri| is_http_uri(uri))?,
            response_type: params.text("response_type")?,
            scope: params.text("scope")?,
            state: params.text("state")?,
        })
    }
}

fn is_http_uri(uri: &str) -> bool {
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.len() > 1 && !rest.starts_with('/'))
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>' | ',' | ';');
    !local.is_empty()
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
        && !text.replacen('@', "", 1).contains(odd)
}

/// Whether `prompt` is `none`. `login` is accepted, and forces nothing: AgentConnect reuses its own session.
fn silent(prompt: Option<&str>) -> Result<bool, OAuthError> {
    let values: Vec<_> = prompt.unwrap_or_default().split_ascii_whitespace().collect();
    if !values.iter().all(|value| matches!(*value, "consent" | "login" | "none")) {
        return Err(UNSUPPORTED_PROMPT);
    }
    match values.as_slice() {
        ["none"] => Ok(true),
        several if several.contains(&"none") => Err(PROMPT_NONE_IS_ALONE),
        _ => Ok(false),
    }
}

fn code_challenge(params: &Params) -> Result<Option<String>, OAuthError> {
    match (params.text("code_challenge"), params.text("code_challenge_method")) {
        (None, None) => Ok(None),
        (Some(challenge), Some("S256"))
            if crate::crypto::from_base64url(challenge).is_some_and(|hash| hash.len() == 32) =>
        {
            Ok(Some(challenge.to_owned()))
        }
        _ => Err(INVALID_CODE_CHALLENGE),
    }
}

/// The scopes asked for: one that nobody knows is passed over, one that was not granted is an error.
fn granted(scope: &str, client: &Registration) -> Result<Vec<&'static str>, OAuthError> {
    let asked: Vec<_> = scope.split_ascii_whitespace().collect();
    let known: Vec<_> = SCOPES.iter().copied().filter(|known| asked.contains(known)).collect();
    if !known.contains(&"openid") {
        return Err(NO_OPENID);
    }
    known.iter().all(|scope| client.grants(scope)).then_some(known).ok_or(INVALID_SCOPE)
}

/// The scopes that AgentConnect knows.
pub(super) const SCOPES: &[&str] = &[
    "openid",
    "given_name",
    "usual_name",
    "email",
    "uid",
    "siret",
    "siren",
    "idp_id",
    "idp_acr",
    "roles",
    "organization_label",
    "organizational_unit",
    "belonging_population",
    "phone",
    "chorusdt",
    "custom",
];

const MALFORMED: OAuthError = OAuthError::new("Y000400", "the request is malformed");
const INVALID_CLIENT: OAuthError = OAuthError::new("invalid_client", "client is invalid");
const INVALID_REDIRECT_URI: OAuthError = OAuthError::new("invalid_redirect_uri", "redirect_uri is not registered");
const UNSUPPORTED_RESPONSE_TYPE: OAuthError =
    OAuthError::new("unsupported_response_type", "unsupported response_type requested");
const UNSUPPORTED_RESPONSE_MODE: OAuthError =
    OAuthError::new("unsupported_response_mode", "unsupported response_mode requested");
const UNSUPPORTED_PROMPT: OAuthError = OAuthError::new("invalid_request", "unsupported prompt value requested");
const PROMPT_NONE_IS_ALONE: OAuthError = OAuthError::new("invalid_request", "prompt none allows no other value");
const INVALID_CODE_CHALLENGE: OAuthError = OAuthError::new("invalid_request", "code_challenge must be of method S256");
const INVALID_CLAIMS: OAuthError = OAuthError::new("invalid_request", "claims parameter is malformed");
const NO_OPENID: OAuthError = OAuthError::new("invalid_request", "openid scope must be requested");
const INVALID_SCOPE: OAuthError = OAuthError::new("invalid_scope", "requested scope is not allowed");
const IDP_HINT_NOT_FOUND: OAuthError = OAuthError::new("idp_hint_not_found", "provided idp_hint could not be found");
