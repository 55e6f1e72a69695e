//! What the provider knows: its clients, its keys, and who is where in which login.

use std::sync::Arc;
use std::time::Duration;

use super::authorization::AuthorizationRequest;
use super::end_session::EndSession;
use super::keys::Keys;
use super::memory::Memory;
use super::page::Pages;
use super::registration::Registrations;
use crate::clock::{Clock, Timestamp};
use crate::crypto::signing::KeyError;
use crate::demo::agents::Agent;

/// Everything that outlives a request.
#[derive(Debug)]
pub(super) struct State {
    pub(super) issuer: String,
    pub(super) clock: Clock,
    pub(super) keys: Keys,
    pub(super) pages: Pages,
    pub(super) registrations: Registrations,
    /// Logins that wait for the agent.
    pub(super) interactions: Memory<Arc<AuthorizationRequest>>,
    /// Logouts that wait for the agent.
    pub(super) end_sessions: Memory<Arc<EndSession>>,
    /// SSO sessions: absolute, never prolonged.
    pub(super) sessions: Memory<&'static Agent>,
    pub(super) codes: Memory<Arc<Grant>>,
    pub(super) access_tokens: Memory<Arc<Grant>>,
    pub(super) refresh_tokens: Memory<Arc<Grant>>,
}

/// What an agent's login gave a client.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) request: Arc<AuthorizationRequest>,
    pub(super) agent: &'static Agent,
    /// The SSO session; the grant ends with it.
    pub(super) session: String,
    /// The time of this interaction, be it without the agent: so AgentConnect counts.
    pub(super) auth_time: Timestamp,
}

impl State {
    /// A provider that nobody has used yet.
    pub(super) fn new(issuer: String, clock: Clock) -> Result<Self, KeyError> {
        Ok(Self {
            issuer,
            clock,
            keys: Keys::generate()?,
            pages: Pages::new(),
            registrations: Registrations::default(),
            interactions: Memory::new(HOUR),
            end_sessions: Memory::new(HOUR),
            sessions: Memory::new(SESSION),
            codes: Memory::new(CODE),
            access_tokens: Memory::new(HOUR),
            refresh_tokens: Memory::new(SESSION),
        })
    }

    /// The present.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the SSO session of `grant` still lasts.
    pub(super) fn lasts(&self, grant: &Grant) -> bool {
        self.sessions.find(&grant.session, self.now()).is_some()
    }
}

/// Also what `expires_in` announces of an access token, and how long an ID token holds.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
/// The documented lifetime of a code; the real server is more patient.
const CODE: Duration = Duration::from_secs(60);
const SESSION: Duration = Duration::from_secs(12 * 3_600);
