//! Header names that no client may bring, in any spelling that an upstream might fold together.

use crate::http_ext::{folded_name, folds_to, folds_under};

/// Prefixes of forwarding headers; without the last `-`, so that bare `X-Forwarded` goes too.
const PREFIXES: [&str; 1] = ["x-forwarded"];

/// Names that say where a request came from, what it asked for or is called, or that somebody signed it. `Proxy` is what
/// CGI turns into `HTTP_PROXY`.
const NAMES: [&str; 18] = [
    "cf-connecting-ip",
    "client-ip",
    "forwarded",
    "front-end-https",
    "proxy",
    "signature",
    "signature-input",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-url-scheme",
];

/// The reserved names of a site.
#[derive(Clone, Debug)]
pub struct ReservedNames {
    prefixes: Vec<String>,
    names: Vec<String>,
    /// Whether any of them starts with this byte, folded: most names are told apart by it.
    starts: [bool; 256],
}

impl ReservedNames {
    /// The names every site reserves, with everything under `identity_prefix` and the names that routes add.
    #[must_use]
    pub fn new<'a>(identity_prefix: &str, added: impl Iterator<Item = &'a str>) -> Self {
        let prefixes: Vec<String> = PREFIXES.into_iter().chain([identity_prefix]).map(folded_name).collect();
        let mut names: Vec<String> = NAMES.into_iter().chain(added).map(folded_name).collect();
        names.sort_unstable();
        names.dedup();
        let mut starts = [false; 256];
        for first in prefixes.iter().chain(&names).filter_map(|name| name.bytes().next()) {
            starts[usize::from(first)] = true;
            starts[usize::from(first.to_ascii_uppercase())] = true;
        }
        Self { prefixes, names, starts }
    }

    /// Whether a client may not bring the header called `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let Some(first) = name.bytes().next() else { return false };
        // Bytes other than letters and digits fold to `-`, which starts no reserved name.
        self.starts[usize::from(first)]
            && (self.prefixes.iter().any(|prefix| folds_under(name, prefix))
                || self.names.iter().any(|reserved| folds_to(name, reserved)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_reserved_name_is_reserved() {
        let reserved = ReservedNames::new("X-Agent-", ["Remote-User"].into_iter());
        for name in [
            "x-agent-email",
            "X_Agent_Email",
            "x.agent.email",
            "X-Agent-Email_",
            "x~agent~email",
            "REMOTE_USER",
            "remote-user",
            "Forwarded",
            "X-Forwarded-For",
            "X_FORWARDED_HOST",
            "x-forwarded",
            "Signature",
            "SIGNATURE_INPUT",
            "proxy",
            "X-Real-IP",
            "X_Request_ID",
        ] {
            assert!(reserved.contains(name), "{name}");
        }
        for name in
            ["accept", "x-agenda", "cookie", "host", "signatures", "proxy-x", "remote-users", "x-requested-with", ""]
        {
            assert!(!reserved.contains(name), "{name}");
        }
    }
}
