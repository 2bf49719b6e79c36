//! `adm cordon`, `uncordon`, `drain` and `taint`, in the words of kubectl.

use serde_json::{Value, json};

use crate::Machine;
use crate::simulated::Platform;

fn node(name: &str) -> String {
    format!("/kubernetes/east/api/v1/nodes/{name}")
}

/// Two nodes in a cluster, which is chosen.
fn with_nodes() -> (Platform, Machine) {
    let (platform, machine) = (Platform::start(), Machine::new());
    for (name, zone) in [("n1", "a"), ("n2", "b")] {
        let metadata = json!({"name": name, "resourceVersion": "5", "labels": {"zone": zone}});
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}});
        platform.state.lock().unwrap().objects.insert(node(name), object);
    }
    machine.login(&platform);
    machine.ok(&["config", "use-cluster", "east"]);
    (platform, machine)
}

fn stored(platform: &Platform, name: &str) -> Value {
    platform.state.lock().unwrap().objects[&node(name)].clone()
}

#[test]
fn nodes_are_cordoned_and_uncordoned() {
    let (platform, machine) = with_nodes();
    assert_eq!(machine.ok(&["adm", "cordon", "n1", "--dry-run=client"]), "node/n1 cordoned (dry run)\n");
    assert_eq!(machine.ok(&["adm", "cordon", "n1", "--dry-run=server"]), "node/n1 cordoned (server dry run)\n");
    assert!(stored(&platform, "n1")["spec"].get("unschedulable").is_none());
    assert_eq!(machine.ok(&["adm", "cordon", "n1"]), "node/n1 cordoned\n");
    assert_eq!(machine.ok(&["adm", "cordon", "node/n1"]), "node/n1 already cordoned\n");
    assert_eq!(stored(&platform, "n1")["spec"]["unschedulable"], true);
    assert_eq!(machine.ok(&["adm", "cordon", "-l", "zone in (a,b)"]), "node/n1 already cordoned\nnode/n2 cordoned\n");
    assert_eq!(machine.ok(&["adm", "uncordon", "n1", "n2"]), "node/n1 uncordoned\nnode/n2 uncordoned\n");
    assert!(stored(&platform, "n1")["spec"].get("unschedulable").is_none());
    // A name that is wrong changes nothing.
    let outcome = machine.run(&["adm", "cordon", "n1", "n9"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.starts_with("Error from server (NotFound): "), "{}", outcome.err);
    assert!(outcome.out.is_empty() && stored(&platform, "n1")["spec"].get("unschedulable").is_none());
    assert_eq!(machine.run(&["adm", "cordon"]).code, 3);
}

#[test]
fn nodes_are_tainted() {
    let (platform, machine) = with_nodes();
    let taint = |rest: &[&str]| machine.ok(&[&["adm", "taint", "nodes"], rest].concat());
    assert_eq!(taint(&["n1", "gpu=a100:NoSchedule"]), "node/n1 tainted\n");
    assert_eq!(
        stored(&platform, "n1")["spec"]["taints"],
        json!([{"key": "gpu", "value": "a100", "effect": "NoSchedule"}])
    );
    let outcome = machine.run(&["adm", "taint", "nodes", "--all", "gpu=h100:NoSchedule"]);
    assert_eq!(outcome.code, 1);
    let says = "error: node n1 already has gpu:NoSchedule taint(s) with same effect(s) and --overwrite is false\n";
    assert_eq!(outcome.err, says);
    assert!(stored(&platform, "n2")["spec"].get("taints").is_none(), "what cannot be done to one is done to none");
    assert_eq!(taint(&["--all", "--overwrite", "gpu=h100:NoSchedule"]), "node/n1 tainted\nnode/n2 tainted\n");
    assert_eq!(taint(&["-l", "zone=a", "gpu-", "slow:NoExecute"]), "node/n1 modified\n");
    assert_eq!(taint(&["n1", "slow:NoExecute-"]), "node/n1 untainted\n");
    assert_eq!(stored(&platform, "n1")["spec"]["taints"], json!([]));
    for (rest, says, code) in [
        (&["n1", "slow-"][..], "node \"n1\": taint \"slow\" not found", 1),
        (&["n1", "gpu=1:Never"], "the effects are NoSchedule, PreferNoSchedule and NoExecute", 1),
        (&["n1"], "at least one taint", 3),
    ] {
        let outcome = machine.run(&[&["adm", "taint", "nodes"], rest].concat());
        assert!(outcome.code == code && outcome.err.contains(says), "{rest:?}: {} {}", outcome.code, outcome.err);
    }
}

const HELD: &str = r#"{"type":"cordoned","already":true}
{"type":"warned","reason":"DaemonSet","pods":["logs/agent-1","net/cni-1"]}
{"type":"evicting","namespace":"shop","name":"web-1"}
{"type":"waiting","namespace":"shop","name":"web-1","message":"Cannot evict pod as it would violate the pod's disruption budget. The disruption budget web needs 2 healthy pods and has 2 currently","retryAfterSeconds":5}
{"type":"alive","evicted":0,"total":1}
"#;

const LEFT: &str = r#"{"type":"evicting","namespace":"shop","name":"web-1"}
{"type":"evicted","namespace":"shop","name":"web-1"}
{"type":"done","drained":true,"evicted":1,"remaining":[]}
"#;

const LATE: &str = r#"{"type":"done","drained":false,"evicted":0,"message":"the time of 30 s is over","remaining":[{"namespace":"shop","name":"web-1","message":"the budget\u001b[2J"}]}
"#;

const BARRED: &str = r#"{"type":"cordoned","already":true}
{"type":"barred","reason":"DaemonSet","pods":["logs/agent-1"]}
{"type":"barred","reason":"NoController","pods":["default/tool"]}
{"type":"done","drained":false,"evicted":0,"remaining":[],"message":"nothing was evicted"}
"#;

fn will_tell(platform: &Platform, node: &str, lines: &[&str]) {
    platform.state.lock().unwrap().drains.insert(node.to_owned(), lines.concat());
}

#[test]
fn a_drain_is_told_as_it_goes() {
    let (platform, machine) = with_nodes();
    will_tell(&platform, "n1", &[HELD, LEFT]);
    let args = ["adm", "drain", "n1", "--force", "--grace-period=900", "--ignore-daemonsets", "--timeout=90s"];
    let outcome = machine.run(&args);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(
        outcome.out,
        "node/n1 cordoned\nevicting pod shop/web-1\nevicting pod shop/web-1\npod/web-1 evicted\nnode/n1 drained\n"
    );
    assert_eq!(
        outcome.err,
        "Warning: ignoring DaemonSet-managed Pods: logs/agent-1, net/cni-1\n\
         error when evicting pods/\"web-1\" -n \"shop\" (will retry after 5s): Cannot evict pod as it would violate the \
         pod's disruption budget. The disruption budget web needs 2 healthy pods and has 2 currently\n\
         node \"n1\": 0 of 1 Pods have left\n"
    );
    let state = platform.state.lock().unwrap();
    let (line, body) = state.requests.last().unwrap();
    assert_eq!(line, "POST /platform/fleet.cpaas.io/v1/clusters/east/nodes/n1/drain");
    let sent: Value = serde_json::from_str(body).unwrap();
    let expect = json!({"force": true, "ignoreDaemonSets": true, "deleteEmptyDirData": false, "disableEviction": false,
        "gracePeriodSeconds": 900, "timeoutSeconds": 90, "skipWaitForDeleteTimeoutSeconds": 0, "podSelector": "",
        "dryRun": false});
    assert_eq!(sent, expect);
}

#[test]
fn what_is_left_of_a_drain_is_said_and_why() {
    let (platform, machine) = with_nodes();
    will_tell(&platform, "n1", &[BARRED]);
    will_tell(&platform, "n2", &[HELD, LATE]);
    let outcome = machine.run(&["adm", "drain", "n1", "n2", "-q"]);
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.out, "node/n1 cordoned\nnode/n2 cordoned\nevicting pod shop/web-1\n");
    let barred = "[cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): logs/agent-1, \
                  cannot delete Pods that declare no controller (use --force to override): default/tool]";
    let says = format!("error: unable to drain node \"n1\" due to error: {barred}, continuing command...\n");
    assert!(outcome.err.starts_with(&says), "{}", outcome.err);
    let ends = format!(
        "There are pending pods in node \"n2\" when an error occurred: the time of 30 s is over\n\
         pod/web-1 -n shop: the budget^[[2J\n\
         error: unable to drain node \"n2\" due to error: the time of 30 s is over, continuing command...\n\
         There are pending nodes to be drained:\n n1\n n2\nerror: {barred}\nerror: the time of 30 s is over\n"
    );
    assert!(outcome.err.ends_with(&ends), "{}", outcome.err);
}

#[test]
fn a_drain_that_breaks_off_or_is_refused_is_no_success() {
    let (platform, machine) = with_nodes();
    will_tell(&platform, "n1", &[HELD]);
    let outcome = machine.run(&["adm", "drain", "n1"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("it stays cordoned, and what has not left is still there"), "{}", outcome.err);
    let outcome = machine.run(&["adm", "drain", "n2"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("Error from server (Forbidden): pods is forbidden"), "{}", outcome.err);
    let outcome = machine.run(&["adm", "drain", "n1", "--timeout=soon"]);
    assert!(outcome.code == 3 && outcome.err.contains("\"soon\" is not a duration"), "{}", outcome.err);
    assert_eq!(machine.run(&["adm", "drain", "n9"]).code, 1);
}
