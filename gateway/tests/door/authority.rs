//! Another authority takes the place of the hub's, while everybody goes on.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use agent::{Config, DirectoryStore, HubAddress, State, Token};
use harness::TestCluster;
use lib_drain::Drain;
use lib_tls::{Authority, Credential, Leaf, SpkiPin, Subject, Trust, client_config};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

use crate::agents::{api_of, join, run_agent};
use crate::clusters::{CLUSTERS, administrator, is_ready};
use crate::streams::{open, until};
use crate::support::{Answer, Door, JSON, SOON, eventually};

const PATH: &str = "/platform/fleet.cpaas.io/v1/authority";

async fn take(door: &Door, bearer: &str, body: Value) -> Answer {
    door.ask("POST", PATH, &[JSON, ("authorization", bearer)], &body.to_string()).await
}

#[track_caller]
fn taken(answer: &Answer, step: &str) -> Value {
    assert_eq!(answer.code, 200, "{answer:?}");
    assert_eq!(answer.json()["step"], step);
    answer.json()
}

async fn is_everybody_ready(door: &Door, bearer: &str, total: usize) -> bool {
    let agents = door.ask("GET", PATH, &[("authorization", bearer)], "").await.json()["agents"].clone();
    agents["total"] == total && agents["ready"] == total && agents["lacking"] == json!([])
}

async fn condition(door: &Door, bearer: &str, name: &str, kind: &str) -> Value {
    let cluster = door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await.json();
    let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

/// Whom the door shows itself to be of, to a client that trusts these.
async fn shown(door: &Door, trust: &Trust) -> Option<SpkiPin> {
    let config = client_config(trust, None, &[b"http/1.1"]).unwrap();
    let tcp = TcpStream::connect(door.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.ok()?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    let authority = lib_tls::first_certificate(door.authority.certificate_pem()).unwrap();
    // Its chain ends with the authority.
    assert_eq!(chain.len(), 2);
    match chain[1] == authority {
        true => Some(door.authority.pin()),
        false => Some(door.fleet.authorities().now().signing().pin()),
    }
}

/// Whether the door lets somebody in with this certificate.
async fn is_let_in(door: &Door, trust: &Trust, credential: &Credential) -> bool {
    let config = client_config(trust, Some(credential), &[ALPN]).unwrap();
    let tcp = TcpStream::connect(door.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await;
    let Ok(mut stream) = stream else { return false };
    let mut byte = [0];
    // The hub speaks first, to an agent; to whom it does not know it says nothing.
    tokio::time::timeout(SOON, stream.read(&mut byte)).await.unwrap().is_ok_and(|read| read == 1)
}

#[tokio::test]
async fn the_authority_is_replaced_while_everybody_goes_on() {
    let mut door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, _folder) = join(&door, &bearer, "edge", &member).await;
    let auth = ("authorization", bearer.as_str());
    eventually("the administrator is the member's", || async {
        door.ask("GET", "/kubernetes/edge/api/v1/namespaces", &[auth], "").await.code == 200
    })
    .await;
    let former = Trust::bundle(door.authority.certificate_pem()).unwrap();
    let path = "/kubernetes/edge/api/v1/namespaces?watch=true";
    let mut watch = open(&door, &bearer, path, false, "kube-system").await;

    // Whoever asks meanwhile, and trusts the former authority alone, notices nothing.
    let steps = async {
        taken(&take(&door, &bearer, json!({"step": "introduce"})).await, "Introduced");
        eventually("the agent trusts both", || is_everybody_ready(&door, &bearer, 1)).await;
        take(&door, &bearer, json!({"step": "retire"})).await.refused(409);
        taken(&take(&door, &bearer, json!({"step": "switch"})).await, "Switched");
        eventually("the agent has a certificate of the other", || is_everybody_ready(&door, &bearer, 1)).await;
        assert_eq!(condition(&door, &bearer, "edge", "AuthorityTrusted").await["status"], "True");
    };
    let (asking, mut asked) = (
        async {
            loop {
                let answer = door.ask("GET", "/kubernetes/edge/version", &[auth], "").await;
                assert_eq!(answer.code, 200, "{answer:?}");
            }
        },
        0,
    );
    tokio::select! {
        () = steps => asked += 1,
        () = asking => {}
    }
    assert_eq!(asked, 1);

    // The watch is the one that was opened before.
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-meanwhile"}});
    crate::agents::apply(&member, object).await;
    until(&mut watch, "made-meanwhile").await;

    let now = door.fleet.authorities().now();
    let both = Trust::bundle(&now.bundle_pem()).unwrap();
    let next = Trust::bundle(now.signing().certificate_pem()).unwrap();
    assert_eq!(shown(&door, &both).await, Some(now.signing().pin()));
    assert_eq!(shown(&door, &former).await, Some(door.authority.pin()));
    assert_eq!(shown(&door, &Trust::Pin(door.authority.pin())).await, Some(door.authority.pin()));
    let of_former = door.authority.issue(&Leaf::Client(Subject::new("admin", ["system:masters"]))).unwrap();
    let mut held = door.connect(Ipv4Addr::LOCALHOST, Some(&of_former)).await;

    taken(&take(&door, &bearer, json!({"step": "retire"})).await, "Settled");
    // Who came in by the former authority is out at once, and does not come in again.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, held.read_to_end(&mut rest)).await.expect("the connection ends");
    assert!(shown(&door, &former).await.is_none());
    let forged =
        door.authority.issue(&Leaf::Client(Subject::new(agent_user(&"edge".parse().unwrap()), [AGENTS_GROUP])));
    assert!(!is_let_in(&door, &next, &forged.unwrap()).await);
    door.authority = now.signing().clone();
    let auth = ("authorization", bearer.as_str());
    eventually("the member answers", || async {
        door.ask("GET", "/kubernetes/edge/version", &[auth], "").await.code == 200
    })
    .await;
    eventually("nothing more is said of it", || async {
        condition(&door, &bearer, "edge", "AuthorityTrusted").await.is_null()
    })
    .await;
    let _ = agent.drain(SOON).await;
}

/// Runs an agent by what lies in its folder, and returns what is known of its tunnel too.
fn come_back(door: &Door, trust: Trust, member: &TestCluster, folder: &Path, token: Option<Token>) -> (Drain, Said) {
    let hub: HubAddress = door.address.to_string().parse().unwrap();
    let mut config = Config::new("edge".parse().unwrap(), hub, trust);
    config.token = token;
    let agent = config.build(api_of(member), Arc::new(DirectoryStore::new(folder)));
    let (drain, state) = (Drain::new(), agent.state());
    let owner = drain.clone();
    drain.spawn(async move { agent.run(owner).await.unwrap() });
    (drain, Said(state))
}

struct Said(tokio::sync::watch::Receiver<State>);

impl Said {
    fn says(&self, words: &str) -> bool {
        matches!(&*self.0.borrow(), State::Waiting { reason, .. } if reason.contains(words))
    }
}

#[tokio::test]
async fn an_agent_that_was_away_comes_back_until_the_authority_that_it_knows_is_retired() {
    let mut door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    let _ = agent.drain(SOON).await;
    taken(&take(&door, &bearer, json!({"step": "introduce"})).await, "Introduced");
    taken(&take(&door, &bearer, json!({"step": "switch"})).await, "Switched");

    // It is named, and not cut off by a slip.
    let refused = take(&door, &bearer, json!({"step": "retire"})).await;
    refused.refused(409);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("1 of the agents (edge: its agent"), "{message}");
    for word in ["yes", "retire", ""] {
        take(&door, &bearer, json!({"step": "retire", "confirm": word})).await.refused(400);
    }

    // It comes back by the authority that it knows, and learns of the other.
    let agent = run_agent(&door, "edge", &member, folder.path(), None);
    eventually("the agent is back", || is_everybody_ready(&door, &bearer, 1)).await;
    let _ = agent.drain(SOON).await;
    taken(&take(&door, &bearer, json!({"step": "retire"})).await, "Settled");
    let first = Trust::Pin(door.authority.pin());
    door.authority = door.fleet.authorities().now().signing().clone();
    // What it was told counts, though it is started with what it was given at first.
    let (agent, _) = come_back(&door, first, &member, folder.path(), None);
    eventually("the agent is back", || async {
        condition(&door, &bearer, "edge", "Connected").await["status"] == "True"
    })
    .await;
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn an_agent_that_is_left_behind_says_so_and_comes_back_with_a_registration() {
    let mut door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    let first = Trust::Pin(door.authority.pin());
    let _ = agent.drain(SOON).await;
    for (step, then) in [("introduce", "Introduced"), ("switch", "Switched")] {
        taken(&take(&door, &bearer, json!({"step": step})).await, then);
    }
    taken(&take(&door, &bearer, json!({"step": "retire", "confirm": "leave behind"})).await, "Settled");
    door.authority = door.fleet.authorities().now().signing().clone();

    let (agent, said) = come_back(&door, first, &member, folder.path(), None);
    eventually("the agent says what to do", || async { said.says("ac register cluster NAME --again") }).await;
    eventually("so does the hub", || async {
        let connected = condition(&door, &bearer, "edge", "Connected").await;
        connected["reason"] == "AuthorityNotTrusted" && connected["message"].as_str().unwrap().contains("edge --again")
    })
    .await;
    let _ = agent.drain(SOON).await;

    // By its key it is known: nobody has to approve it.
    let path = "/platform/fleet.cpaas.io/v1/registrations/edge";
    let again = door.ask("POST", path, &[("authorization", &bearer)], "").await;
    assert_eq!(again.code, 201, "{again:?}");
    let token = Token::new(again.json()["token"].as_str().unwrap());
    assert!(again.json()["command"].as_str().unwrap().contains(&door.authority.pin().to_string()));
    let given = Trust::Pin(door.authority.pin());
    let (agent, _) = come_back(&door, given, &member, folder.path(), Some(token));
    eventually("the agent is back", || async {
        is_ready(&door, &bearer, "edge").await && is_everybody_ready(&door, &bearer, 1).await
    })
    .await;
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn who_registers_meanwhile_has_both_authorities() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let register = async |name: &str| crate::agents::register(&door, &bearer, name).await;
    register("before").await;
    for (step, then) in [("introduce", "Introduced"), ("switch", "Switched")] {
        taken(&take(&door, &bearer, json!({"step": step})).await, then);
    }
    let meanwhile = register("meanwhile").await;
    let now = door.fleet.authorities().now();
    let manifest = meanwhile["manifest"].as_str().unwrap();
    let objects = manifest.split("---\n").filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let secret = objects.into_iter().find(|object| object["kind"] == "Secret").unwrap();
    use base64::Engine;
    let given = base64::engine::general_purpose::STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(given).unwrap(), now.bundle_pem());
    // Whoever holds a token from before would come with an authority that is gone.
    let message = take(&door, &bearer, json!({"step": "retire"})).await.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("before: it waits for its agent") && !message.contains("meanwhile:"), "{message}");
    // Of another hub it is none.
    let other = Authority::generate("test hub 2", SystemTime::now()).unwrap();
    assert!(shown(&door, &Trust::bundle(other.certificate_pem()).unwrap()).await.is_none());
}

#[tokio::test]
async fn steps_that_make_no_sense_are_refused() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    for body in [json!({}), json!({"step": "renew"}), json!({"step": "introduce", "force": true}), json!([])] {
        take(&door, &bearer, body).await.refused(400);
    }
    for step in ["switch", "retire", "back"] {
        take(&door, &bearer, json!({"step": step})).await.refused(409);
    }
    let before = door.fleet.authorities().now().pins();
    taken(&take(&door, &bearer, json!({"step": "introduce"})).await, "Introduced");
    taken(&take(&door, &bearer, json!({"step": "back"})).await, "Settled");
    assert_eq!(door.fleet.authorities().now().pins(), before);
}
