//! What is good once, at whichever gateway of the group it turns up: the provider's answer to a login, and a hand-off.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::records::{Key, RecordError, Records, Table};

/// How far the clocks of two gateways may be apart.
const MARGIN: Duration = Duration::from_secs(300);

/// What has been redeemed.
#[derive(Clone)]
pub struct Redeemed(Records);

impl Redeemed {
    /// Kept among `records`.
    #[must_use]
    pub const fn new(records: Records) -> Self {
        Self(records)
    }

    /// Whether nobody asked for `unique`, which nobody can guess, before. That is remembered until `until`: it is good no
    /// longer than that.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where nobody can tell: it is not good then.
    pub async fn first_time(&self, unique: &str, until: Timestamp) -> Result<bool, RecordError> {
        let key = Key::of("redeemed", unique.as_bytes());
        self.0.put_new(Table::OneTimeUse, &key, &(), until.plus(MARGIN)).await
    }

    /// Takes `unique` for new again, since what it was asked for failed.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where it may still be taken for used.
    pub async fn release(&self, unique: &str) -> Result<(), RecordError> {
        self.0.remove(Table::OneTimeUse, &Key::of("redeemed", unique.as_bytes())).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::crypto::key_ring::{KeyRing, KeyRings};
    use crate::store::embedded::Embedded;

    #[tokio::test]
    async fn a_state_is_redeemed_once() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
        let store = Embedded::open(folder.path(), &clock).unwrap();
        let redeemed = Redeemed::new(Records::new(Arc::new(store), keys, clock.clone()));
        let until = clock.now().plus(Duration::from_secs(3600));
        for (state, first) in [("a", true), ("a", false), ("b", true)] {
            assert_eq!(redeemed.first_time(state, until).await.unwrap(), first);
        }
        redeemed.release("a").await.unwrap();
        assert!(redeemed.first_time("a", until).await.unwrap() && !redeemed.first_time("b", until).await.unwrap());
    }
}
