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

use super::Settings;
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
    /// The forms that are being read: whose, and how much room they have.
    reserved: HashMap<u64, (String, usize)>,
    kept: HashMap<Key, Noted>,
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
    pub(super) sub: String,
    pub(super) size: usize,
    pub(super) until: Timestamp,
    pub(super) sent_at: Option<Timestamp>,
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

    /// Room for a form, and the keys of those that must go for it; none where there is none.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        sub: &str,
        size: usize,
        settings: &Settings,
    ) -> Option<(Reservation, Vec<Key>)> {
        self.catch_up().await;
        let mut books = self.books();
        books.forget_expired(self.records.clock().now());
        let mut forgotten = Vec::new();
        while books.number_of(sub) >= PER_AGENT || books.total().saturating_add(size) > settings.max_total {
            forgotten.push(books.forget_oldest_sent(sub)?);
        }
        let number = books.reserve(sub, size);
        drop(books);
        Some((Reservation { ledger: Arc::clone(self), number, size }, forgotten))
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

    fn number_of(&self, sub: &str) -> usize {
        self.forms().filter(|(other, _)| *other == sub).count()
    }

    fn total(&self) -> usize {
        self.forms().fold(0, |total, (_, size)| total.saturating_add(size))
    }

    fn forms(&self) -> impl Iterator<Item = (&str, usize)> {
        let kept = self.kept.values().map(|noted| (noted.entry.sub.as_str(), noted.entry.size));
        kept.chain(self.reserved.values().map(|(sub, size)| (sub.as_str(), *size)))
    }

    fn reserve(&mut self, sub: &str, size: usize) -> u64 {
        self.next += 1;
        self.reserved.insert(self.next, (sub.to_owned(), size));
        self.next
    }

    /// What an agent has sent makes room for what they have not.
    fn forget_oldest_sent(&mut self, sub: &str) -> Option<Key> {
        let own = self.kept.iter().filter(|(_, noted)| noted.entry.sub == sub);
        let sent = own.filter_map(|(key, noted)| Some((noted.entry.sent_at?, *key)));
        let (_, oldest) = sent.min_by_key(|(sent_at, _)| *sent_at)?;
        self.kept.remove(&oldest);
        Some(oldest)
    }
}

impl Reservation {
    /// How many bytes there is room for.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Room for `size` bytes, and the keys of the forms that must go for it; none where there is none.
    pub(super) fn grow(&mut self, size: usize, settings: &Settings) -> Option<Vec<Key>> {
        let mut books = self.ledger.books();
        let (sub, _) = books.reserved.get(&self.number)?.clone();
        let mut forgotten = Vec::new();
        while books.total().saturating_sub(self.size).saturating_add(size) > settings.max_total {
            forgotten.push(books.forget_oldest_sent(&sub)?);
        }
        books.reserved.insert(self.number, (sub, size));
        self.size = size;
        Some(forgotten)
    }

    /// Notes the form that the room was for, which takes it.
    pub(super) async fn settle(self, key: Key, entry: Entry) -> Result<(), RecordError> {
        self.ledger.records.put(Table::StashEntry, &key, &entry, entry.until).await?;
        let mut books = self.ledger.books();
        books.reserved.remove(&self.number);
        books.note(key, entry);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.books().reserved.remove(&self.number);
    }
}
