//! Opening, issuing and ending sessions. A cookie that was opened before costs one look-up.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;

use super::codec::{Login, Record, Shared};
use super::cookie::{self, OwnCookies};
use super::identity::{Identities, Identity};
use super::opened_before::OpenedBefore;
use super::streams::{Ending, OpenStream, Stream, Streams};
use super::{AtProvider, Lifetime, LoginId, Session, SessionId, Standing};
use crate::clock::{Clock, SKEW, Timestamp};
use crate::crypto::aead::{OpenError, Purpose};
use crate::crypto::key_ring::{KeyRing, KeyRings};
use crate::crypto::{base64url, from_base64url, random};
use crate::secret::Secret;
use crate::store::{Durable, Entry, Name, Revocations};

const PURPOSE: Purpose = Purpose::new("session");

/// Sessions whose last renewal is remembered.
const RENEWED: u64 = 4096;

/// How long an end is remembered after the session would be over anyway: who left a form open overnight and sends it in
/// the morning did not log out meanwhile.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The requests of one page ask together: one of their answers brings the new cookie. Where that answer got lost, the
/// next request after this time does.
const RENEWED_ENOUGH: Duration = Duration::from_secs(5);

/// The sessions of every host of this gateway.
pub struct Sessions {
    keys: Arc<KeyRings>,
    lifetime: Lifetime,
    clock: Clock,
    opened: OpenedBefore,
    revocations: Arc<Revocations>,
    /// When a session's cookie was last sealed again.
    renewed: Cache<SessionId, Timestamp>,
    /// What ends with its session.
    streams: Streams,
    identities: Identities,
}

/// What the session cookies of a request turned out to be.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A valid session.
    Alive(Arc<Session>),
    /// A valid session whose cookie should be sealed again.
    Due(Arc<Session>),
    /// A session that was ended before its limits, or so long past them that nobody knows whether it was.
    Ended,
    /// A session past its limits, which nobody ended.
    Expired(Arc<Session>),
    /// No session cookie.
    None,
    /// A session from the future: a clock is wrong.
    NotYet,
    /// Not sealed by a key of this gateway, for this host, or not sealed at all.
    Unreadable(OpenError),
}

impl Opened {
    /// The session, where it is valid.
    #[must_use]
    pub const fn valid(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Alive(session) | Self::Due(session) => Some(session),
            Self::Ended | Self::Expired(_) | Self::None | Self::NotYet | Self::Unreadable(_) => None,
        }
    }

    /// The session that a logout ends: one that is past its limits here may have begun others, which are not.
    #[must_use]
    pub const fn to_end(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Expired(session) => Some(session),
            _ => self.valid(),
        }
    }
}

impl Sessions {
    /// Sessions of the given lifetime, sealed with the newest of `keys`, but those that are among `revocations`.
    #[must_use]
    pub fn new(keys: Arc<KeyRings>, lifetime: Lifetime, clock: Clock, revocations: Arc<Revocations>) -> Self {
        let (opened, renewed) = (OpenedBefore::new(), Cache::new(RENEWED));
        Self {
            keys,
            lifetime,
            clock,
            opened,
            revocations,
            renewed,
            streams: Streams::default(),
            identities: Identities::new(),
        }
    }

    /// The same sessions, with what `previous` ones know of open streams and identities.
    #[must_use]
    pub fn remembering(mut self, previous: &Self) -> Self {
        self.streams = previous.streams.clone();
        self.identities = previous.identities.clone();
        self
    }

    /// How long sessions last.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The session that a request's cookies hold at `host`.
    #[must_use]
    pub fn open(&self, cookies: &OwnCookies, host: &str) -> Opened {
        let Some(value) = cookies.joined(cookie::PREFIX) else {
            let present = cookies.has(cookie::PREFIX);
            return if present { Opened::Unreadable(OpenError::Malformed) } else { Opened::None };
        };
        match self.opened(&value, host) {
            Ok(session) => self.judged(session),
            Err(error) => Opened::Unreadable(error),
        }
    }

    /// Starts a session at `host`: the session, and its `Set-Cookie` values, given the cookies that came. The ID token
    /// is left out where the cookies would not hold it; none where they would not even hold the claims.
    #[must_use]
    pub fn start(&self, login: Login, cookies: &OwnCookies, host: &str) -> Option<(Session, Vec<HeaderValue>)> {
        let now = self.clock.now();
        let session =
            Session::new(random(), login.claims, now, now).at(login.at_provider).authenticated(login.authenticated_at);
        let session = match login.continues {
            Some(login) => session.of_login(login),
            None => session,
        };
        let knew = self.revocations.newest_about(&session.subject());
        let session = session.knowing(knew);
        let record = Record { session: session.clone(), id_token: Some(login.id_token) };
        Some((session, self.sealed_somehow(record, cookies, host)?))
    }

    /// Starts a session at `host` that shares the login of another host's: a session and a pseudonym of its own, which end
    /// with the login. None where the cookies would not hold the claims.
    #[must_use]
    pub fn join(&self, shared: Shared, cookies: &OwnCookies, host: &str) -> Option<(Session, Vec<HeaderValue>)> {
        let Shared { login, at_provider, logged_in_at, knew, authenticated_at, identity } = shared;
        let session = Session::new(random(), identity.claims, logged_in_at, self.clock.now());
        let session = session.of_login(login).at(at_provider).knowing(knew).authenticated(authenticated_at);
        let session = Session { identified_at: identity.at, ..session };
        let cookies = self.sealed(&Record { session: session.clone(), id_token: None }, cookies, host)?;
        Some((session, cookies))
    }

    /// What the cookies of `host` keep for the logout, whether or not their session has ended: its login, and the ID token
    /// where that was small enough to keep. None where they hold no session.
    #[must_use]
    pub fn kept_for_logout(&self, cookies: &OwnCookies, host: &str) -> Option<(LoginId, Option<Secret<String>>)> {
        let record = record(&self.keys.load(), &cookies.joined(cookie::PREFIX)?, host).ok()?;
        Some((record.session.login, record.id_token))
    }

    /// The `Set-Cookie` values that record the agent's activity; none where the cookies no longer open, or would not hold
    /// what became of the identity. The ID token is left out as when the session starts.
    #[must_use]
    pub fn renew(&self, cookies: &OwnCookies, host: &str) -> Option<Vec<HeaderValue>> {
        let mut record = record(&self.keys.load(), &cookies.joined(cookie::PREFIX)?, host).ok()?;
        record.session.active_at = self.clock.now();
        self.renewed.insert(record.session.id, record.session.active_at);
        if self.has_ended(&record.session) {
            return None;
        }
        if let Some(identity) = self.newer(&record.session) {
            record.session = record.session.of(identity);
        }
        let session = record.session.pseudonym().to_owned();
        let sealed = self.sealed_somehow(record, cookies, host);
        if sealed.is_none() {
            tracing::error!(session, "the identity has become too large for the cookies that browsers keep");
        }
        sealed
    }

    /// Ends a session and every other one of its login, here and now, and at every other gateway once the promise is kept;
    /// gives back its ID token where the cookies kept it.
    pub fn end(&self, session: &Session, cookies: &OwnCookies, host: &str) -> (Option<Secret<String>>, Durable) {
        let durable = self.end_login(session.name, Ending::LoggedOut);
        let kept = cookies.joined(cookie::PREFIX).and_then(|value| record(&self.keys.load(), &value, host).ok());
        (kept.and_then(|record| record.id_token), durable)
    }

    /// Ends every session of the login that the store calls `name`, as [`Sessions::end`] does.
    pub fn end_named(&self, name: Name) -> Durable {
        self.end_login(name, Ending::Revoked)
    }

    fn end_login(&self, name: Name, why: Ending) -> Durable {
        // None of its sessions began later than now.
        let expires = self.clock.now().plus(self.remembered()).plus(SKEW);
        let durable = self.revocations.revoke(Entry { name, expires });
        self.streams.end(why, |open| open.name == name);
        durable
    }

    /// Uses this identity for the sessions of `login` from now on, where it is newer than theirs.
    pub fn learn(&self, login: LoginId, identity: Identity) {
        self.identities.learn(login, identity);
    }

    /// Ends every session that began with `there`, which its provider has ended, as [`Sessions::end`] does. None where the
    /// provider has no name for it.
    pub fn end_at_provider(&self, there: &AtProvider) -> Option<Durable> {
        let expires = self.clock.now().plus(self.remembered()).plus(SKEW);
        let durable = self.revocations.revoke(Entry { name: there.name()?, expires });
        self.end_revoked();
        Some(durable)
    }

    /// How long the end of a session that begins now must be remembered.
    #[must_use]
    pub fn remembered(&self) -> Duration {
        self.lifetime.absolute + REMEMBERED
    }

    /// Has `stream` end with `session`, at once where that has ended already.
    pub fn watch(&self, session: &Arc<Session>, stream: Arc<dyn Stream>) -> OpenStream {
        let open = self.streams.add(Arc::clone(session), stream);
        // It is known before we look: an end between the two finds it.
        if self.has_ended(session) {
            self.streams.end(Ending::LoggedOut, |open| open.login == session.login);
        }
        open
    }

    /// Ends what is open of sessions that ended at another gateway.
    pub fn end_revoked(&self) {
        self.streams.end(Ending::Revoked, |open| self.has_ended(open));
    }

    /// Ends what is open of sessions past their absolute limit.
    pub fn end_expired(&self) {
        let now = self.clock.now();
        self.streams.end(Ending::Expired, |open| now.since(open.logged_in_at) >= self.lifetime.absolute);
    }

    fn opened(&self, value: &str, host: &str) -> Result<Arc<Session>, OpenError> {
        let keys = self.keys.load();
        let found = self.opened.find(keys.fingerprint(), host, value);
        let session = match found {
            Some(session) => match self.newer(&session) {
                None => return Ok(session),
                Some(identity) => Arc::new(Session::clone(&session).of(identity)),
            },
            None => {
                let session = record(&keys, value, host)?.session;
                let newer = self.newer(&session);
                Arc::new(match newer {
                    Some(identity) => session.of(identity),
                    None => session,
                })
            }
        };
        self.opened.note(keys.fingerprint(), host, value, &session);
        Ok(session)
    }

    fn judged(&self, session: Arc<Session>) -> Opened {
        if self.has_ended(&session) {
            return Opened::Ended;
        }
        match session.standing(self.lifetime, self.clock.now()) {
            Standing::Alive => Opened::Alive(session),
            Standing::Due if self.was_just_renewed(&session) => Opened::Alive(session),
            Standing::Due => Opened::Due(session),
            Standing::Expired if self.is_forgotten(&session) => Opened::Ended,
            Standing::Expired => Opened::Expired(session),
            Standing::NotYet => Opened::NotYet,
        }
    }

    fn newer(&self, session: &Session) -> Option<Identity> {
        self.identities.newer_than(session.login, session.identified_at)
    }

    /// Whether it was ended before its limits, as far as anybody here knows.
    #[must_use]
    pub fn has_ended(&self, session: &Session) -> bool {
        self.revocations.end(&session.name, &session.subject())
    }

    /// Whether an end of this session, had there been one, would be forgotten by now.
    fn is_forgotten(&self, session: &Session) -> bool {
        self.clock.now().since(session.logged_in_at) >= self.remembered()
    }

    fn was_just_renewed(&self, session: &Session) -> bool {
        let renewed = self.renewed.get(&session.id);
        renewed.is_some_and(|at| self.clock.now().since(at) < RENEWED_ENOUGH)
    }

    /// Seals without the ID token what does not fit with it.
    fn sealed_somehow(&self, mut record: Record, present: &OwnCookies, host: &str) -> Option<Vec<HeaderValue>> {
        let sealed = self.sealed(&record, present, host);
        if sealed.is_some() || record.id_token.take().is_none() {
            return sealed;
        }
        let session = record.session.pseudonym();
        tracing::info!(session, "the ID token is too large to keep: logout will do without");
        self.sealed(&record, present, host)
    }

    fn sealed(&self, record: &Record, present: &OwnCookies, host: &str) -> Option<Vec<HeaderValue>> {
        let sealed = self.keys.load().seal(PURPOSE, host, &record.encode(), self.clock.now());
        cookie::chunked(cookie::PREFIX, &base64url(&sealed), present)
    }
}

fn record(keys: &KeyRing, value: &str, host: &str) -> Result<Record, OpenError> {
    let sealed = from_base64url(value).ok_or(OpenError::Malformed)?;
    let bytes = keys.open(PURPOSE, host, &sealed)?;
    Record::decode(&bytes).ok_or(OpenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClaimValue, Claims};
    use crate::store::Scope;
    use crate::store::embedded::Embedded;
    use crate::store::records::Records;

    const HOST: &str = "paie.example.fr";

    fn revocations(clock: &Clock) -> Arc<Revocations> {
        Arc::new(Revocations::new(clock.clone()))
    }

    fn sessions(clock: &Clock) -> Sessions {
        let lifetime = Lifetime { idle: Duration::from_secs(3600), absolute: Duration::from_secs(12 * 3600) };
        Sessions::new(
            Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None)),
            lifetime,
            clock.clone(),
            revocations(clock),
        )
    }

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_secs(1_800_000_000))
    }

    fn login(id_token: &str) -> Login {
        let mut claims = Claims::new("s-1");
        claims.insert("usual_name", ClaimValue::Text("L'Hôpital".into()));
        Login {
            claims,
            authenticated_at: Timestamp::default(),
            id_token: Secret::from(id_token),
            refresh_token: None,
            at_provider: AtProvider::default(),
            continues: None,
        }
    }

    /// What a browser sends back for these `Set-Cookie` values.
    fn jar(set: &[HeaderValue]) -> OwnCookies {
        let pairs: Vec<&str> = set.iter().map(|value| value.to_str().unwrap().split(';').next().unwrap()).collect();
        OwnCookies::read(std::iter::once(&HeaderValue::from_str(&pairs.join("; ")).unwrap()))
    }

    #[test]
    fn a_session_opens_at_its_host_until_it_expires() {
        let clock = clock();
        let sessions = sessions(&clock);
        let (session, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        let cookies = jar(&set);
        assert_eq!(sessions.open(&cookies, HOST).valid().unwrap().id(), session.id());
        assert!(matches!(sessions.open(&cookies, "other.example.fr"), Opened::Unreadable(OpenError::Tampered)));
        assert!(matches!(sessions.open(&OwnCookies::default(), HOST), Opened::None));
        clock.advance(Duration::from_secs(60));
        assert!(matches!(sessions.open(&cookies, HOST), Opened::Due(_)));
        clock.advance(Duration::from_secs(3540));
        assert!(matches!(sessions.open(&cookies, HOST), Opened::Expired(expired) if expired.id() == session.id()));
        clock.advance(Duration::from_secs(35 * 3600));
        assert!(matches!(sessions.open(&cookies, HOST), Opened::Ended), "too long ago to tell");
    }

    #[test]
    fn the_sessions_of_one_login_end_together_and_at_their_own_hosts() {
        let clock = clock();
        let sessions = sessions(&clock);
        let (first, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        clock.advance(Duration::from_secs(600));
        let other = "rh.example.fr";
        let (joined, joined_set) = sessions.join(first.shared(), &OwnCookies::default(), other).unwrap();
        assert_eq!((joined.login(), joined.logged_in_at()), (first.login(), first.logged_in_at()));
        assert!(joined.id() != first.id() && joined.pseudonym() != first.pseudonym());
        let again = Login { continues: Some(first.login()), ..login("d.e.f") };
        let (_, again) = sessions.start(again, &OwnCookies::default(), HOST).unwrap();
        let (own, own_set) = sessions.start(login("g.h.i"), &OwnCookies::default(), other).unwrap();
        assert!(own.login() != first.login());
        assert!(matches!(sessions.open(&jar(&joined_set), HOST), Opened::Unreadable(OpenError::Tampered)));
        assert!(sessions.open(&jar(&joined_set), other).valid().is_some());
        let (id_token, _durable) = sessions.end(&joined, &jar(&joined_set), other);
        assert!(id_token.is_none(), "the first session keeps it");
        for (set, host) in [(&set, HOST), (&again, HOST), (&joined_set, other)] {
            assert!(matches!(sessions.open(&jar(set), host), Opened::Ended));
        }
        assert!(sessions.open(&jar(&own_set), other).valid().is_some());
        let (login, id_token) = sessions.kept_for_logout(&jar(&set), HOST).unwrap();
        assert!(login == first.login() && id_token.unwrap().expose() == "a.b.c");
    }

    #[test]
    fn activity_is_recorded_by_a_new_seal() {
        let clock = clock();
        let sessions = sessions(&clock);
        let (session, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        clock.advance(Duration::from_secs(3000));
        let renewed = jar(&sessions.renew(&jar(&set), HOST).unwrap());
        clock.advance(Duration::from_secs(3000));
        assert_eq!(sessions.open(&renewed, HOST).valid().unwrap().id(), session.id());
        assert!(matches!(sessions.open(&jar(&set), HOST), Opened::Expired(_)));
    }

    #[test]
    fn the_requests_of_one_page_get_one_new_cookie() {
        let clock = clock();
        let sessions = sessions(&clock);
        let (_, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        clock.advance(Duration::from_secs(600));
        assert!(matches!(sessions.open(&jar(&set), HOST), Opened::Due(_)));
        sessions.renew(&jar(&set), HOST).unwrap();
        assert!(matches!(sessions.open(&jar(&set), HOST), Opened::Alive(_)));
        clock.advance(RENEWED_ENOUGH);
        assert!(matches!(sessions.open(&jar(&set), HOST), Opened::Due(_)), "that answer was lost");
    }

    #[test]
    fn an_ended_session_is_over_for_every_copy_of_its_cookie() {
        let sessions = sessions(&clock());
        let (session, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        let cookies = jar(&set);
        assert_eq!(sessions.end(&session, &cookies, HOST).0.unwrap().expose(), "a.b.c");
        assert!(matches!(sessions.open(&cookies, HOST), Opened::Ended));
        assert!(sessions.renew(&cookies, HOST).is_none());
    }

    #[tokio::test]
    async fn the_sessions_of_many_end_whatever_the_clocks_of_their_gateways() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock().now()), None));
        let lifetime = Lifetime { idle: Duration::from_secs(3600), absolute: Duration::from_secs(12 * 3600) };
        let store = Arc::new(Embedded::open(folder.path(), &clock()).unwrap());
        // One whose clock is right, one whose clock is ahead, one whose clock is behind.
        let gateways = [20, 60, 0].map(|seconds| {
            let clock = clock();
            clock.advance(Duration::from_secs(seconds));
            let records = Records::new(Arc::clone(&store) as _, Arc::clone(&keys), clock.clone());
            let revocations = revocations(&clock);
            (Sessions::new(Arc::clone(&keys), lifetime, clock, Arc::clone(&revocations)), revocations, records)
        });
        let begun = || {
            gateways
                .each_ref()
                .map(|(sessions, ..)| jar(&sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap().1))
        };
        let open = |cookies: &OwnCookies| {
            gateways.each_ref().map(|(sessions, ..)| sessions.open(cookies, HOST).valid().is_some())
        };
        let mut before = begun();
        for (_, revocations, records) in &gateways {
            assert!(before.each_ref().iter().all(|cookies| open(cookies) == [true; 3]));
            revocations.revoke_many(Scope::All, lifetime.absolute, records).await.unwrap();
            for (_, revocations, records) in &gateways {
                revocations.catch_up_with_many(records).await.unwrap();
            }
            assert!(before.each_ref().iter().all(|cookies| open(cookies) == [false; 3]), "whoever began it");
            before = begun();
        }
        assert!(before.iter().all(|cookies| open(cookies) == [true; 3]), "what began after it goes on");
    }

    #[test]
    fn a_session_opened_before_ends_with_the_key_that_sealed_it() {
        let clock = clock();
        let dir = tempfile::tempdir().unwrap();
        let keys_dir = dir.path().join("keys");
        let ring = KeyRing::open_or_create(&keys_dir, clock.now()).unwrap();
        let keys = Arc::new(KeyRings::new(ring, Some(keys_dir.clone())));
        let lifetime = Lifetime { idle: Duration::from_secs(3600), absolute: Duration::from_secs(3600) };
        let sessions = Sessions::new(Arc::clone(&keys), lifetime, clock.clone(), revocations(&clock));
        let (_, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        let cookies = jar(&set);
        assert!(sessions.open(&cookies, HOST).valid().is_some());
        for entry in std::fs::read_dir(&keys_dir).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        KeyRing::open_or_create(&keys_dir, clock.now()).unwrap();
        assert!(keys.reload_if_changed().unwrap());
        assert!(matches!(sessions.open(&cookies, HOST), Opened::Unreadable(OpenError::UnknownKey)));
    }

    #[test]
    fn an_id_token_too_large_to_keep_is_left_out() {
        let sessions = sessions(&clock());
        let (session, set) = sessions.start(login(&"t".repeat(20_000)), &OwnCookies::default(), HOST).unwrap();
        let cookies = jar(&set);
        assert!(sessions.open(&cookies, HOST).valid().is_some());
        assert!(sessions.end(&session, &cookies, HOST).0.is_none());
        let (_, set) = sessions.start(login(&"t".repeat(5000)), &OwnCookies::default(), HOST).unwrap();
        assert!(set.len() > 1, "kept in several cookies");
    }

    #[test]
    fn an_identity_that_grew_takes_the_place_of_the_id_token() {
        let clock = clock();
        let sessions = sessions(&clock);
        let (session, set) = sessions.start(login(&"t".repeat(8000)), &OwnCookies::default(), HOST).unwrap();
        assert!(sessions.kept_for_logout(&jar(&set), HOST).unwrap().1.is_some());
        clock.advance(Duration::from_secs(600));
        let mut claims = Claims::new("s-1");
        claims.insert("usual_name", ClaimValue::Text("L'Hôpital ".repeat(500)));
        sessions.learn(session.login(), Identity { claims, at: clock.now() });
        let renewed = jar(&sessions.renew(&jar(&set), HOST).expect("whoever is active is not logged out"));
        let renewed_session = sessions.open(&renewed, HOST);
        assert!(renewed_session.valid().unwrap().claims().text("usual_name").unwrap().len() > 5000);
        assert!(sessions.kept_for_logout(&renewed, HOST).unwrap().1.is_none());
    }

    #[test]
    fn a_cookie_changed_anywhere_is_no_session() {
        let sessions = sessions(&clock());
        let (_, set) = sessions.start(login("a.b.c"), &OwnCookies::default(), HOST).unwrap();
        let value = jar(&set).value(cookie::PREFIX).unwrap().to_owned();
        for at in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = format!("{}={}", cookie::PREFIX, String::from_utf8(changed).unwrap());
            let cookies = OwnCookies::read(std::iter::once(&HeaderValue::from_str(&changed).unwrap()));
            assert!(sessions.open(&cookies, HOST).valid().is_none(), "byte {at}");
        }
    }
}
