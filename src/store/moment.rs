//! When something happened last, if ever: when the store was read, since when it takes nothing. Requests look at it, and
//! wait for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NEVER: u64 = u64::MAX;

pub(super) struct Moment {
    started: Instant,
    /// In milliseconds since the start.
    at: AtomicU64,
}

impl Moment {
    pub(super) fn never() -> Self {
        Self { started: Instant::now(), at: AtomicU64::new(NEVER) }
    }

    /// Notes that it happened at `when`.
    pub(super) fn note(&self, when: Instant) {
        let at = when.saturating_duration_since(self.started).as_millis();
        self.at.store(u64::try_from(at).unwrap_or(0), Ordering::Release);
    }

    /// Notes that it never happened.
    pub(super) fn forget(&self) {
        self.at.store(NEVER, Ordering::Release);
    }

    /// How long ago that was; none where it never happened.
    pub(super) fn age(&self) -> Option<Duration> {
        match self.at.load(Ordering::Acquire) {
            NEVER => None,
            at => Some(self.started.elapsed().saturating_sub(Duration::from_millis(at))),
        }
    }

    /// How long it has been waited for, where it never happened.
    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_has_no_age() {
        let read = Moment::never();
        assert_eq!(read.age(), None);
        read.note(Instant::now());
        assert!(read.age().is_some_and(|age| age < Duration::from_secs(60)));
        read.forget();
        assert_eq!(read.age(), None);
    }
}
