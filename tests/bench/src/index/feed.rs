//! How soon the hub's index knows what has changed in a member: over real tunnels, while all members change.
//!
//! The reference is a watch at the member itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use agent::{CredentialStore, DirectoryStore, HubAddress};
use anyhow::{Context as _, ensure};
use apiserver_access::{MASTERS, User};
use fleet::{AddressPolicy, Caller, ClusterApi, FeedState, Fleet, RegistrationRequest, SystemResolver};
use fleet_index::Query;
use futures::TryStreamExt as _;
use harness::TestCluster;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_drain::Drain;
use lib_tls::{Authority, ClientVerification, Credential, Leaf, SigningRequest, Subject, Trust, server_config};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tunnel_hub::{Peer, Sessions};
use tunnel_protocol::registration::CertificateRequest;
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

use super::Administrator;
use crate::measure::{Spread, shown};
use crate::sandbox::until;

const MEMBERS: usize = 20;
/// ConfigMaps of each, before anything is measured.
const OBJECTS: usize = 250;
/// Changes of each that are measured, one after the other; the members change at the same time.
const CHANGES: usize = 50;
/// Between two looks into the index.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    let started = Instant::now();
    let mut members = JoinSet::new();
    for number in 0..MEMBERS {
        let hub = hub.clone();
        members.spawn(async move { hub.member(number).await });
    }
    let members = members.join_all().await.into_iter().collect::<anyhow::Result<Vec<Member>>>()?;
    until("all members to be followed", || async {
        let all = hub.fleet.index().freshnesses();
        all.values().filter(|freshness| freshness.state == FeedState::Following).count() == MEMBERS + 1
    })
    .await?;
    let rows = hub.fleet.index().read().len();
    println!("{MEMBERS} members with {rows} objects followed through tunnels after {}", shown(started.elapsed()));

    let mut changing = JoinSet::new();
    for member in members {
        let fleet = hub.fleet.clone();
        changing.spawn(async move { member.change(&fleet).await });
    }
    let (mut known, mut watched) = (Vec::new(), Vec::new());
    while let Some(done) = changing.join_next().await {
        let (more_known, more_watched) = done.context("a member broke")??;
        known.extend(more_known);
        watched.extend(more_watched);
    }
    let (known, watched) = (Spread::of(known), Spread::of(watched));
    let ratio = known.median.as_secs_f64() / watched.median.as_secs_f64();
    println!(
        "a change is found in the index, from its request: p50, p99, max (promised 1 s) {known}; a watch at the member \
         sees it {watched}, x{ratio:.1}"
    );
    ensure!(known.tail < Duration::from_secs(1), "later than promised");
    Ok(())
}

#[derive(Clone)]
struct Hub {
    fleet: Fleet,
    authority: Arc<Authority>,
    address: HubAddress,
    drain: Drain,
    _cluster: Arc<TestCluster>,
}

impl Hub {
    async fn start() -> anyhow::Result<Self> {
        let cluster = TestCluster::start().await;
        let installer = ClusterApi::in_process(cluster.server.service_as(User::new("installer", [MASTERS])));
        fleet::install(&installer).await?;
        fleet::allow_impersonation(&installer, "acp:hub:gateway").await?;
        let (drain, authority) = (Drain::new(), Arc::new(Authority::generate("bench", SystemTime::now())?));
        let sessions = Sessions::new(tunnel_hub::Config::default());
        let parts = fleet::Parts {
            hub: ClusterApi::in_process(cluster.server.service_as(User::new("acp:hub:gateway", [""; 0]))),
            sessions: sessions.clone(),
            authorities: fleet::Keeper::of(authority.clone()),
            resolver: Arc::new(SystemResolver),
        };
        let (hub_address, agent_image) = ("hub.example.org:8443".into(), "acp/agent".into());
        let config = fleet::Config {
            hub_address,
            agent_image,
            addresses: AddressPolicy::default(),
            member_rights: Vec::new(),
            member_traces: fleet::Traces::default(),
            replica: None,
        };
        let fleet = Fleet::start(config, parts, &drain).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let address = HubAddress { host: address.ip().to_string(), port: address.port() };
        let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()]))?;
        let clients = ClientVerification::Optional(authority.certificate_pem().to_owned());
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&credential, &clients, &[ALPN])?));
        let owner = drain.clone();
        drain.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sessions) = (acceptor.clone(), sessions.clone());
                owner.spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let Ok(peer) = Peer::of(&stream) else { return };
                    let _ = sessions.serve(&peer, stream).await;
                });
            }
        });
        Ok(Self { fleet, authority, address, drain, _cluster: Arc::new(cluster) })
    }

    /// A member with its objects, and an agent that has joined.
    async fn member(&self, number: usize) -> anyhow::Result<Member> {
        let (name, cluster) = (format!("member-{number}"), TestCluster::start().await);
        for object in fleet::member_objects() {
            lay(&cluster, object).await?;
        }
        let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), "default");
        for object in 0..OBJECTS {
            maps.create(&PostParams::default(), &map(&format!("{name}-old-{object}"))?).await?;
        }
        let administrator = Caller::certificate("admin", &[MASTERS.to_owned()])?;
        let request = RegistrationRequest { name: name.clone(), ..RegistrationRequest::default() };
        let token = self.fleet.register(&administrator, request).await?.token;
        let parsed: lib_names::ClusterName = name.parse()?;
        let (request, key) = SigningRequest::generate(&Subject::new(agent_user(&parsed), [AGENTS_GROUP]))?;
        let issued =
            self.fleet.redeem(&token, &CertificateRequest { cluster: parsed.clone(), request }, "127.0.0.1").await?;
        let folder = tempfile::tempdir()?;
        let store = DirectoryStore::new(folder.path());
        store.save(&Credential::from_pem(issued.certificate, key)?).await?;
        let config = agent::Config::new(parsed, self.address.clone(), Trust::Pin(self.authority.pin()));
        let api = ClusterApi::in_process(cluster.server.service_as(User::new("agent", [MASTERS])));
        let (agent, owner) = (config.build(api, Arc::new(store)), self.drain.clone());
        self.drain.spawn(async move { drop(agent.run(owner).await) });
        Ok(Member { name, cluster, _folder: folder })
    }
}

struct Member {
    name: String,
    cluster: TestCluster,
    _folder: tempfile::TempDir,
}

impl Member {
    /// Makes objects, and says how long after each request one was found in the index, and seen by a watch.
    async fn change(self, fleet: &Fleet) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.admin(), "default");
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let version = maps.list_metadata(&Default::default()).await?.metadata.resource_version.unwrap_or_default();
        let events = maps.watch(&WatchParams::default(), &version).await?;
        let (noted, mut watching) = (seen.clone(), JoinSet::new());
        watching.spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                if let WatchEvent::Added(map) = event {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).insert(map.name_any(), Instant::now());
                }
            }
        });
        let (mut known, mut watched) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let name = format!("{}-new-{number}", self.name);
            let asked = Instant::now();
            maps.create(&PostParams::default(), &map(&name)?).await?;
            while !self.is_found(fleet, &name) {
                ensure!(asked.elapsed() < PATIENCE, "{name} is not found");
                tokio::time::sleep(LOOK).await;
            }
            known.push(asked.elapsed());
            let at = loop {
                let at = seen.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
                match at {
                    Some(at) => break at,
                    None => tokio::time::sleep(LOOK).await,
                }
            };
            watched.push(at.saturating_duration_since(asked));
        }
        Ok((known, watched))
    }

    fn is_found(&self, fleet: &Fleet, name: &str) -> bool {
        let index = fleet.index().read();
        let in_cluster = |cluster: &str| cluster == self.name;
        let query = Query { text: Some(name), clusters: Some(&in_cluster), limit: 1, ..Query::default() };
        index.query(&Administrator, &query).total > 0
    }
}

fn map(name: &str) -> anyhow::Result<ConfigMap> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "shop"}}}))?)
}

async fn lay(member: &TestCluster, object: serde_json::Value) -> anyhow::Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("an object says what it is")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(member.admin(), namespace, &resource),
        None => Api::all_with(member.admin(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}
