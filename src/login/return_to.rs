//! The page to return to after a login: always on the same host, never an open redirect (RFC 9700 section 4.11).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest page address kept: sealed with the rest of an attempt, it fills the one cookie that browsers allow.
pub(super) const MOST: usize = 2700;

/// A path and query on the host that the login is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTo(String);

/// The text is no path on this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path on this host")]
pub struct NotReturnable;

impl ReturnTo {
    /// The page called `target` (origin-form: path and query), or the host's front page where that could lead a browser
    /// elsewhere.
    #[must_use]
    pub fn or_root(target: &str) -> Self {
        Self::try_from(target.to_owned()).unwrap_or_else(|NotReturnable| Self::root())
    }

    /// The host's front page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same page, or the front page where its address has more than `length` bytes.
    #[must_use]
    pub fn at_most(&self, length: usize) -> Self {
        if self.0.len() <= length { self.clone() } else { Self::root() }
    }
}

impl TryFrom<String> for ReturnTo {
    type Error = NotReturnable;

    /// One `/` first, and no second `/` or `\`, which browsers read as the start of another authority; visible ASCII
    /// without `\`.
    fn try_from(target: String) -> Result<Self, NotReturnable> {
        let starts_a_path = target.starts_with('/') && !target.starts_with("//");
        let plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        if starts_a_path && plain && target.len() <= MOST { Ok(Self(target)) } else { Err(NotReturnable) }
    }
}

impl From<ReturnTo> for String {
    fn from(target: ReturnTo) -> Self {
        target.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_host_is_returned_to_exactly() {
        for target in ["/", "/a?b=c&d=%2F%2f", "/a//b", "/?", "/.well-known/x", "/a?x=//evil.test"] {
            assert_eq!(ReturnTo::or_root(target).as_str(), target);
        }
    }

    #[test]
    fn nothing_leads_to_another_host() {
        for target in [
            "",
            "a",
            "//evil.test",
            "//evil.test/",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test",
            "/\t/evil.test",
            "/ /evil.test",
            "javascript:alert(1)",
            "/a\\b",
            "/a\r\nSet-Cookie: x=1",
            "/é",
            "/\u{10d}",
            "/a#b",
        ] {
            assert_eq!(ReturnTo::or_root(target).as_str(), "/", "{target:?}");
        }
        assert_eq!(ReturnTo::or_root(&format!("/{}", "a".repeat(MOST))).as_str(), "/");
    }
}
