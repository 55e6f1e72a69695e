//! What a signature covers: derived components (RFC 9421 section 2.2) and fields (section 2.1).

use std::fmt;
use std::str::FromStr;

/// The parts of a request target that a signature covers, as the upstream receives them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target<'a> {
    /// `GET`, case-sensitive.
    pub method: &'a str,
    /// Host and port as agents see them, without the default port of the scheme.
    pub authority: &'a str,
    /// The absolute path; an empty one stands for `/`.
    pub path: &'a str,
    /// What follows `?`; none where there is no `?`.
    pub query: Option<&'a str>,
}

/// A component identifier.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Component {
    /// `"@authority"` (section 2.2.3)
    Authority,
    /// A field by its lower-case name.
    Field {
        /// In lower case.
        name: String,
        /// Whether its value is wrapped as a byte sequence (`;bs`, section 2.1.3): it holds bytes outside ASCII.
        bs: bool,
    },
    /// `"@method"` (section 2.2.1)
    Method,
    /// `"@path"` (section 2.2.6)
    Path,
    /// `"@query"` (section 2.2.7)
    Query,
}

/// The text is no component identifier that we know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownComponent;

impl Component {
    /// The derived components that each of our signatures covers, in this order.
    pub const DERIVED: [Self; 4] = [Self::Method, Self::Authority, Self::Path, Self::Query];

    /// The name, `@` included, without quotes and parameters.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Authority => "@authority",
            Self::Field { name, .. } => name,
            Self::Method => "@method",
            Self::Path => "@path",
            Self::Query => "@query",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bs = if matches!(self, Self::Field { bs: true, .. }) { ";bs" } else { "" };
        write!(f, "\"{}\"{bs}", self.name())
    }
}

impl FromStr for Component {
    type Err = UnknownComponent;

    /// Reads an identifier in its one serialisation (RFC 8941 section 4.1.3.1), `"x-agent-email"` or `"…";bs`.
    fn from_str(text: &str) -> Result<Self, UnknownComponent> {
        let (quoted, bs) = text.strip_suffix(";bs").map_or((text, false), |quoted| (quoted, true));
        let name = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(UnknownComponent)?;
        let derived = Self::DERIVED.into_iter().find(|derived| derived.name() == name);
        match derived {
            Some(derived) if !bs => Ok(derived),
            None if is_field_name(name) => Ok(Self::Field { name: name.to_owned(), bs }),
            _ => Err(UnknownComponent),
        }
    }
}

/// Lower-case token characters (RFC 9110 section 5.6.2): none of them needs an escape inside quotes.
fn is_field_name(name: &str) -> bool {
    let is_token = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_one_spelling() {
        for text in ["\"@method\"", "\"@query\"", "\"x-agent-email\"", "\"x-agent-usual-name\";bs"] {
            assert_eq!(text.parse::<Component>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_ours_is_unknown() {
        for text in [
            "",
            "\"\"",
            "@method",
            "\"@method\";bs",
            "\"@method\";req",
            "\"@query-param\";name=\"Pet\"",
            "\"@signature-params\"",
            "\"X-Agent-Email\"",
            "\"x-agent-email\";sf",
            "\"x-agent-email\";bs;bs",
            "\"x-agent-email\" ;bs",
            "\"x agent\"",
            "\"a\\\"b\"",
        ] {
            assert_eq!(text.parse::<Component>(), Err(UnknownComponent), "{text}");
        }
    }
}
