//! The browser that a form was sent from: 128 random bits in a sealed cookie of its host.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::{base64url, from_base64url, random};
use crate::session::cookie::{self, OwnCookies};

/// The cookie's name. A logout removes it, and with it the way to every form kept for this browser.
const COOKIE: &str = "__Host-portillon-stash";

const PURPOSE: Purpose = Purpose::new("stash browser");

/// A browser.
#[derive(Clone, Eq, PartialEq)]
pub struct Browser([u8; 16]);

impl Browser {
    pub(super) fn unknown() -> Self {
        Self(random())
    }

    pub(super) fn of(cookies: &OwnCookies, keys: &KeyRing, host: &str) -> Option<Self> {
        let sealed = from_base64url(cookies.value(COOKIE)?)?;
        keys.open(PURPOSE, host, &sealed).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn cookie(&self, keys: &KeyRing, host: &str, keep: Duration, now: Timestamp) -> HeaderValue {
        let sealed = keys.seal(PURPOSE, host, &self.0, now);
        cookie::set(COOKIE, &base64url(&sealed), i64::try_from(keep.as_secs()).ok())
    }

    pub(super) const fn secret(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[browser]")
    }
}
