//! Sessions that were opened before, found by the cookie they came in: a look-up and a comparison instead of a
//! decryption.
//!
//! A cookie's first characters are the salt it was sealed with, 188 random bits: they find the entry, and the whole
//! value decides. A plain comparison will do: who knows another cookie's salt knows that cookie.

use std::sync::Arc;

use moka::sync::Cache;

use super::Session;

/// How many characters of base64url hold nothing but version, key and salt of a sealed message (29 bytes).
const SALTED: usize = 38;

/// Sessions kept at hand: some 16 MiB where every agent has a large identity.
const KEPT: u64 = 4096;

/// Opened sessions by their cookies. A key that is taken away takes what it opened along.
pub(super) struct OpenedBefore(Cache<[u8; SALTED], Arc<Entry>>);

/// What a cookie opened to, and where.
struct Entry {
    keys: u64,
    host: Box<str>,
    value: Box<str>,
    session: Arc<Session>,
}

impl OpenedBefore {
    /// Knows no session yet.
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// The session in the cookie `value`, where the key ring with this fingerprint opened it at `host` before.
    pub(super) fn find(&self, keys: u64, host: &str, value: &str) -> Option<Arc<Session>> {
        let entry = self.0.get(value.as_bytes().first_chunk()?)?;
        let same = entry.keys == keys && *entry.host == *host && *entry.value == *value;
        same.then(|| Arc::clone(&entry.session))
    }

    /// Notes what the cookie `value` opened to.
    pub(super) fn note(&self, keys: u64, host: &str, value: &str, session: &Arc<Session>) {
        let Some(salted) = value.as_bytes().first_chunk() else { return };
        let entry = Entry { keys, host: host.into(), value: value.into(), session: Arc::clone(session) };
        self.0.insert(*salted, Arc::new(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::Claims;

    #[test]
    fn only_the_very_cookie_at_its_host_under_the_same_keys_is_known() {
        let session = Arc::new(Session::new([1; 16], Claims::new("s"), Timestamp::default(), Timestamp::default()));
        let known = OpenedBefore::new();
        let value = "A".repeat(60);
        known.note(7, "a.fr", &value, &session);
        assert!(known.find(7, "a.fr", &value).is_some_and(|found| Arc::ptr_eq(&found, &session)));
        assert!(known.find(8, "a.fr", &value).is_none());
        assert!(known.find(7, "b.fr", &value).is_none());
        assert!(known.find(7, "a.fr", &value[..59]).is_none());
        assert!(known.find(7, "a.fr", &format!("{}B", &value[..59])).is_none());
        assert!(known.find(7, "a.fr", &value[..37]).is_none());
    }
}
