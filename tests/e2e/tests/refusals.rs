//! What can go wrong says so, in words that help, and leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use e2e::{ADMINISTRATOR, ApiServer, Door, OldApi, PATIENCE, Platform, Server, eventually};
use http::StatusCode;
use serde_json::{Value, json};

const IMPORTS: &str = "/platform/fleet.cpaas.io/v1/imports";
const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const SESSIONS: &str = "/auth/v1/sessions";

/// Ends of `acp` that it comes to by itself, with the exit code of failure and one line that says why.
#[track_caller]
fn check_start(started: Result<Server, e2e::Exited>, words: &[&str]) {
    let exited = match started {
        Ok(server) => panic!("it started: {}", server.printed()),
        Err(exited) => exited,
    };
    assert!(!exited.status.success(), "{}", exited.printed);
    for word in words {
        assert!(
            exited.printed.to_lowercase().contains(&word.to_lowercase()),
            "{:?} does not say {word:?}",
            exited.printed
        );
    }
    assert!(!exited.printed.contains("panicked"), "{}", exited.printed);
}

#[tokio::test]
async fn a_second_process_on_one_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = ApiServer::start(&data, "127.0.0.1:0", 0).await;
    let kubeconfig = first.kubeconfig_text();
    let data = data.display().to_string();
    check_start(Server::start(["apiserver", "--data-dir", &data, "--listen", "127.0.0.1:0"]).await, &["in use"]);
    assert_eq!(first.kubeconfig_text(), kubeconfig, "the first one's files stay as they are");
    first.kubectl().ok(&["get", "namespaces"]).await;
}

#[tokio::test]
async fn a_second_platform_on_one_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let before = fs::read(platform.admin_kubeconfig()).unwrap();
    let data = folder.path().display().to_string();
    check_start(Server::start(["up", "--data-dir", &data, "--listen", "127.0.0.1:0"]).await, &["in use"]);
    assert_eq!(fs::read(platform.admin_kubeconfig()).unwrap(), before);
    assert_eq!(platform.door(None).get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().join("data");
    let shown = data.display().to_string();
    for command in ["apiserver", "hub", "up"] {
        let started = Server::start([command, "--data-dir", &shown, "--listen", &address]).await;
        check_start(started, &[&address, "--listen"]);
        assert!(!data.exists(), "`acp {command}` leaves nothing behind");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written() {
    // A file in the way stops everybody, root too.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let data = file.join("data").display().to_string();
    for command in ["apiserver", "up"] {
        check_start(Server::start([command, "--data-dir", &data, "--listen", "127.0.0.1:0"]).await, &[&data]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

#[tokio::test]
async fn sandbox_members_without_a_hub() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("members");
    let shown = data.display().to_string();
    let cluster = ApiServer::start(&folder.path().join("cluster"), "127.0.0.1:0", 0).await;
    let hub = Platform::start_hub(&folder.path().join("hub"), "127.0.0.1:0").await;
    let (no_hub, gone) = (cluster.kubeconfig().display().to_string(), hub.admin_kubeconfig().display().to_string());
    let address = hub.url().to_owned();
    hub.server.kill().await;
    for (kubeconfig, words) in [
        (no_hub, [cluster.server.url.as_str(), "no hub"]),
        (gone, ["could not list the clusters of the hub", address.trim_start_matches("https://")]),
        ("/nowhere".to_owned(), ["could not read the kubeconfig", "/nowhere"]),
    ] {
        let started = Server::start(["members", "--hub-kubeconfig", &kubeconfig, "--data-dir", &shown]).await;
        check_start(started, &words);
        assert!(!data.exists(), "`acp members` leaves nothing behind");
    }
    let common = ["members", "--hub-kubeconfig", "/nowhere", "--data-dir", &shown];
    for prefix in ["", "Upper", "a/b", &"long".repeat(20)] {
        let started = Server::start(common.into_iter().chain(["--prefix", prefix])).await;
        check_start(started, &["--prefix", prefix]);
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let door = platform.door(None);
    for (user, password) in [(ADMINISTRATOR, "not this one"), ("nobody@cpaas.io", "not this one"), (ADMINISTRATOR, "")]
    {
        let answer = door.post(SESSIONS, json!({"username": user, "password": password})).await;
        assert!(matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS), "{}", answer.text);
        assert_eq!(answer.body["kind"], "Status");
        assert!(!answer.headers.contains_key(http::header::SET_COOKIE));
        assert!(!answer.text.contains("not this one"), "{}", answer.text);
    }
    // In a query string a password ends up in logs; it is not read there.
    let query = format!("{SESSIONS}?username={ADMINISTRATOR}&password={}", platform.password());
    let answer = door.post(&query, json!({})).await;
    assert!(answer.status.is_client_error(), "{}", answer.text);
    assert!(!platform.server.printed().contains("not this one"));
}

#[tokio::test]
async fn somebody_who_has_not_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    for token in [None, Some("made-up"), Some("")] {
        let door = platform.door(token);
        for path in
            ["/kubernetes/global/api/v1/namespaces", "/auth/v1/clusters", "/auth/v1/sessions/current", "/metrics"]
        {
            let answer = door.get(path).await;
            let closed = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            // The metrics are for a machine of this host, where the listener is loopback only.
            assert!(closed || (path == "/metrics" && answer.status == StatusCode::OK), "{path}: {}", answer.status);
        }
    }
}

/// One platform for all refused imports: each finds the fleet as the one before left it.
#[tokio::test]
async fn imports_that_cannot_work() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let before = state(&platform, &admin).await;
    let cluster = ApiServer::start(&folder.path().join("other"), "127.0.0.1:0", 0).await;
    let good = cluster.kubeconfig_text();

    let mut cases = vec![
        ("malformed", json!({"name": "bad", "kubeconfig": "this is not a kubeconfig"}), "kubeconfig"),
        ("empty", json!({"name": "bad", "kubeconfig": ""}), "kubeconfig"),
        ("no source", json!({"name": "bad"}), "server"),
        ("no name", json!({"kubeconfig": good}), "name"),
        ("a name that is none", json!({"name": "Not_A_Name", "kubeconfig": good}), "name"),
        ("the hub's own name", json!({"name": "global", "kubeconfig": good}), "global"),
    ];
    // A port that nobody listens on any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let here = cluster.server.url.trim_start_matches("https://").to_owned();
    cases.push(("unreachable", json!({"name": "bad", "kubeconfig": good.replace(&here, &gone.to_string())}), "reach"));
    let strange = OldApi::start(18).await;
    let other_ca = base64::engine::general_purpose::STANDARD.encode(&strange.ca_pem);
    let wrong_ca = json!({"name": "bad", "server": cluster.server.url, "caData": other_ca, "token": "any"});
    cases.push(("wrong CA", wrong_ca, "certificate"));
    let old =
        json!({"name": "bad", "server": format!("https://{}", strange.address), "caData": other_ca, "token": "any"});
    cases.push(("version below the gate", old, "1.18"));
    let new = OldApi::start(35).await;
    let ca = base64::engine::general_purpose::STANDARD.encode(&new.ca_pem);
    let new_body = json!({"name": "bad", "server": format!("https://{}", new.address), "caData": ca, "token": "any"});
    cases.push(("version above the gate", new_body, "1.35"));
    for field in [
        "exec: {command: touch, args: [/tmp/owned], apiVersion: client.authentication.k8s.io/v1}",
        "auth-provider: {name: gcp}",
        "tokenFile: /etc/hostname",
        "client-certificate: /etc/hostname",
    ] {
        cases.push((
            "credentials by reference",
            json!({"name": "bad", "kubeconfig": with_user(&cluster, field)}),
            "kubeconfig",
        ));
    }
    for (case, body, words) in cases {
        for dry_run in ["?dryRun=true", ""] {
            let answer = admin.post(&format!("{IMPORTS}{dry_run}"), body.clone()).await;
            assert!(answer.status.is_client_error(), "{case}{dry_run}: {} {}", answer.status, answer.text);
            answer.refused(answer.status, words);
        }
        assert_eq!(state(&platform, &admin).await, before, "{case} leaves nothing behind");
    }
}

fn with_user(cluster: &ApiServer, field: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: '{}', \
         insecure-skip-tls-verify: false}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         users: [{{name: a, user: {{{field}}}}}]\n",
        cluster.server.url
    )
}

#[tokio::test]
async fn a_name_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    let before = state(&platform, &admin).await;
    let cluster = ApiServer::start(&folder.path().join("other"), "127.0.0.1:0", 0).await;
    let body = json!({"name": member, "kubeconfig": cluster.kubeconfig_text()});
    admin.post(IMPORTS, body).await.refused(StatusCode::CONFLICT, "exists");
    admin.post(REGISTRATIONS, json!({"name": member})).await.refused(StatusCode::CONFLICT, "exists");
    assert_eq!(state(&platform, &admin).await, before);
}

/// A token admits one agent. What an agent says to register is the agent's and the hub's affair; here somebody else has
/// found the token, and gets nothing for it.
#[tokio::test]
async fn a_registration_token_that_is_not_one() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let door = platform.door(None);
    for token in ["", "made-up", "0000000000000000000000000000000000000000000"] {
        let answer = door.post("/agent/v1/register", json!({"token": token, "csr": ""})).await;
        assert!(answer.status.is_client_error(), "{}", answer.text);
        assert!(token.is_empty() || !answer.text.contains(token), "{}", answer.text);
    }
}

/// The names of clusters, and of the platform's Secrets that belong to one.
async fn state(platform: &Platform, admin: &Door) -> Value {
    let secrets = platform.hub_kubectl().ok(&["get", "secrets", "-n", "cpaas-system", "-o", "name"]).await;
    let of_clusters: Vec<&str> = secrets.lines().filter(|name| !name.contains("session")).collect();
    json!({"clusters": platform.clusters(admin).await, "secrets": of_clusters})
}

/// Signing out ends the token at once, everywhere.
#[tokio::test]
async fn a_token_after_signing_out() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    admin.delete("/auth/v1/sessions/current").await.ok();
    eventually("the token to be refused", Duration::from_secs(5).min(PATIENCE), || async {
        let answer = admin.get(&format!("/kubernetes/{member}/api")).await;
        if answer.status == StatusCode::UNAUTHORIZED { Ok(()) } else { Err(answer.status) }
    })
    .await;
}
