//! Sealing: AES-256-GCM (NIST SP 800-38D) under a key derived afresh for each message (HKDF, RFC 5869), so that no
//! number of messages wears a sealing key out.
//!
//! A sealed message is: version (1 byte), key id (4), salt (24), ciphertext, tag (16). Version, key id, purpose and
//! context are authenticated: a message opens only for what, and where, it was sealed.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use aws_lc_rs::{hkdf, hmac};

use super::{base64url, random, sha256};
use crate::secret::Secret;

const VERSION: u8 = 1;
const SALT: std::ops::Range<usize> = 5..29;

/// What a message is sealed for. A message sealed for one purpose opens for no other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Purpose(&'static str);

impl Purpose {
    /// The purpose called `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// A 256-bit key that seals and opens.
#[derive(Clone)]
pub struct SealingKey {
    id: [u8; 4],
    secret: Secret<[u8; 32]>,
}

/// Why a message does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Too short, or of an unknown version.
    #[error("not a sealed message")]
    Malformed,
    /// Changed on its way, or sealed for another purpose or context.
    #[error("the seal is broken")]
    Tampered,
    /// Sealed under a key that is not at hand.
    #[error("sealed under an unknown key")]
    UnknownKey,
}

impl SealingKey {
    /// The key made of these 32 random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let hash = sha256(&secret);
        Self { id: [hash[0], hash[1], hash[2], hash[3]], secret: Secret::new(secret) }
    }

    /// The first 4 bytes of the key's SHA-256: enough to tell keys apart, no use to find one.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The key itself, for the file that keeps it.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        self.secret.expose()
    }

    /// HMAC-SHA-256 of `text` for `purpose`, half of it, in base64url.
    pub(super) fn pseudonym(&self, purpose: &str, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret());
        let message = [b"portillon pseudonym\0", purpose.as_bytes(), b"\0", text.as_bytes()].concat();
        base64url(&hmac::sign(&key, &message).as_ref()[..16])
    }

    /// Seals `plaintext` for `purpose` in `context` (a host, say).
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &str, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&random::<{ SALT.end - SALT.start }>());
        let (cipher, nonce) = self.message_key(&sealed[SALT]);
        let aad = associated_data(&sealed[..SALT.start], purpose, context);
        let ciphertext =
            cipher.encrypt(&nonce, Payload { msg: plaintext, aad: &aad }).expect("a message is shorter than 64 GiB");
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Opens what [`SealingKey::seal`] sealed for the same purpose and context.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where it was not sealed so, or not by this key.
    pub fn open(&self, purpose: Purpose, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        if key_id(sealed)? != self.id {
            return Err(OpenError::UnknownKey);
        }
        let (cipher, nonce) = self.message_key(&sealed[SALT]);
        let aad = associated_data(&sealed[..SALT.start], purpose, context);
        cipher.decrypt(&nonce, Payload { msg: &sealed[SALT.end..], aad: &aad }).map_err(|_| OpenError::Tampered)
    }

    fn message_key(&self, salt: &[u8]) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.secret.expose());
        let mut okm = [0; 44];
        prk.expand(&[b"portillon sealed message"], Length(okm.len()))
            .and_then(|expanded| expanded.fill(&mut okm))
            .expect("44 bytes are within what HKDF-SHA-256 expands to");
        let (key, nonce) = okm.split_at(32);
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::try_from(key).expect("an AES-256 key is 32 bytes"));
        (cipher, Nonce::try_from(nonce).expect("a GCM nonce is 12 bytes"))
    }
}

/// The id of the key that sealed a message.
///
/// # Errors
///
/// [`OpenError::Malformed`] where it is no sealed message.
pub fn key_id(sealed: &[u8]) -> Result<[u8; 4], OpenError> {
    match sealed {
        [VERSION, a, b, c, d, rest @ ..] if rest.len() >= SALT.end - SALT.start + 16 => Ok([*a, *b, *c, *d]),
        _ => Err(OpenError::Malformed),
    }
}

/// Purpose and context are length-delimited: no two pairs of them read alike.
fn associated_data(head: &[u8], purpose: Purpose, context: &str) -> Vec<u8> {
    let length = |text: &str| (text.len() as u64).to_be_bytes();
    [head, &length(purpose.0), purpose.0.as_bytes(), &length(context), context.as_bytes()].concat()
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Purpose = Purpose::new("session");
    const LOGIN: Purpose = Purpose::new("login");

    #[test]
    fn a_message_opens_for_its_own_purpose_context_and_key_only() {
        let key = SealingKey::new(random());
        let sealed = key.seal(SESSION, "a.fr", b"message");
        assert_eq!(key.open(SESSION, "a.fr", &sealed).as_deref(), Ok(&b"message"[..]));
        assert_eq!(key.open(LOGIN, "a.fr", &sealed), Err(OpenError::Tampered));
        assert_eq!(key.open(SESSION, "b.fr", &sealed), Err(OpenError::Tampered));
        assert_eq!(SealingKey::new(random()).open(SESSION, "a.fr", &sealed), Err(OpenError::UnknownKey));
    }

    #[test]
    fn a_message_changed_anywhere_does_not_open() {
        let key = SealingKey::new(random());
        let sealed = key.seal(SESSION, "a.fr", b"message");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(SESSION, "a.fr", &changed).is_err(), "byte {at}");
            assert!(key.open(SESSION, "a.fr", &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn no_two_messages_are_sealed_alike() {
        let key = SealingKey::new(random());
        assert_ne!(key.seal(SESSION, "", b"m"), key.seal(SESSION, "", b"m"));
    }
}
