//! The values that a condition on a claim accepts, compared byte for byte and type for type.

use foldhash::HashSet;

use super::condition::Outcome;
use crate::identity::ClaimValue;

/// A value in a rule.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Value {
    /// A JSON boolean or whole number, as JSON writes it.
    Literal(String),
    /// A string.
    Text(String),
}

/// Values, of which a claim must have one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Values {
    literals: HashSet<Box<str>>,
    texts: HashSet<Box<str>>,
}

impl Values {
    /// Whether `text` is one of them; undecided where they hold no text.
    pub(super) fn of_text(&self, text: &str) -> Outcome {
        among(&self.texts, [text])
    }

    /// Whether `claim` is one of them, or as a list has one of them. A claim of another type than every value is
    /// undecided: it neither satisfies a condition nor its negation.
    pub(super) fn of(&self, claim: &ClaimValue) -> Outcome {
        match claim {
            ClaimValue::Json(json) => among(&self.literals, [json.as_str()]),
            ClaimValue::List(elements) => among(&self.texts, elements.iter().map(String::as_str)),
            ClaimValue::Text(text) => self.of_text(text),
        }
    }

    /// The strings, in no order.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// Whether a string and a literal that read alike are taken for each other: one of `found` is there as the other
    /// type.
    pub(super) fn has_of_other_type(&self, found: &ClaimValue) -> bool {
        match found {
            ClaimValue::Json(json) => self.texts.contains(json.as_str()),
            ClaimValue::Text(text) => self.literals.contains(text.as_str()),
            ClaimValue::List(_) => false,
        }
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut set = Self::default();
        for value in values {
            match value {
                Value::Literal(literal) => set.literals.insert(literal.into()),
                Value::Text(text) => set.texts.insert(text.into()),
            };
        }
        set
    }
}

fn among<'t>(known: &HashSet<Box<str>>, found: impl IntoIterator<Item = &'t str>) -> Outcome {
    if known.is_empty() {
        return Outcome::Undecided;
    }
    Outcome::holds_if(found.into_iter().any(|text| known.contains(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[Value]) -> Values {
        values.iter().cloned().collect()
    }

    #[test]
    fn types_are_not_taken_for_each_other() {
        let (text, literal) = (values(&[Value::Text("true".into())]), values(&[Value::Literal("true".into())]));
        assert_eq!(text.of(&ClaimValue::Text("true".into())), Outcome::Holds);
        assert_eq!(text.of(&ClaimValue::Json("true".into())), Outcome::Undecided);
        assert_eq!(literal.of(&ClaimValue::Json("true".into())), Outcome::Holds);
        assert_eq!(literal.of(&ClaimValue::Text("true".into())), Outcome::Undecided);
        assert_eq!(literal.of(&ClaimValue::List(vec!["true".into()])), Outcome::Undecided);
        assert_eq!(literal.of(&ClaimValue::Json("[true]".into())), Outcome::Fails);
        assert!(text.has_of_other_type(&ClaimValue::Json("true".into())));
    }

    #[test]
    fn one_element_of_a_list_is_enough_and_an_empty_list_has_none() {
        let roles = values(&[Value::Text("agent_public".into()), Value::Text("x".into())]);
        let list = |elements: &[&str]| ClaimValue::List(elements.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(roles.of(&list(&["a", "agent_public"])), Outcome::Holds);
        assert_eq!(roles.of(&list(&["agent_public,x"])), Outcome::Fails);
        assert_eq!(roles.of(&list(&[])), Outcome::Fails);
    }

    #[test]
    fn nothing_is_folded_or_trimmed() {
        let set = values(&[Value::Text("é@gouv.fr".into())]);
        for other in ["É@gouv.fr", "e\u{301}@gouv.fr", "é@gouv.fr ", "é@gouv.f", "é@gouv\u{2024}fr"] {
            assert_eq!(set.of_text(other), Outcome::Fails, "{other}");
        }
    }
}
