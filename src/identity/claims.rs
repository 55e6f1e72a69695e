//! The verified claims of an agent (OpenID Connect Core 1.0 section 5; AgentConnect «données fournies»).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    #[serde(skip)]
    members: Members,
}

/// The members of claims that are objects, read when first asked for: the claim, then the way down.
#[derive(Clone, Default)]
struct Members(OnceLock<BTreeMap<Vec<String>, ClaimValue>>);

/// They follow from the claims, which are compared already.
impl PartialEq for Members {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Members {}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Claims {
    /// The claims of the agent whose subject identifier is `sub`.
    #[must_use]
    pub fn new(sub: impl Into<String>) -> Self {
        Self { sub: sub.into(), others: BTreeMap::new(), members: Members::default() }
    }

    /// Adds a claim other than `sub`, which stays what it is.
    pub fn insert(&mut self, name: impl Into<String>, value: ClaimValue) {
        let name = name.into();
        if name != "sub" {
            self.others.insert(name, value);
            self.members = Members::default();
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

    /// The member of a claim that is an object: `way` is the claim's name, then the names of members on the way down.
    #[must_use]
    pub fn member(&self, way: &[String]) -> Option<&ClaimValue> {
        let members = self.members.0.get_or_init(|| {
            let mut members = BTreeMap::new();
            for (name, claim) in &self.others {
                if let ClaimValue::Json(json) = claim
                    && let Ok(Value::Object(object)) = serde_json::from_str(json)
                {
                    collect(&mut vec![name.clone()], object, &mut members);
                }
            }
            members
        });
        members.get(way)
    }

    /// Every claim but `sub`, by name.
    pub fn others(&self) -> impl Iterator<Item = (&str, &ClaimValue)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Every member of `object` and of the objects in it; null is as good as absent.
fn collect(way: &mut Vec<String>, object: Map<String, Value>, members: &mut BTreeMap<Vec<String>, ClaimValue>) {
    for (name, value) in object {
        way.push(name);
        match value {
            Value::Null => {}
            Value::Object(inner) => collect(way, inner, members),
            other => drop(members.insert(way.clone(), claim_value(other))),
        }
        way.pop();
    }
}

fn claim_value(value: Value) -> ClaimValue {
    match value {
        Value::String(text) => ClaimValue::Text(text),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            ClaimValue::List(elements.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        other => ClaimValue::Json(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_an_object_are_found_by_the_whole_way() {
        let way = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut claims = Claims::new("s");
        assert_eq!(claims.member(&way(&["custom", "a"])), None);
        let json = r#"{"a":{"b":true,"c":["x"]},"a.b":"look-alike","n":3,"null":null,"mixed":[1,"x"]}"#;
        claims.insert("custom", ClaimValue::Json(json.into()));
        claims.insert("level", ClaimValue::Json("3".into()));
        let found = |names: &[&str]| claims.member(&way(names)).cloned();
        assert_eq!(found(&["custom", "a", "b"]), Some(ClaimValue::Json("true".into())));
        assert_eq!(found(&["custom", "a", "c"]), Some(ClaimValue::List(vec!["x".into()])));
        assert_eq!(found(&["custom", "a.b"]), Some(ClaimValue::Text("look-alike".into())));
        assert_eq!(found(&["custom", "n"]), Some(ClaimValue::Json("3".into())));
        assert_eq!(found(&["custom", "mixed"]), Some(ClaimValue::Json("[1,\"x\"]".into())));
        for absent in [&["custom", "a"][..], &["custom", "null"], &["custom"], &["level"], &["custom", "a", "b", "d"]] {
            assert_eq!(found(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn what_was_read_of_members_changes_neither_equality_nor_what_is_sealed() {
        let mut claims = Claims::new("s");
        claims.insert("custom", ClaimValue::Json("{\"a\":1}".into()));
        let (fresh, sealed) = (claims.clone(), postcard::to_stdvec(&claims).unwrap());
        assert!(claims.member(&["custom".to_owned(), "a".to_owned()]).is_some());
        assert_eq!((&claims, postcard::to_stdvec(&claims).unwrap()), (&fresh, sealed.clone()));
        assert_eq!(postcard::from_bytes::<Claims>(&sealed).unwrap(), claims);
    }
}
