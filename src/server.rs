//! From a configuration to running services, and back to none: start, reload, drain.
//!
//! pingora's own `Server` is not used: its signals, sockets and grace periods are made for another house. The listener
//! hands connections to the proxy on our own runtime, which makes a gateway that a test can start in its own process.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

mod compile;
mod orders;
mod status;

pub use compile::CompileError;

use crate::admin::{self, AdminListener, AdminState};
use crate::clock::Clock;
use crate::config::{Config, StoreKind};
use crate::crypto::key_ring::{KeyRing, KeyRingError, KeyRings};
use crate::gateway::{Gateway, HeadRefusals, Services, Site};
use crate::listener::tls::Certificates;
use crate::listener::{self, BindError, Bound, Front};
use crate::live::{Live, LiveSession, Recorder};
use crate::login::Redeemed;
use crate::login::refresh::Refresher;
use crate::oidc::Provider;
use crate::stash::Stash;
use crate::store::embedded::Embedded;
use crate::store::records::{Backend, RecordError, Records};
use crate::store::redis::Redis;
use crate::store::{Journal, Revocations, StoreError};
use crate::telemetry::audit::{Action, Event};
use crate::telemetry::log::LogFormat;
use crate::telemetry::metrics::Metrics;

/// Requests still running this long after the drain began are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// How long a stop waits for a store that lacks ended sessions: longer than the pause between two tries of it.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether sessions with open streams have reached their absolute limit.
const EXPIRY_CHECK: Duration = Duration::from_millis(500);

/// Unused connections to upstreams that are kept, all routes together.
const UPSTREAM_POOL: usize = 1024;

/// What a gateway is started with, besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The time.
    pub clock: Clock,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket of the admin listener cannot be used.
    #[error("the admin listener: {0}")]
    Admin(#[source] io::Error),
    /// The admin listener was given a unix socket.
    #[error("the admin listener listens on TCP addresses only")]
    AdminUnix,
    /// A socket cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration asks for what cannot be.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The keys cannot be read, or made.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot be read.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// The state folder cannot be made.
    #[error("{path}: {error}", path = path.display())]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A gateway at work.
pub struct Running {
    /// Where it listens, in the order of the configuration; Unix sockets have no address.
    pub addresses: Vec<SocketAddr>,
    /// Where its admin listener listens.
    pub admin_addresses: Vec<SocketAddr>,
    site: Arc<ArcSwap<Site>>,
    certificates: Option<Arc<Certificates>>,
    fixed: Fixed,
    followers: Followers,
    drain: watch::Sender<bool>,
    listeners: JoinSet<()>,
    background: JoinSet<()>,
}

/// What only a restart changes.
#[derive(Debug, Eq, PartialEq)]
struct Fixed {
    listen: String,
    admin: String,
    state_dir: PathBuf,
    keys_dir: PathBuf,
    limits: String,
    store: String,
    log: LogFormat,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            listen: format!("{:?}", config.server.listeners),
            admin: format!("{:?}", config.admin),
            state_dir: config.server.state_dir.clone(),
            keys_dir: config.server.keys_dir.clone(),
            limits: format!("{:?}", config.server.limits),
            store: format!("{:?}", config.store.kind),
            log: config.log,
        }
    }

    /// The keys whose change waits for a restart.
    fn changed(&self, other: &Self) -> Vec<&'static str> {
        [
            ("[server] listen", self.listen == other.listen),
            ("[admin] listen", self.admin == other.admin),
            ("[server] state_dir", self.state_dir == other.state_dir),
            ("[server] keys_dir", self.keys_dir == other.keys_dir),
            ("[server.limits]", self.limits == other.limits),
            ("[store]", self.store == other.store),
            ("[log] format", self.log == other.log),
        ]
        .into_iter()
        .filter_map(|(key, same)| (!same).then_some(key))
        .collect()
    }
}

/// Starts a gateway: everything that can fail has failed, or not, when this returns.
///
/// # Errors
///
/// [`StartError`]; nothing is left running then.
pub async fn start(config: Config, options: Options) -> Result<Running, StartError> {
    // The process may have a provider already (a second gateway in one test); it is this same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    make_private(&config.server.state_dir)?;
    let keys = KeyRing::open_or_create(&config.server.keys_dir, options.clock.now())?;
    let revocations = Arc::new(Revocations::new(options.clock.clone()));
    let keys = Arc::new(KeyRings::new(keys, Some(config.server.keys_dir.clone())));
    let (journal, backend) = store(&config, &options.clock)?;
    let records = Records::new(backend, Arc::clone(&keys), options.clock.clone());
    learn(&config.store.kind, &revocations, (&*journal, &records)).await?;
    let (live, recorder) = Live::new(records.clone());
    let metrics = Metrics::new();
    let services = Services {
        live,
        recent: Arc::default(),
        stash: Arc::new(Stash::new(Arc::clone(&keys), options.clock.clone(), records.clone())),
        redeemed: Redeemed::new(records.clone()),
        refresher: Arc::new(Refresher::new(records.clone(), metrics.clone())),
        keys,
        clock: options.clock,
        revocations,
        records,
        metrics,
    };
    services.metrics.reload(true, services.clock.now());
    let site = Arc::new(ArcSwap::from_pointee(compile::site(&config, services, None)?));
    let certificates = compile::certificates(&config)?;
    let bound = listener::bind(&compile::bindings(&config, certificates.as_ref())?)?;
    let admin_sockets = admin_sockets(&config)?;
    Ok(Running::begin(&config, (site, journal, recorder), certificates, (bound, admin_sockets)))
}

/// One store, as the journal of ended sessions and as a place for records.
type Kept = (Arc<dyn Journal>, Arc<dyn Backend>);

/// Where ended sessions and records are kept.
fn store(config: &Config, clock: &Clock) -> Result<Kept, StartError> {
    Ok(match &config.store.kind {
        StoreKind::Embedded => {
            let embedded = Arc::new(Embedded::open(&config.server.state_dir, clock)?);
            (Arc::clone(&embedded) as _, embedded)
        }
        StoreKind::Redis(settings) => {
            let redis = Arc::new(Redis::new(settings.clone(), clock.clone())?);
            (Arc::clone(&redis) as _, redis)
        }
    })
}

/// Nobody is let in before the ended sessions are known. A store across a network may be down for a moment: then they
/// are learnt while the gateway runs.
async fn learn(
    kind: &StoreKind,
    revocations: &Revocations,
    (journal, records): (&dyn Journal, &Records),
) -> Result<(), StartError> {
    let learnt = async {
        revocations.catch_up(journal).await?;
        revocations.catch_up_with_many(records).await
    };
    match (kind, learnt.await) {
        (StoreKind::Embedded, outcome) => outcome?,
        (StoreKind::Redis(_), Err(error)) => {
            tracing::error!(reason = "store_down", %error, "started without knowing which sessions have ended");
        }
        (StoreKind::Redis(_), Ok(())) => {}
    }
    Ok(())
}

impl Running {
    fn begin(
        config: &Config,
        (site, journal, recorder): (Arc<ArcSwap<Site>>, Arc<dyn Journal>, Recorder),
        certificates: Option<Arc<Certificates>>,
        (bound, admin_sockets): (Vec<Bound>, Vec<TcpListener>),
    ) -> Self {
        let addresses = bound.iter().filter_map(Bound::local_addr).collect();
        let admin_addresses = admin_sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let (drain, draining) = watch::channel(false);
        let refusals = Arc::new(HeadRefusals::new(Arc::clone(&site)));
        let proxy = Arc::new(http_proxy(&server_conf(), Gateway::new(Arc::clone(&site))));
        let front = Arc::new(Front::new(proxy, refusals, config.server.limits.clone()));
        let state: Arc<dyn AdminState> = Arc::new(status::Status::new(Arc::clone(&site), Arc::clone(front.counters())));
        let mut listeners = JoinSet::new();
        for socket in bound {
            listeners.spawn(listener::serve(socket, Arc::clone(&front), draining.clone()));
        }
        let mut background = JoinSet::new();
        for socket in admin_sockets {
            background.spawn(serve_admin(socket, Arc::clone(&state), draining.clone()));
        }
        let keys = Arc::clone(&site.load().services.keys);
        background.spawn(follow_keys(keys, Arc::clone(&site)));
        let (reader, written) = (Arc::clone(&site.load().services.revocations), Arc::clone(&journal));
        let (writer, many) = (Arc::clone(&reader), Arc::clone(&reader));
        let records = site.load().services.records.clone();
        background.spawn(async move { many.follow_many(&records).await });
        background.spawn(async move { reader.follow(&*journal).await });
        background.spawn(async move { writer.write(&*written).await });
        background.spawn(end_expired(Arc::clone(&site)));
        background.spawn(end_revoked(Arc::clone(&site)));
        background.spawn(record(recorder, Arc::clone(&site)));
        let count = Some(config.routes.len());
        site.load().audit.note(Event { count, ..Event::new(Action::Start, true, "started") });
        let mut followers = Followers::default();
        followers.follow(&site.load());
        let fixed = Fixed::of(config);
        Self { addresses, admin_addresses, site, certificates, fixed, followers, drain, listeners, background }
    }

    /// Serves `config` from now on, all of it or, where it cannot be served, nothing of it. What only a restart changes
    /// is named in the log and stays as it is.
    ///
    /// # Errors
    ///
    /// [`CompileError`]; the configuration in force stays in force.
    pub fn reload(&mut self, config: &Config) -> Result<(), CompileError> {
        let current = self.site.load_full();
        let services = &current.services;
        let reloaded = self.compiled(config, &current);
        services.metrics.reload(reloaded.is_ok(), services.clock.now());
        if reloaded.is_err() {
            current.audit.note(Event::new(Action::Reload, false, "reload_failed"));
        }
        let reloaded = Arc::new(reloaded?);
        for realm in &current.providers {
            services.metrics.forget_provider(realm.name());
        }
        self.site.store(Arc::clone(&reloaded));
        self.followers.follow(&reloaded);
        for key in self.fixed.changed(&Fixed::of(config)) {
            tracing::warn!(key, "changed in the configuration, but takes effect at the next restart only");
        }
        let count = Some(config.routes.len());
        reloaded.audit.note(Event { count, ..Event::new(Action::Reload, true, "reloaded") });
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// The new site; and, once nothing else can fail, the new certificates.
    fn compiled(&self, config: &Config, current: &Site) -> Result<Site, CompileError> {
        // The folders in force stay in force until a restart.
        let mut config = config.clone();
        config.server.state_dir.clone_from(&self.fixed.state_dir);
        let site = compile::site(&config, current.services.clone(), Some(current))?;
        if let Some(certificates) = self.certificates.as_ref().filter(|_| !config.server.certificates.is_empty()) {
            certificates.reload(&config.server.certificates)?;
        }
        Ok(site)
    }

    /// Notes that a configuration could not be read, so that monitoring sees it.
    pub fn reload_failed(&self) {
        let site = self.site.load();
        site.services.metrics.reload(false, site.services.clock.now());
        site.audit.note(Event::new(Action::Reload, false, "reload_failed"));
    }

    /// Stops: accepts nothing more, lets running requests end, for half a minute at most, and ended sessions be written,
    /// for five seconds at most.
    pub async fn shutdown(mut self) {
        self.drain.send_replace(true);
        let idle = async { while self.listeners.join_next().await.is_some() {} };
        if timeout(DRAIN_LIMIT, idle).await.is_err() {
            tracing::warn!("requests still running after the drain were cut");
        }
        drop(self.followers);
        let lost = self.site.load().services.revocations.settle(SETTLE_LIMIT).await;
        if lost > 0 {
            tracing::error!(reason = "stopped_unwritten", lost, "stopped before the store had all ended sessions");
        }
        self.background.shutdown().await;
        let audit = self.site.load().audit.clone();
        audit.note(Event::new(Action::Stop, true, "stopped"));
        audit.settle().await;
    }
}

/// The sockets of the admin listener, which are TCP's.
fn admin_sockets(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let bound = listener::bind(&compile::admin_bindings(config))?;
    let socket = |bound: Bound| bound.into_tcp().map_err(StartError::Admin)?.ok_or(StartError::AdminUnix);
    bound.into_iter().map(socket).collect()
}

async fn serve_admin(socket: TcpListener, state: Arc<dyn AdminState>, draining: watch::Receiver<bool>) {
    if let Err(error) = admin::serve(AdminListener::Tcp(socket), state, draining).await {
        tracing::error!(%error, "the admin listener ended");
    }
}

/// What keeps the providers of the site in force known, until it is dropped.
#[derive(Default)]
struct Followers(Vec<(Arc<Provider>, JoinHandle<()>)>);

impl Followers {
    /// Follows the providers of `site`, and no others; those followed already go on undisturbed.
    fn follow(&mut self, site: &Site) {
        let wanted =
            |provider: &Arc<Provider>| site.providers.iter().any(|realm| Arc::ptr_eq(&realm.provider, provider));
        for (_, task) in self.0.extract_if(.., |(provider, _)| !wanted(provider)) {
            task.abort();
        }
        for realm in &site.providers {
            if !self.0.iter().any(|(followed, _)| Arc::ptr_eq(followed, &realm.provider)) {
                let provider = Arc::clone(&realm.provider);
                let task = tokio::spawn(async move { provider.follow().await });
                self.0.push((Arc::clone(&realm.provider), task));
            }
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}

/// Ends what is open of sessions past their absolute limit.
async fn end_expired(site: Arc<ArcSwap<Site>>) {
    loop {
        sleep(EXPIRY_CHECK).await;
        site.load().sessions.end_expired();
    }
}

/// Ends what is open of sessions that end at another gateway.
async fn end_revoked(site: Arc<ArcSwap<Site>>) {
    let mut told = site.load().services.revocations.subscribe();
    // Whoever is behind looks at all that is open, too: nothing is missed.
    while !matches!(told.recv().await, Err(RecvError::Closed)) {
        site.load().sessions.end_revoked();
    }
}

/// Takes over keys that change, and notes it.
async fn follow_keys(keys: Arc<KeyRings>, site: Arc<ArcSwap<Site>>) {
    keys.follow(|outcome| {
        let reason = if outcome.is_ok() { "keys_reloaded" } else { "keys_unusable" };
        site.load().audit.note(Event::new(Action::Keys, outcome.is_ok(), reason));
    })
    .await;
}

/// Writes down who is logged in, and ends the sessions that an agent has too many.
async fn record(recorder: Recorder, site: Arc<ArcSwap<Site>>) {
    let is_over = |session: &LiveSession| site.load().services.revocations.end(&session.name(), &session.subject());
    // Nobody waits for the store: it is written there as soon as it answers.
    let end = |session: &LiveSession| {
        let site = site.load();
        drop(site.sessions.end_named(session.name()));
        let (host, session) = (Some(session.host.as_str()), Some(session.session.as_str()));
        site.audit.note(Event { host, session, ..Event::new(Action::Revocation, true, "max_per_agent") });
    };
    recorder.run(is_over, end).await;
}

fn server_conf() -> Arc<ServerConf> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(ServerConf { threads, upstream_keepalive_pool_size: UPSTREAM_POOL, ..ServerConf::default() })
}

/// The state folder is this machine's and this user's alone.
fn make_private(path: &Path) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let private = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    private.map_err(|error| StartError::StateDir { path: path.to_owned(), error })
}
