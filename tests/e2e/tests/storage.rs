//! Where objects are kept: in an etcd that others share, and in a snapshot that comes back.

use std::path::Path;
use std::process::Output;

use e2e::{ApiServer, Kubectl, Server, binary, kubectls};
use etcd::Etcd;

/// An API server on an etcd, and a kubectl for it.
async fn on_etcd(folder: &Path, etcd: &Etcd, more: &[&str]) -> (Server, Kubectl) {
    let data = folder.display().to_string();
    let arguments = ["apiserver", "--data-dir", &data, "--listen", "127.0.0.1:0", "--etcd-servers", &etcd.endpoint];
    let started = Server::start(arguments.iter().chain(more)).await;
    let server = started.unwrap_or_else(|exited| panic!("{}", exited.printed));
    (server, Kubectl::new(&kubectls()[0], &folder.join("admin.kubeconfig")))
}

#[tokio::test]
async fn objects_are_kept_in_etcd_as_upstream_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::plain();
    let (server, kubectl) = on_etcd(&folder.path().join("first"), &etcd, &["--nodes", "1"]).await;
    kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]).await;
    kubectl.ok(&["create", "deployment", "web", "--image=web", "--replicas=2"]).await;
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]).await;
    let stored = etcd.ctl(None, &["get", "--print-value-only", "/registry/configmaps/default/kept"]);
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!((&stored["kind"], &stored["data"]["a"]), (&"ConfigMap".into(), &"b".into()));
    assert!(stored["metadata"].get("resourceVersion").is_none(), "that is etcd's to say: {stored}");
    server.kill().await;

    // Another server, which knows nothing but the etcd.
    let (server, kubectl) = on_etcd(&folder.path().join("second"), &etcd, &[]).await;
    let found = kubectl.ok(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]).await;
    assert_eq!(found, "b");
    // What another program writes is served, and what it breaks is named.
    let foreign = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"foreign","namespace":"default"}}"#;
    etcd.ctl(None, &["put", "/registry/configmaps/default/foreign", foreign]);
    kubectl.ok(&["get", "configmap", "foreign"]).await;
    etcd.ctl(None, &["put", "/registry/configmaps/default/foreign", "k8s"]);
    let refused = kubectl.run(&["get", "configmaps"]).await;
    assert!(refused.err.contains("/registry/configmaps/default/foreign"), "{}", refused.err);
    let ended = server.interrupt().await;
    assert!(ended.status.success(), "{}", ended.printed);
}

async fn acp(arguments: &[&str]) -> Output {
    tokio::process::Command::new(binary("acp")).args(arguments).output().await.expect("acp can be started")
}

#[tokio::test]
async fn a_snapshot_of_a_running_server_makes_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let first = ApiServer::start(&folder.path().join("first"), "127.0.0.1:0", 0).await;
    let kubectl = first.kubectl();
    kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]).await;
    let saved = acp(&["apiserver", "snapshot", "save", "--data-dir", &path("first"), &path("snapshot")]).await;
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let later = kubectl.ok(&["create", "configmap", "later", "-o", "jsonpath={.metadata.resourceVersion}"]).await;

    let refused = acp(&["apiserver", "snapshot", "restore", "--data-dir", &path("first"), &path("snapshot")]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("in use by another process"), "{told}");
    first.server.kill().await;
    let refused = acp(&["apiserver", "snapshot", "restore", "--data-dir", &path("first"), &path("snapshot")]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("already has a store"), "{told}");

    let restored = acp(&["apiserver", "snapshot", "restore", "--data-dir", &path("second"), &path("snapshot")]).await;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let second = ApiServer::start(&folder.path().join("second"), "127.0.0.1:0", 0).await;
    let kubectl = second.kubectl();
    assert_eq!(kubectl.ok(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]).await, "b");
    let gone = kubectl.run(&["get", "configmap", "later"]).await;
    assert!(gone.err.contains("NotFound"), "{}", gone.err);
    // Whoever watched the first one is told to look anew.
    let watch = format!("/api/v1/configmaps?watch=true&resourceVersion={later}&timeoutSeconds=5");
    let watched = kubectl.run(&["get", "--raw", &watch]).await;
    let told = watched.out + &watched.err;
    assert!(told.contains("too old resource version"), "{told}");
    let next = kubectl.ok(&["create", "configmap", "next", "-o", "jsonpath={.metadata.resourceVersion}"]).await;
    assert!(next.parse::<u64>().unwrap() > later.parse::<u64>().unwrap());
}

#[tokio::test]
async fn what_fails_leaves_no_directory_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, file) = (path("data"), path("no-snapshot"));
    std::fs::write(&file, "not a snapshot, and long enough to look like one".repeat(10)).unwrap();
    let etcd = ["--listen", "127.0.0.1:0", "--etcd-servers", "http://127.0.0.1:1"];
    let failing: [(&[&str], &str); 3] = [
        (&["apiserver", "snapshot", "restore", "--data-dir", &data, &file], "is not a whole snapshot"),
        (&[&["apiserver", "--data-dir", &data], &etcd[..]].concat(), "no etcd endpoint can be reached"),
        (&[&["hub", "--data-dir", &data], &etcd[..]].concat(), "no etcd endpoint can be reached"),
    ];
    for (arguments, words) in failing {
        let refused = acp(arguments).await;
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(words), "{arguments:?}: {told}");
        assert!(!folder.path().join("data").exists(), "{arguments:?} leaves a directory");
    }
}
