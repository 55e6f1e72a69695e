//! The provider's keys. RSA keys are made once per process, since that takes a second.

use std::sync::{Arc, OnceLock};

use portillon::crypto::signing::{KeyType, SigningKey};
use serde_json::{Value, json};

/// The keys that the provider signs with, and those that its JWK Set publishes.
pub struct Keys {
    signing: Vec<Arc<SigningKey>>,
    /// What the JWK Set holds.
    pub published: Vec<Arc<SigningKey>>,
}

impl Keys {
    /// An RSA key and a P-256 key, both published.
    pub fn new() -> Self {
        let signing = vec![rsa_key(0), ec_key()];
        Self { published: signing.clone(), signing }
    }

    /// Signs with new keys from now on. The old ones stay published where `overlap` says so.
    pub fn rotate(&mut self, overlap: bool) {
        let old = std::mem::replace(&mut self.signing, vec![rsa_key(1), ec_key()]);
        self.published.clone_from(&self.signing);
        if overlap {
            self.published.extend(old);
        }
    }

    /// The key that signs with the JWS algorithm `alg`.
    pub fn signing(&self, alg: &str) -> Arc<SigningKey> {
        let found = self.signing.iter().find(|key| key.key_type().jws_alg() == alg);
        Arc::clone(found.expect("the provider has a key of every type registered"))
    }

    /// The JWK Set (RFC 7517 section 5).
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().filter_map(|key| key.to_jwk()).collect::<Vec<_>>() })
    }
}

/// One of the process's RSA keys.
pub fn rsa_key(which: usize) -> Arc<SigningKey> {
    static KEYS: [OnceLock<Arc<SigningKey>>; 3] = [const { OnceLock::new() }; 3];
    Arc::clone(KEYS[which].get_or_init(|| generate(KeyType::Rsa2048)))
}

/// A new P-256 key.
pub fn ec_key() -> Arc<SigningKey> {
    generate(KeyType::EcdsaP256)
}

fn generate(key_type: KeyType) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(key_type).expect("this machine makes keys"))
}
