//! HTTP Message Signatures (RFC 9421) over the request that an upstream receives.
//!
//! One signature, labelled `portillon`, covers the method, the authority, the path, the query and every identity header
//! of the request. What does not change from one request of a session to the next is written once: see
//! [`CoveredFields`] and [`Signer`].

use std::fmt;
use std::str::FromStr;

use crate::crypto::signing::KeyType;

pub mod base;
pub mod component;
pub mod params;
pub mod sign;
pub mod verify;

pub use component::{Component, Target};
pub use sign::{CoveredFields, SignatureFields, Signer};

/// The label of our signature in `Signature-Input` and `Signature` (RFC 9421 section 4).
pub const LABEL: &str = "portillon";

/// The algorithm of request signatures, by its name in RFC 9421 section 6.2.2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Algorithm {
    /// `ecdsa-p256-sha256`
    EcdsaP256Sha256,
    /// `ed25519`
    #[default]
    Ed25519,
    /// `hmac-sha256`
    HmacSha256,
}

/// The name is not that of an algorithm that we sign with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a signature algorithm is one of ed25519, ecdsa-p256-sha256, hmac-sha256")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// The name of RFC 9421 section 6.2.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::Ed25519 => "ed25519",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    /// The algorithm of keys of this type; none for RSA, which nobody signs requests with here.
    #[must_use]
    pub const fn of(key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::Ed25519 => Some(Self::Ed25519),
            KeyType::EcdsaP256 => Some(Self::EcdsaP256Sha256),
            KeyType::HmacSha256 => Some(Self::HmacSha256),
            KeyType::Rsa2048 => None,
        }
    }
}

impl From<Algorithm> for KeyType {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EcdsaP256Sha256 => Self::EcdsaP256,
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::HmacSha256 => Self::HmacSha256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let known = [Self::EcdsaP256Sha256, Self::Ed25519, Self::HmacSha256];
        known.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_and_its_key_type_name_each_other() {
        for name in ["ecdsa-p256-sha256", "ed25519", "hmac-sha256"] {
            let algorithm: Algorithm = name.parse().unwrap();
            assert_eq!(algorithm.to_string(), name);
            assert_eq!(Algorithm::of(KeyType::from(algorithm)), Some(algorithm));
        }
        assert_eq!("EdDSA".parse::<Algorithm>(), Err(UnknownAlgorithm));
        assert_eq!(Algorithm::of(KeyType::Rsa2048), None);
    }
}
