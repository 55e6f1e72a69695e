//! The provider's signing keys, made when it starts, and the tokens that it signs with them.

use serde_json::{Value, json};

use super::registration::{Registration, SignedResponseAlg};
use crate::crypto::signing::{KeyError, KeyType, SigningKey, VerifyingKey};
use crate::crypto::{base64url, equal, from_base64url, jws, sha256};

/// One key of each type that AgentConnect publishes.
#[derive(Debug)]
pub(super) struct Keys {
    p256: SigningKey,
    rsa: SigningKey,
}

impl Keys {
    /// New keys.
    pub(super) fn generate() -> Result<Self, KeyError> {
        Ok(Self { p256: SigningKey::generate(KeyType::EcdsaP256)?, rsa: SigningKey::generate(KeyType::Rsa2048)? })
    }

    /// The JWK Set (RFC 7517 section 5).
    pub(super) fn jwks(&self) -> Value {
        let keys: Vec<_> = [&self.p256, &self.rsa].into_iter().filter_map(SigningKey::to_jwk).collect();
        json!({ "keys": keys })
    }

    /// A JWT for `client`. HS256 goes without `kid`: that key is in no JWK Set.
    pub(super) fn sign(&self, client: &Registration, alg: SignedResponseAlg, claims: &Value) -> String {
        match alg {
            SignedResponseAlg::Es256 => jws::sign(&self.p256, "JWT", claims),
            SignedResponseAlg::Hs256 => {
                jws::sign_with_header(&secret_key(client), &json!({ "alg": "HS256", "typ": "JWT" }), claims)
            }
            SignedResponseAlg::Rs256 => jws::sign(&self.rsa, "JWT", claims),
        }
    }

    /// Whether `token` is an ID token that [`Keys::sign`] made for `client`.
    pub(super) fn made(&self, client: &Registration, token: &str) -> bool {
        let Some((signing_input, signature)) = token.rsplit_once('.') else { return false };
        let Some(signature) = from_base64url(signature) else { return false };
        let message = signing_input.as_bytes();
        match client.id_token_signed_response_alg {
            SignedResponseAlg::Es256 => {
                let key = self.p256.to_jwk().and_then(|jwk| VerifyingKey::from_jwk(&jwk));
                key.is_some_and(|key| key.verify(message, &signature))
            }
            // Both are deterministic: the same message has the same signature.
            SignedResponseAlg::Hs256 => equal(&secret_key(client).sign(message), &signature),
            SignedResponseAlg::Rs256 => equal(&self.rsa.sign(message), &signature),
        }
    }
}

/// `at_hash` (OpenID Connect Core 1.0 section 3.1.3.6): every algorithm here hashes with SHA-256.
pub(super) fn at_hash(access_token: &str) -> String {
    let hash = sha256(access_token.as_bytes());
    base64url(hash.split_at(16).0)
}

/// The claims of a JWT whose signature nobody checked yet.
pub(super) fn unverified_claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&from_base64url(token.split('.').nth(1)?)?).ok()
}

fn secret_key(client: &Registration) -> SigningKey {
    SigningKey::hmac_sha256("", client.client_secret.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_the_left_half() {
        // OpenID Connect Core 1.0 appendix A.3: this access token has this at_hash.
        assert_eq!(at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
