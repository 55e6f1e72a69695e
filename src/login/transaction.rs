//! One attempt to log in: the `state` that travels through the provider, and the cookie that stays in the browser.

use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::aim::Aim;
use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::{base64url, equal, random, random_token, sha256};
use crate::session::cookie::{self, OwnCookies};

const STATE: Purpose = Purpose::new("state");
const LOGIN: Purpose = Purpose::new("login");

const COOKIE_PREFIX: &str = "__Host-portillon-login-";

/// Attempts kept at once; the oldest goes first. Its `state` still leads home (see [`State`]).
const MOST_ATTEMPTS: usize = 5;

/// Bytes of attempts kept at once: with a session beside them, a request stays within what other proxies take.
const MOST_BYTES: usize = 6 * 1024;

/// AgentConnect keeps its own login page open this long, in seconds.
const MAX_AGE: u64 = 3600;

/// A page address this long still travels in the `state`; a longer one is in the cookie only.
pub(super) const MOST_IN_STATE: usize = 512;

/// What the `state` says to the gateway that gets it back, sealed for its host.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    /// Makes the state unguessable and unique, whatever else it says.
    token: [u8; 32],
    /// What the login is for.
    pub(super) aim: Aim,
}

/// What only the browser that began the attempt holds, sealed for its host.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Attempt {
    state_hash: [u8; 32],
    /// OpenID Connect Core 1.0 section 3.1.2.1.
    pub(super) nonce: String,
    /// RFC 7636 section 4.1.
    pub(super) code_verifier: String,
    /// What the login is for.
    pub(super) aim: Aim,
    started_at: Timestamp,
}

/// A new attempt, and the two ways it is written.
pub(super) struct NewAttempt {
    pub(super) state: String,
    pub(super) attempt: Attempt,
    pub(super) cookie: HeaderValue,
}

impl NewAttempt {
    /// An attempt to get what `aim` says, which travels in the `state` too, but for a page address of more than `in_state`
    /// bytes.
    pub(super) fn new(keys: &KeyRing, host: &str, (aim, in_state): (Aim, usize), now: Timestamp) -> Self {
        let state = State { token: random(), aim: aim.at_most(in_state) };
        let state = keys.seal_value(STATE, host, &state, now);
        let attempt = Attempt {
            state_hash: sha256(state.as_bytes()),
            nonce: random_token::<32>(),
            code_verifier: random_token::<32>(),
            aim,
            started_at: now,
        };
        // The time stands in clear before the seal: it only tells which attempt is the oldest.
        let value = format!("{now}.{}", keys.seal_value(LOGIN, host, &attempt, now));
        let cookie = cookie::set(&cookie_name(&state), &value, i64::try_from(MAX_AGE).ok());
        Self { state, attempt, cookie }
    }
}

impl State {
    /// Reads a `state` that this host, or another gateway of its group, made.
    pub(super) fn open(keys: &KeyRing, host: &str, text: &str) -> Option<Self> {
        keys.open_value(STATE, host, text)
    }
}

impl Attempt {
    /// The attempt that `state` belongs to, where this browser began it and not too long ago.
    pub(super) fn of(state: &str, cookies: &OwnCookies, keys: &KeyRing, host: &str, now: Timestamp) -> Option<Self> {
        let (_, value) = cookies.value(&cookie_name(state))?.split_once('.')?;
        let attempt: Self = keys.open_value(LOGIN, host, value)?;
        let own = equal(&attempt.state_hash, &sha256(state.as_bytes()));
        (own && now < attempt.ends_at()).then_some(attempt)
    }

    /// From when on it is too late.
    pub(super) const fn ends_at(&self) -> Timestamp {
        self.started_at.plus(Duration::from_secs(MAX_AGE))
    }
}

/// The `Set-Cookie` value that removes the cookie of the attempt that `state` belongs to.
pub(super) fn forgotten(state: &str) -> HeaderValue {
    cookie::removed(&cookie_name(state))
}

/// The `Set-Cookie` values that make room for one more attempt of `size` bytes.
pub(super) fn evicted(cookies: &OwnCookies, size: usize) -> impl Iterator<Item = HeaderValue> {
    let started_at = |value: &str| value.split_once('.').and_then(|(time, _)| time.parse().ok()).unwrap_or(0_u64);
    let mut attempts: Vec<_> = cookies
        .starting_with(COOKIE_PREFIX)
        .map(|(name, value)| (started_at(value), name, name.len() + value.len()))
        .collect();
    attempts.sort_unstable();
    let (mut count, mut bytes) = (attempts.len() + 1, size + attempts.iter().map(|(.., size)| size).sum::<usize>());
    let too_much = attempts.into_iter().take_while(move |(.., size)| {
        let over = count > MOST_ATTEMPTS || bytes > MOST_BYTES;
        (count, bytes) = (count - 1, bytes - size);
        over
    });
    too_much.map(|(_, name, _)| cookie::removed(name))
}

fn cookie_name(state: &str) -> String {
    format!("{COOKIE_PREFIX}{}", base64url(&sha256(state.as_bytes())[..6]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::ReturnTo;
    use crate::oidc::{Hint, Wishes};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn attempt(keys: &KeyRing, at: Timestamp) -> (NewAttempt, OwnCookies) {
        let aim = Aim::new(&ReturnTo::or_root("/x?y"), Wishes::default()).again();
        let new = NewAttempt::new(keys, "a.fr", (aim, MOST_IN_STATE), at);
        let cookies = OwnCookies::read(std::iter::once(&new.cookie));
        (new, cookies)
    }

    /// The cookies as the browser sends them: without attributes.
    fn jar(new: &[&NewAttempt]) -> OwnCookies {
        let pairs: Vec<_> = new.iter().map(|new| new.cookie.to_str().unwrap().split(';').next().unwrap()).collect();
        OwnCookies::read(std::iter::once(&HeaderValue::from_str(&pairs.join("; ")).unwrap()))
    }

    #[test]
    fn an_attempt_belongs_to_its_state_its_host_and_its_hour() {
        let keys = KeyRing::ephemeral(NOW);
        let (new, _) = attempt(&keys, NOW);
        let (other, _) = attempt(&keys, NOW);
        let cookies = jar(&[&new, &other]);
        let found = Attempt::of(&new.state, &cookies, &keys, "a.fr", NOW).unwrap();
        assert_eq!((found.nonce, found.aim.return_to.as_str()), (new.attempt.nonce, "/x?y"));
        assert!(Attempt::of(&new.state, &cookies, &keys, "b.fr", NOW).is_none());
        assert!(Attempt::of(&new.state, &jar(&[&other]), &keys, "a.fr", NOW).is_none());
        let late = Timestamp::from_secs(NOW.as_secs() + MAX_AGE);
        assert!(Attempt::of(&new.state, &cookies, &keys, "a.fr", late).is_none());
    }

    #[test]
    fn the_state_alone_still_knows_the_page() {
        let keys = KeyRing::ephemeral(NOW);
        let (new, _) = attempt(&keys, NOW);
        let state = State::open(&keys, "a.fr", &new.state).unwrap();
        assert_eq!((state.aim.return_to.as_str(), state.aim.round), ("/x?y", 1));
        assert!(State::open(&keys, "b.fr", &new.state).is_none());
        assert!(State::open(&keys, "a.fr", &format!("{}A", new.state)).is_none());
    }

    #[test]
    fn the_longest_attempt_fits_the_cookie_that_browsers_allow() {
        let keys = KeyRing::ephemeral(NOW);
        let page = ReturnTo::or_root(&format!("/{}", "a".repeat(2699)));
        let mut wishes = Wishes::default();
        wishes.levels.acr.insert("x".repeat(512));
        for hint in [Hint::Idp, Hint::Login] {
            wishes.hints.give(hint, "é".repeat(128));
        }
        for wishes in [Wishes::default(), wishes.clone()] {
            let new = NewAttempt::new(&keys, "a.fr", (Aim::new(&page, wishes), MOST_IN_STATE), NOW);
            assert!(new.cookie.len() <= 4096, "{}", new.cookie.len());
        }
        assert_eq!(Aim::new(&page, wishes).return_to.as_str(), "/");
        assert_eq!(Aim::new(&page, Wishes::default()).return_to, page);
    }

    #[test]
    fn the_oldest_attempts_make_room() {
        let keys = KeyRing::ephemeral(NOW);
        let attempts: Vec<_> = (0..7).map(|age| attempt(&keys, Timestamp::from_secs(NOW.as_secs() + age)).0).collect();
        let removed: Vec<_> = evicted(&jar(&attempts.iter().collect::<Vec<_>>()), 500).collect();
        let oldest: Vec<_> = attempts[..3].iter().map(|new| forgotten(&new.state)).collect();
        assert_eq!(removed, oldest);
        assert_eq!(evicted(&OwnCookies::default(), 500).count(), 0);
        let two = jar(&attempts[..2].iter().collect::<Vec<_>>());
        assert_eq!(
            (evicted(&two, 500).count(), evicted(&two, MOST_BYTES).count()),
            (0, 2),
            "large attempts need more room"
        );
    }
}
