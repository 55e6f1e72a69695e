//! The keys that verify tokens: the provider's JWK Set (RFC 7517), or the client secret for HMAC algorithms.

use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JsonWebKeyUse as _, JwsSigningAlgorithm as _};
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

fn fits(key: &CoreJsonWebKey, algorithm: &CoreJwsSigningAlgorithm) -> bool {
    let type_fits = algorithm.key_type().as_ref() == Some(key.key_type());
    let use_fits = key.key_use().is_none_or(|key_use| key_use.allows_signature());
    let algorithm_fits = match key.signing_alg() {
        JsonWebKeyAlgorithm::Algorithm(only) => only == algorithm,
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    type_fits && use_fits && algorithm_fits
}
