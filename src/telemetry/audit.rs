//! The audit trail: who did what, from where, on what, by which rule. One JSON object a line, of one schema
//! (docs/audit.md), apart from the log.
//!
//! It holds no secret, no cookie, no token; every text of a client is escaped as JSON asks (RFC 8259 section 7), so that
//! nobody writes lines of their own. Agents go by a keyed hash unless the configuration says otherwise.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::{Clock, Timestamp, utc};
use crate::crypto::key_ring::KeyRings;
use crate::identity::Claims;

mod trail;

pub use trail::{Destination, OpenError, Trail, UnknownDestination};

/// The schema of the lines. It grows when a field changes its meaning or goes; new fields may come at any time.
pub const SCHEMA: u8 = 1;

/// What agents are called in the trail (`[audit] agents`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Naming {
    /// By a hash of their `sub` that only the gateways' keys lead to.
    #[default]
    Pseudonym,
    /// By `sub` and e-mail address.
    Clear,
}

impl FromStr for Naming {
    type Err = UnknownNaming;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "clear" => Ok(Self::Clear),
            "pseudonym" => Ok(Self::Pseudonym),
            _ => Err(UnknownNaming),
        }
    }
}

/// Not a way to call agents.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("agents are called by `pseudonym`, or in `clear`")]
pub struct UnknownNaming;

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A session begins, or a login came to nothing.
    Login,
    /// An agent may not enter.
    Refusal,
    /// An agent who was logged in comes back from the provider with the level that the rules want, or without.
    StepUp,
    /// An agent, an application or the provider ends a session.
    Logout,
    /// An operator, or a limit, ends sessions.
    Revocation,
    /// An operator asked who is logged in.
    SessionsListed,
    /// New keys were read from `keys_dir`, or could not be.
    Keys,
    /// The configuration was read again, or could not be.
    Reload,
    /// The gateway begins to serve.
    Start,
    /// The gateway stops.
    Stop,
}

/// One event. What is not known of it stays out of its line.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub action: Action,
    /// Whether it succeeded; a refusal never does.
    pub success: bool,
    /// The reason code, as in the log.
    pub reason: &'a str,
    /// Who.
    pub agent: Option<&'a Claims>,
    /// The session, as logs and applications know it.
    pub session: Option<&'a str>,
    /// From where.
    pub client: Option<IpAddr>,
    /// On which host.
    pub host: Option<&'a str>,
    /// Which application.
    pub route: Option<&'a str>,
    /// By which rules: their files and lines.
    pub rule: Option<&'a str>,
    /// The request, as in the log.
    pub request_id: Option<&'a str>,
    /// How many sessions, keys or routes.
    pub count: Option<usize>,
}

impl<'a> Event<'a> {
    /// An event of which nothing else is known yet.
    #[must_use]
    pub const fn new(action: Action, success: bool, reason: &'a str) -> Self {
        Self {
            action,
            success,
            reason,
            agent: None,
            session: None,
            client: None,
            host: None,
            route: None,
            rule: None,
            request_id: None,
            count: None,
        }
    }
}

/// An event as it is written.
#[derive(Serialize)]
struct Line<'a> {
    schema: u8,
    time: String,
    event: Action,
    outcome: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idp_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// Notes events, where the configuration wants them. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    trail: Option<Trail>,
    naming: Naming,
    keys: Arc<KeyRings>,
    clock: Clock,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("trail", &self.trail).field("naming", &self.naming).finish_non_exhaustive()
    }
}

impl Audit {
    /// Writes to `trail`, if there is one.
    #[must_use]
    pub const fn new(trail: Option<Trail>, naming: Naming, keys: Arc<KeyRings>, clock: Clock) -> Self {
        Self { trail, naming, keys, clock }
    }

    /// Notes an event. Nobody waits for the disk.
    pub fn note(&self, event: Event<'_>) {
        if let Some(trail) = &self.trail {
            trail.write(event.success, self.line(event));
        }
    }

    /// Waits until what was noted is written, for a second at most.
    pub async fn settle(&self) {
        if let Some(trail) = self.trail.clone() {
            let _ = tokio::task::spawn_blocking(move || trail.settle()).await;
        }
    }

    fn line(&self, event: Event<'_>) -> String {
        let now = self.clock.now();
        let line = Line {
            schema: SCHEMA,
            time: utc::format_extended(now),
            event: event.action,
            outcome: if event.success { "success" } else { "failure" },
            reason: event.reason,
            agent: event.agent.map(|claims| self.named(claims, now)),
            email: event.agent.filter(|_| self.naming == Naming::Clear).and_then(|claims| claims.text("email")),
            idp_id: event.agent.and_then(|claims| claims.text("idp_id")),
            session: event.session,
            client: event.client,
            host: event.host,
            route: event.route,
            rule: event.rule,
            request_id: event.request_id,
            count: event.count,
        };
        serde_json::to_string(&line).expect("a line is made of what JSON writes")
    }

    fn named(&self, claims: &Claims, now: Timestamp) -> String {
        match self.naming {
            Naming::Clear => claims.sub().to_owned(),
            Naming::Pseudonym => self.keys.load().pseudonym(PURPOSE, claims.sub(), now),
        }
    }
}

/// What the pseudonyms of the trail are made for.
pub const PURPOSE: &str = "audit";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::key_ring::KeyRing;
    use crate::identity::ClaimValue;

    fn audit(naming: Naming) -> Audit {
        let clock = Clock::manual(Timestamp::from_secs(1_795_000_000));
        let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
        Audit::new(None, naming, keys, clock)
    }

    fn claims() -> Claims {
        let mut claims = Claims::new("s-1");
        claims.insert("email", ClaimValue::Text("angela@example.fr".into()));
        claims.insert("idp_id", ClaimValue::Text("71144ab3".into()));
        claims
    }

    fn line(audit: &Audit, event: Event<'_>) -> Value {
        serde_json::from_str(&audit.line(event)).unwrap()
    }

    #[test]
    fn a_line_says_who_what_where_and_why() {
        let (claims, client) = (claims(), IpAddr::from([192, 0, 2, 1]));
        let event = Event {
            agent: Some(&claims),
            session: Some("3fQ0"),
            client: Some(client),
            host: Some("paie.example.fr"),
            route: Some("paie"),
            rule: Some("portillon.toml:12"),
            request_id: Some("r-1"),
            ..Event::new(Action::Refusal, false, "refused")
        };
        let expected = json!({
            "schema": 1, "time": "2026-11-18T11:06:40Z", "event": "refusal", "outcome": "failure", "reason": "refused",
            "agent": "s-1", "email": "angela@example.fr", "idp_id": "71144ab3", "session": "3fQ0", "client": "192.0.2.1",
            "host": "paie.example.fr", "route": "paie", "rule": "portillon.toml:12", "request_id": "r-1",
        });
        assert_eq!(line(&audit(Naming::Clear), event), expected);
    }

    #[test]
    fn an_agent_goes_by_a_name_that_only_the_keys_lead_to() {
        let (audit, other, claims) = (audit(Naming::Pseudonym), audit(Naming::Pseudonym), claims());
        let event = Event { agent: Some(&claims), ..Event::new(Action::Login, true, "logged_in") };
        let told = audit.line(event);
        assert!(!told.contains("s-1") && !told.contains("angela"), "{told}");
        assert_eq!(line(&audit, event)["agent"], line(&audit, event)["agent"]);
        assert_ne!(line(&audit, event)["agent"], line(&other, event)["agent"]);
    }

    #[test]
    fn nobody_writes_a_line_of_their_own() {
        let event = Event { host: Some("a\n{\"event\":\"login\"}\u{1b}[2J"), ..Event::new(Action::Login, false, "x") };
        let told = audit(Naming::Pseudonym).line(event);
        assert!(told.chars().all(|c| !c.is_control()), "{told:?}");
    }
}
