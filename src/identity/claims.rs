//! The verified claims of an agent (OpenID Connect Core 1.0 section 5; AgentConnect «données fournies»).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of a claim, in the shapes that AgentConnect sends.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ClaimValue {
    /// A JSON object, number or boolean, as compact JSON (`custom` is an object).
    Json(String),
    /// A list of strings (`roles`, `amr`).
    List(Vec<String>),
    /// A string.
    Text(String),
}

impl ClaimValue {
    /// The string, where the claim is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(_) | Self::List(_) => None,
        }
    }

    /// Whether this claim is `wanted`, or a list that holds it. Bytes are compared, nothing is normalised.
    #[must_use]
    pub fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::Json(json) => json == wanted,
            Self::List(elements) => elements.iter().any(|element| element == wanted),
            Self::Text(text) => text == wanted,
        }
    }
}

impl fmt::Display for ClaimValue {
    /// As a person reads it: a list with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) | Self::Text(text) => f.write_str(text),
            Self::List(elements) => f.write_str(&elements.join(", ")),
        }
    }
}

/// Verified claims by name, absent ones left out. `sub` is always there: see [`Claims::sub`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claims {
    sub: String,
    others: BTreeMap<String, ClaimValue>,
}

impl Claims {
    /// The claims of the agent whose subject identifier is `sub`.
    #[must_use]
    pub fn new(sub: impl Into<String>) -> Self {
        Self { sub: sub.into(), others: BTreeMap::new() }
    }

    /// Adds a claim other than `sub`, which stays what it is.
    pub fn insert(&mut self, name: impl Into<String>, value: ClaimValue) {
        let name = name.into();
        if name != "sub" {
            self.others.insert(name, value);
        }
    }

    /// The subject identifier: the one claim that names the agent for good.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// The claim called `name`, `sub` excepted.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ClaimValue> {
        self.others.get(name)
    }

    /// The claim called `name` where it is a string; `sub` too.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        if name == "sub" { Some(&self.sub) } else { self.get(name).and_then(ClaimValue::as_text) }
    }

    /// Whether the claim called `name` is, or as a list holds, `wanted`. An absent claim holds nothing.
    #[must_use]
    pub fn holds(&self, name: &str, wanted: &str) -> bool {
        if name == "sub" { self.sub == wanted } else { self.get(name).is_some_and(|value| value.holds(wanted)) }
    }

    /// Every claim but `sub`, by name.
    pub fn others(&self) -> impl Iterator<Item = (&str, &ClaimValue)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_claim_holds_nothing_and_a_list_holds_its_elements() {
        let mut claims = Claims::new("s");
        claims.insert("roles", ClaimValue::List(vec!["agent_public".into()]));
        assert!(claims.holds("roles", "agent_public"));
        assert!(!claims.holds("roles", "agent"));
        assert!(!claims.holds("siret", ""));
        assert!(claims.holds("sub", "s"));
    }
}
