//! Who is logged in: one record a session, for operators who list and end sessions (`portillon sessions`), and for the
//! limit of an agent's sessions (`[session] max_per_agent`).
//!
//! The sessions themselves are in the agents' cookies. What is written here follows them at a distance: no request waits
//! for it, and a record that was lost costs a line in a list, never a session.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock::Timestamp;
use crate::session::{Lifetime, Session};
use crate::store::records::{Cursor, Key, RecordError, Records, Table};
use crate::store::{Name, Subject};

mod selection;

pub use selection::Selection;

/// Sessions that may wait to be written; what comes on top of them is left out.
const WAITING: usize = 4096;

/// Records read at once.
const PAGE: usize = 500;

/// Characters of `User-Agent` that are kept.
const USER_AGENT: usize = 256;

/// A session whose cookie was just lost is still shown for so long.
const GRACE: Duration = Duration::from_secs(60);

/// Looking for agents above the limit takes a tenth of the time at most.
const REST: u32 = 9;

/// The shortest time between two such looks.
const SHORTEST_REST: Duration = Duration::from_millis(200);

/// A session as operators see it.
#[derive(Clone, Deserialize, Serialize)]
pub struct LiveSession {
    /// What names it to applications and in logs.
    pub session: String,
    /// The authority of its host.
    pub host: String,
    /// The agent.
    pub sub: String,
    /// Their e-mail address, as their identity provider has it.
    pub email: Option<String>,
    /// Who vouched for them.
    pub idp_id: Option<String>,
    /// When they logged in.
    pub logged_in_at: Timestamp,
    /// Their last request, to a minute.
    pub last_seen: Timestamp,
    /// Where that came from.
    pub address: Option<IpAddr>,
    /// By what browser: its first 256 characters.
    pub user_agent: Option<String>,
    /// What ends it, with its login.
    name: Name,
    knew: Timestamp,
    /// Where the agent logged in, and what ends it from there.
    provider: String,
    name_at_provider: Option<Name>,
}

/// Who an agent is belongs in no log.
impl fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSession").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Who made a request, as far as the request tells.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Their address; none behind a unix socket.
    pub address: Option<IpAddr>,
    /// The request's `User-Agent`.
    pub user_agent: Option<String>,
}

impl Client {
    /// `user_agent` as it came: what is too long of it is left out.
    #[must_use]
    pub fn new(address: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        Self { address, user_agent: user_agent.map(|text| text.chars().take(USER_AGENT).collect()) }
    }
}

impl LiveSession {
    /// `session`, used by `client` at `host` and `now`.
    #[must_use]
    pub fn new(session: &Session, host: &str, client: &Client, now: Timestamp) -> Self {
        let claims = session.claims();
        Self {
            session: session.pseudonym().to_owned(),
            host: host.to_owned(),
            sub: claims.sub().to_owned(),
            email: claims.text("email").map(str::to_owned),
            idp_id: claims.text("idp_id").map(str::to_owned),
            logged_in_at: session.logged_in_at(),
            last_seen: now,
            address: client.address,
            user_agent: client.user_agent.clone(),
            name: session.name(),
            knew: session.subject().knew,
            provider: session.at_provider().provider.clone(),
            name_at_provider: session.subject().at_provider,
        }
    }

    /// What revocations of one session, and of all of its login, know it by.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// What revocations of many sessions know it by.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            provider: &self.provider,
            at_provider: self.name_at_provider,
            sub: &self.sub,
            idp_id: self.idp_id.as_deref(),
            logged_in_at: self.logged_in_at,
            knew: self.knew,
        }
    }

    fn holder(&self) -> Holder {
        (self.provider.clone(), self.sub.clone(), self.host.clone())
    }

    fn key(&self) -> Key {
        Key::of("live session", self.session.as_bytes())
    }

    fn over(&self, lifetime: Lifetime) -> Timestamp {
        let idle = self.last_seen.plus(lifetime.idle).plus(GRACE);
        idle.min(self.logged_in_at.plus(lifetime.absolute))
    }
}

/// What is to be written.
struct Seen {
    session: LiveSession,
    lifetime: Lifetime,
    /// Where a login began it: so many of this agent's are allowed at this host.
    limit: Option<NonZeroU32>,
}

/// The live sessions of a group of gateways.
#[derive(Clone)]
pub struct Live {
    records: Records,
    seen: mpsc::Sender<Seen>,
}

impl Live {
    /// Live sessions among `records`; they are written where the [`Recorder`] runs.
    #[must_use]
    pub fn new(records: Records) -> (Self, Recorder) {
        let (seen, waiting) = mpsc::channel(WAITING);
        (Self { records: records.clone(), seen }, Recorder { records, waiting })
    }

    /// Notes that `session` is used by `client` at `host`. Where a login just began it there: of the agent's sessions, the
    /// oldest above `limit` end.
    pub fn note(
        &self,
        session: &Session,
        (host, client): (&str, &Client),
        lifetime: Lifetime,
        limit: Option<NonZeroU32>,
    ) {
        let session = LiveSession::new(session, host, client, self.records.clock().now());
        if self.seen.try_send(Seen { session, lifetime, limit }).is_err() {
            tracing::warn!("too many sessions wait to be written: one is missing in the list of live sessions");
        }
    }

    /// The sessions that `wanted` picks, those of the last login first.
    ///
    /// # Errors
    ///
    /// [`RecordError`]
    pub async fn list(&self, wanted: impl Fn(&LiveSession) -> bool) -> Result<Vec<LiveSession>, RecordError> {
        listed(&self.records, wanted).await
    }
}

async fn listed(records: &Records, wanted: impl Fn(&LiveSession) -> bool) -> Result<Vec<LiveSession>, RecordError> {
    let (mut sessions, mut after) = (HashMap::new(), None::<Cursor>);
    loop {
        let found = records.scan::<LiveSession>(Table::LiveSession, after.as_ref(), PAGE).await?;
        // A page may bring again what another one brought.
        sessions.extend(found.records.into_iter().filter(|(_, session)| wanted(session)));
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    let mut sessions: Vec<_> = sessions.into_values().collect();
    sessions.sort_by(|a, b| (Reverse(a.logged_in_at), &a.session).cmp(&(Reverse(b.logged_in_at), &b.session)));
    Ok(sessions)
}

/// Writes the records, and finds the agents with too many sessions.
pub struct Recorder {
    records: Records,
    waiting: mpsc::Receiver<Seen>,
}

/// The sessions that one agent of a provider has at one host are counted.
type Holder = (String, String, String);

impl Recorder {
    /// Writes for ever. `is_over` says which sessions have ended already, `end` ends one.
    pub async fn run(mut self, is_over: impl Fn(&LiveSession) -> bool, end: impl Fn(&LiveSession)) {
        let mut limited: HashMap<Holder, NonZeroU32> = HashMap::new();
        // Sessions that are noted meanwhile do not put it off.
        let mut next_look = Instant::now() + SHORTEST_REST;
        loop {
            tokio::select! {
                seen = self.waiting.recv() => match seen {
                    Some(seen) => limited.extend(self.write(seen).await),
                    None => return,
                },
                () = sleep_until(next_look), if !limited.is_empty() => {
                    let began = Instant::now();
                    self.limit(&mut limited, &is_over, &end).await;
                    next_look = Instant::now() + (began.elapsed() * REST).max(SHORTEST_REST);
                }
            }
        }
    }

    /// Writes one record. Gives back whose sessions are to be counted.
    async fn write(&self, Seen { session, lifetime, limit }: Seen) -> Option<(Holder, NonZeroU32)> {
        let expires = session.over(lifetime);
        if let Err(error) = self.records.put(Table::LiveSession, &session.key(), &session, expires).await {
            tracing::debug!(%error, "a live session was not written");
        }
        limit.map(|limit| (session.holder(), limit))
    }

    /// Ends the oldest sessions of those who have too many. Where the store does not answer, they are looked at later.
    async fn limit(
        &self,
        limited: &mut HashMap<Holder, NonZeroU32>,
        is_over: impl Fn(&LiveSession) -> bool,
        end: impl Fn(&LiveSession),
    ) {
        let is_limited = |session: &LiveSession| limited.contains_key(&session.holder());
        let sessions = listed(&self.records, |session| is_limited(session) && !is_over(session)).await;
        let Ok(sessions) = sessions else { return };
        let mut held: HashMap<Holder, Vec<Name>> = HashMap::new();
        for session in &sessions {
            let holder = session.holder();
            let Some(limit) = limited.get(&holder) else { continue };
            let logins = held.entry(holder).or_default();
            // To end one session of a login ends the login: those of one browser, whose tabs came at once, count as one.
            if logins.contains(&session.name) {
                continue;
            }
            logins.push(session.name);
            if logins.len() > limit.get() as usize {
                tracing::info!(session = session.session, reason = "max_per_agent", "the agent's oldest session ends");
                end(session);
            }
        }
        limited.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::Clock;
    use crate::crypto::key_ring::{KeyRing, KeyRings};
    use crate::identity::{ClaimValue, Claims};
    use crate::secret::Secret;
    use crate::session::cookie::OwnCookies;
    use crate::session::{AtProvider, Login, Sessions};
    use crate::store::Revocations;
    use crate::store::embedded::Embedded;

    const HOST: &str = "paie.example.fr";
    const LIFETIME: Lifetime = Lifetime { idle: Duration::from_secs(3600), absolute: Duration::from_secs(12 * 3600) };

    struct House {
        clock: Clock,
        sessions: Sessions,
        live: Live,
        recorder: Recorder,
        _folder: tempfile::TempDir,
    }

    fn house() -> House {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(Timestamp::from_secs(1_800_000_000)));
        let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
        let store = Arc::new(Embedded::open(folder.path(), &clock).unwrap());
        let (live, recorder) = Live::new(Records::new(store, Arc::clone(&keys), clock.clone()));
        let revocations = Arc::new(Revocations::new(clock.clone()));
        let sessions = Sessions::new(keys, LIFETIME, clock.clone(), revocations);
        House { clock, sessions, live, recorder, _folder: folder }
    }

    fn log_in(sessions: &Sessions, now: Timestamp, (provider, sub): (&str, &str)) -> Session {
        let mut claims = Claims::new(sub);
        claims.insert("email", ClaimValue::Text(format!("{sub}@example.fr")));
        let login = Login {
            claims,
            authenticated_at: now,
            id_token: Secret::from("a.b.c"),
            at_provider: AtProvider { provider: provider.to_owned(), sid: None },
            refresh_token: None,
            continues: None,
        };
        sessions.start(login, &OwnCookies::default(), HOST).unwrap().0
    }

    impl House {
        fn log_in(&self, sub: &str) -> Session {
            self.log_in_at("p-1", sub)
        }

        fn log_in_at(&self, provider: &str, sub: &str) -> Session {
            log_in(&self.sessions, self.clock.now(), (provider, sub))
        }

        /// Writes what was noted.
        async fn written(&mut self) {
            while let Ok(seen) = self.recorder.waiting.try_recv() {
                self.recorder.write(seen).await;
            }
        }

        async fn all(&self) -> Vec<LiveSession> {
            self.live.list(|_| true).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_session_is_told_of_until_its_limits() {
        let mut house = house();
        let session = house.log_in("s-1");
        let client = Client::new(Some(IpAddr::from([192, 0, 2, 7])), Some(&"\u{e9}".repeat(300)));
        house.live.note(&session, (HOST, &client), LIFETIME, None);
        house.written().await;
        house.clock.advance(Duration::from_secs(3000));
        house.live.note(&session, (HOST, &Client::default()), LIFETIME, None);
        assert_eq!(house.all().await[0].user_agent.as_ref().unwrap().chars().count(), USER_AGENT);
        house.written().await;
        let [told] = &house.all().await[..] else { panic!("one session") };
        assert_eq!(told.session, session.pseudonym());
        assert_eq!(told.email.as_deref(), Some("s-1@example.fr"));
        assert_eq!(told.last_seen.since(told.logged_in_at), Duration::from_secs(3000));
        assert!(told.address.is_none() && told.user_agent.is_none(), "as the last request had it");
        house.clock.advance(Duration::from_secs(3600));
        assert_eq!(house.all().await.len(), 1, "whoever is just too late is still told of");
        house.clock.advance(GRACE);
        assert!(house.all().await.is_empty());
    }

    #[tokio::test]
    async fn the_limit_is_kept_however_many_sessions_are_noted() {
        let House { clock, sessions, live, recorder, _folder } = house();
        let begin = |sub: &str, limit| {
            let session = log_in(&sessions, clock.now(), ("p-1", sub));
            live.note(&session, (HOST, &Client::default()), LIFETIME, limit);
            session
        };
        let limit = NonZeroU32::new(1);
        let oldest = begin("s-1", limit);
        clock.advance(Duration::from_secs(1));
        begin("s-1", limit);
        let (ended, mut told) = mpsc::unbounded_channel();
        let end = |session: &LiveSession| ended.send(session.session.clone()).unwrap();
        let traffic = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            loop {
                pace.tick().await;
                begin("s-2", None);
            }
        };
        let first = async {
            tokio::select! {
                () = recorder.run(|_| false, end) => None,
                () = traffic => None,
                first = told.recv() => first,
            }
        };
        let first = tokio::time::timeout(Duration::from_secs(20), first).await.expect("nobody looked");
        assert_eq!(first.as_deref(), Some(oldest.pseudonym()));
    }

    #[tokio::test]
    async fn the_oldest_above_the_limit_end_and_no_others() {
        let mut house = house();
        let two = NonZeroU32::new(2).unwrap();
        let mut logged_in = Vec::new();
        for sub in ["s-1", "s-1", "s-1", "s-2"] {
            let session = house.log_in(sub);
            house.live.note(&session, (HOST, &Client::default()), LIFETIME, Some(two));
            logged_in.push(session);
            house.clock.advance(Duration::from_secs(1));
        }
        house.live.note(&house.log_in("s-1"), ("other.example.fr", &Client::default()), LIFETIME, Some(two));
        house.live.note(&house.log_in_at("p-2", "s-1"), (HOST, &Client::default()), LIFETIME, Some(two));
        house.written().await;
        let ended = Mutex::new(Vec::new());
        let end = |session: &LiveSession| ended.lock().unwrap().push(session.session.clone());
        let holder = |sub: &str| (("p-1".to_owned(), sub.to_owned(), HOST.to_owned()), two);
        let mut limited = HashMap::from([holder("s-1"), holder("s-2")]);
        house.recorder.limit(&mut limited, |_| false, end).await;
        assert_eq!(*ended.lock().unwrap(), [logged_in[0].pseudonym()]);
        assert!(limited.is_empty());
        let mut again = HashMap::from([holder("s-1")]);
        house.recorder.limit(&mut again, |session| session.session == logged_in[0].pseudonym(), end).await;
        assert_eq!(ended.lock().unwrap().len(), 1, "who has gone counts no longer");
    }
}
