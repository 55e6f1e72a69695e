//! How much is kept: for each agent, and in all. Room is reserved before a form is read, so that many forms that arrive
//! at once stay within it too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Key, Settings};
use crate::clock::Timestamp;

/// Forms kept for one agent.
const PER_AGENT: usize = 5;

/// What is kept, and what is about to be.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    next: u64,
    /// By the number of their reservations: the oldest first.
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    sub: String,
    size: usize,
    /// None while it is read.
    kept: Option<(Key, Timestamp)>,
    sent: bool,
}

/// Room for one form, given back when this is dropped.
#[derive(Debug)]
#[must_use = "the room is given back when this is dropped"]
pub struct Reservation {
    ledger: Arc<Ledger>,
    number: u64,
}

impl Ledger {
    /// Room for a form, and the keys of those that must go for it; none where there is none.
    pub(super) fn reserve(
        self: &Arc<Self>,
        sub: &str,
        size: usize,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<(Reservation, Vec<Key>)> {
        let mut books = self.books();
        books.entries.retain(|_, entry| entry.kept.is_none_or(|(_, until)| now < until));
        let room = |books: &Books| {
            let own = books.entries.values().filter(|entry| entry.sub == sub).count();
            let total: usize = books.entries.values().map(|entry| entry.size).sum();
            own < PER_AGENT && total.saturating_add(size) <= settings.max_total
        };
        let mut forgotten = Vec::new();
        while !room(&books) {
            forgotten.push(books.forget_oldest_sent(sub)?);
        }
        let number = books.next;
        books.next += 1;
        books.entries.insert(number, Entry { sub: sub.to_owned(), size, kept: None, sent: false });
        Some((Reservation { ledger: Arc::clone(self), number }, forgotten))
    }

    /// Notes that a form was sent.
    pub(super) fn sent(&self, key: &Key) {
        if let Some(entry) = self.books().of(key) {
            entry.sent = true;
        }
    }

    /// Gives the room of a form back.
    pub(super) fn forget(&self, key: &Key) {
        self.books().entries.retain(|_, entry| !entry.is_under(key));
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn of(&mut self, key: &Key) -> Option<&mut Entry> {
        self.entries.values_mut().find(|entry| entry.is_under(key))
    }

    /// What an agent has sent makes room for what they have not.
    fn forget_oldest_sent(&mut self, sub: &str) -> Option<Key> {
        let sent = self.entries.iter().filter(|(_, entry)| entry.sub == sub && entry.sent);
        let oldest = sent.map(|(number, _)| *number).min()?;
        self.entries.remove(&oldest)?.kept.map(|(key, _)| key)
    }
}

impl Entry {
    fn is_under(&self, key: &Key) -> bool {
        self.kept.is_some_and(|(kept, _)| kept == *key)
    }
}

impl Reservation {
    /// The form lies under `key` until `until`, and is of this size.
    pub(super) fn settle(self, key: Key, size: usize, until: Timestamp) {
        if let Some(entry) = self.ledger.books().entries.get_mut(&self.number) {
            (entry.size, entry.kept) = (size, Some((key, until)));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        if books.entries.get(&self.number).is_some_and(|entry| entry.kept.is_none()) {
            books.entries.remove(&self.number);
        }
    }
}
