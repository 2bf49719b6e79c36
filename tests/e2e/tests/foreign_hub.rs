//! A hub on a Kubernetes that somebody else runs: everything it knows is there, and nothing of it here.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use e2e::{ApiServer, CLUSTERS, Exited, PATIENCE, Platform, Prepared, Server, eventually, kubectls, write_kubeconfig};
use http::StatusCode;
use kube::config::Kubeconfig;
use serde_json::json;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const REMOVALS: &str = "/platform/fleet.cpaas.io/v1/removals";

async fn start(folder: &Path, listen: &str, kubeconfig: &Path) -> Result<Platform, Exited> {
    Platform::try_start_hub(folder, listen, &["--kubeconfig", &kubeconfig.display().to_string()]).await
}

#[tokio::test]
async fn a_hub_keeps_everything_in_the_cluster_it_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    let ground = ApiServer::start(&folder.path().join("ground"), "127.0.0.1:0", 0).await;
    let platform = start(&data, "127.0.0.1:0", &ground.kubeconfig()).await.unwrap();
    let admin = platform.admin().await;
    platform.condition(&admin, "global", "Ready", "True", PATIENCE).await;
    assert!(!data.join("hub").exists(), "there is no embedded store");

    let member = ApiServer::start(&folder.path().join("branch"), "127.0.0.1:0", 1).await;
    let registration = admin.post(REGISTRATIONS, json!({"name": "branch"})).await.ok();
    let manifest = registration["manifest"].as_str().expect("there is a manifest");
    member.kubectl().ok_with(&["apply", "-f", "-"], manifest).await;
    platform.condition(&admin, "branch", "Ready", "True", PATIENCE).await;
    let token = platform.token().await;
    let user = platform.kubectl(&kubectls()[0], "branch", &token);
    user.ok(&["create", "deployment", "probe", "--image=registry.example.com/probe:1"]).await;
    user.ok(&["rollout", "status", "deployment/probe", "--timeout=60s"]).await;
    let mut log = user.start(&["logs", "-f", "deployment/probe"]);
    log.line_with("simulated").await;
    let listed = ground.kubectl().ok(&["get", "clusters.cluster.x-k8s.io", "-n", "cpaas-system", "-o", "name"]).await;
    assert_eq!(listed.lines().count(), 2, "{listed}");

    // What was told to one process, the next one knows: people, their sessions, clusters and their agents' keys.
    let (password, listen) = (platform.password(), platform.url().trim_start_matches("https://").to_owned());
    let ended = platform.interrupt().await;
    assert!(ended.status.success(), "{} {}", ended.status, ended.printed);
    let platform = start(&data, &listen, &ground.kubeconfig()).await.unwrap();
    assert_eq!(platform.password(), password, "the first administrator is not made twice");
    let same_session = platform.door(Some(&token));
    platform.condition(&same_session, "branch", "Ready", "True", PATIENCE).await;
    let admin = platform.admin().await;
    assert_eq!(platform.members(&admin).await, ["branch"]);
    user.ok(&["rollout", "status", "deployment/probe", "--timeout=60s"]).await;
    admin.post(REMOVALS, json!({"name": "branch", "confirm": "branch"})).await.ok();
}

#[tokio::test]
async fn a_hub_that_cannot_use_its_cluster_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    let ground = ApiServer::start(&folder.path().join("ground"), "127.0.0.1:0", 0).await;
    let before = ground.kubectl().ok(&["get", "namespaces,clusterroles,clusterrolebindings,crds", "-o", "name"]).await;
    let (url, text) = (ground.server.url.clone(), ground.kubeconfig_text());
    let file = folder.path().join("given.kubeconfig");
    let given = file.display().to_string();

    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let elsewhere = text.replace(url.trim_start_matches("https://"), &gone);
    let without_context = text.replace("current-context:", "other-context:");
    for (case, content, words) in [
        ("no file", None, &["could not read", &given][..]),
        ("no YAML", Some("clusters: ["), &["could not read", &given]),
        ("no kubeconfig", Some("this is not a kubeconfig"), &["could not", &given]),
        ("no context", Some(&*without_context), &["could not use", &given]),
        ("nobody there", Some(&*elsewhere), &["could not reach", &gone]),
    ] {
        let _ = fs::remove_file(&file);
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        check_refused(case, start(&data, "127.0.0.1:0", &file).await, words);
        assert!(!data.exists(), "{case} leaves nothing behind");
    }

    write_kubeconfig(&file, &url, &authority(&text), Some("made-up"));
    check_refused("a made-up token", start(&data, "127.0.0.1:0", &file).await, &["refused the credentials", &url]);

    let kubectl = ground.kubectl();
    kubectl.ok(&["create", "serviceaccount", "hub"]).await;
    let token = kubectl.ok(&["create", "token", "hub"]).await;
    write_kubeconfig(&file, &url, &authority(&text), Some(token.trim()));
    let words = ["not prepared", "impersonate", "users", "acp manifests hub", &given];
    let refused = start(&data, "127.0.0.1:0", &file).await;
    assert!(!format!("{:?}", refused.as_ref().err()).contains(token.trim()), "a token is not shown");
    check_refused("no rights", refused, &words);
    assert!(!data.exists(), "nothing is left behind");
    let after = kubectl.ok(&["get", "namespaces,clusterroles,clusterrolebindings,crds", "-o", "name"]).await;
    assert_eq!(before, after, "nothing is left behind in the cluster either");

    // One of the two ways out; the other is the rendered manifest.
    kubectl
        .ok(&["create", "clusterrolebinding", "hub", "--clusterrole=cluster-admin", "--serviceaccount=default:hub"])
        .await;
    let platform = start(&data, "127.0.0.1:0", &file).await.unwrap();
    let admin = platform.admin().await;
    platform.condition(&admin, "global", "Ready", "True", PATIENCE).await;
    assert_eq!(admin.get(CLUSTERS).await.status, StatusCode::OK);
}

/// What an administrator has applied is enough: the hub has the token of its service account, and no directory.
#[tokio::test]
async fn hubs_run_with_the_rights_that_were_applied_and_several_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = Prepared::start(&folder.path().join("ground")).await;
    let first = prepared.hub(&folder.path().join("first"), "127.0.0.1:0").await.unwrap();
    let admin = first.admin().await;
    first.condition(&admin, "global", "Ready", "True", PATIENCE).await;

    let member = ApiServer::start(&folder.path().join("branch"), "127.0.0.1:0", 1).await;
    let registration = admin.post(REGISTRATIONS, json!({"name": "branch"})).await.ok();
    let manifest = registration["manifest"].as_str().expect("there is a manifest");
    member.kubectl().ok_with(&["apply", "-f", "-"], manifest).await;
    first.condition(&admin, "branch", "Ready", "True", PATIENCE).await;

    // What it writes in the name of tenancy, it may: policies, roles and bindings.
    let kubectl = prepared.cluster.kubectl();
    eventually("the platform's policies", PATIENCE, || async {
        let all = kubectl.ok(&["get", "validatingadmissionpolicies", "-o", "name"]).await;
        if all.contains("cpaas-escalation") { Ok(()) } else { Err(all) }
    })
    .await;

    let second = prepared.hub(&folder.path().join("second"), "127.0.0.1:0").await.unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem(), "they have one authority");
    assert_eq!(first.password(), second.password(), "the first administrator is not made twice");
    assert_eq!(second.door(Some(&first.token().await)).get(CLUSTERS).await.status, StatusCode::OK);
    for (hub, says) in [(&first, "Secret cpaas-system/"), (&second, "as set")] {
        let printed = hub.server.printed();
        assert!(!printed.contains(&hub.password()) && printed.contains(says), "{printed}");
    }
}

#[tokio::test]
async fn a_hub_that_has_nowhere_to_keep_anything_says_where_it_could() {
    for (arguments, words) in [
        (&["hub", "--listen", "127.0.0.1:0"][..], &["--data-dir", "--kubeconfig", "service account"][..]),
        (
            &["hub", "--listen", "127.0.0.1:0", "--etcd-servers", "http://127.0.0.1:1"],
            &["--etcd-servers", "--data-dir"],
        ),
    ] {
        let exited = Server::start(arguments).await.err().expect("it ends");
        assert!(!exited.status.success(), "{}", exited.printed);
        assert!(words.iter().all(|word| exited.printed.contains(word)), "{words:?}: {}", exited.printed);
    }
}

/// Rights that were taken away are missed when the hub starts, and named.
#[tokio::test]
async fn a_hub_names_what_is_not_there_of_what_was_to_be_applied() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = Prepared::start(&folder.path().join("ground")).await;
    let kubectl = prepared.cluster.kubectl();
    kubectl.ok(&["delete", "rolebinding", "acp:hub:controllers", "-n", "cpaas-system"]).await;
    kubectl.ok(&["delete", "crd", "projects.auth.alauda.io"]).await;
    let refused = prepared.hub(&folder.path().join("hub"), "127.0.0.1:0").await;
    let words = ["acp:hub:controllers", "secrets", "projects of auth.alauda.io/v1", "acp manifests hub"];
    check_refused("something is missing", refused, &words);
}

#[track_caller]
fn check_refused(case: &str, started: Result<Platform, Exited>, words: &[&str]) {
    let exited = match started {
        Ok(platform) => panic!("{case}: it started: {}", platform.server.printed()),
        Err(exited) => exited,
    };
    assert!(!exited.status.success() && !exited.printed.contains("panicked"), "{case}: {}", exited.printed);
    for word in words {
        assert!(exited.printed.contains(word), "{case}: {:?} does not say {word:?}", exited.printed);
    }
}

fn authority(kubeconfig: &str) -> String {
    use base64::Engine as _;
    let config = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let cluster = config.clusters.into_iter().find_map(|named| named.cluster).unwrap();
    let pem = base64::engine::general_purpose::STANDARD.decode(cluster.certificate_authority_data.unwrap()).unwrap();
    String::from_utf8(pem).unwrap()
}
