//! `ac` against a real hub and a real member: what the simulated platform of its own tests cannot show.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::path::Path;
use std::time::Duration;

use e2e::{ADMINISTRATOR, ApiServer, Kubectl, PATIENCE, Platform, eventually};
use http::StatusCode;

const CURRENT_SESSION: &str = "/auth/v1/sessions/current";

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: example.com/web:1}
";

const BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: web}}
";

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

/// One hub and one member for the whole story: each part finds them as the one before left them.
#[tokio::test]
async fn a_fleet_from_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    let platform = Platform::start_hub(&data, "127.0.0.1:0").await;
    let listen = platform.url().trim_start_matches("https://").to_owned();
    let member = ApiServer::start(&folder.path().join("member"), "127.0.0.1:0", 2).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let kubeconfig = home.join("config");
    let ac = Kubectl::ac(&kubeconfig);

    signs_in(&ac, &platform, folder.path()).await;
    joins(&ac, &member).await;
    applies(&ac).await;
    looks_into_pods(&ac).await;
    empties_nodes(&ac).await;
    reads_from_all(&ac).await;
    let platform = outlives_the_hub(&ac, platform, &data, &listen).await;
    deletes(&ac).await;
    reads_what_is_left(&ac, member).await;
    signs_out(&ac, &platform, &home).await;
}

async fn signs_in(ac: &Kubectl, platform: &Platform, folder: &Path) {
    let before = ac.run(&["get", "pods"]).await;
    assert_eq!(before.code, Some(4), "{before:?}");
    let ca = folder.join("ca.crt");
    std::fs::write(&ca, platform.ca_pem()).unwrap();
    let ca = ca.display().to_string();
    let login = ["login", platform.url(), "--name", "work", "--username", ADMINISTRATOR, "--password-stdin"];
    let unknown = ac.run_with(&login, &platform.password()).await;
    assert!(!unknown.success && unknown.err.contains("--ca-fingerprint"), "{unknown:?}");
    let login = [&login[..], &["--certificate-authority", &ca]].concat();
    let wrong = ac.run_with(&login, "certainly not this").await;
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert!(!wrong.err.contains("certainly not this"), "{wrong:?}");
    let welcome = ac.ok_with(&login, &platform.password()).await;
    assert_eq!(welcome, format!("✔ Login successful. Welcome, {ADMINISTRATOR}!\n"));
    assert_eq!(ac.ok(&["whoami"]).await.trim(), ADMINISTRATOR);
}

async fn joins(ac: &Kubectl, member: &ApiServer) {
    let manifest = ac.ok(&["register", "cluster", "edge", "-o", "yaml"]).await;
    member.kubectl().ok_with(&["apply", "-f", "-"], &manifest).await;
    eventually("the member to have joined", PATIENCE, || async {
        let asked = ac.run(&["get", "cluster", "edge", "-o", READY]).await;
        if asked.out == "True" { Ok(()) } else { Err(asked) }
    })
    .await;
    let synced = ac.ok(&["config", "sync"]).await;
    assert!(synced.contains("added: edge"), "{synced}");
    assert_eq!(ac.ok(&["config", "use-cluster", "edge"]).await, "Switched to context \"work/edge\".\n");
}

const READY: &str = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";

async fn applies(ac: &Kubectl) {
    assert_eq!(ac.ok_with(&["apply", "-f", "-"], WEB).await, "deployment.apps/web created\n");
    assert_eq!(ac.ok_with(&["apply", "-f", "-"], WEB).await, "deployment.apps/web unchanged\n");
    let changed = WEB.replace("web:1", "web:2");
    assert_eq!(ac.ok_with(&["apply", "-f", "-"], &changed).await, "deployment.apps/web configured\n");
    let containers = "jsonpath={.spec.template.spec.containers[0]}";
    let container = ac.ok(&["get", "deploy", "web", "-o", containers]).await;
    // What the server filled in is still there: the container was merged, not replaced.
    assert!(container.contains("web:2") && container.contains("terminationMessagePath"), "{container}");
    let server_side = ac.ok_with(&["apply", "-f", "-", "--server-side", "--force-conflicts"], &changed).await;
    assert_eq!(server_side, "deployment.apps/web serverside-applied\n");
    eventually("both pods to run the new image", PATIENCE, || async {
        let selector = ["get", "pods", "-l", "app=web", "--field-selector", "status.phase=Running"];
        let pods = ac.run(&[&selector[..], &["-o", "jsonpath={.items[*].spec.containers[0].image}"]].concat()).await;
        if pods.out == "example.com/web:2 example.com/web:2" { Ok(()) } else { Err(pods) }
    })
    .await;
}

async fn looks_into_pods(ac: &Kubectl) {
    let pod = first_pod(ac).await;
    let mut log = ac.start(&["logs", "-f", &pod]);
    log.line_with("simulated").await;
    // One line of each of the two pods, told apart.
    let logs = ac.ok(&["logs", "-l", "app=web", "--tail", "1", "--prefix"]).await;
    assert_eq!(logs.lines().count(), 2, "{logs}");
    assert!(logs.lines().all(|line| line.starts_with("[pod/web-") && line.contains("/web] ")), "{logs}");

    let failed = ac.run(&["exec", &pod, "--", "sh", "-c", "exit 7"]).await;
    assert_eq!((failed.code, failed.err.as_str()), (Some(7), "command terminated with exit code 7\n"), "{failed:?}");
    assert_eq!(ac.ok_with(&["exec", "-i", &pod, "--", "cat"], "through\n").await, "through\n");
    let nowhere = ac.run(&["exec", &pod, "-c", "nope", "--", "true"]).await;
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    assert!(nowhere.err.starts_with("Error from server (BadRequest): container nope is not valid"), "{nowhere:?}");
}

/// One after the other, so that the agent, through which all of this goes, has to move too.
async fn empties_nodes(ac: &Kubectl) {
    ac.ok_with(&["apply", "-f", "-"], BUDGET).await;
    eventually("the budget to be counted", PATIENCE, || async {
        let counted = ac.run(&["get", "pdb", "web", "-o", "jsonpath={.status.currentHealthy}"]).await;
        if counted.out == "2" { Ok(()) } else { Err(counted) }
    })
    .await;
    let of_web = ac.ok(&["get", &first_pod(ac).await, "-o", "jsonpath={.spec.nodeName}"]).await;
    let held = ac.run(&["adm", "drain", &of_web, "--timeout=2s"]).await;
    assert_eq!(held.code, Some(1), "{held:?}");
    assert!(held.err.contains("The disruption budget web needs 2 healthy pods and has 2 currently"), "{held:?}");
    assert_eq!(unschedulable(ac).await, of_web, "it stays cordoned");
    assert!(ac.ok(&["adm", "uncordon", &of_web]).await.contains("uncordoned"));

    ac.ok(&["delete", "pdb", "web"]).await;
    let nodes = ac.ok(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]).await;
    for node in nodes.split(' ') {
        let drained = ac.run(&["adm", "drain", node]).await;
        assert!(drained.success && drained.out.ends_with(&format!("node/{node} drained\n")), "{drained:?}");
        let on_node =
            ["get", "pods", "--all-namespaces", "--field-selector", &format!("spec.nodeName={node}"), "-o", "name"];
        assert_eq!(ac.ok(&on_node).await, "");
        assert!(ac.ok(&["adm", "uncordon", node]).await.contains("uncordoned"));
    }
    eventually("both pods to run elsewhere", PATIENCE, || async {
        let selector = ["get", "pods", "-l", "app=web", "--field-selector", "status.phase=Running", "-o", "name"];
        let pods = ac.run(&selector).await;
        if pods.out.lines().count() == 2 { Ok(()) } else { Err(pods) }
    })
    .await;
}

async fn unschedulable(ac: &Kubectl) -> String {
    ac.ok(&["get", "nodes", "-o", "jsonpath={.items[?(@.spec.unschedulable)].metadata.name}"]).await
}

async fn first_pod(ac: &Kubectl) -> String {
    let names = ac.ok(&["get", "pods", "-l", "app=web", "-o", "name"]).await;
    names.lines().next().unwrap().to_owned()
}

async fn reads_from_all(ac: &Kubectl) {
    let namespaces = ac.ok(&["get", "namespaces", "--all-clusters", "--sort-by", ".metadata.name"]).await;
    let rows: Vec<Vec<&str>> = namespaces.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["CLUSTER", "NAME", "STATUS", "AGE"]);
    for cluster in ["global", "edge"] {
        assert!(rows.iter().any(|row| row[..2] == [cluster, "default"]), "{namespaces}");
    }
    let names: Vec<&str> = rows[1..].iter().map(|row| row[1]).collect();
    assert!(names.is_sorted(), "{namespaces}");
}

/// Watches go on where they stood, and a command that runs in a pod is not said to have ended well.
async fn outlives_the_hub(ac: &Kubectl, platform: Platform, data: &Path, listen: &str) -> Platform {
    ac.ok_with(&["apply", "-f", "-"], &config_map("before")).await;
    let watch = ["get", "configmaps", "-w", "-o", "name"];
    let mut of_member = ac.start(&watch);
    let mut of_hub = ac.start(&[&watch[..], &["--cluster", "global"]].concat());
    of_member.line_with("configmap/before").await;
    of_hub.line_with("configmap/kube-root-ca.crt").await;
    let pod = first_pod(ac).await;
    let mut command = ac.start(&["exec", &pod, "--", "sh", "-c", "echo started; sleep 600"]);
    command.line_with("started").await;

    platform.kill().await;
    assert_eq!(command.ends().await, Some(1));
    let platform = Platform::start_hub(data, listen).await;
    eventually("the member to be reached again", PATIENCE, || async {
        let applied = ac.run_with(&["apply", "-f", "-"], &config_map("after")).await;
        if applied.success { Ok(()) } else { Err(applied) }
    })
    .await;
    ac.ok_with(&["apply", "-f", "-", "--cluster", "global", "-n", "default"], &config_map("after")).await;
    of_member.line_with("configmap/after").await;
    of_hub.line_with("configmap/after").await;
    platform
}

async fn deletes(ac: &Kubectl) {
    let deleted = ac.ok_with(&["delete", "-f", "-"], WEB).await;
    assert_eq!(deleted, "deployment.apps \"web\" deleted from default namespace\n");
    eventually("the pods to be gone", PATIENCE, || async {
        let pods = ac.run(&["get", "pods", "-l", "app=web", "-o", "name"]).await;
        if pods.success && pods.out.is_empty() { Ok(()) } else { Err(pods) }
    })
    .await;
    let again = ac.run_with(&["delete", "-f", "-"], WEB).await;
    assert!(again.code == Some(1) && again.err.contains("(NotFound)"), "{again:?}");
}

async fn reads_what_is_left(ac: &Kubectl, member: ApiServer) {
    member.server.kill().await;
    let partial = eventually("the member's absence to be told", PATIENCE, || async {
        let partial = ac.run(&["get", "namespaces", "--all-clusters"]).await;
        if partial.code == Some(1) { Ok(partial) } else { Err(partial) }
    })
    .await;
    assert!(partial.out.starts_with("CLUSTER") && partial.out.contains("global"), "{partial:?}");
    assert!(!partial.out.contains("edge") && partial.err.contains("Error from cluster edge: "), "{partial:?}");
    let accepted = ac.run(&["get", "namespaces", "--all-clusters", "--ignore-errors"]).await;
    assert!(accepted.success && accepted.out.contains("global"), "{accepted:?}");
}

async fn signs_out(ac: &Kubectl, platform: &Platform, home: &Path) {
    let token = ac.ok(&["whoami", "-t"]).await;
    let door = platform.door(Some(token.trim()));
    assert_eq!(door.get(CURRENT_SESSION).await.status, StatusCode::OK);
    assert!(ac.ok(&["logout"]).await.contains("Successfully logged out from 'work' platform."));
    eventually("the token to be refused", Duration::from_secs(5), || async {
        let answer = door.get(CURRENT_SESSION).await;
        if answer.status == StatusCode::UNAUTHORIZED { Ok(()) } else { Err(answer.status) }
    })
    .await;
    let left = std::fs::read_to_string(home.join("config")).unwrap();
    assert!(!left.contains("work") && !left.contains("acp:"), "{left}");
    let sessions = std::fs::read_dir(home.join(".cache/acp/sessions")).unwrap();
    assert_eq!(sessions.count(), 0, "no token stays behind");
    assert_eq!(ac.run(&["get", "pods"]).await.code, Some(4));
}
