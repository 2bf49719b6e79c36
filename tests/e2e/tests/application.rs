//! A person with a token and kubectl runs a multi-tier application on a member, through the door.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::path::Path;
use std::time::Duration;

use e2e::{Kubectl, PATIENCE, Platform, eventually, kubectls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/shop.yaml");
const DISCOUNT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/discount.yaml");

/// The whole life of an application, with the oldest and the newest kubectl that we promise.
#[tokio::test]
async fn a_shop_on_a_member() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let token = platform.token().await;
    let member = platform.member(&platform.door(Some(&token))).await;
    for program in kubectls() {
        let kubectl = platform.kubectl(&program, &member, &token);
        applies(&kubectl).await;
        becomes_ready(&kubectl).await;
        can_be_looked_into(&kubectl).await;
        forwards_a_port(&kubectl).await;
        changes(&kubectl).await;
        disappears(&kubectl).await;
    }
}

async fn applies(kubectl: &Kubectl) {
    let created = kubectl.ok(&["apply", "-f", SHOP]).await;
    assert!(created.contains("deployment.apps/web created"), "{created}");
    kubectl.ok(&["wait", "--for=condition=Established", "crd/discounts.shop.example.com", "--timeout=30s"]).await;
    // The new kind reaches discovery a moment after it is established.
    eventually("the new kind to be served", PATIENCE, || async {
        let outcome = kubectl.run(&["apply", "--server-side", "-f", DISCOUNT]).await;
        if outcome.success { Ok(()) } else { Err(outcome) }
    })
    .await;
    let reason = kubectl.ok(&["get", "discount", "summer", "-n", "shop", "-o", "jsonpath={.spec.reason}"]).await;
    assert_eq!(reason, "season", "the schema's default is filled in");
    let table = kubectl.ok(&["get", "dc", "-n", "shop"]).await;
    assert!(table.contains("PERCENT") && table.contains("20"), "{table}");
    let too_much =
        kubectl.run(&["patch", "dc/summer", "-n", "shop", "--type=merge", "-p", r#"{"spec":{"percent":99}}"#]).await;
    assert!(!too_much.success && too_much.err.contains("spec.percent"), "{too_much:?}");
    let again = kubectl.ok(&["apply", "-f", SHOP]).await;
    assert!(again.contains("deployment.apps/web unchanged"), "{again}");
    kubectl.ok(&["diff", "-f", SHOP]).await;
}

async fn becomes_ready(kubectl: &Kubectl) {
    for workload in ["deployment/web", "deployment/api", "statefulset/cache"] {
        kubectl.ok(&["rollout", "status", workload, "-n", "shop", "--timeout=60s"]).await;
    }
    kubectl.ok(&["wait", "--for=condition=complete", "job/migrate", "-n", "shop", "--timeout=60s"]).await;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod", "-l", "app=web", "-n", "shop", "--timeout=60s"]).await;
    let pods = kubectl.ok(&["get", "pods", "-n", "shop", "-l", "app=web", "--no-headers"]).await;
    assert_eq!(pods.lines().filter(|line| line.contains("Running")).count(), 3, "{pods}");
    let slices = "jsonpath={.items[*].endpoints[*].addresses[0]}";
    eventually("the service to have endpoints", PATIENCE, || async {
        let addresses = kubectl
            .ok(&["get", "endpointslices", "-n", "shop", "-l", "kubernetes.io/service-name=web", "-o", slices])
            .await;
        if addresses.split_whitespace().count() == 3 { Ok(()) } else { Err(addresses) }
    })
    .await;
}

async fn can_be_looked_into(kubectl: &Kubectl) {
    let done = kubectl.ok(&["logs", "job/migrate", "-n", "shop"]).await;
    assert!(done.contains("migrated"), "{done}");

    let mut log = kubectl.start(&["logs", "-f", "deployment/web", "-n", "shop"]);
    log.line_with("simulated").await;

    let said = kubectl.ok(&["exec", "deployment/web", "-n", "shop", "--", "sh", "-c", "echo $greeting"]).await;
    assert_eq!(said, "welcome\n", "the environment comes from the ConfigMap");
    let echoed =
        kubectl.ok_with(&["exec", "-i", "deployment/api", "-n", "shop", "--", "cat"], "through and back").await;
    assert_eq!(echoed, "through and back");
    let failed = kubectl.run(&["exec", "cache-0", "-n", "shop", "--", "sh", "-c", "exit 3"]).await;
    assert!(!failed.success && failed.err.contains("exit code 3"), "{failed:?}");

    let described = kubectl.ok(&["describe", "pod", "cache-0", "-n", "shop"]).await;
    assert!(described.contains("Controlled By:") && described.contains("StatefulSet/cache"), "{described}");
    let explained = kubectl.ok(&["explain", "discount.spec.percent"]).await;
    assert!(explained.contains("integer"), "{explained}");
    assert_eq!(kubectl.ok(&["auth", "can-i", "delete", "pods", "-n", "shop"]).await.trim(), "yes");
    let who = kubectl.ok(&["auth", "whoami"]).await;
    assert!(who.contains(e2e::ADMINISTRATOR), "the member sees the user's own name: {who}");
}

async fn forwards_a_port(kubectl: &Kubectl) {
    let mut forward = kubectl.start(&["port-forward", "service/web", ":80", "-n", "shop"]);
    let line = forward.line_with("Forwarding from 127.0.0.1:").await;
    let port = line.split_once("127.0.0.1:").and_then(|(_, rest)| rest.split_whitespace().next()).unwrap();
    // Twice, since a second connection over the same forward is another code path.
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        stream.write_all(b"GET /basket HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
        read.expect("the pod answers").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("GET /basket"), "{answer}");
    }
}

async fn changes(kubectl: &Kubectl) {
    kubectl.ok(&["scale", "deployment/api", "--replicas=4", "-n", "shop"]).await;
    kubectl.ok(&["rollout", "status", "deployment/api", "-n", "shop", "--timeout=60s"]).await;
    kubectl.ok(&["set", "image", "deployment/web", "web=registry.example.com/shop/web:1.1", "-n", "shop"]).await;
    kubectl.ok(&["rollout", "status", "deployment/web", "-n", "shop", "--timeout=60s"]).await;
    kubectl.ok(&["rollout", "undo", "deployment/web", "-n", "shop"]).await;
    kubectl.ok(&["rollout", "status", "deployment/web", "-n", "shop", "--timeout=60s"]).await;
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let back = kubectl.ok(&["get", "deployment/web", "-n", "shop", "-o", image]).await;
    assert_eq!(back, "registry.example.com/shop/web:1.0");
    kubectl.ok(&["label", "configmap/settings", "season=summer", "-n", "shop"]).await;
    kubectl.ok(&["annotate", "configmap/settings", "note=kept", "-n", "shop"]).await;
}

async fn disappears(kubectl: &Kubectl) {
    kubectl.ok(&["delete", "-f", DISCOUNT]).await;
    // The namespace is in the file, and takes what is listed after it away at the same time.
    kubectl.ok(&["delete", "-f", SHOP, "--timeout=90s", "--ignore-not-found"]).await;
    for gone in ["namespace/shop", "crd/discounts.shop.example.com"] {
        let outcome = kubectl.run(&["get", gone]).await;
        assert!(!outcome.success && outcome.err.contains("NotFound"), "{gone}: {outcome:?}");
    }
}

/// The administrator of the hub needs no sign-in: the kubeconfig in the data directory carries a client certificate.
#[tokio::test]
async fn the_fleet_as_the_hubs_administrator_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder.path(), &["--members", "2", "--nodes", "3"]).await;
    let kubectl = platform.hub_kubectl();
    let ready = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}"#;
    eventually("the hub and two members to be ready", PATIENCE, || async {
        let seen = kubectl.ok(&["get", "clusters.cluster.x-k8s.io", "-A", "-o", ready]).await;
        let up = seen.split_whitespace().filter(|one| one.ends_with("=True")).count();
        if up == 3 && seen.contains("global=True") { Ok(()) } else { Err(seen) }
    })
    .await;
    let table = kubectl.ok(&["get", "clusters.cluster.x-k8s.io", "-A"]).await;
    for column in ["READY", "VERSION", "NODES", "HEARTBEAT", "CONNECTION"] {
        assert!(table.contains(column), "{table}");
    }
    assert!(Path::new(&platform.admin_kubeconfig()).is_file());
}
