//! Records in the file of this machine.

use std::ops::Bound;

use async_trait::async_trait;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::backend::{Backend, Cursor, Page, RawKey, RawRecord, Table};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::Embedded;

/// Table number and hashed key, to expiry and sealed value.
pub(in crate::store) const RECORDS: TableDefinition<'_, (u8, RawKey), (u64, &[u8])> = TableDefinition::new("records");

impl Embedded {
    async fn records<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database, Timestamp) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let now = self.clock.now();
        self.blocking(move |database| work(database, now)).await
    }
}

const fn number(table: Table) -> u8 {
    match table {
        Table::LiveSession => 2,
        Table::OneTimeUse => 3,
        Table::Stash => 4,
        Table::Revocation => 5,
        Table::StashEntry => 6,
        Table::Identity => 7,
    }
}

fn current((expires, value): (u64, &[u8]), now: Timestamp) -> Option<Vec<u8>> {
    (expires > now.as_secs()).then(|| value.to_vec())
}

fn insert(
    database: &Database,
    key: (u8, RawKey),
    value: (Timestamp, &[u8]),
    only_if_new: Option<Timestamp>,
) -> Result<bool, redb::Error> {
    let write = database.begin_write()?;
    let free = {
        let mut records = write.open_table(RECORDS)?;
        let kept = records.get(key)?;
        let free = only_if_new.is_none_or(|now| kept.is_none_or(|kept| current(kept.value(), now).is_none()));
        if free {
            records.insert(key, (value.0.as_secs(), value.1))?;
        }
        free
    };
    if free {
        write.commit()?;
    } else {
        write.abort()?;
    }
    Ok(free)
}

fn take(database: &Database, key: (u8, RawKey), now: Timestamp) -> Result<Option<Vec<u8>>, redb::Error> {
    let write = database.begin_write()?;
    let taken = write.open_table(RECORDS)?.remove(key)?.map(|kept| current(kept.value(), now));
    if taken.is_some() {
        write.commit()?;
    } else {
        write.abort()?;
    }
    Ok(taken.flatten())
}

fn scan(
    database: &Database,
    table: Table,
    after: Option<RawKey>,
    limit: usize,
    now: Timestamp,
) -> Result<Page, redb::Error> {
    let records = database.begin_read()?.open_table(RECORDS)?;
    let from = match after {
        Some(key) => Bound::Excluded((number(table), key)),
        None => Bound::Included((number(table), [0; 32])),
    };
    let mut page = Page::default();
    let mut last = None;
    for (seen, entry) in records.range((from, Bound::Included((number(table), [0xff; 32]))))?.enumerate() {
        if seen == limit {
            page.next = last.map(|key: RawKey| Cursor(key.to_vec()));
            break;
        }
        let (key, value) = entry?;
        let key = key.value().1;
        last = Some(key);
        page.records.extend(current(value.value(), now).map(|value| RawRecord { key, value }));
    }
    Ok(page)
}

fn purge(database: &Database, now: Timestamp) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(RECORDS)?.retain(|_, (expires, _)| expires > now.as_secs())?;
    write.commit()?;
    Ok(())
}

#[async_trait]
impl Backend for Embedded {
    async fn put(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<(), StoreError> {
        let (key, value) = ((number(table), *key), value.to_vec());
        self.records(move |database, _| insert(database, key, (expires, &value), None).map(drop)).await
    }

    async fn put_new(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<bool, StoreError> {
        let (key, value) = ((number(table), *key), value.to_vec());
        self.records(move |database, now| insert(database, key, (expires, &value), Some(now))).await
    }

    async fn get(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = (number(table), *key);
        self.records(move |database, now| {
            let kept = database.begin_read()?.open_table(RECORDS)?.get(key)?;
            Ok(kept.and_then(|kept| current(kept.value(), now)))
        })
        .await
    }

    async fn take(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = (number(table), *key);
        self.records(move |database, now| take(database, key, now)).await
    }

    async fn remove(&self, table: Table, key: &RawKey) -> Result<(), StoreError> {
        self.take(table, key).await.map(drop)
    }

    async fn scan(&self, table: Table, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let after = after.and_then(|cursor| cursor.0.as_slice().try_into().ok());
        self.records(move |database, now| scan(database, table, after, limit, now)).await
    }

    async fn purge(&self) -> Result<(), StoreError> {
        self.records(purge).await
    }
}
