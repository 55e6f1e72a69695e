//! What the gateway's two proofs are worth to the application: the RFC 9421 signature of the request, and the assertion.

use super::Settings;
use super::report::{PREFIX, Received, Verdict};
use crate::crypto::key_set::VerifyingKeys;
use crate::identity::assertion;
use crate::signature::Target;
use crate::signature::verify::{ReceivedRequest, verify};

/// Whether the gateway sent this very request to this application.
pub(super) fn of_request(received: &Received, jwks: &str, settings: &Settings) -> Verdict {
    let target = Target {
        method: &received.method,
        authority: &received.authority,
        path: &received.path,
        query: received.query.as_deref(),
    };
    let request = ReceivedRequest { target, headers: &received.headers };
    let keys = match VerifyingKeys::from_jwks(jwks) {
        Ok(keys) => keys,
        Err(error) => return Verdict::refused(&error),
    };
    match verify(&request, &keys, &settings.audience, PREFIX, settings.clock.now()) {
        Ok(verified) => Verdict { holds: true, detail: format!("covers {}", verified.fields.join(", ")) },
        Err(error) => Verdict::refused(&error),
    }
}

/// Whether the gateway vouches for this agent to this application.
pub(super) fn of_identity(received: &Received, jwks: &str, settings: &Settings) -> Verdict {
    let Some(token) = received.text("x-agent-assertion") else { return Verdict::refused(&"there is no assertion") };
    let keys = match VerifyingKeys::from_jwks(jwks) {
        Ok(keys) => keys,
        Err(error) => return Verdict::refused(&error),
    };
    let claims = assertion::verify(token, &keys, &settings.gateway, &settings.audience, settings.clock.now());
    match claims {
        Ok(claims) if claims.get("sid").and_then(|sid| sid.as_str()) != received.text("x-agent-session") => {
            Verdict::refused(&"the assertion is of another session")
        }
        Ok(claims) => Verdict { holds: true, detail: format!("for {}", claims["sub"]) },
        Err(error) => Verdict::refused(&error),
    }
}
