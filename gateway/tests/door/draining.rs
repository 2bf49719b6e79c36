//! Nodes that are drained: in a member at the far end of a tunnel, and on the hub.

use std::net::Ipv4Addr;

use harness::TestCluster;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::agents::{apply, join};
use crate::clusters::administrator;
use crate::streams::{PASSWORD, add_user};
use crate::support::{Answer, Door, JSON, SOON, eventually, request};

fn path(cluster: &str, node: &str) -> String {
    format!("/platform/fleet.cpaas.io/v1/clusters/{cluster}/nodes/{node}/drain")
}

fn pod(name: &str, owner: &str, volumes: Value) -> Value {
    let owner = json!([{"apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "u", "controller": true}]);
    let owner = if name.starts_with("alone") { json!([]) } else { owner };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owner},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}], "volumes": volumes},
    })
}

async fn status(cluster: &TestCluster, kind: &str, name: &str, status: Value) {
    let (group, version, plural) = match kind {
        "Pod" => ("", "v1", "pods"),
        _ => ("policy", "v1", "poddisruptionbudgets"),
    };
    let resource = kube::core::ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { "v1".to_owned() } else { format!("{group}/{version}") },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(cluster.admin(), "default", &resource);
    let patch = kube::api::Patch::Merge(json!({"status": status}));
    api.patch_status(name, &kube::api::PatchParams::default(), &patch).await.unwrap();
}

fn budget(allowed: u32) -> Value {
    json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2,
        "expectedPods": 2})
}

/// A node with two Pods of an application that may lose none of them.
async fn furnish(cluster: &TestCluster) {
    apply(cluster, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).await;
    let account = json!({"name": "default", "namespace": "default"});
    apply(cluster, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})).await;
    for name in ["web-1", "web-2"] {
        apply(cluster, pod(name, "ReplicaSet", json!([]))).await;
        let running = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        status(cluster, "Pod", name, running).await;
    }
    let spec = json!({"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}});
    apply(
        cluster,
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"}, "spec": spec}),
    )
    .await;
    status(cluster, "PodDisruptionBudget", "web", budget(0)).await;
}

async fn is_cordoned(cluster: &TestCluster) -> bool {
    let nodes: Api<Node> = Api::all(cluster.admin());
    nodes.get("n1").await.unwrap().spec.and_then(|spec| spec.unschedulable) == Some(true)
}

async fn pods(cluster: &TestCluster) -> usize {
    Api::<Pod>::all(cluster.admin()).list(&ListParams::default()).await.unwrap().items.len()
}

async fn ask(door: &Door, bearer: &str, path: &str, body: Value) -> Answer {
    door.ask("POST", path, &[JSON, ("authorization", bearer)], &body.to_string()).await
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A drain that is listened to as it goes.
struct Listening {
    stream: TlsStream<TcpStream>,
    heard: Vec<u8>,
}

impl Listening {
    async fn to(door: &Door, bearer: &str, path: &str, body: Value) -> Self {
        let text = request("POST", path, &[JSON, ("authorization", bearer)], &body.to_string());
        let mut stream = door.connect(Ipv4Addr::LOCALHOST, None).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        Self { stream, heard: Vec::new() }
    }

    /// All that was said until this was; `None` when the door ended it before.
    async fn until(&mut self, text: &str) -> Option<String> {
        loop {
            let heard = String::from_utf8_lossy(&self.heard).into_owned();
            if heard.contains(text) {
                return Some(heard);
            }
            let read = timeout(SOON, self.stream.read_buf(&mut self.heard)).await.expect("something is said in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

#[tokio::test]
async fn a_budget_holds_a_node_and_lets_it_go() {
    let door = Door::open().await;
    let (bearer, member) = (administrator(&door).await, TestCluster::start().await);
    let _agent = join(&door, &bearer, "eu", &member).await;
    eventually("the administrator is the member's", async || {
        door.ask("GET", "/kubernetes/eu/api/v1/nodes", &[("authorization", &bearer)], "").await.code == 200
    })
    .await;
    for (name, cluster) in [("eu", &member), ("global", &door.cluster)] {
        furnish(cluster).await;
        // What would happen, and nothing does.
        let dry = ask(&door, &bearer, &path(name, "n1"), json!({"dryRun": true})).await;
        assert_eq!(dry.code, 200, "{dry:?}");
        let last = events(&dry.text).pop().unwrap();
        assert_eq!((&last["drained"], last["remaining"].as_array().unwrap().len()), (&json!(false), 2), "{dry:?}");
        assert!(!is_cordoned(cluster).await && pods(cluster).await == 2, "{name}");

        let mut drain = Listening::to(&door, &bearer, &path(name, "n1"), json!({"gracePeriodSeconds": 0})).await;
        let told = drain.until(r#""type":"waiting""#).await.expect("the budget holds");
        assert!(told.contains(r#"{"type":"cordoned","already":false}"#), "{told}");
        let told = drain.until("The disruption budget web needs 2 healthy pods and has 2 currently").await;
        assert!(told.expect("the budget is named").contains("\"retryAfterSeconds\":5"));
        assert!(is_cordoned(cluster).await && pods(cluster).await == 2, "{name}");
        status(cluster, "PodDisruptionBudget", "web", budget(2)).await;
        let told = drain.until(r#""type":"done""#).await.expect("it ends");
        for name in ["web-1", "web-2"] {
            let left = format!(r#"{{"type":"evicted","namespace":"default","name":"{name}"}}"#);
            assert!(told.contains(&left), "{told}");
        }
        assert!(told.contains(r#"{"type":"done","drained":true,"evicted":2,"remaining":[]}"#), "{told}");
        assert_eq!(pods(cluster).await, 0, "{name}");
    }
}

#[tokio::test]
async fn what_is_special_bars_a_drain_until_that_is_said() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let cluster = &door.cluster;
    furnish(cluster).await;
    status(cluster, "PodDisruptionBudget", "web", budget(9)).await;
    let template = json!({"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    apply(
        cluster,
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template}}),
    )
    .await;
    apply(cluster, pod("daemon", "DaemonSet", json!([]))).await;
    apply(cluster, pod("alone", "", json!([]))).await;
    apply(cluster, pod("scratch", "ReplicaSet", json!([{"name": "v", "emptyDir": {}}]))).await;
    let strict = ask(&door, &bearer, &path("global", "n1"), json!({})).await;
    let barred: Vec<Value> = events(&strict.text).into_iter().filter(|event| event["type"] == "barred").collect();
    assert_eq!(
        barred,
        [
            json!({"type": "barred", "reason": "DaemonSet", "pods": ["default/daemon"]}),
            json!({"type": "barred", "reason": "LocalStorage", "pods": ["default/scratch"]}),
            json!({"type": "barred", "reason": "NoController", "pods": ["default/alone"]}),
        ]
    );
    let last = events(&strict.text).pop().unwrap();
    assert_eq!((&last["type"], &last["drained"]), (&json!("done"), &json!(false)), "{strict:?}");
    assert!(is_cordoned(cluster).await && pods(cluster).await == 5);
    let lax = json!({"force": true, "ignoreDaemonSets": true, "deleteEmptyDirData": true, "gracePeriodSeconds": 0});
    let drained = ask(&door, &bearer, &path("global", "n1"), lax).await;
    let told = events(&drained.text);
    assert_eq!(told[0], json!({"type": "cordoned", "already": true}));
    let warned: Vec<&Value> = told.iter().filter(|event| event["type"] == "warned").map(|e| &e["reason"]).collect();
    assert_eq!(warned, ["DaemonSet", "LocalStorage", "NoController"]);
    assert_eq!(told.last().unwrap()["drained"], true, "{drained:?}");
    assert_eq!(pods(cluster).await, 1, "the DaemonSet's stays");
}

#[tokio::test]
async fn what_takes_too_long_is_said_with_what_remains() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    furnish(&door.cluster).await;
    let answer = ask(&door, &bearer, &path("global", "n1"), json!({"timeoutSeconds": 1})).await;
    let last = events(&answer.text).pop().unwrap();
    assert_eq!((&last["drained"], &last["message"]), (&json!(false), &json!("the time of 1 s is over")));
    let why = "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget web needs 2 healthy \
               pods and has 2 currently";
    assert_eq!(last["remaining"][0], json!({"namespace": "default", "name": "web-1", "message": why}));
    // Nobody waits for ever for what has been leaving for long: here no kubelet ends anything.
    status(&door.cluster, "PodDisruptionBudget", "web", budget(2)).await;
    let wanted = json!({"gracePeriodSeconds": 1, "skipWaitForDeleteTimeoutSeconds": 1});
    let skipped = ask(&door, &bearer, &path("global", "n1"), wanted).await;
    let last = events(&skipped.text).pop().unwrap();
    assert_eq!(last, json!({"type": "done", "drained": true, "evicted": 0, "remaining": []}), "{skipped:?}");
    assert_eq!(pods(&door.cluster).await, 2);
    // Whoever may delete does not have to ask the budget.
    let wanted = json!({"disableEviction": true, "gracePeriodSeconds": 0, "podSelector": "app=web"});
    let deleted = ask(&door, &bearer, &path("global", "n1"), wanted).await;
    assert_eq!(events(&deleted.text).pop().unwrap()["drained"], true, "{deleted:?}");
    assert_eq!(pods(&door.cluster).await, 0);
}

#[tokio::test]
async fn the_cluster_says_who_may_drain_and_what_is_wrong_is_named() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    furnish(&door.cluster).await;
    add_user(&door, json!({"email": "val@example.com"})).await;
    let val = door.sign_in_with("val@example.com", PASSWORD).await.unwrap();
    let answer = ask(&door, &val, &path("global", "n1"), json!({})).await;
    answer.refused(403);
    assert!(answer.text.contains("User \\\"val@example.com\\\" cannot get resource \\\"nodes\\\""), "{answer:?}");
    // Who may see it, and no more.
    let rules = json!([{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list"]}]);
    apply(&door.cluster, crate::routes::native("ClusterRole", "", "see", json!({"rules": rules}))).await;
    apply(&door.cluster, crate::routes::bound("ClusterRoleBinding", "", "see", "val")).await;
    let answer = ask(&door, &val, &path("global", "n1"), json!({})).await;
    answer.refused(403);
    assert!(answer.text.contains("cannot patch resource \\\"nodes\\\""), "{answer:?}");
    // And who may cordon it, and not evict: each Pod is told of.
    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}]);
    apply(&door.cluster, crate::routes::native("ClusterRole", "", "cordon", json!({"rules": rules}))).await;
    apply(&door.cluster, crate::routes::bound("ClusterRoleBinding", "", "cordon", "val")).await;
    let answer = ask(&door, &val, &path("global", "n1"), json!({})).await;
    let told = events(&answer.text);
    assert_eq!(told.iter().filter(|event| event["type"] == "failed").count(), 2, "{answer:?}");
    let last = told.last().unwrap();
    assert!(last["remaining"][0]["message"].as_str().unwrap().contains("cannot create resource \"pods/eviction\""));
    for (path, body, code, says) in [
        (path("global", "n2"), json!({}), 404, "nodes \\\"n2\\\" not found"),
        (path("none", "n1"), json!({}), 404, "there is no cluster none"),
        (path("global", "N1"), json!({}), 400, "a node is named by"),
        (path("global", "n1"), json!({"forced": true}), 400, "the body cannot be decoded"),
        (path("global", "n1"), json!({"podSelector": "=="}), 400, ""),
    ] {
        let answer = ask(&door, &bearer, &path, body.clone()).await;
        answer.refused(code);
        assert!(answer.text.contains(says), "{path} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn case_40_a_drain_ends_with_the_session_that_began_it() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    furnish(&door.cluster).await;
    let mut drain = Listening::to(&door, &bearer, &path("global", "n1"), json!({})).await;
    drain.until(r#""type":"waiting""#).await.expect("the budget holds");
    let auth = [("authorization", bearer.as_str())];
    assert_eq!(door.ask("DELETE", "/auth/v1/sessions/current", &auth, "").await.code, 204);
    assert_eq!(drain.until(r#""type":"done""#).await, None, "nobody is there to be told");
    assert_eq!(pods(&door.cluster).await, 2);
}
