//! What the gateway's two proofs are worth to the application: the RFC 9421 signature of the request, and the assertion.

use super::Settings;
use super::report::{Received, Verdict};

/// Whether the gateway sent this very request to this application.
pub(super) fn of_request(received: &Received, _jwks: &str, _settings: &Settings) -> Verdict {
    let detail = match received.text("signature") {
        None => "the request is not signed",
        Some(_) => "signature::verify is not there yet",
    };
    Verdict { holds: false, detail: detail.to_owned() }
}

/// Whether the gateway vouches for this agent to this application.
pub(super) fn of_identity(received: &Received, _jwks: &str, _settings: &Settings) -> Verdict {
    let detail = match received.text("x-agent-assertion") {
        None => "there is no assertion",
        Some(_) => "identity::assertion::verify is not there yet",
    };
    Verdict { holds: false, detail: detail.to_owned() }
}
