//! What the gateway decided lately, for operators who ask why (`portillon explain --request-id`). In memory alone, and
//! bounded: what was let through does not push out what was refused.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use serde::{Deserialize, Serialize};

use super::Decision;
use crate::clock::Timestamp;
use crate::identity::Claims;
use crate::session::Session;

/// Requests of each kind that are remembered.
const REMEMBERED: usize = 1000;

/// A request, and what was decided about it.
#[derive(Debug)]
pub struct Remembered {
    /// The request, as in the log.
    pub request_id: String,
    /// When its answer ended.
    pub at: Timestamp,
    /// The method.
    pub method: Method,
    /// `Host`, as it came.
    pub host: String,
    /// The path, as it came, without the query.
    pub path: String,
    /// Who asked, by address.
    pub client: Option<IpAddr>,
    /// The route's name.
    pub route: Option<String>,
    /// The session, where there was one.
    pub session: Option<Arc<Session>>,
    /// What was decided.
    pub decision: Decision,
    /// Why, as in the log.
    pub reason: &'static str,
    /// The status of the answer.
    pub status: u16,
}

/// The same, for an operator.
#[derive(Deserialize, Serialize)]
pub struct Told {
    /// When its answer ended.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// `Host`, as it came.
    pub host: String,
    /// The path, as it came.
    pub path: String,
    /// Who asked, by address.
    pub client: Option<IpAddr>,
    /// The route's name.
    pub route: Option<String>,
    /// The session's name in logs, where there was one.
    pub session: Option<String>,
    /// The agent's claims, where there was a session.
    pub claims: Option<Claims>,
    /// What was decided, as logs call it.
    pub decision: String,
    /// Why, as in the log.
    pub reason: String,
    /// The status of the answer.
    pub status: u16,
}

/// The last decisions.
#[derive(Debug, Default)]
pub struct Recent {
    let_through: Mutex<VecDeque<Remembered>>,
    others: Mutex<VecDeque<Remembered>>,
}

impl Recent {
    /// Remembers a decision, in the place of the oldest of its kind.
    pub fn remember(&self, decided: Remembered) {
        let mut kind = self.of(decided.decision).lock().unwrap_or_else(PoisonError::into_inner);
        if kind.len() == REMEMBERED {
            kind.pop_front();
        }
        kind.push_back(decided);
    }

    /// What was decided about a request, where that is still known.
    #[must_use]
    pub fn find(&self, request_id: &str) -> Option<Told> {
        [&self.others, &self.let_through].into_iter().find_map(|kind| {
            let kind = kind.lock().unwrap_or_else(PoisonError::into_inner);
            kind.iter().rev().find(|decided| decided.request_id == request_id).map(Told::from)
        })
    }

    const fn of(&self, decision: Decision) -> &Mutex<VecDeque<Remembered>> {
        match decision {
            Decision::PermitAgent | Decision::PermitPublic => &self.let_through,
            Decision::Login | Decision::Own | Decision::Refuse => &self.others,
        }
    }
}

impl From<&Remembered> for Told {
    fn from(decided: &Remembered) -> Self {
        let session = decided.session.as_ref();
        Self {
            at: decided.at,
            method: decided.method.to_string(),
            host: decided.host.clone(),
            path: decided.path.clone(),
            client: decided.client,
            route: decided.route.clone(),
            session: session.map(|session| session.pseudonym().to_owned()),
            claims: session.map(|session| session.claims().clone()),
            decision: decided.decision.as_str().to_owned(),
            reason: decided.reason.to_owned(),
            status: decided.status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(request_id: &str, decision: Decision) -> Remembered {
        Remembered {
            request_id: request_id.to_owned(),
            at: Timestamp::from_secs(1),
            method: Method::GET,
            host: "paie.example.fr".to_owned(),
            path: "/".to_owned(),
            client: None,
            route: None,
            session: None,
            decision,
            reason: "refused",
            status: 403,
        }
    }

    #[test]
    fn what_was_refused_is_remembered_longest() {
        let recent = Recent::default();
        recent.remember(decided("refused", Decision::Refuse));
        for number in 0..=REMEMBERED {
            recent.remember(decided(&number.to_string(), Decision::PermitAgent));
        }
        assert!(recent.find("0").is_none(), "the oldest made room");
        assert!(recent.find("1").is_some());
        assert_eq!(recent.find("refused").map(|told| (told.decision, told.status)), Some(("refuse".to_owned(), 403)));
    }
}
