//! The identity headers of one route, compiled when the configuration loads.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue};

use super::release::{self, Release};
use super::{ClaimValue, Claims, Encoding};
use crate::http_ext::{capitalized, folded_name};

/// What every identity header starts with (`[identity] header_prefix`); whatever a client sends under it is dropped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderPrefix {
    text: String,
    folded: String,
}

/// Why a text is no header prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderPrefixError {
    /// Something else than letters, digits and `-`, or no letter first, or no `-` last.
    #[error("a header prefix is letters, digits and '-', starts with a letter and ends with '-'")]
    Shape,
    /// Headers that applications need would be dropped with it.
    #[error("this prefix would also reserve `{0}`")]
    TooWide(&'static str),
}

/// Headers of clients that must reach applications, or that the gateway itself writes.
const NEEDED: [&str; 14] = [
    "accept-language",
    "access-control-request-method",
    "cache-control",
    "content-type",
    "if-none-match",
    "last-event-id",
    "proxy-connection",
    "sec-websocket-key",
    "signature-input",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
    "x-forwarded-for",
    "x-requested-with",
];

impl HeaderPrefix {
    /// As configured: `X-Agent-`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In lower case (see [`folded_name`]): a received header that folds under it is dropped.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The header of the claim called `claim`: words capitalised, whatever separates them as `-`.
    #[must_use]
    pub fn header_of(&self, claim: &str) -> String {
        self.text.clone() + &capitalized(&folded_name(claim))
    }
}

impl Default for HeaderPrefix {
    fn default() -> Self {
        Self { text: "X-Agent-".to_owned(), folded: "x-agent-".to_owned() }
    }
}

impl fmt::Display for HeaderPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for HeaderPrefix {
    type Err = HeaderPrefixError;

    fn from_str(text: &str) -> Result<Self, HeaderPrefixError> {
        let shaped = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.ends_with('-');
        if !shaped {
            return Err(HeaderPrefixError::Shape);
        }
        let folded = folded_name(text);
        match NEEDED.into_iter().find(|name| name.starts_with(&folded)) {
            Some(name) => Err(HeaderPrefixError::TooWide(name)),
            None => Ok(Self { text: text.to_owned(), folded }),
        }
    }
}

/// Which claims of an agent go into which headers of a route's requests, and how.
#[derive(Clone, Debug)]
pub struct HeaderPlan {
    prefix: HeaderPrefix,
    encoding: Encoding,
    release: Release,
    extra: Vec<(HeaderName, String)>,
    session_name: String,
    assertion_name: String,
}

impl HeaderPlan {
    /// The plan of a route that receives the claims `released` (none named: all) and, under names of its own, those
    /// of `extra`, whether released or not.
    #[must_use]
    pub fn new(
        prefix: &HeaderPrefix,
        encoding: Encoding,
        released: Option<&BTreeSet<String>>,
        extra: &[(HeaderName, String)],
    ) -> Self {
        Self {
            encoding,
            release: Release::new(released.cloned()),
            extra: extra.to_vec(),
            session_name: prefix.header_of("session"),
            assertion_name: prefix.header_of("assertion"),
            prefix: prefix.clone(),
        }
    }

    /// The headers of an agent, whose session applications know as `session_pseudonym`.
    ///
    /// Each name is there once: a claim whose name folds to that of another header gives way, ours come first.
    #[must_use]
    pub fn headers(&self, claims: &Claims, session_pseudonym: &str) -> IdentityHeaders {
        let pseudonym = ClaimValue::Text(session_pseudonym.to_owned());
        let mut headers = vec![(self.session_name.clone(), Encoding::Percent.encode(&pseudonym))];
        for field in self.fields(claims) {
            let value = self.encoding.encode(&field.value);
            if release::fits(field.claim, value.len()) {
                headers.push((field.header, value));
            }
        }
        IdentityHeaders(headers)
    }

    /// What the application learns of an agent, as a person reads it.
    #[must_use]
    pub fn fields<'c>(&'c self, claims: &'c Claims) -> Vec<Field<'c>> {
        let mut taken = HashSet::from([folded_name(&self.session_name), folded_name(&self.assertion_name)]);
        let released = self.release.of(claims).into_iter();
        let released = released.map(|(claim, value)| Field { header: self.prefix.header_of(claim), claim, value });
        let extra = self.extra.iter().filter_map(|(name, claim)| {
            let value = release::lookup(claims, claim)?;
            Some(Field { header: capitalized(&folded_name(name.as_str())), claim, value })
        });
        released.chain(extra).filter(|field| taken.insert(folded_name(&field.header))).collect()
    }

    /// The header of the assertion: `X-Agent-Assertion`.
    #[must_use]
    pub fn assertion_name(&self) -> &str {
        &self.assertion_name
    }

    /// The headers outside the prefix that this route reserves too.
    pub fn extra_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.extra.iter().map(|(name, _)| name)
    }
}

/// One thing that an application learns of an agent.
#[derive(Clone, Debug)]
pub struct Field<'c> {
    /// The header that it goes out in (`X-Agent-Usual-Name`).
    pub header: String,
    /// The claim's name (`usual_name`).
    pub claim: &'c str,
    /// The claim's value, not encoded.
    pub value: Cow<'c, ClaimValue>,
}

/// The identity headers of a request, the assertion excepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityHeaders(Vec<(String, HeaderValue)>);

impl IdentityHeaders {
    /// Name, words capitalised, and value; no two names fold alike.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> Claims {
        let mut claims = Claims::new("s-1");
        claims.insert("given_name", ClaimValue::Text("Zoë".into()));
        claims.insert("siren", ClaimValue::Text("130025265".into()));
        claims.insert("siret", ClaimValue::Text("13002526500013".into()));
        claims.insert("roles", ClaimValue::List(vec![]));
        claims.insert("chorusdt:matricule", ClaimValue::Text("42".into()));
        claims
    }

    fn headers(plan: &HeaderPlan, claims: &Claims) -> Vec<String> {
        plan.headers(claims, "p").iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    fn plan(released: Option<&[&str]>, extra: &[(&'static str, &str)]) -> HeaderPlan {
        let released = released.map(|names| names.iter().map(ToString::to_string).collect());
        let extra: Vec<_> =
            extra.iter().map(|(name, claim)| (HeaderName::from_static(name), (*claim).to_owned())).collect();
        HeaderPlan::new(&HeaderPrefix::default(), Encoding::Percent, released.as_ref(), &extra)
    }

    #[test]
    fn claims_go_out_under_the_names_of_the_contract() {
        assert_eq!(
            headers(&plan(None, &[]), &agent()),
            [
                "X-Agent-Session: p",
                "X-Agent-Sub: s-1",
                "X-Agent-Chorusdt-Matricule: 42",
                "X-Agent-Given-Name: Zo%C3%AB",
                "X-Agent-Roles: ",
                "X-Agent-Siren: 130025265",
                "X-Agent-Siret: 13002526500013",
            ]
        );
    }

    #[test]
    fn a_route_receives_what_it_is_limited_to_and_the_session() {
        assert_eq!(
            headers(&plan(Some(&["siren", "email"]), &[]), &agent()),
            ["X-Agent-Session: p", "X-Agent-Siren: 130025265"]
        );
    }

    #[test]
    fn an_application_s_own_names_carry_the_same_encoding() {
        let plan = plan(Some(&[]), &[("remote-user", "sub"), ("x-name", "given_name"), ("x-phone", "phone_number")]);
        assert_eq!(headers(&plan, &agent()), ["X-Agent-Session: p", "Remote-User: s-1", "X-Name: Zo%C3%AB"]);
        assert_eq!(plan.extra_names().count(), 3);
    }

    #[test]
    fn no_claim_takes_the_name_of_another_header() {
        let mut claims = agent();
        for name in ["session", "Session", "assertion", "SUB", "given-name", "given.name"] {
            claims.insert(name, ClaimValue::Text("evil".into()));
        }
        let headers = headers(&plan(None, &[("x-agent-session", "email")]), &claims);
        let mut names: Vec<_> = headers.iter().map(|line| folded_name(line.split(':').next().unwrap())).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(headers.contains(&"X-Agent-Session: p".to_owned()));
        assert!(!headers.iter().any(|line| line.starts_with("X-Agent-Assertion")));
        assert!(headers.contains(&"X-Agent-Sub: s-1".to_owned()));
    }

    #[test]
    fn a_value_over_the_cap_is_left_out_whole() {
        let mut claims = agent();
        claims.insert("organizational_unit", ClaimValue::Text("é".repeat(50_000)));
        claims.insert("roles", ClaimValue::List(vec!["r".into(); 10_000]));
        let written = headers(&plan(None, &[]), &claims);
        assert!(!written.iter().any(|line| line.starts_with("X-Agent-Organ") || line.starts_with("X-Agent-Roles")));
        assert!(written.contains(&"X-Agent-Sub: s-1".to_owned()));
    }

    #[test]
    fn a_prefix_reserves_no_header_that_applications_need() {
        assert_eq!("X-Agent-".parse::<HeaderPrefix>(), Ok(HeaderPrefix::default()));
        assert_eq!("Oidc-".parse::<HeaderPrefix>().unwrap().header_of("usual_name"), "Oidc-Usual-Name");
        for shapeless in ["", "-", "X-Agent", "1-", "X_Agent-", "X Agent-", "X-Agent-\n", "É-"] {
            assert_eq!(shapeless.parse::<HeaderPrefix>(), Err(HeaderPrefixError::Shape), "{shapeless:?}");
        }
        for wide in ["X-", "Content-", "Sec-", "Sec-WebSocket-", "Signature-", "X-Forwarded-"] {
            assert!(matches!(wide.parse::<HeaderPrefix>(), Err(HeaderPrefixError::TooWide(_))), "{wide}");
        }
    }
}
