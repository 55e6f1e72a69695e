//! The userinfo endpoint (OpenID Connect Core 1.0 section 5.3): a JWT signed as the client registered, or JSON where it
//! registered no algorithm.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::authorization::OAuthError;
use super::error_json;
use super::state::{Grant, HOUR, State};
use crate::demo::site::{Body, json as json_answer, reply, with_header};

/// The claims that the access token gives.
pub(super) fn user_info(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let Some(token) = bearer(request) else { return error_json(StatusCode::BAD_REQUEST, NO_TOKEN) };
    match state.access_tokens.find(token, state.now()).filter(|grant| state.lasts(grant)) {
        Some(grant) => released(state, &grant),
        None => unauthorized(state),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1); AgentConnect's other ways are nothing to rely on.
fn bearer(request: &Request<Bytes>) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn released(state: &State, grant: &Arc<Grant>) -> Response<Body> {
    let (client, now) = (&grant.request.client, state.now());
    let mut claims: Map<_, _> = grant.request.scope.iter().flat_map(|scope| grant.agent.claims(scope)).collect();
    claims.insert("sub".to_owned(), json!(grant.agent.sub));
    let Some(alg) = client.userinfo_signed_response_alg else {
        return json_answer(StatusCode::OK, &Value::Object(claims));
    };
    claims.insert("iss".to_owned(), json!(state.issuer));
    claims.insert("aud".to_owned(), json!(client.client_id));
    claims.insert("iat".to_owned(), json!(now.as_secs()));
    claims.insert("exp".to_owned(), json!(now.plus(HOUR).as_secs()));
    let token = state.keys.sign(client, alg, &Value::Object(claims));
    reply(StatusCode::OK, "application/jwt; charset=utf-8", token)
}

fn unauthorized(state: &State) -> Response<Body> {
    let mut response = error_json(StatusCode::UNAUTHORIZED, INVALID_TOKEN);
    let challenge = format!(
        "Bearer realm=\"{}\", error=\"{}\", error_description=\"{}\"",
        state.issuer, INVALID_TOKEN.error, INVALID_TOKEN.description
    );
    with_header(&mut response, WWW_AUTHENTICATE, &challenge);
    response
}

const INVALID_TOKEN: OAuthError = OAuthError::new("invalid_token", "invalid token provided");
const NO_TOKEN: OAuthError = OAuthError::new("invalid_request", "no access token provided");
