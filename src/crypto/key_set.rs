//! Keys that verify, by identifier: what an application reads from the gateway's JWK Set (RFC 7517) or PEM files.

use serde_json::Value;

use super::signing::VerifyingKey;

/// Verifying keys by `kid`.
#[derive(Clone, Debug, Default)]
pub struct VerifyingKeys(Vec<(String, VerifyingKey)>);

/// The text is no JWK Set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a JWK Set")]
pub struct NotAJwkSet;

impl VerifyingKeys {
    /// One key, read from PEM or shared with the gateway.
    #[must_use]
    pub fn single(kid: impl Into<String>, key: VerifyingKey) -> Self {
        Self::default().with(kid, key)
    }

    /// The keys of a JWK Set; those without `kid` or of a type that nobody here signs with are left out, as RFC 7517
    /// section 5 wants.
    ///
    /// # Errors
    ///
    /// [`NotAJwkSet`] where the text is not JSON with a list of `keys`.
    pub fn from_jwks(text: &str) -> Result<Self, NotAJwkSet> {
        let set: Value = serde_json::from_str(text).map_err(|_| NotAJwkSet)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(NotAJwkSet)?;
        let read = |jwk: &Value| Some((jwk.get("kid")?.as_str()?.to_owned(), VerifyingKey::from_jwk(jwk)?));
        Ok(Self(keys.iter().filter_map(read).collect()))
    }

    /// These keys and one more.
    #[must_use]
    pub fn with(mut self, kid: impl Into<String>, key: VerifyingKey) -> Self {
        self.0.push((kid.into(), key));
        self
    }

    /// The key called `kid`.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.iter().find(|(known, _)| known == kid).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::key_ring::KeyRing;
    use crate::crypto::signing::KeyType;

    #[test]
    fn the_set_that_a_ring_publishes_finds_its_keys() {
        let now = Timestamp::from_secs(0);
        let ring = KeyRing::ephemeral(now);
        let keys = VerifyingKeys::from_jwks(ring.jwks()).unwrap();
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = ring.request_key(key_type, now).unwrap();
            assert!(keys.find(key.kid()).unwrap().verify(b"m", &key.sign(b"m")));
        }
        assert!(keys.find("").is_none());
    }

    #[test]
    fn what_is_no_key_is_left_out_and_what_is_no_set_is_an_error() {
        let strange =
            r#"{"keys":[{"kty":"oct","k":"AA","kid":"a"},{"kty":"OKP","crv":"Ed25519","x":"short","kid":"b"},7]}"#;
        let keys = VerifyingKeys::from_jwks(strange).unwrap();
        assert!(keys.find("a").is_none() && keys.find("b").is_none());
        for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert_eq!(VerifyingKeys::from_jwks(text).err(), Some(NotAJwkSet));
        }
    }
}
