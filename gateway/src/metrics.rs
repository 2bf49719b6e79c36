//! What the door counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tunnel_hub::Sessions;

use crate::tunnels::Tunnels;

/// Where a request went. Bounded: no label comes from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Route {
    Agents,
    Console,
    Fleet,
    Health,
    Kubernetes,
    People,
    Refused,
    Search,
    Tenancy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: Route,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: Route,
}

pub(crate) struct Metrics {
    registry: Registry,
    sessions: Sessions,
    requests: Family<Answered, Counter>,
    seconds: Family<Routed, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
    tunnels: Gauge,
    refused: Counter<u64, AtomicU64>,
}

fn buckets() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Metrics {
    pub(crate) fn new(sessions: Sessions) -> Self {
        let mut all = Registry::default();
        all.sub_registry_with_prefix("acp_tunnel").register_collector(Box::new(Tunnels(sessions.clone())));
        let registry = all.sub_registry_with_prefix("acp_gateway");
        let requests = Family::default();
        let seconds: Family<Routed, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(buckets as fn() -> Histogram);
        let (connections, tunnels, refused) = (Gauge::default(), Gauge::default(), Counter::default());
        registry.register("requests", "Answered requests", requests.clone());
        registry.register("request_seconds", "Time until the head of the answer", seconds.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("tunnels", "Connected agents", tunnels.clone());
        registry.register("refused_connections", "Connections that ended before a request", refused.clone());
        Self { registry: all, sessions, requests, seconds, connections, tunnels, refused }
    }

    pub(crate) fn observe(&self, route: Route, code: u16, took: Duration) {
        self.requests.get_or_create(&Answered { route, code }).inc();
        self.seconds.get_or_create(&Routed { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn refused_connection(&self) {
        self.refused.inc();
    }

    pub(crate) fn render(&self) -> String {
        self.tunnels.set(i64::try_from(self.sessions.count()).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
