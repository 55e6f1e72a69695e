//! What the provider remembers between requests: bounded, and forgotten in time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::crypto::random_token;

/// Values under random keys, each for the same lifetime.
#[derive(Debug)]
pub(super) struct Memory<V> {
    lifetime: Duration,
    entries: Mutex<HashMap<String, (Timestamp, V)>>,
}

impl<V: Clone> Memory<V> {
    /// Remembers each value for `lifetime`.
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, entries: Mutex::default() }
    }

    /// Remembers `value` and says under which key: 32 random bytes in base64url.
    pub(super) fn add(&self, value: V, now: Timestamp) -> String {
        let key = random_token::<32>();
        let mut entries = self.lock();
        entries.retain(|_, (since, _)| now.since(*since) < self.lifetime);
        if entries.len() >= CAPACITY {
            let oldest = entries.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone());
            oldest.and_then(|key| entries.remove(&key));
        }
        entries.insert(key.clone(), (now, value));
        key
    }

    /// The value under `key`.
    pub(super) fn find(&self, key: &str, now: Timestamp) -> Option<V> {
        self.lock().get(key).filter(|(since, _)| now.since(*since) < self.lifetime).map(|(_, value)| value.clone())
    }

    /// The value under `key`, for the last time.
    pub(super) fn take(&self, key: &str, now: Timestamp) -> Option<V> {
        self.lock().remove(key).filter(|(since, _)| now.since(*since) < self.lifetime).map(|(_, value)| value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values of one kind at a time; beyond it the oldest goes.
const CAPACITY: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::from_secs(1_000);

    #[test]
    fn a_value_is_taken_once_and_within_its_lifetime() {
        let memory = Memory::new(MINUTE);
        let (first, second) = (memory.add(1, START), memory.add(2, START));
        let last = START.plus(Duration::from_secs(59));
        assert_eq!(
            (memory.find(&first, last), memory.take(&first, last), memory.take(&first, last)),
            (Some(1), Some(1), None)
        );
        assert_eq!(memory.take(&second, START.plus(MINUTE)), None);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let memory = Memory::new(MINUTE);
        let oldest = memory.add(0, START);
        let later = START.plus(Duration::from_secs(1));
        for value in 1..=CAPACITY {
            memory.add(value, later);
        }
        assert_eq!(memory.find(&oldest, later), None);
        assert_eq!(memory.lock().len(), CAPACITY);
    }
}
