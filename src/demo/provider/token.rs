//! The token endpoint (RFC 6749 section 5, RFC 7636 section 4.6), the ID token (OpenID Connect Core 1.0 section 2) and
//! revocation (RFC 7009).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::authorization::OAuthError;
use super::client_authentication::authenticate;
use super::error_json;
use super::keys::at_hash;
use super::params::Params;
use super::registration::Registration;
use super::state::{Grant, HOUR, State};
use crate::crypto::{base64url, equal, sha256};
use crate::demo::site::{Body, json as json_answer};

/// Redeems a code or a refresh token.
pub(super) fn token(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let Ok(form) = Params::parse(request.body()) else { return error_json(StatusCode::BAD_REQUEST, REPEATED) };
    let client = match authenticate(state, request, &form) {
        Ok(client) => client,
        Err(unauthenticated) => return unauthenticated.answer(),
    };
    let granted = match form.text("grant_type") {
        Some("authorization_code") => redeem_code(state, &form, &client),
        Some("refresh_token") => refresh(state, &form, &client),
        Some(_) => Err(UNSUPPORTED_GRANT_TYPE),
        None => Err(NO_GRANT_TYPE),
    };
    match granted {
        Ok((grant, refresh_token)) => json_answer(StatusCode::OK, &tokens(state, &grant, &refresh_token)),
        Err(error) => error_json(StatusCode::BAD_REQUEST, error),
    }
}

/// Forgets a token of the client; a token that is none of its own is passed over in silence (RFC 7009 section 2.2).
pub(super) fn revocation(state: &State, request: &Request<Bytes>) -> Response<Body> {
    let Ok(form) = Params::parse(request.body()) else { return error_json(StatusCode::BAD_REQUEST, REPEATED) };
    let client = match authenticate(state, request, &form) {
        Ok(client) => client,
        Err(unauthenticated) => return unauthenticated.answer(),
    };
    let Some(token) = form.text("token") else { return error_json(StatusCode::BAD_REQUEST, NO_TOKEN) };
    for memory in [&state.access_tokens, &state.refresh_tokens] {
        if memory.find(token, state.now()).is_some_and(|grant| belongs(&grant, &client)) {
            memory.take(token, state.now());
        }
    }
    json_answer(StatusCode::OK, &json!({}))
}

type Granted = (Arc<Grant>, String);

fn redeem_code(state: &State, form: &Params, client: &Registration) -> Result<Granted, OAuthError> {
    let code = form.text("code").ok_or(NO_CODE)?;
    // Taken before anything else is looked at: whatever is wrong with the request, the code is spent.
    let grant = state.codes.take(code, state.now()).filter(|grant| state.lasts(grant)).ok_or(INVALID_GRANT)?;
    let same_address = form.text("redirect_uri") == Some(grant.request.return_to.redirect_uri.as_str());
    if !belongs(&grant, client) || !same_address || !verified(&grant, form.text("code_verifier")) {
        return Err(INVALID_GRANT);
    }
    let refresh_token = state.refresh_tokens.add(Arc::clone(&grant), state.now());
    Ok((grant, refresh_token))
}

/// The refresh token stays the same: AgentConnect turns it only near the end of its life.
fn refresh(state: &State, form: &Params, client: &Registration) -> Result<Granted, OAuthError> {
    let token = form.text("refresh_token").ok_or(NO_REFRESH_TOKEN)?;
    let grant = state.refresh_tokens.find(token, state.now()).ok_or(INVALID_GRANT)?;
    if !belongs(&grant, client) || !state.lasts(&grant) {
        return Err(INVALID_GRANT);
    }
    Ok((grant, token.to_owned()))
}

fn belongs(grant: &Grant, client: &Registration) -> bool {
    grant.request.client.client_id == client.client_id
}

/// Whether the verifier is the one of the challenge; where there was no challenge there must be no verifier.
fn verified(grant: &Grant, code_verifier: Option<&str>) -> bool {
    match (&grant.request.code_challenge, code_verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            equal(challenge.as_bytes(), base64url(&sha256(verifier.as_bytes())).as_bytes())
        }
        _ => false,
    }
}

/// The six members of AgentConnect's answer.
fn tokens(state: &State, grant: &Arc<Grant>, refresh_token: &str) -> Value {
    let access_token = state.access_tokens.add(Arc::clone(grant), state.now());
    let client = &grant.request.client;
    let claims = id_token_claims(state, grant, &access_token);
    json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": HOUR.as_secs(),
        "id_token": state.keys.sign(client, client.id_token_signed_response_alg, &claims),
        "refresh_token": refresh_token,
        "scope": grant.request.scope.join(" "),
    })
}

/// Identity claims are not in an ID token unless they were asked for by name, and granted.
fn id_token_claims(state: &State, grant: &Grant, access_token: &str) -> Value {
    let (request, now) = (&grant.request, state.now());
    let mut claims = json!({
        "iss": state.issuer,
        "sub": grant.agent.sub,
        "aud": request.client.client_id,
        "iat": now.as_secs(),
        "exp": now.plus(HOUR).as_secs(),
        "auth_time": grant.auth_time.as_secs(),
        "at_hash": at_hash(access_token),
    });
    if let Some(nonce) = &request.nonce {
        claims["nonce"] = json!(nonce);
    }
    if request.claims.acr {
        claims["acr"] = json!(grant.agent.acr);
    }
    if let Some(amr) = grant.agent.amr.filter(|_| request.claims.amr) {
        claims["amr"] = json!(amr);
    }
    for (name, value) in request.scope.iter().flat_map(|scope| grant.agent.claims(scope)) {
        if request.claims.others.contains(&name) {
            claims[name] = value;
        }
    }
    claims
}

const INVALID_GRANT: OAuthError = OAuthError::new("invalid_grant", "grant request is invalid");
const NO_CODE: OAuthError = OAuthError::new("invalid_request", "missing required parameter(s) code");
const NO_GRANT_TYPE: OAuthError = OAuthError::new("invalid_request", "missing required parameter(s) grant_type");
const NO_REFRESH_TOKEN: OAuthError = OAuthError::new("invalid_request", "missing required parameter(s) refresh_token");
const NO_TOKEN: OAuthError = OAuthError::new("invalid_request", "missing required parameter(s) token");
const REPEATED: OAuthError = OAuthError::new("invalid_request", "a parameter was sent twice");
const UNSUPPORTED_GRANT_TYPE: OAuthError =
    OAuthError::new("unsupported_grant_type", "unsupported grant_type requested");
