//! Authorisation by possession: what reaches an upstream is made from a [`Permit`], and only this file makes one.

use std::sync::Arc;

use http::Method;

use super::facts::Circumstances;
use super::rules::{PublicRule, Refusal, Rules};
use crate::oidc::is_recent;
use crate::route::RequestPath;
use crate::session::Session;

/// The proof that a request may be forwarded. It cannot be made outside the policy.
#[derive(Clone, Debug)]
pub struct Permit {
    admission: Admission,
}

/// On what ground a request may be forwarded.
#[derive(Clone, Debug)]
pub enum Admission {
    /// An agent with a valid session, whom the rules admit.
    Agent(Arc<Session>),
    /// A public rule: no identity goes with the request.
    Public,
}

impl Permit {
    /// The permit of a request that one of the route's public rules admits.
    #[must_use]
    pub fn public(rules: &[PublicRule], method: &Method, path: &RequestPath<'_>) -> Option<Self> {
        rules.iter().any(|rule| rule.admits(method, path)).then_some(Self { admission: Admission::Public })
    }

    /// The permit of an agent whom the route's rules admit.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that names what refused the agent.
    pub fn agent<'r>(
        rules: &'r Rules,
        session: &Arc<Session>,
        request: Circumstances<'_>,
    ) -> Result<Self, Refusal<'r>> {
        rules.verdict(&request.of(session.claims()))?;
        if rules.max_age.is_some_and(|max| !is_recent(session.authenticated_at(), max, request.now)) {
            return Err(Refusal::Outdated);
        }
        Ok(Self { admission: Admission::Agent(Arc::clone(session)) })
    }

    /// On what ground the request may be forwarded.
    #[must_use]
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The session whose identity goes with the request; none for a public one.
    #[must_use]
    pub const fn session(&self) -> Option<&Arc<Session>> {
        match &self.admission {
            Admission::Agent(session) => Some(session),
            Admission::Public => None,
        }
    }
}
