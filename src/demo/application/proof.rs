//! What the gateway's two proofs are worth to the application: the RFC 9421 signature of the request, and the assertion.

use super::Settings;
use super::report::{PREFIX, Received, Verdict};
use crate::crypto::key_set::VerifyingKeys;
use crate::identity::assertion;
use crate::signature::Target;
use crate::signature::verify::{self, ReceivedRequest};

/// Whether the gateway sent this very request to this application.
pub(super) fn of_request(received: &Received, jwks: &str, settings: &Settings) -> Verdict {
    let target = Target {
        method: &received.method,
        authority: &received.authority,
        path: &received.path,
        query: received.query.as_deref(),
    };
    let request = ReceivedRequest { target, headers: &received.headers };
    match verify::verify(&request, &keys(jwks), &settings.audience, PREFIX, settings.clock.now()) {
        Ok(verified) => Verdict {
            holds: true,
            detail: format!("key {}, covers the target and {} identity headers", verified.keyid, verified.fields.len()),
        },
        Err(error) => Verdict { holds: false, detail: error.to_string() },
    }
}

/// Whether the gateway vouches for this agent to this application.
pub(super) fn of_identity(received: &Received, jwks: &str, settings: &Settings) -> Verdict {
    let Some(token) = received.text("x-agent-assertion") else {
        return Verdict { holds: false, detail: "there is no assertion".to_owned() };
    };
    match assertion::verify(token, &keys(jwks), &settings.gateway, &settings.audience, settings.clock.now()) {
        Ok(claims) => Verdict { holds: true, detail: format!("{} claims", claims.len()) },
        Err(error) => Verdict { holds: false, detail: error.to_string() },
    }
}

/// A text that is no JWK Set has no keys, and nothing verifies.
fn keys(jwks: &str) -> VerifyingKeys {
    VerifyingKeys::from_jwks(jwks).unwrap_or_default()
}
