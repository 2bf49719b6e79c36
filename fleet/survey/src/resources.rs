//! How much a cluster's nodes have, and how much of it is given away.

use api_meta::{Object, Quantity, json};
use api_quota::{Amounts, pod_requests};
use lib_kubernetes::ClusterApi;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tunnel_protocol::{MAX_RESOURCES, Resources};

use crate::as_reader;
use crate::list::{Error, List};

const NODES: List = List { what: "nodes", path: "/api/v1/nodes", query: &[] };
/// Those that hold something: they have a node, and have not ended.
const PODS: List = List {
    what: "pods",
    path: "/api/v1/pods",
    query: &[("fieldSelector", "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed")],
};
/// What people look for first.
const FIRST: [&str; 4] = ["cpu", "memory", "pods", "ephemeral-storage"];

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    capacity: Value,
    #[serde(default)]
    allocatable: Value,
}

/// What decides what a Pod asks for, and nothing else.
#[derive(Deserialize, Serialize)]
struct Pod {
    spec: PodSpec,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
    #[serde(default)]
    resources: Value,
    #[serde(default)]
    overhead: Value,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    restart_policy: Option<String>,
    #[serde(default)]
    resources: Value,
}

/// Counts.
///
/// # Errors
/// When the cluster does not let itself be counted.
pub async fn resources(api: &ClusterApi) -> Result<Resources, Error> {
    let (api, mut count) = (as_reader(api), Count::default());
    NODES.each(&api, |node| count.node(&node)).await?;
    PODS.each(&api, |pod| count.pod(&pod)).await?;
    Ok(count.finish())
}

#[derive(Default)]
struct Count {
    capacity: Amounts,
    allocatable: Amounts,
    allocated: Amounts,
}

impl Count {
    fn node(&mut self, node: &Node) {
        add(&mut self.capacity, &Amounts::of(Some(&node.status.capacity)));
        add(&mut self.allocatable, &Amounts::of(Some(&node.status.allocatable)));
    }

    fn pod(&mut self, pod: &Pod) {
        let pod = Object::try_from(json!(pod)).expect("a struct is an object");
        let mut asked = pod_requests(&pod, true);
        asked.set("pods", Quantity::whole(1));
        add(&mut self.allocated, &asked);
    }

    fn finish(self) -> Resources {
        let mut names: Vec<&str> = self.capacity.names().chain(self.allocated.names()).collect();
        names.sort_by_key(|name| (FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()), *name));
        names.dedup();
        let has_none = |name: &str| {
            [&self.capacity, &self.allocated].iter().all(|amounts| amounts.get(name).unwrap_or_default().is_zero())
        };
        // Kinds of memory that nobody has set up are there with zero.
        names.retain(|name| FIRST.contains(name) || !has_none(name));
        names.truncate(MAX_RESOURCES);
        let list = |amounts: &Amounts| {
            let amount = |name: &&str| Some(((*name).to_owned(), amounts.get(name)?.to_string()));
            names.iter().filter_map(amount).collect()
        };
        let (capacity, allocatable) = (list(&self.capacity), list(&self.allocatable));
        Resources { capacity, allocatable, allocated: list(&self.allocated) }
    }
}

/// However many names somebody thinks of, a few times those that are told are counted.
fn add(sum: &mut Amounts, more: &Amounts) {
    let has_room = sum.0.len() < 4 * MAX_RESOURCES;
    sum.add(&more.only(|name| has_room || FIRST.contains(&name) || sum.get(name).is_some()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(amounts: Value) -> Node {
        serde_json::from_value(json!({"status": {"capacity": amounts, "allocatable": amounts}})).unwrap()
    }

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec, "status": {"phase": "Running"}}))
            .unwrap()
    }

    #[test]
    fn nodes_and_pods_are_summed_up() {
        let mut count = Count::default();
        count.node(&node(json!({"cpu": "4", "memory": "16384256Ki", "pods": "110", "hugepages-2Mi": "0"})));
        count.node(&node(json!({"cpu": "3920m", "memory": "8Gi", "pods": 110, "nvidia.com/gpu": "2"})));
        count.node(&node(Value::Null));
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu, "memory": "128Mi"}}});
        let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}});
        count.pod(&pod(json!({"containers": [asks("250m"), asks("1")], "overhead": {"cpu": "10m"}})));
        count.pod(&pod(json!({"containers": [asks("100m")], "initContainers": [sidecar, asks("2")]})));
        count.pod(&pod(json!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": 1}}}]})));
        let Resources { capacity, allocatable, allocated } = count.finish();
        assert_eq!(capacity, allocatable);
        assert_eq!(
            json!(capacity),
            json!({"cpu": "7920m", "memory": "24772864Ki", "pods": "220", "nvidia.com/gpu": "2"})
        );
        // The one that starts needs more than what runs later.
        assert_eq!(json!(allocated), json!({"cpu": "3310m", "memory": "384Mi", "nvidia.com/gpu": "1", "pods": "3"}));
    }

    #[test]
    fn nothing_is_given_away_in_an_empty_cluster() {
        let mut count = Count::default();
        count.node(&node(json!({"cpu": "4"})));
        assert_eq!(json!(count.finish().allocated), json!({}));
    }

    #[test]
    fn case_28_names_without_end_are_neither_kept_nor_told() {
        let mut count = Count::default();
        for number in 0..1000 {
            count.node(&node(json!({(format!("example.com/a{number}")): "1"})));
            count.pod(&pod(
                json!({"containers": [{"resources": {"requests": {(format!("example.com/b{number}")): "1"}}}]}),
            ));
        }
        count.node(&node(json!({"cpu": "4"})));
        assert!(count.capacity.0.len() <= 4 * MAX_RESOURCES + FIRST.len());
        let told = count.finish();
        assert_eq!(told.capacity.get("cpu").map(String::as_str), Some("4"));
        assert!(told.capacity.len() + told.allocated.len() <= 2 * MAX_RESOURCES);
    }
}
