//! What reached the application, as it prints it.

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Settings, proof};
use crate::crypto::from_base64url;
use crate::http_ext::{folds_to, folds_under};

/// A request as it came.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// Every field line, names in lower case.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// A request with what its proofs are worth; `/json` gives it as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// The method.
    pub method: String,
    /// `Host`
    pub authority: String,
    /// The path, as it came.
    pub path: String,
    /// The query, as it came.
    pub query: Option<String>,
    /// Every `X-Agent-*` field.
    pub identity: Vec<Field>,
    /// `Signature-Input` and `Signature`.
    pub proof: Vec<Field>,
    /// What the gateway says about the way here (`Forwarded`, `X-Forwarded-*`, `traceparent`).
    pub forwarding: Vec<Field>,
    /// The RFC 9421 signature.
    pub signature: Verdict,
    /// The JWT assertion.
    pub assertion: Verdict,
}

/// A header field.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Field {
    /// The name, its words capitalised.
    pub name: String,
    /// The value on the wire.
    pub raw: String,
    /// The value for people; of the assertion, its claims.
    pub decoded: String,
}

/// Whether a proof holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether the application may believe it.
    pub holds: bool,
    /// What it covers, or why it does not hold.
    pub detail: String,
}

impl Received {
    /// The facts of `request`.
    pub(super) fn of(request: &Request<Bytes>) -> Self {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        let authority = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        Self {
            method: request.method().as_str().to_owned(),
            authority: authority.unwrap_or_default(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: request.headers().iter().map(line).collect(),
        }
    }

    /// The value of the one field called `name`, where it is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter().filter(|(other, _)| folds_to(other, name));
        let (first, none) = (lines.next()?, lines.next());
        none.is_none().then(|| std::str::from_utf8(&first.1).ok()).flatten()
    }

    fn fields(&self, wanted: impl Fn(&str) -> bool) -> Vec<Field> {
        let mut lines: Vec<_> = self.headers.iter().filter(|(name, _)| wanted(name)).collect();
        lines.sort();
        lines.into_iter().map(|(name, value)| Field::new(name, value)).collect()
    }
}

impl Report {
    /// Looks at `received` with the gateway's JWK Set in hand.
    pub(super) fn new(received: &Received, jwks: &str, settings: &Settings) -> Self {
        Self {
            method: received.method.clone(),
            authority: received.authority.clone(),
            path: received.path.clone(),
            query: received.query.clone(),
            identity: received.fields(|name| folds_under(name, PREFIX)),
            proof: received.fields(|name| matches!(name, "signature" | "signature-input")),
            forwarding: received.fields(|name| name == "traceparent" || name.contains("forwarded")),
            signature: proof::of_request(received, jwks, settings),
            assertion: proof::of_identity(received, jwks, settings),
        }
    }

    /// The decoded value of an identity header, by its name (`X-Agent-Email`).
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&str> {
        self.identity.iter().find(|field| field.name == name).map(|field| field.decoded.as_str())
    }

    /// Whether every proof holds.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.signature.holds && self.assertion.holds
    }

    /// The report as JSON.
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Field {
    fn new(name: &str, value: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(value).into_owned();
        let decoded = match name {
            "x-agent-assertion" => claims_text(&raw).unwrap_or_else(|| raw.clone()),
            _ if !folds_under(name, PREFIX) => raw.clone(),
            "x-agent-amr" | "x-agent-roles" => raw.split(',').map(decode).collect::<Vec<_>>().join(", "),
            _ => decode(&raw),
        };
        Self { name: capitalised(name), raw, decoded }
    }
}

/// Undoes the gateway's `percent` encoding: UTF-8 with `%XX` for every byte that is not visible ASCII, and for `%`.
fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

/// The claims of a JWT for reading; whether to believe them is another question.
fn claims_text(token: &str) -> Option<String> {
    let claims: Value = serde_json::from_slice(&from_base64url(token.split('.').nth(1)?)?).ok()?;
    serde_json::to_string_pretty(&claims).ok()
}

fn capitalised(name: &str) -> String {
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The folded prefix of identity headers.
pub(super) const PREFIX: &str = "x-agent-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_decoded_as_the_gateway_encoded_it() {
        let field = Field::new("x-agent-usual-name", b"L'H%C3%B4pital-%C3%91and%C3%BA");
        assert_eq!((field.name.as_str(), field.decoded.as_str()), ("X-Agent-Usual-Name", "L'Hôpital-Ñandú"));
        let unit = Field::new("x-agent-organizational-unit", b"P%C3%B4le%20100%20%25%2C%20%E2%80%A6+");
        assert_eq!(unit.decoded, "Pôle 100 %, …+", "a plus sign is one");
        let roles = Field::new("x-agent-roles", b"agent_public,a%2Cb");
        assert_eq!(roles.decoded, "agent_public, a,b");
        assert_eq!(Field::new("x-agent-roles", b"").decoded, "");
        assert_eq!(Field::new("x-forwarded-for", b"100%25").decoded, "100%25", "not ours to decode");
    }

    #[test]
    fn an_assertion_shows_its_claims_and_rubbish_shows_itself() {
        let token = format!("e30.{}.c2ln", crate::crypto::base64url(br#"{"sub":"s"}"#));
        assert_eq!(Field::new("x-agent-assertion", token.as_bytes()).decoded, "{\n  \"sub\": \"s\"\n}");
        assert_eq!(Field::new("x-agent-assertion", b"rubbish").decoded, "rubbish");
    }

    #[test]
    fn a_field_that_comes_twice_is_no_text() {
        let request = Request::builder().header("x-agent-sub", "a").header("x_agent_sub", "b").body(Bytes::new());
        let received = Received::of(&request.unwrap());
        assert_eq!(received.text("x-agent-sub"), None);
        assert_eq!(received.fields(|name| folds_under(name, PREFIX)).len(), 2, "both are shown");
    }
}
