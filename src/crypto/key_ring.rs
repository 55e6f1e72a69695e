//! The keys of a group of gateways, in `keys_dir`: sealing keys (the newest in force seals, all open) and signing keys
//! (the newest in force signs, all are published as a JWK Set, RFC 7517).
//!
//! A [`KeyRing`] is an immutable snapshot; [`KeyRings`] swaps it when the folder changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::aead::{self, OpenError, Purpose, SealingKey};
use super::sha256;
use super::signing::{KeyType, SigningKey};
use crate::clock::Timestamp;

pub mod error;
pub mod file;
pub mod follow;
mod value;

pub use error::KeyRingError;
pub use file::{KeyFileName, KeyKind};
pub use follow::KeyRings;

/// How long a new key only opens and is only published, so that every gateway of a group has it before it is used.
pub const TAKES_EFFECT_AFTER: Duration = Duration::from_secs(30);

/// The keys of `keys_dir` at one instant.
#[derive(Debug)]
pub struct KeyRing {
    sealing: Keys<SealingKey>,
    ed25519: Keys<Arc<SigningKey>>,
    p256: Keys<Arc<SigningKey>>,
    jwks: String,
    fingerprint: u64,
}

/// What `keys list` shows of a key, and the public half where it has one.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Kind, creation and identifier.
    pub name: KeyFileName,
    /// Whether the key is in use.
    pub state: KeyState,
    /// The key, where it signs.
    pub signing_key: Option<Arc<SigningKey>>,
}

/// What a key of the ring does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// It seals or signs.
    InForce,
    /// A newer one took its place; it still opens, or is still published.
    Replaced,
    /// It opens or is published already, and seals or signs after this duration.
    Waiting(Duration),
}

/// The keys of one kind, never none, the oldest first.
#[derive(Debug)]
struct Keys<K>(Vec<(KeyFileName, K)>);

impl KeyRing {
    /// Reads `dir`, after making it (0700) and a key of each kind it lacks: what a first start needs.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] as [`KeyRing::load`], or where a key is missing and cannot be made.
    pub fn open_or_create(dir: &Path, now: Timestamp) -> Result<Self, KeyRingError> {
        file::create_folder(dir)?;
        let present = file::list(dir)?;
        for kind in KeyKind::ALL {
            if !present.iter().any(|name| name.kind() == kind) {
                file::create_key(dir, kind, now).map_err(|error| error.while_missing(dir, kind))?;
            }
        }
        Self::load(dir)
    }

    /// Reads `dir` and writes nothing. Files whose names are not those of keys are left alone.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] where a key cannot be read, is open to others, or a kind has no key at all.
    pub fn load(dir: &Path) -> Result<Self, KeyRingError> {
        let names = file::list(dir)?;
        let of = |kind: KeyKind| names.iter().filter(move |name| name.kind() == kind);
        let signing = |kind| -> Result<Keys<Arc<SigningKey>>, KeyRingError> {
            let keys = of(kind).map(|name| Ok((name.clone(), Arc::new(file::read_signing_key(dir, name)?))));
            Keys::new(keys.collect::<Result<_, _>>()?).ok_or_else(|| KeyRingError::missing(dir, kind))
        };
        let sealing = of(KeyKind::Sealing).map(|name| Ok((name.clone(), file::read_sealing_key(dir, name)?)));
        let sealing = Keys::new(sealing.collect::<Result<_, _>>()?)
            .ok_or_else(|| KeyRingError::missing(dir, KeyKind::Sealing))?;
        Ok(Self::of(sealing, signing(KeyKind::Ed25519)?, signing(KeyKind::P256)?))
    }

    /// A ring in memory, for the demo and for tests: no other gateway can open what it seals.
    #[must_use]
    pub fn ephemeral(now: Timestamp) -> Self {
        let sealing = SealingKey::new(super::random());
        let signing = |kind: KeyKind, key_type| {
            let key = SigningKey::generate(key_type).expect("the system generates key pairs");
            Keys(vec![(KeyFileName::new(kind, now, key.kid()), Arc::new(key))])
        };
        let name = KeyFileName::new(KeyKind::Sealing, now, &file::sealing_id(&sealing));
        Self::of(
            Keys(vec![(name, sealing)]),
            signing(KeyKind::Ed25519, KeyType::Ed25519),
            signing(KeyKind::P256, KeyType::EcdsaP256),
        )
    }

    /// Seals `plaintext` for `purpose` in `context` under the newest key in force.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &str, plaintext: &[u8], now: Timestamp) -> Vec<u8> {
        self.sealing.in_force(now).seal(purpose, context, plaintext)
    }

    /// Opens what any key of the ring sealed for the same purpose and context.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where no key of the ring sealed it so.
    pub fn open(&self, purpose: Purpose, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let id = aead::key_id(sealed)?;
        let mut outcome = Err(OpenError::UnknownKey);
        // Identifiers have 32 bits: two keys of a long-lived ring may share one.
        for key in self.sealing.iter().filter(|key| key.id() == id) {
            outcome = key.open(purpose, context, sealed);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// A name for `text` that only the keys lead to and that says nothing without them: 22 characters of base64url, by the
    /// newest sealing key in force. It changes with that key, so that nobody is followed for ever.
    #[must_use]
    pub fn pseudonym(&self, purpose: &str, text: &str, now: Timestamp) -> String {
        self.sealing.in_force(now).pseudonym(purpose, text)
    }

    /// The names of `text` by every sealing key of the ring, to find what was written before a rotation.
    #[must_use]
    pub fn pseudonyms(&self, purpose: &str, text: &str) -> Vec<String> {
        self.sealing.iter().map(|key| key.pseudonym(purpose, text)).collect()
    }

    /// The key in force for request signatures of this type; none for the types that are not kept here (HMAC keys
    /// belong to their routes).
    pub fn request_key(&self, key_type: impl Into<KeyType>, now: Timestamp) -> Option<&Arc<SigningKey>> {
        match key_type.into() {
            KeyType::Ed25519 => Some(self.ed25519.in_force(now)),
            KeyType::EcdsaP256 => Some(self.p256.in_force(now)),
            KeyType::HmacSha256 | KeyType::Rsa2048 => None,
        }
    }

    /// The key in force for assertions, which are signed ES256.
    #[must_use]
    pub fn assertion_key(&self, now: Timestamp) -> &Arc<SigningKey> {
        self.p256.in_force(now)
    }

    /// The public half of every signing key, replaced and waiting ones too, as a serialised JWK Set (RFC 7517
    /// section 5).
    #[must_use]
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Changes when a key comes or goes.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Every key, by kind and then by age.
    #[must_use]
    pub fn entries(&self, now: Timestamp) -> Vec<KeyEntry> {
        let signing = |keys: &Keys<Arc<SigningKey>>| keys.entries(now, |key| Some(Arc::clone(key)));
        [self.sealing.entries(now, |_| None), signing(&self.ed25519), signing(&self.p256)].concat()
    }

    fn of(sealing: Keys<SealingKey>, ed25519: Keys<Arc<SigningKey>>, p256: Keys<Arc<SigningKey>>) -> Self {
        let published: Vec<_> = ed25519.iter().chain(p256.iter()).filter_map(|key| key.to_jwk()).collect();
        let jwks = json!({ "keys": published }).to_string();
        let fingerprint = fingerprint(sealing.names().chain(ed25519.names()).chain(p256.names()));
        Self { sealing, ed25519, p256, jwks, fingerprint }
    }
}

/// Names say it all: a key file is never changed, and its name holds an identifier made from the key.
fn fingerprint<'n>(names: impl Iterator<Item = &'n KeyFileName>) -> u64 {
    let mut texts: Vec<String> = names.map(ToString::to_string).collect();
    texts.sort();
    let hash = sha256(texts.join("\n").as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl<K> Keys<K> {
    fn new(mut keys: Vec<(KeyFileName, K)>) -> Option<Self> {
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The newest key that took effect; while none has, the oldest, which every gateway agrees on.
    fn in_force(&self, now: Timestamp) -> &K {
        &self.0[self.position_in_force(now)].1
    }

    fn position_in_force(&self, now: Timestamp) -> usize {
        self.0.iter().rposition(|(name, _)| takes_effect_in(name, now).is_zero()).unwrap_or(0)
    }

    fn entries(&self, now: Timestamp, signing_key: impl Fn(&K) -> Option<Arc<SigningKey>>) -> Vec<KeyEntry> {
        let in_force = self.position_in_force(now);
        let state = |at: usize, name: &KeyFileName| match at.cmp(&in_force) {
            std::cmp::Ordering::Less => KeyState::Replaced,
            std::cmp::Ordering::Equal => KeyState::InForce,
            std::cmp::Ordering::Greater => KeyState::Waiting(takes_effect_in(name, now)),
        };
        let entry = |(at, (name, key)): (usize, &(KeyFileName, K))| KeyEntry {
            name: name.clone(),
            state: state(at, name),
            signing_key: signing_key(key),
        };
        self.0.iter().enumerate().map(entry).collect()
    }

    fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(_, key)| key)
    }

    fn names(&self) -> impl Iterator<Item = &KeyFileName> {
        self.0.iter().map(|(name, _)| name)
    }
}

fn takes_effect_in(name: &KeyFileName, now: Timestamp) -> Duration {
    name.created().plus(TAKES_EFFECT_AFTER).since(now)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::path::PathBuf;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const PURPOSE: Purpose = Purpose::new("test");

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_first_start_makes_one_key_of_each_kind_for_the_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("keys");
        let ring = KeyRing::open_or_create(&dir, NOW).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(files(&dir).len(), 3);
        for path in files(&dir) {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(path.to_str().unwrap().contains("-20270115T080000Z-"), "{}", path.display());
        }
        let again = KeyRing::open_or_create(&dir, later(100)).unwrap();
        assert_eq!((files(&dir).len(), again.fingerprint()), (3, ring.fingerprint()));
    }

    #[test]
    fn what_a_ring_seals_its_copy_on_another_machine_opens() {
        let dir = tempfile::tempdir().unwrap();
        let here = KeyRing::open_or_create(dir.path(), NOW).unwrap();
        let there = KeyRing::load(dir.path()).unwrap();
        let sealed = here.seal(PURPOSE, "a.fr", b"message", NOW);
        assert_eq!(there.open(PURPOSE, "a.fr", &sealed).as_deref(), Ok(&b"message"[..]));
        assert_eq!(there.open(PURPOSE, "b.fr", &sealed), Err(OpenError::Tampered));
        assert_eq!(KeyRing::ephemeral(NOW).open(PURPOSE, "a.fr", &sealed), Err(OpenError::UnknownKey));
        assert_eq!(there.jwks(), here.jwks());
    }

    #[test]
    fn a_new_key_opens_at_once_and_takes_effect_after_30_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let first = KeyRing::open_or_create(dir.path(), NOW).unwrap();
        let rotated = later(1_000);
        for kind in KeyKind::ALL {
            file::create_key(dir.path(), kind, rotated).unwrap();
        }
        let second = KeyRing::load(dir.path()).unwrap();
        let opens = |now| first.open(PURPOSE, "", &second.seal(PURPOSE, "", b"", now)).is_ok();
        assert!(opens(rotated) && opens(later(1_029)), "the older key still seals");
        assert!(!opens(later(1_030)), "the newer key seals");
        let kid = |ring: &KeyRing, now| ring.assertion_key(now).kid().to_owned();
        assert_eq!(kid(&second, later(1_029)), kid(&first, NOW));
        assert_ne!(kid(&second, later(1_030)), kid(&first, NOW));
        assert!(second.open(PURPOSE, "", &first.seal(PURPOSE, "", b"", NOW)).is_ok());
    }

    #[test]
    fn while_every_key_is_new_all_gateways_use_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let first = KeyRing::open_or_create(dir.path(), NOW).unwrap();
        file::create_key(dir.path(), KeyKind::Sealing, later(5)).unwrap();
        let second = KeyRing::load(dir.path()).unwrap();
        assert!(first.open(PURPOSE, "", &second.seal(PURPOSE, "", b"", later(5))).is_ok());
        let states: Vec<_> = second.entries(later(6)).iter().map(|entry| entry.state).collect();
        assert_eq!(states[..2], [KeyState::InForce, KeyState::Waiting(Duration::from_secs(29))]);
        assert_eq!(second.entries(later(60))[0].state, KeyState::Replaced);
    }

    #[test]
    fn replaced_keys_stay_published_and_hmac_keys_are_not_here() {
        let dir = tempfile::tempdir().unwrap();
        let first = KeyRing::open_or_create(dir.path(), NOW).unwrap();
        file::create_key(dir.path(), KeyKind::P256, later(100)).unwrap();
        let second = KeyRing::load(dir.path()).unwrap();
        assert!(second.jwks().contains(first.assertion_key(NOW).kid()));
        assert!(second.jwks().contains(second.assertion_key(later(200)).kid()));
        assert!(!second.jwks().contains("\"d\""), "a private key is published");
        assert!(second.request_key(KeyType::HmacSha256, NOW).is_none());
    }

    #[test]
    fn files_that_are_no_keys_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ring = KeyRing::open_or_create(dir.path(), NOW).unwrap();
        for name in ["README", ".new-abc", "sealing-20270115T080000Z-00000000.pem", "rsa-20270115T080000Z-00000000.pem"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(KeyRing::load(dir.path()).unwrap().fingerprint(), ring.fingerprint());
    }

    #[test]
    fn a_key_that_others_may_read_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        KeyRing::open_or_create(dir.path(), NOW).unwrap();
        for path in files(dir.path()) {
            for mode in [0o640, 0o604, 0o700] {
                set_mode(&path, mode);
                let error = KeyRing::load(dir.path()).unwrap_err().to_string();
                assert!(error.contains(path.to_str().unwrap()) && error.contains("0600"), "{error}");
            }
            set_mode(&path, 0o400);
        }
        assert!(KeyRing::load(dir.path()).is_ok());
        set_mode(dir.path(), 0o770);
        assert!(matches!(KeyRing::load(dir.path()), Err(KeyRingError::WideOpen { .. })));
    }

    #[test]
    fn a_key_that_was_cut_short_or_exchanged_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        KeyRing::open_or_create(dir.path(), NOW).unwrap();
        let other = KeyRing::open_or_create(&dir.path().join("other"), NOW).unwrap();
        let other = other.assertion_key(NOW).to_pem().unwrap();
        for path in files(dir.path()).into_iter().filter(|path| path.is_file()) {
            let content = fs::read_to_string(&path).unwrap();
            for wrong in ["", &content[..content.len() / 2], other.expose()] {
                fs::write(&path, wrong).unwrap();
                let error = KeyRing::load(dir.path()).unwrap_err();
                assert!(matches!(&error, KeyRingError::Unusable { path: named } if *named == path), "{error}");
            }
            fs::write(&path, content).unwrap();
        }
    }

    #[test]
    fn an_empty_folder_that_cannot_be_written_is_a_clear_error() {
        let error = KeyRing::open_or_create(Path::new("/proc/self"), NOW).unwrap_err();
        assert!(matches!(error, KeyRingError::Unwritable { .. }), "{error}");
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(KeyRing::load(dir.path()), Err(KeyRingError::Missing { .. })));
        assert!(matches!(KeyRing::load(&dir.path().join("absent")), Err(KeyRingError::Io { .. })));
    }

    #[test]
    fn a_new_key_belongs_to_the_owner_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        // Succeeds for root alone; for anybody else the folder is their own.
        let _ = chown(dir.path(), Some(4242), Some(4242));
        let owner = |path: &Path| fs::metadata(path).map(|metadata| metadata.uid()).unwrap();
        KeyRing::open_or_create(dir.path(), NOW).unwrap();
        assert!(files(dir.path()).iter().all(|path| owner(path) == owner(dir.path())));
    }
}
