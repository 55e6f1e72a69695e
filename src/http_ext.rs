//! Small helpers over the `http` crate's types that several modules need.

use std::net::IpAddr;

use ipnet::IpNet;

/// A header name as the laxest upstream would read it: lower case, and every byte outside `[a-z0-9]` as `-`.
///
/// CGI, PHP, Rack and WSGI fold `_`, `.` and other bytes together, so two names that fold alike are one name.
#[must_use]
pub fn folded_name(name: &str) -> String {
    name.bytes().map(fold).map(char::from).collect()
}

/// A field name as HTTP/1.1 clients write it: `x-agent-email` as `X-Agent-Email`.
#[must_use]
pub fn capitalized(name: &str) -> String {
    let mut begins = true;
    let capital = |letter: char| {
        let capital = if begins { letter.to_ascii_uppercase() } else { letter };
        begins = letter == '-';
        capital
    };
    name.chars().map(capital).collect()
}

/// Whether `name` folds to something that starts with `folded_prefix` (see [`folded_name`]); allocates nothing.
#[must_use]
pub fn folds_under(name: &str, folded_prefix: &str) -> bool {
    name.len() >= folded_prefix.len() && name.bytes().map(fold).zip(folded_prefix.bytes()).all(|(a, b)| a == b)
}

/// Whether `name` folds to exactly `folded` (see [`folded_name`]); allocates nothing.
#[must_use]
pub fn folds_to(name: &str, folded: &str) -> bool {
    name.len() == folded.len() && folds_under(name, folded)
}

const fn fold(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        b'a'..=b'z' | b'0'..=b'9' => byte,
        _ => b'-',
    }
}

/// The parts of `bytes` between the bytes `separator`.
pub fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(at) = memchr::memchr(separator, bytes) else { return rest.take() };
        rest = Some(&bytes[at + 1..]);
        Some(&bytes[..at])
    })
}

/// A peer whose `Forwarded` and `X-Forwarded-*` are believed (`trusted_proxies`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustedProxy {
    /// Any address of this network.
    Network(IpNet),
    /// Whoever connects through a unix socket.
    Unix,
}

impl TrustedProxy {
    /// Whether this is, or holds, the peer at `address`; a peer without one came through a unix socket.
    #[must_use]
    pub fn holds(self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Network(network), Some(address)) => network.contains(&address),
            (Self::Unix, None) => true,
            (Self::Network(_), None) | (Self::Unix, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_standard_library() {
        for text in ["", ";", "a", "a;b", ";a;;b;", "a;b;c;"] {
            let expected: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b';').collect();
            assert_eq!(split(text.as_bytes(), b';').collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_in_the_case_of_http_1() {
        for (name, cased) in [("host", "Host"), ("sec-fetch-mode", "Sec-Fetch-Mode"), ("x--a", "X--A"), ("x_y", "X_y")]
        {
            assert_eq!(capitalized(name), cased);
        }
    }

    #[test]
    fn every_spelling_an_upstream_might_fold_together_folds_together() {
        for spelling in ["X-Agent-Email", "X_AGENT_EMAIL", "x.agent-email", "X~Agent~Email"] {
            assert_eq!(folded_name(spelling), "x-agent-email");
            assert!(folds_under(spelling, "x-agent-"));
            assert!(folds_to(spelling, "x-agent-email"));
        }
        assert!(!folds_to("X-Agent-Email_", "x-agent-email"));
        assert!(folds_under("X-Agent-Email_", "x-agent-"));
    }
}
