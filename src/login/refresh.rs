//! Keeping an identity true while its session lasts: userinfo asked again with the refresh token (OpenID Connect Core 1.0
//! section 12, RFC 6749 section 6), once for all requests of a login at all gateways together.
//!
//! The refresh token never leaves what is sealed in the store. A provider may give a new one with every use and take a
//! second use of an old one for a theft (RFC 9700 section 4.14): whoever refreshes holds a lock in the store, and keeps
//! the new token before anything else is done with the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::oidc::{LoginError, Provider};
use crate::secret::Secret;
use crate::session::{Identity, LoginId, Session, Sessions};
use crate::store::records::{Key, RecordError, Records, Table};
use crate::telemetry::metrics::{Metrics, RefreshResult};

/// How long a request waits for an identity that is overdue.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the old identity stays after a try that brought none.
const PAUSE: Duration = Duration::from_secs(30);

/// Longer than the provider's answers and the store's may take together: the lock of a gateway that died ends by itself.
const LOCKED: Duration = Duration::from_secs(120);

/// How long a new refresh token is tried to be kept.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// How often the store is asked for what another gateway brings, or to keep what must not be lost.
const LOOK: Duration = Duration::from_millis(200);

/// Logins whose last try is remembered.
const TRIED: u64 = 65_536;

/// Refresh tokens that are revoked at once: where more logins end at a provider that hardly answers, the others' are left
/// to expire.
const REVOKED_AT_ONCE: usize = 64;

/// What the store keeps for a login.
#[derive(Clone, Deserialize, Serialize)]
struct Kept {
    refresh_token: String,
    identity: Identity,
}

/// What the store knows of an identity.
enum Known {
    /// Nothing: there is no refresh token.
    Nothing,
    /// It is older than it should be.
    Old(Kept),
    /// It is recent enough.
    Recent,
}

/// What it takes to refresh the identity of a session.
#[derive(Clone)]
pub struct Source {
    /// Where its agent logged in.
    pub provider: Arc<Provider>,
    /// Where its identity is used.
    pub sessions: Arc<Sessions>,
    /// How old an identity may be (`[session] refresh_identity`).
    pub interval: Duration,
}

/// Why an identity stays as it is.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The provider said no, nothing, or nothing that holds.
    #[error(transparent)]
    Provider(#[from] LoginError),
    /// The store does not answer, or does not keep.
    #[error(transparent)]
    Store(#[from] RecordError),
}

/// Refreshes identities.
pub struct Refresher {
    records: Records,
    flights: Mutex<HashMap<LoginId, watch::Receiver<()>>>,
    tried: Cache<LoginId, ()>,
    revoking: Arc<Semaphore>,
    metrics: Metrics,
}

/// A refresh on its way.
pub struct Flight(watch::Receiver<()>);

impl Flight {
    /// Waits until it is over, for five seconds at most.
    pub async fn over(mut self) {
        // The sender says nothing: it is dropped.
        let _ = timeout(PATIENCE, self.0.changed()).await;
    }
}

impl Refresher {
    /// Keeps what it needs among `records`.
    #[must_use]
    pub fn new(records: Records, metrics: Metrics) -> Self {
        let tried = Cache::builder().max_capacity(TRIED).time_to_live(PAUSE).build();
        let revoking = Arc::new(Semaphore::new(REVOKED_AT_ONCE));
        Self { records, flights: Mutex::default(), tried, revoking, metrics }
    }

    /// Keeps the refresh token of a login that just began.
    pub async fn begin(&self, session: &Session, refresh_token: Option<&Secret<String>>, sessions: &Sessions) {
        let Some(refresh_token) = refresh_token else {
            let reason = "refresh_token_missing";
            return tracing::warn!(session = session.pseudonym(), reason, "an identity will stay as it is");
        };
        let kept = Kept { refresh_token: refresh_token.expose().clone(), identity: session.identity() };
        if let Err(error) = self.put(session, &kept, sessions).await {
            let reason = "refresh_unwritten";
            tracing::warn!(session = session.pseudonym(), reason, %error, "an identity will stay as it is");
        }
    }

    /// Forgets the refresh token of a login that ended, and has `provider` forget it. Nobody waits for it.
    pub fn end(&self, login: LoginId, provider: Arc<Provider>) {
        let (records, revoking) = (self.records.clone(), Arc::clone(&self.revoking));
        tokio::spawn(async move {
            let kept = match records.take::<Kept>(Table::Identity, &kept_at(login)).await {
                Ok(kept) => kept,
                Err(error) => return tracing::debug!(%error, "a refresh token stays sealed until it expires"),
            };
            let (Some(kept), Ok(_permit)) = (kept, revoking.try_acquire()) else { return };
            if let Err(error) = provider.revoke(&kept.refresh_token.as_str().into()).await {
                let reason = "refresh_token_unrevoked";
                tracing::warn!(reason, %error, "the refresh token of a login that ended lives on at the provider");
            }
        });
    }

    /// Forgets a refresh token that is worth nothing any more.
    async fn forget(&self, login: LoginId) {
        if let Err(error) = self.records.remove(Table::Identity, &kept_at(login)).await {
            tracing::debug!(%error, "a refresh token stays sealed until it expires");
        }
    }

    /// Begins to refresh the identity of `session`, where that is due and nobody here does so already; none where there
    /// is nothing to wait for.
    pub fn refresh(self: &Arc<Self>, session: &Arc<Session>, source: impl FnOnce() -> Source) -> Option<Flight> {
        let login = session.login();
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&login) {
            return Some(Flight(flight.clone()));
        }
        if self.tried.contains_key(&login) {
            return None;
        }
        let (landed, flight) = watch::channel(());
        flights.insert(login, flight.clone());
        drop(flights);
        let (this, session, source) = (Arc::clone(self), Arc::clone(session), source());
        tokio::spawn(async move {
            this.fly(&session, &source).await;
            this.flights().remove(&login);
            drop(landed);
        });
        Some(Flight(flight))
    }

    async fn fly(&self, session: &Session, source: &Source) {
        let login = session.login();
        self.tried.insert(login, ());
        match self.refreshed(session, source).await {
            Ok(true) => self.tried.invalidate(&login),
            // No refresh token, or another gateway still at it.
            Ok(false) => {}
            Err(Failure::Provider(error)) if ends(&error) => {
                let reason = "refresh_refused";
                tracing::info!(session = session.pseudonym(), reason, %error, "the provider no longer vouches for a session");
                let _ = source.sessions.end_named(session.name());
                self.forget(login).await;
            }
            Err(error) => {
                let reason = "refresh_failed";
                tracing::warn!(session = session.pseudonym(), reason, %error, "an identity stays as it was");
            }
        }
    }

    /// Whether the identity is recent now.
    async fn refreshed(&self, session: &Session, source: &Source) -> Result<bool, Failure> {
        match self.known(session, source).await? {
            Known::Nothing => return Ok(false),
            Known::Recent => return Ok(true),
            Known::Old(_) => {}
        }
        let lock = session.login().key("refreshing");
        let until = self.records.clock().now().plus(LOCKED);
        if !self.records.put_new(Table::Identity, &lock, &(), until).await? {
            return self.wait_for_another(session, source).await;
        }
        let outcome = self.alone(session, source).await;
        if matches!(outcome, Err(Failure::Store(_))) {
            // A new token may not be kept: nobody uses the old one before the lock has ended by itself.
            return outcome;
        }
        if let Err(error) = self.records.remove(Table::Identity, &lock).await {
            tracing::debug!(%error, "a lock stays in the store until it expires");
        }
        outcome
    }

    /// What another gateway, or this one before a restart, brought; it is used.
    async fn known(&self, session: &Session, source: &Source) -> Result<Known, Failure> {
        let Some(kept) = self.kept(session).await? else { return Ok(Known::Nothing) };
        source.sessions.learn(session.login(), kept.identity.clone());
        let age = self.records.clock().now().since(kept.identity.at);
        Ok(if age < source.interval { Known::Recent } else { Known::Old(kept) })
    }

    async fn wait_for_another(&self, session: &Session, source: &Source) -> Result<bool, Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.known(session, source).await? {
                Known::Nothing => return Ok(false),
                Known::Recent => return Ok(true),
                Known::Old(_) => sleep(LOOK).await,
            }
        }
        Ok(false)
    }

    /// Asks the provider, which no other gateway does now.
    async fn alone(&self, session: &Session, source: &Source) -> Result<bool, Failure> {
        // Whoever had the lock before may have brought it.
        let kept = match self.known(session, source).await? {
            Known::Nothing => return Ok(false),
            Known::Recent => return Ok(true),
            Known::Old(kept) => kept,
        };
        let outcome = self.asked(session, source, kept).await;
        let result = match &outcome {
            Ok(true) => RefreshResult::Refreshed,
            Ok(false) => RefreshResult::Superseded,
            Err(Failure::Provider(error)) if ends(error) => RefreshResult::Refused,
            Err(_) => RefreshResult::Failed,
        };
        self.metrics.refresh(source.provider.name(), result);
        outcome
    }

    /// Whether the provider, which is asked once, brought a recent identity; not where another gateway used the refresh
    /// token.
    async fn asked(&self, session: &Session, source: &Source, mut kept: Kept) -> Result<bool, Failure> {
        let tokens = match source.provider.refresh_tokens(&kept.refresh_token.as_str().into()).await {
            Err(error) if error.is_invalid_grant() && self.is_replaced(session, &kept).await? => return Ok(false),
            answer => answer?,
        };
        if let Some(new) = tokens.refresh_token {
            new.expose().clone_into(&mut kept.refresh_token);
            self.keep(session, &kept, &source.sessions).await?;
        }
        let claims = source.provider.identity(&tokens.access_token, &kept.identity.claims).await?;
        kept.identity = Identity { claims, at: self.records.clock().now() };
        source.sessions.learn(session.login(), kept.identity.clone());
        self.keep(session, &kept, &source.sessions).await?;
        tracing::debug!(session = session.pseudonym(), "an identity was refreshed");
        Ok(true)
    }

    /// Whether a newer refresh token than that of `used` is kept: this gateway slept longer than its lock.
    async fn is_replaced(&self, session: &Session, used: &Kept) -> Result<bool, RecordError> {
        let kept = self.kept(session).await?;
        Ok(kept.is_some_and(|kept| kept.refresh_token != used.refresh_token))
    }

    async fn kept(&self, session: &Session) -> Result<Option<Kept>, RecordError> {
        self.records.get(Table::Identity, &kept_at(session.login())).await
    }

    /// Keeps what must not be lost: a store that is away for a moment is tried again.
    async fn keep(&self, session: &Session, kept: &Kept, sessions: &Sessions) -> Result<(), RecordError> {
        let begun = Instant::now();
        loop {
            match self.put(session, kept, sessions).await {
                Err(error) if begun.elapsed() < KEPT_WITHIN => {
                    tracing::debug!(%error, "a refresh token is not kept yet");
                    sleep(LOOK).await;
                }
                settled => return settled,
            }
        }
    }

    /// Nothing is kept of a session that ended meanwhile.
    async fn put(&self, session: &Session, kept: &Kept, sessions: &Sessions) -> Result<(), RecordError> {
        if sessions.has_ended(session) {
            return Ok(());
        }
        let expires = session.logged_in_at().plus(sessions.lifetime().absolute);
        self.records.put(Table::Identity, &kept_at(session.login()), kept, expires).await
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<LoginId, watch::Receiver<()>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept_at(login: LoginId) -> Key {
    login.key("identity")
}

/// Whether the provider's answer would have refused the login, rather than being none: the grant is gone, the subject is
/// another, or lacks what nobody enters without.
fn ends(error: &LoginError) -> bool {
    error.is_invalid_grant() || matches!(error, LoginError::RequiredClaim { .. } | LoginError::SubMismatch)
}
