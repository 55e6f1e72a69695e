//! The provider's metadata and keys on disk, so that a gateway started while the provider is away knows them.
//!
//! The file holds the documents as they came, and they are checked again when they are read: nothing is believed for
//! having been on disk. A file that is damaged, or another issuer's, is passed over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sha256;

/// The documents of one provider, and when they were fetched.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Documents {
    pub(super) issuer: String,
    pub(super) fetched_at: Timestamp,
    pub(super) metadata: String,
    pub(super) jwks: String,
}

/// Where the documents of one provider are kept.
#[derive(Clone, Debug)]
pub(super) struct DiskCache {
    file: PathBuf,
}

impl DiskCache {
    /// The cache of the provider called `name`, with this issuer, under `dir`.
    pub(super) fn new(dir: &Path, name: &str, issuer: &str) -> Self {
        let hash: String = sha256(issuer.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { file: dir.join(format!("provider-{name}-{hash}.json")) }
    }

    /// The documents, where a readable file holds some; a file that cannot be read is logged and passed over.
    pub(super) fn load(&self) -> Option<Documents> {
        match self.read() {
            Ok(documents) => Some(documents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(reason = "provider_cache_unusable", file = %self.file.display(), %error, "the cached provider metadata are unusable");
                None
            }
        }
    }

    /// Replaces the documents, as a whole or not at all.
    pub(super) fn store(&self, documents: &Documents) -> io::Result<()> {
        let new = self.file.with_extension("json.new");
        // What an interrupted start left behind may have other rights.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(documents)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)
    }

    fn read(&self) -> io::Result<Documents> {
        let mut text = Vec::new();
        File::open(&self.file)?.take(MAX_FILE).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Two answers of the provider, each at most 256 KiB, whose quotes may all be escaped.
const MAX_FILE: u64 = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn documents() -> Documents {
        Documents {
            issuer: "https://op.example".into(),
            fetched_at: Timestamp::from_secs(7),
            metadata: "{\"a\":1}".into(),
            jwks: "{}".into(),
        }
    }

    #[test]
    fn what_was_stored_is_loaded_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(dir.path(), "default", "https://op.example");
        assert_eq!(cache.load(), None);
        cache.store(&documents()).unwrap();
        cache.store(&documents()).unwrap();
        assert_eq!(cache.load(), Some(documents()));
        assert_eq!(fs::metadata(&cache.file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_passed_over_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(dir.path(), "default", "https://op.example");
        for damaged in ["", "{", "[]", "{\"issuer\":\"x\"}", "\u{0}\u{0}"] {
            fs::write(&cache.file, damaged).unwrap();
            assert_eq!(cache.load(), None, "{damaged:?}");
        }
        cache.store(&documents()).unwrap();
        assert_eq!(cache.load(), Some(documents()));
    }

    #[test]
    fn every_issuer_has_its_own_file() {
        let dir = Path::new("/state");
        let file = |name, issuer| DiskCache::new(dir, name, issuer).file;
        assert_ne!(file("default", "https://a"), file("default", "https://a/"));
        assert_ne!(file("default", "https://a"), file("rie", "https://a"));
    }
}
