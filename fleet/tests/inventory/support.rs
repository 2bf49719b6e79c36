//! A hub with a door for tunnels, and agents.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use agent::{Agent, CredentialStore, DirectoryStore, HubAddress};
use api_types::Cluster;
use apiserver_access::{MASTERS, User};
use bytes::Bytes;
use fleet::{
    AddressPolicy, Caller, ClusterApi, FeedState, Fleet, Import, NAMESPACE, RegistrationRequest, Removal,
    RemovalRequest, SystemResolver,
};
use fleet_index::{Kind, Query, Reach, Sight};
use harness::TestCluster;
use http::Response;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_drain::Drain;
use lib_tls::{
    Authority, ClientVerification, Credential, Leaf, SigningRequest, Subject, Trust, client_config, server_config,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tunnel_hub::{Peer, Sessions};
use tunnel_protocol::registration::CertificateRequest;
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A line that is longer than any.
pub(crate) static LONG_LINE: [u8; 300_000] = {
    let mut bytes = [b' '; 300_000];
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes
};

pub(crate) struct Hub {
    pub(crate) cluster: TestCluster,
    pub(crate) fleet: Fleet,
    authority: Arc<Authority>,
    address: HubAddress,
    drain: Drain,
}

struct All;

impl Sight for All {
    fn reach(&self, _: &str, _: &Kind) -> Reach {
        Reach::Everything
    }
}

fn administrator() -> Caller {
    Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap()
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let installer = ClusterApi::in_process(cluster.server.service_as(User::new("installer", [MASTERS])));
        fleet::install(&installer).await.unwrap();
        fleet::allow_impersonation(&installer, "acp:hub:gateway").await.unwrap();
        let (drain, authority) = (Drain::new(), Arc::new(Authority::generate("test hub", SystemTime::now()).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: HubAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
        let sessions = Sessions::new(tunnel_hub::Config::default());
        let parts = fleet::Parts {
            hub: ClusterApi::in_process(cluster.server.service_as(User::new("acp:hub:gateway", [""; 0]))),
            sessions: sessions.clone(),
            authorities: fleet::Keeper::of(authority.clone()),
            resolver: Arc::new(SystemResolver),
        };
        let config = fleet::Config {
            hub_address: "hub.example.org:8443".into(),
            agent_image: "acp/agent".into(),
            addresses: AddressPolicy { allow_loopback: true, ..Default::default() },
            member_rights: Vec::new(),
            member_traces: fleet::Traces::default(),
            replica: None,
        };
        let fleet = Fleet::start(config, parts, &drain).await.unwrap();
        let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
        let clients = ClientVerification::Optional(authority.certificate_pem().to_owned());
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&credential, &clients, &[ALPN]).unwrap()));
        let owner = drain.clone();
        drain.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sessions) = (acceptor.clone(), sessions.clone());
                owner.spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let _ = sessions.serve(&Peer::of(&stream).unwrap(), stream).await;
                });
            }
        });
        Self { cluster, fleet, authority, address, drain }
    }

    /// Makes a cluster that an agent may speak for, and the certificate for it.
    pub(crate) async fn register(&self, name: &str) -> Credential {
        let request = RegistrationRequest { name: name.into(), ..RegistrationRequest::default() };
        let registration = self.fleet.register(&administrator(), request).await.unwrap();
        let cluster = name.parse().unwrap();
        let (request, key) = SigningRequest::generate(&Subject::new(agent_user(&cluster), [AGENTS_GROUP])).unwrap();
        let issued = self
            .fleet
            .redeem(&registration.token, &CertificateRequest { cluster, request }, "192.0.2.1")
            .await
            .unwrap();
        Credential::from_pem(issued.certificate, key).unwrap()
    }

    /// An agent that has registered, and its tunnel.
    pub(crate) async fn agent(&self, name: &str, credential: &Credential, member: &TestCluster) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(folder.path());
        store.save(credential).await.unwrap();
        let trust = Trust::Pin(self.authority.pin());
        let config = agent::Config::new(name.parse().unwrap(), self.address.clone(), trust);
        let api = ClusterApi::in_process(member.server.service_as(User::new("agent", [MASTERS])));
        let agent: Agent = config.build(api, Arc::new(store));
        let drain = self.drain.child();
        let owner = drain.clone();
        drain.spawn(async move { agent.run(owner).await.unwrap() });
        Running { drain, _folder: folder }
    }

    /// An agent that answers a stream to a target with these bytes, or refuses it.
    pub(crate) async fn odd_agent(
        &self,
        credential: &Credential,
        answer: impl Fn(&str) -> Option<&'static [u8]> + Send + 'static,
    ) -> Odd {
        let config = client_config(&Trust::Pin(self.authority.pin()), Some(credential), &[ALPN]).unwrap();
        let tcp = TcpStream::connect((self.address.host.as_str(), self.address.port)).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
        let mut tunnel = h2::server::handshake(stream).await.unwrap();
        let odd = Odd::default();
        let (asked, owner) = (odd.0.clone(), self.drain.clone());
        self.drain.spawn(async move {
            while let Some(Ok((mut request, mut respond))) = tunnel.accept().await {
                let target = request.uri().authority().unwrap().to_string();
                let bytes = answer(&target);
                asked.lock().unwrap().push(target);
                let status = if bytes.is_some() { 200 } else { 403 };
                let head = Response::builder().status(status).body(()).unwrap();
                let mut stream = respond.send_response(head, bytes.is_none()).unwrap();
                if let Some(bytes) = bytes {
                    owner.spawn(async move {
                        // An answer before the question is none.
                        let _asked = request.body_mut().data().await;
                        let _ = stream.send_data(Bytes::from_static(bytes), false);
                        std::future::pending::<()>().await;
                    });
                }
            }
        });
        odd
    }

    pub(crate) async fn import(&self, name: &str, kubeconfig: &Path) {
        let kubeconfig = std::fs::read_to_string(kubeconfig).unwrap();
        let request = serde_json::from_value(json!({"name": name, "kubeconfig": kubeconfig})).unwrap();
        self.fleet.import(&administrator(), &Import::read(request).unwrap()).await.unwrap();
    }

    pub(crate) fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.cluster.admin(), NAMESPACE)
    }

    pub(crate) async fn remove(&self, name: &str) {
        let administrator = Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap();
        let request = RemovalRequest { name: name.into(), confirm: name.into(), uid: None, force: false };
        self.fleet.remove(&administrator, &Removal::read(request).unwrap(), false).await.unwrap();
    }

    pub(crate) fn state(&self, cluster: &str) -> Option<FeedState> {
        self.fleet.index().freshness(cluster).map(|freshness| freshness.state)
    }

    /// Whether an object of that name is in the index.
    pub(crate) fn found(&self, cluster: &str, name: &str) -> bool {
        let index = self.fleet.index().read();
        let answer = index.query(&All, &Query { text: Some(name), limit: 10_000, ..Query::default() });
        answer.found.iter().any(|found| found.cluster == cluster && found.name == name)
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let held = timeout(SOON, wait).await;
        assert!(held.is_ok(), "{what}: {:?}", self.fleet.index().freshnesses());
    }

    /// Waits until people read that.
    pub(crate) async fn condition(&self, cluster: &str, status: &str, reason: &str) {
        let mut seen = None;
        let wait = async {
            loop {
                let object = self.clusters().get(cluster).await.unwrap();
                let conditions = object.status.unwrap_or_default().conditions;
                seen = conditions.into_iter().find(|condition| condition.type_ == "Indexed");
                if seen.as_ref().is_some_and(|condition| condition.status == status && condition.reason == reason) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let held = timeout(SOON, wait).await;
        assert!(held.is_ok(), "{cluster} should be {reason}; it is {seen:?}");
    }
}

pub(crate) struct Running {
    pub(crate) drain: Drain,
    _folder: tempfile::TempDir,
}

/// Notes what it is asked for.
#[derive(Default)]
pub(crate) struct Odd(Arc<Mutex<Vec<String>>>);

impl Odd {
    pub(crate) fn asked(&self, target: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|asked| *asked == target).count()
    }
}

pub(crate) async fn lay(member: &TestCluster, objects: Vec<Value>) {
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(member.admin(), namespace, &resource),
            None => Api::all_with(member.admin(), &resource),
        };
        api.patch(&object.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
    }
}
