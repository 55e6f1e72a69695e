//! The files of `keys_dir`: one per key, named `<kind>-<UTC creation>-<id>.<key|pem>`, readable by their owner only, and
//! never changed once they are there.
//!
//! A sealing key is 32 bytes in base64url; a signing key is PKCS #8 in PEM (RFC 7468 section 10).

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::KeyRingError;
use crate::clock::{Timestamp, utc};
use crate::crypto::aead::SealingKey;
use crate::crypto::signing::{KeyType, SigningKey};
use crate::crypto::{base64url, from_base64url, random, random_token};
use crate::secret::Secret;

/// Owner reads and writes; nobody else does anything.
const FILE_MODE: u32 = 0o600;
/// What a folder may allow others: to look, never to put keys into it.
const WIDEST_FOLDER_MODE: u32 = 0o755;
const ID_LENGTH: usize = 8;

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyKind {
    /// Signs requests (`ed25519`).
    Ed25519,
    /// Signs requests (`ecdsa-p256-sha256`) and assertions (`ES256`).
    P256,
    /// Seals cookies.
    Sealing,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::P256, Self::Sealing];

    /// As file names spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::Sealing => "sealing",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Ed25519 | Self::P256 => "pem",
            Self::Sealing => "key",
        }
    }

    /// The type of the signing keys of this kind.
    #[must_use]
    pub const fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Ed25519 => Some(KeyType::Ed25519),
            Self::P256 => Some(KeyType::EcdsaP256),
            Self::Sealing => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a key's file. Names order by creation, then by identifier: the order in which keys take effect.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyFileName {
    created: Timestamp,
    id: String,
    kind: KeyKind,
}

impl KeyFileName {
    /// The name for a key of this kind and identifier, of which the first 8 characters are kept.
    #[must_use]
    pub fn new(kind: KeyKind, created: Timestamp, id: &str) -> Self {
        Self { created, id: id.chars().take(ID_LENGTH).collect(), kind }
    }

    /// What the key is for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// When the key was made.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// The same in the extended format of ISO 8601: `2026-08-23T14:05:09Z`.
    #[must_use]
    pub fn created_utc(&self) -> String {
        utc::format_extended(self.created)
    }

    /// The first 8 characters of the key's identifier: the thumbprint of a signing key, a hash of a sealing key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for KeyFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, id, kind } = self;
        write!(f, "{kind}-{}-{id}.{}", utc::format(*created), kind.extension())
    }
}

/// The name is not that of a key: the file is someone else's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAKey;

impl FromStr for KeyFileName {
    type Err = NotAKey;

    fn from_str(name: &str) -> Result<Self, NotAKey> {
        let (stem, extension) = name.rsplit_once('.').ok_or(NotAKey)?;
        let mut parts = stem.splitn(3, '-');
        let (kind, created, id) = (parts.next(), parts.next(), parts.next());
        let kind = KeyKind::ALL.into_iter().find(|known| Some(known.as_str()) == kind).ok_or(NotAKey)?;
        let created = created.and_then(utc::parse).ok_or(NotAKey)?;
        let id = id.filter(|id| id.len() == ID_LENGTH).ok_or(NotAKey)?;
        if extension == kind.extension() { Ok(Self::new(kind, created, id)) } else { Err(NotAKey) }
    }
}

/// Makes `dir`, and what is missing above it, where it does not exist.
pub(super) fn create_folder(dir: &Path) -> Result<(), KeyRingError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(KeyRingError::io("create", dir))
}

/// The keys of `dir` by name, in no order.
pub(super) fn list(dir: &Path) -> Result<Vec<KeyFileName>, KeyRingError> {
    refuse_wider(dir, WIDEST_FOLDER_MODE)?;
    let entries = fs::read_dir(dir).map_err(KeyRingError::io("read", dir))?;
    let names: Vec<_> = entries.collect::<Result<_, io::Error>>().map_err(KeyRingError::io("read", dir))?;
    Ok(names.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Makes a new key of this kind, which belongs to the owner of the folder even where root makes it.
///
/// # Errors
///
/// [`KeyRingError`] where the file cannot be written.
pub fn create_key(dir: &Path, kind: KeyKind, now: Timestamp) -> Result<KeyFileName, KeyRingError> {
    let (id, content) = match kind.key_type() {
        Some(key_type) => {
            let key = SigningKey::generate(key_type).expect("the system generates key pairs of both types");
            (key.kid().to_owned(), key.to_pem().expect("a key pair has a PKCS #8 form"))
        }
        None => {
            let key = SealingKey::new(random());
            (sealing_id(&key), Secret::new(base64url(key.secret()) + "\n"))
        }
    };
    let name = KeyFileName::new(kind, now, &id);
    let target = dir.join(name.to_string());
    write_atomically(dir, &target, content.expose().as_bytes()).map_err(KeyRingError::io("create", &target))?;
    Ok(name)
}

/// The file appears under its name complete, on the disk, and with its rights and owner, or not at all.
fn write_atomically(dir: &Path, target: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".new-{}", random_token::<12>()));
    let written = write_new(dir, &temporary, content).and_then(|()| fs::rename(&temporary, target));
    if written.is_err() {
        // Nothing to add to the error that is on its way; a stray temporary file is no key.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| File::open(dir)?.sync_all())
}

fn write_new(dir: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    let folder = fs::metadata(dir)?;
    if file.metadata()?.uid() != folder.uid() {
        chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Reads the signing key of that name.
pub(super) fn read_signing_key(dir: &Path, name: &KeyFileName) -> Result<SigningKey, KeyRingError> {
    let (path, text) = read(dir, name)?;
    let key = name.kind.key_type().and_then(|key_type| SigningKey::from_pem(key_type, text.expose()).ok());
    key.filter(|key| key.kid().starts_with(&name.id)).ok_or(KeyRingError::Unusable { path })
}

/// Reads the sealing key of that name.
pub(super) fn read_sealing_key(dir: &Path, name: &KeyFileName) -> Result<SealingKey, KeyRingError> {
    let (path, text) = read(dir, name)?;
    let bytes = from_base64url(text.expose().trim_ascii()).map(Secret::new);
    let secret = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.expose().as_slice()).ok());
    let key = secret.map(SealingKey::new);
    key.filter(|key| sealing_id(key) == name.id).ok_or(KeyRingError::Unusable { path })
}

/// A sealing key's identifier in 8 hexadecimal digits.
pub(super) fn sealing_id(key: &SealingKey) -> String {
    format!("{:08x}", u32::from_be_bytes(key.id()))
}

fn read(dir: &Path, name: &KeyFileName) -> Result<(PathBuf, Secret<String>), KeyRingError> {
    let path = dir.join(name.to_string());
    refuse_wider(&path, FILE_MODE)?;
    let text = fs::read_to_string(&path).map_err(KeyRingError::io("read", &path))?;
    Ok((path, Secret::new(text)))
}

fn refuse_wider(path: &Path, widest: u32) -> Result<(), KeyRingError> {
    let metadata = fs::metadata(path).map_err(KeyRingError::io("read", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !widest == 0 { Ok(()) } else { Err(KeyRingError::WideOpen { path: path.to_owned(), mode, widest }) }
}
