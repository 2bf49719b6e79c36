//! Clusters that dial the hub.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::{ClusterApi, Config, CredentialStore, DirectoryStore, HubAddress, Token};
use apiserver_access::{MASTERS, User};
use harness::TestCluster;
use lib_drain::Drain;
use lib_tls::{Authority, Credential, Leaf, SigningRequest, Subject, Trust, client_config};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConnection;
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

use crate::clusters::{CLUSTERS, administrator, is_gone, is_ready, remove};
use crate::support::{Answer, Door, JSON, SOON, eventually, exchange, request};

const REGISTER: &str = "/agent/v1/register";
const DAY: Duration = Duration::from_secs(86_400);
const RENEW: &str = "/agent/v1/renew";

pub(crate) async fn register(door: &Door, bearer: &str, name: &str) -> Value {
    let body = json!({"name": name}).to_string();
    let path = "/platform/fleet.cpaas.io/v1/registrations";
    let answer = door.ask("POST", path, &[JSON, ("authorization", bearer)], &body).await;
    assert_eq!(answer.code, 201, "{answer:?}");
    answer.json()
}

fn subject(cluster: &str) -> Subject {
    Subject::new(agent_user(&cluster.parse().unwrap()), [AGENTS_GROUP])
}

async fn redeem(door: &Door, token: &str, cluster: &str, request: &str) -> Answer {
    let body = json!({"cluster": cluster, "request": request}).to_string();
    door.ask("POST", REGISTER, &[JSON, ("authorization", &format!("Bearer {token}"))], &body).await
}

/// Whether the door keeps a tunnel with this certificate.
async fn is_admitted(door: &Door, credential: &Credential) -> bool {
    let config = client_config(&Trust::Pin(door.authority.pin()), Some(credential), &[ALPN]).unwrap();
    let tcp = TcpStream::connect(door.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await;
    let Ok(mut stream) = stream else { return false };
    let mut byte = [0];
    // The hub speaks first: it is the client of this connection.
    tokio::time::timeout(SOON, stream.read(&mut byte)).await.unwrap().is_ok_and(|read| read == 1)
}

/// Makes a cluster a member through an agent, which runs until it is drained.
pub(crate) async fn join(door: &Door, bearer: &str, name: &str, member: &TestCluster) -> (Drain, tempfile::TempDir) {
    let registration = register(door, bearer, name).await;
    let rights = tenancy::guard::identity(false);
    let removal = fleet::removal_objects(&rights);
    for object in fleet::member_objects().into_iter().chain(rights).chain(removal) {
        apply(member, object).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new(registration["token"].as_str().unwrap());
    let drain = run_agent(door, name, member, folder.path(), Some(token));
    eventually("the member is ready", || is_ready(door, bearer, name)).await;
    (drain, folder)
}

/// Runs the agent of a cluster until it is drained. What it has registered before lies in the folder.
pub(crate) fn run_agent(door: &Door, name: &str, member: &TestCluster, folder: &Path, token: Option<Token>) -> Drain {
    run_agent_of(door, name, api_of(member), folder, token)
}

/// A member's API, as its agent has it.
pub(crate) fn api_of(member: &TestCluster) -> ClusterApi {
    ClusterApi::in_process(member.server.service_as(User::new("agent", [MASTERS])))
}

/// The same, of a member that is reached in some other way.
pub(crate) fn run_agent_of(door: &Door, name: &str, api: ClusterApi, folder: &Path, token: Option<Token>) -> Drain {
    let hub: HubAddress = door.address.to_string().parse().unwrap();
    let mut config = Config::new(name.parse().unwrap(), hub, Trust::Pin(door.authority.pin()));
    config.token = token;
    let agent = config.build(api, Arc::new(DirectoryStore::new(folder)));
    let drain = Drain::new();
    let owner = drain.clone();
    drain.spawn(async move { agent.run(owner).await.unwrap() });
    drain
}

#[tokio::test]
async fn a_cluster_registers_is_used_and_removed() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let member = TestCluster::start().await;
    let (drain, folder) = join(&door, &bearer, "edge", &member).await;
    eventually("the administrator is the member's", || async {
        door.ask("GET", "/kubernetes/edge/api/v1/namespaces", &[auth], "").await.code == 200
    })
    .await;
    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    door.ask("GET", "/kubernetes/edge/api/v1/namespaces", &[auth], "").await.refused(404);
    // The agent comes back, and is not let in.
    let kept = agent_credential(folder.path());
    assert!(!is_admitted(&door, &kept).await);
    let _ = drain.drain(SOON).await;
}

#[track_caller]
fn figure(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

#[tokio::test]
async fn the_figures_tell_of_each_tunnel_while_there_is_one() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let figures = || async { door.ask("GET", "/metrics", &[auth], "").await.text };
    let without = figures().await;
    assert!(without.contains("acp_gateway_tunnels 0") && !without.contains("cluster="), "{without}");
    let member = TestCluster::start().await;
    let (drain, _folder) = join(&door, &bearer, "edge", &member).await;
    assert_eq!(door.ask("GET", "/kubernetes/edge/version", &[auth], "").await.code, 200);
    eventually("what the member has is followed", || async {
        figure(&figures().await, r#"acp_tunnel_streams{cluster="edge",room="hub"}"#) >= 1.0
    })
    .await;
    let text = figures().await;
    assert!(text.contains("acp_gateway_tunnels 1"), "{text}");
    let figure = |name: &str| figure(&text, name);
    assert!(figure(r#"acp_tunnel_bytes_total{cluster="edge",direction="received"}"#) > 100.0);
    assert!(figure(r#"acp_tunnel_bytes_total{cluster="edge",direction="sent"}"#) > 100.0);
    assert_eq!(figure(r#"acp_tunnel_streams{cluster="edge",room="people"}"#), 0.0);
    for direction in ["received", "sent"] {
        assert_eq!(figure(&format!(r#"acp_tunnel_paused_streams{{cluster="edge",direction="{direction}"}}"#)), 0.0);
    }
    assert!(figure(r#"acp_tunnel_buffered_bytes{cluster="edge"}"#) < 1e6);
    let round_trip = figure(r#"acp_tunnel_round_trip_seconds{cluster="edge"}"#);
    assert!(round_trip > 0.0 && round_trip < 10.0, "{round_trip}");
    let _ = drain.drain(SOON).await;
    eventually("nothing is told of who has gone", || async { !figures().await.contains("cluster=") }).await;
}

pub(crate) async fn apply(member: &TestCluster, object: Value) {
    use kube::api::{Api, DynamicObject, Patch, PatchParams};
    use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let TypeMeta { api_version, kind } = object.types.clone().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(member.admin(), namespace, &resource),
        None => Api::all_with(member.admin(), &resource),
    };
    let name = object.metadata.name.clone().unwrap();
    api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
}

fn agent_credential(folder: &std::path::Path) -> Credential {
    let kept: Value = serde_json::from_slice(&std::fs::read(folder.join("credential.json")).unwrap()).unwrap();
    let text = |key: &str| kept[key].as_str().unwrap().to_owned();
    Credential::from_pem(text("certificate"), text("key")).unwrap()
}

#[tokio::test]
async fn case_18_a_token_is_spent_once_and_for_its_cluster() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    register(&door, &bearer, "other").await;
    let (for_edge, key) = SigningRequest::generate(&subject("edge")).unwrap();
    let (for_other, _) = SigningRequest::generate(&subject("other")).unwrap();
    redeem(&door, &token, "other", &for_other).await.refused(401);
    redeem(&door, "wrong", "edge", &for_edge).await.refused(401);
    redeem(&door, &token, "missing", &for_edge).await.refused(401);
    let issued = redeem(&door, &token, "edge", &for_edge).await;
    assert_eq!(issued.code, 200, "{issued:?}");
    redeem(&door, &token, "edge", &for_edge).await.refused(401);
    let credential = Credential::from_pem(issued.json()["certificate"].as_str().unwrap().into(), key).unwrap();
    assert!(is_admitted(&door, &credential).await);
}

#[tokio::test]
async fn case_18_a_token_goes_with_its_cluster() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    register(&door, &bearer, "edge").await;
    let (request, _) = SigningRequest::generate(&subject("edge")).unwrap();
    redeem(&door, &token, "edge", &request).await.refused(401);
}

#[tokio::test]
async fn case_19_another_key_does_not_take_over() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    let (request, key) = SigningRequest::generate(&subject("edge")).unwrap();
    let issued = redeem(&door, &token, "edge", &request).await.json();
    let own = Credential::from_pem(issued["certificate"].as_str().unwrap().into(), key).unwrap();
    assert!(is_admitted(&door, &own).await);
    // Even with a certificate that the hub's authority has signed.
    let other = door.authority.issue(&Leaf::Client(subject("edge"))).unwrap();
    assert!(!is_admitted(&door, &other).await);
    let again = json!({"name": "edge"}).to_string();
    let path = "/platform/fleet.cpaas.io/v1/registrations";
    door.ask("POST", path, &[JSON, ("authorization", &bearer)], &again).await.refused(409);
    assert!(is_admitted(&door, &own).await);
}

const REQUESTS: &str = "/kubernetes/global/apis/certificates.k8s.io/v1/certificatesigningrequests";

async fn register_again(door: &Door, bearer: &str, name: &str) -> Answer {
    let path = format!("/platform/fleet.cpaas.io/v1/registrations/{name}");
    door.ask("POST", &path, &[("authorization", bearer)], "").await
}

async fn token_again(door: &Door, bearer: &str, name: &str) -> String {
    let answer = register_again(door, bearer, name).await;
    assert_eq!(answer.code, 201, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// The one request that waits.
async fn waiting(door: &Door, bearer: &str) -> Value {
    let all = door.ask("GET", REQUESTS, &[("authorization", bearer)], "").await.json();
    let [one] = &all["items"].as_array().unwrap()[..] else { panic!("{all}") };
    one.clone()
}

/// As `kubectl certificate approve` and `deny` do.
async fn decide(door: &Door, bearer: &str, kind: &str) {
    let mut request = waiting(door, bearer).await;
    request["status"]["conditions"] = json!([{"type": kind, "status": "True", "reason": "Test", "message": "seen to"}]);
    let path = format!("{REQUESTS}/{}/approval", request["metadata"]["name"].as_str().unwrap());
    let answer = door.ask("PUT", &path, &[JSON, ("authorization", bearer)], &request.to_string()).await;
    assert_eq!(answer.code, 200, "{answer:?}");
}

async fn key_condition(door: &Door, bearer: &str, name: &str) -> Option<Value> {
    let cluster = door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await.json();
    let conditions = cluster["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "AgentKeyApproved").cloned()
}

/// A cluster with an agent, and another key that has asked with a token of its own.
struct Contested {
    door: Door,
    bearer: String,
    own: Credential,
    token: String,
    csr: String,
    key: String,
}

impl Contested {
    async fn set() -> Self {
        let door = Door::open().await;
        let bearer = administrator(&door).await;
        let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
        let (first, first_key) = SigningRequest::generate(&subject("edge")).unwrap();
        let issued = redeem(&door, &token, "edge", &first).await.json();
        let own = Credential::from_pem(issued["certificate"].as_str().unwrap().into(), first_key).unwrap();
        let token = token_again(&door, &bearer, "edge").await;
        let (csr, key) = SigningRequest::generate(&subject("edge")).unwrap();
        let contested = Self { door, bearer, own, token, csr, key };
        assert_eq!(contested.ask().await.code, 202);
        contested
    }

    async fn ask(&self) -> Answer {
        redeem(&self.door, &self.token, "edge", &self.csr).await
    }
}

#[tokio::test]
async fn case_19_another_key_waits_until_an_administrator_approves_it() {
    let stage = Contested::set().await;
    let (door, bearer) = (&stage.door, &stage.bearer);
    let asked = waiting(door, bearer).await;
    assert_eq!(asked["spec"]["signerName"], "fleet.cpaas.io/agent");
    assert_eq!(asked["metadata"]["labels"]["cpaas.io/cluster-name"], "edge");
    let name = asked["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("edge-agent-"), "{name}");
    // However often it asks, it stays one request, and the old agent stays in.
    let again = stage.ask().await;
    assert_eq!(again.code, 202, "{again:?}");
    assert!(again.text.contains(&format!("ac adm certificate approve {name}")), "{again:?}");
    assert!(is_admitted(door, &stage.own).await);
    eventually("the cluster says that somebody has to decide", || async {
        key_condition(door, bearer, "edge").await.is_some_and(|condition| {
            let message = condition["message"].as_str().unwrap();
            condition["reason"] == "ApprovalPending" && message.contains("127.0.0.1") && message.contains(name)
        })
    })
    .await;
    decide(door, bearer, "Approved").await;
    let issued = stage.ask().await;
    assert_eq!(issued.code, 200, "{issued:?}");
    let next = Credential::from_pem(issued.json()["certificate"].as_str().unwrap().into(), stage.key.clone()).unwrap();
    eventually("the old key is out", || async { !is_admitted(door, &stage.own).await }).await;
    assert!(is_admitted(door, &next).await);
    // The token is spent, and nothing is left to approve.
    stage.ask().await.refused(401);
    let left = door.ask("GET", REQUESTS, &[("authorization", bearer)], "").await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "{left}");
    eventually("nobody waits", || async { key_condition(door, bearer, "edge").await.is_none() }).await;
}

#[tokio::test]
async fn case_19_the_old_session_stays_until_the_approval_and_ends_with_it() {
    let stage = Contested::set().await;
    let (door, bearer) = (&stage.door, &stage.bearer);
    let (member, folder) = (TestCluster::start().await, tempfile::tempdir().unwrap());
    DirectoryStore::new(folder.path()).save(&stage.own).await.unwrap();
    let agent = run_agent(door, "edge", &member, folder.path(), None);
    let edge = "edge".parse().unwrap();
    let is_connected = || matches!(door.fleet.sessions().connection(&edge), tunnel_hub::Connection::Connected { .. });
    eventually("the agent is connected", async || is_connected()).await;
    assert_eq!(stage.ask().await.code, 202);
    assert!(is_connected());
    decide(door, bearer, "Approved").await;
    assert_eq!(stage.ask().await.code, 200);
    eventually("the session of the old key is over", async || !is_connected()).await;
    // It has tried to come back all the while.
    assert!(!is_admitted(door, &stage.own).await && !is_connected());
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn case_19_a_key_that_is_denied_is_told_so_and_does_not_ask_again() {
    let stage = Contested::set().await;
    let (door, bearer) = (&stage.door, &stage.bearer);
    decide(door, bearer, "Denied").await;
    let denied = stage.ask().await;
    denied.refused(403);
    assert!(denied.text.contains("denied") && denied.text.contains("seen to"), "{denied:?}");
    stage.ask().await.refused(401);
    assert!(is_admitted(door, &stage.own).await);
    eventually("the cluster says that it was denied", || async {
        key_condition(door, bearer, "edge").await.is_some_and(|condition| condition["reason"] == "ApprovalDenied")
    })
    .await;
}

#[tokio::test]
async fn case_19_one_key_waits_and_approvals_of_others_count_for_nothing() {
    let stage = Contested::set().await;
    let (door, bearer) = (&stage.door, &stage.bearer);
    let first = waiting(door, bearer).await;
    // Another one asks with the same token: only the last waits, and under another name.
    let (csr, _) = SigningRequest::generate(&subject("edge")).unwrap();
    assert_eq!(redeem(door, &stage.token, "edge", &csr).await.code, 202);
    let second = waiting(door, bearer).await;
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
    // A new token ends the old one, and with that whoever waits with it.
    let token = token_again(door, bearer, "edge").await;
    redeem(door, &stage.token, "edge", &csr).await.refused(401);
    assert_eq!(redeem(door, &token, "edge", &csr).await.code, 202);
    // The key that is known needs nobody's approval.
    let own = SigningRequest::renew(&stage.own).unwrap();
    assert_eq!(redeem(door, &token, "edge", &own).await.code, 200);
    assert!(is_admitted(door, &stage.own).await);
}

#[tokio::test]
async fn a_token_comes_again_for_a_cluster_that_is_there_and_has_an_agent() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let first = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    let token = token_again(&door, &bearer, "edge").await;
    let (csr, _) = SigningRequest::generate(&subject("edge")).unwrap();
    redeem(&door, &first, "edge", &csr).await.refused(401);
    assert_eq!(redeem(&door, &token, "edge", &csr).await.code, 200);
    register_again(&door, &bearer, "none").await.refused(404);
    let none = register_again(&door, &bearer, "global").await;
    none.refused(422);
    register_again(&door, &bearer, "No").await.refused(422);
    door.ask("POST", "/platform/fleet.cpaas.io/v1/registrations/edge", &[], "").await.refused(401);
}

#[tokio::test]
async fn case_20_certificates_say_exactly_what_they_should() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    for subject in [
        Subject::new("acp:agent:edge1", [AGENTS_GROUP]),
        Subject::new("acp:agent:edge:extra", [AGENTS_GROUP]),
        Subject::new("acp:agent:edge", ["system:masters"]),
        Subject::new("system:admin", [AGENTS_GROUP]),
    ] {
        let (request, _) = SigningRequest::generate(&subject).unwrap();
        redeem(&door, &token, "edge", &request).await.refused(403);
    }
    // What was refused has not cost the token. A renewal is as exact, and for the same key.
    let (first, key) = SigningRequest::generate(&subject("edge")).unwrap();
    let issued = redeem(&door, &token, "edge", &first).await.json();
    let own = Credential::from_pem(issued["certificate"].as_str().unwrap().into(), key).unwrap();
    let renew = |cluster: &'static str, csr: String| {
        let (door, own) = (&door, &own);
        async move {
            let body = json!({"cluster": cluster, "request": csr}).to_string();
            let stream = door.connect(Ipv4Addr::LOCALHOST, Some(own)).await;
            exchange(stream, request("POST", RENEW, &[JSON], &body).as_bytes()).await
        }
    };
    let (other_key, _) = SigningRequest::generate(&subject("edge")).unwrap();
    renew("edge", other_key).await.refused(409);
    renew("other", SigningRequest::renew(&own).unwrap()).await.refused(403);
    assert_eq!(renew("edge", SigningRequest::renew(&own).unwrap()).await.code, 200);
    door.ask("POST", RENEW, &[JSON], "{}").await.refused(400);
}

/// An agent that has registered, with a certificate that ran out long ago.
async fn lost_agent(door: &Door, bearer: &str, cluster: &str) -> Credential {
    let token = register(door, bearer, cluster).await["token"].as_str().unwrap().to_owned();
    let (csr, key) = SigningRequest::generate(&subject(cluster)).unwrap();
    assert_eq!(redeem(door, &token, cluster, &csr).await.code, 200);
    let long_ago = SystemTime::now() - 400 * DAY;
    let csr = SigningRequest::from_pem(&csr).unwrap();
    let chain = door.authority.sign_client(&csr, &subject(cluster), 30 * DAY, long_ago).unwrap();
    Credential::from_pem(chain, key).unwrap()
}

async fn renew_by_key(door: &Door, cluster: &str, csr: &str) -> Answer {
    door.ask("POST", RENEW, &[JSON], &json!({"cluster": cluster, "request": csr}).to_string()).await
}

#[tokio::test]
async fn case_85_an_agent_that_was_away_for_a_year_comes_back_by_its_key() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let lost = lost_agent(&door, &bearer, "edge").await;
    assert!(!is_admitted(&door, &lost).await, "a certificate that has run out opens nothing");
    let answer = renew_by_key(&door, "edge", &SigningRequest::renew(&lost).unwrap()).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let chain = answer.json()["certificate"].as_str().unwrap().to_owned();
    let back = Credential::from_pem(chain.clone(), lost.key_pem().to_owned()).unwrap();
    let left = back.validity().not_after.duration_since(SystemTime::now()).unwrap();
    assert!(left > 29 * DAY && left <= 30 * DAY, "{left:?}");
    assert!(is_admitted(&door, &back).await);
    // Whoever has seen the exchange has a certificate for a key that they have not.
    let (_, other) = SigningRequest::generate(&subject("edge")).unwrap();
    assert!(Credential::from_pem(chain, other).is_err());
}

#[tokio::test]
async fn case_20_a_key_brings_back_its_own_cluster_in_its_own_name() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let lost = lost_agent(&door, &bearer, "edge").await;
    let other = lost_agent(&door, &bearer, "other").await;
    let csr = |credential| SigningRequest::renew(credential).unwrap();
    renew_by_key(&door, "edge", &csr(&other)).await.refused(409);
    renew_by_key(&door, "edge1", &csr(&lost)).await.refused(403);
    renew_by_key(&door, "other", &csr(&lost)).await.refused(409);
    let (stranger, _) = SigningRequest::generate(&subject("edge")).unwrap();
    renew_by_key(&door, "edge", &stranger).await.refused(409);
    for name in [
        Subject::new("acp:agent:edge1", [AGENTS_GROUP]),
        Subject::new("acp:agent:edge:extra", [AGENTS_GROUP]),
        Subject::new("acp:agent:other", [AGENTS_GROUP]),
        Subject::new("acp:agent:edge", ["system:masters"]),
        Subject::new("system:admin", [AGENTS_GROUP]),
    ] {
        let forged = SigningRequest::with_key(&name, lost.key_pem()).unwrap();
        renew_by_key(&door, "edge", &forged).await.refused(403);
    }
    // Registered, and not yet with a key.
    register(&door, &bearer, "fresh").await;
    renew_by_key(&door, "fresh", &SigningRequest::generate(&subject("fresh")).unwrap().0).await.refused(403);
    renew_by_key(&door, "global", &csr(&lost)).await.refused(403);
    assert_eq!(renew_by_key(&door, "edge", &csr(&lost)).await.code, 200);
}

#[tokio::test]
async fn case_23_a_cluster_that_is_paused_or_gone_is_not_come_back_to() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let lost = lost_agent(&door, &bearer, "edge").await;
    let csr = SigningRequest::renew(&lost).unwrap();
    let pause = async |paused: bool| {
        let patch = json!({"spec": {"paused": paused}}).to_string();
        let kind = ("content-type", "application/merge-patch+json");
        let answer = door.ask("PATCH", &format!("{CLUSTERS}/edge"), &[auth, kind], &patch).await;
        assert_eq!(answer.code, 200, "{answer:?}");
    };
    pause(true).await;
    let refused = renew_by_key(&door, "edge", &csr).await;
    refused.refused(403);
    assert!(refused.text.contains("spec.paused"), "{refused:?}");
    pause(false).await;
    assert_eq!(renew_by_key(&door, "edge", &csr).await.code, 200);
    let forget = json!({"name": "edge", "confirm": "edge", "force": true}).to_string();
    let kind = ("content-type", "application/json");
    assert_eq!(door.ask("POST", "/platform/fleet.cpaas.io/v1/removals", &[auth, kind], &forget).await.code, 202);
    eventually("the cluster is gone", || async {
        door.ask("GET", &format!("{CLUSTERS}/edge"), &[auth], "").await.code == 404
    })
    .await;
    renew_by_key(&door, "edge", &csr).await.refused(403);
    // The same name again is another cluster.
    register(&door, &bearer, "edge").await;
    renew_by_key(&door, "edge", &csr).await.refused(403);
}

#[tokio::test]
async fn case_21_an_agent_is_nobody_on_the_hub() {
    let door = Door::open().await;
    let credential = door.authority.issue(&Leaf::Client(subject("edge"))).unwrap();
    for path in [
        CLUSTERS,
        "/kubernetes/global/api/v1/secrets",
        "/kubernetes/global/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/kubernetes/edge/api",
        "/auth/v1/clusters",
    ] {
        let stream = door.connect(Ipv4Addr::LOCALHOST, Some(&credential)).await;
        exchange(stream, request("GET", path, &[], "").as_bytes()).await.refused(401);
    }
}

#[tokio::test]
async fn case_22_a_registration_token_buys_nothing_else() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    let auth = format!("Bearer {token}");
    for path in [CLUSTERS, "/auth/v1/clusters", "/auth/v1/sessions/current", "/metrics"] {
        door.ask("GET", path, &[("authorization", &auth)], "").await.refused(401);
    }
}

#[tokio::test]
async fn case_23_the_key_of_an_earlier_registration_is_good_for_nothing() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    let old = agent_credential(folder.path());
    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    let (csr, key) = SigningRequest::generate(&subject("edge")).unwrap();
    let issued = redeem(&door, &token, "edge", &csr).await.json();
    let new = Credential::from_pem(issued["certificate"].as_str().unwrap().into(), key).unwrap();
    // The old agent has tried to come back all the while.
    let edge = "edge".parse().unwrap();
    assert!(!matches!(door.fleet.sessions().connection(&edge), tunnel_hub::Connection::Connected { .. }));
    assert!(is_admitted(&door, &new).await && !is_admitted(&door, &old).await);
    let body = json!({"cluster": "edge", "request": SigningRequest::renew(&old).unwrap()}).to_string();
    let stream = door.connect(Ipv4Addr::LOCALHOST, Some(&old)).await;
    exchange(stream, request("POST", RENEW, &[JSON], &body).as_bytes()).await.refused(410);
    // Nothing of a key follows from the cluster's name: each is drawn anew.
    let keys = [&old, &new].map(|credential| credential.identity().unwrap().spki);
    assert_ne!(keys[0], keys[1]);
    let _ = agent.drain(SOON).await;
}

/// Handshakes that stop in the middle: as an agent that never answers, in the first message, and before any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_handshakes_and_heads_that_never_end_keep_nobody_out_and_are_cut() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let token = register(&door, &bearer, "edge").await["token"].as_str().unwrap().to_owned();
    let (csr, key) = SigningRequest::generate(&subject("edge")).unwrap();
    let issued = redeem(&door, &token, "edge", &csr).await.json();
    let own = Credential::from_pem(issued["certificate"].as_str().unwrap().into(), key).unwrap();
    let config = Arc::new(client_config(&Trust::Pin(door.authority.pin()), None, &[ALPN]).unwrap());
    let mut hello = Vec::new();
    let name = "127.0.0.1".try_into().unwrap();
    ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
    let mut slow: Vec<Box<dyn AsyncRead + Send + Unpin>> = Vec::new();
    for number in 0..300 {
        let mut tcp = TcpStream::connect(door.address).await.unwrap();
        let said = [&hello[..], &hello[..hello.len() / 2], &[]][number % 3];
        tcp.write_all(said).await.unwrap();
        slow.push(Box::new(tcp));
    }
    for head in ["", "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "] {
        let mut tls = door.connect(Ipv4Addr::LOCALHOST, None).await;
        tls.write_all(head.as_bytes()).await.unwrap();
        slow.push(Box::new(tls));
    }
    // Meanwhile agents and people come in.
    assert!(is_admitted(&door, &own).await);
    assert_eq!(door.ask("GET", CLUSTERS, &[("authorization", &bearer)], "").await.code, 200);
    for mut one in slow {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(SOON, one.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the door still waits");
    }
}

#[tokio::test]
async fn case_25_an_agent_believes_its_own_hub_only() {
    let door = Door::open().await;
    let credential = door.authority.issue(&Leaf::Client(subject("edge"))).unwrap();
    let other = Authority::generate("public", SystemTime::now()).unwrap();
    for trust in [Trust::Pin(other.pin()), Trust::bundle(other.certificate_pem()).unwrap()] {
        let config = client_config(&trust, Some(&credential), &[ALPN]).unwrap();
        let tcp = TcpStream::connect(door.address).await.unwrap();
        assert!(TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.is_err());
    }
}

#[tokio::test]
async fn tunnels_need_a_certificate_of_a_known_cluster() {
    let door = Door::open().await;
    let stranger = door.authority.issue(&Leaf::Client(subject("unknown"))).unwrap();
    assert!(!is_admitted(&door, &stranger).await);
    let person = door.authority.issue(&Leaf::Client(Subject::new("jane", ["dev"]))).unwrap();
    assert!(!is_admitted(&door, &person).await);
    let _ = door.drain.drain(SOON).await;
    let _ = &door.fleet;
}
