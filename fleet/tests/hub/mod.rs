//! A hub with a door for tunnels: for all tests of the fleet that have real agents.

use std::sync::Arc;
use std::time::SystemTime;

use agent::HubAddress;
use apiserver_access::{MASTERS, User};
use fleet::{AddressPolicy, Caller, ClusterApi, Fleet, RegistrationRequest, SystemResolver};
use harness::TestCluster;
use lib_drain::Drain;
use lib_tls::{Authority, ClientVerification, Credential, Leaf, SigningRequest, Subject, server_config};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tunnel_hub::{Peer, Sessions};
use tunnel_protocol::registration::CertificateRequest;
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

/// What members have when they join.
pub(crate) const AGENT_IMAGE: &str = "acp/agent";

pub(crate) struct Hub {
    pub(crate) cluster: TestCluster,
    pub(crate) fleet: Fleet,
    pub(crate) authority: Arc<Authority>,
    pub(crate) address: HubAddress,
    pub(crate) drain: Drain,
}

pub(crate) fn administrator() -> Caller {
    Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap()
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let installer = ClusterApi::in_process(cluster.server.service_as(User::new("installer", [MASTERS])));
        fleet::install(&installer).await.unwrap();
        fleet::allow_impersonation(&installer, "acp:hub:gateway").await.unwrap();
        let authority = Arc::new(Authority::generate("test hub", SystemTime::now()).unwrap());
        Self::over(cluster, authority, "127.0.0.1:0").await
    }

    /// Begins with what a cluster keeps.
    pub(crate) async fn over(cluster: TestCluster, authority: Arc<Authority>, address: &str) -> Self {
        let drain = Drain::new();
        let listener = TcpListener::bind(address).await.unwrap();
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
            agent_image: AGENT_IMAGE.into(),
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
        let door = async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sessions) = (acceptor.clone(), sessions.clone());
                owner.spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let _ = sessions.serve(&Peer::of(&stream).unwrap(), stream).await;
                });
            }
        };
        let finishing = drain.clone();
        drain.spawn(async move {
            tokio::select! {
                () = door => {}
                () = finishing.finishing() => {}
            }
        });
        Self { cluster, fleet, authority, address, drain }
    }

    /// Makes a cluster that an agent may speak for: the manifest for it, and a certificate as its agent would get it.
    pub(crate) async fn invite(&self, name: &str) -> (String, Credential) {
        let request = RegistrationRequest { name: name.into(), ..RegistrationRequest::default() };
        let registration = self.fleet.register(&administrator(), request).await.unwrap();
        let cluster = name.parse().unwrap();
        let (request, key) = SigningRequest::generate(&Subject::new(agent_user(&cluster), [AGENTS_GROUP])).unwrap();
        let request = CertificateRequest { cluster, request };
        let issued = self.fleet.redeem(&registration.token, &request, "192.0.2.1").await.unwrap();
        (registration.manifest, Credential::from_pem(issued.certificate, key).unwrap())
    }
}
