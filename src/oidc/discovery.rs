//! What is known of the provider at this moment (OpenID Connect Discovery 1.0): its metadata and keys, fetched in the
//! background, kept in memory and on disk, and replaced only by something better.
//!
//! A failed or refused answer changes nothing. One update runs at a time; logins that need one wait for it together.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::sync::Mutex;

use super::algorithm::SignatureAlgorithm;
use super::back_channel::{Answer, BackChannel, CallError, CallLimits};
use super::cache::{DiskCache, Documents};
use super::clock_offset::ClockOffset;
use super::error::ProviderError;
use super::keys::Keys;
use super::metadata::{Metadata, MetadataError};
use super::settings::{Issuer, Settings, SettingsError};
use crate::clock::{Clock, Timestamp};
use crate::crypto::random;

/// Metadata and keys that were checked.
pub(super) struct Snapshot {
    pub(super) metadata: Metadata,
    pub(super) keys: Arc<Keys>,
    documents: Documents,
}

impl Snapshot {
    /// The metadata as they came.
    pub(super) fn published(&self) -> &str {
        &self.documents.metadata
    }
}

/// The knowledge of one provider, and the way to renew it.
pub(super) struct Discovery {
    name: String,
    issuer: Issuer,
    channel: BackChannel,
    clock: Clock,
    clock_offset: ClockOffset,
    cache: Option<DiskCache>,
    /// The client's own key; the provider's are added to it.
    client_keys: Keys,
    /// The registered algorithms that the provider's keys must serve.
    algorithms: Vec<SignatureAlgorithm>,
    snapshot: ArcSwapOption<Snapshot>,
    last_error: ArcSwapOption<String>,
    attempts: Mutex<Attempts>,
}

/// What was tried before, so that it is not tried again at once. Its lock is held during every update.
#[derive(Debug, Default)]
struct Attempts {
    failed_at: Option<Timestamp>,
    keys_refetched_at: Option<Timestamp>,
}

impl Discovery {
    /// Starts from what the disk holds, without asking the network.
    pub(super) fn new(
        settings: &Settings,
        cache: Option<DiskCache>,
        clock: Clock,
        limits: CallLimits,
    ) -> Result<Self, SettingsError> {
        let registered = [Some(settings.id_token_signed_response_alg), settings.userinfo_signed_response_alg];
        let discovery = Self {
            name: settings.name.clone(),
            issuer: settings.checked_issuer()?,
            channel: BackChannel::new(settings, limits)?,
            clock_offset: ClockOffset::new(clock.clone()),
            clock,
            cache,
            client_keys: Keys::of_client(settings.client_secret.expose()),
            algorithms: registered.into_iter().flatten().filter(|algorithm| !algorithm.uses_client_secret()).collect(),
            snapshot: ArcSwapOption::empty(),
            last_error: ArcSwapOption::empty(),
            attempts: Mutex::default(),
        };
        discovery.start_from_disk();
        Ok(discovery)
    }

    /// The issuer as configured.
    pub(super) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What is known, however old; none before the first success.
    pub(super) fn known(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// What is known, and when it came; what went wrong since.
    pub(super) fn health(&self) -> (Option<Duration>, Option<String>) {
        let age = self.known().map(|snapshot| self.clock.now().since(snapshot.documents.fetched_at));
        (age, self.last_error.load().as_deref().cloned())
    }

    /// The provider's clock minus ours, in seconds.
    pub(super) fn clock_offset(&self) -> Option<i64> {
        self.clock_offset.seconds()
    }

    /// What a login may rely on: fresh enough, else renewed first, which takes a bounded time.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] where nothing fresh enough is known and the provider does not give it.
    pub(super) async fn current(&self) -> Result<Arc<Snapshot>, ProviderError> {
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        let timed_out = |_| ProviderError::Call { endpoint: CONFIGURATION, error: CallError::Timeout };
        tokio::time::timeout(self.channel.total_limit(), self.renewed()).await.map_err(timed_out)?
    }

    /// Renews metadata and keys.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] where the provider gives none, or none that are believed; what was known stays.
    pub(super) async fn refresh(&self) -> Result<(), ProviderError> {
        let mut attempts = self.attempts.lock().await;
        self.update(&mut attempts).await.map(drop)
    }

    /// Renews metadata and keys for ever: at once, then about every ten minutes, sooner after failures.
    pub(super) async fn follow(&self) {
        let mut failures = 0;
        loop {
            failures = if self.refresh().await.is_ok() { 0 } else { failures + 1 };
            tokio::time::sleep(jittered(pause(failures))).await;
        }
    }

    /// Keys other than those `tried`, which verified nothing: the provider may have new ones. It is asked once, then
    /// left alone for a while, however many tokens of unknown keys arrive.
    pub(super) async fn newer_keys(&self, tried: &Arc<Keys>) -> Option<Arc<Keys>> {
        tokio::time::timeout(self.channel.total_limit(), self.refetched_keys(tried)).await.ok()?
    }

    /// Sends a request to an endpoint, which `endpoint` names for the log.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Call`], also for a status that says the provider is in trouble itself.
    pub(super) async fn call(
        &self,
        endpoint: &'static str,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ProviderError> {
        let failed = |error| ProviderError::Call { endpoint, error };
        let answer = self.channel.call(request).await.map_err(failed)?;
        self.clock_offset.measure(answer.date);
        if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(failed(CallError::Status(answer.status.as_u16())));
        }
        Ok(answer)
    }

    fn start_from_disk(&self) {
        let Some(documents) = self.cache.as_ref().and_then(DiskCache::load) else { return };
        match self.checked(documents) {
            Ok(snapshot) => self.snapshot.store(Some(Arc::new(snapshot))),
            Err(error) => {
                tracing::warn!(reason = "provider_cache_refused", provider = self.name, %error, "the cached provider metadata are refused");
            }
        }
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let now = self.clock.now();
        self.known().filter(|snapshot| now.since(snapshot.documents.fetched_at) < MAX_AGE)
    }

    async fn renewed(&self) -> Result<Arc<Snapshot>, ProviderError> {
        let mut attempts = self.attempts.lock().await;
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        if self.is_within(attempts.failed_at, RETRY_PAUSE) {
            return Err(ProviderError::CoolingDown(self.last_error.load().as_deref().cloned().unwrap_or_default()));
        }
        self.update(&mut attempts).await
    }

    async fn refetched_keys(&self, tried: &Arc<Keys>) -> Option<Arc<Keys>> {
        let mut attempts = self.attempts.lock().await;
        let known = self.known()?;
        if !Arc::ptr_eq(&known.keys, tried) {
            return Some(Arc::clone(&known.keys));
        }
        if self.is_within(attempts.keys_refetched_at, KEYS_COOL_DOWN) {
            return None;
        }
        attempts.keys_refetched_at = Some(self.clock.now());
        let fetched = async {
            let jwks = self.document("jwks_uri", &known.metadata.jwks_uri, &JWKS_TYPES).await?;
            self.checked(Documents { jwks, ..known.documents.clone() })
        };
        match fetched.await {
            Ok(snapshot) => Some(Arc::clone(&self.adopt(snapshot).await.keys)),
            Err(error) => {
                tracing::warn!(reason = "provider_keys_unavailable", provider = self.name, %error, "a token of an unknown key came, and the provider's keys cannot be fetched");
                None
            }
        }
    }

    async fn update(&self, attempts: &mut Attempts) -> Result<Arc<Snapshot>, ProviderError> {
        match self.fetch().await {
            Ok(snapshot) => {
                attempts.failed_at = None;
                if self.last_error.swap(None).is_some() {
                    tracing::info!(provider = self.name, issuer = self.issuer(), "the provider is back");
                }
                Ok(self.adopt(snapshot).await)
            }
            Err(error) => {
                attempts.failed_at = Some(self.clock.now());
                let text = error.to_string();
                // One line a trouble, not one an attempt.
                if self.last_error.load().as_deref() != Some(&text) {
                    tracing::warn!(reason = "provider_unavailable", provider = self.name, issuer = self.issuer(), %error, "the provider's metadata and keys cannot be renewed");
                }
                self.last_error.store(Some(Arc::new(text)));
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Snapshot, ProviderError> {
        let url = self.issuer.discovery_url();
        let metadata = self.document(CONFIGURATION, &url, &["application/json"]).await?;
        let jwks_uri = self.metadata(&metadata)?.jwks_uri;
        // Where the client secret is the only key there is nothing to fetch.
        let jwks = if self.algorithms.is_empty() {
            "{\"keys\":[]}".to_owned()
        } else {
            self.document("jwks_uri", &jwks_uri, &JWKS_TYPES).await?
        };
        self.checked(Documents { issuer: self.issuer().to_owned(), fetched_at: self.clock.now(), metadata, jwks })
    }

    async fn document(
        &self,
        endpoint: &'static str,
        uri: &http::Uri,
        media_types: &[&str],
    ) -> Result<String, ProviderError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        let answer = self.call(endpoint, request).await?;
        let failed = |error| ProviderError::Call { endpoint, error };
        let body = answer.body_of_type(media_types).map_err(failed)?;
        String::from_utf8(body.into()).map_err(|_| failed(CallError::Exchange("not UTF-8".into())))
    }

    fn metadata(&self, document: &str) -> Result<Metadata, ProviderError> {
        Metadata::parse(document.as_bytes(), &self.issuer).map_err(ProviderError::Metadata)
    }

    /// Documents, from wherever they came, become what logins rely on only here.
    fn checked(&self, documents: Documents) -> Result<Snapshot, ProviderError> {
        if documents.issuer != self.issuer() {
            return Err(ProviderError::Metadata(MetadataError::Issuer));
        }
        let metadata = self.metadata(&documents.metadata)?;
        let keys = self.client_keys.with_jwks(documents.jwks.as_bytes()).ok_or(ProviderError::JwksMalformed)?;
        if let Some(unserved) = self.algorithms.iter().find(|algorithm| !keys.serves(**algorithm)) {
            return Err(ProviderError::Keys(*unserved));
        }
        Ok(Snapshot { metadata, keys: Arc::new(keys), documents })
    }

    async fn adopt(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Some(Arc::clone(&snapshot)));
        if let Some(cache) = self.cache.clone() {
            let stored = Arc::clone(&snapshot);
            let storing = tokio::task::spawn_blocking(move || cache.store(&stored.documents)).await;
            if let Ok(Err(error)) = storing {
                tracing::warn!(reason = "provider_cache_unwritable", provider = self.name, %error, "the provider's metadata cannot be kept on disk");
            }
        }
        snapshot
    }

    fn is_within(&self, since: Option<Timestamp>, pause: Duration) -> bool {
        since.is_some_and(|since| self.clock.now().since(since) < pause)
    }
}

/// How long to wait after this many failures in a row.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => REFRESH_EVERY,
        _ => Duration::from_secs(1 << (failures - 1).min(6)).min(MAX_RETRY_PAUSE),
    }
}

/// A tenth more or less, so that the gateways of a group do not ask all at once.
fn jittered(pause: Duration) -> Duration {
    let [byte] = random::<1>();
    pause.mul_f64(0.9 + f64::from(byte) / 255.0 * 0.2)
}

const CONFIGURATION: &str = "openid-configuration";
const JWKS_TYPES: [&str; 2] = ["application/jwk-set+json", "application/json"];

/// AgentConnect lets its own documents be cached for ten minutes.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// For how long after a failure a login does not wait for another attempt.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
const KEYS_COOL_DOWN: Duration = Duration::from_secs(30);
/// Beyond this, what was fetched is not relied on before it was renewed.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_after_failures_up_to_a_minute() {
        let pauses: Vec<u64> = [0, 1, 2, 3, 7, 8, u32::MAX].map(|failures| pause(failures).as_secs()).into();
        assert_eq!(pauses, [600, 1, 2, 4, 60, 60, 60]);
        let jittered = jittered(REFRESH_EVERY).as_secs();
        assert!((540..=660).contains(&jittered), "{jittered}");
    }
}
