//! How much is kept: for each agent, and in all, by every gateway of the group. Room is reserved before a form is read,
//! and grows with what came of it: many forms that arrive at once stay within it too, and one that never arrives takes
//! none.
//!
//! Beside each form the store has a small entry, which says whose it is and how large. A gateway reads the entries when it
//! needs them and has not done so for some seconds: what another gateway keeps meanwhile is not counted yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Agent, Settings};
use crate::clock::Timestamp;
use crate::store::records::{Key, LIMIT, RecordError, Records, Table};

/// Forms kept for one agent.
const PER_AGENT: usize = 5;

/// How old knowledge of what other gateways keep may be.
const FRESH: Duration = Duration::from_secs(5);

/// Entries read at once.
const PAGE: usize = 500;

/// What is kept, and what is about to be.
pub(super) struct Ledger {
    records: Records,
    books: Mutex<Books>,
    /// When the entries were read last; one reads them at a time.
    read_at: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Books {
    next: u64,
    /// The forms that are being read.
    reserved: HashMap<u64, Reserved>,
    kept: HashMap<Key, Noted>,
}

/// The room of a form that is being read.
#[derive(Debug)]
struct Reserved {
    whose: Whose,
    size: usize,
    /// The forms that go for it once it is kept. They take no room meanwhile.
    replaces: Vec<Key>,
}

/// What is known of a form, and since when.
#[derive(Debug)]
struct Noted {
    entry: Entry,
    at: Instant,
}

/// The record beside a form.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    whose: Whose,
    pub(super) size: usize,
    pub(super) until: Timestamp,
    pub(super) sent_at: Option<Timestamp>,
}

/// An agent, see [`Agent`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Whose {
    provider: String,
    sub: String,
}

impl From<Agent<'_>> for Whose {
    fn from(Agent { provider, sub }: Agent<'_>) -> Self {
        Self { provider: provider.to_owned(), sub: sub.to_owned() }
    }
}

impl Entry {
    pub(super) fn new(agent: Agent<'_>, size: usize, until: Timestamp, sent_at: Option<Timestamp>) -> Self {
        Self { whose: agent.into(), size, until, sent_at }
    }
}

/// Room for one form, given back when this is dropped.
#[must_use = "the room is given back when this is dropped"]
pub struct Reservation {
    ledger: Arc<Ledger>,
    number: u64,
    size: usize,
}

impl Ledger {
    pub(super) fn new(records: Records) -> Self {
        Self { records, books: Mutex::default(), read_at: tokio::sync::Mutex::default() }
    }

    /// Room for a form; none where there is none.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        agent: Agent<'_>,
        size: usize,
        settings: &Settings,
    ) -> Option<Reservation> {
        self.catch_up().await;
        let mut books = self.books();
        books.forget_expired(self.records.clock().now());
        let number = books.reserve(agent.into(), size, settings.max_total)?;
        drop(books);
        Some(Reservation { ledger: Arc::clone(self), number, size })
    }

    /// Notes a form under `key`, for every gateway.
    pub(super) async fn note(&self, key: Key, entry: Entry) -> Result<(), RecordError> {
        self.records.put(Table::StashEntry, &key, &entry, entry.until).await?;
        self.books().note(key, entry);
        Ok(())
    }

    /// What is noted of a form.
    pub(super) async fn entry(&self, key: &Key) -> Result<Option<Entry>, RecordError> {
        self.records.get(Table::StashEntry, key).await
    }

    /// Gives the room of a form back. Where the store does not answer, it does so at the form's end.
    pub(super) async fn forget(&self, key: &Key) {
        self.books().kept.remove(key);
        if let Err(error) = self.records.remove(Table::StashEntry, key).await {
            tracing::debug!(%error, "a form that is gone still takes room");
        }
    }

    /// Reads what other gateways have noted. Where the store does not answer, what is known here counts.
    async fn catch_up(&self) {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let begun = Instant::now();
        if let Ok(Ok(entries)) = timeout(LIMIT, self.entries()).await {
            self.books().replace(entries, begun);
        }
        *read_at = Some(Instant::now());
    }

    async fn entries(&self) -> Result<Vec<(Key, Entry)>, RecordError> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let found = self.records.scan(Table::StashEntry, after.as_ref(), PAGE).await?;
            entries.extend(found.records);
            after = found.next;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// What was noted here after `begun` may be missing among the entries.
    fn replace(&mut self, entries: Vec<(Key, Entry)>, begun: Instant) {
        self.kept.retain(|_, noted| noted.at >= begun);
        for (key, entry) in entries {
            self.kept.entry(key).or_insert(Noted { entry, at: begun });
        }
    }

    fn note(&mut self, key: Key, entry: Entry) {
        self.kept.insert(key, Noted { entry, at: Instant::now() });
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.kept.retain(|_, noted| now < noted.entry.until);
    }

    fn number_of(&self, whose: &Whose) -> usize {
        self.forms().filter(|(other, _)| *other == whose).count()
    }

    fn total(&self) -> usize {
        self.forms().fold(0, |total, (_, size)| total.saturating_add(size))
    }

    fn forms(&self) -> impl Iterator<Item = (&Whose, usize)> {
        let kept = self.staying().map(|(_, entry)| (&entry.whose, entry.size));
        kept.chain(self.reserved.values().map(|reserved| (&reserved.whose, reserved.size)))
    }

    /// The forms that go for no other.
    fn staying(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        let goes = |key: &Key| self.reserved.values().any(|reserved| reserved.replaces.contains(key));
        self.kept.iter().filter(move |(key, _)| !goes(key)).map(|(key, noted)| (key, &noted.entry))
    }

    fn reserve(&mut self, whose: Whose, size: usize, most: usize) -> Option<u64> {
        self.next += 1;
        self.reserved.insert(self.next, Reserved { whose, size: 0, replaces: Vec::new() });
        let has_room = self.resize(self.next, size, most);
        if !has_room {
            self.reserved.remove(&self.next);
        }
        has_room.then_some(self.next)
    }

    /// Makes room for `size` bytes, among `most` in all: what its agent has sent goes for what they have not. Whether there
    /// is that much; where there is not, nothing goes.
    fn resize(&mut self, number: u64, size: usize, most: usize) -> bool {
        let Some(Reserved { whose, size: before, replaces }) = self.reserved.get(&number) else { return false };
        let (whose, before, known) = (whose.clone(), *before, replaces.len());
        while self.number_of(&whose) > PER_AGENT || self.total().saturating_sub(before).saturating_add(size) > most {
            let oldest = self.oldest_sent(&whose);
            let Some(reserved) = self.reserved.get_mut(&number) else { return false };
            let Some(oldest) = oldest else {
                reserved.replaces.truncate(known);
                return false;
            };
            reserved.replaces.push(oldest);
        }
        self.reserved.get_mut(&number).is_some_and(|reserved| {
            reserved.size = size;
            true
        })
    }

    fn oldest_sent(&self, whose: &Whose) -> Option<Key> {
        let own = self.staying().filter(|(_, entry)| entry.whose == *whose);
        let sent = own.filter_map(|(key, entry)| Some((entry.sent_at?, *key)));
        sent.min_by_key(|(sent_at, _)| *sent_at).map(|(_, key)| key)
    }
}

impl Reservation {
    /// How many bytes there is room for.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Room for `size` bytes; whether there is that much.
    pub(super) fn grow(&mut self, size: usize, settings: &Settings) -> bool {
        let has_room = self.ledger.books().resize(self.number, size, settings.max_total);
        if has_room {
            self.size = size;
        }
        has_room
    }

    /// Notes the form that the room was for, which takes it: the keys of those that go for it.
    pub(super) async fn settle(self, key: Key, entry: Entry) -> Result<Vec<Key>, RecordError> {
        self.ledger.records.put(Table::StashEntry, &key, &entry, entry.until).await?;
        let mut books = self.ledger.books();
        let replaced = books.reserved.remove(&self.number).map(|reserved| reserved.replaces).unwrap_or_default();
        books.note(key, entry);
        Ok(replaced)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.books().reserved.remove(&self.number);
    }
}
