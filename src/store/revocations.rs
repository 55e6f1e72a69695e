//! Which sessions have ended, known here without asking: what this gateway ended itself, and what it read of the
//! journal, a moment ago at most.
//!
//! One task reads the journal and another writes it; both go on for ever and mend themselves. After a failure, and
//! where the journal lost lines, the reader starts from the beginning and has written again whatever is not there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::broad::{Broad, Scope, Subject};
use super::moment::Moment;
use super::records::{RecordError, Records};
use super::{Cursor, Entry, Journal, Name, StoreError};
use crate::clock::{Clock, Timestamp};

/// How long a logout waits for the journal: the session has ended here already.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Between two tries of a store that does not answer: first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Entries written at once.
const BATCH: usize = 1000;

/// How often what has expired is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// A store that was read this long ago answers: longer than a failover, as a rule.
const REACHABLE: Duration = Duration::from_secs(5);

/// How often it is looked, before a stop, whether the store has everything.
const SETTLING: Duration = Duration::from_millis(20);

/// Names that a slow listener may be behind.
const TOLD: usize = 1024;

/// What becomes of sessions while the journal cannot be read (`[store] on_store_failure`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFailure {
    /// Nobody gets in whose session may have ended elsewhere.
    #[default]
    Refuse,
    /// Sessions go on; one that ended elsewhere does too.
    Serve,
}

/// How old knowledge may be, and what then (`[store]`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How long ago the journal may have been read last.
    pub staleness: Duration,
    /// What becomes of sessions after that.
    pub on_failure: OnFailure,
}

/// What monitoring is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Ended sessions known.
    pub known: usize,
    /// Ended sessions that the journal does not hold yet.
    pub unwritten: usize,
    /// How long ago the journal was read last, or since when it takes nothing; since the start, where it was never read.
    pub age: Duration,
    /// How often the journal was replaced, since nobody could write to it or read it any more.
    pub replaced: u64,
    /// Why it cannot be read, where it cannot.
    pub error: Option<String>,
}

/// The ended sessions that this gateway knows.
pub struct Revocations {
    clock: Clock,
    known: RwLock<HashMap<Name, Timestamp>>,
    queue: mpsc::UnboundedSender<Queued>,
    /// Until the writer takes it.
    queued: Mutex<Option<mpsc::UnboundedReceiver<Queued>>>,
    unwritten: AtomicUsize,
    read: Moment,
    /// Where the first reader left off: who follows goes on there.
    caught_up: Mutex<Option<Cursor>>,
    /// Since when the journal takes nothing: what others end may not be in it either.
    refused: Moment,
    replaced: AtomicU64,
    error: Mutex<Option<StoreError>>,
    told: broadcast::Sender<Told>,
    broad: Broad,
}

/// What turned out to have ended elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// The sessions of many.
    Many,
    /// One session.
    One(Name),
}

struct Queued {
    entry: Entry,
    written: Option<oneshot::Sender<()>>,
}

/// The promise that an ended session will be in the journal.
#[must_use = "a logout waits for it"]
#[derive(Debug)]
pub struct Durable(oneshot::Receiver<()>);

impl Durable {
    /// Waits until it is kept, for a second at most; whether it was.
    pub async fn kept(self) -> bool {
        matches!(timeout(WRITTEN_WITHIN, self.0).await, Ok(Ok(())))
    }
}

impl Revocations {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        Self {
            clock,
            known: RwLock::default(),
            queue,
            queued: Mutex::new(Some(queued)),
            unwritten: AtomicUsize::new(0),
            read: Moment::never(),
            caught_up: Mutex::default(),
            refused: Moment::never(),
            replaced: AtomicU64::new(0),
            error: Mutex::default(),
            told: broadcast::Sender::new(TOLD),
            broad: Broad::new(),
        }
    }

    /// Whether the session called `name` has ended, as far as is known here.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// Whether the session called `name` has ended, by itself, at its provider or with many others, as far as is known here.
    #[must_use]
    pub fn end(&self, name: &Name, subject: &Subject<'_>) -> bool {
        self.has(name) || subject.at_provider.is_some_and(|name| self.has(&name)) || self.covers(subject)
    }

    /// Whether a revocation of many sessions ends this one, as far as is known here.
    #[must_use]
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        self.broad.covers(subject)
    }

    /// The latest revocation of many known here that is about such a session as this: what a session that begins names,
    /// so that it is not taken for an older one ([`Subject::knew`]).
    #[must_use]
    pub fn newest_about(&self, subject: &Subject<'_>) -> Timestamp {
        self.broad.newest_about(subject)
    }

    /// Ends the sessions of `scope` that began until now, here at once and at every other gateway when this returns or
    /// soon after. None of them can live longer than `life`.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where the store does not have it yet: it is written as soon as the store answers.
    pub async fn revoke_many(&self, scope: Scope, life: Duration, records: &Records) -> Result<(), RecordError> {
        let mark = self.broad.begin(scope, life, records.clock().now());
        // Before the store is asked: whoever waits for it may go away. Nobody may be listening.
        let _ = self.told.send(Told::Many);
        self.broad.write(&mark, records).await
    }

    /// Waits until the store has all that ended here, for `limit` at most, while [`Self::write`] and
    /// [`Self::follow_many`] go on. How many ends it lacks even then.
    pub async fn settle(&self, limit: Duration) -> usize {
        let settled = async {
            while self.lacking() > 0 {
                sleep(SETTLING).await;
            }
        };
        // Either way it is counted again.
        let _ = timeout(limit, settled).await;
        self.lacking()
    }

    /// Reads which sessions of many were revoked.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where the store cannot be read.
    pub async fn catch_up_with_many(&self, records: &Records) -> Result<(), RecordError> {
        self.broad.look(records).await.map(drop)
    }

    /// Reads the revocations of many sessions for ever, and writes again what `records` lost.
    pub async fn follow_many(&self, records: &Records) {
        self.broad.follow(records, || drop(self.told.send(Told::Many))).await;
    }

    /// Ends a session here and now, and at every other gateway once the promise is kept.
    pub fn revoke(&self, entry: Entry) -> Durable {
        self.know(&[entry], |_| {});
        let (written, durable) = oneshot::channel();
        self.enqueue(entry, Some(written));
        Durable(durable)
    }

    /// Tells of each session that turns out to have ended elsewhere.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// Whether what is known is recent enough to let sessions in. Who has read nothing yet knows nothing.
    #[must_use]
    pub fn is_trusted(&self, policy: Policy) -> bool {
        policy.on_failure == OnFailure::Serve || self.age().is_some_and(|age| age <= policy.staleness)
    }

    /// Whether the store answers, as far as can be told without asking it.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.age().is_some_and(|age| age <= REACHABLE)
    }

    /// What monitoring is told.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            known: self.known.read().unwrap_or_else(PoisonError::into_inner).len(),
            unwritten: self.unwritten.load(Ordering::Relaxed),
            age: self.age().unwrap_or_else(|| self.read.since_start()),
            replaced: self.replaced.load(Ordering::Relaxed),
            error: self.lock_error().as_ref().map(ToString::to_string),
        }
    }

    /// Reads everything that the journal holds now, before anything ends here.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn catch_up(&self, journal: &dyn Journal) -> Result<(), StoreError> {
        let after = self.read_all(journal, |_| {}).await?;
        *self.caught_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(after);
        Ok(())
    }

    /// Reads `journal` for ever, from where [`Self::catch_up`] left off.
    pub async fn follow(&self, journal: &dyn Journal) {
        let mut pause = PAUSE.0;
        loop {
            let started = Instant::now();
            let Err(error) = self.read_on(journal).await;
            self.mend(journal, &error).await;
            self.failed(error);
            pause = if started.elapsed() > PAUSE.1 { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            sleep(pause).await;
        }
    }

    /// Writes what ends here to `journal`, for ever. Only the first call has anything to write.
    pub async fn write(&self, journal: &dyn Journal) {
        let queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queued) = queued else { return };
        let mut batch = Vec::new();
        while queued.recv_many(&mut batch, BATCH).await > 0 {
            let entries: Vec<Entry> = batch.iter().map(|queued| queued.entry).collect();
            self.append(journal, &entries).await;
            self.unwritten.fetch_sub(entries.len(), Ordering::Relaxed);
            for written in batch.drain(..).filter_map(|queued| queued.written) {
                // Whoever waited may have gone on without it.
                let _ = written.send(());
            }
        }
    }

    async fn read_on(&self, journal: &dyn Journal) -> Result<std::convert::Infallible, StoreError> {
        let caught_up = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut after = match caught_up {
            Some(after) => after,
            None => self.compare(journal).await?,
        };
        let mut forgotten = Instant::now();
        loop {
            let page = journal.read(&after).await?;
            self.learn(&page.entries);
            if page.lost {
                tracing::warn!(reason = "store_lost", "the store lost ended sessions: they are written again");
            }
            // Of an empty journal nobody can tell whether it is still the same: what was written meanwhile may be gone.
            if page.lost || (after == Cursor::default() && after != page.next) {
                after = self.compare(journal).await?;
                continue;
            }
            self.succeeded();
            after = page.next;
            if forgotten.elapsed() > FORGET_EVERY {
                self.forget();
                forgotten = Instant::now();
            }
        }
    }

    /// Reads everything, and has written again what is known and not there. Where that ended.
    async fn compare(&self, journal: &dyn Journal) -> Result<Cursor, StoreError> {
        let mut seen = HashSet::new();
        let after = self.read_all(journal, |entries| seen.extend(entries.iter().map(|entry| entry.name))).await?;
        self.write_again(&seen);
        Ok(after)
    }

    /// Reads from the start until nothing follows, and shows each page to `see`; where that was.
    async fn read_all(&self, journal: &dyn Journal, mut see: impl FnMut(&[Entry])) -> Result<Cursor, StoreError> {
        let mut after = Cursor::default();
        loop {
            let page = journal.read(&after).await?;
            self.learn(&page.entries);
            see(&page.entries);
            // A page of lines that are none of ours is not the last one.
            if page.next == after {
                self.succeeded();
                return Ok(after);
            }
            after = page.next;
        }
    }

    fn learn(&self, entries: &[Entry]) {
        self.know(entries, |name| {
            // Nobody may be listening.
            let _ = self.told.send(Told::One(name));
        });
    }

    fn know(&self, entries: &[Entry], news: impl Fn(Name)) {
        let now = self.clock.now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter().filter(|entry| entry.expires > now) {
            if known.insert(entry.name, entry.expires).is_none() {
                news(entry.name);
            }
        }
    }

    fn forget(&self) {
        let now = self.clock.now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, expires| *expires > now);
        known.shrink_to_fit();
    }

    fn write_again(&self, seen: &HashSet<Name>) {
        let now = self.clock.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let lost = known.iter().filter(|(name, expires)| **expires > now && !seen.contains(name));
        let lost: Vec<Entry> = lost.map(|(name, expires)| Entry { name: *name, expires: *expires }).collect();
        drop(known);
        for entry in lost {
            self.enqueue(entry, None);
        }
    }

    fn enqueue(&self, entry: Entry, written: Option<oneshot::Sender<()>>) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        // The receiver lives as long as this does, or as the writer, which never ends.
        let _ = self.queue.send(Queued { entry, written });
    }

    fn succeeded(&self) {
        // An answer that was held back told until now.
        self.read.note(Instant::now());
        if self.lock_error().take().is_some() {
            tracing::info!(reason = "store_back", "the store answers again");
        }
    }

    fn failed(&self, error: StoreError) {
        let mut known = self.lock_error();
        if known.is_none() {
            tracing::error!(reason = "store_down", %error, "sessions that end elsewhere are not known here");
        }
        *known = Some(error);
    }

    fn age(&self) -> Option<Duration> {
        Some(self.read.age()?.max(self.broad.age()?).max(self.refused.age().unwrap_or_default()))
    }

    fn lacking(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed) + self.broad.unwritten()
    }

    fn lock_error(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends until that succeeds.
    async fn append(&self, journal: &dyn Journal, entries: &[Entry]) {
        let (began, mut pause) = (Instant::now(), PAUSE.0);
        while let Err(error) = journal.append(entries).await {
            self.refused.note(began);
            tracing::warn!(reason = "store_unwritten", %error, "ended sessions are written again in a moment");
            self.mend(journal, &error).await;
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        self.refused.forget();
    }

    /// Replaces a journal that nobody will ever write to or read again. Its readers have written again what they know.
    async fn mend(&self, journal: &dyn Journal, error: &StoreError) {
        if error.is_spoilt() && journal.replace().await.is_ok() {
            self.replaced.fetch_add(1, Ordering::Relaxed);
            tracing::error!(reason = "store_replaced", %error, "somebody spoilt the list of ended sessions: it begins anew");
        }
    }
}
