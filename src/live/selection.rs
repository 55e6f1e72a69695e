//! Which sessions an operator means.

use serde::{Deserialize, Serialize};

use super::LiveSession;

/// Which sessions an operator means.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub enum Selection {
    /// Everybody's.
    All,
    /// Those of an agent.
    Agent {
        /// A `sub`, or an e-mail address.
        agent: String,
        /// The fingerprint of the provider where they logged in: a `sub` is one agent's at one provider. None: any.
        provider: Option<String>,
    },
    /// Those of the agents that an identity provider vouched for: its `idp_id`.
    IdentityProvider(String),
    /// One, by the name that logs and applications know (`X-Agent-Session`).
    Session(String),
}

impl Selection {
    /// Whether `session` is one of them.
    #[must_use]
    pub fn includes(&self, session: &LiveSession) -> bool {
        match self {
            Self::All => true,
            Self::Agent { agent, provider } => {
                provider.as_ref().is_none_or(|provider| session.provider == *provider)
                    && (session.sub == *agent || session.email.as_ref() == Some(agent))
            }
            Self::IdentityProvider(idp_id) => session.idp_id.as_ref() == Some(idp_id),
            Self::Session(name) => session.session == *name,
        }
    }
}
