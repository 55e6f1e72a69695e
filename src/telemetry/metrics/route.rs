//! The metrics of one route: label sets are looked up when the route is made, or at their first use, never again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{counter, seconds};
use crate::telemetry::Decision;

type Histograms = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// The families that every route has a part of.
#[derive(Debug)]
pub(super) struct RouteFamilies {
    requests: Family<RequestLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    request_duration: Histograms,
    upstream_duration: Histograms,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    route: String,
    code_class: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DeniedLabels {
    route: String,
    rule: String,
}

impl RouteFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            requests: counter(registry, "requests", "Requests, by class of status and decision"),
            denied: counter(registry, "denied", "Agents refused, by the rule that refused them"),
            request_duration: histograms(registry, "request_duration", "From a request's first byte to the end"),
            upstream_duration: histograms(registry, "upstream_duration", "From choosing an upstream to its answer"),
        }
    }

    pub(super) fn handle(&self, name: &str) -> RouteMetrics {
        let labels = RouteLabels { route: name.to_owned() };
        RouteMetrics(Arc::new(Inner {
            counters: Default::default(),
            requests: self.requests.clone(),
            denied: self.denied.clone(),
            request_duration: self.request_duration.get_or_create_owned(&labels),
            upstream_duration: self.upstream_duration.get_or_create_owned(&labels),
            route: labels.route,
        }))
    }
}

/// The metrics of one route. Cloning shares them; counting a request costs two atomic additions and one short lock.
#[derive(Clone, Debug)]
pub struct RouteMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    route: String,
    /// By decision, then by class of status. A series exists from its first request on.
    counters: [[OnceLock<Counter>; CLASSES.len()]; DECISIONS],
    requests: Family<RequestLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    request_duration: Histogram,
    upstream_duration: Histogram,
}

impl RouteMetrics {
    /// Counts a request that is over.
    pub fn request(&self, decision: Decision, status: StatusCode, duration: Duration) {
        let class = class(status);
        self.0.counters[decision as usize][class].get_or_init(|| self.counter(decision, class)).inc();
        self.0.request_duration.observe(seconds(duration));
    }

    /// Counts the time that the upstream took to answer.
    pub fn upstream(&self, duration: Duration) {
        self.0.upstream_duration.observe(seconds(duration));
    }

    /// Counts an agent refused by `rule`, named by where it stands (`portillon.toml:12`).
    pub fn denied(&self, rule: &str) {
        let labels = DeniedLabels { route: self.0.route.clone(), rule: rule.to_owned() };
        self.0.denied.get_or_create(&labels).inc();
    }

    fn counter(&self, decision: Decision, class: usize) -> Counter {
        let (code_class, decision) = (CLASSES[class], decision.as_str());
        self.0.requests.get_or_create_owned(&RequestLabels { route: self.0.route.clone(), code_class, decision })
    }
}

/// Index into [`CLASSES`]; whatever is no status of HTTP counts as a server error.
const fn class(status: StatusCode) -> usize {
    match status.as_u16() {
        100..=199 => 0,
        200..=299 => 1,
        300..=399 => 2,
        400..=499 => 3,
        _ => 4,
    }
}

fn histograms(registry: &mut Registry, name: &str, help: &str) -> Histograms {
    let family = Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const DECISIONS: usize = Decision::ALL.len();

/// Seconds: from what the gateway itself costs to what makes an agent give up.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];
