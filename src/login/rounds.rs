//! The loop breaker: logins that succeed and yet never arrive are counted, and the third ends with a page.
//!
//! The count is no secret and proves nothing: it is kept in a plain cookie that any gateway can read, whatever key it
//! holds, since a wrong key may be the very cause. Without any cookie, the count in the `state` does the same.

use http::HeaderValue;

use crate::session::cookie::{self, OwnCookies};

/// Logins in a row that did not arrive before the loop is broken.
pub const MOST: u8 = 3;

const NAME: &str = "__Host-portillon-rounds";

/// A loop turns faster than an agent types a password: what is older than this, in seconds, was no part of one.
const MAX_AGE: i64 = 120;

/// How many logins were completed at this host, just now, without arriving.
#[must_use]
pub fn count(cookies: &OwnCookies) -> u8 {
    cookies.value(NAME).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The `Set-Cookie` value that counts one more.
#[must_use]
pub fn one_more(cookies: &OwnCookies) -> HeaderValue {
    cookie::set(NAME, &count(cookies).saturating_add(1).to_string(), Some(MAX_AGE))
}

/// The `Set-Cookie` value that forgets the count, where there is one.
#[must_use]
pub fn forget(cookies: &OwnCookies) -> Option<HeaderValue> {
    cookies.value(NAME).map(|_| cookie::removed(NAME))
}
