//! The gateway's public keys, fetched through the gateway as any application would.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::Timestamp;
use crate::demo::browser::Browser;

/// The gateway's JWK Set, kept between requests.
#[derive(Debug)]
pub(super) struct GatewayKeys {
    url: String,
    fetched: Mutex<Option<(Timestamp, String)>>,
}

impl GatewayKeys {
    /// The keys of the gateway whose agents see the origin `gateway`.
    pub(super) fn new(gateway: &str) -> Self {
        Self { url: format!("{gateway}/.portillon/jwks.json"), fetched: Mutex::default() }
    }

    /// The keys that were fetched last; none yet: fetched now. An error reads as a set without keys.
    pub(super) async fn at_hand(&self, now: Timestamp) -> String {
        self.younger_than(Duration::MAX, now).await
    }

    /// The keys as they are now, give or take a few seconds.
    pub(super) async fn renewed(&self, now: Timestamp) -> String {
        self.younger_than(COOL_DOWN, now).await
    }

    async fn younger_than(&self, age: Duration, now: Timestamp) -> String {
        let mut fetched = self.fetched.lock().await;
        if let Some((_, keys)) = fetched.as_ref().filter(|(at, _)| now.since(*at) < age) {
            return keys.clone();
        }
        let page = Browser::default().get(&self.url).await.ok().filter(|page| page.status.is_success());
        let Some(page) = page else { return r#"{"keys":[]}"#.to_owned() };
        let keys = page.text();
        *fetched = Some((now, keys.clone()));
        keys
    }
}

/// Between two fetches, whatever is sent to us.
const COOL_DOWN: Duration = Duration::from_secs(5);
