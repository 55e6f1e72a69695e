//! Signs requests (RFC 9421 section 3.1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::base::{push_derived, push_field, push_params};
use super::component::{Component, Target};
use super::params::{self, Params};
use super::{Algorithm, LABEL};
use crate::clock::Timestamp;
use crate::crypto::signing::SigningKey;

/// Room for the derived components and the parameters, so that a base is allocated once.
const TYPICAL_BASE: usize = 512;

/// Signs the requests of one route.
#[derive(Clone, Debug)]
pub struct Signer {
    tag: String,
    lifetime: Duration,
}

/// The fields that a signature covers, written for the base once per session and route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CoveredFields {
    /// ` "x-agent-sub" "x-agent-email"`, each with a space before it.
    identifiers: String,
    /// Their lines in the base.
    lines: String,
}

/// The two fields that carry a signature (RFC 9421 section 4).
#[derive(Clone, Debug)]
pub struct SignatureFields {
    /// `Signature-Input`
    pub signature_input: HeaderValue,
    /// `Signature`
    pub signature: HeaderValue,
}

impl CoveredFields {
    /// Covers these fields, each of which the request has once.
    pub fn new<'a>(fields: impl Iterator<Item = (&'a str, &'a HeaderValue)>) -> Self {
        let mut covered = Self::none();
        for (name, value) in fields {
            covered.push(name, value);
        }
        covered
    }

    /// Covers no field: the request is public and has no identity.
    #[must_use]
    pub const fn none() -> Self {
        Self { identifiers: String::new(), lines: String::new() }
    }

    fn push(&mut self, name: &str, value: &HeaderValue) {
        let bs = !value.as_bytes().is_ascii();
        let component = Component::Field { name: name.to_ascii_lowercase(), bs };
        self.identifiers.push(' ');
        self.identifiers.push_str(&component.to_string());
        push_field(&mut self.lines, &component, &[value.as_bytes()]).expect("what is not ASCII is wrapped");
    }
}

impl Signer {
    /// Signs for the application called `tag`; what it signs is valid for `lifetime`.
    #[must_use]
    pub const fn new(tag: String, lifetime: Duration) -> Self {
        Self { tag, lifetime }
    }

    /// Signs a request for `target` with the fields `covered`.
    #[must_use]
    pub fn sign(
        &self,
        key: &SigningKey,
        target: &Target<'_>,
        covered: &CoveredFields,
        created: Timestamp,
        nonce: &str,
    ) -> SignatureFields {
        let mut base = String::with_capacity(TYPICAL_BASE + covered.lines.len() + covered.identifiers.len());
        for component in &Component::DERIVED {
            push_derived(&mut base, component, target);
        }
        base.push_str(&covered.lines);
        push_params(&mut base, "");
        let input_at = base.len();
        self.push_input(&mut base, key, covered, (created, nonce));
        SignatureFields {
            signature_input: field(&base[input_at..]),
            signature: field(&format!(":{}:", STANDARD.encode(key.sign(base.as_bytes())))),
        }
    }

    fn push_input(
        &self,
        base: &mut String,
        key: &SigningKey,
        covered: &CoveredFields,
        (created, nonce): (Timestamp, &str),
    ) {
        base.push_str("(\"@method\" \"@authority\" \"@path\" \"@query\"");
        base.push_str(&covered.identifiers);
        base.push(')');
        let params = Params {
            created,
            expires: created.plus(self.lifetime),
            keyid: key.kid(),
            alg: Algorithm::of(key.key_type()).unwrap_or_default(),
            nonce,
            tag: &self.tag,
        };
        params::push(base, &params);
    }
}

fn field(member: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{LABEL}={member}")).expect("structured fields are visible ASCII and spaces")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crypto::signing::KeyType;

    /// The value of a `Signature` field with these bytes.
    pub(in crate::signature) fn byte_sequence(signed: &[u8]) -> Vec<u8> {
        field(&format!(":{}:", STANDARD.encode(signed))).as_bytes().to_vec()
    }

    const TARGET: Target<'static> = Target { method: "GET", authority: "Paie.example:8443", path: "", query: None };

    fn sign(key: &SigningKey, tag: &str, covered: &CoveredFields) -> (String, String) {
        let signer = Signer::new(tag.to_owned(), Duration::from_secs(60));
        let fields = signer.sign(key, &TARGET, covered, Timestamp::from_secs(100), "n");
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        (text(fields.signature_input), text(fields.signature))
    }

    #[test]
    fn what_is_signed_is_the_base_of_section_2_5() {
        let email = HeaderValue::from_static("a@b");
        let covered = CoveredFields::new([("X-Agent-Email", &email)].into_iter());
        let key = SigningKey::hmac_sha256("k", b"secret");
        let (input, signature) = sign(&key, "paie", &covered);
        let params = "(\"@method\" \"@authority\" \"@path\" \"@query\" \"x-agent-email\")\
            ;created=100;expires=160;keyid=\"k\";alg=\"hmac-sha256\";nonce=\"n\";tag=\"paie\"";
        assert_eq!(input, format!("portillon={params}"));
        let base = format!(
            "\"@method\": GET\n\"@authority\": paie.example:8443\n\"@path\": /\n\"@query\": ?\n\
             \"x-agent-email\": a@b\n\"@signature-params\": {params}"
        );
        assert_eq!(signature.as_bytes(), byte_sequence(&key.sign(base.as_bytes())));
    }

    #[test]
    fn no_audience_can_break_out_of_its_parameter() {
        let key = SigningKey::generate(KeyType::Ed25519).unwrap();
        let (input, _) = sign(&key, "a\";x=\"\\\r\né", &CoveredFields::none());
        assert!(input.ends_with(";tag=\"a\\\";x=\\\"\\\\???\""), "{input}");
    }
}
