//! What a store of records must be able to do, over bytes that mean nothing to it.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// What kind of record it is. A key of one table means nothing in another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Table {
    /// Who an agent is, and what the provider is asked again with.
    Identity,
    /// Who is logged in.
    LiveSession,
    /// What may be used once, and was.
    OneTimeUse,
    /// What ends the sessions of many.
    Revocation,
    /// A form that waits for its agent to log in.
    Stash,
    /// Whose such a form is, and how large.
    StashEntry,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::LiveSession, Self::OneTimeUse, Self::Revocation, Self::Stash, Self::StashEntry];

    /// Whether its records are ever looked through. The others are only asked for by name.
    #[must_use]
    pub const fn is_listed(self) -> bool {
        matches!(self, Self::LiveSession | Self::Revocation | Self::StashEntry)
    }

    /// Its name in every store, and in what seals its records: it never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::LiveSession => "live-session",
            Self::OneTimeUse => "one-time-use",
            Self::Revocation => "revocation",
            Self::Stash => "stash",
            Self::StashEntry => "stash-entry",
        }
    }
}

/// What a record is found by: a hash, which tells nothing of what it was made from.
pub type RawKey = [u8; 32];

/// A record as the store keeps it: sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawRecord {
    /// What it is found by.
    pub key: RawKey,
    /// What only a gateway opens.
    pub value: Vec<u8>,
}

/// A part of a table, and where the next one starts; none where this was the last. A record that is written while pages
/// are read may be on none of them or on two.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records of the page, in no order that means anything.
    pub records: Vec<RawRecord>,
    /// Where to go on.
    pub next: Option<Cursor>,
}

/// A place in a table. Only the store that made it can read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor(pub(super) Vec<u8>);

/// A store. Every call is bounded in time by its caller, and may be dropped half-way: what becomes of the record is one
/// step for the store, done or not done.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Keeps `value` until `expires`, in the place of what was there.
    async fn put(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<(), StoreError>;

    /// Keeps `value` until `expires` where nothing is kept, and says whether it does: of two, the first wins.
    async fn put_new(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<bool, StoreError>;

    /// What is kept.
    async fn get(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// What was kept until now: of two, one gets it.
    async fn take(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets what is kept.
    async fn remove(&self, table: Table, key: &RawKey) -> Result<(), StoreError>;

    /// About `limit` records of a table that [is listed](Table::is_listed), from `after` on.
    async fn scan(&self, table: Table, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// Forgets what has expired.
    async fn purge(&self) -> Result<(), StoreError>;
}
