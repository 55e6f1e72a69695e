//! What the admin listener tells of a running gateway.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::orders;
use crate::admin::{AdminState, Readiness};
use crate::gateway::Site;
use crate::listener::Counters;
use crate::oidc;

/// The state of the gateway, read when somebody asks.
pub(super) struct Status {
    site: Arc<ArcSwap<Site>>,
    counters: Arc<Counters>,
}

impl Status {
    pub(super) const fn new(site: Arc<ArcSwap<Site>>, counters: Arc<Counters>) -> Self {
        Self { site, counters }
    }

    /// How each provider is doing, by its name.
    fn providers(&self) -> Value {
        let site = self.site.load();
        site.providers.iter().map(|realm| (realm.name().to_owned(), told(&realm.provider.status()))).collect()
    }

    fn store(&self) -> Value {
        let status = self.site.load().services.revocations.status();
        json!({
            "age_seconds": status.age.as_secs(),
            "ended_sessions": status.known,
            "unwritten": status.unwritten,
            "replaced": status.replaced,
            "last_error": status.error,
        })
    }
}

fn told(status: &oidc::Status) -> Value {
    json!({
        "available": status.available,
        "metadata_age_seconds": status.metadata_age.map(|age| age.as_secs()),
        "last_error": status.last_error,
        "clock_offset_seconds": status.clock_offset,
    })
}

#[async_trait]
impl AdminState for Status {
    /// Existing sessions need nothing but this process, as long as it knows which of them have ended.
    fn ready(&self) -> Readiness {
        let site = self.site.load();
        let ready = site.services.revocations.is_trusted(site.store);
        Readiness { ready, detail: json!({ "providers": self.providers(), "store": self.store() }) }
    }

    fn metrics(&self) -> String {
        let site = self.site.load();
        let metrics = &site.services.metrics;
        for realm in &site.providers {
            let status = realm.provider.status();
            metrics.provider(realm.name(), status.available, status.clock_offset.unwrap_or(0));
        }
        metrics.connections_open(self.counters.connections());
        metrics.store(&site.services.revocations.status());
        metrics.encode()
    }

    fn status(&self) -> Value {
        let site = self.site.load();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "hosts": site.hosts.len(),
            "connections": self.counters.connections(),
            "requests": self.counters.requests(),
            "providers": self.providers(),
            "store": self.store(),
        })
    }

    async fn obey(&self, sealed: &str) -> Option<String> {
        orders::obey(self.site.load_full(), sealed).await
    }
}
