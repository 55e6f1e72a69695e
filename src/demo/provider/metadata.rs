//! Provider metadata (OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 9207) and keys (RFC 7517).

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::authorization::SCOPES;
use super::state::State;
use crate::demo::site::{Body, json as json_answer, reply};

/// The metadata document.
pub(super) fn discovery(state: &State) -> Response<Body> {
    cacheable(json_answer(StatusCode::OK, &document(&state.issuer)))
}

/// The keys.
pub(super) fn jwks(state: &State) -> Response<Body> {
    cacheable(reply(StatusCode::OK, "application/jwk-set+json; charset=utf-8", state.keys.jwks().to_string()))
}

fn cacheable(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/session/end"),
        "revocation_endpoint": format!("{issuer}/token/revocation"),
        "scopes_supported": SCOPES,
        "claims_supported": CLAIMS,
        "acr_values_supported": ACR_VALUES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "code_challenge_methods_supported": ["S256"],
        "id_token_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
        "userinfo_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    })
}

const ACR_VALUES: &[&str] = &[
    "eidas0",
    "eidas0-mfa",
    "eidas1",
    "eidas1-mfa",
    "eidas2",
    "eidas3",
    "https://proconnect.gouv.fr/assurance/certification-dirigeant",
];

const CLAIMS: &[&str] = &[
    "sub",
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
    "phone_number",
    "chorusdt:matricule",
    "chorusdt:societe",
    "custom",
    "acr",
    "amr",
    "auth_time",
    "iss",
];
