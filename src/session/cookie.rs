//! Cookies (RFC 6265): reading ours, taking ours out of what upstreams get, setting ours.
//!
//! Every name of ours starts with `__Host-portillon`, so that a browser takes the cookie from this host only, with
//! `Secure` and `Path=/`. Browsers accept these over plain HTTP on localhost too. A value longer than one cookie may be
//! is cut into a bounded number of chunks; any inconsistency between chunks is no value.

use std::borrow::Cow;

use cookie::{Cookie, SameSite, time};
use http::HeaderValue;

use crate::http_ext::split;

/// What every cookie name of ours starts with.
pub const PREFIX: &str = "__Host-portillon";

/// The most chunks of one value: with what else a request carries, within the 16 KiB that many servers allow.
pub const MAX_CHUNKS: usize = 4;

/// RFC 6265 section 6.1 asks browsers for 4096 bytes per cookie, attributes included.
const MAX_CHUNK: usize = 3800;

/// The cookies of ours that came with a request, in order, duplicates included.
#[derive(Clone, Debug, Default)]
pub struct OwnCookies(Vec<(String, String)>);

impl OwnCookies {
    /// Reads the `Cookie` fields of a request. Names are compared byte by byte; only spaces and tabs are trimmed
    /// (trimming Unicode white space would turn a cookie that any site may set into one of ours).
    pub fn read<'a>(fields: impl Iterator<Item = &'a HeaderValue>) -> Self {
        let mut own = Vec::new();
        for pair in fields.flat_map(|field| pairs(field.as_bytes())).filter(|pair| pair.starts_with(PREFIX.as_bytes()))
        {
            let Ok(pair) = std::str::from_utf8(pair) else { continue };
            if let Some((name, value)) = pair.split_once('=') {
                own.push((name.trim_end_matches([' ', '\t']).to_owned(), value.to_owned()));
            }
        }
        Self(own)
    }

    /// Whether no cookie of ours came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the cookie called `name`; none where it came twice.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a cookie called `name` came.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// `Set-Cookie` values that remove what came of the value called `name`, chunks included.
    pub fn removal(&self, name: &str) -> impl Iterator<Item = HeaderValue> {
        let chunks = (1..MAX_CHUNKS).map(|index| chunk_name(name, index));
        std::iter::once(name.to_owned()).chain(chunks).filter(|name| self.has(name)).map(|name| removed(&name))
    }

    /// The name and value of each cookie whose name starts with `prefix`.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value that [`chunked`] cut into cookies called `name`.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let (count, first) = self.value(name)?.split_at_checked(1)?;
        let count: usize = count.parse().ok().filter(|count| (1..=MAX_CHUNKS).contains(count))?;
        let mut joined = Cow::Borrowed(first);
        for index in 1..count {
            joined.to_mut().push_str(self.value(&chunk_name(name, index))?);
        }
        Some(joined)
    }
}

/// The `Cookie` field for an upstream: all fields joined (RFC 9113 section 8.2.3), cookies of ours left out; none where
/// nothing remains.
pub fn without_own<'a>(fields: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let mut kept: Vec<u8> = Vec::new();
    for pair in fields.flat_map(|field| pairs(field.as_bytes())).filter(|pair| !is_own(pair)) {
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    HeaderValue::from_bytes(&kept).ok().filter(|_| !kept.is_empty())
}

/// Whether a `Set-Cookie` value, or a pair of a `Cookie` value, is a cookie of ours. Browsers compare `__Host-` without
/// regard to case, and so do we here. A cookie without a name comes back as its bare value, which may look like ours.
#[must_use]
pub fn is_own(pair: &[u8]) -> bool {
    let nameless = pair.iter().take_while(|byte| matches!(byte, b'=' | b' ' | b'\t')).count();
    let pair = &pair[nameless..];
    pair.len() >= PREFIX.len() && pair[..PREFIX.len()].eq_ignore_ascii_case(PREFIX.as_bytes())
}

/// `Set-Cookie` values that keep `value` under `name` until the browser closes, and remove the chunks of a longer one
/// that it has `present`; none where the value is too long.
#[must_use]
pub fn chunked(name: &str, value: &str, present: &OwnCookies) -> Option<Vec<HeaderValue>> {
    let count = value.len().div_ceil(MAX_CHUNK).max(1);
    if count > MAX_CHUNKS || !value.is_ascii() {
        return None;
    }
    let left_over = (count..MAX_CHUNKS).map(|index| chunk_name(name, index)).filter(|name| present.has(name));
    let chunks = value.as_bytes().chunks(MAX_CHUNK).map(String::from_utf8_lossy);
    let kept = chunks.enumerate().map(|(index, chunk)| match index {
        0 => set(name, &format!("{count}{chunk}"), None),
        _ => set(&chunk_name(name, index), &chunk, None),
    });
    Some(kept.chain(left_over.map(|name| removed(&name))).collect())
}

/// A `Set-Cookie` value; without `max_age` (in seconds) the browser keeps it until it closes.
#[must_use]
pub fn set(name: &str, value: &str, max_age: Option<i64>) -> HeaderValue {
    let mut cookie = Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax);
    if let Some(seconds) = max_age {
        cookie = cookie.max_age(time::Duration::seconds(seconds));
    }
    // Names are ours and values base64url: whatever is not would be a defect, and is then no cookie.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or_else(|_| HeaderValue::from_static("invalid="))
}

/// A `Set-Cookie` value that removes the cookie called `name`, with the attributes it was set with.
#[must_use]
pub fn removed(name: &str) -> HeaderValue {
    set(name, "", Some(0))
}

fn chunk_name(name: &str, index: usize) -> String {
    format!("{name}-{index}")
}

fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(field, b';').map(trim_blank).filter(|pair| !pair.is_empty())
}

fn trim_blank(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[&str]) -> Vec<HeaderValue> {
        values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap()).collect()
    }

    fn read(values: &[&str]) -> OwnCookies {
        OwnCookies::read(fields(values).iter())
    }

    /// What a browser sends back for these `Set-Cookie` values.
    fn sent_back(set: &[HeaderValue]) -> OwnCookies {
        let pairs: Vec<&str> = set.iter().map(|value| value.to_str().unwrap().split(';').next().unwrap()).collect();
        read(&[&pairs.join("; ")])
    }

    #[test]
    fn a_value_survives_its_chunks() {
        for length in [0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, MAX_CHUNK * MAX_CHUNKS] {
            let value = "a".repeat(length);
            let cookies = chunked(PREFIX, &value, &OwnCookies::default()).unwrap();
            assert!(cookies.iter().all(|cookie| cookie.len() <= 4096));
            let expected = if length == 0 { None } else { Some(value) };
            assert_eq!(sent_back(&cookies).joined(PREFIX).as_deref(), expected.as_deref(), "{length}");
        }
        assert!(chunked(PREFIX, &"a".repeat(MAX_CHUNK * MAX_CHUNKS + 1), &OwnCookies::default()).is_none());
    }

    #[test]
    fn a_shorter_value_takes_the_chunks_of_a_longer_one_away() {
        let present =
            read(&["__Host-portillon=3a; __Host-portillon-1=b; __Host-portillon-2=c; __Host-portillon-login-x=d"]);
        let set = chunked(PREFIX, "short", &present).unwrap();
        assert_eq!(set[1..], [removed("__Host-portillon-1"), removed("__Host-portillon-2")]);
        let names = ["__Host-portillon", "__Host-portillon-1", "__Host-portillon-2"];
        assert_eq!(present.removal(PREFIX).collect::<Vec<_>>(), names.map(removed));
    }

    #[test]
    fn chunks_that_do_not_fit_together_are_no_value() {
        for cookies in [
            "__Host-portillon=2a",
            "__Host-portillon=0a",
            "__Host-portillon=9a",
            "__Host-portillon=xa",
            "__Host-portillon=",
            "__Host-portillon=1a; __Host-portillon=1b",
            "__Host-portillon-1=b",
            "__Host-portillon=3a; __Host-portillon-1=b",
            "__Host-portillon=é",
        ] {
            assert_eq!(read(&[cookies]).joined(PREFIX), None, "{cookies}");
        }
        assert_eq!(
            read(&["__Host-portillon=2a; __Host-portillon-1=b; __Host-portillon-2=c"]).joined(PREFIX).as_deref(),
            Some("ab")
        );
    }

    #[test]
    fn unicode_white_space_makes_no_cookie_of_ours() {
        assert!(read(&["\u{2000}__Host-portillon=1a"]).is_empty());
        assert!(read(&["x=1;\t __Host-portillon=1a"]).value(PREFIX).is_some());
    }

    #[test]
    fn upstreams_get_every_cookie_but_ours_in_one_field() {
        let all = fields(&["a=1; __Host-portillon=1x; b=2", "__host-Portillon-login-z=1; c=3", ";; d"]);
        assert_eq!(without_own(all.iter()).unwrap(), "a=1; b=2; c=3; d");
        assert!(without_own(fields(&["__Host-portillon=1x"]).iter()).is_none());
    }

    #[test]
    fn a_cookie_of_ours_is_for_this_host_and_no_script() {
        let value = set("__Host-portillon-x", "v", Some(60));
        assert_eq!(value, "__Host-portillon-x=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");
        assert_eq!(
            removed("__Host-portillon-x"),
            "__Host-portillon-x=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }
}
