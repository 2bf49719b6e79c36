//! What follows from a ratio for a Pod.

use api_meta::Quantity;
use api_types::tenancy::Overcommit;
use lib_admission::Add;
use serde_json::{Map, Value};

/// By what limits are divided; by none they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) cpu: Overcommit,
    pub(super) memory: Overcommit,
}

/// The changes after which each container of a Pod asks for its limit divided by the ratio.
///
/// It does not matter what was asked for: an API server fills in the limit where nothing is, so nobody can tell whether it
/// was said.
pub(super) fn derive(pod: &Value, ratio: Ratio) -> Vec<Add> {
    let of = |list: &'static str| {
        let containers = pod["spec"][list].as_array().into_iter().flatten().enumerate();
        containers.filter_map(move |(index, container)| {
            let requests = requests(&container["resources"], ratio)?;
            let path = format!("/spec/{list}/{index}/resources/requests");
            Some(Add { path, value: Value::Object(requests) })
        })
    };
    of("initContainers").chain(of("containers")).collect()
}

/// What a container is to ask for, if that is something else than it does.
fn requests(resources: &Value, ratio: Ratio) -> Option<Map<String, Value>> {
    let asked = resources["requests"].as_object();
    let mut requests = asked.cloned().unwrap_or_default();
    for (name, divisor, rounded) in [
        ("cpu", ratio.cpu, Quantity::rounded_to_milli as fn(Quantity) -> Quantity),
        ("memory", ratio.memory, Quantity::rounded_to_whole),
    ] {
        // What is no amount, or none above zero, is judged by the API server.
        let limit = Quantity::from_value(&resources["limits"][name]).ok();
        let limit = limit.filter(|limit| divisor > Overcommit::default() && *limit > Quantity::default());
        if let Some(limit) = limit {
            let request = rounded(limit * 1000 / divisor.thousandths()).min(limit);
            requests.insert(name.to_owned(), request.to_string().into());
        }
    }
    (asked.unwrap_or(&Map::new()) != &requests).then_some(requests)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn times(ratio: u32) -> Overcommit {
        Overcommit::from_thousandths(ratio * 1000)
    }

    /// What a container with these resources asks for afterwards; null for as before.
    #[track_caller]
    fn check(cpu: u32, memory: u32, resources: Value, expect: Value) {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        let changes = derive(&pod, Ratio { cpu: times(cpu), memory: times(memory) });
        let found = changes.first().map(|change| change.value.clone()).unwrap_or_default();
        assert_eq!(found, expect, "{resources}");
    }

    #[test]
    fn requests_are_parts_of_limits() {
        let limits = json!({"limits": {"cpu": "4", "memory": "1Gi"}});
        check(2, 4, limits.clone(), json!({"cpu": "2", "memory": "256Mi"}));
        check(1, 1, limits.clone(), json!({"cpu": "4", "memory": "1Gi"}));
        check(3, 3, limits.clone(), json!({"cpu": "1334m", "memory": "357913942"}));
        check(1000, 1000, limits, json!({"cpu": "4m", "memory": "1073742"}));
        check(2, 2, json!({"limits": {"cpu": 1, "memory": 1024}}), json!({"cpu": "500m", "memory": "512"}));
        check(2, 2, json!({"limits": {"cpu": "1e3", "memory": "1G"}}), json!({"cpu": "500", "memory": "500M"}));
    }

    #[test]
    fn ratios_have_fractions() {
        let pod = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "3", "memory": "3Gi"}}}]}});
        let of = |cpu, memory| {
            let (cpu, memory) = (Overcommit::from_thousandths(cpu), Overcommit::from_thousandths(memory));
            derive(&pod, Ratio { cpu, memory }).remove(0).value
        };
        assert_eq!(of(1500, 1500), json!({"cpu": "2", "memory": "2Gi"}));
        assert_eq!(of(1001, 2250), json!({"cpu": "2998m", "memory": "1431655766"}));
        // Less than once is promised nothing.
        assert_eq!(of(500, 1), json!({"cpu": "3", "memory": "3Gi"}));
    }

    #[test]
    fn zero_leaves_requests_alone() {
        let both = json!({"limits": {"cpu": "4", "memory": "1Gi"}, "requests": {"cpu": "3", "memory": "1Gi"}});
        check(0, 0, both.clone(), Value::Null);
        check(0, 2, both.clone(), json!({"cpu": "3", "memory": "512Mi"}));
        check(2, 0, both, json!({"cpu": "2", "memory": "1Gi"}));
    }

    #[test]
    fn what_was_asked_for_is_replaced_where_there_is_a_limit() {
        let some =
            json!({"limits": {"cpu": "4"}, "requests": {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "1"}});
        check(2, 2, some, json!({"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1"}));
        check(2, 2, json!({"limits": {"cpu": "4"}, "requests": {"cpu": "4"}}), json!({"cpu": "2"}));
        check(2, 2, json!({"limits": {"cpu": "4"}, "requests": {"cpu": "2"}}), Value::Null);
    }

    #[test]
    fn without_a_limit_nothing_follows() {
        for resources in [
            json!(null),
            json!({}),
            json!({"limits": {}}),
            json!({"requests": {"cpu": "1"}}),
            json!({"limits": {"ephemeral-storage": "1Gi", "example.com/gpu": "1"}}),
            // These are not judged here.
            json!({"limits": {"cpu": "0", "memory": "-1"}}),
            json!({"limits": {"cpu": "much", "memory": []}}),
            json!({"limits": "x", "requests": "y"}),
            json!([]),
        ] {
            check(2, 2, resources, Value::Null);
        }
    }

    #[test]
    fn no_request_is_nothing_or_above_its_limit() {
        check(1000, 1000, json!({"limits": {"cpu": "1m", "memory": "1"}}), json!({"cpu": "1m", "memory": "1"}));
        check(2, 2, json!({"limits": {"cpu": "100u", "memory": "100m"}}), json!({"cpu": "100u", "memory": "100m"}));
        let largest = json!({"limits": {"cpu": "9223372036854775807", "memory": "8Ei"}});
        check(1, 1, largest, json!({"cpu": "9223372036854775807", "memory": "9223372036854775807"}));
    }

    #[test]
    fn all_containers_but_ephemeral_ones() {
        let container = json!({"resources": {"limits": {"cpu": "1"}}});
        let bare = json!({"name": "bare"});
        let pod = json!({"spec": {
            "containers": [bare, container], "initContainers": [container, bare], "ephemeralContainers": [container],
        }});
        let changes = derive(&pod, Ratio { cpu: times(2), memory: times(0) });
        let paths: Vec<_> = changes.iter().map(|change| &*change.path).collect();
        assert_eq!(paths, ["/spec/initContainers/0/resources/requests", "/spec/containers/1/resources/requests"]);
        for pod in [json!(null), json!({}), json!({"spec": []}), json!({"spec": {"containers": [1, null, []]}})] {
            assert!(derive(&pod, Ratio { cpu: times(2), memory: times(2) }).is_empty(), "{pod}");
        }
    }

    #[test]
    fn what_was_derived_stays() {
        let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let mut pod = json!({"spec": {"containers": [{"resources": resources}]}});
        let ratio = Ratio { cpu: times(3), memory: Overcommit::from_thousandths(1357) };
        let change = derive(&pod, ratio).remove(0);
        pod["spec"]["containers"][0]["resources"]["requests"] = change.value;
        assert!(derive(&pod, ratio).is_empty());
    }
}
