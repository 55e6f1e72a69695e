//! What the gateway tells about itself: logs, metrics and the audit trail. Never a secret, a token or a cookie; an agent
//! appears by the pseudonym of their session only, in the trail as configured, and in no metric at all.

pub mod audit;
mod json_line;
pub mod log;
pub mod metrics;
pub mod recent;

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Decision {
    /// Sent to log in, or told to.
    Login,
    /// Answered by one of our own endpoints.
    Own,
    /// Forwarded with an agent's identity.
    PermitAgent,
    /// Forwarded without identity, by a public rule.
    PermitPublic,
    /// Refused.
    Refuse,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 5] = [Self::Login, Self::Own, Self::PermitAgent, Self::PermitPublic, Self::Refuse];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Own => "own",
            Self::PermitAgent => "permit_agent",
            Self::PermitPublic => "permit_public",
            Self::Refuse => "refuse",
        }
    }
}
