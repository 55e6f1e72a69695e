//! Client authentication at the token endpoint (RFC 6749 section 2.3.1): `client_secret_post`, which AgentConnect
//! registers, and `client_secret_basic`, which it takes as well. There are no public clients.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::authorization::OAuthError;
use super::error_json;
use super::params::Params;
use super::registration::Registration;
use super::state::State;
use crate::crypto::equal;
use crate::demo::site::{Body, with_header};

/// The client that sent the request.
pub(super) fn authenticate(
    state: &State,
    request: &Request<Bytes>,
    form: &Params,
) -> Result<Arc<Registration>, Unauthenticated> {
    let basic = request.headers().get(AUTHORIZATION).map(|field| field.to_str().ok().and_then(credentials));
    let (client_id, secret) = match (basic, form.text("client_secret")) {
        (None, Some(secret)) => (form.owned("client_id"), secret.to_owned()),
        (Some(Some((id, secret))), None) => (Some(id), secret),
        (Some(None), _) => return Err(Unauthenticated::Failed),
        (Some(Some(_)), Some(_)) => return Err(Unauthenticated::Twice),
        // A client that names itself and proves nothing is a public one.
        (None, None) if form.text("client_id").is_some() => return Err(Unauthenticated::Failed),
        (None, None) => return Err(Unauthenticated::NoMechanism),
    };
    let client = client_id.and_then(|id| state.registrations.find(&id)).ok_or(Unauthenticated::Failed)?;
    if form.text("client_id").is_some_and(|id| id != client.client_id) {
        return Err(Unauthenticated::Failed);
    }
    let proven = equal(client.client_secret.expose().as_bytes(), secret.as_bytes());
    proven.then_some(client).ok_or(Unauthenticated::Failed)
}

/// Why the client is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unauthenticated {
    /// It is not registered, or its secret is another.
    Failed,
    /// It proved nothing.
    NoMechanism,
    /// It used two mechanisms at once.
    Twice,
}

impl Unauthenticated {
    /// The answer.
    pub(super) fn answer(self) -> Response<Body> {
        let (status, error, description) = match self {
            Self::Failed => (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed"),
            Self::NoMechanism => {
                (StatusCode::BAD_REQUEST, "invalid_request", "no client authentication mechanism provided")
            }
            Self::Twice => {
                (StatusCode::BAD_REQUEST, "invalid_request", "only one client authentication mechanism is allowed")
            }
        };
        let mut response = error_json(status, OAuthError::new(error, description));
        if self == Self::Failed {
            with_header(&mut response, WWW_AUTHENTICATE, "Basic realm=\"token\"");
        }
        response
    }
}

/// `client_id` and `client_secret`, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn credentials(field: &str) -> Option<(String, String)> {
    let (scheme, encoded) = field.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let form_decoded =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().map(std::borrow::Cow::into_owned).ok();
    Some((form_decoded(id)?, form_decoded(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_form_decoded_after_they_are_split() {
        let field = format!("basic {}", STANDARD.encode("id%3A1:a+b%2B"));
        assert_eq!(credentials(&field), Some(("id:1".to_owned(), "a b+".to_owned())));
        assert_eq!(credentials("Bearer abc"), None);
        assert_eq!(credentials("Basic !"), None);
    }
}
