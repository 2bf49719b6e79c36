//! What the server counts, in upstream's names, for Prometheus.

use std::time::Duration;

use apiserver_endpoints::{Body, body};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: String,
}

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<VerbLabels, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("apiserver_request", "Requests answered, by verb, resource and code", requests.clone());
        let durations = Family::<VerbLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_1, 4.0, 9))
        });
        registry.register(
            "apiserver_request_duration_seconds",
            "Time to the first byte of the answer, by verb",
            durations.clone(),
        );
        Self { registry, requests, durations }
    }
}

/// The verbs that metrics tell apart; a method nobody knows is one more.
const VERBS: [&str; 11] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "post", "put", "head"];

impl Metrics {
    pub(crate) fn observe(&self, verb: &str, resource: &str, code: StatusCode, time: Duration) {
        let verb = if VERBS.contains(&verb) { verb } else { "other" }.to_owned();
        self.durations.get_or_create(&VerbLabels { verb: verb.clone() }).observe(time.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { verb, resource: resource.to_owned(), code: code.as_u16() }).inc();
    }

    pub(crate) fn answer(&self) -> Response<Body> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        let mut response = Response::new(body::full(text));
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        response
    }
}
