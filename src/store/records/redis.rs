//! Records in Redis or Valkey: each is a key of its own with a time to live, and a sorted set for each table that is looked
//! through lists them, so that nothing needs two slots of a cluster in one step. A record is listed before it is there and
//! until after it has gone: what the list names and nobody finds is passed over.

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{Cmd, FromRedisValue, cmd};

use super::backend::{Backend, Cursor, Page, RawKey, RawRecord, Table};
use crate::clock::Timestamp;
use crate::crypto::base64url;
use crate::store::StoreError;
use crate::store::redis::Redis;

impl Redis {
    fn key(&self, table: Table, key: &RawKey) -> String {
        format!("{}{}:{}", self.settings.prefix, table.name(), base64url(key))
    }

    /// The sorted set of a table's keys, by expiry.
    fn index(&self, table: Table) -> String {
        format!("{}{}", self.settings.prefix, table.name())
    }

    /// How long a record still counts; the server does not take zero.
    fn milliseconds_left(&self, expires: Timestamp) -> u64 {
        expires.since(self.clock.now()).as_secs().max(1) * 1000
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.records.ask(&self.settings, command).await
    }

    /// For as long as any record of that key is kept: a later one that is refused takes nothing from the first.
    async fn list(&self, table: Table, key: &RawKey, expires: Timestamp) -> Result<(), StoreError> {
        if !table.is_listed() {
            return Ok(());
        }
        self.query(cmd("ZADD").arg(self.index(table)).arg("GT").arg(expires.as_secs()).arg(key)).await
    }

    /// The record has gone: that the list may still name it does not matter.
    async fn unlist(&self, table: Table, key: &RawKey) {
        if table.is_listed() {
            let _ = self.query::<()>(cmd("ZREM").arg(self.index(table)).arg(key)).await;
        }
    }
}

#[async_trait]
impl Backend for Redis {
    async fn put(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<(), StoreError> {
        self.list(table, key, expires).await?;
        let left = self.milliseconds_left(expires);
        self.query(cmd("SET").arg(self.key(table, key)).arg(value).arg("PX").arg(left)).await
    }

    async fn put_new(&self, table: Table, key: &RawKey, value: &[u8], expires: Timestamp) -> Result<bool, StoreError> {
        self.list(table, key, expires).await?;
        let left = self.milliseconds_left(expires);
        let mut set = cmd("SET");
        set.arg(self.key(table, key)).arg(value).arg("NX").arg("PX").arg(left);
        Ok(self.query::<Option<String>>(&set).await?.is_some())
    }

    async fn get(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.query(cmd("GET").arg(self.key(table, key))).await
    }

    async fn take(&self, table: Table, key: &RawKey) -> Result<Option<Vec<u8>>, StoreError> {
        let taken = self.query(cmd("GETDEL").arg(self.key(table, key))).await?;
        self.unlist(table, key).await;
        Ok(taken)
    }

    async fn remove(&self, table: Table, key: &RawKey) -> Result<(), StoreError> {
        self.query::<()>(cmd("DEL").arg(self.key(table, key))).await?;
        self.unlist(table, key).await;
        Ok(())
    }

    async fn scan(&self, table: Table, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let cursor = after.map_or(&b"0"[..], |cursor| &cursor.0);
        let mut scan = cmd("ZSCAN");
        scan.arg(self.index(table)).arg(cursor).arg("COUNT").arg(limit);
        let (next, listed): (Vec<u8>, Vec<(Vec<u8>, f64)>) = self.query(&scan).await?;
        let keys = listed.into_iter().filter_map(|(key, _)| RawKey::try_from(key).ok());
        let records = join_all(keys.map(|key| async move {
            let value = self.get(table, &key).await?;
            Ok(value.map(|value| RawRecord { key, value }))
        }));
        let records: Vec<_> = records.await.into_iter().collect::<Result<_, StoreError>>()?;
        Ok(Page { records: records.into_iter().flatten().collect(), next: (next != b"0").then_some(Cursor(next)) })
    }

    /// Records go by themselves; what lists them does not.
    async fn purge(&self) -> Result<(), StoreError> {
        for table in Table::ALL.into_iter().filter(|table| table.is_listed()) {
            let now = self.clock.now().as_secs();
            self.query::<()>(cmd("ZREMRANGEBYSCORE").arg(self.index(table)).arg("-inf").arg(now)).await?;
        }
        Ok(())
    }
}
