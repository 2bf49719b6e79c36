//! Clusters come into the fleet, work, are lost, come back, and leave.

use std::time::{Duration, Instant};

use e2e::{ApiServer, CLUSTERS, Door, Kubectl, PATIENCE, Platform, eventually, kubectls};
use http::StatusCode;
use serde_json::json;

const IMPORTS: &str = "/platform/fleet.cpaas.io/v1/imports";
const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const REMOVALS: &str = "/platform/fleet.cpaas.io/v1/removals";

/// A cluster appears within this time of being reachable.
const APPEARS: Duration = Duration::from_secs(2);

/// What the busy machine of a test may add to a promise.
const GRACE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn an_api_server_is_imported_by_its_kubeconfig() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let cluster = ApiServer::start(&folder.path().join("edge"), "127.0.0.1:0", 2).await;
    let body = json!({"name": "edge", "displayName": "The edge", "kubeconfig": cluster.kubeconfig_text()});

    let checked = admin.post(&format!("{IMPORTS}?dryRun=true"), body.clone()).await.ok();
    assert_eq!(checked["serverReachable"], true, "{checked}");
    assert_eq!(admin.get(&format!("{CLUSTERS}/edge")).await.status, StatusCode::NOT_FOUND, "a check leaves nothing");

    let created = admin.post(IMPORTS, body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.body["metadata"]["annotations"]["cpaas.io/display-name"], "The edge");
    let ready = platform.condition(&admin, "edge", "Ready", "True", APPEARS + GRACE).await;
    assert_eq!(ready["status"]["nodes"]["total"], 2, "{ready}");
    let text = ready.to_string();
    assert!(!text.contains("client-key-data") && !text.contains("PRIVATE KEY"), "no credential in the object: {text}");

    let token = platform.token().await;
    works(&platform.kubectl(&kubectls()[0], "edge", &token)).await;

    // Lost, and found again.
    let (address, data) = (cluster.server.url.trim_start_matches("https://").to_owned(), cluster.folder.clone());
    cluster.server.kill().await;
    platform.condition(&admin, "edge", "Ready", "Unknown", Duration::from_secs(40) + GRACE).await;
    let cluster = ApiServer::start(&data, &address, 2).await;
    platform.condition(&admin, "edge", "Ready", "True", Duration::from_secs(5) + GRACE).await;

    leaves(&platform, &admin, "edge", &cluster.kubectl()).await;
}

#[tokio::test]
async fn an_api_server_is_registered_by_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let cluster = ApiServer::start(&folder.path().join("branch"), "127.0.0.1:0", 2).await;

    let registration = admin.post(REGISTRATIONS, json!({"name": "branch"})).await;
    assert_eq!(registration.status, StatusCode::CREATED, "{}", registration.text);
    let manifest = registration.body["manifest"].as_str().expect("there is a manifest");
    let secret = registration.body["token"].as_str().expect("there is a token");
    assert!(!platform.server.printed().contains(secret), "the token is not logged");

    let started = Instant::now();
    cluster.kubectl().ok_with(&["apply", "-f", "-"], manifest).await;
    platform.condition(&admin, "branch", "Ready", "True", PATIENCE).await;
    println!("registered and ready after {:?}", started.elapsed());

    let token = platform.token().await;
    works(&platform.kubectl(&kubectls()[0], "branch", &token)).await;
    leaves(&platform, &admin, "branch", &cluster.kubectl()).await;
}

/// A Deployment becomes ready, is heard and obeys.
async fn works(kubectl: &Kubectl) {
    kubectl.ok(&["create", "deployment", "probe", "--image=registry.example.com/probe:1", "--replicas=2"]).await;
    kubectl.ok(&["rollout", "status", "deployment/probe", "--timeout=60s"]).await;
    let mut log = kubectl.start(&["logs", "-f", "deployment/probe"]);
    log.line_with("simulated").await;
    let said = kubectl.ok(&["exec", "deployment/probe", "--", "echo", "here"]).await;
    assert_eq!(said, "here\n");
}

/// Removal ends the platform's knowledge of the cluster, and changes nothing that runs there.
async fn leaves(platform: &Platform, admin: &Door, name: &str, member: &Kubectl) {
    let before =
        member.ok(&["get", "deployment", "probe", "-o", "jsonpath={.metadata.uid} {.metadata.generation}"]).await;
    admin.post(REMOVALS, json!({"name": name, "confirm": name})).await.ok();
    eventually("the cluster to be gone", PATIENCE, || async {
        let answer = admin.get(&format!("{CLUSTERS}/{name}")).await;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(answer.text) }
    })
    .await;
    let after =
        member.ok(&["get", "deployment", "probe", "-o", "jsonpath={.metadata.uid} {.metadata.generation}"]).await;
    assert_eq!(before, after);
    eventually("nothing of the platform to be left in the cluster", PATIENCE, || async {
        let kinds = "clusterroles,clusterrolebindings,roles,rolebindings,deployments,services,secrets,serviceaccounts,\
                     validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,\
                     validatingadmissionpolicybindings";
        let found = member.ok(&["get", kinds, "-A", "-o", "name"]).await;
        let ours: Vec<&str> = found.lines().filter(|line| line.contains("acp") || line.contains("cpaas")).collect();
        if ours.is_empty() { Ok(()) } else { Err(ours.join("\n")) }
    })
    .await;
    nothing_left(platform, name).await;
    let closed = admin.get(&format!("/kubernetes/{name}/version")).await;
    assert_eq!(closed.status, StatusCode::NOT_FOUND, "{}", closed.text);
}

/// No Secret of the platform belongs to a cluster of that name.
async fn nothing_left(platform: &Platform, name: &str) {
    let kubectl = platform.hub_kubectl();
    eventually("no Secret to be left", PATIENCE, || async {
        let secrets = kubectl.ok(&["get", "secrets", "-n", "cpaas-system", "-o", "name"]).await;
        if secrets.lines().any(|line| line.contains(&format!("/{name}-"))) { Err(secrets) } else { Ok(()) }
    })
    .await;
}

/// An unreachable cluster is waited for, until somebody says that it is not to be.
#[tokio::test]
async fn a_lost_cluster_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let cluster = ApiServer::start(&folder.path().join("far"), "127.0.0.1:0", 0).await;
    let body = json!({"name": "far", "kubeconfig": cluster.kubeconfig_text()});
    assert_eq!(admin.post(IMPORTS, body).await.status, StatusCode::CREATED);
    platform.condition(&admin, "far", "Connected", "True", APPEARS + GRACE).await;
    cluster.server.kill().await;
    admin.post(REMOVALS, json!({"name": "far", "confirm": "far"})).await.ok();
    let waits = platform.condition(&admin, "far", "Removing", "True", PATIENCE).await;
    assert!(waits.to_string().contains("ac adm detach far --force"), "{waits}");
    admin.post(REMOVALS, json!({"name": "far", "confirm": "far", "force": true})).await.ok();
    eventually("the cluster to be gone", PATIENCE, || async {
        let answer = admin.get(&format!("{CLUSTERS}/far")).await;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(answer.text) }
    })
    .await;
    nothing_left(&platform, "far").await;
}
