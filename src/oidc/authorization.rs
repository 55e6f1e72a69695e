//! The two requests that the agent's browser carries: the authorization request (OpenID Connect Core 1.0 section
//! 3.1.2.1, RFC 7636 section 4.3) and the logout request (OpenID Connect RP-Initiated Logout 1.0 section 2).

use serde_json::json;

use super::metadata::Metadata;
use super::preset::Preset;
use super::settings::Settings;
use crate::crypto::{base64url, sha256};

/// What one login adds to the authorization request.
#[derive(Clone, Copy)]
pub struct AuthorizationParams<'a> {
    /// Where the provider sends the agent back to, exactly as registered.
    pub redirect_uri: &'a str,
    /// Binds the answer to the browser that asked: 32 random bytes in base64url.
    pub state: &'a str,
    /// Binds the ID token to this login: 32 random bytes in base64url.
    pub nonce: &'a str,
    /// Binds the code to this login: 32 random bytes in base64url. Only its hash is sent.
    pub code_verifier: &'a str,
}

/// The URL that starts a login. Nothing is in it but what AgentConnect documents: it has refused other parameters.
pub(super) fn authorization_url(metadata: &Metadata, settings: &Settings, params: &AuthorizationParams<'_>) -> String {
    let mut url = metadata.authorization_endpoint.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", params.redirect_uri)
        .append_pair("scope", &settings.scope.join(" "))
        .append_pair("state", params.state)
        .append_pair("nonce", params.nonce)
        .append_pair("code_challenge", &base64url(&sha256(params.code_verifier.as_bytes())))
        .append_pair("code_challenge_method", "S256");
    match level(metadata, settings) {
        Level::Claims(claims) => drop(query.append_pair("claims", &claims)),
        Level::Nothing => {}
        Level::Values(values) => drop(query.append_pair("acr_values", &values)),
    }
    drop(query);
    url.into()
}

/// How the level of authentication is asked for.
enum Level {
    /// The `claims` parameter, section 5.5.
    Claims(String),
    Nothing,
    /// The `acr_values` parameter, which a provider may fall short of; the ID token is checked in any case.
    Values(String),
}

fn level(metadata: &Metadata, settings: &Settings) -> Level {
    let essential = json!({ "essential": true, "values": settings.acr_values });
    let any_level = settings.acr_values.is_empty();
    match settings.preset {
        // AgentConnect puts `acr` and `amr` into the ID token only when they are asked for.
        Preset::AgentConnect => {
            let acr = if any_level { serde_json::Value::Null } else { essential };
            Level::Claims(json!({ "id_token": { "acr": acr, "amr": null } }).to_string())
        }
        Preset::OpenId if any_level => Level::Nothing,
        Preset::OpenId if metadata.claims_parameter_supported => {
            Level::Claims(json!({ "id_token": { "acr": essential } }).to_string())
        }
        Preset::OpenId => Level::Values(settings.acr_values.join(" ")),
    }
}

/// What one logout adds to the logout request.
pub(super) struct LogoutParams<'a> {
    pub(super) id_token_hint: Option<&'a str>,
    pub(super) post_logout_redirect_uri: &'a str,
    pub(super) state: &'a str,
}

/// The URL that ends the agent's session at the provider; none where the provider has no such endpoint.
pub(super) fn end_session_url(metadata: &Metadata, client_id: &str, params: &LogoutParams<'_>) -> Option<String> {
    let mut url = metadata.end_session_endpoint.clone()?;
    let mut query = url.query_pairs_mut();
    if let Some(hint) = params.id_token_hint {
        query.append_pair("id_token_hint", hint);
    }
    query
        .append_pair("client_id", client_id)
        .append_pair("post_logout_redirect_uri", params.post_logout_redirect_uri)
        .append_pair("state", params.state);
    drop(query);
    Some(url.into())
}
