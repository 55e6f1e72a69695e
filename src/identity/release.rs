//! Which claims an application receives (`claims` of its route), derived ones included.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::siret::siren_of_siret;
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
        let held = claims.others().map(|(name, _)| name).filter(|name| *name != "siren");
        let released = ["sub"].into_iter().chain(held).chain(["siren"]).filter(|name| self.holds(name));
        released.filter_map(|name| Some((name, lookup(claims, name)?))).collect()
    }

    fn holds(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// The claim called `name`: `sub` as a string, and `siren` derived from `siret` where the provider sent none.
pub(super) fn lookup<'c>(claims: &'c Claims, name: &str) -> Option<Cow<'c, ClaimValue>> {
    match (name, claims.get(name)) {
        ("sub", _) => Some(Cow::Owned(ClaimValue::Text(claims.sub().to_owned()))),
        ("siren", None) => {
            let siren = siren_of_siret(claims.text("siret")?)?;
            Some(Cow::Owned(ClaimValue::Text(siren.to_owned())))
        }
        (_, value) => value.map(Cow::Borrowed),
    }
}

/// Whether `length` bytes may be sent for the claim called `name`; logs where not.
pub(super) fn fits(name: &str, length: usize) -> bool {
    if length > LONGEST_VALUE {
        tracing::warn!(reason = "claim_too_long", claim = name, length, limit = LONGEST_VALUE, "the claim is not sent");
    }
    length <= LONGEST_VALUE
}
