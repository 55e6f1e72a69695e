//! What a sealed cookie cannot do alone: knowing that its session has ended.
//!
//! Gateways that serve the same sites share a [`Journal`] of ended sessions, one line a session, each for longer than the
//! session could have lived. A gateway keeps what it read in [`Revocations`], so that no request waits for the
//! journal. Lines hold hashes of random identifiers: a copy of the journal tells nothing and opens nothing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

mod broad;
pub mod embedded;
mod moment;
pub mod records;
pub mod redis;
mod revocations;

pub use broad::{Scope, Subject};
pub use revocations::{Durable, OnFailure, Policy, Revocations, Status, Told};

/// Names an ended session: half of a SHA-256 of its identifier.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Name(pub [u8; 16]);

/// One line of the journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Which session ended.
    pub name: Name,
    /// When it could not live any more, whatever its limits: the line is of no use from then on.
    pub expires: Timestamp,
}

/// Where a reader stands in a journal; only the journal that gave it can read it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cursor(String);

/// What was read of a journal.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// In the order of the journal; none where there was nothing new.
    pub entries: Vec<Entry>,
    /// Where the next page starts.
    pub next: Cursor,
    /// Whether the journal no longer holds what was read before: it may lack other lines too.
    pub lost: bool,
}

/// An append-only list of ended sessions. Every call is bounded in time.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends entries, which are durable when this returns. Appending one twice does no harm.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; some of the entries may have been appended.
    async fn append(&self, entries: &[Entry]) -> Result<(), StoreError>;

    /// Reads what follows `after`, from the start where it is [`Cursor::default`]; waits a little where nothing does.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; a reader starts again from the start, since the journal may be another one now.
    async fn read(&self, after: &Cursor) -> Result<Page, StoreError>;

    /// Puts an empty journal in the place of one that is [spoilt](StoreError::is_spoilt): readers find that it lost
    /// what they had read. Where nobody else writes, nobody spoils anything.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    async fn replace(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Why a store does not answer. The text holds neither keys nor passwords.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store does not answer: {text}")]
pub struct StoreError {
    text: String,
    spoilt: bool,
}

impl StoreError {
    /// Takes an error as it comes, for `map_err`.
    #[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
    pub(crate) fn new(error: impl ToString) -> Self {
        Self { text: error.to_string(), spoilt: false }
    }

    /// Whether the journal will take or give no line any more, however often it is asked.
    #[must_use]
    pub const fn is_spoilt(&self) -> bool {
        self.spoilt
    }
}
