//! What the server counts, in upstream's names, for Prometheus.

use std::collections::HashSet;
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
    pub(crate) registry: Registry,
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
        response(prometheus_text(&text) + &lib_telemetry::process::metrics())
    }
}

/// Metrics in Prometheus' text format.
pub(crate) fn response(text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// OpenMetrics as Prometheus' older text format, which every scraper reads: there counters are declared by the name of
/// their samples, and neither units nor an end are written.
fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut counters = HashSet::new();
    let declared =
        |line: &str| line.strip_suffix(" counter").and_then(|l| l.strip_prefix("# TYPE ")).map(str::to_owned);
    counters.extend(open_metrics.lines().filter_map(declared));
    for line in open_metrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(word), Some(name), rest) if counters.contains(name) => {
                text.push_str(&format!("# {word} {name}_total {}\n", rest.unwrap_or_default()));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_declared_by_the_name_of_their_samples() {
        let metrics = Metrics::default();
        metrics.observe("get", "pods", StatusCode::OK, Duration::from_millis(1));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
        let text = prometheus_text(&text);
        assert!(text.contains("# TYPE apiserver_request_total counter\n"), "{text}");
        assert!(text.contains("# HELP apiserver_request_total Requests answered"), "{text}");
        assert!(text.contains("\napiserver_request_total{verb=\"get\",resource=\"pods\",code=\"200\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE apiserver_request_duration_seconds histogram\n"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
    }
}
