//! What the admin listener tells of a running gateway.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use crate::admin::{AdminState, Readiness};
use crate::gateway::Site;
use crate::listener::Counters;

/// The state of the gateway, read when somebody asks.
pub(super) struct Status {
    site: Arc<ArcSwap<Site>>,
    counters: Arc<Counters>,
}

impl Status {
    pub(super) const fn new(site: Arc<ArcSwap<Site>>, counters: Arc<Counters>) -> Self {
        Self { site, counters }
    }

    fn provider(&self) -> Value {
        let status = self.site.load().provider.status();
        json!({
            "available": status.available,
            "metadata_age_seconds": status.metadata_age.map(|age| age.as_secs()),
            "last_error": status.last_error,
            "clock_offset_seconds": status.clock_offset,
        })
    }
}

impl AdminState for Status {
    /// Existing sessions need nothing but this process: whatever answers is ready.
    fn ready(&self) -> Readiness {
        Readiness { ready: true, detail: json!({ "provider": self.provider() }) }
    }

    fn metrics(&self) -> String {
        let site = self.site.load();
        let provider = site.provider.status();
        let metrics = &site.services.metrics;
        metrics.provider_up(provider.available);
        metrics.clock_offset(provider.clock_offset.unwrap_or(0));
        metrics.connections_open(self.counters.connections());
        metrics.encode()
    }

    fn status(&self) -> Value {
        let site = self.site.load();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "hosts": site.hosts.len(),
            "connections": self.counters.connections(),
            "requests": self.counters.requests(),
            "provider": self.provider(),
        })
    }
}
