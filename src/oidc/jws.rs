//! A token of the provider: compact JWS (RFC 7515 section 7.1), read with the best current practices of RFC 8725.
//!
//! The algorithm is the registered one and never the token's choice; the key is one of the provider's and never one
//! that the token brings or points to (`jwk`, `jku`, `x5c`, `x5u` are not looked at).

use openidconnect::JsonWebKey as _;
use openidconnect::core::CoreJsonWebKey;
use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::error::TokenProblem;
use super::json::{self, Object};
use super::keys::Keys;
use crate::crypto::{base64url, equal, from_base64url};

/// A token whose signature is still to be verified.
pub(super) struct Jws<'a> {
    algorithm: SignatureAlgorithm,
    kid: Option<String>,
    signing_input: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// The claims of a token whose signature was verified, and the key that did.
pub(super) struct Verified<'k> {
    pub(super) claims: Object,
    key: &'k CoreJsonWebKey,
    algorithm: SignatureAlgorithm,
}

impl<'a> Jws<'a> {
    /// Takes a token apart and reads its header, which must name exactly `algorithm`.
    pub(super) fn parse(token: &'a str, algorithm: SignatureAlgorithm) -> Result<Self, TokenProblem> {
        Self::parse_typed(token, algorithm, None)
    }

    /// The same, of a kind of token with a `typ` of its own, which it may leave out.
    pub(super) fn parse_typed(
        token: &'a str,
        algorithm: SignatureAlgorithm,
        own_type: Option<&str>,
    ) -> Result<Self, TokenProblem> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenProblem::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenProblem::Malformed)?;
        let header = decode(header)?;
        if header.get("alg").and_then(Value::as_str) != Some(algorithm.name()) {
            return Err(TokenProblem::Algorithm);
        }
        if header.contains_key("crit") {
            return Err(TokenProblem::Critical);
        }
        reject_other_type(&header, own_type)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(TokenProblem::Malformed),
        };
        let signature = from_base64url(signature).ok_or(TokenProblem::Malformed)?;
        Ok(Self { algorithm, kid, signing_input, payload, signature })
    }

    /// Reads the claims, once one of `keys` verified the signature.
    pub(super) fn verify<'k>(&self, keys: &'k Keys) -> Result<Verified<'k>, TokenProblem> {
        let candidates = keys.candidates(self.algorithm, self.kid.as_deref());
        if candidates.is_empty() {
            return Err(TokenProblem::UnknownKey);
        }
        let key = candidates.into_iter().find(|key| self.is_signed_by(key)).ok_or(TokenProblem::Signature)?;
        Ok(Verified { claims: decode(self.payload)?, key, algorithm: self.algorithm })
    }

    fn is_signed_by(&self, key: &CoreJsonWebKey) -> bool {
        // openidconnect 4.1 panics on an HMAC of another length.
        if self.algorithm.hmac_length().is_some_and(|length| length != self.signature.len()) {
            return false;
        }
        key.verify_signature(&self.algorithm.jws(), self.signing_input.as_bytes(), &self.signature).is_ok()
    }
}

impl Verified<'_> {
    /// Whether `hash` is the left half of the hash of `text`, as `at_hash` is of the access token (OpenID Connect Core
    /// 1.0 section 3.1.3.6).
    pub(super) fn is_half_hash(&self, hash: &str, text: &str) -> bool {
        let Ok(digest) = self.key.hash_bytes(text.as_bytes(), &self.algorithm.jws()) else { return false };
        let (half, _) = digest.split_at(digest.len() / 2);
        equal(base64url(half).as_bytes(), hash.as_bytes())
    }
}

/// Explicit typing (RFC 8725 section 3.11): `at+jwt`, `logout+jwt` and their like are no ID token and no userinfo.
fn reject_other_type(header: &Object, own_type: Option<&str>) -> Result<(), TokenProblem> {
    let Some(typ) = header.get("typ") else { return Ok(()) };
    let typ = typ.as_str().ok_or(TokenProblem::Malformed)?.to_ascii_lowercase();
    // RFC 7515 section 4.1.9: `application/` may be left out.
    let short = typ.strip_prefix("application/").unwrap_or(&typ);
    if typ.ends_with("+jwt") && own_type != Some(short) { Err(TokenProblem::Type) } else { Ok(()) }
}

fn decode(part: &str) -> Result<Object, TokenProblem> {
    from_base64url(part).and_then(|text| json::object(&text)).ok_or(TokenProblem::Malformed)
}
