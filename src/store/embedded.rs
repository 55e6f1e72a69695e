//! The journal of one machine: a redb file in the state folder.
//!
//! Two gateways may have it open at once, as they do while one takes over from another: each reads what the other
//! appends. A commit is on the disk when it returns, so a journal survives a crash and kill -9. After an error (a full
//! disk, say) redb wants the file opened again: the next call does that.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redb::{ConcurrencyMode, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::records::embedded::RECORDS;
use super::{Cursor, Entry, Journal, Name, Page, StoreError};
use crate::clock::{Clock, Timestamp};

/// The file in the state folder.
pub const FILE: &str = "sessions.redb";

/// By its place in the journal: name and expiry, in seconds since 1970.
const ENDED: TableDefinition<'_, u64, ([u8; 16], u64)> = TableDefinition::new("ended sessions");

/// How often another process's lines are looked for.
const POLL: Duration = Duration::from_millis(250);

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lines in a page.
const PAGE: usize = 10_000;

/// What redb may keep of the file in memory: a journal is read once.
const CACHE: usize = 1024 * 1024;

/// A journal in a file.
pub struct Embedded {
    file: Arc<File>,
    pub(super) clock: Clock,
}

/// The file, and its database where that is good.
struct File {
    path: PathBuf,
    database: Mutex<Option<Arc<Database>>>,
}

impl Embedded {
    /// Opens the journal in `folder`, which is made where it is not there, without what has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the file cannot be opened, or is none of ours.
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(StoreError::new)?;
        let mut database = database(&path).map_err(StoreError::new)?;
        drop_expired(&database, clock.now())?;
        if let Err(error) = database.compact() {
            // A gateway that is on its way out still reads.
            tracing::debug!(%error, "the journal of ended sessions was not compacted");
        }
        let file = File { path, database: Mutex::new(Some(Arc::new(database))) };
        Ok(Self { file: Arc::new(file), clock: clock.clone() })
    }

    /// The disk is no place to wait for on a thread that serves requests.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        let done = timeout(PATIENCE, spawn_blocking(move || file.with(work))).await.map_err(StoreError::new)?;
        done.map_err(StoreError::new)?.map_err(StoreError::new)
    }
}

impl File {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let database = self.opened()?;
        let done = work(&database);
        if done.is_err() {
            let mut current = self.current();
            current.take_if(|current| Arc::ptr_eq(current, &database));
        }
        done
    }

    fn opened(&self) -> Result<Arc<Database>, redb::Error> {
        let mut current = self.current();
        if let Some(database) = &*current {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new(database(&self.path)?);
        *current = Some(Arc::clone(&database));
        Ok(database)
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn database(path: &Path) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(CACHE);
    Ok(builder.create(path)?)
}

#[async_trait]
impl Journal for Embedded {
    async fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let entries = entries.to_vec();
        self.blocking(move |database| append(database, &entries)).await
    }

    async fn read(&self, after: &Cursor) -> Result<Page, StoreError> {
        let start = after.0.parse::<u64>().map_or(0, |last| last + 1);
        let mut page = self.blocking(move |database| read(database, start)).await?;
        if page.entries.is_empty() {
            page.next = after.clone();
            sleep(POLL).await;
        }
        Ok(page)
    }
}

fn append(database: &Database, entries: &[Entry]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ENDED)?;
        let last = table.last()?.map_or(0, |(place, _)| place.value());
        for (place, entry) in (last + 1..).zip(entries) {
            table.insert(place, (entry.name.0, entry.expires.as_secs()))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database, start: u64) -> Result<Page, redb::Error> {
    let transaction = database.begin_read()?;
    let mut page = Page::default();
    for line in transaction.open_table(ENDED)?.range(start..)?.take(PAGE) {
        let (place, line) = line?;
        let (name, expires) = line.value();
        page.entries.push(Entry { name: Name(name), expires: Timestamp::from_secs(expires) });
        page.next = Cursor(place.value().to_string());
    }
    Ok(page)
}

/// The last line stays, whatever its age: the places that follow count on from it.
fn drop_expired(database: &Database, now: Timestamp) -> Result<(), StoreError> {
    let drop = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(ENDED)?;
            let last = table.last()?.map(|(place, _)| place.value());
            table.retain(|place, (_, expires)| Some(place) == last || expires > now.as_secs())?;
            transaction.open_table(RECORDS)?.retain(|_, (expires, _)| expires > now.as_secs())?;
        }
        transaction.commit()?;
        Ok(())
    };
    drop().map_err(StoreError::new)
}
