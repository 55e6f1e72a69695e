//! Where kept forms lie: sealed records under keys that say nothing, each with its end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clock::Timestamp;

/// What a record lies under: a hash.
pub type Key = [u8; 32];

/// The records cannot be reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the forms that are kept cannot be reached")]
pub struct Unavailable;

/// Keeps sealed records until they end.
#[async_trait]
pub trait Shelf: Send + Sync {
    /// Keeps `record` under `key` until `until`, in place of what lies there.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    async fn keep(&self, key: Key, record: Vec<u8>, until: Timestamp, now: Timestamp) -> Result<(), Unavailable>;

    /// What lies under `key`.
    ///
    /// # Errors
    ///
    /// Nobody can tell.
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Unavailable>;

    /// Forgets what lies under `key`.
    async fn remove(&self, key: &Key);
}

/// Keeps records for as long as the process lives.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<HashMap<Key, (Timestamp, Vec<u8>)>>);

impl InMemory {
    fn records(&self) -> MutexGuard<'_, HashMap<Key, (Timestamp, Vec<u8>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Shelf for InMemory {
    async fn keep(&self, key: Key, record: Vec<u8>, until: Timestamp, now: Timestamp) -> Result<(), Unavailable> {
        let mut records = self.records();
        records.retain(|_, (until, _)| now < *until);
        records.insert(key, (until, record));
        Ok(())
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.records().get(key).map(|(_, record)| record.clone()))
    }

    async fn remove(&self, key: &Key) {
        self.records().remove(key);
    }
}
