//! What an operator orders of a running gateway, such as `portillon sessions` does.
//!
//! An order is sealed by the keys of the gateways: whoever may read `keys_dir` may give orders, wherever the admin
//! listener can be reached from, and nobody else. The report is sealed too, for that one order.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::{base64url, sha256};
use crate::live::{LiveSession, Selection};
use crate::telemetry::recent::Told;

const ORDER: Purpose = Purpose::new("admin order");
const REPORT: Purpose = Purpose::new("admin report");

/// Where orders are sealed for.
const ADMIN: &str = "admin";

/// Where an order is posted.
pub const PATH: &str = "/orders";

/// The longest order in bytes, sealed.
pub const LONGEST: usize = 8 * 1024;

/// How old an order may be, and how far ahead its clock.
pub const GOOD_FOR: Duration = Duration::from_secs(60);

/// What is ordered.
#[derive(Clone, Deserialize, Serialize)]
pub enum Order {
    /// To tell of sessions.
    List(Selection),
    /// To end sessions, on every gateway of the group.
    End(Selection),
    /// To tell what this gateway decided about a request, by its identifier.
    Tell(String),
}

/// What became of it.
#[derive(Deserialize, Serialize)]
pub enum Report {
    /// The sessions, those of the last login first.
    Sessions(Vec<LiveSession>),
    /// Sessions were ended.
    Ended {
        /// So many of those that are known.
        known: usize,
        /// Whether the store has it, so that every gateway of the group learns of it; otherwise it is written as soon as
        /// the store answers.
        stored: bool,
    },
    /// What was decided, where that is still known.
    Decided(Option<Box<Told>>),
    /// The store does not answer, says this.
    Unavailable(String),
}

#[derive(Deserialize, Serialize)]
struct Dated {
    at: Timestamp,
    order: Order,
}

impl Order {
    /// As it is posted.
    #[must_use]
    pub fn seal(self, keys: &KeyRing, now: Timestamp) -> String {
        keys.seal_value(ORDER, ADMIN, &Dated { at: now, order: self }, now)
    }

    /// Reads what [`Order::seal`] wrote; none where it is not ours, or not of now.
    #[must_use]
    pub fn open(sealed: &str, keys: &KeyRing, now: Timestamp) -> Option<Self> {
        let Dated { at, order } = keys.open_value(ORDER, ADMIN, sealed)?;
        (now.since(at) <= GOOD_FOR && at.since(now) <= GOOD_FOR).then_some(order)
    }
}

impl Report {
    /// As it is answered to the order that was `sealed`.
    #[must_use]
    pub fn seal(&self, sealed: &str, keys: &KeyRing, now: Timestamp) -> String {
        keys.seal_value(REPORT, &about(sealed), self, now)
    }

    /// Reads what [`Report::seal`] wrote about the same order.
    #[must_use]
    pub fn open(text: &str, sealed: &str, keys: &KeyRing) -> Option<Self> {
        keys.open_value(REPORT, &about(sealed), text)
    }
}

fn about(sealed: &str) -> String {
    base64url(&sha256(sealed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn opened(sealed: &str, keys: &KeyRing, seconds: u64) -> bool {
        Order::open(sealed, keys, Timestamp::from_secs(seconds)).is_some()
    }

    #[test]
    fn an_order_is_given_by_who_has_the_keys_and_for_a_minute() {
        let keys = KeyRing::ephemeral(NOW);
        let sealed = Order::End(Selection::All).seal(&keys, NOW);
        for (seconds, good) in [(0, true), (60, true), (61, false)] {
            assert_eq!(opened(&sealed, &keys, NOW.as_secs() + seconds), good, "{seconds} s later");
            assert_eq!(opened(&sealed, &keys, NOW.as_secs() - seconds), good, "{seconds} s before");
        }
        assert!(!opened(&sealed, &KeyRing::ephemeral(NOW), NOW.as_secs()));
        assert!(!opened("", &keys, NOW.as_secs()));
        let order = Order::open(&sealed, &keys, NOW);
        assert!(matches!(order, Some(Order::End(Selection::All))));
    }

    #[test]
    fn a_report_is_about_its_order() {
        let keys = KeyRing::ephemeral(NOW);
        let one = Order::List(Selection::All).seal(&keys, NOW);
        let other = Order::List(Selection::All).seal(&keys, NOW);
        let report = Report::Ended { known: 3, stored: true }.seal(&one, &keys, NOW);
        assert!(matches!(Report::open(&report, &one, &keys), Some(Report::Ended { known: 3, stored: true })));
        assert!(Report::open(&report, &other, &keys).is_none());
    }
}
