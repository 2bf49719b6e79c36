//! What happens when a hub with many members restarts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{ClusterApi, Config, CredentialStore, HubAddress, KeptAddress, StoreError, Told};
use apiserver_access::User;
use async_trait::async_trait;
use fleet::{AddressPolicy, Body, SystemResolver, full};
use futures::future::join_all;
use harness::TestCluster;
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_drain::Drain;
use lib_tls::{Authority, Credential, Leaf, Subject, Trust};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tunnel_protocol::{AGENTS_GROUP, agent_user};

use crate::clusters::{CLUSTERS, administrator};
use crate::support::Door;

const AGENTS: usize = 500;
/// Two processors, unoptimized, and others beside it.
const PATIENCE: Duration = Duration::from_secs(100);

/// Requests by method and path, without names.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, usize>>>);

impl Counts {
    fn note(&self, request: &Request<Body>) {
        let path: Vec<_> = request.uri().path().split('/').map(|word| if is_name(word) { "*" } else { word }).collect();
        *self.0.lock().unwrap().entry(format!("{} {}", request.method(), path.join("/"))).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn is_name(word: &str) -> bool {
    word.strip_prefix("member-").is_some()
}

fn name(number: usize) -> String {
    format!("member-{number}")
}

/// Keeps what it was given.
struct Kept(Credential);

#[async_trait]
impl CredentialStore for Kept {
    async fn load(&self) -> Result<Option<Credential>, StoreError> {
        Ok(Some(self.0.clone()))
    }

    async fn save(&self, _: &Credential) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_told(&self) -> Result<Option<Told>, StoreError> {
        Ok(None)
    }

    async fn save_told(&self, _: &Told) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_address(&self) -> Result<Option<KeptAddress>, StoreError> {
        Ok(None)
    }

    async fn save_address(&self, _: &KeptAddress) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_met(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn save_met(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The API of a member that has nothing, and what is asked of all of them.
#[derive(Clone, Default)]
struct Members {
    counts: Counts,
    binding: Arc<AtomicUsize>,
    most_binding: Arc<AtomicUsize>,
}

impl Members {
    fn api(&self, number: usize) -> ClusterApi {
        let members = self.clone();
        ClusterApi::from_fn(move |request| {
            members.counts.note(&request);
            let (members, (parts, _)) = (members.clone(), request.into_parts());
            Box::pin(async move { Ok(members.answer(number, &parts.method, parts.uri.path()).await) })
        })
    }

    async fn answer(&self, number: usize, method: &Method, path: &str) -> Response<Body> {
        let value = match (method, path) {
            (&Method::GET, "/readyz") => return Response::new(full("ok")),
            (_, "/version") => json!({"gitVersion": "v1.34.0"}),
            (_, "/api") => json!({"versions": []}),
            (_, "/apis") => json!({"groups": []}),
            (&Method::PATCH, path) if path.ends_with(fleet::ADMINS_BINDING) => {
                self.most_binding.fetch_max(self.binding.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Nobody is that fast: whoever does not wait for others is here with them.
                sleep(Duration::from_millis(20)).await;
                self.binding.fetch_sub(1, Ordering::SeqCst);
                let metadata = json!({"name": fleet::ADMINS_BINDING});
                json!({"metadata": metadata, "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "cluster-admin"}})
            }
            (&Method::POST, _) => json!({
                "metadata": {}, "spec": {},
                "status": {"allowed": true, "incomplete": false, "resourceRules": [], "nonResourceRules": []},
            }),
            _ => json!({"metadata": {"uid": format!("uid-{number}"), "resourceVersion": "1"}, "items": []}),
        };
        let mut response = Response::new(full(value.to_string()));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    }
}

fn counted(cluster: &TestCluster, counts: &Counts) -> ClusterApi {
    let api = ClusterApi::in_process(cluster.server.service_as(User::new("acp:hub:gateway", [""; 0])));
    let counts = counts.clone();
    ClusterApi::from_fn(move |request| {
        counts.note(&request);
        api.send(request)
    })
}

/// A cluster that has registered, with the credential of its agent.
async fn registered(cluster: &TestCluster, authority: &Authority, number: usize) -> Credential {
    let subject = Subject::new(agent_user(&name(number).parse().unwrap()), [AGENTS_GROUP]);
    let credential = authority.issue(&Leaf::Client(subject)).unwrap();
    let object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": name(number), "namespace": fleet::NAMESPACE, "annotations": {
            "fleet.cpaas.io/connection": "tunnel",
            "fleet.cpaas.io/agent-key": credential.identity().unwrap().spki.to_string(),
        }},
        "spec": {},
    });
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cluster.x-k8s.io", "v1beta1", "Cluster"));
    let clusters: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), fleet::NAMESPACE, &kind);
    clusters.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    credential
}

/// Waits until all members are connected, and were seen to be ready after `since`.
async fn all_ready(door: &Door, since: Timestamp) {
    let is_seen = |cluster: &Value| {
        let status = &cluster["status"];
        let ready = status["conditions"].as_array().is_some_and(|all| {
            all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        });
        let heard = status["lastHeartbeatTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        ready && heard.is_some_and(|heard| heard > since)
    };
    let count = || {
        let seen = door.fleet.clusters().iter().filter(|one| is_seen(&serde_json::to_value(one).unwrap())).count();
        (door.fleet.sessions().snapshots().len(), seen)
    };
    let waited = timeout(PATIENCE, async {
        while count() != (AGENTS, AGENTS + 1) {
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(waited.await.is_ok(), "connected and ready: {:?}", count());
}

/// Requests of each kind for each member.
fn per_member(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(what, count)| format!("{:8.2} {what}\n", *count as f64 / AGENTS as f64)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_77_500_agents_reconnect_at_once_and_people_are_served_meanwhile() {
    let (hub, cluster) = (Counts::default(), TestCluster::start().await);
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let api = counted(&cluster, &hub);
    let door = Door::through(api, cluster, policy, Arc::new(SystemResolver)).await;
    let bearer = administrator(&door).await;
    let credentials = join_all((0..AGENTS).map(|number| registered(&door.cluster, &door.authority, number))).await;
    let (members, agents) = (Members::default(), Drain::new());
    for (number, credential) in credentials.into_iter().enumerate() {
        let address: HubAddress = door.address.to_string().parse().unwrap();
        let config = Config::new(name(number).parse().unwrap(), address, Trust::Pin(door.authority.pin()));
        let agent = config.build(members.api(number), Arc::new(Kept(credential)));
        let owner = agents.clone();
        agents.spawn(async move { agent.run(owner).await.unwrap() });
    }
    all_ready(&door, Timestamp::UNIX_EPOCH).await;
    members.most_binding.store(0, Ordering::SeqCst);

    let killed = Timestamp::now();
    let api = counted(&door.cluster, &hub);
    let (door, _) = (door.restart(api).await, (hub.take(), members.counts.take()));
    let bearer_again = administrator(&door).await;
    let mut answered = 0;
    let back = all_ready(&door, killed);
    tokio::pin!(back);
    loop {
        let asked = async {
            let list = door.ask("GET", CLUSTERS, &[("authorization", &bearer_again)], "").await;
            assert_eq!(list.code, 200, "{}", list.head);
        };
        tokio::select! {
            biased;
            () = &mut back => break,
            () = asked => answered += 1,
        }
    }
    let (asked_hub, asked_members) = (hub.take(), members.counts.take());
    eprintln!("{answered} lists of all clusters while {AGENTS} agents came back; for each of them");
    eprintln!("{}{}", per_member(&asked_hub), per_member(&asked_members));
    assert!(answered > 0);
    // Who may come in is known without a question for each.
    let looked_up = asked_hub.iter().filter(|(what, _)| what.starts_with("GET") && what.ends_with("clusters/*"));
    assert_eq!(looked_up.count(), 0, "{asked_hub:?}");
    // What was there before is put right by few at a time.
    assert!(members.most_binding.load(Ordering::SeqCst) <= 4, "{:?}", members.most_binding);
    drop(bearer);
    let _ = agents.drain(Duration::ZERO).await;
}
