//! Each promise, broken and kept.

use serde_json::{Value, json};

use super::*;

fn change(at: u64, is_gone: bool, object: Value) -> Change {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let subject = match kind.as_str() {
        "Deployment" => Subject::Deployment(serde_json::from_value(object).expect("a Deployment")),
        "Job" => Subject::Job(serde_json::from_value(object).expect("a Job")),
        "Node" => Subject::Node(serde_json::from_value(object).expect("a Node")),
        "PodDisruptionBudget" => Subject::Budget(serde_json::from_value(object).expect("a budget")),
        "ReplicaSet" => Subject::ReplicaSet(serde_json::from_value(object).expect("a ReplicaSet")),
        "StatefulSet" => Subject::StatefulSet(serde_json::from_value(object).expect("a StatefulSet")),
        _ => Subject::Pod(serde_json::from_value(object).expect("a Pod")),
    };
    Change { revision: at, at: Duration::from_secs(at), is_gone, subject }
}

/// What is said of these, one each second, without what led to it.
fn said(objects: &[Value]) -> Vec<String> {
    let changes: Vec<Change> =
        (0..).zip(objects).map(|(at, object)| change(10 * at, object["gone"] == true, object.clone())).collect();
    judge(&changes).iter().filter_map(|found| Some(found.lines().next()?.to_owned())).collect()
}

#[track_caller]
fn check(objects: &[Value], expect: &[&str]) {
    assert_eq!(said(objects), expect);
}

fn object(kind: &str, name: &str, spec: Value, status: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "uid": name, "generation": 1}, "spec": spec, "status": status})
}

fn owned(mut object: Value, kind: &str, owner: &str) -> Value {
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": kind, "name": owner, "uid": owner, "controller": true}]);
    object
}

fn deployment(replicas: i32, rolling: Value) -> Value {
    let template = json!({"spec": {"containers": []}});
    let spec =
        json!({"replicas": replicas, "selector": {}, "template": template, "strategy": {"rollingUpdate": rolling}});
    object("Deployment", "d", spec, json!({"observedGeneration": 1}))
}

fn set(name: &str, replicas: i32, available: i32) -> Value {
    let set = object(
        "ReplicaSet",
        name,
        json!({"replicas": replicas, "selector": {}}),
        json!({"replicas": 0, "availableReplicas": available}),
    );
    owned(set, "Deployment", "d")
}

fn pod(name: &str, ready: bool) -> Value {
    let status =
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]});
    let mut pod = object("Pod", name, json!({"containers": []}), status);
    pod["metadata"]["labels"] = json!({"app": "a"});
    pod
}

fn leaving(mut pod: Value, why: &str) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    if !why.is_empty() {
        let why = json!({"type": "DisruptionTarget", "status": "True", "reason": why});
        pod["status"]["conditions"].as_array_mut().expect("conditions").push(why);
    }
    pod
}

#[test]
fn a_rollout_stays_within_its_surge() {
    let d = deployment(2, json!({"maxSurge": 1, "maxUnavailable": 0}));
    check(&[d.clone(), set("old", 2, 2), set("new", 1, 0)], &[]);
    check(
        &[d, set("old", 2, 2), set("new", 2, 0)],
        &["new went from 0 to 2: that makes 4, and at most 3 were asked for"],
    );
}

#[test]
fn a_rollout_leaves_enough_available() {
    let d = deployment(3, json!({"maxSurge": 1, "maxUnavailable": 1}));
    check(&[d.clone(), set("old", 3, 3), set("new", 1, 0), set("old", 2, 3)], &[]);
    check(&[d.clone(), set("old", 3, 1), set("new", 1, 0), set("old", 1, 1)], &[]);
    check(
        &[d.clone(), set("old", 3, 3), set("new", 1, 0), set("old", 1, 3)],
        &["old went from 3 to 1: that leaves 1 available, and 2 must be"],
    );
    check(
        &[d, set("old", 3, 3), set("old", 3, 2), set("new", 1, 0), set("old", 1, 2)],
        &["old went from 3 to 1: that leaves 1 available, and 2 must be"],
    );
}

#[test]
fn who_is_to_be_recreated_goes_first() {
    let d = deployment(1, Value::Null);
    let old = owned(pod("p", true), "ReplicaSet", "old");
    let found = "new went from 0 to 1: the old p was still there";
    let begins = [d, set("old", 1, 1), old.clone(), set("old", 0, 1), leaving(old, "")];
    check(&[begins.as_slice(), &[set("new", 1, 0)]].concat(), &[found]);
    let mut gone = begins[4].clone();
    gone["gone"] = json!(true);
    check(&[begins.as_slice(), &[gone, set("new", 1, 0)]].concat(), &[]);
}

#[test]
fn a_set_makes_no_pod_too_many() {
    let of = |name: &str| owned(pod(name, true), "ReplicaSet", "s");
    check(&[set("s", 1, 0), of("p")], &[]);
    check(&[set("s", 1, 0), of("p"), of("q")], &["q was made beside 1 of 1"]);
    check(&[set("s", 1, 0), of("p"), leaving(of("p"), ""), of("q")], &[]);
}

#[test]
fn pods_in_order_wait_for_each_other() {
    let s = object("StatefulSet", "s", json!({"replicas": 2, "selector": {}, "template": {}}), Value::Null);
    let of = |name: &str, ready: bool| owned(pod(name, ready), "StatefulSet", "s");
    check(&[s.clone(), of("s-0", true), of("s-1", false)], &[]);
    check(&[s.clone(), of("s-0", false), of("s-1", false)], &["s-1 was made while number 0 was not ready"]);
    check(&[s.clone(), of("s-0", true), of("s-1", true), leaving(of("s-1", true), "")], &[]);
    let taken = [s.clone(), of("s-0", false), of("s-1", true)];
    let mut by_hand = leaving(of("s-1", true), "");
    by_hand["metadata"]["annotations"] = json!({TAKEN: "true"});
    let unready = "s-1 was made while number 0 was not ready";
    check(&[taken.as_slice(), &[by_hand]].concat(), &[unready]);
    check(
        &[taken.as_slice(), &[leaving(of("s-1", true), "")]].concat(),
        &[unready, "s-1 was taken while number 0 was not ready"],
    );
}

#[test]
fn jobs_keep_to_their_numbers() {
    let spec = json!({"parallelism": 1, "completions": 1, "template": {}});
    let job = |name: &str, status: Value| object("Job", name, spec.clone(), status);
    let of = |name: &str| owned(pod(name, true), "Job", "j");
    check(&[job("j", Value::Null), of("p")], &[]);
    check(&[job("j", Value::Null), of("p"), of("q")], &["q was made beside 1 of 1"]);
    check(&[job("j", json!({"succeeded": 2}))], &["j succeeded more often than 1 times"]);
    let cron = |name: &str, status: Value| owned(job(name, status), "CronJob", "c");
    let over = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    check(&[cron("a", Value::Null), cron("a", over), cron("b", Value::Null)], &[]);
    check(&[cron("a", Value::Null), cron("b", Value::Null)], &["b was begun beside [\"a\"]"]);
}

#[test]
fn budgets_are_kept() {
    let budget = |allowed: i32, disrupted: Value| {
        let status = json!({"disruptionsAllowed": allowed, "desiredHealthy": 1, "currentHealthy": 1, "expectedPods": 2,
            "disruptedPods": disrupted});
        object("PodDisruptionBudget", "b", json!({"selector": {"matchLabels": {"app": "a"}}}), status)
    };
    let granted = json!({"p": "2024-01-01T00:00:00Z"});
    check(&[budget(1, Value::Null), budget(0, granted.clone())], &[]);
    check(&[budget(0, Value::Null), budget(0, granted)], &["b granted an eviction of 0, leaving 0"]);
    let evicted = leaving(pod("p", true), "EvictionByEvictionAPI");
    check(&[budget(1, Value::Null), pod("p", true), pod("q", true), evicted.clone()], &[]);
    check(
        &[budget(1, Value::Null), pod("p", true), pod("q", false), evicted],
        &["p was evicted, which left 0 of 1 for b"],
    );
}

#[test]
fn nodes_are_not_overfilled() {
    let node = object("Node", "n", json!({}), json!({"allocatable": {"cpu": "1"}}));
    let on = |name: &str| {
        let mut pod = pod(name, true);
        pod["spec"] = json!({"nodeName": "n",
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "600m"}}}]});
        pod
    };
    check(&[node.clone(), on("p")], &[]);
    check(&[node, on("p"), on("q")], &["q went to n, which has 1000m and is asked for 1200m"]);
}

#[test]
fn what_happened_to_a_pod_has_happened() {
    let with = |path: [&str; 2], value: Value| {
        let mut pod = pod("p", true);
        pod[path[0]][path[1]] = value;
        pod
    };
    let node = |name: &str| with(["spec", "nodeName"], json!(name));
    check(&[node("a"), node("b")], &["p moved from Some(\"a\") to Some(\"b\")"]);
    let phase = |name: &str| with(["status", "phase"], json!(name));
    check(&[phase("Failed"), phase("Running")], &["p was Failed and became Running"]);
    let restarts = |number: i32| {
        let status = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": number});
        with(["status", "containerStatuses"], json!([status]))
    };
    check(&[restarts(2), restarts(1)], &["p has forgotten restarts: 1 of 2"]);
}

#[test]
fn who_is_gone_gets_no_pods() {
    let mut gone = set("s", 1, 0);
    gone["gone"] = json!(true);
    let of = owned(pod("p", true), "ReplicaSet", "s");
    check(&[set("s", 1, 0), gone, of], &["p was made for ReplicaSet s, which is gone"]);
}
