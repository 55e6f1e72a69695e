//! Metrics in the `OpenMetrics` text format 1.0.0. No label ever names an agent, a session or anything a client sends.

mod route;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Timestamp;
use crate::store;

use route::RouteFamilies;
pub use route::RouteMetrics;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route label of requests that belong to no route.
pub const NO_ROUTE: &str = "-";

/// Every metric of the process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    clock_offset: Family<ProviderLabels, Gauge>,
    config_reload_success: Gauge,
    config_reload_timestamp: Gauge,
    connections_open: Gauge,
    heads_refused: Family<ReasonLabels, Counter>,
    login: Family<LoginLabels, Counter>,
    step_up: Family<LoginLabels, Counter>,
    provider_up: Family<ProviderLabels, Gauge>,
    refresh: Family<RefreshLabels, Counter>,
    store_age: Gauge,
    store_replaced: Counter,
    store_unwritten: Gauge,
    ended_sessions: Gauge,
    routes: RouteFamilies,
    streams_ended: Family<ReasonLabels, Counter>,
    websockets_open: Gauge,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LoginLabels {
    provider: String,
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefreshLabels {
    provider: String,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ProviderLabels {
    provider: String,
}

/// How a step of a login ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoginResult {
    /// It failed, for this reason code.
    Failed(&'static str),
    /// An agent was sent to the provider.
    Started,
    /// A session began.
    Succeeded,
}

impl LoginResult {
    fn labels(self, provider: &str) -> LoginLabels {
        let (result, reason) = match self {
            Self::Failed(reason) => ("failed", reason),
            Self::Started => ("started", ""),
            Self::Succeeded => ("succeeded", ""),
        };
        LoginLabels { provider: provider.to_owned(), result, reason }
    }
}

/// How a try to refresh an identity at its provider ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RefreshResult {
    /// It brought nothing, and ended nothing.
    Failed,
    /// The provider said who the agent is now.
    Refreshed,
    /// The provider no longer vouches for the agent: the session ended.
    Refused,
    /// Another gateway had used the refresh token.
    Superseded,
}

impl RefreshResult {
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refreshed => "refreshed",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics: everything is zero, the provider is not known to be up.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portillon");
        registry.register("build", "The running build", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let seconds = Some(Unit::Seconds);
        Self(Arc::new(Inner {
            clock_offset: by_provider(
                &mut registry,
                "clock_offset",
                seconds.clone(),
                "The provider's clock minus ours",
            ),
            config_reload_success: gauge(&mut registry, "config_reload_success", None, "Whether the last reload took"),
            config_reload_timestamp: gauge(&mut registry, "config_reload_timestamp", seconds, "Last reload that took"),
            connections_open: gauge(&mut registry, "connections_open", None, "Connections from clients"),
            heads_refused: counter(&mut registry, "heads_refused", "Requests refused before they were read"),
            login: counter(&mut registry, "login", "Steps of logins, by provider, result and reason code"),
            step_up: counter(
                &mut registry,
                "step_up",
                "Steps of logins of agents who were logged in, but not well enough",
            ),
            provider_up: by_provider(&mut registry, "provider_up", None, "Whether logins are possible"),
            refresh: counter(&mut registry, "refresh", "Tries to refresh identities, by provider and result"),
            store_age: gauge(&mut registry, "store_age", Some(Unit::Seconds), "Since the store was read last"),
            store_replaced: single(
                &mut registry,
                "store_replaced",
                "Times that a spoilt list of ended sessions began anew",
            ),
            store_unwritten: gauge(&mut registry, "store_unwritten", None, "Ended sessions that the store lacks"),
            ended_sessions: gauge(&mut registry, "ended_sessions", None, "Ended sessions that are remembered"),
            routes: RouteFamilies::register(&mut registry),
            streams_ended: counter(&mut registry, "streams_ended", "Answers ended with their session, by reason code"),
            websockets_open: gauge(&mut registry, "websockets_open", None, "Upgraded connections"),
            registry,
        }))
    }

    /// The metrics of the route called `name`, looked up once: keep the handle for as long as the configuration is in
    /// force. [`NO_ROUTE`] names what belongs to none.
    #[must_use]
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.0.routes.handle(name)
    }

    /// Counts a step of a login at the provider of this name.
    pub fn login(&self, provider: &str, result: LoginResult) {
        self.0.login.get_or_create(&result.labels(provider)).inc();
    }

    /// Counts a try to refresh an identity at the provider of this name.
    pub fn refresh(&self, provider: &str, result: RefreshResult) {
        let labels = RefreshLabels { provider: provider.to_owned(), result: result.name() };
        self.0.refresh.get_or_create(&labels).inc();
    }

    /// Counts a step of a step-up at the provider of this name.
    pub fn step_up(&self, provider: &str, result: LoginResult) {
        self.0.step_up.get_or_create(&result.labels(provider)).inc();
    }

    /// Counts a request whose head was refused before it was read. `reason` is its reason code.
    pub fn head_refused(&self, reason: &'static str) {
        self.0.heads_refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Says of the provider of this name whether logins are possible, and how far its clock is ahead of ours, in seconds.
    pub fn provider(&self, name: &str, up: bool, clock_offset: i64) {
        let labels = ProviderLabels { provider: name.to_owned() };
        self.0.provider_up.get_or_create(&labels).set(i64::from(up));
        self.0.clock_offset.get_or_create(&labels).set(clock_offset);
    }

    /// Says what is known of ended sessions.
    pub fn store(&self, status: &store::Status) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.0.store_age.set(i64::try_from(status.age.as_secs()).unwrap_or(i64::MAX));
        self.0.store_unwritten.set(count(status.unwritten));
        self.0.store_replaced.inner().store(status.replaced, Ordering::Relaxed);
        self.0.ended_sessions.set(count(status.known));
    }

    /// Says nothing more of a provider that is gone.
    pub fn forget_provider(&self, name: &str) {
        let labels = ProviderLabels { provider: name.to_owned() };
        self.0.provider_up.remove(&labels);
        self.0.clock_offset.remove(&labels);
    }

    /// Says whether the configuration read at `now` is in force.
    pub fn reload(&self, success: bool, now: Timestamp) {
        self.0.config_reload_success.set(i64::from(success));
        if success {
            self.0.config_reload_timestamp.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }

    /// Says how many connections from clients are open.
    pub fn connections_open(&self, number: u64) {
        self.0.connections_open.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Counts an upgraded connection as open until the value is dropped.
    #[must_use = "the connection counts as open until this is dropped"]
    pub fn websocket_opened(&self) -> Open {
        Open::new(&self.0.websockets_open)
    }

    /// Counts an answer that ended with its session. `reason` is its reason code.
    pub fn stream_ended(&self, reason: &'static str) {
        self.0.streams_ended.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Everything, as [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry).expect("writing to a String does not fail");
        text
    }
}

/// Something open, counted by a gauge until dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn gauge(registry: &mut Registry, name: &str, unit: Option<Unit>, help: &str) -> Gauge {
    let gauge = Gauge::default();
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, gauge.clone()),
        None => registry.register(name, help, gauge.clone()),
    }
    gauge
}

fn by_provider(registry: &mut Registry, name: &str, unit: Option<Unit>, help: &str) -> Family<ProviderLabels, Gauge> {
    let family = Family::default();
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, Family::clone(&family)),
        None => registry.register(name, help, Family::clone(&family)),
    }
    family
}

fn counter<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + EncodeLabelSet + Eq + std::fmt::Debug + std::hash::Hash + Send + Sync + 'static,
{
    let family = Family::default();
    registry.register(name, help, Family::clone(&family));
    family
}

/// A counter without labels.
fn single(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::telemetry::Decision;

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.encode().lines().any(|found| found == line)
    }

    #[test]
    fn every_metric_has_its_published_name() {
        let metrics = Metrics::new();
        let route = metrics.route("paie");
        route.request(Decision::PermitAgent, StatusCode::OK, Duration::from_millis(3));
        route.upstream(Duration::from_millis(2));
        route.denied("portillon.toml:12");
        metrics.login("default", LoginResult::Succeeded);
        metrics.login("default", LoginResult::Failed("acr_not_held"));
        metrics.step_up("default", LoginResult::Started);
        metrics.head_refused("bare_lf");
        metrics.stream_ended("stream_revoked");
        metrics.provider("default", true, -2);
        metrics.provider("rie", false, 0);
        metrics.forget_provider("rie");
        assert!(!metrics.encode().contains("rie"));
        metrics.reload(true, Timestamp::from_secs(1_800_000_000));
        for line in [
            r#"portillon_requests_total{route="paie",code_class="2xx",decision="permit_agent"} 1"#,
            r#"portillon_request_duration_seconds_count{route="paie"} 1"#,
            r#"portillon_upstream_duration_seconds_count{route="paie"} 1"#,
            r#"portillon_denied_total{route="paie",rule="portillon.toml:12"} 1"#,
            r#"portillon_login_total{provider="default",result="succeeded",reason=""} 1"#,
            r#"portillon_login_total{provider="default",result="failed",reason="acr_not_held"} 1"#,
            r#"portillon_step_up_total{provider="default",result="started",reason=""} 1"#,
            r#"portillon_heads_refused_total{reason="bare_lf"} 1"#,
            r#"portillon_streams_ended_total{reason="stream_revoked"} 1"#,
            r#"portillon_provider_up{provider="default"} 1"#,
            "portillon_config_reload_success 1",
            "portillon_config_reload_timestamp_seconds 1800000000",
            r#"portillon_clock_offset_seconds{provider="default"} -2"#,
            "portillon_connections_open 0",
            "portillon_websockets_open 0",
            concat!(r#"portillon_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
            "# EOF",
        ] {
            assert!(has(&metrics, line), "{line}\n{}", metrics.encode());
        }
    }

    #[test]
    fn handles_of_one_route_count_together() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            metrics.route("paie").request(Decision::Refuse, StatusCode::FORBIDDEN, Duration::ZERO);
        }
        assert!(has(&metrics, r#"portillon_requests_total{route="paie",code_class="4xx",decision="refuse"} 2"#));
    }

    #[test]
    fn what_is_open_counts_until_it_is_dropped() {
        let metrics = Metrics::new();
        let first = metrics.websocket_opened();
        let second = metrics.websocket_opened();
        drop(first);
        assert!(has(&metrics, "portillon_websockets_open 1"));
        drop(second);
        assert!(has(&metrics, "portillon_websockets_open 0"));
    }

    #[test]
    fn a_failed_reload_keeps_the_time_of_the_last_that_took() {
        let metrics = Metrics::new();
        metrics.reload(true, Timestamp::from_secs(5));
        metrics.reload(false, Timestamp::from_secs(9));
        assert!(has(&metrics, "portillon_config_reload_success 0"));
        assert!(has(&metrics, "portillon_config_reload_timestamp_seconds 5"));
    }
}
