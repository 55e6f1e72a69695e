//! How far the provider's clock is from ours, as its `Date` headers (RFC 9110 section 6.6.1) tell: beyond the skew that
//! tokens are allowed, logins fail, and an operator should read why.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::claim_set::SKEW;
use crate::clock::Clock;

/// The last measure, and whether a wrong clock was already reported.
#[derive(Debug)]
pub(super) struct ClockOffset {
    clock: Clock,
    last: Mutex<Measure>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    seconds: Option<i64>,
    reported: bool,
}

impl ClockOffset {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// The provider's clock minus ours, in seconds; none before its first answer.
    pub(super) fn seconds(&self) -> Option<i64> {
        self.lock().seconds
    }

    /// Takes the date of an answer received this moment. The first of a series that is too far off is logged.
    pub(super) fn measure(&self, date: Option<SystemTime>) {
        let Some(provider) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else { return };
        let ours = i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX);
        let offset = i64::try_from(provider.as_secs()).unwrap_or(i64::MAX).saturating_sub(ours);
        let wrong = offset.unsigned_abs() > SKEW.as_secs();
        let mut last = self.lock();
        if wrong && !last.reported {
            tracing::warn!(
                offset_seconds = offset,
                "the provider's clock and ours are too far apart: logins will fail"
            );
        }
        *last = Measure { seconds: Some(offset), reported: wrong };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Measure> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn the_offset_is_the_providers_clock_minus_ours() {
        let offset = ClockOffset::new(Clock::manual(Timestamp::from_secs(1000)));
        offset.measure(None);
        assert_eq!(offset.seconds(), None);
        offset.measure(Some(UNIX_EPOCH + Duration::from_secs(900)));
        assert_eq!(offset.seconds(), Some(-100));
        assert!(offset.lock().reported);
        offset.measure(Some(UNIX_EPOCH + Duration::from_secs(1060)));
        assert_eq!(offset.seconds(), Some(60));
        assert!(!offset.lock().reported);
    }
}
