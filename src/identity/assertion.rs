//! The JWT assertion (`X-Agent-Assertion`): the agent's identity for one application, signed ES256 (RFC 7519, RFC 7515).

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::release::{self, Release};
use super::{ClaimValue, Claims};
use crate::clock::Timestamp;
use crate::crypto::key_set::VerifyingKeys;
use crate::crypto::signing::{KeyType, SigningKey};
use crate::crypto::{from_base64url, jws, random_token};

/// How far the clocks of the gateway and of an application may differ.
const SKEW: Duration = Duration::from_secs(60);

/// Issues the assertions of one route.
#[derive(Clone, Debug)]
pub struct AssertionIssuer {
    issuer: String,
    audience: String,
    lifetime: Duration,
    release: Release,
}

/// An assertion, to be sent until it is renewed.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The compact JWS.
    pub token: HeaderValue,
    /// From here on, at half its life, a new one is issued: an application always has as long again to use it.
    pub renew_at: Timestamp,
}

impl AssertionIssuer {
    /// Issues as `issuer`, the origin that agents see (`https://paie.example`), for `audience`, with the claims
    /// `released` (none named: all).
    #[must_use]
    pub const fn new(issuer: String, audience: String, lifetime: Duration, released: Option<BTreeSet<String>>) -> Self {
        Self { issuer, audience, lifetime, release: Release::new(released) }
    }

    /// Issues an assertion for the agent of `claims`, whose session applications know as `sid`.
    #[must_use]
    pub fn issue(&self, key: &SigningKey, claims: &Claims, sid: &str, now: Timestamp) -> Assertion {
        let mut payload = Map::new();
        for (name, value) in self.release.of(claims) {
            let value = to_json(&value);
            if release::fits(name, value.to_string().len()) {
                payload.insert(name.to_owned(), value);
            }
        }
        // After the claims: none of them can take the place of what the gateway vouches for.
        let registered = [
            ("iss", json!(self.issuer)),
            ("aud", json!(self.audience)),
            ("sub", json!(claims.sub())),
            ("sid", json!(sid)),
            ("iat", json!(now)),
            ("exp", json!(now.plus(self.lifetime))),
            ("jti", json!(random_token::<16>())),
        ];
        payload.remove("nbf");
        payload.extend(registered.map(|(name, value)| (name.to_owned(), value)));
        let token = jws::sign(key, "JWT", &Value::Object(payload));
        let token = HeaderValue::try_from(token).expect("base64url and dots are legal in a field value");
        Assertion { token, renew_at: now.plus(self.lifetime / 2) }
    }
}

/// In the JSON type that the provider sent.
fn to_json(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        ClaimValue::List(elements) => json!(elements),
        ClaimValue::Text(text) => json!(text),
    }
}

/// Why an assertion is not one that this application may believe.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssertionError {
    /// For another application.
    #[error("the assertion is for another audience")]
    Audience,
    /// Too old.
    #[error("the assertion has expired")]
    Expired,
    /// From another gateway or host.
    #[error("the assertion is from another issuer")]
    Issuer,
    /// Not three parts of base64url, not JSON, or without what every assertion holds.
    #[error("not an assertion")]
    Malformed,
    /// From the future.
    #[error("the assertion was issued in the future")]
    NotYetValid,
    /// Changed on its way, or signed by another key.
    #[error("the signature of the assertion does not hold")]
    Signature,
    /// Signed under a key that is not at hand; the JWK Set may have a newer one.
    #[error("the assertion is signed under an unknown key")]
    UnknownKey,
    /// Not signed ES256.
    #[error("the assertion is not signed with ES256")]
    WrongAlgorithm,
}

/// The claims of an assertion that `issuer` made for `audience`.
///
/// An application that also reads `X-Agent-Session` compares it with `sid`.
///
/// # Errors
///
/// [`AssertionError`] where the assertion must not be believed.
pub fn verify(
    token: &str,
    keys: &VerifyingKeys,
    issuer: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Map<String, Value>, AssertionError> {
    let (signing_input, signature) = token.rsplit_once('.').ok_or(AssertionError::Malformed)?;
    let (header, payload) = signing_input.split_once('.').ok_or(AssertionError::Malformed)?;
    let header = json_object(header)?;
    if header.get("alg") != Some(&json!("ES256")) {
        return Err(AssertionError::WrongAlgorithm);
    }
    // RFC 7515 section 4.1.11: an extension that is not understood must be refused.
    if header.get("typ") != Some(&json!("JWT")) || header.contains_key("crit") {
        return Err(AssertionError::Malformed);
    }
    let kid = header.get("kid").and_then(Value::as_str).ok_or(AssertionError::UnknownKey)?;
    let key = keys.find(kid).filter(|key| key.key_type() == KeyType::EcdsaP256).ok_or(AssertionError::UnknownKey)?;
    let signature = from_base64url(signature).ok_or(AssertionError::Malformed)?;
    if !key.verify(signing_input.as_bytes(), &signature) {
        return Err(AssertionError::Signature);
    }
    let payload = json_object(payload)?;
    check_claims(&payload, (issuer, audience), now)?;
    Ok(payload)
}

fn json_object(part: &str) -> Result<Map<String, Value>, AssertionError> {
    let bytes = from_base64url(part).ok_or(AssertionError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AssertionError::Malformed)
}

fn check_claims(
    payload: &Map<String, Value>,
    (issuer, audience): (&str, &str),
    now: Timestamp,
) -> Result<(), AssertionError> {
    let instant = |name: &str| {
        payload.get(name).and_then(Value::as_u64).map(Timestamp::from_secs).ok_or(AssertionError::Malformed)
    };
    let text = |name: &str| payload.get(name).and_then(Value::as_str).ok_or(AssertionError::Malformed);
    let (issued, expires) = (instant("iat")?, instant("exp")?);
    for name in ["sub", "sid", "jti"] {
        text(name)?;
    }
    if text("iss")? != issuer {
        Err(AssertionError::Issuer)
    } else if text("aud")? != audience {
        Err(AssertionError::Audience)
    } else if issued > now.plus(SKEW) {
        Err(AssertionError::NotYetValid)
    } else if expires.plus(SKEW) <= now {
        Err(AssertionError::Expired)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key_ring::KeyRing;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    /// Issuer and audience.
    const EXPECTED: (&str, &str) = ("https://paie.example", "paie");

    fn agent() -> Claims {
        let mut claims = Claims::new("s-1");
        claims.insert("given_name", ClaimValue::Text("Zoë".into()));
        claims.insert("roles", ClaimValue::List(vec!["agent_public".into()]));
        claims.insert("custom", ClaimValue::Json(r#"{"a":[1,true]}"#.into()));
        claims.insert("siret", ClaimValue::Text("13002526500013".into()));
        for forged in ["iss", "aud", "sid", "exp", "jti", "nbf"] {
            claims.insert(forged, ClaimValue::Text("forged".into()));
        }
        claims
    }

    fn issuer(released: Option<&[&str]>) -> AssertionIssuer {
        let released = released.map(|names| names.iter().map(ToString::to_string).collect());
        AssertionIssuer::new(EXPECTED.0.into(), EXPECTED.1.into(), Duration::from_secs(300), released)
    }

    fn issued() -> (KeyRing, VerifyingKeys, String) {
        let ring = KeyRing::ephemeral(NOW);
        let keys = VerifyingKeys::from_jwks(ring.jwks()).unwrap();
        let assertion = issuer(None).issue(ring.assertion_key(NOW), &agent(), "sid-1", NOW);
        (ring, keys, assertion.token.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_assertion_carries_claims_in_their_types_and_the_gateway_s_own_word() {
        let (_, keys, token) = issued();
        let claims = verify(&token, &keys, EXPECTED.0, EXPECTED.1, NOW).unwrap();
        assert_eq!(claims["roles"], json!(["agent_public"]));
        assert_eq!(claims["custom"], json!({ "a": [1, true] }));
        assert_eq!(claims["given_name"], json!("Zoë"));
        assert_eq!((&claims["sub"], &claims["sid"]), (&json!("s-1"), &json!("sid-1")));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW.as_secs() + 300)));
        assert!(!claims.contains_key("nbf") && claims["jti"].as_str().unwrap().len() == 22);
    }

    #[test]
    fn a_limited_route_receives_only_its_claims_and_always_the_subject() {
        let ring = KeyRing::ephemeral(NOW);
        let keys = VerifyingKeys::from_jwks(ring.jwks()).unwrap();
        let assertion = issuer(Some(&["roles"])).issue(ring.assertion_key(NOW), &agent(), "sid-1", NOW);
        let claims = verify(assertion.token.to_str().unwrap(), &keys, EXPECTED.0, EXPECTED.1, NOW).unwrap();
        let names: Vec<_> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "roles", "sid", "sub"]);
        assert_eq!(assertion.renew_at, NOW.plus(Duration::from_secs(150)));
    }

    #[test]
    fn only_the_right_application_believes_it_and_only_in_its_time() {
        let (_, keys, token) = issued();
        let at = |seconds: u64| Timestamp::from_secs(seconds);
        let outcome = |expected: (&str, &str), now| verify(&token, &keys, expected.0, expected.1, now).err();
        assert_eq!(outcome(("https://paie.example", "conges"), NOW), Some(AssertionError::Audience));
        assert_eq!(outcome(("https://paie.example:8443", "paie"), NOW), Some(AssertionError::Issuer));
        assert_eq!(outcome(EXPECTED, at(NOW.as_secs() + 359)), None);
        assert_eq!(outcome(EXPECTED, at(NOW.as_secs() + 360)), Some(AssertionError::Expired));
        assert_eq!(outcome(EXPECTED, at(NOW.as_secs() - 60)), None);
        assert_eq!(outcome(EXPECTED, at(NOW.as_secs() - 61)), Some(AssertionError::NotYetValid));
        let other = VerifyingKeys::from_jwks(KeyRing::ephemeral(NOW).jwks()).unwrap();
        assert_eq!(verify(&token, &other, EXPECTED.0, EXPECTED.1, NOW).err(), Some(AssertionError::UnknownKey));
    }

    #[test]
    fn a_changed_or_differently_signed_token_is_not_believed() {
        let (ring, keys, token) = issued();
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = signing_input.split_once('.').unwrap();
        let outcome = |token: &str| verify(token, &keys, EXPECTED.0, EXPECTED.1, NOW).err();
        let changed = payload.replacen(&payload[20..21], if &payload[20..21] == "A" { "B" } else { "A" }, 1);
        assert_eq!(outcome(&format!("{header}.{changed}.{signature}")), Some(AssertionError::Signature));
        assert_eq!(outcome(&format!("{header}.{payload}.")), Some(AssertionError::Signature));
        for token in ["", ".", "..", "a.b", "a.b.c"] {
            assert_eq!(outcome(token), Some(AssertionError::Malformed), "{token}");
        }
        let key = ring.assertion_key(NOW);
        let resigned = |header: Value| jws::sign_with_header(key, &header, &json!({}));
        let none = resigned(json!({ "alg": "none", "kid": key.kid(), "typ": "JWT" }));
        assert_eq!(outcome(&none), Some(AssertionError::WrongAlgorithm));
        let critical = resigned(json!({ "alg": "ES256", "kid": key.kid(), "typ": "JWT", "crit": ["b64"] }));
        assert_eq!(outcome(&critical), Some(AssertionError::Malformed));
        let logout = resigned(json!({ "alg": "ES256", "kid": key.kid(), "typ": "logout+jwt" }));
        assert_eq!(outcome(&logout), Some(AssertionError::Malformed));
        let ed25519 = ring.request_key(KeyType::Ed25519, NOW).unwrap();
        let confused =
            jws::sign_with_header(ed25519, &json!({ "alg": "ES256", "kid": ed25519.kid(), "typ": "JWT" }), &json!({}));
        assert_eq!(outcome(&confused), Some(AssertionError::UnknownKey));
    }
}
