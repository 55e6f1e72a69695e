//! Why the keys of `keys_dir` cannot be used: each error names the file and what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::file::KeyKind;

/// Why a key ring could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `create` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The folder holds no key of one kind.
    #[error("{} holds no {kind} key; `portillon keys rotate` makes one", dir.display())]
    Missing {
        /// `keys_dir`.
        dir: PathBuf,
        /// The kind that is missing.
        kind: KeyKind,
    },
    /// The folder holds no key of one kind, and none can be made there.
    #[error("{} holds no {kind} key and none can be made there ({source}); make it writable for the first start, \
             or put keys into it", dir.display())]
    Unwritable {
        /// `keys_dir`.
        dir: PathBuf,
        /// The kind that is missing.
        kind: KeyKind,
        /// Why none can be made.
        source: io::Error,
    },
    /// What the file holds is no key, or not the one that its name says.
    #[error("{} does not hold the key that its name says", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read or replace keys.
    #[error("{} has mode {mode:04o}, which is wider than {widest:04o}: `chmod {widest:o}` it", path.display())]
    WideOpen {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The widest that is accepted.
        widest: u32,
    },
}

impl KeyRingError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn missing(dir: &Path, kind: KeyKind) -> Self {
        Self::Missing { dir: dir.to_owned(), kind }
    }

    /// The same error, where it kept the first key of a kind from being made.
    pub(super) fn while_missing(self, dir: &Path, kind: KeyKind) -> Self {
        match self {
            Self::Io { source, .. } => Self::Unwritable { dir: dir.to_owned(), kind, source },
            other => other,
        }
    }
}
