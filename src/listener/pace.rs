//! How slowly a request's body may come: a client that drips it keeps a connection, here and at the application, for
//! ever without ever being silent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Limits;
use crate::gateway::context::Arrival;

/// Watches how fast a body comes. Only time in which we wait for the client counts, so that a slow application is not
/// the client's fault; and only after its first byte, since the application may have to say first that it wants one.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes a second.
    rate: usize,
    /// How long we may still wait; every byte that comes buys more.
    patience: Duration,
    has_begun: bool,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            rate: limits.min_body_rate,
            patience: limits.body_patience,
            has_begun: false,
            waiting_since: None,
            alarm: None,
        }
    }

    /// Notes that so many bytes came.
    pub(super) fn received(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited(since.elapsed());
        }
        self.has_begun |= bytes > 0;
        let bought = bytes.saturating_mul(1_000_000).checked_div(self.rate).unwrap_or(usize::MAX);
        self.patience = self.patience.saturating_add(Duration::from_micros(bought as u64));
    }

    /// Ready once we have waited for too long; we begin to wait now, if we were not waiting already.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_begun {
            return Poll::Pending;
        }
        if self.patience.is_zero() {
            return Poll::Ready(());
        }
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            self.set_alarm(now + self.patience.min(LONGEST));
        }
        self.alarm.as_mut().map_or(Poll::Pending, |alarm| alarm.as_mut().poll(cx))
    }

    fn waited(&mut self, time: Duration) {
        self.patience = self.patience.saturating_sub(time);
    }

    fn set_alarm(&mut self, at: Instant) {
        match &mut self.alarm {
            Some(alarm) => alarm.as_mut().reset(at),
            None => self.alarm = Some(Box::pin(sleep_until(at))),
        }
    }
}

/// Ready once a body has come too slowly for too long (see [`Limits::min_body_rate`]). Here, unlike in HTTP/1.1, time in
/// which the application does not read counts too: nobody tells who waits for whom.
pub(super) async fn too_slow(arrival: &Arrival, limits: &Limits) {
    let mut begun = None;
    loop {
        let left = match arrival.so_far() {
            None => return std::future::pending().await,
            Some(0) => limits.body_patience,
            Some(bytes) => {
                let since = *begun.get_or_insert_with(Instant::now);
                granted(limits, bytes).saturating_sub(since.elapsed())
            }
        };
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

fn granted(limits: &Limits, bytes: u64) -> Duration {
    let bought = bytes.checked_div(limits.min_body_rate as u64).map_or(Duration::MAX, Duration::from_secs);
    limits.body_patience.saturating_add(bought)
}

/// Longer than any silence lasts, and short enough to add to any time.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use futures_util::poll;

    use super::*;

    fn pace(rate: usize, patience: Duration) -> Pace {
        Pace::new(&Limits { min_body_rate: rate, body_patience: patience, ..Limits::default() })
    }

    async fn is_too_slow(pace: &mut Pace) -> bool {
        poll!(poll_fn(|cx| pace.poll_too_slow(cx))).is_ready()
    }

    #[tokio::test]
    async fn every_byte_buys_time() {
        let mut pace = pace(1000, Duration::from_secs(1));
        pace.received(500);
        assert_eq!(pace.patience, Duration::from_millis(1500));
        pace.waited(Duration::from_millis(1400));
        pace.received(100);
        assert_eq!(pace.patience, Duration::from_millis(200));
        assert!(!is_too_slow(&mut pace).await);
        pace.received(1);
        pace.waited(Duration::from_secs(60));
        assert!(is_too_slow(&mut pace).await);
    }

    #[tokio::test]
    async fn a_body_that_has_not_begun_is_not_slow() {
        let mut pace = pace(1000, Duration::ZERO);
        assert!(!is_too_slow(&mut pace).await);
        pace.received(0);
        assert!(!is_too_slow(&mut pace).await);
        pace.received(1);
        pace.waited(Duration::from_secs(60));
        assert!(is_too_slow(&mut pace).await);
    }

    #[tokio::test]
    async fn time_counts_only_while_we_wait() {
        let mut pace = pace(1, Duration::from_secs(60));
        pace.received(1);
        let before = pace.patience;
        sleep(Duration::from_millis(5)).await;
        pace.received(0);
        assert_eq!(pace.patience, before, "nobody waited for the client");
        assert!(!is_too_slow(&mut pace).await);
        sleep(Duration::from_millis(5)).await;
        pace.received(0);
        assert!(pace.patience <= before - Duration::from_millis(5));
    }
}
