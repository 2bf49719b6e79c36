//! Pods get the nodes that a kube-scheduler would give them, or are told why not.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition},
    scheduling::v1::PriorityClass,
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use sandbox::SandboxConfig;
use serde_json::{Value, json};
use support::{Cluster, eventually, gone, start_with, template, until};

const ZONE: &str = "topology.kubernetes.io/zone";

/// A cluster whose scheduler has heard of all nodes.
async fn start_nodes(nodes: usize) -> Cluster {
    let cluster = start_with(SandboxConfig { nodes, ..SandboxConfig::default() }, None).await;
    probe(&cluster, json!({"kubernetes.io/hostname": format!("node-{nodes}")})).await;
    cluster
}

/// Places a pod and takes it away. The changes of one kind are heard of in their order, so once that works the
/// scheduler knows of all changes of nodes up to the one that was needed.
async fn probe(cluster: &Cluster, selector: Value) {
    let mut probe = pod("probe", json!({"nodeSelector": selector}));
    // Pods that controllers here make are known before the news that the probe is gone: they must not be alike.
    probe["metadata"]["labels"] = json!({"app": "probe"});
    cluster.create::<Pod>(probe).await;
    let pods = cluster.api::<Pod>();
    eventually(&pods, "probe", |pod| node_of(pod).is_some()).await;
    pods.delete("probe", &DeleteParams::default()).await.unwrap();
    gone(&pods, "probe").await;
}

fn pod(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "demo"}}, "spec": template(spec)["spec"]})
}

fn cores(amount: &str) -> Value {
    json!([{"name": "main", "image": "registry.example/app:1", "resources": {"requests": {"cpu": amount}}}])
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Waits until a pod is told that it cannot be placed; returns the message.
async fn refused(pods: &Api<Pod>, name: &str) -> String {
    let waits =
        |pod: &Pod| condition(pod, "PodScheduled").is_some_and(|c| c.reason.as_deref() == Some("Unschedulable"));
    let pod = eventually(pods, name, waits).await;
    condition(&pod, "PodScheduled").unwrap().message.clone().unwrap()
}

/// Waits for an event about a pod; returns its message.
async fn told(cluster: &Cluster, name: &str, reason: &str) -> String {
    let find = || async {
        let events: Vec<Event> = cluster.list("").await;
        let mut events = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        events.find(|event| event.involved_object.name.as_deref() == Some(name)).and_then(|event| event.message)
    };
    until("the event", || async { find().await.is_some() }).await;
    find().await.unwrap()
}

/// Gives nodes their zones, and returns when the scheduler has heard of them.
async fn zone(cluster: &Cluster, zones: &[(&str, &str)]) {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    for (node, zone) in zones {
        eventually(&nodes, node, |_| true).await;
        let patch = Patch::Merge(json!({"metadata": {"labels": {ZONE: zone}}}));
        nodes.patch(node, &PatchParams::default(), &patch).await.unwrap();
    }
    let (node, zone) = zones.last().unwrap();
    probe(cluster, json!({"kubernetes.io/hostname": node, ZONE: zone})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_spread_over_zones() {
    let cluster = start_nodes(3).await;
    zone(&cluster, &[("node-1", "east"), ("node-2", "east"), ("node-3", "west")]).await;
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "demo"}}}]});
    let spec = json!({"replicas": 6, "selector": {"matchLabels": {"app": "demo"}}, "template": template(spread)});
    cluster.create::<Deployment>(json!({"metadata": {"name": "d"}, "spec": spec})).await;
    until("all are placed", || async {
        let pods: Vec<Pod> = cluster.list("app=demo").await;
        pods.len() == 6 && pods.iter().all(|pod| node_of(pod).is_some())
    })
    .await;
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in cluster.list::<Pod>("app=demo").await {
        *zones.entry(if node_of(&pod) == Some("node-3") { "west" } else { "east" }).or_default() += 1;
    }
    assert_eq!(zones, BTreeMap::from([("east", 3), ("west", 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_keep_apart_have_a_node_each() {
    let cluster = start_nodes(2).await;
    let pods = cluster.api::<Pod>();
    let apart = || {
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "demo"}}}]}}})
    };
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        cluster.create::<Pod>(pod(name, apart())).await;
        nodes.extend(node_of(&eventually(&pods, name, runs).await).map(str::to_owned));
    }
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-2"]);
    cluster.create::<Pod>(pod("c", apart())).await;
    assert_eq!(
        refused(&pods, "c").await,
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, \
         preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    pods.delete("b", &DeleteParams::default()).await.unwrap();
    eventually(&pods, "c", runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pod_starts_when_room_appears() {
    let cluster = start_nodes(1).await;
    let pods = cluster.api::<Pod>();
    cluster.create::<Pod>(pod("first", json!({"containers": cores("5")}))).await;
    eventually(&pods, "first", runs).await;
    cluster.create::<Pod>(pod("second", json!({"containers": cores("5")}))).await;
    let expect = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
                  available: 1 No preemption victims found for incoming pod.";
    assert_eq!(refused(&pods, "second").await, expect);
    assert_eq!(told(&cluster, "second", "FailedScheduling").await, expect);
    pods.delete("first", &DeleteParams::default()).await.unwrap();
    let second = eventually(&pods, "second", runs).await;
    assert_eq!(condition(&second, "PodScheduled").unwrap().status, "True");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_important_pod_makes_a_lesser_one_go() {
    let cluster = start_nodes(1).await;
    let classes: Api<PriorityClass> = Api::all(cluster.client.clone());
    let class = json!({"metadata": {"name": "important"}, "value": 1000});
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    let pods = cluster.api::<Pod>();
    // With a finalizer, what was said of it can still be read.
    let mut lesser = pod("lesser", json!({"containers": cores("5")}));
    lesser["metadata"]["finalizers"] = json!(["example.com/keep"]);
    cluster.create::<Pod>(lesser).await;
    eventually(&pods, "lesser", runs).await;
    let spec = json!({"containers": cores("5"), "priorityClassName": "important"});
    let important: Pod = cluster.create(pod("important", spec)).await;

    let lesser = eventually(&pods, "lesser", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    let disrupted = condition(&lesser, "DisruptionTarget").unwrap();
    assert_eq!(
        (disrupted.status.as_str(), disrupted.reason.as_deref(), disrupted.message.as_deref()),
        (
            "True",
            Some("PreemptionByScheduler"),
            Some("default-scheduler: preempting to accommodate a higher priority pod")
        )
    );
    let expect = format!("Preempted by pod {} on node node-1", important.uid().unwrap());
    assert_eq!(told(&cluster, "lesser", "Preempted").await, expect);
    let expect = "0/1 nodes are available: 1 Insufficient cpu.";
    assert_eq!(told(&cluster, "important", "FailedScheduling").await, expect);
    let nominated = |pod: &Pod| pod.status.as_ref().and_then(|s| s.nominated_node_name.clone());
    eventually(&pods, "important", |pod| nominated(pod).as_deref() == Some("node-1")).await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    pods.patch("lesser", &PatchParams::default(), &free).await.unwrap();
    gone(&pods, "lesser").await;
    eventually(&pods, "important", runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gated_pod_waits_for_its_gates() {
    let cluster = start_nodes(2).await;
    let pods = cluster.api::<Pod>();
    let gated: Pod = cluster.create(pod("gated", json!({"schedulingGates": [{"name": "example.com/wait"}]}))).await;
    let told = condition(&gated, "PodScheduled").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_deref()), ("False", Some("SchedulingGated")));
    // Whoever comes later is placed, so the scheduler has seen both.
    cluster.create::<Pod>(pod("free", json!({}))).await;
    eventually(&pods, "free", runs).await;
    assert_eq!(node_of(&pods.get("gated").await.unwrap()), None);
    let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
    pods.patch("gated", &PatchParams::default(), &open).await.unwrap();
    eventually(&pods, "gated", runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_for_its_pod_is_given_a_node() {
    let cluster = start_nodes(2).await;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let class = json!({"metadata": {"name": "late"}, "provisioner": "example.com/disks",
        "volumeBindingMode": "WaitForFirstConsumer"});
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    let (pods, claims) = (cluster.api::<Pod>(), cluster.api::<PersistentVolumeClaim>());
    let mounts = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]});
    cluster.create::<Pod>(pod("p", mounts)).await;
    assert_eq!(
        refused(&pods, "p").await,
        "0/2 nodes are available: persistentvolumeclaim \"data\" not found. not found"
    );
    let claim = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "late",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create::<PersistentVolumeClaim>(claim).await;
    let selected = "volume.kubernetes.io/selected-node";
    let claim = eventually(&claims, "data", |claim| claim.annotations().contains_key(selected)).await;
    let node = claim.annotations()[selected].clone();
    assert_eq!(node_of(&pods.get("p").await.unwrap()), None, "the volume is not there yet");

    provision(&cluster, &claim, &node).await;
    let placed = eventually(&pods, "p", |pod| node_of(pod).is_some()).await;
    assert_eq!(node_of(&placed), Some(node.as_str()));
}

/// What a provisioner and the volumes' controller do.
async fn provision(cluster: &Cluster, claim: &PersistentVolumeClaim, node: &str) {
    let volume = json!({"metadata": {"name": "disk"}, "spec": {
        "storageClassName": "late", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
        "csi": {"driver": "example.com/disks", "volumeHandle": "1"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": "data",
                     "uid": claim.uid()},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}});
    let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
    volumes.create(&PostParams::default(), &serde_json::from_value(volume).unwrap()).await.unwrap();
    let claims = cluster.api::<PersistentVolumeClaim>();
    let bound = Patch::Merge(json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "disk"}}));
    claims.patch("data", &PatchParams::default(), &bound).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_claim_that_waits_for_nobody_holds_its_pod_back() {
    let cluster = start_nodes(2).await;
    let claim = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create::<PersistentVolumeClaim>(claim).await;
    let mounts = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]});
    cluster.create::<Pod>(pod("p", mounts)).await;
    let pods = cluster.api::<Pod>();
    let expect = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found";
    // It may have been looked at before the claim was heard of.
    eventually(&pods, "p", |pod| {
        condition(pod, "PodScheduled").is_some_and(|told| told.message.as_deref() == Some(expect))
    })
    .await;
}
