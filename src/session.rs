//! What an authenticated agent is, sealed in cookies of their own host.
//!
//! Limits are inside the ciphertext: a browser that keeps a cookie longer gains nothing. No token of the provider is
//! kept but the ID token, which logout needs, and which is never in memory longer than that.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, Timestamp};
use crate::crypto::{base64url, equal, sha256};
use crate::identity::Claims;
use crate::store::records::Key;
use crate::store::{Name, Subject};

mod at_provider;
mod codec;
pub mod cookie;
mod identity;
mod opened_before;
mod sessions;
mod streams;

pub use at_provider::AtProvider;
pub use codec::{Login, Shared};
pub use identity::Identity;
pub use sessions::{Opened, REMEMBERED, Sessions};
pub use streams::{Ending, OpenStream, Stream};

/// How long a session lasts (`[session]`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// Without a request.
    pub idle: Duration,
    /// From the login on, whatever happens.
    pub absolute: Duration,
}

impl Lifetime {
    /// How much activity goes unrecorded: a cookie younger than this is not sealed again.
    fn renewal_interval(self) -> Duration {
        (self.idle / 60).min(Duration::from_secs(60))
    }
}

/// 128 random bits that name a session. They never leave the sealed cookie.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SessionId([u8; 16]);

/// The identifier is as good as the session: it is never printed.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[session id]")
    }
}

impl SessionId {
    fn derive(self, purpose: &str) -> [u8; 32] {
        derived(purpose, &self.0)
    }
}

/// 128 random bits that name a login. The sessions that one login began, at however many hosts, carry it and end
/// together. They never leave what is sealed.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LoginId([u8; 16]);

/// As secret as the sessions that carry it.
impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[login id]")
    }
}

impl LoginId {
    /// What is kept for the login in the store, for one purpose.
    #[must_use]
    pub fn key(self, purpose: &str) -> Key {
        Key::new(purpose, &self.0)
    }

    /// What the store calls the end of the login.
    fn name(self) -> Name {
        let mut name = Name([0; 16]);
        name.0.copy_from_slice(&derived("portillon ended session", &self.0)[..16]);
        name
    }
}

fn derived(purpose: &str, id: &[u8; 16]) -> [u8; 32] {
    sha256(&[purpose.as_bytes(), id].concat())
}

/// An agent's session at one host.
#[derive(Clone)]
pub struct Session {
    id: SessionId,
    login: LoginId,
    at_provider: AtProvider,
    claims: Claims,
    pseudonym: String,
    name: Name,
    name_at_provider: Option<Name>,
    logged_in_at: Timestamp,
    /// See [`Subject::knew`].
    knew: Timestamp,
    authenticated_at: Timestamp,
    identified_at: Timestamp,
    active_at: Timestamp,
}

/// Where a session stands in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Valid; its last recorded activity is recent enough.
    Alive,
    /// Valid; its cookie should be sealed again to record that the agent is active.
    Due,
    /// Past its idle or absolute limit.
    Expired,
    /// From the future: this machine's clock went back, or another gateway's runs ahead.
    NotYet,
}

impl Session {
    /// A session of a login of its own.
    fn new(id: [u8; 16], claims: Claims, logged_in_at: Timestamp, active_at: Timestamp) -> Self {
        let (id, login) = (SessionId(id), LoginId(id));
        let pseudonym = base64url(&id.derive("portillon session pseudonym")[..16]);
        let (at_provider, name, name_at_provider) = (AtProvider::default(), login.name(), None);
        Self {
            id,
            login,
            at_provider,
            claims,
            pseudonym,
            name,
            name_at_provider,
            logged_in_at,
            knew: Timestamp::default(),
            authenticated_at: logged_in_at,
            identified_at: logged_in_at,
            active_at,
        }
    }

    /// The same session, of this login.
    fn of_login(self, login: LoginId) -> Self {
        Self { login, name: login.name(), ..self }
    }

    /// The same session, which began with this one at a provider.
    fn at(self, at_provider: AtProvider) -> Self {
        Self { name_at_provider: at_provider.name(), at_provider, ..self }
    }

    /// The same session, which began where this revocation was known.
    fn knowing(self, knew: Timestamp) -> Self {
        Self { knew, ..self }
    }

    /// The same session of an agent who authenticated at that time.
    fn authenticated(self, authenticated_at: Timestamp) -> Self {
        Self { authenticated_at, ..self }
    }

    /// The same session of an agent who is this.
    fn of(self, identity: Identity) -> Self {
        Self { claims: identity.claims, identified_at: identity.at, ..self }
    }

    /// Who the agent is, as far as the session knows.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { claims: self.claims.clone(), at: self.identified_at }
    }

    /// When the provider said who the agent is.
    #[must_use]
    pub const fn identified_at(&self) -> Timestamp {
        self.identified_at
    }

    /// What the provider knows the session by.
    #[must_use]
    pub const fn at_provider(&self) -> &AtProvider {
        &self.at_provider
    }

    /// The login that began the session.
    #[must_use]
    pub const fn login(&self) -> LoginId {
        self.login
    }

    /// What another host's session of the same login is made of.
    #[must_use]
    pub fn shared(&self) -> Shared {
        Shared {
            login: self.login,
            at_provider: self.at_provider.clone(),
            logged_in_at: self.logged_in_at,
            knew: self.knew,
            authenticated_at: self.authenticated_at,
            identity: self.identity(),
        }
    }

    /// The session's identifier.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

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

    /// What the store calls the end of its login.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// What revocations of many sessions know it by.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let claims = &self.claims;
        Subject {
            provider: &self.at_provider.provider,
            at_provider: self.name_at_provider,
            sub: claims.sub(),
            idp_id: claims.text("idp_id"),
            logged_in_at: self.logged_in_at,
            knew: self.knew,
        }
    }

    /// When the agent logged in.
    #[must_use]
    pub const fn logged_in_at(&self) -> Timestamp {
        self.logged_in_at
    }

    /// When the agent authenticated at the provider, as far as that says: at the login, or before.
    #[must_use]
    pub const fn authenticated_at(&self) -> Timestamp {
        self.authenticated_at
    }

    /// Where the session stands at `now`.
    #[must_use]
    pub fn standing(&self, lifetime: Lifetime, now: Timestamp) -> Standing {
        let idle = now.since(self.active_at);
        if self.logged_in_at > now.plus(SKEW) || self.active_at > now.plus(SKEW) {
            Standing::NotYet
        } else if idle >= lifetime.idle || now.since(self.logged_in_at) >= lifetime.absolute {
            Standing::Expired
        } else if idle >= lifetime.renewal_interval() {
            Standing::Due
        } else {
            Standing::Alive
        }
    }

    /// How long the session still lasts at `now`: without another request, and at the very most.
    #[must_use]
    pub fn remaining(&self, lifetime: Lifetime, now: Timestamp) -> Lifetime {
        let absolute = lifetime.absolute.saturating_sub(now.since(self.logged_in_at));
        Lifetime { idle: lifetime.idle.min(absolute), absolute }
    }

    /// What the logout form must send back, so that no other site can log an agent out.
    #[must_use]
    pub fn logout_token(&self) -> String {
        base64url(&self.id.derive("portillon logout token"))
    }

    /// Whether `token` is this session's [`Session::logout_token`].
    #[must_use]
    pub fn accepts_logout_token(&self, token: &str) -> bool {
        equal(token.as_bytes(), self.logout_token().as_bytes())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("pseudonym", &self.pseudonym).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Lifetime = Lifetime { idle: Duration::from_secs(3600), absolute: Duration::from_secs(12 * 3600) };

    fn standing(logged_in_at: u64, active_at: u64, now: u64) -> Standing {
        let at = Timestamp::from_secs;
        Session::new([0; 16], Claims::new("s"), at(logged_in_at), at(active_at)).standing(LIFETIME, at(now))
    }

    #[test]
    fn a_session_ends_when_idle_and_at_the_latest_at_its_absolute_limit() {
        assert_eq!(standing(1000, 1000, 1059), Standing::Alive);
        assert_eq!(standing(1000, 1000, 1060), Standing::Due);
        assert_eq!(standing(1000, 1000, 1000 + 3599), Standing::Due);
        assert_eq!(standing(1000, 1000, 1000 + 3600), Standing::Expired);
        assert_eq!(standing(1000, 44_199, 44_199), Standing::Alive);
        assert_eq!(standing(1000, 44_199, 44_200), Standing::Expired);
    }

    #[test]
    fn a_clock_that_went_back_extends_nothing() {
        assert_eq!(standing(1000, 1000, 941), Standing::Alive);
        assert_eq!(standing(1000, 1000, 939), Standing::NotYet);
    }

    #[test]
    fn the_logout_token_is_the_sessions_own() {
        let session = |id| Session::new([id; 16], Claims::new("s"), Timestamp::default(), Timestamp::default());
        assert!(session(1).accepts_logout_token(&session(1).logout_token()));
        assert!(!session(1).accepts_logout_token(&session(2).logout_token()));
        assert!(!session(1).accepts_logout_token(session(1).pseudonym()));
        assert_eq!(session(1).pseudonym().len(), 22);
    }
}
