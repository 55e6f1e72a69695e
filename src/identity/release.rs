//! Which claims an application receives (`claims` of its route).

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{ClaimValue, Claims};

/// A value longer than this is not sent: upstreams refuse requests whose headers are large.
const LONGEST_VALUE: usize = 8 * 1024;

/// The claims that an application receives: those named, or all.
#[derive(Clone, Debug)]
pub(super) struct Release(Option<BTreeSet<String>>);

impl Release {
    pub(super) const fn new(names: Option<BTreeSet<String>>) -> Self {
        Self(names)
    }

    /// The released claims by name, `sub` first, absent ones left out.
    pub(super) fn of<'c>(&self, claims: &'c Claims) -> Vec<(&'c str, Cow<'c, ClaimValue>)> {
        let names = ["sub"].into_iter().chain(claims.others().map(|(name, _)| name));
        names.filter(|name| self.holds(name)).filter_map(|name| Some((name, lookup(claims, name)?))).collect()
    }

    fn holds(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// The claim called `name`, `sub` as a string.
pub(super) fn lookup<'c>(claims: &'c Claims, name: &str) -> Option<Cow<'c, ClaimValue>> {
    match name {
        "sub" => Some(Cow::Owned(ClaimValue::Text(claims.sub().to_owned()))),
        _ => claims.get(name).map(Cow::Borrowed),
    }
}

/// Whether `length` bytes may be sent for the claim called `name`; logs where not.
pub(super) fn fits(name: &str, length: usize) -> bool {
    if length > LONGEST_VALUE {
        tracing::warn!(reason = "claim_too_long", claim = name, length, limit = LONGEST_VALUE, "the claim is not sent");
    }
    length <= LONGEST_VALUE
}
