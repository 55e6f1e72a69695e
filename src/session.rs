//! What an authenticated agent is, sealed in cookies of their own host.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Claims;

/// How long a session lasts (`[session]`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// Without a request.
    pub idle: Duration,
    /// From the login on, whatever happens.
    pub absolute: Duration,
}

/// An agent's session at one host.
#[derive(Clone, Debug)]
pub struct Session {
    claims: Claims,
    pseudonym: String,
    logged_in_at: Timestamp,
}

impl Session {
    /// The verified claims of the agent.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What names the session to applications and in logs (`X-Agent-Session`, `sid`): 22 characters of base64url that
    /// reveal nothing.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// When the agent logged in.
    #[must_use]
    pub const fn logged_in_at(&self) -> Timestamp {
        self.logged_in_at
    }
}
