//! How old knowledge is: when the store was read last, if ever. Requests look at it, and wait for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NEVER: u64 = u64::MAX;

pub(super) struct LastRead {
    started: Instant,
    /// In milliseconds since the start.
    at: AtomicU64,
}

impl LastRead {
    pub(super) fn never() -> Self {
        Self { started: Instant::now(), at: AtomicU64::new(NEVER) }
    }

    /// Notes that what was true at `asked` is known.
    pub(super) fn note(&self, asked: Instant) {
        let at = asked.saturating_duration_since(self.started).as_millis();
        self.at.store(u64::try_from(at).unwrap_or(0), Ordering::Release);
    }

    /// How long ago that was; none where nothing was ever read.
    pub(super) fn age(&self) -> Option<Duration> {
        match self.at.load(Ordering::Acquire) {
            NEVER => None,
            at => Some(self.started.elapsed().saturating_sub(Duration::from_millis(at))),
        }
    }

    /// How long something has been waited for, where nothing was ever read.
    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_read_has_no_age() {
        let read = LastRead::never();
        assert_eq!(read.age(), None);
        read.note(Instant::now());
        assert!(read.age().is_some_and(|age| age < Duration::from_secs(60)));
    }
}
