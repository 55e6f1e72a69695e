//! Agents who are logged in, but not well enough: what another login must bring that a route's rules let them in.

use super::site::Route;
use crate::login::Asks;
use crate::oidc::{Levels, Wishes};
use crate::policy::{Circumstances, Refusal};
use crate::session::Session;

impl Route {
    /// What a login asks for that a link with this query leads to.
    #[must_use]
    pub fn wishes(&self, query: &str) -> Wishes {
        let asks: &Asks = &self.asks;
        Wishes {
            levels: Levels::default(),
            max_age: self.rules.max_age,
            hints: asks.hints(query, self.host.provider.provider.settings().preset),
        }
    }

    /// What a login must bring for a request that was refused to the agent of `session`; none where no login would help. A
    /// link does not decide as whom somebody goes on who is logged in: its hints are not among it.
    #[must_use]
    pub fn step_up(&self, refusal: Refusal<'_>, session: &Session, request: Circumstances<'_>) -> Option<Wishes> {
        let accepted = &self.host.provider.provider.settings().acr_values;
        let levels = match refusal {
            Refusal::Denied(_) => return None,
            Refusal::NotAllowed(_) => self.rules.step_up(&request.of(session.claims()), accepted)?,
            Refusal::Outdated => Levels::default(),
        };
        Some(Wishes { levels, max_age: self.rules.max_age, hints: self.asks.hints.clone() })
    }
}
