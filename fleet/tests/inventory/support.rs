//! Agents, and what the index has of their clusters.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Agent, CredentialStore, DirectoryStore};
use api_types::Cluster;
use apiserver_access::{MASTERS, User};
use bytes::Bytes;
use fleet::{ClusterApi, FeedState, Import, NAMESPACE, Removal, RemovalRequest};
use fleet_index::{Kind, Query, Reach, Sight};
use harness::TestCluster;
use http::Response;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_drain::Drain;
use lib_tls::{Credential, Trust, client_config};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tunnel_protocol::ALPN;

use crate::hub::{Hub, administrator};

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

struct All;

impl Sight for All {
    fn reach(&self, _: &str, _: &Kind) -> Reach {
        Reach::Everything
    }
}

impl Hub {
    /// Makes a cluster that an agent may speak for, and the certificate for it.
    pub(crate) async fn register(&self, name: &str) -> Credential {
        self.invite(name).await.1
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
        let request = RemovalRequest { name: name.into(), confirm: name.into(), uid: None, force: false };
        self.fleet.remove(&administrator(), &Removal::read(request).unwrap(), false).await.unwrap();
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
