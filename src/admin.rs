//! The admin listener: `/healthz`, `/readyz`, `/metrics`, `/status` for monitoring, `/orders` for operators.
//! It is never reachable through the sites: it has sockets of its own.

mod answer;
mod listener;
pub mod order;

use async_trait::async_trait;
use serde_json::Value;

pub use listener::{AdminListener, serve};

/// What the admin endpoints tell and do.
#[async_trait]
pub trait AdminState: Send + Sync + 'static {
    /// Whether existing sessions can be served.
    fn ready(&self) -> Readiness;

    /// Metrics in the format of [`telemetry::metrics::CONTENT_TYPE`](crate::telemetry::metrics::CONTENT_TYPE).
    fn metrics(&self) -> String;

    /// What runs: version, configuration, provider, keys. Nothing secret.
    fn status(&self) -> Value;

    /// Carries out a sealed [`Order`](order::Order), and gives the sealed [`Report`](order::Report); none where it is
    /// none of ours.
    async fn obey(&self, sealed: &str) -> Option<String>;
}

/// Whether existing sessions can be served, and what an operator should know beside it.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Decides the status: 200 or 503. A provider that is down leaves it true: sessions go on.
    pub ready: bool,
    /// The body: a JSON object with the trouble there is, the provider's included.
    pub detail: Value,
}
