//! How large a simulated cluster may be, and how many run in one process.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{ApiServer, Door, Platform};
use http::Method;
use serde_json::{Value, json};

use crate::measure::{ask, shown};
use crate::process::{processor_time, resident};

const AT_ONCE: usize = 32;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a cluster does after the last change is over by then.
const SETTLING: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

/// One large cluster.
const NODES: usize = 1000;
const DEPLOYMENTS: usize = 500;
const REPLICAS: usize = 20;

/// Many small ones.
const MEMBERS: usize = 50;
const MEMBER_DEPLOYMENTS: usize = 5;
const MEMBER_REPLICAS: usize = 6;

pub(crate) async fn run() -> anyhow::Result<()> {
    let written = pods_without_a_cluster().await?;
    large(written).await?;
    many().await
}

/// The floor: as many pods, written by hand to an API server behind which nothing happens.
async fn pods_without_a_cluster() -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let server = ApiServer::start(&folder.path().join("data"), "127.0.0.1:0", 0).await;
    let door = Door::of_kubeconfig(&server.kubeconfig()).await;
    let pod = |number: usize| {
        let pod = json!({"metadata": {"name": format!("p-{number}")}, "spec": {"containers": [container()]}});
        (Method::POST, "/api/v1/namespaces/default/pods".to_owned(), Some(pod.to_string().into_bytes()))
    };
    let started = Instant::now();
    ask(&door, pod, DEPLOYMENTS * REPLICAS, AT_ONCE).await?;
    Ok(started.elapsed())
}

async fn large(written: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = ApiServer::start(&folder.path().join("data"), "127.0.0.1:0", NODES).await;
    let door = Door::of_kubeconfig(&server.kubeconfig()).await;
    until("all nodes to be ready", || async {
        let nodes = items(&door, "/api/v1/nodes").await;
        nodes.iter().filter(|node| holds(node, "Ready")).count() == NODES
    })
    .await?;
    let started = Instant::now();
    ask(&door, |number| deployment("/apis/apps/v1", number, REPLICAS), DEPLOYMENTS, AT_ONCE).await?;
    available(&door, "/apis/apps/v1", DEPLOYMENTS, REPLICAS).await?;
    let took = started.elapsed();
    println!("{NODES} nodes, {} pods of {DEPLOYMENTS} Deployments in one sandbox", DEPLOYMENTS * REPLICAS);
    println!(
        "  all available after   {:>9} (promised 60 s), x{:.1} of writing as many pods by hand ({})",
        shown(took),
        took.as_secs_f64() / written.as_secs_f64(),
        shown(written)
    );
    at_rest(server.server.pid(), "1,024 MiB").await
}

async fn many() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (members, started) = (MEMBERS.to_string(), Instant::now());
    let platform = Platform::start_with(folder.path(), &["--members", &members, "--nodes", "3"]).await;
    let door = platform.admin().await;
    until("all members to be ready", || async {
        let clusters = items(&door, "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/clusters").await;
        clusters.iter().filter(|cluster| holds(cluster, "Ready")).count() == MEMBERS + 1
    })
    .await?;
    let ready = started.elapsed();
    let started = Instant::now();
    for member in platform.members(&door).await {
        let path = format!("/kubernetes/{member}/apis/apps/v1");
        let each = move |number| deployment(&path, number, MEMBER_REPLICAS);
        ask(&door, each, MEMBER_DEPLOYMENTS, MEMBER_DEPLOYMENTS).await?;
    }
    for member in platform.members(&door).await {
        let path = format!("/kubernetes/{member}/apis/apps/v1");
        available(&door, &path, MEMBER_DEPLOYMENTS, MEMBER_REPLICAS).await?;
    }
    println!("{MEMBERS} sandboxes of 3 nodes and {} pods beside a hub", MEMBER_DEPLOYMENTS * MEMBER_REPLICAS);
    println!("  all members ready after   {:>9}", shown(ready));
    println!("  all pods available after  {:>9}", shown(started.elapsed()));
    at_rest(platform.server.pid(), "1,536 MiB").await
}

async fn at_rest(pid: u32, promised: &str) -> anyhow::Result<()> {
    tokio::time::sleep(SETTLING).await;
    let before = processor_time(pid)?;
    tokio::time::sleep(IDLE).await;
    let share = (processor_time(pid)? - before).as_secs_f64() / IDLE.as_secs_f64();
    println!("  resident at rest      {:>6.0} MiB (promised {promised})", resident(pid)?);
    println!("  a core at rest        {:>6.1} %   (promised 10 %)", share * 100.0);
    Ok(())
}

/// Waits until all Deployments have all their pods, and says what is missing if they never do.
async fn available(door: &Door, api: &str, deployments: usize, replicas: usize) -> anyhow::Result<()> {
    until("all pods to be available", || async {
        let all = items(door, &format!("{api}/deployments")).await;
        let whole = |deployment: &&Value| {
            deployment["metadata"]["namespace"] == "default" && deployment["status"]["availableReplicas"] == replicas
        };
        all.iter().filter(whole).count() == deployments
    })
    .await
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds().await {
        ensure!(started.elapsed() < PATIENCE, "waited {} for {what}", shown(PATIENCE));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

pub(crate) async fn items(door: &Door, path: &str) -> Vec<Value> {
    door.get(path).await.ok()["items"].as_array().cloned().unwrap_or_default()
}

pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == kind && one["status"] == "True"))
}

fn deployment(api: &str, number: usize, replicas: usize) -> (Method, String, Option<Vec<u8>>) {
    let name = format!("d-{number}");
    let deployment = json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container()]}}}});
    (Method::POST, format!("{api}/namespaces/default/deployments"), Some(deployment.to_string().into_bytes()))
}

fn container() -> Value {
    json!({"name": "main", "image": "registry.example/app:1",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}})
}
