//! Members at the far end of a tunnel: lost and found again, and tokens that buy nothing.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use e2e::{ApiServer, CLUSTERS, Door, Members, PATIENCE, Platform, binary, eventually, free_address, kubectls};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const REMOVALS: &str = "/platform/fleet.cpaas.io/v1/removals";

/// A member that is lost is `Unknown` within this time.
const UNKNOWN: Duration = Duration::from_secs(40);

/// One whose link is back is ready within this time.
const BACK: Duration = Duration::from_secs(5);

/// What the busy machine of a test may add to a promise.
const GRACE: Duration = Duration::from_secs(8);

struct Fleet {
    folder: tempfile::TempDir,
    platform: Platform,
    admin: Door,
}

impl Fleet {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let platform = Platform::start_hub(&folder.path().join("hub"), "127.0.0.1:0").await;
        let admin = platform.admin().await;
        Self { folder, platform, admin }
    }

    fn hub(&self) -> &str {
        self.platform.url().trim_start_matches("https://")
    }

    async fn member(&self, listen: &str) -> ApiServer {
        ApiServer::start(&self.folder.path().join("member"), listen, 1).await
    }

    async fn register(&self, name: &str) -> Registration {
        let answer = self.admin.post(REGISTRATIONS, json!({"name": name})).await.ok();
        let text = |key: &str| answer[key].as_str().expect("the answer is complete").to_owned();
        Registration { token: text("token"), command: text("command"), manifest: text("manifest") }
    }

    async fn remove(&self, name: &str) {
        self.admin.post(REMOVALS, json!({"name": name, "confirm": name})).await.ok();
        eventually("the cluster to be gone", PATIENCE, || async {
            let answer = self.admin.get(&format!("{CLUSTERS}/{name}")).await;
            if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }

    async fn condition(&self, name: &str, kind: &str, status: &str, within: Duration) -> Value {
        self.platform.condition(&self.admin, name, kind, status, within).await
    }

    /// The names of the platform's Secrets that belong to clusters, with their versions.
    async fn secrets(&self) -> Vec<String> {
        let columns = "custom-columns=NAME:.metadata.name,VERSION:.metadata.resourceVersion";
        let secrets = self
            .platform
            .hub_kubectl()
            .ok(&["get", "secrets", "-n", "cpaas-system", "--no-headers", "-o", columns])
            .await;
        secrets.lines().filter(|line| !line.contains("session")).map(str::to_owned).collect()
    }
}

struct Registration {
    token: String,
    command: String,
    manifest: String,
}

/// The agent's command line, as a person runs it.
fn agent(line: &str, kubeconfig: &Path, data: &Path) -> Command {
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[..2], ["acp", "agent"]);
    let mut command = Command::new(binary("acp"));
    command.args(&words[1..]).arg("--kubeconfig").arg(kubeconfig).arg("--data-dir").arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn ready(cluster: &Value) -> &str {
    let conditions = cluster["status"]["conditions"].as_array().expect("there are conditions");
    conditions.iter().find(|c| c["type"] == "Ready").and_then(|c| c["status"].as_str()).expect("one is Ready")
}

#[tokio::test]
async fn a_member_whose_process_is_killed_is_unknown_and_comes_back() {
    let fleet = Fleet::start().await;
    let member = fleet.member("127.0.0.1:0").await;
    let registration = fleet.register("member").await;
    member.kubectl().ok_with(&["apply", "-f", "-"], &registration.manifest).await;
    fleet.condition("member", "Ready", "True", PATIENCE).await;

    let address = member.server.url.trim_start_matches("https://").to_owned();
    member.server.kill().await;
    let lost = Instant::now();
    // The broken connection is seen at once; for a while the last known state is the best guess.
    let seen = fleet.condition("member", "Connected", "False", GRACE).await;
    assert!(["True", "False"].contains(&ready(&seen)), "{seen}");
    // Said at once, and not after a wait for somebody who may never come back.
    let user = fleet.platform.kubectl(&kubectls()[0], "member", &fleet.platform.token().await);
    let asked = Instant::now();
    let refused = user.run(&["get", "configmaps"]).await;
    assert!(!refused.success && refused.err.contains("unable to handle the request"), "{refused:?}");
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    fleet.condition("member", "Ready", "Unknown", UNKNOWN + GRACE).await;
    println!("unknown after {:?}", lost.elapsed());

    let _member = fleet.member(&address).await;
    let started = Instant::now();
    fleet.condition("member", "Ready", "True", BACK + GRACE).await;
    println!("ready {:?} after its start", started.elapsed());
    assert_eq!(fleet.admin.get("/kubernetes/member/version").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_member_whose_link_is_cut_is_unknown_and_comes_back() {
    let fleet = Fleet::start().await;
    let link = Link::to(fleet.hub().parse().unwrap()).await;
    let member = fleet.member("127.0.0.1:0").await;
    let registration = fleet.register("member").await;
    let manifest = registration.manifest.replace(fleet.hub(), &link.address.to_string());
    // The manifest names the hub as an argument, and as base64 in its Secret, which is for people.
    assert_ne!(manifest, registration.manifest);
    member.kubectl().ok_with(&["apply", "-f", "-"], &manifest).await;
    fleet.condition("member", "Ready", "True", PATIENCE).await;
    // Whoever sees that it is ready may go in, and at once.
    assert_eq!(fleet.admin.get("/kubernetes/member/api/v1/namespaces").await.status, StatusCode::OK);

    // Nothing is closed: neither end is told that the other one is away.
    link.cut.send_replace(true);
    let cut = Instant::now();
    fleet.condition("member", "Ready", "Unknown", UNKNOWN + GRACE).await;
    println!("unknown {:?} after the cut", cut.elapsed());
    // The member goes on without the hub.
    member.kubectl().ok(&["create", "configmap", "without-the-hub"]).await;

    link.cut.send_replace(false);
    let restored = Instant::now();
    fleet.condition("member", "Ready", "True", BACK + GRACE).await;
    println!("ready {:?} after the link was back", restored.elapsed());
    assert_eq!(
        fleet.admin.get("/kubernetes/member/api/v1/namespaces/default/configmaps/without-the-hub").await.status,
        StatusCode::OK
    );
}

/// The way out is the member's own affair: a Secret there, which no registration says anything of.
#[tokio::test]
async fn a_member_behind_a_proxy_joins_through_it_and_in_no_other_way() {
    let fleet = Fleet::start().await;
    let proxy = Proxy::to(fleet.hub(), fleet.folder.path());
    let member = fleet.member("127.0.0.1:0").await;
    let kubectl = member.kubectl();
    let registration = fleet.register("member").await;
    let secret = async |password: &str| {
        let url = format!("--from-literal=url=http://me:{password}@{}", proxy.address);
        let words =
            ["create", "secret", "generic", "acp-agent-proxy", "-n", "cpaas-system", "--dry-run=client", "-o=yaml"];
        let secret = kubectl.ok(&[&words[..], &[&url]].concat()).await;
        kubectl.ok_with(&["apply", "-f", "-"], &secret).await;
    };
    kubectl.ok(&["create", "namespace", "cpaas-system"]).await;
    secret("wrong").await;
    kubectl.ok_with(&["apply", "-f", "-"], &registration.manifest).await;
    // The hub is a neighbour that anybody could dial; whoever was refused does not.
    eventually("the proxy to have refused twice", PATIENCE, || async {
        let log = proxy.log();
        if log.matches("): CONNECT ").count() >= 2 { Ok(()) } else { Err(log) }
    })
    .await;
    let cluster = fleet.admin.get(&format!("{CLUSTERS}/member")).await;
    assert!(!cluster.text.contains("fleet.cpaas.io/agent-key"), "nobody has registered: {}", cluster.text);

    secret("p4ss").await;
    kubectl.ok(&["rollout", "restart", "deployment/acp-agent", "-n", "cpaas-system"]).await;
    fleet.condition("member", "Ready", "True", PATIENCE).await;
    assert_eq!(fleet.admin.get("/kubernetes/member/api/v1/namespaces").await.status, StatusCode::OK);
    // With the agent goes what it was told.
    fleet.remove("member").await;
    eventually("the proxy to be forgotten", PATIENCE, || async {
        let left = kubectl.ok(&["get", "secrets", "-n", "cpaas-system", "-o", "name"]).await;
        if left.contains("acp-agent-proxy") { Err(left) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn an_agent_takes_the_proxy_of_its_environment_for_the_hub_and_for_nothing_else() {
    let fleet = Fleet::start().await;
    let proxy = Proxy::to(fleet.hub(), fleet.folder.path());
    let member = fleet.member("127.0.0.1:0").await;
    member.kubectl().ok(&["create", "namespace", "cpaas-system"]).await;
    let registration = fleet.register("member").await;
    let words: Vec<&str> = registration.command.split(' ').skip(1).collect();
    let mut command = Command::new(binary("acp"));
    // Where it keeps its certificate is the cluster's API, as is what it looks after.
    command.args(words).arg("--kubeconfig").arg(member.kubeconfig()).args(["--admission-listen", "127.0.0.1:0"]);
    command.env("HTTPS_PROXY", format!("http://me:p4ss@{}", proxy.address)).env("NO_PROXY", ".example.com");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut agent = command.spawn().unwrap();
    fleet.condition("member", "Ready", "True", PATIENCE).await;
    let log = proxy.log();
    let asked: Vec<_> = log.lines().filter_map(|line| line.split_once("): CONNECT ")).map(|(_, asked)| asked).collect();
    assert!(asked.len() >= 2 && asked.iter().all(|asked| asked.starts_with(fleet.hub())), "{log}");
    agent.start_kill().unwrap();
    let ended = agent.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(said.contains(&format!("through the proxy http://{}", proxy.address)) && !said.contains("p4ss"), "{said}");
}

/// A tinyproxy that lets `me` through to one port.
struct Proxy {
    address: SocketAddr,
    log: PathBuf,
    _process: Child,
}

impl Proxy {
    fn to(target: &str, folder: &Path) -> Self {
        let (address, config, log) = (free_address(), folder.join("tinyproxy.conf"), folder.join("tinyproxy.log"));
        let listen = format!("Listen {}\nPort {}\nLogFile \"{}\"\n", address.ip(), address.port(), log.display());
        let port = target.rsplit_once(':').expect("it has a port").1;
        std::fs::write(&config, format!("{listen}BasicAuth me p4ss\nConnectPort {port}\n")).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.kill_on_drop(true).spawn().expect("`cargo xtask test` installs tinyproxy");
        Self { address, log, _process: process }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The same by the fault of a sandbox: the agent runs on, and its packets are lost.
#[tokio::test]
async fn a_member_whose_agent_is_cut_off_on_demand_is_unknown_and_comes_back() {
    let fleet = Fleet::start().await;
    let member = fleet.member("127.0.0.1:0").await;
    let registration = fleet.register("member").await;
    member.kubectl().ok_with(&["apply", "-f", "-"], &registration.manifest).await;
    fleet.condition("member", "Ready", "True", PATIENCE).await;

    let sandbox = async |words: &[&str]| {
        let mut command = Command::new(binary("acp"));
        command.args(["sandbox", "--namespace", "cpaas-system", "--kubeconfig"]).arg(member.kubeconfig()).args(words);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    sandbox(&["fault", "partition", "deployment/acp-agent"]).await;
    fleet.condition("member", "Ready", "Unknown", UNKNOWN + GRACE).await;
    let pods = member.kubectl().ok(&["get", "pods", "-n", "cpaas-system", "--no-headers"]).await;
    assert!(pods.contains("1/1") && pods.contains("Running"), "{pods}");

    sandbox(&["heal", "deployment/acp-agent"]).await;
    fleet.condition("member", "Ready", "True", BACK + GRACE).await;
    assert_eq!(fleet.admin.get("/kubernetes/member/api/v1/namespaces").await.status, StatusCode::OK);
}

#[tokio::test]
async fn sandbox_members_of_another_process_join_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let hub = folder.path().join("hub");
    let platform = Platform::start_hub(&hub, "127.0.0.1:0").await;
    let address = platform.url().trim_start_matches("https://").to_owned();
    let data = folder.path().join("members");
    let members = Members::start(&platform, &data, 2).await;
    let admin = platform.admin().await;
    for name in ["member-1", "member-2"] {
        platform.condition(&admin, name, "Ready", "True", PATIENCE).await;
    }

    platform.kill().await;
    let platform = Platform::start_hub(&hub, &address).await;
    members.server.interrupt().await;
    platform.condition(&admin, "member-2", "Connected", "False", GRACE).await;
    let _members = Members::start(&platform, &data, 3).await;
    for name in ["member-1", "member-2", "member-3"] {
        platform.condition(&admin, name, "Connected", "True", PATIENCE).await;
        platform.condition(&admin, name, "Ready", "True", PATIENCE).await;
        assert_eq!(admin.get(&format!("/kubernetes/{name}/api/v1/nodes")).await.status, StatusCode::OK);
    }
}

/// Nothing of the first registration is in its way; the new manifest is all that it takes.
#[tokio::test]
async fn a_member_that_was_removed_can_be_registered_again() {
    let fleet = Fleet::start().await;
    let member = fleet.member("127.0.0.1:0").await;
    for name in ["member", "member", "renamed"] {
        let registration = fleet.register(name).await;
        member.kubectl().ok_with(&["apply", "-f", "-"], &registration.manifest).await;
        fleet.condition(name, "Ready", "True", PATIENCE).await;
        fleet.remove(name).await;
        // The member's garbage collector has the last word.
        eventually("the agent to be gone", PATIENCE, || async {
            let found = ["get", "deployments,secrets,serviceaccounts", "-n", "cpaas-system", "-o", "name"];
            let left = member.kubectl().ok(&found).await;
            if left.contains("acp-agent") { Err(left) } else { Ok(()) }
        })
        .await;
    }
}

#[tokio::test]
async fn case_18_a_token_that_was_used_is_refused_and_leaves_nothing() {
    let fleet = Fleet::start().await;
    let member = fleet.member("127.0.0.1:0").await;
    let registration = fleet.register("member").await;
    let first = fleet.folder.path().join("first");
    let _agent = agent(&registration.command, &member.kubeconfig(), &first).spawn().unwrap();
    let before = fleet.condition("member", "Ready", "True", PATIENCE).await;
    let secrets = fleet.secrets().await;

    let second = fleet.folder.path().join("second");
    for name in ["member", "another"] {
        let command = registration.command.replace("--cluster member", &format!("--cluster {name}"));
        refused(agent(&command, &member.kubeconfig(), &second).spawn().unwrap(), &registration.token).await;
        assert!(!second.exists(), "an agent that was refused keeps nothing");
    }
    assert_eq!(fleet.secrets().await, secrets);
    assert_eq!(fleet.platform.members(&fleet.admin).await, ["member"]);
    let after = fleet.condition("member", "Ready", "True", GRACE).await;
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"], "the first agent stays the agent");
    // And its certificate is all that it needs from now on.
    assert_eq!(fleet.admin.get("/kubernetes/member/version").await.status, StatusCode::OK);
}

#[tokio::test]
async fn case_18_a_token_that_has_expired_is_refused_and_leaves_nothing() {
    let fleet = Fleet::start().await;
    let member = fleet.member("127.0.0.1:0").await;
    let registration = fleet.register("member").await;
    // A day passes.
    let past = base64::engine::general_purpose::STANDARD.encode("2026-01-01T00:00:00Z");
    let patch = json!({"data": {"expires": past}}).to_string();
    let hub = fleet.platform.hub_kubectl();
    hub.ok(&["patch", "secret", "member-registration", "-n", "cpaas-system", "--type", "merge", "-p", &patch]).await;
    let secrets = fleet.secrets().await;

    let kept = fleet.folder.path().join("agent");
    refused(agent(&registration.command, &member.kubeconfig(), &kept).spawn().unwrap(), &registration.token).await;
    assert!(!kept.exists(), "an agent that was refused keeps nothing");
    assert_eq!(fleet.secrets().await, secrets);
    eventually("the cluster to say why nobody comes", PATIENCE, || async {
        let cluster = fleet.admin.get(&format!("{CLUSTERS}/member")).await;
        let said =
            cluster.text.contains("RegistrationExpired") && cluster.text.contains("ac register cluster member --again");
        if said { Ok(()) } else { Err(cluster.text) }
    })
    .await;

    // The way out that it names.
    fleet.remove("member").await;
    let again = fleet.register("member").await;
    let _agent = agent(&again.command, &member.kubeconfig(), &kept).spawn().unwrap();
    fleet.condition("member", "Ready", "True", PATIENCE).await;
}

/// That an agent ends by itself and says that its token is none, without showing it.
async fn refused(agent: Child, token: &str) {
    let ended = tokio::time::timeout(PATIENCE, agent.wait_with_output()).await.expect("the agent gives up").unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(!ended.status.success(), "{said}");
    for words in ["registration token is not valid", "used", "expired", "ac register cluster NAME --again"] {
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
    assert!(!said.contains(token) && !said.contains("panicked"), "{said}");
}

/// A link that can be cut: bytes stay where they are, and new connections are not taken, as with a pulled cable.
struct Link {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Link {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = watch::Sender::new(false);
        let state = cut.subscribe();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                whole(&state).await;
                let state = state.clone();
                tokio::spawn(async move {
                    let far = TcpStream::connect(target).await.unwrap();
                    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                    tokio::join!(carry(near_read, far_write, &state), carry(far_read, near_write, &state));
                });
            }
        });
        Self { address, cut }
    }
}

async fn whole(state: &watch::Receiver<bool>) {
    let _ = state.clone().wait_for(|cut| !cut).await;
}

async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, state: &watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        whole(state).await;
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
