//! One condition of a block: what it looks at, and whether that is as it wants.

use std::collections::BTreeSet;
use std::collections::HashSet;

use http::Method;

use super::domain::Domains;
use super::facts::Facts;
use super::glob::Globs;
use super::network::Networks;
use super::time::Window;
use super::values::Values;
use crate::identity::{ClaimValue, Claims};
use crate::route::PathMap;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It does not.
    Fails,
    /// It does.
    Holds,
    /// What it looks at is absent, or of a type that it cannot judge. Neither it nor its negation holds.
    Undecided,
}

/// A condition, and how its author wrote it.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its key: `siret`, `custom.grade`, `mfa`, `not`.
    pub name: String,
    /// What it wants, as a person reads it.
    pub wanted: String,
    /// The line of its key, from 1, in the file of its block.
    pub line: usize,
    /// What it is.
    pub test: Test,
}

/// What a condition is.
#[derive(Clone, Debug)]
pub enum Test {
    /// A claim has one of these values.
    Claim(Subject, Values),
    /// The request comes from one of these networks.
    ClientAddress(Networks),
    /// The agent's e-mail address is in one of these domains.
    EmailDomain(Domains),
    /// The request has one of these methods.
    Method(HashSet<Method>),
    /// None of these holds; of each, all conditions would. Undecided where one of them is: what is not known is no
    /// ground to let anybody in.
    Not(Vec<Vec<Condition>>),
    /// The request is for a path under one of these.
    Path(PathMap<()>),
    /// A claim fits one of these patterns.
    Pattern(Subject, Globs),
    /// It is the time for it.
    Time(Vec<Window>),
}

/// The claim that a condition looks at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A claim by its name.
    Claim(String),
    /// A member of a claim that is an object: the claim, then the way down.
    Member(Vec<String>),
    /// `sub`
    Sub,
}

/// What was found of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'f> {
    Text(&'f str),
    Value(&'f ClaimValue),
}

impl Outcome {
    pub(super) const fn holds_if(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

impl Subject {
    /// What `claims` say of it.
    pub(super) fn of<'f>(&self, claims: &'f Claims) -> Option<Found<'f>> {
        match self {
            Self::Claim(name) => claims.get(name).map(Found::Value),
            Self::Member(way) => claims.member(way).map(Found::Value),
            Self::Sub => Some(Found::Text(claims.sub())),
        }
    }

    fn claim(&self) -> &str {
        match self {
            Self::Claim(name) => name,
            Self::Member(way) => way.first().map_or("", String::as_str),
            Self::Sub => "sub",
        }
    }
}

impl Condition {
    /// Whether it holds.
    pub(super) fn outcome(&self, facts: &Facts<'_>) -> Outcome {
        match &self.test {
            Test::Claim(subject, values) => subject.of(facts.claims).map_or(Outcome::Undecided, |found| match found {
                Found::Text(text) => values.of_text(text),
                Found::Value(value) => values.of(value),
            }),
            Test::ClientAddress(networks) => {
                facts.client.map_or(Outcome::Undecided, |address| Outcome::holds_if(networks.hold(address)))
            }
            Test::EmailDomain(domains) => {
                facts.claims.text("email").map_or(Outcome::Undecided, |email| domains.of(email))
            }
            Test::Method(methods) => Outcome::holds_if(methods.contains(facts.method)),
            Test::Not(alternatives) => none_holds(alternatives, facts),
            // A path that can be read in two ways is under none of them, and outside of none.
            Test::Path(paths) => match facts.path.canonical() {
                Some(_) => Outcome::holds_if(paths.longest(facts.path).is_some()),
                None => Outcome::Undecided,
            },
            Test::Pattern(subject, globs) => match subject.of(facts.claims) {
                Some(Found::Text(text)) => globs.of([text]),
                Some(Found::Value(ClaimValue::Text(text))) => globs.of([text.as_str()]),
                Some(Found::Value(ClaimValue::List(texts))) => globs.of(texts.iter().map(String::as_str)),
                Some(Found::Value(ClaimValue::Json(_))) | None => Outcome::Undecided,
            },
            Test::Time(windows) => Outcome::holds_if(windows.iter().any(|window| window.holds(facts.now))),
        }
    }

    /// The claims that it looks at.
    #[must_use]
    pub fn claims(&self) -> BTreeSet<&str> {
        match &self.test {
            Test::Claim(subject, _) | Test::Pattern(subject, _) => BTreeSet::from([subject.claim()]),
            Test::EmailDomain(_) => BTreeSet::from(["email"]),
            Test::Not(alternatives) => alternatives.iter().flatten().flat_map(Self::claims).collect(),
            Test::ClientAddress(_) | Test::Method(_) | Test::Path(_) | Test::Time(_) => BTreeSet::new(),
        }
    }

    /// Whether it looks at the path.
    #[must_use]
    pub fn reads_path(&self) -> bool {
        match &self.test {
            Test::Path(_) => true,
            Test::Not(alternatives) => alternatives.iter().flatten().any(Self::reads_path),
            _ => false,
        }
    }
}

fn none_holds(alternatives: &[Vec<Condition>], facts: &Facts<'_>) -> Outcome {
    let mut any_holds = false;
    for conditions in alternatives {
        let mut all_hold = true;
        for condition in conditions {
            match condition.outcome(facts) {
                Outcome::Undecided => return Outcome::Undecided,
                outcome => all_hold &= outcome == Outcome::Holds,
            }
        }
        any_holds |= all_hold;
    }
    Outcome::holds_if(!any_holds)
}
