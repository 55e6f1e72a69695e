//! The keys that verify tokens: the provider's JWK Set (RFC 7517), or the client secret for HMAC algorithms.

use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, SignatureVerificationError};
use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::json;

/// The keys of one provider and one client. No `Debug`: the client secret is among them.
#[derive(Clone)]
pub(super) struct Keys {
    provider: Vec<CoreJsonWebKey>,
    client_secret: CoreJsonWebKey,
}

impl Keys {
    /// The keys of a client with this secret, at a provider whose keys are not known (yet).
    pub(super) fn of_client(secret: &str) -> Self {
        Self { provider: Vec::new(), client_secret: CoreJsonWebKey::new_symmetric(secret.as_bytes().to_vec()) }
    }

    /// The same client's, with the provider's keys of this JWK Set document; none where it is no JWK Set. A member that
    /// is no usable key is left out (RFC 7517 section 5).
    pub(super) fn with_jwks(&self, document: &[u8]) -> Option<Self> {
        let set: CoreJsonWebKeySet = serde_json::from_value(Value::Object(json::object(document)?)).ok()?;
        Some(Self { provider: set.keys().clone(), client_secret: self.client_secret.clone() })
    }

    /// Whether a token signed with `algorithm` could be verified at all.
    pub(super) fn serves(&self, algorithm: SignatureAlgorithm) -> bool {
        !self.candidates(algorithm, None).is_empty()
    }

    /// The keys that may have signed with `algorithm` under `kid`; all that fit where the token names none.
    pub(super) fn candidates(&self, algorithm: SignatureAlgorithm, kid: Option<&str>) -> Vec<&CoreJsonWebKey> {
        if algorithm.uses_client_secret() {
            return vec![&self.client_secret];
        }
        let jws = algorithm.jws();
        let named = |key: &CoreJsonWebKey| kid.is_none() || key.key_id().map(|id| id.as_str()) == kid;
        self.provider.iter().filter(|key| fits(key, &jws) && named(key)).collect()
    }
}

/// Whether the key can verify signatures of this algorithm at all: type, use, `alg` and its own members. openidconnect
/// says so only when it is given something to verify, and then tells a useless key from a wrong signature.
fn fits(key: &CoreJsonWebKey, algorithm: &CoreJwsSigningAlgorithm) -> bool {
    matches!(key.verify_signature(algorithm, b"", b""), Ok(()) | Err(SignatureVerificationError::CryptoError(_)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::oidc::test_provider::{ec, jwks, rsa};

    fn keys(jwks: &Value) -> Keys {
        Keys::of_client("secret").with_jwks(jwks.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_key_serves_the_algorithms_of_its_type() {
        let both = keys(&jwks(&[rsa(), ec()]));
        assert_eq!(both.candidates(SignatureAlgorithm::Rs256, None).len(), 1);
        assert_eq!(both.candidates(SignatureAlgorithm::Es256, Some(ec().kid())).len(), 1);
        assert!(both.candidates(SignatureAlgorithm::Es256, Some(rsa().kid())).is_empty());
        assert!(!both.serves(SignatureAlgorithm::Es384) && !both.serves(SignatureAlgorithm::EdDsa));
    }

    #[test]
    fn use_and_alg_of_a_key_bind() {
        let with = |name: &str, value: &str| {
            let mut jwk = rsa().to_jwk().unwrap();
            jwk[name] = json!(value);
            keys(&json!({ "keys": [jwk] }))
        };
        assert!(!with("use", "enc").serves(SignatureAlgorithm::Rs256));
        assert!(!with("alg", "RS512").serves(SignatureAlgorithm::Rs256));
        assert!(!with("alg", "RSA-OAEP").serves(SignatureAlgorithm::Rs256));
        assert!(with("use", "sig").serves(SignatureAlgorithm::Rs256));
    }

    #[test]
    fn an_unusable_member_is_left_out() {
        let set = json!({ "keys": [
            { "kty": "RSA" }, { "kty": "RSA", "n": "AQ", "e": "AQAB" }, { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" },
            { "kty": "quantum" }, 7, rsa().to_jwk().unwrap(),
        ] });
        assert_eq!(keys(&set).candidates(SignatureAlgorithm::Rs256, None).len(), 1);
        assert!(!keys(&set).serves(SignatureAlgorithm::Es256));
    }

    #[test]
    fn a_shared_key_in_the_set_is_never_the_client_secret() {
        let set = keys(&json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "k" }] }));
        let candidates = set.candidates(SignatureAlgorithm::Hs256, Some("k"));
        assert_eq!(candidates, [&CoreJsonWebKey::new_symmetric(b"secret".to_vec())]);
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for document in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}"] {
            assert!(Keys::of_client("secret").with_jwks(document.as_bytes()).is_none(), "{document}");
        }
    }

    #[test]
    fn a_degenerate_rsa_key_verifies_nothing() {
        for (n, e) in
            [("", ""), ("AA", "AQAB"), ("AQ", "AQ"), ("Ag", "Aw"), ("BA", "Ag"), ("_w", "AQAB"), ("AAAA", "AA")]
        {
            let set = keys(&json!({ "keys": [{ "kty": "RSA", "n": n, "e": e }] }));
            for key in set.candidates(SignatureAlgorithm::Rs256, None) {
                for signature in [&b""[..], &[0], &[1], &[0, 0]] {
                    assert!(key.verify_signature(&SignatureAlgorithm::Rs256.jws(), b"m", signature).is_err());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_key_makes_it_stumble(
            (n, e) in (vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..6)),
            (x, y) in (vec(any::<u8>(), 0..70), vec(any::<u8>(), 0..70)),
            signature in vec(any::<u8>(), 300),
        ) {
            let of_the_moduluss_length = &signature[..n.len()];
            let [n, e, x, y] = [&n, &e, &x, &y].map(|bytes| crate::crypto::base64url(bytes));
            let set = keys(&json!({ "keys": [
                { "kty": "RSA", "n": n, "e": e }, { "kty": "EC", "crv": "P-256", "x": x, "y": y },
                { "kty": "EC", "crv": "P-384", "x": x, "y": y }, { "kty": "OKP", "crv": "Ed25519", "x": x },
            ] }));
            for algorithm in SignatureAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.uses_client_secret()) {
                for key in set.candidates(algorithm, None) {
                    for signature in [of_the_moduluss_length, &signature[..64], &signature[..96]] {
                        prop_assert!(key.verify_signature(&algorithm.jws(), b"message", signature).is_err());
                    }
                }
            }
        }
    }
}
