//! Records that expire: what may be used once, what waits for its agent, who is logged in, what ends many sessions.
//!
//! Who reads the store learns nothing: keys are hashes, and records are sealed by the gateways' own keys, bound to
//! their table and key. Who writes to it changes nothing: a record that was moved or invented does not open.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::clock::{Clock, Timestamp};
use crate::crypto::aead::{OpenError, Purpose};
use crate::crypto::key_ring::KeyRings;
use crate::crypto::{base64url, sha256};

pub mod backend;
pub(super) mod embedded;
pub(super) mod link;
mod redis;

pub use backend::{Backend, Cursor, Table};

use super::StoreError;

const PURPOSE: Purpose = Purpose::new("store");

/// The longest that a caller waits.
pub const LIMIT: Duration = Duration::from_secs(1);

/// Records that do not open whose names are remembered.
const LEFT_OUT: usize = 1000;

/// What a record is found by: the hash of 128 random bits or more, for one purpose. What can be guessed is no
/// identifier: its hash would be found by trying.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of `id` for `purpose`.
    #[must_use]
    pub fn new(purpose: &str, id: &[u8; 16]) -> Self {
        Self::of(purpose, id)
    }

    /// The key of a longer random identifier.
    #[must_use]
    pub fn of(purpose: &str, id: &[u8]) -> Self {
        let length = (purpose.len() as u64).to_be_bytes();
        Self(sha256(&[b"portillon store key", &length[..], purpose.as_bytes(), id].concat()))
    }
}

/// Why the store gives no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be asked now.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
    /// What it gave was not put there by a gateway of this group, or in another place.
    #[error("a record of the store does not open: {0}")]
    Seal(#[from] OpenError),
}

/// Records found in a table.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The records of this page that open.
    pub records: Vec<(Key, T)>,
    /// Where to go on; none where this was the last page.
    pub next: Option<Cursor>,
}

/// The records of a group of gateways, typed and sealed.
#[derive(Clone)]
pub struct Records {
    backend: Arc<dyn Backend>,
    keys: Arc<KeyRings>,
    clock: Clock,
    left_out: LeftOut,
}

impl Records {
    /// Records that are kept in `backend`, sealed with the newest of `keys`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, keys: Arc<KeyRings>, clock: Clock) -> Self {
        Self { backend, keys, clock, left_out: LeftOut::default() }
    }

    /// Keeps `value` until `expires`, in the place of what was there.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unavailable`]
    pub async fn put<T: Serialize + Sync>(
        &self,
        table: Table,
        key: &Key,
        value: &T,
        expires: Timestamp,
    ) -> Result<(), RecordError> {
        let sealed = self.sealed(table, key, value, expires);
        Ok(bounded(self.backend.put(table, &key.0, &sealed, expires)).await?)
    }

    /// Keeps `value` until `expires` where nothing is kept, and says whether it does: of two, the first wins.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unavailable`]; it may be kept all the same, so that whoever asks again comes second.
    pub async fn put_new<T: Serialize + Sync>(
        &self,
        table: Table,
        key: &Key,
        value: &T,
        expires: Timestamp,
    ) -> Result<bool, RecordError> {
        let sealed = self.sealed(table, key, value, expires);
        Ok(bounded(self.backend.put_new(table, &key.0, &sealed, expires)).await?)
    }

    /// What is kept.
    ///
    /// # Errors
    ///
    /// [`RecordError`]
    pub async fn get<T: DeserializeOwned>(&self, table: Table, key: &Key) -> Result<Option<T>, RecordError> {
        let kept = bounded(self.backend.get(table, &key.0)).await?;
        kept.map_or(Ok(None), |sealed| self.opened(table, key, &sealed))
    }

    /// What was kept until now: of two, one gets it.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; the record may be gone all the same.
    pub async fn take<T: DeserializeOwned>(&self, table: Table, key: &Key) -> Result<Option<T>, RecordError> {
        let kept = bounded(self.backend.take(table, &key.0)).await?;
        kept.map_or(Ok(None), |sealed| self.opened(table, key, &sealed))
    }

    /// Forgets what is kept.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unavailable`]
    pub async fn remove(&self, table: Table, key: &Key) -> Result<(), RecordError> {
        Ok(bounded(self.backend.remove(table, &key.0)).await?)
    }

    /// About `limit` records of a table that [is listed](Table::is_listed), from `after` on. What does not open is left out, which is said in the log once.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unavailable`]
    pub async fn scan<T: DeserializeOwned>(
        &self,
        table: Table,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Found<T>, RecordError> {
        let page = bounded(self.backend.scan(table, after, limit)).await?;
        let opened = page.records.into_iter().filter_map(|record| {
            let key = Key(record.key);
            let opened = self.opened(table, &key, &record.value);
            let opened = opened.inspect_err(|error| {
                if self.left_out.is_news(table, key) {
                    tracing::warn!(table = table.name(), %error, "a record was left out");
                }
            });
            Some((key, opened.ok()??))
        });
        Ok(Found { records: opened.collect(), next: page.next })
    }

    /// Forgets what has expired.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unavailable`]
    pub async fn purge(&self) -> Result<(), RecordError> {
        Ok(self.backend.purge().await?)
    }

    /// The time by which they expire.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    fn sealed<T: Serialize>(&self, table: Table, key: &Key, value: &T, expires: Timestamp) -> Vec<u8> {
        let bytes = postcard::to_stdvec(&(expires, value)).expect("records are made of what postcard writes");
        self.keys.load().seal(PURPOSE, &context(table, key), &bytes, self.clock.now())
    }

    /// Its own expiry counts: what the store does with it is not sealed.
    fn opened<T: DeserializeOwned>(&self, table: Table, key: &Key, sealed: &[u8]) -> Result<Option<T>, RecordError> {
        let bytes = self.keys.load().open(PURPOSE, &context(table, key), sealed)?;
        let (expires, value): (Timestamp, T) = postcard::from_bytes(&bytes).map_err(|_| OpenError::Malformed)?;
        Ok((expires > self.clock.now()).then_some(value))
    }
}

/// The records that were said not to open: who looks twice a second does not say so twice.
#[derive(Clone, Default)]
struct LeftOut(Arc<Mutex<HashSet<(Table, Key)>>>);

impl LeftOut {
    fn is_news(&self, table: Table, key: Key) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever may write to the store fills no memory.
        if known.len() >= LEFT_OUT {
            known.clear();
        }
        known.insert((table, key))
    }
}

fn context(table: Table, key: &Key) -> String {
    format!("{}:{}", table.name(), base64url(&key.0))
}

/// What the store does not do in time, it does not do.
async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(LIMIT, call).await.unwrap_or_else(|_| Err(StoreError::new("no answer in time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_record_does_not_open_is_said_once() {
        let (left_out, key) = (LeftOut::default(), |number: u16| Key::of("a purpose", &number.to_be_bytes()));
        let other_look = left_out.clone();
        assert!(left_out.is_news(Table::Revocation, key(0)) && !other_look.is_news(Table::Revocation, key(0)));
        assert!(left_out.is_news(Table::LiveSession, key(0)), "another one");
        (1..5000).for_each(|number| assert!(left_out.is_news(Table::Revocation, key(number))));
        assert!(left_out.0.lock().unwrap().len() <= LEFT_OUT);
    }
}
