//! Nodes as kubectl shows them: what they use, what they suffer from, what they run.

use std::path::Path;

use e2e::{ApiServer, Kubectl};

async fn metered(folder: &Path) -> ApiServer {
    ApiServer::start_with(folder, "127.0.0.1:0", &["--nodes", "2", "--metrics-server"]).await
}

/// Runs a command until it prints that.
async fn until(kubectl: &Kubectl, arguments: &[&str], wanted: &str) -> String {
    let mut last = String::new();
    let found = tokio::time::timeout(e2e::PATIENCE, async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
        loop {
            tick.tick().await;
            let outcome = kubectl.run(arguments).await;
            last = outcome.out + &outcome.err;
            if last.contains(wanted) {
                return last.clone();
            }
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("kubectl {} never printed {wanted:?}; last: {last}", arguments.join(" ")))
}

/// The words of a table's line that starts with this.
fn line<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.into_iter().find(|words| words.first() == Some(&first));
    found.unwrap_or_else(|| panic!("no line {first:?} in\n{table}"))
}

#[tokio::test]
async fn top_shows_what_is_used() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = metered(folder.path()).await;
    let kubectl = server.kubectl();
    kubectl.ok(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]).await;
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [
        {"name": "app", "image": "example.com/web:1", "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}},
        {"name": "side", "image": "example.com/side:1"}]}}"#;
    kubectl.ok_with(&["create", "-f", "-"], pod).await;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]).await;

    let nodes = kubectl.ok(&["top", "nodes"]).await;
    for node in ["sandbox-1", "sandbox-2"] {
        let words = line(&nodes, node);
        assert!(words.len() == 5 && words[1].ends_with('m') && words[2].ends_with('%'), "{nodes}");
    }
    let pods = kubectl.ok(&["top", "pods", "--containers", "--sort-by=memory"]).await;
    let rows: Vec<Vec<&str>> = pods.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), ["app", "side"], "{pods}");
    assert!(rows[0][2].trim_end_matches('m').parse::<u32>().is_ok_and(|used| (80..500).contains(&used)), "{pods}");
    let sum = kubectl.ok(&["top", "pods", "--sum"]).await;
    let total: Vec<&str> = sum.lines().last().expect("a sum").split_whitespace().collect();
    assert_eq!(line(&sum, "web")[1..], total, "{sum}");
    let table = kubectl.ok(&["get", "pods.metrics.k8s.io"]).await;
    assert_eq!(
        table.lines().next().map(|head| head.split_whitespace().collect()),
        Some(vec!["NAME", "CPU", "MEMORY", "WINDOW"])
    );
    assert!(kubectl.ok(&["api-resources"]).await.contains("metrics.k8s.io/v1beta1"));
    let plain = kubectl.run(&["auth", "can-i", "list", "pods.metrics.k8s.io", "--as", "nobody"]).await;
    assert!(!plain.success);
    kubectl.ok(&["create", "rolebinding", "sees", "--clusterrole=view", "--user=nobody"]).await;
    until(&kubectl, &["auth", "can-i", "list", "pods.metrics.k8s.io", "--as", "nobody"], "yes").await;
}

#[tokio::test]
async fn a_description_tells_what_a_node_suffers_from() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = metered(folder.path()).await;
    let kubectl = server.kubectl();
    kubectl.ok(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]).await;
    let node = ["describe", "node", "sandbox-1"];
    let described = until(&kubectl, &node, "RegisteredNode").await;
    for wanted in [
        "Taints:             <none>",
        "topology.kubernetes.io/zone=zone-a",
        "KubeletReady",
        "NodeHasSufficientMemory",
        "Lease:",
    ] {
        assert!(described.contains(wanted), "{wanted} in\n{described}");
    }
    kubectl.ok(&["annotate", "node", "sandbox-1", "sandbox.cpaas.io/fault=memory-pressure,not-ready"]).await;
    for wanted in
        ["node.kubernetes.io/memory-pressure:NoSchedule", "container runtime is down", "NodeHasInsufficientMemory"]
    {
        until(&kubectl, &node, wanted).await;
    }
    assert!(kubectl.ok(&["get", "nodes"]).await.contains("NotReady"));
    kubectl.ok(&["annotate", "node", "sandbox-1", "sandbox.cpaas.io/fault-"]).await;
    until(&kubectl, &node, "Taints:             <none>").await;

    kubectl.ok(&["annotate", "node", "sandbox-2", "sandbox.cpaas.io/kubelet-version=v1.35.0"]).await;
    until(&kubectl, &["get", "nodes"], "v1.35.0").await;

    kubectl
        .ok(&["run", "lost", "--image=example.com/web:1", r#"--overrides={"spec": {"nodeName": "sandbox-2"}}"#])
        .await;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/lost", "--timeout=60s"]).await;
    kubectl.ok(&["annotate", "node", "sandbox-2", "sandbox.cpaas.io/fault=unreachable"]).await;
    until(&kubectl, &["logs", "lost"], "connect: connection refused").await;
    let refused = kubectl.run(&["exec", "lost", "--", "ls"]).await;
    assert!(refused.err.contains("error dialing backend"), "{}", refused.err);
    kubectl.ok(&["annotate", "node", "sandbox-2", "sandbox.cpaas.io/fault-"]).await;
    until(&kubectl, &["exec", "lost", "--", "echo", "back"], "back").await;
}
