//! What a whole Pod asks for and may use (upstream: `component-helpers/resource`).

use api_meta::{Object, Value};

use crate::Amounts;

/// What a Pod asks for, by its spec alone. Its overhead counts where one says so.
pub fn pod_requests(pod: &Object, with_overhead: bool) -> Amounts {
    let mut requests = aggregate(pod, "requests");
    of_whole_pod(pod, "requests", &mut requests);
    if with_overhead {
        requests.add(&Amounts::of(pod.at(&["spec", "overhead"])));
    }
    requests
}

/// What a Pod may use; overhead comes on top of what is limited at all.
pub fn pod_limits(pod: &Object, with_overhead: bool) -> Amounts {
    let mut limits = aggregate(pod, "limits");
    of_whole_pod(pod, "limits", &mut limits);
    if with_overhead {
        let overhead = Amounts::of(pod.at(&["spec", "overhead"]));
        let limited = overhead.only(|name| limits.get(name).is_some_and(|limit| !limit.is_zero()));
        limits.add(&limited);
    }
    limits
}

pub(crate) fn containers<'a>(pod: &'a Object, list: &str) -> impl Iterator<Item = &'a Value> {
    pod.at(&["spec", list]).and_then(Value::as_array).into_iter().flatten()
}

fn of_container(container: &Value, list: &str) -> Amounts {
    Amounts::of(container.get("resources").and_then(|r| r.get(list)))
}

/// Said for the whole Pod, an amount stands for the sum.
fn of_whole_pod(pod: &Object, list: &str, sum: &mut Amounts) {
    let said = Amounts::of(pod.at(&["spec", "resources", list]));
    let counted = |name: &str| name == "cpu" || name == "memory" || name.starts_with("hugepages-");
    sum.0.extend(said.only(counted).0);
}

/// What runs side by side, or the largest that runs before that: init containers run one after the other, sidecars stay.
fn aggregate(pod: &Object, list: &str) -> Amounts {
    let mut sum = Amounts::default();
    for container in containers(pod, "containers") {
        sum.add(&of_container(container, list));
    }
    let (mut sidecars, mut largest) = (Amounts::default(), Amounts::default());
    for container in containers(pod, "initContainers") {
        let mut amounts = of_container(container, list);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            sum.add(&amounts);
            sidecars.add(&amounts);
            largest.raise_to(&sidecars);
        } else {
            amounts.add(&sidecars);
            largest.raise_to(&amounts);
        }
    }
    sum.raise_to(&largest);
    sum
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, requests: Value, limits: Value) {
        let pod = Object::try_from(json!({"spec": spec})).unwrap();
        assert_eq!(pod_requests(&pod, true), Amounts::of(Some(&requests)));
        assert_eq!(pod_limits(&pod, true), Amounts::of(Some(&limits)));
    }

    fn asks(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn containers_run_side_by_side() {
        check(json!({"containers": [asks("1"), asks("500m")]}), json!({"cpu": "1500m"}), json!({}));
    }

    #[test]
    fn the_largest_init_container_counts_when_it_needs_more() {
        let init = json!([asks("3"), asks("1")]);
        check(json!({"containers": [asks("1")], "initContainers": init}), json!({"cpu": "3"}), json!({}));
    }

    #[test]
    fn sidecars_stay_beside_what_follows_them() {
        let init = json!([asks("3"), sidecar("1"), asks("3")]);
        check(json!({"containers": [asks("1")], "initContainers": init}), json!({"cpu": "4"}), json!({}));
    }

    #[test]
    fn amounts_of_the_whole_pod_and_overhead() {
        let spec = json!({"containers": [asks("1")], "overhead": {"cpu": "100m", "memory": "1Mi"},
            "resources": {"requests": {"cpu": "2", "example.com/gpu": "1"}, "limits": {"cpu": "3"}}});
        check(spec, json!({"cpu": "2100m", "memory": "1Mi"}), json!({"cpu": "3100m"}));
    }
}
