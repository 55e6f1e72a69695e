//! What ends the sessions of many at once: an agent's, an identity provider's, everybody's.
//!
//! They are few, so they are sealed records that every gateway reads twice a second, and writes again where the store
//! lost them. A request looks at a flag; only where there is any such revocation does it look further.
//!
//! A session is told from one that began after the revocation by what its gateway knew at the login, not by clocks that
//! may differ: each revocation is later than those known where it is made, and a session names the latest that was known
//! where it began. Whoever logs in at a gateway that did not know yet logs in again.
//!
//! Of two orders that are given at once at two gateways, neither knows the other. Who knows the one and learns of the other
//! makes that one later still: a session that began here between the two names the first, and began before the second.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Name;
use super::moment::Moment;
use super::records::{Cursor, Key, RecordError, Records, Table};
use crate::clock::{SKEW, Timestamp};
use crate::crypto::random;

/// How often the store is read.
const LOOK: Duration = Duration::from_millis(500);

/// What makes one later than another.
const SECOND: Duration = Duration::from_secs(1);

/// Records read at once.
const PAGE: usize = 500;

/// How old one may look that was just made: clocks differ by a minute, and nobody logs in where the store was not read for
/// some seconds.
const JUST_MADE: Duration = SKEW.saturating_mul(2);

/// Whose sessions end.
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Scope {
    /// An agent's, by `sub`.
    Agent(String),
    /// Those of everybody that an identity provider vouched for, by `idp_id`.
    IdentityProvider(String),
    /// Everybody's.
    All,
    /// An agent's that began at one provider.
    AgentOfProvider {
        /// The provider's fingerprint.
        provider: String,
        /// The agent there.
        sub: String,
    },
}

impl Scope {
    /// Whether a session can be of both.
    fn may_meet(&self, other: &Self) -> bool {
        self.sub().zip(other.sub()).is_none_or(|(one, other)| one == other)
    }

    const fn sub(&self) -> Option<&String> {
        match self {
            Self::Agent(sub) | Self::AgentOfProvider { sub, .. } => Some(sub),
            Self::All | Self::IdentityProvider(_) => None,
        }
    }
}

/// Nobody's `sub` belongs in a log.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent(_) => "Agent",
            Self::IdentityProvider(_) => "IdentityProvider",
            Self::All => "All",
            Self::AgentOfProvider { .. } => "AgentOfProvider",
        })
    }
}

/// A session, as far as such revocations know it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Where they logged in: the provider's fingerprint.
    pub provider: &'a str,
    /// What the end of the provider's own session is called, where the provider has a name for that.
    pub at_provider: Option<Name>,
    /// The agent.
    pub sub: &'a str,
    /// Who vouched for them.
    pub idp_id: Option<&'a str>,
    /// When they logged in.
    pub logged_in_at: Timestamp,
    /// When the latest revocation about such a session was made that the gateway of the login knew.
    pub knew: Timestamp,
}

/// Which order of an operator or a provider it was, whatever moment it was given.
type OrderId = [u8; 16];

/// The record in the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Mark {
    order: OrderId,
    scope: Scope,
    /// When it was made: later than every other one about the same sessions that was known there.
    before: Timestamp,
    until: Timestamp,
}

impl Mark {
    /// The same, as if it had been made then.
    fn made_later(&self, before: Timestamp) -> Self {
        let until = self.until.plus(before.since(self.before));
        Self { order: self.order, scope: self.scope.clone(), before, until }
    }
}

/// What is known of one scope.
#[derive(Clone)]
struct Known {
    /// The latest order, as late as it was made.
    order: OrderId,
    before: Timestamp,
    until: Timestamp,
    /// Whether the store had it once.
    stored: bool,
    /// Every order that was heard of.
    heard: HashSet<OrderId>,
}

impl Known {
    fn of(mark: &Mark, stored: bool) -> Self {
        let Mark { order, before, until, .. } = *mark;
        Self { order, before, until, stored, heard: HashSet::from([order]) }
    }

    /// Learns of another mark of the same scope. Whether it is later.
    fn learn(&mut self, mark: &Mark, stored: bool) -> bool {
        self.heard.insert(mark.order);
        self.until = self.until.max(mark.until);
        let is_later = mark.before > self.before;
        if is_later {
            (self.order, self.before, self.stored) = (mark.order, mark.before, stored);
        } else if mark.before == self.before {
            self.stored |= stored;
        }
        is_later
    }
}

/// The broad revocations that this gateway knows.
pub(super) struct Broad {
    known: RwLock<HashMap<Scope, Known>>,
    any: AtomicBool,
    read: Moment,
}

impl Broad {
    pub(super) fn new() -> Self {
        Self { known: RwLock::default(), any: AtomicBool::new(false), read: Moment::never() }
    }

    /// Whether one of them ends the session.
    pub(super) fn covers(&self, subject: &Subject<'_>) -> bool {
        let before = self.newest_about(subject);
        // One of a login that is later than clocks explain began after it, at a gateway that had not learnt of it for long.
        subject.knew < before && subject.logged_in_at <= before.plus(SKEW)
    }

    /// The latest one known here about such a session as this: zero where there is none.
    pub(super) fn newest_about(&self, subject: &Subject<'_>) -> Timestamp {
        if self.any.load(Ordering::Acquire) { self.before(subject) } else { Timestamp::default() }
    }

    /// How long ago the store was read last, if ever.
    pub(super) fn age(&self) -> Option<Duration> {
        self.read.age()
    }

    /// Writes what [`Self::begin`] made. Where the store does not answer, that is done at the next look.
    pub(super) async fn write(&self, mark: &Mark, records: &Records) -> Result<(), RecordError> {
        // Under a name that says nothing: a scope can be guessed, and so could its hash.
        let key = Key::new("broad revocation", &random());
        records.put(Table::Revocation, &key, mark, mark.until).await?;
        self.stored(mark);
        Ok(())
    }

    /// How many the store never had.
    pub(super) fn unwritten(&self) -> usize {
        self.reading().values().filter(|known| !known.stored).count()
    }

    /// Reads what the store holds, and writes what it lacks. Whether anything was new.
    pub(super) async fn look(&self, records: &Records) -> Result<bool, RecordError> {
        let (asked, now) = (Instant::now(), records.clock().now());
        let marks = all(records).await?;
        let news = self.learn(&marks, now);
        self.forget(now);
        for mark in self.missing(&marks) {
            self.write(&mark, records).await?;
        }
        // What was written after the question is not in the answer.
        self.read.note(asked);
        Ok(news)
    }

    /// Looks for ever, and calls `news` when there is any.
    pub(super) async fn follow(&self, records: &Records, news: impl Fn()) {
        let mut purged = Instant::now();
        loop {
            match self.look(records).await {
                Ok(true) => news(),
                Ok(false) => {}
                // That the store is away is said by whoever reads the ended sessions.
                Err(error) => tracing::debug!(%error, "revocations were not read"),
            }
            if purged.elapsed() > Duration::from_secs(60) {
                purged = Instant::now();
                if let Err(error) = records.purge().await {
                    tracing::debug!(%error, "what expired is still in the store");
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Ends the sessions of `scope` that began until `now`, here at once.
    pub(super) fn begin(&self, scope: Scope, life: Duration, now: Timestamp) -> Mark {
        let mut known = self.writing();
        let before = newest_beside(&known, &scope).map_or(now, |newest| newest.plus(SECOND).max(now));
        let mark = Mark { order: random(), scope, before, until: before.plus(SKEW).plus(life) };
        self.any.store(true, Ordering::Release);
        note(&mut known, &mark, false);
        mark
    }

    /// Learns what the store holds, all of it. Whether anything of it is new.
    fn learn(&self, marks: &[Mark], now: Timestamp) -> bool {
        let (mut known, mut news) = (self.writing(), false);
        let (heard, unheard): (Vec<_>, Vec<_>) = marks.iter().partition(|mark| is_heard(&known, mark));
        for mark in heard {
            news |= note(&mut known, mark, true);
        }
        if unheard.is_empty() {
            return news;
        }
        self.any.store(true, Ordering::Release);
        // No session that began here names what is learnt at once with it.
        let named = known.clone();
        for mark in unheard {
            news |= note(&mut known, mark, true);
            let newest = newest_beside(&named, &mark.scope).filter(|newest| *newest >= mark.before);
            if let Some(newest) = newest.filter(|_| now.since(mark.before) <= JUST_MADE) {
                news |= note(&mut known, &mark.made_later(newest.plus(SECOND)), false);
            }
        }
        news
    }

    fn stored(&self, mark: &Mark) {
        if let Some(known) = self.writing().get_mut(&mark.scope).filter(|known| known.before == mark.before) {
            known.stored = true;
        }
    }

    fn forget(&self, now: Timestamp) {
        let mut known = self.writing();
        known.retain(|_, known| known.until > now);
        self.any.store(!known.is_empty(), Ordering::Release);
    }

    fn missing(&self, marks: &[Mark]) -> Vec<Mark> {
        let seen: HashSet<_> = marks.iter().map(|mark| (&mark.scope, mark.before)).collect();
        let known = self.reading();
        let missing = known.iter().filter(|(scope, known)| !seen.contains(&(*scope, known.before)));
        let mark = |(scope, Known { order, before, until, .. }): (&Scope, &Known)| Mark {
            order: *order,
            scope: scope.clone(),
            before: *before,
            until: *until,
        };
        missing.map(mark).collect()
    }

    fn before(&self, subject: &Subject<'_>) -> Timestamp {
        let known = self.reading();
        let before = |scope: &Scope| known.get(scope).map_or_else(Timestamp::default, |known| known.before);
        let of_provider = Scope::AgentOfProvider { provider: subject.provider.to_owned(), sub: subject.sub.to_owned() };
        let of_idp = subject.idp_id.map(|idp_id| before(&Scope::IdentityProvider(idp_id.to_owned())));
        before(&Scope::All)
            .max(before(&Scope::Agent(subject.sub.to_owned())))
            .max(before(&of_provider))
            .max(of_idp.unwrap_or_default())
    }

    fn reading(&self) -> RwLockReadGuard<'_, HashMap<Scope, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, HashMap<Scope, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every one that the store holds.
async fn all(records: &Records) -> Result<Vec<Mark>, RecordError> {
    let (mut marks, mut after) = (Vec::new(), None::<Cursor>);
    loop {
        let found = records.scan::<Mark>(Table::Revocation, after.as_ref(), PAGE).await?;
        marks.extend(found.records.into_iter().map(|(_, mark)| mark));
        after = found.next;
        if after.is_none() {
            return Ok(marks);
        }
    }
}

/// When the latest was made that a session can name which `scope` is about.
fn newest_beside(known: &HashMap<Scope, Known>, scope: &Scope) -> Option<Timestamp> {
    known.iter().filter(|(other, _)| scope.may_meet(other)).map(|(_, known)| known.before).max()
}

fn is_heard(known: &HashMap<Scope, Known>, mark: &Mark) -> bool {
    known.get(&mark.scope).is_some_and(|known| known.heard.contains(&mark.order))
}

/// Whether it is later than what was known of its scope.
fn note(known: &mut HashMap<Scope, Known>, mark: &Mark, stored: bool) -> bool {
    match known.get_mut(&mark.scope) {
        Some(known) => known.learn(mark, stored),
        None => known.insert(mark.scope.clone(), Known::of(mark, stored)).is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn mark(scope: Scope, before: u64) -> Mark {
        Mark { order: random(), scope, before: at(before), until: at(5000) }
    }

    /// Long after any of them was made.
    const LATE: Timestamp = at(4000);

    fn hear(broad: &Broad, mark: &Mark) -> bool {
        broad.learn(std::slice::from_ref(mark), LATE)
    }

    const fn login(seconds: u64) -> Subject<'static> {
        knowing(seconds, 0)
    }

    const fn knowing(seconds: u64, knew: u64) -> Subject<'static> {
        let (logged_in_at, knew) = (at(seconds), at(knew));
        Subject { provider: "p-1", at_provider: None, sub: "s-1", idp_id: Some("idp-1"), logged_in_at, knew }
    }

    fn scopes() -> [Scope; 4] {
        let of_provider = Scope::AgentOfProvider { provider: "p-1".into(), sub: "s-1".into() };
        [Scope::All, of_provider, Scope::Agent("s-1".into()), Scope::IdentityProvider("idp-1".into())]
    }

    #[test]
    fn sessions_end_that_began_where_the_revocation_was_not_known() {
        for scope in scopes() {
            let broad = Broad::new();
            assert!(!broad.covers(&login(1000)));
            assert!(hear(&broad, &mark(scope.clone(), 1000)));
            for logged_in_at in [0, 1000, 1060] {
                assert!(broad.covers(&login(logged_in_at)), "{scope:?}: at {logged_in_at}, by whatever clock");
                let new = knowing(logged_in_at, broad.newest_about(&login(0)).as_secs());
                assert!(!broad.covers(&new), "{scope:?}: at {logged_in_at}, after it");
            }
            assert!(!broad.covers(&login(1061)), "{scope:?}: no clock explains that");
            assert!(hear(&broad, &mark(scope.clone(), 1001)) && broad.covers(&knowing(1000, 1000)));
            assert!(!hear(&broad, &mark(scope, 900)) && broad.covers(&knowing(1000, 1000)), "the later one stays");
            broad.forget(at(4999));
            assert!(broad.covers(&login(1000)));
            broad.forget(at(5000));
            assert!(!broad.covers(&login(1000)));
        }
    }

    #[test]
    fn a_revocation_is_later_than_those_that_were_known() {
        let life = Duration::from_secs(3600);
        for first in scopes() {
            for second in scopes() {
                // Made where the clock is ahead, and known where it is not.
                let broad = Broad::new();
                hear(&broad, &mark(first.clone(), 1040));
                let between = knowing(1045, broad.newest_about(&login(0)).as_secs());
                assert!(!broad.covers(&between));
                let made = broad.begin(second.clone(), life, at(1010));
                assert!(broad.covers(&between), "{first:?}, then {second:?}");
                assert_eq!(made.until, made.before.plus(SKEW).plus(life));
            }
        }
        let broad = Broad::new();
        hear(&broad, &mark(Scope::Agent("s-2".into()), 1040));
        assert_eq!(broad.begin(Scope::Agent("s-1".into()), life, at(1010)).before, at(1010), "nothing to do with it");
    }

    #[test]
    fn nobody_elses_sessions_end() {
        let broad = Broad::new();
        hear(&broad, &mark(Scope::Agent("s-2".into()), 1000));
        hear(&broad, &mark(Scope::IdentityProvider("s-1".into()), 1000));
        hear(&broad, &mark(Scope::AgentOfProvider { provider: "p-2".into(), sub: "s-1".into() }, 1000));
        assert!(!broad.covers(&login(1000)));
    }

    /// Gateways that look again and again, and write what the store lacks: each for itself, or all at the same moment. How
    /// often, until nobody has anything to write.
    fn come_to_rest(gateways: &[&Broad], store: &mut Vec<Mark>, at_once: bool, now: Timestamp) -> usize {
        for round in 0..10 {
            let before = store.len();
            let shown = store.clone();
            for gateway in gateways {
                gateway.learn(if at_once { &shown } else { store }, now);
                store.extend(gateway.missing(if at_once { &shown } else { store }));
            }
            if store.len() == before {
                return round;
            }
        }
        panic!("they never come to rest: {store:?}")
    }

    #[test]
    fn of_two_made_at_once_neither_misses_a_session_between_them() {
        let (life, now) = (Duration::from_secs(3600), at(1050));
        // The clock of the one is ahead, or they agree; neither has heard of the other.
        for (first_at, second_at, at_once) in
            [(1040, 1011, false), (1040, 1011, true), (1040, 1040, false), (1040, 1040, true)]
        {
            for (first, second) in scopes().iter().flat_map(|first| scopes().map(|second| (first.clone(), second))) {
                let case = format!("{first:?} at {first_at} and {second:?} at {second_at}");
                let (one, other) = (Broad::new(), Broad::new());
                let mut store = vec![one.begin(first, life, at(first_at))];
                let at_one = knowing(1041, one.newest_about(&login(0)).as_secs());
                store.push(other.begin(second, life, at(second_at)));
                let at_other = knowing(1041, other.newest_about(&login(0)).as_secs());
                assert!(come_to_rest(&[&one, &other], &mut store, at_once, now) <= 3, "{case}");
                let late = Broad::new();
                late.learn(&store, now);
                for broad in [&one, &other, &late] {
                    assert!(broad.covers(&at_one), "{case}");
                    assert!(broad.covers(&at_other), "{case}");
                    let after = knowing(1042, other.newest_about(&login(0)).as_secs());
                    assert!(!broad.covers(&after), "{case}, and a login after both");
                }
            }
        }
    }

    #[test]
    fn what_is_merely_read_late_is_made_no_later() {
        let broad = Broad::new();
        broad.begin(Scope::Agent("s-1".into()), Duration::from_secs(3600), at(1040));
        let everybody = mark(Scope::All, 1000);
        assert!(broad.learn(std::slice::from_ref(&everybody), at(1000).plus(JUST_MADE).plus(SECOND)));
        assert_eq!(broad.missing(&[everybody]).len(), 1, "its own, and no other");
    }
}
