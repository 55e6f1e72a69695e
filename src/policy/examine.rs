//! A verdict in words: every block, condition by condition, and what was found. For those who ask why; a request does
//! without.

use super::condition::{Condition, Found, Outcome, Subject, Test};
use super::facts::Facts;
use super::rules::{Block, Rules};
use crate::identity::ClaimValue;

/// Which way a block counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `[[route.allow]]`
    Allow,
    /// `[[route.deny]]`
    Deny,
}

/// A block, and what became of it.
#[derive(Debug)]
pub struct Examined<'r> {
    /// Which way it counts.
    pub kind: Kind,
    /// The block.
    pub block: &'r Block,
    /// Whether all of its conditions hold.
    pub holds: bool,
    /// Its conditions, as they are written.
    pub findings: Vec<Finding<'r>>,
}

/// A condition, and what was found.
#[derive(Debug)]
pub struct Finding<'r> {
    /// The condition.
    pub condition: &'r Condition,
    /// Whether it holds.
    pub outcome: Outcome,
    /// What was found, as a person reads it; none where there was nothing.
    pub found: Option<String>,
    /// What may have gone wrong.
    pub hint: Option<String>,
    /// Of a `not`: what was found of the conditions within, alternative by alternative.
    pub within: Vec<Vec<Self>>,
}

impl Rules {
    /// Every block, deny first, in the order that they are looked at.
    #[must_use]
    pub fn examine(&self, facts: &Facts<'_>) -> Vec<Examined<'_>> {
        let deny = self.deny.iter().map(|block| (Kind::Deny, block));
        let allow = self.allow.iter().map(|block| (Kind::Allow, block));
        let examined = deny.chain(allow).map(|(kind, block)| Examined {
            kind,
            block,
            holds: block.holds(facts),
            findings: block.conditions.iter().map(|condition| finding(condition, facts)).collect(),
        });
        examined.collect()
    }
}

fn finding<'r>(condition: &'r Condition, facts: &Facts<'_>) -> Finding<'r> {
    let outcome = condition.outcome(facts);
    let within = match &condition.test {
        Test::Not(alternatives) => {
            alternatives.iter().map(|all| all.iter().map(|inner| finding(inner, facts)).collect()).collect()
        }
        _ => Vec::new(),
    };
    let hint = if outcome == Outcome::Holds { None } else { hint(&condition.test, facts) };
    Finding { condition, outcome, found: found(&condition.test, facts), hint, within }
}

fn found(test: &Test, facts: &Facts<'_>) -> Option<String> {
    match test {
        Test::Claim(subject, _) | Test::Pattern(subject, _) => subject.of(facts.claims).map(Found::shown),
        Test::ClientAddress(_) => facts.client.map(|address| address.to_string()),
        Test::EmailDomain(_) => facts.claims.get("email").map(|email| Found::Value(email).shown()),
        Test::Method(_) => Some(facts.method.to_string()),
        Test::Not(_) => None,
        Test::Path(_) => facts.path.canonical().map(str::to_owned),
        Test::Time(windows) => windows.first().map(|window| window.zone.describe(facts.now)),
    }
}

impl Found<'_> {
    fn shown(self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Value(ClaimValue::Text(text)) => quoted(text),
            Self::Value(ClaimValue::List(texts)) => {
                format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
            }
            Self::Value(ClaimValue::Json(json)) => json.clone(),
        }
    }

    fn texts(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.to_owned()],
            Self::Value(ClaimValue::Text(text)) => vec![text.clone()],
            Self::Value(ClaimValue::List(texts)) => texts.clone(),
            Self::Value(ClaimValue::Json(_)) => Vec::new(),
        }
    }
}

/// Between quotes, with what a terminal would not show in escapes.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// What often goes wrong, where it seems to have.
fn hint(test: &Test, facts: &Facts<'_>) -> Option<String> {
    match test {
        Test::Claim(subject, values) => {
            let found = subject.of(facts.claims)?;
            other_type(subject, found, values).or_else(|| alike(found.texts(), values.texts().map(str::to_owned)))
        }
        Test::EmailDomain(domains) => {
            let email = facts.claims.text("email")?;
            let Some(domain) = super::domain::domain(email) else {
                return Some("this is no e-mail address: one @, visible ASCII".to_owned());
            };
            let bare = domains.texts().find(|suffix| suffix.strip_prefix('.') == Some(domain));
            bare.map(|suffix| format!("{suffix:?} is what is below it; {domain:?} itself takes a value of its own"))
                .or_else(|| alike(vec![domain.to_owned()], domains.texts().map(str::to_owned)))
        }
        Test::Method(methods) if *facts.method == http::Method::HEAD && methods.contains(&http::Method::GET) => {
            Some("HEAD is a method of its own: add it beside GET".to_owned())
        }
        Test::Path(paths) => facts.path.canonical().and_then(|path| alike_path(path, paths.prefixes())),
        Test::Pattern(subject, globs) => alike(subject.of(facts.claims)?.texts(), globs.texts()),
        Test::ClientAddress(_) | Test::Method(_) | Test::Not(_) | Test::Time(_) => None,
    }
}

fn other_type(subject: &Subject, found: Found<'_>, values: &super::Values) -> Option<String> {
    let Found::Value(value) = found else { return None };
    values.has_of_other_type(value).then(|| match value {
        ClaimValue::Json(json) => format!("the claim is {json}, not the text {json:?}: write it without quotes"),
        _ => format!("`{}` is a text here: write it between quotes", subject.name()),
    })
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Self::Claim(name) => name.clone(),
            Self::Member(way) => way.join("."),
            Self::Sub => "sub".to_owned(),
        }
    }
}

/// A value that differs from what was found in capitals, or in spaces, alone.
fn alike(found: Vec<String>, wanted: impl Iterator<Item = String>) -> Option<String> {
    let bare = |text: &str| text.to_lowercase().split_whitespace().collect::<String>();
    let found: Vec<(String, String)> = found.into_iter().map(|text| (bare(&text), text)).collect();
    wanted.into_iter().find_map(|wanted| {
        let (_, close) = found.iter().find(|(bare_text, text)| *bare_text == bare(&wanted) && *text != wanted)?;
        let what = if close.to_lowercase() == wanted.to_lowercase() { "capitals" } else { "spaces" };
        Some(format!("it differs from {wanted:?} in {what} only, and values are compared byte for byte"))
    })
}

fn alike_path<'p>(path: &str, mut prefixes: impl Iterator<Item = &'p str>) -> Option<String> {
    let path = path.to_lowercase();
    let close = prefixes.find(|prefix| path.starts_with(&prefix.to_lowercase()))?;
    Some(format!("it would be under {close:?} but for capitals, or for the end of a segment"))
}
