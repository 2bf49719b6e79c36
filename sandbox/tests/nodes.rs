//! Nodes that fall silent, suffer, change and come back.

mod support;

use std::time::Duration;

use http::Request;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Event, Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use sandbox::{Clock, NodeCapacity, SandboxConfig, Timings};
use serde_json::{Value, json};
use support::{Cluster, eventually, gone, start_with, template, until};

const FAULT: &str = "sandbox.cpaas.io/fault";

fn nodes(cluster: &Cluster) -> Api<Node> {
    Api::all(cluster.client.clone())
}

/// A cluster in which a minute takes a second.
async fn fast(nodes: usize) -> Cluster {
    start_with(SandboxConfig { nodes, clock: Clock::accelerated(60), ..SandboxConfig::default() }, None).await
}

async fn annotate(cluster: &Cluster, node: &str, key: &str, value: Value) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    nodes(cluster).patch(node, &PatchParams::default(), &patch).await.expect("the node can be annotated");
}

fn condition(node: &Node, kind: &str) -> (String, String) {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let found = conditions.into_iter().find(|condition| condition.type_ == kind);
    found.map(|found| (found.status.clone(), found.reason.clone().unwrap_or_default())).unwrap_or_default()
}

fn is(node: &Node, kind: &str, status: &str) -> bool {
    condition(node, kind).0 == status
}

/// Taints as `key:effect`, without the part that all have.
fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let short = |key: &str| key.trim_start_matches("node.kubernetes.io/").to_owned();
    let mut taints: Vec<_> = taints.map(|taint| format!("{}:{}", short(&taint.key), taint.effect)).collect();
    taints.sort();
    taints
}

fn is_well(node: &Node) -> bool {
    is(node, "Ready", "True") && taints(node).is_empty()
}

async fn events_of(cluster: &Cluster, kind: &str, reason: &str) -> Vec<Event> {
    let events: Api<Event> = Api::all(cluster.client.clone());
    let list = events.list(&ListParams::default()).await.expect("events can be listed").items;
    let about = |event: &Event| event.involved_object.kind.as_deref() == Some(kind);
    list.into_iter().filter(|event| about(event) && event.reason.as_deref() == Some(reason)).collect()
}

async fn told(cluster: &Cluster, kind: &str, reason: &str) {
    until(&format!("{reason} of a {kind}"), || async { !events_of(cluster, kind, reason).await.is_empty() }).await;
}

/// Waits until the kubelet has told of so many starts.
async fn started(cluster: &Cluster, node: &str, times: i32) {
    until(&format!("{times} starts of {node}"), || async {
        let starts = events_of(cluster, "Node", "Starting").await;
        starts.iter().any(|start| start.involved_object.name.as_deref() == Some(node) && start.count == Some(times))
    })
    .await;
}

fn pinned(node: &str) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "registry.example/app:1"}]}})
}

fn runs_on(pod: &Pod, node: &str) -> bool {
    let ready = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node))
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_become_ready_and_say_what_they_are() {
    let node_capacity = NodeCapacity { pods: 17, ..NodeCapacity::default() };
    let cluster = start_with(SandboxConfig { nodes: 3, node_capacity, ..SandboxConfig::default() }, None).await;
    for (name, zone) in [("node-1", "zone-a"), ("node-2", "zone-b"), ("node-3", "zone-c")] {
        let node = eventually(&nodes(&cluster), name, is_well).await;
        assert_eq!(node.labels()["topology.kubernetes.io/zone"], zone);
        let status = node.status.unwrap();
        assert_eq!(status.allocatable.unwrap()["pods"].0, "17");
        assert_eq!(status.node_info.unwrap().kubelet_version, "v1.34.1");
        let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "kube-node-lease");
        let lease = eventually(&leases, name, |_| true).await;
        assert_eq!(lease.owner_references()[0].name, name);
    }
    for reason in ["Starting", "NodeHasSufficientMemory", "NodeReady", "RegisteredNode"] {
        told(&cluster, "Node", reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_an_unreachable_node_when_their_patience_ends() {
    let cluster = fast(2).await;
    for node in ["node-1", "node-2"] {
        eventually(&nodes(&cluster), node, is_well).await;
    }
    cluster
        .create::<k8s_openapi::api::apps::v1::Deployment>(json!({"metadata": {"name": "d"}, "spec": {"replicas": 1,
            "selector": {"matchLabels": {"app": "demo"}}, "template": template(json!({"terminationGracePeriodSeconds": 5}))}}))
        .await;
    until("the pod runs", || async {
        let pods = cluster.list::<Pod>("app=demo").await;
        pods.iter().any(|pod| runs_on(pod, "node-1") || runs_on(pod, "node-2"))
    })
    .await;
    let only = cluster.list::<Pod>("app=demo").await.remove(0);
    let (pod, lost) = (only.name_any(), only.spec.and_then(|spec| spec.node_name).expect("the pod has a place"));
    let other = if lost == "node-1" { "node-2" } else { "node-1" };

    annotate(&cluster, &lost, FAULT, json!("unreachable")).await;
    let node =
        eventually(&nodes(&cluster), &lost, |node| taints(node) == ["unreachable:NoExecute", "unreachable:NoSchedule"])
            .await;
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(condition(&node, kind), ("Unknown".to_owned(), "NodeStatusUnknown".to_owned()));
    }
    told(&cluster, "Node", "NodeNotReady").await;
    told(&cluster, "Pod", "NodeNotReady").await;
    // Five minutes later another takes its place; it cannot end where nobody ends it.
    until("another pod runs on the other node", || async {
        cluster.list::<Pod>("app=demo").await.iter().any(|pod| runs_on(pod, other))
    })
    .await;
    let left = cluster.api::<Pod>().get(&pod).await.expect("the pod is still there");
    assert!(left.metadata.deletion_timestamp.is_some());

    annotate(&cluster, &lost, FAULT, Value::Null).await;
    eventually(&nodes(&cluster), &lost, is_well).await;
    gone(&cluster.api::<Pod>(), &pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_node_that_comes_back_in_time_stay() {
    let cluster = fast(2).await;
    eventually(&nodes(&cluster), "node-1", is_well).await;
    cluster.create::<Pod>(pinned("node-1")).await;
    let before = eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "node-1")).await;
    annotate(&cluster, "node-1", FAULT, json!("unreachable")).await;
    eventually(&cluster.api::<Pod>(), "p", |pod| !runs_on(pod, "node-1")).await;
    annotate(&cluster, "node-1", FAULT, Value::Null).await;
    let after = eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "node-1")).await;
    assert_eq!(before.metadata.uid, after.metadata.uid);
    eventually(&nodes(&cluster), "node-1", is_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_be_reached_on_an_unreachable_node() {
    let cluster = support::start().await;
    cluster.create::<Pod>(pinned("node-1")).await;
    eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "node-1")).await;
    annotate(&cluster, "node-1", FAULT, json!("unreachable")).await;
    let pods = cluster.api::<Pod>();
    until("the kubelet is dead", || async {
        let log = pods.logs("p", &LogParams::default()).await;
        matches!(log, Err(kube::Error::Api(status)) if status.code == 500 && status.message.contains("connection refused"))
    })
    .await;
    pods.delete("p", &DeleteParams { grace_period_seconds: Some(1), ..DeleteParams::default() }).await.unwrap();
    let health = Request::get("/api/v1/nodes/node-1/proxy/healthz").body(Vec::new()).unwrap();
    let refused = cluster.client.request_text(health.clone()).await.expect_err("nobody answers");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 503), "503");
    assert!(pods.get("p").await.expect("nobody ends it").metadata.deletion_timestamp.is_some());
    annotate(&cluster, "node-1", FAULT, Value::Null).await;
    gone(&pods, "p").await;
    assert_eq!(cluster.client.request_text(health).await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_are_told_and_keep_pods_away() {
    let cluster = support::start().await;
    eventually(&nodes(&cluster), "node-1", is_well).await;
    for (fault, kind, status, expect) in [
        ("memory-pressure", "MemoryPressure", "True", &["memory-pressure:NoSchedule"][..]),
        ("disk-pressure", "DiskPressure", "True", &["disk-pressure:NoSchedule"]),
        ("not-ready", "Ready", "False", &["not-ready:NoExecute", "not-ready:NoSchedule"]),
    ] {
        annotate(&cluster, "node-1", FAULT, json!(fault)).await;
        let node = eventually(&nodes(&cluster), "node-1", |node| taints(node) == expect).await;
        assert!(is(&node, kind, status), "{node:?}");
        annotate(&cluster, "node-1", FAULT, Value::Null).await;
        eventually(&nodes(&cluster), "node-1", is_well).await;
    }
    for reason in ["NodeHasInsufficientMemory", "NodeHasDiskPressure", "NodeNotReady"] {
        told(&cluster, "Node", reason).await;
    }
    nodes(&cluster).cordon("node-1").await.unwrap();
    eventually(&nodes(&cluster), "node-1", |node| taints(node) == ["unschedulable:NoSchedule"]).await;
    told(&cluster, "Node", "NodeNotSchedulable").await;
    nodes(&cluster).uncordon("node-1").await.unwrap();
    eventually(&nodes(&cluster), "node-1", is_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_container_runtime_nothing_starts_or_ends() {
    let cluster = support::start().await;
    let pods = cluster.api::<Pod>();
    let mut other = pinned("node-1");
    other["metadata"]["name"] = json!("q");
    other["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    other["spec"]["terminationGracePeriodSeconds"] = json!(1);
    cluster.create::<Pod>(other.clone()).await;
    eventually(&pods, "q", |pod| runs_on(pod, "node-1")).await;
    annotate(&cluster, "node-1", FAULT, json!("not-ready")).await;
    eventually(&nodes(&cluster), "node-1", |node| is(node, "Ready", "False")).await;
    pods.delete("q", &DeleteParams::default()).await.unwrap();
    cluster.create::<Pod>(pinned("node-2")).await;
    other["metadata"]["name"] = json!("r");
    cluster.create::<Pod>(other).await;
    // Had they been to move, they would have while another one did.
    eventually(&pods, "p", |pod| runs_on(pod, "node-2")).await;
    assert!(pods.get("q").await.unwrap().metadata.deletion_timestamp.is_some());
    assert!(!runs_on(&pods.get("r").await.unwrap(), "node-1"));
    annotate(&cluster, "node-1", FAULT, Value::Null).await;
    gone(&pods, "q").await;
    eventually(&pods, "r", |pod| runs_on(pod, "node-1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_restarts_with_another_version() {
    let cluster = support::start().await;
    eventually(&nodes(&cluster), "node-1", is_well).await;
    started(&cluster, "node-1", 1).await;
    annotate(&cluster, "node-1", "sandbox.cpaas.io/kubelet-version", json!("v1.35.0")).await;
    let version = |node: &Node| node.status.as_ref()?.node_info.as_ref().map(|info| info.kubelet_version.clone());
    let node = eventually(&nodes(&cluster), "node-1", |node| version(node).as_deref() == Some("v1.35.0")).await;
    assert!(is_well(&node));
    assert_eq!(version(&nodes(&cluster).get("node-2").await.unwrap()).as_deref(), Some("v1.34.1"));
    started(&cluster, "node-1", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_node_takes_its_pods_along_and_stays_away() {
    let cluster = fast(2).await;
    cluster.create::<Pod>(pinned("node-1")).await;
    eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "node-1")).await;
    nodes(&cluster).delete("node-1", &DeleteParams::default()).await.unwrap();
    gone(&cluster.api::<Pod>(), "p").await;
    told(&cluster, "Node", "RemovingNode").await;
    assert!(nodes(&cluster).get_opt("node-1").await.unwrap().is_none(), "a kubelet registers only when it starts");
    // Whoever creates it anew has it back.
    let again: Node = serde_json::from_value(json!({"metadata": {"name": "node-1"}})).unwrap();
    nodes(&cluster).create(&PostParams::default(), &again).await.unwrap();
    let back = eventually(&nodes(&cluster), "node-1", is_well).await;
    assert_eq!(back.labels()["topology.kubernetes.io/zone"], "zone-a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_it_is_simulated_joins() {
    let cluster = support::start().await;
    let labels = json!({"node.acp.io/simulated": "true"});
    let extra: Node = serde_json::from_value(json!({"metadata": {"name": "extra", "labels": labels}})).unwrap();
    nodes(&cluster).create(&PostParams::default(), &extra).await.unwrap();
    eventually(&nodes(&cluster), "extra", is_well).await;
    cluster.create::<Pod>(pinned("extra")).await;
    eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "extra")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_a_node_out_of_service_without_its_help() {
    let cluster = fast(2).await;
    cluster.create::<Pod>(pinned("node-1")).await;
    eventually(&cluster.api::<Pod>(), "p", |pod| runs_on(pod, "node-1")).await;
    annotate(&cluster, "node-1", FAULT, json!("unreachable")).await;
    eventually(&nodes(&cluster), "node-1", |node| is(node, "Ready", "Unknown")).await;
    let node = nodes(&cluster).get("node-1").await.unwrap();
    let mut taints = node.spec.unwrap_or_default().taints.unwrap_or_default();
    taints.push(
        serde_json::from_value(json!({"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"})).unwrap(),
    );
    let patch = Patch::Merge(json!({"spec": {"taints": taints}}));
    nodes(&cluster).patch("node-1", &PatchParams::default(), &patch).await.unwrap();
    gone(&cluster.api::<Pod>(), "p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_cluster_of_many_nodes_writes_leases_and_little_else() {
    let timings = Timings { lease: Duration::from_millis(500), ..Timings::default() };
    let cluster = start_with(SandboxConfig { nodes: 50, timings, ..SandboxConfig::default() }, None).await;
    for number in 1..=50 {
        eventually(&nodes(&cluster), &format!("node-{number}"), is_well).await;
    }
    let versions = || async {
        let list = nodes(&cluster).list(&ListParams::default()).await.unwrap().items;
        list.into_iter().map(|node| node.metadata.resource_version).collect::<Vec<_>>()
    };
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "kube-node-lease");
    let (before, first) = (versions().await, eventually(&leases, "node-50", |_| true).await);
    let renewed = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    eventually(&leases, "node-50", |lease| renewed(lease) != renewed(&first)).await;
    assert_eq!(before, versions().await, "nodes are not written when nothing changes");
}
