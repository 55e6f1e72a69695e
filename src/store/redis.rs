//! The journal of several gateways: a stream in Redis or Valkey, alone, behind sentinels, or in a cluster.
//!
//! A blocking `XREAD` is told of a new line at once, and its answers, empty ones too, say that the link is alive: a link
//! that died half-way is noticed within `PATIENCE`. An `XRANGE` behind it asks for the line that was read last: where
//! that is gone, so may be others. A stream whose last possible identifier somebody used takes no line any more, and what
//! is no stream never did: either is deleted, and the gateways write again what they know. Nothing is kept of a connection that failed: the next call finds the master anew,
//! which may be another one by then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::streams::{StreamRangeReply, StreamReadReply};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo as _, Pipeline, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::records::link::Link;
use super::{Cursor, Entry, Journal, Name, Page, StoreError};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

/// How long the server holds a reader back that has read everything.
const BLOCK: Duration = Duration::from_millis(500);

/// How long an answer, or a connection, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines in a page.
const PAGE: usize = 10_000;

/// The server's clock and ours may differ by this much.
const MARGIN: Duration = Duration::from_secs(3600);

/// How the servers stand to each other (`[store] mode`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mode {
    /// One server.
    Single,
    /// Sentinels, which know who leads under this name.
    Sentinel(String),
    /// Nodes of a cluster.
    Cluster,
}

/// How the servers are reached (`[store]`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// How they stand to each other.
    pub mode: Mode,
    /// The server, or some of the sentinels or nodes: `redis://` or `rediss://`, without a password.
    pub urls: Vec<String>,
    /// The ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// The only authorities whose certificates are accepted; the system's where there is none.
    pub ca: Vec<CertificateDer<'static>>,
    /// What every key starts with.
    pub prefix: String,
    /// How long a line may be of use.
    pub keep: Duration,
}

/// A journal in Redis.
pub struct Redis {
    pub(super) settings: Settings,
    stream: String,
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<Connection>>,
    pub(super) records: Link,
    pub(super) clock: Clock,
}

impl Redis {
    /// The journal that is reached so; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where a URL is none.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        for url in &settings.urls {
            url.as_str().into_connection_info().map_err(StoreError::new)?;
        }
        let stream = format!("{}ended-sessions", settings.prefix);
        let (reader, writer, records) = (Mutex::default(), Mutex::default(), Link::default());
        Ok(Self { settings, stream, reader, writer, records, clock })
    }

    /// Runs `pipeline` over the connection in `slot`, which is made where there is none.
    async fn ask<T: redis::FromRedisValue>(
        &self,
        slot: &Mutex<Option<Connection>>,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let mut slot = slot.lock().await;
        // Taken out, so that a connection whose answer did not come is not used again.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => within(self.settings.connect()).await?,
        };
        let answer = within(pipeline.query_async(&mut connection)).await?;
        *slot = Some(connection);
        Ok(answer)
    }

    /// When a line is of no use any more that says `expires`: whoever may write to the server has no line kept for ever.
    fn bounded(&self, expires: u64) -> Timestamp {
        Timestamp::from_secs(expires).min(self.clock.now().plus(self.settings.keep + MARGIN))
    }

    /// Whether the line at `cursor` is so young that nobody has trimmed it. Its identifier begins with milliseconds.
    fn is_of_use(&self, cursor: &Cursor) -> bool {
        let written = cursor.0.split('-').next().and_then(|time| time.parse().ok()).map(Duration::from_millis);
        written.is_some_and(|written| since_1970().saturating_sub(written) < self.settings.keep)
    }
}

#[async_trait]
impl Journal for Redis {
    async fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let oldest = since_1970().saturating_sub(self.settings.keep + MARGIN).as_millis().to_string();
        let mut pipeline = Pipeline::new();
        for entry in entries {
            pipeline
                .cmd("XADD")
                .arg(&self.stream)
                .arg(&["MINID", "~", &oldest, "*", "name"])
                .arg(&entry.name.0)
                .arg("expires")
                .arg(entry.expires.as_secs())
                .ignore();
        }
        let life = (self.settings.keep + MARGIN).as_secs();
        pipeline.cmd("EXPIRE").arg(&self.stream).arg(life).ignore();
        self.ask(&self.writer, &pipeline).await
    }

    async fn read(&self, after: &Cursor) -> Result<Page, StoreError> {
        let start = if after.0.is_empty() { "0" } else { &after.0 };
        let block = BLOCK.as_millis().to_string();
        let mut pipeline = Pipeline::new();
        pipeline.cmd("XREAD").arg(&["COUNT", &PAGE.to_string(), "BLOCK", &block, "STREAMS", &self.stream, start]);
        // Behind it, so that no loss falls between the two.
        pipeline.cmd("XRANGE").arg(&[self.stream.as_str(), start, start]);
        let (reply, last): (Option<StreamReadReply>, StreamRangeReply) = self.ask(&self.reader, &pipeline).await?;
        let lines = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|stream| stream.ids);
        let lost = last.ids.is_empty() && self.is_of_use(after);
        let mut page = Page { entries: Vec::new(), next: after.clone(), lost };
        for line in lines {
            // A line that is none of ours is passed over.
            let (name, expires) = (line.get::<Vec<u8>>("name"), line.get("expires"));
            if let (Some(Ok(name)), Some(expires)) = (name.map(<[u8; 16]>::try_from), expires) {
                page.entries.push(Entry { name: Name(name), expires: self.bounded(expires) });
            }
            page.next = Cursor(line.id);
        }
        Ok(page)
    }

    async fn replace(&self) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("DEL").arg(&self.stream).ignore();
        self.ask(&self.writer, &pipeline).await
    }
}

impl Settings {
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(BLOCK + PATIENCE));
        Ok(match &self.mode {
            Mode::Single => {
                Connection::One(self.client()?.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Mode::Sentinel(master) => {
                let mut client = self.sentinels(master)?.build()?;
                Connection::One(client.get_async_connection_with_config(&config).await?)
            }
            Mode::Cluster => Connection::Cluster(self.cluster()?.get_async_connection().await?),
        })
    }

    fn client(&self) -> RedisResult<Client> {
        let info = self.infos()?.remove(0);
        if self.is_tls() { Client::build_with_tls(info, self.certificates()) } else { Client::open(info) }
    }

    fn sentinels(&self, master: &str) -> RedisResult<SentinelClientBuilder> {
        let infos = self.infos()?;
        // The sentinels have none: it is the servers'.
        let database = infos.first().map_or(0, |info| info.redis_settings().db());
        let addresses = infos.into_iter().map(|info| info.addr().clone());
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?.set_client_to_redis_db(database);
        if self.is_tls() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates())
                .set_client_to_sentinel_certificates(self.certificates());
        }
        if let Some(user) = &self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        Ok(builder)
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClientBuilder::new(self.infos()?)
            .connection_timeout(PATIENCE)
            .response_timeout(BLOCK + PATIENCE)
            // Whoever asks starts again by itself.
            .retries(1);
        if self.is_tls() {
            builder = builder.certs(self.certificates());
        }
        builder.build()
    }

    fn infos(&self) -> RedisResult<Vec<ConnectionInfo>> {
        self.urls.iter().map(|url| self.info(url)).collect()
    }

    fn info(&self, url: &str) -> RedisResult<ConnectionInfo> {
        let info = url.into_connection_info()?;
        let mut redis = info.redis_settings().clone();
        if let Some(user) = &self.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password.expose());
        }
        Ok(info.set_redis_settings(redis))
    }

    fn is_tls(&self) -> bool {
        self.urls.iter().any(|url| url.starts_with("rediss:"))
    }

    fn certificates(&self) -> TlsCertificates {
        let root = (!self.ca.is_empty()).then(|| self.ca.iter().map(pem).collect::<String>().into_bytes());
        TlsCertificates { client_tls: None, root_cert: root }
    }
}

/// RFC 7468 section 5.
fn pem(certificate: &CertificateDer<'static>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A connection, whatever the servers' mode. Its clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

async fn within<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
    let answer = timeout(BLOCK + PATIENCE, asked).await;
    answer.map_err(|_| StoreError::new("no answer in time"))?.map_err(|error| {
        let error = StoreError::new(error);
        // `ERR The stream has exhausted the last possible ID`, or what is there is no stream.
        let spoilt = ["has exhausted the last possible ID", "WRONGTYPE"].iter().any(|text| error.text.contains(text));
        StoreError { spoilt, ..error }
    })
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
