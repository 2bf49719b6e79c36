//! What nodes and pods use, as kubelets and the metrics API tell it.

mod support;

use http::Request;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{Cluster, eventually, until};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

async fn text(cluster: &Cluster, path: &str) -> String {
    let request = Request::get(path).body(Vec::new()).expect("the path is one");
    cluster.client.request_text(request).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn get(cluster: &Cluster, path: &str) -> Value {
    serde_json::from_str(&text(cluster, path).await).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A cluster in which a pod of two containers, one of which has ended, runs on a node with a claim.
async fn busy() -> Cluster {
    let cluster = support::start().await;
    cluster
        .create::<PersistentVolumeClaim>(json!({"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}}))
        .await;
    cluster
        .create::<Pod>(json!({"metadata": {"name": "p", "labels": {"app": "demo"}}, "spec": {
            "nodeName": "node-1", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "containers": [
                {"name": "main", "image": "registry.example/app:1", "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "400m"}}},
                {"name": "once", "image": "registry.example/app:1", "command": ["true"]}]}}))
        .await;
    let ended = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let states: Vec<_> = statuses.filter_map(|status| status.state.as_ref()).collect();
        states.iter().any(|state| state.running.is_some()) && states.iter().any(|state| state.terminated.is_some())
    };
    eventually(&cluster.api::<Pod>(), "p", ended).await;
    cluster
}

/// The samples of a series: labels and value.
fn samples<'a>(text: &'a str, series: &str) -> Vec<(&'a str, f64)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(series)).filter(|rest| rest.starts_with(['{', ' ']));
    lines
        .map(|rest| {
            let (labels, rest) = rest.rsplit_once('}').unwrap_or(("", rest));
            let value = rest.split_whitespace().next().and_then(|value| value.parse().ok());
            (labels, value.expect("a sample has a value"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_api_lists_and_gets() {
    let cluster = busy().await;
    let nodes = get(&cluster, &format!("{METRICS}/nodes")).await;
    assert_eq!(nodes["kind"], "NodeMetricsList");
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
    let pod = get(&cluster, &format!("{METRICS}/namespaces/default/pods/p")).await;
    assert_eq!((pod["kind"].as_str(), pod["window"].as_str()), (Some("PodMetrics"), Some("15s")));
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "what has ended uses nothing: {pod}");
    let (cpu, memory) = (containers[0]["usage"]["cpu"].as_str(), containers[0]["usage"]["memory"].as_str());
    let cpu: f64 = cpu.and_then(|cpu| cpu.strip_suffix('n')?.parse().ok()).expect("billionths");
    let memory: f64 = memory.and_then(|memory| memory.strip_suffix("Ki")?.parse().ok()).expect("kibibytes");
    assert!((0.02e9..0.4e9).contains(&cpu) && (64.0 * 1024.0..256.0 * 1024.0).contains(&memory), "{pod}");
    let selected = get(&cluster, &format!("{METRICS}/pods?labelSelector=app%3Dother")).await;
    assert_eq!(selected["items"], json!([]));
    let selected = get(&cluster, &format!("{METRICS}/pods?labelSelector=app%3Ddemo")).await;
    assert_eq!(selected["items"][0]["metadata"]["name"], "p");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_tells_of_all_there_is() {
    let cluster = busy().await;
    let summary = get(&cluster, "/api/v1/nodes/node-1/proxy/stats/summary").await;
    assert_eq!(summary["node"]["nodeName"], "node-1");
    let pod = &summary["pods"][0];
    assert_eq!((&pod["podRef"]["name"], &pod["containers"][0]["name"]), (&json!("p"), &json!("main")));
    assert_eq!(pod["volume"][0]["pvcRef"], json!({"name": "data", "namespace": "default"}));
    assert_eq!(pod["volume"][0]["capacityBytes"], 2_u64 << 30);
    for path in
        ["/node/memory/availableBytes", "/node/fs/capacityBytes", "/node/network/rxBytes", "/pods/0/cpu/usageNanoCores"]
    {
        assert!(summary.pointer(path).and_then(Value::as_u64).is_some_and(|amount| amount > 0), "{path}: {summary}");
    }
    let pods = get(&cluster, "/api/v1/nodes/node-1/proxy/pods").await;
    assert_eq!((&pods["kind"], &pods["items"][0]["metadata"]["name"]), (&json!("PodList"), &json!("p")));
    assert_eq!(get(&cluster, "/api/v1/nodes/node-2/proxy/stats/summary").await["pods"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_grow() {
    let cluster = busy().await;
    let cadvisor = "/api/v1/nodes/node-1/proxy/metrics/cadvisor";
    let series = "container_cpu_usage_seconds_total";
    let of_container = |text: &str| {
        let all = samples(text, series);
        all.iter().find(|(labels, _)| labels.contains("container=\"main\"")).map(|(_, value)| *value)
    };
    let before = text(&cluster, cadvisor).await;
    let first = of_container(&before).expect("the container is told of");
    until("the counter grows", || async { of_container(&text(&cluster, cadvisor).await).is_some_and(|v| v > first) })
        .await;
    let labels = samples(&before, series)[0].0;
    for label in [
        "container=\"main\"",
        "cpu=\"total\"",
        "image=\"registry.example/app:1\"",
        "namespace=\"default\"",
        "pod=\"p\"",
    ] {
        assert!(labels.contains(label), "{label} in {labels}");
    }
    for series in [
        "container_memory_working_set_bytes",
        "container_network_receive_bytes_total",
        "container_fs_usage_bytes",
        "container_spec_cpu_quota",
        "machine_cpu_cores",
    ] {
        assert!(!samples(&before, series).is_empty(), "{series}");
    }
    assert!(!before.contains("container=\"once\""));
    let resource = text(&cluster, "/api/v1/nodes/node-1/proxy/metrics/resource").await;
    assert!(
        samples(&resource, "node_cpu_usage_seconds_total")[0].1
            > samples(&resource, "pod_cpu_usage_seconds_total")[0].1
    );
    assert_eq!(samples(&resource, "resource_scrape_error"), [("", 0.0)]);
    until("probes are counted", || async {
        let probes = text(&cluster, "/api/v1/nodes/node-1/proxy/metrics/probes").await;
        samples(&probes, "prober_probe_total").iter().any(|(labels, done)| labels.contains("Readiness") && *done > 0.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_claim_has_no_room() {
    let cluster = busy().await;
    let kubelet = "/api/v1/nodes/node-1/proxy/metrics";
    let series = "kubelet_volume_stats_available_bytes";
    let before = text(&cluster, kubelet).await;
    let (labels, room) = samples(&before, series)[0];
    assert!(labels.contains("persistentvolumeclaim=\"data\"") && room > 1e9, "{labels} {room}");
    assert_eq!(samples(&before, "kubelet_running_pods"), [("", 1.0)]);
    let claims: Api<PersistentVolumeClaim> = cluster.api();
    let full = Patch::Merge(json!({"metadata": {"annotations": {"sandbox.cpaas.io/fault": "full"}}}));
    claims.patch("data", &PatchParams::default(), &full).await.unwrap();
    until("the claim is full", || async { samples(&text(&cluster, kubelet).await, series)[0].1 == 0.0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_knows_what_an_unreachable_node_uses() {
    let cluster = busy().await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let lost = Patch::Merge(json!({"metadata": {"annotations": {"sandbox.cpaas.io/fault": "unreachable"}}}));
    nodes.patch("node-1", &PatchParams::default(), &lost).await.unwrap();
    until("it is left out", || async {
        let (nodes, pods) =
            (get(&cluster, &format!("{METRICS}/nodes")).await, get(&cluster, &format!("{METRICS}/pods")).await);
        nodes["items"].as_array().is_some_and(|items| items.len() == 1) && pods["items"] == json!([])
    })
    .await;
}
