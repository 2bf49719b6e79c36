//! What servers say while they run. Each sort of workload has its own lines, as JSON; which one comes when follows from
//! the pod and the time, so that every reader reads the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

use crate::{
    kubelet::node_name,
    meta::{controller_of, uid},
};

use super::{LINES, Line};

/// There is one line in each of these.
const PERIOD: SignedDuration = SignedDuration::from_secs(10);
/// It comes at most this long before the end of its period.
const EARLY: u64 = 8_000;

/// The lines of a run until then, the last [`LINES`] of them.
pub(super) fn lines(pod: &Pod, container: &Container, start: Timestamp, until: Timestamp) -> Vec<Line> {
    let sort = sort(pod, container);
    let periods = until.duration_since(start).as_secs() / PERIOD.as_secs() + 1;
    let first = (periods - i64::try_from(LINES).unwrap_or(i64::MAX)).max(1);
    (first..=periods)
        .filter_map(|period| {
            let luck = Luck::new(pod, container, start, period);
            let early = SignedDuration::from_millis(i64::try_from(luck.below(EARLY, 0)).unwrap_or(0));
            let at = start.checked_add(SignedDuration::from_secs(period * PERIOD.as_secs()) - early).ok()?;
            (at <= until).then(|| Line { at, text: say(sort, pod, luck).to_string() })
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Web,
    Store,
    Agent,
    Worker,
}

fn sort(pod: &Pod, container: &Container) -> Sort {
    const STORES: [&str; 12] = [
        "postgres",
        "mysql",
        "mariadb",
        "redis",
        "mongo",
        "etcd",
        "kafka",
        "rabbitmq",
        "elasticsearch",
        "clickhouse",
        "minio",
        "cassandra",
    ];
    let image = container.image.as_deref().unwrap_or_default();
    let base = image.rsplit('/').next().unwrap_or_default();
    if STORES.iter().any(|store| base.contains(store)) {
        return Sort::Store;
    }
    let owner = controller_of(&pod.metadata).map_or("", |owner| owner.kind.as_str());
    match (owner, container.ports.as_ref().is_some_and(|ports| !ports.is_empty())) {
        ("DaemonSet", _) => Sort::Agent,
        ("StatefulSet", false) => Sort::Store,
        (_, true) => Sort::Web,
        _ if ["nginx", "httpd", "envoy", "traefik", "web", "api"].iter().any(|word| base.contains(word)) => Sort::Web,
        _ => Sort::Worker,
    }
}

fn say(sort: Sort, pod: &Pod, luck: Luck) -> Value {
    let milliseconds = 1 + luck.below(90, 1);
    match sort {
        Sort::Web => {
            let path =
                luck.pick(&["/", "/healthz", "/api/v1/orders", "/api/v1/items", "/api/v1/users/me", "/metrics"], 2);
            let (method, status) = match luck.below(20, 3) {
                0 => ("GET", 404),
                1..4 => ("POST", 201),
                _ => ("GET", 200),
            };
            let level = if status == 404 { "warn" } else { "info" };
            json!({"level": level, "msg": "request", "method": method, "path": path, "status": status, "durationMs": milliseconds})
        }
        Sort::Store => match luck.below(3, 2) {
            0 => {
                json!({"level": "info", "msg": "checkpoint complete", "buffers": luck.below(900, 3), "durationMs": milliseconds})
            }
            1 => json!({"level": "info", "msg": "connection accepted", "connections": 1 + luck.below(60, 3)}),
            _ => {
                json!({"level": "info", "msg": "compaction finished", "segments": 1 + luck.below(12, 3), "durationMs": milliseconds})
            }
        },
        Sort::Agent => match luck.below(2, 2) {
            0 => {
                json!({"level": "info", "msg": "node synchronised", "node": node_name(pod), "durationMs": milliseconds})
            }
            _ => json!({"level": "debug", "msg": "collected samples", "samples": 100 + luck.below(900, 3)}),
        },
        Sort::Worker => match luck.below(3, 2) {
            0 => json!({"level": "debug", "msg": "queue is empty"}),
            _ => {
                json!({"level": "info", "msg": "batch processed", "items": 1 + luck.below(200, 3), "durationMs": milliseconds})
            }
        },
    }
}

/// Noise that comes out the same for the same pod, container, run and period.
#[derive(Clone, Copy)]
struct Luck(u64);

impl Luck {
    fn new(pod: &Pod, container: &Container, start: Timestamp, period: i64) -> Self {
        let mut hasher = DefaultHasher::new();
        (uid(pod), &container.name, start.as_second(), period).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// A number below `bound`; another one for each `draw`.
    fn below(self, bound: u64, draw: u8) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0, draw).hash(&mut hasher);
        hasher.finish() % bound.max(1)
    }

    fn pick<T: Copy>(self, from: &[T], draw: u8) -> T {
        let at = usize::try_from(self.below(u64::try_from(from.len()).unwrap_or(1), draw)).unwrap_or(0);
        from[at.min(from.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner: &str) -> Pod {
        let owner = json!([{"apiVersion": "v1", "kind": owner, "name": "o", "uid": "o", "controller": true}]);
        serde_json::from_value(json!({"metadata": {"uid": "u", "ownerReferences": owner}, "spec": {"containers": []}}))
            .unwrap()
    }

    #[track_caller]
    fn check(owner: &str, container: Value, expect: Sort) {
        let container: Container = serde_json::from_value(container).unwrap();
        assert_eq!(sort(&pod(owner), &container), expect);
        let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let said = |seconds: i64| lines(&pod(owner), &container, start, start + SignedDuration::from_secs(seconds));
        let all = said(200);
        assert!((19..=21).contains(&all.len()), "{}", all.len());
        assert!(all.iter().all(|line| serde_json::from_str::<Value>(&line.text).unwrap()["msg"].is_string()));
        assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert_eq!(said(100)[..], all[..said(100).len()], "what was said stays said");
    }

    #[test]
    fn each_sort_says_its_own() {
        check("ReplicaSet", json!({"name": "a", "image": "nginx:1.25"}), Sort::Web);
        check("ReplicaSet", json!({"name": "a", "image": "app:1", "ports": [{"containerPort": 80}]}), Sort::Web);
        check("StatefulSet", json!({"name": "a", "image": "registry.example/postgres:16"}), Sort::Store);
        check("DaemonSet", json!({"name": "a", "image": "agent:1"}), Sort::Agent);
        check("ReplicaSet", json!({"name": "a", "image": "worker:1"}), Sort::Worker);
    }
}
