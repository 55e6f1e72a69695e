//! Keys that sign, and their public halves as JWK (RFC 7517, RFC 8037) and PEM.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{base64url, sha256};
use crate::secret::Secret;

/// What a key signs with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyType {
    /// Ed25519: `EdDSA` in a JWS, `ed25519` in RFC 9421.
    Ed25519,
    /// ECDSA on P-256 with SHA-256: `ES256` in a JWS, `ecdsa-p256-sha256` in RFC 9421.
    EcdsaP256,
    /// HMAC-SHA-256: `HS256` in a JWS, `hmac-sha256` in RFC 9421.
    HmacSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256: `RS256` in a JWS.
    Rsa2048,
}

impl KeyType {
    /// The algorithm's name in a JWS header (RFC 7518 section 3.1, RFC 8037 section 3.1).
    #[must_use]
    pub const fn jws_alg(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::EcdsaP256 => "ES256",
            Self::HmacSha256 => "HS256",
            Self::Rsa2048 => "RS256",
        }
    }
}

/// A private or secret key and its identifier.
pub struct SigningKey {
    kid: String,
    key: Key,
}

enum Key {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
    HmacSha256(Box<hmac::Key>),
    Rsa2048(RsaKeyPair),
}

/// Why a key could not be made or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The text is not one PKCS #8 `PRIVATE KEY` block.
    #[error("not a PKCS #8 private key in PEM")]
    NotPem,
    /// The bytes are not a key of the type named.
    #[error("not a usable key of this type")]
    Unusable,
}

impl SigningKey {
    /// A new key pair. An HMAC key is never generated: it is shared with its application.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unusable`] for [`KeyType::HmacSha256`].
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let key = match key_type {
            KeyType::Ed25519 => Key::Ed25519(Ed25519KeyPair::generate().map_err(|_| KeyError::Unusable)?),
            KeyType::EcdsaP256 => Key::EcdsaP256(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Unusable)?,
            ),
            KeyType::Rsa2048 => Key::Rsa2048(RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Unusable)?),
            KeyType::HmacSha256 => return Err(KeyError::Unusable),
        };
        Ok(Self::identified(key))
    }

    /// A key shared with one application, under the identifier `kid`.
    #[must_use]
    pub fn hmac_sha256(kid: impl Into<String>, secret: &[u8]) -> Self {
        Self { kid: kid.into(), key: Key::HmacSha256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))) }
    }

    /// Reads a PKCS #8 key of the given type from PEM (RFC 7468 section 10).
    ///
    /// # Errors
    ///
    /// [`KeyError`] where the text is no such key.
    pub fn from_pem(key_type: KeyType, pem: &str) -> Result<Self, KeyError> {
        let der = pem_body(pem, "PRIVATE KEY").ok_or(KeyError::NotPem)?;
        let unusable = |_| KeyError::Unusable;
        let key = match key_type {
            KeyType::Ed25519 => Key::Ed25519(Ed25519KeyPair::from_pkcs8(&der).map_err(unusable)?),
            KeyType::EcdsaP256 => {
                Key::EcdsaP256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(unusable)?)
            }
            KeyType::Rsa2048 => Key::Rsa2048(RsaKeyPair::from_pkcs8(&der).map_err(unusable)?),
            KeyType::HmacSha256 => return Err(KeyError::Unusable),
        };
        Ok(Self::identified(key))
    }

    /// The private key as PKCS #8 in PEM; none for an HMAC key.
    #[must_use]
    pub fn to_pem(&self) -> Option<Secret<String>> {
        let der = match &self.key {
            Key::Ed25519(pair) => pair.to_pkcs8v1().ok()?.as_ref().to_vec(),
            Key::EcdsaP256(pair) => pair.to_pkcs8v1().ok()?.as_ref().to_vec(),
            Key::Rsa2048(pair) => AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(pair).ok()?.as_ref().to_vec(),
            Key::HmacSha256(_) => return None,
        };
        Some(Secret::new(pem("PRIVATE KEY", &der)))
    }

    /// The public key as SubjectPublicKeyInfo in PEM (RFC 7468 section 13); none for an HMAC key.
    #[must_use]
    pub fn to_public_pem(&self) -> Option<String> {
        let der = match &self.key {
            Key::Ed25519(pair) => pair.public_key().as_der().ok()?.as_ref().to_vec(),
            Key::EcdsaP256(pair) => pair.public_key().as_der().ok()?.as_ref().to_vec(),
            Key::Rsa2048(pair) => {
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).ok()?.as_ref().to_vec()
            }
            Key::HmacSha256(_) => return None,
        };
        Some(pem("PUBLIC KEY", &der))
    }

    /// The public key as a JWK with `kid`, `alg` and `use`; none for an HMAC key, which is never published.
    #[must_use]
    pub fn to_jwk(&self) -> Option<Value> {
        let mut jwk = self.key.public_members()?;
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.key_type().jws_alg());
        jwk["use"] = json!("sig");
        Some(jwk)
    }

    /// The key's identifier: the JWK thumbprint (RFC 7638), or the name given to an HMAC key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What the key signs with.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self.key {
            Key::Ed25519(_) => KeyType::Ed25519,
            Key::EcdsaP256(_) => KeyType::EcdsaP256,
            Key::HmacSha256(_) => KeyType::HmacSha256,
            Key::Rsa2048(_) => KeyType::Rsa2048,
        }
    }

    /// Signs `message`. An ECDSA signature is the 64 bytes `r || s` that both JWS and RFC 9421 use.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.key {
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Key::EcdsaP256(pair) => {
                pair.sign(&rng, message).expect("a P-256 key pair signs any message").as_ref().to_vec()
            }
            Key::HmacSha256(key) => hmac::sign(key, message).as_ref().to_vec(),
            Key::Rsa2048(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &rng, message, &mut signed)
                    .expect("an RSA key pair signs any message into a buffer of its modulus' length");
                signed
            }
        }
    }

    fn identified(key: Key) -> Self {
        let kid = key.public_members().map(|jwk| base64url(&sha256(jwk.to_string().as_bytes()))).unwrap_or_default();
        Self { kid, key }
    }
}

impl Key {
    /// The required members of the public JWK in lexical order, as RFC 7638 section 3.2 hashes them.
    fn public_members(&self) -> Option<Value> {
        match self {
            Self::Ed25519(pair) => {
                Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(pair.public_key().as_ref()) }))
            }
            Self::EcdsaP256(pair) => {
                // An uncompressed point: 0x04, then the two coordinates.
                let point = pair.public_key().as_ref().get(1..)?;
                let (x, y) = point.split_at_checked(32)?;
                Some(json!({ "crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y) }))
            }
            Self::HmacSha256(_) => None,
            Self::Rsa2048(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero();
                let exponent = public.exponent().big_endian_without_leading_zero();
                Some(json!({ "e": base64url(exponent), "kty": "RSA", "n": base64url(modulus) }))
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("type", &self.key_type()).finish_non_exhaustive()
    }
}

/// A key that verifies what a [`SigningKey`] signed.
#[derive(Clone)]
pub struct VerifyingKey(Verifier);

#[derive(Clone)]
enum Verifier {
    Public(KeyType, Vec<u8>),
    Shared(Box<hmac::Key>),
}

impl VerifyingKey {
    /// The key of a JWK of type `OKP` (Ed25519) or `EC` (P-256); none for any other.
    #[must_use]
    pub fn from_jwk(jwk: &Value) -> Option<Self> {
        let coordinate = |name: &str| super::from_base64url(jwk.get(name)?.as_str()?).filter(|bytes| bytes.len() == 32);
        match (jwk.get("kty")?.as_str()?, jwk.get("crv")?.as_str()?) {
            ("OKP", "Ed25519") => Some(Self(Verifier::Public(KeyType::Ed25519, coordinate("x")?))),
            ("EC", "P-256") => {
                let point = [&[4][..], &coordinate("x")?, &coordinate("y")?].concat();
                Some(Self(Verifier::Public(KeyType::EcdsaP256, point)))
            }
            _ => None,
        }
    }

    /// The key of a `PUBLIC KEY` block (SubjectPublicKeyInfo) of the given type.
    #[must_use]
    pub fn from_pem(key_type: KeyType, text: &str) -> Option<Self> {
        let der = pem_body(text, "PUBLIC KEY")?;
        let raw_length = match key_type {
            KeyType::Ed25519 => 32,
            KeyType::EcdsaP256 => 65,
            KeyType::HmacSha256 | KeyType::Rsa2048 => return None,
        };
        let raw = der.get(der.len().checked_sub(raw_length)?..)?;
        Some(Self(Verifier::Public(key_type, raw.to_vec())))
    }

    /// The key shared with one application.
    #[must_use]
    pub fn hmac_sha256(secret: &[u8]) -> Self {
        Self(Verifier::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    /// What the key verifies.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match &self.0 {
            Verifier::Public(key_type, _) => *key_type,
            Verifier::Shared(_) => KeyType::HmacSha256,
        }
    }

    /// Whether `signed` is this key's signature of `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signed: &[u8]) -> bool {
        let algorithm: &'static dyn signature::VerificationAlgorithm = match &self.0 {
            Verifier::Public(KeyType::Ed25519, _) => &signature::ED25519,
            Verifier::Public(KeyType::EcdsaP256, _) => &signature::ECDSA_P256_SHA256_FIXED,
            Verifier::Public(KeyType::HmacSha256 | KeyType::Rsa2048, _) => return false,
            Verifier::Shared(key) => return hmac::verify(key, message, signed).is_ok(),
        };
        let Verifier::Public(_, bytes) = &self.0 else { return false };
        UnparsedPublicKey::new(algorithm, bytes).verify(message, signed).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.key_type()).finish()
    }
}

impl FromStr for KeyType {
    type Err = KeyError;

    /// Reads the algorithm's name in RFC 9421.
    fn from_str(name: &str) -> Result<Self, KeyError> {
        match name {
            "ecdsa-p256-sha256" => Ok(Self::EcdsaP256),
            "ed25519" => Ok(Self::Ed25519),
            "hmac-sha256" => Ok(Self::HmacSha256),
            _ => Err(KeyError::Unusable),
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn pem_body(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.split_once(&begin)?.1.split_once(&end)?.0;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: [KeyType; 2] = [KeyType::Ed25519, KeyType::EcdsaP256];

    #[test]
    fn a_signature_verifies_by_jwk_and_by_pem_and_no_other_message_does() {
        for key_type in PUBLISHED {
            let key = SigningKey::generate(key_type).unwrap();
            let signed = key.sign(b"message");
            let by_jwk = VerifyingKey::from_jwk(&key.to_jwk().unwrap()).unwrap();
            let by_pem = VerifyingKey::from_pem(key_type, &key.to_public_pem().unwrap()).unwrap();
            for verifier in [by_jwk, by_pem] {
                assert!(verifier.verify(b"message", &signed));
                assert!(!verifier.verify(b"massage", &signed));
            }
        }
    }

    #[test]
    fn a_key_survives_pem() {
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::Rsa2048] {
            let key = SigningKey::generate(key_type).unwrap();
            let read = SigningKey::from_pem(key_type, key.to_pem().unwrap().expose()).unwrap();
            assert_eq!(read.kid(), key.kid());
        }
    }

    #[test]
    fn the_identifier_is_the_thumbprint_of_rfc_8037_appendix_a_3() {
        // RFC 8037 appendix A.1: the key whose thumbprint appendix A.3 computes.
        let seed = super::super::from_base64url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::identified(Key::Ed25519(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()));
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn an_hmac_key_is_never_published() {
        let key = SigningKey::hmac_sha256("paie", b"secret");
        assert!(key.to_jwk().is_none() && key.to_pem().is_none() && key.to_public_pem().is_none());
        assert!(VerifyingKey::hmac_sha256(b"secret").verify(b"m", &key.sign(b"m")));
        assert_eq!(format!("{key:?}"), "SigningKey { kid: \"paie\", type: HmacSha256, .. }");
    }
}
