//! What there is to count, in upstream's names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Flow {
    pub(crate) priority_level: String,
    pub(crate) flow_schema: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Rejection {
    pub(crate) priority_level: String,
    pub(crate) flow_schema: String,
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Level {
    pub(crate) priority_level: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Wait {
    pub(crate) priority_level: String,
    pub(crate) flow_schema: String,
    /// Whether it ran in the end.
    pub(crate) execute: &'static str,
}

pub(crate) struct Metrics {
    pub(crate) rejected: Family<Rejection, Counter>,
    pub(crate) dispatched: Family<Flow, Counter>,
    pub(crate) waiting: Family<Flow, Gauge>,
    pub(crate) executing: Family<Flow, Gauge>,
    pub(crate) executing_seats: Family<Flow, Gauge>,
    pub(crate) nominal_seats: Family<Level, Gauge>,
    pub(crate) current_seats: Family<Level, Gauge>,
    pub(crate) waits: Family<Wait, Histogram>,
    pub(crate) executions: Family<Flow, Histogram>,
}

/// What is counted of one schema's requests at one level; looked up once for all of them.
#[derive(Clone)]
pub(crate) struct FlowMetrics {
    pub(crate) labels: Flow,
    pub(crate) dispatched: Counter,
    pub(crate) waiting: Gauge,
    pub(crate) executing: Gauge,
    pub(crate) executing_seats: Gauge,
    /// Of those that ran in the end, and of those that did not.
    pub(crate) waits: [Histogram; 2],
    pub(crate) executions: Histogram,
}

impl Metrics {
    pub(crate) fn of(&self, priority_level: &str, flow_schema: &str) -> FlowMetrics {
        let labels = Flow { priority_level: priority_level.to_owned(), flow_schema: flow_schema.to_owned() };
        let waits = |execute| {
            let Flow { priority_level, flow_schema } = labels.clone();
            self.waits.get_or_create(&Wait { priority_level, flow_schema, execute }).clone()
        };
        FlowMetrics {
            dispatched: self.dispatched.get_or_create(&labels).clone(),
            waiting: self.waiting.get_or_create(&labels).clone(),
            executing: self.executing.get_or_create(&labels).clone(),
            executing_seats: self.executing_seats.get_or_create(&labels).clone(),
            waits: [waits("true"), waits("false")],
            executions: self.executions.get_or_create(&labels).clone(),
            labels,
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0])
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rejected: Family::default(),
            dispatched: Family::default(),
            waiting: Family::default(),
            executing: Family::default(),
            executing_seats: Family::default(),
            nominal_seats: Family::default(),
            current_seats: Family::default(),
            waits: Family::new_with_constructor(seconds),
            executions: Family::new_with_constructor(seconds),
        };
        let registry = registry.sub_registry_with_prefix("apiserver_flowcontrol");
        registry.register("rejected_requests", "Requests turned away, by reason", metrics.rejected.clone());
        registry.register("dispatched_requests", "Requests that got their seats", metrics.dispatched.clone());
        registry.register("current_inqueue_requests", "Requests that wait", metrics.waiting.clone());
        registry.register("current_executing_requests", "Requests that run", metrics.executing.clone());
        registry.register("current_executing_seats", "Seats of the requests that run", metrics.executing_seats.clone());
        registry.register("nominal_limit_seats", "Seats of a priority level", metrics.nominal_seats.clone());
        registry.register(
            "current_limit_seats",
            "Seats of a priority level, lent ones counted",
            metrics.current_seats.clone(),
        );
        registry.register("request_wait_duration_seconds", "How long requests waited", metrics.waits.clone());
        registry.register("request_execution_seconds", "How long requests held seats", metrics.executions.clone());
        metrics
    }
}
