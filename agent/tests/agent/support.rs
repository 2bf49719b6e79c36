//! A hub's door, and members that are observed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use agent::{Agent, ClusterApi, Config, DirectoryStore, HubAddress, Token};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::{Authority, ClientVerification, Leaf, PeerIdentity, SigningRequest, Subject, Trust, server_config};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tunnel_hub::{Connection, Deadlines, Peer, Sessions};
use tunnel_protocol::registration::{
    CERTIFICATE_LIFE, CertificateRequest, IssuedCertificate, REGISTER_PATH, RENEW_PATH,
};
use tunnel_protocol::{AGENTS_GROUP, ALPN, agent_user};

pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) const DEADLINES: Deadlines = Deadlines { open: SOON, head: SOON };

pub(crate) fn cluster() -> ClusterName {
    "one".parse().unwrap()
}

pub(crate) fn subject() -> Subject {
    Subject::new(agent_user(&cluster()), [AGENTS_GROUP])
}

/// What a hub is asked for over HTTP, in order.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// A door as the gateway has it: tunnels, registration and renewal on one port.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) authority: Arc<Authority>,
    pub(crate) address: SocketAddr,
    pub(crate) sessions: Sessions,
    pub(crate) asked: Asked,
    /// The certificates that tunnels were opened with, in order.
    pub(crate) shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    /// Of each renewal, whether a certificate was shown.
    pub(crate) shown_for_renewal: Arc<Mutex<Vec<bool>>>,
    /// The keys that certificates were asked for, in order.
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
    /// How often whoever registers is told that nobody has decided.
    pub(crate) undecided: Arc<Mutex<usize>>,
    /// How many certificates are lost on their way to who registers.
    pub(crate) lost: Arc<Mutex<usize>>,
    /// The keys of those who registered, and whether they had a good token when they first asked.
    registered: Arc<Mutex<HashMap<String, bool>>>,
    tokens: Arc<Mutex<Vec<String>>>,
    knows_agents: Arc<Mutex<bool>>,
    drain: Drain,
}

impl Hub {
    pub(crate) async fn start(tokens: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hub = Self {
            authority: Arc::new(Authority::generate("test hub", SystemTime::now()).unwrap()),
            address: listener.local_addr().unwrap(),
            sessions: Sessions::new(tunnel_hub::Config::default()),
            asked: Asked::default(),
            shown: Arc::default(),
            shown_for_renewal: Arc::default(),
            keys: Arc::default(),
            undecided: Arc::default(),
            lost: Arc::default(),
            registered: Arc::default(),
            tokens: Arc::new(Mutex::new(tokens.iter().map(|token| (*token).to_owned()).collect())),
            knows_agents: Arc::new(Mutex::new(true)),
            drain: Drain::new(),
        };
        let credential = hub.authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
        let clients = ClientVerification::Optional(hub.authority.certificate_pem().to_owned());
        let config = server_config(&credential, &clients, &[ALPN, b"http/1.1"]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let door = hub.clone();
        hub.drain.spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, hub) = (acceptor.clone(), door.clone());
                door.drain.spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        hub.serve(stream).await;
                    }
                });
            }
        });
        hub
    }

    async fn serve(self, stream: TlsStream<TcpStream>) {
        if stream.get_ref().1.alpn_protocol() == Some(ALPN) {
            let peer = Peer::of(&stream).unwrap();
            let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
            self.shown.lock().unwrap().push(certificate);
            self.sessions.serve(&peer, stream).await.unwrap();
            return;
        }
        let peer = stream.get_ref().1.peer_certificates().map(|chain| PeerIdentity::of(&chain[0]).unwrap().subject());
        let service = hyper::service::service_fn(|request| {
            let (hub, peer) = (self.clone(), peer.clone());
            async move { hub.answer(peer, request).await.ok_or("the answer is lost") }
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    /// None if the answer is lost on its way.
    async fn answer(&self, peer: Option<Subject>, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let path = request.uri().path().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let bearer = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked: CertificateRequest = serde_json::from_slice(&body).unwrap();
        assert_eq!(asked.cluster, cluster());
        let request = SigningRequest::from_pem(&asked.request).unwrap();
        let key = request.pin().to_string();
        self.keys.lock().unwrap().push(key.clone());
        if path == REGISTER_PATH && counts_down(&self.undecided) {
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "message": "somebody has to approve"});
            let mut later = Response::new(Full::from(status.to_string()));
            *later.status_mut() = StatusCode::ACCEPTED;
            return Some(later);
        }
        let allowed = match path.as_str() {
            REGISTER_PATH => {
                let good = bearer.is_some_and(|bearer| self.spend(bearer.strip_prefix("Bearer ").unwrap()));
                *self.knows_agents.lock().unwrap() |= good;
                self.registered.lock().unwrap().entry(key).or_insert(good);
                good
            }
            RENEW_PATH => {
                self.shown_for_renewal.lock().unwrap().push(peer.is_some());
                let is_stranger = self.registered.lock().unwrap().get(&key) == Some(&false);
                let is_known = *self.knows_agents.lock().unwrap() && !is_stranger;
                bearer.is_none() && peer.is_none_or(|peer| peer == subject()) && is_known
            }
            _ => false,
        };
        if !allowed {
            let status = api_meta::Status::failure(401, api_meta::Reason::Unauthorized, "the token is spent");
            let mut refused = Response::new(Full::from(status.to_value().to_string()));
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            return Some(refused);
        }
        if path == REGISTER_PATH && counts_down(&self.lost) {
            return None;
        }
        let certificate =
            self.authority.sign_client(&request, &subject(), CERTIFICATE_LIFE, SystemTime::now()).unwrap();
        let issued = IssuedCertificate { certificate, authorities: None };
        Some(Response::new(Full::from(serde_json::to_vec(&issued).unwrap())))
    }

    fn spend(&self, token: &str) -> bool {
        let mut tokens = self.tokens.lock().unwrap();
        match tokens.iter().position(|known| known == token) {
            Some(at) => {
                tokens.swap_remove(at);
                true
            }
            None => false,
        }
    }

    pub(crate) fn config(&self, token: Option<&str>) -> Config {
        let hub = HubAddress { host: self.address.ip().to_string(), port: self.address.port() };
        let mut config = Config::new(cluster(), hub, Trust::Pin(self.authority.pin()));
        config.token = token.map(Token::new);
        config.health_interval = Duration::from_millis(50);
        config
    }

    /// As when the cluster is removed: no agent's certificate is good any more.
    pub(crate) fn forget_agents(&self) {
        *self.knows_agents.lock().unwrap() = false;
    }

    pub(crate) async fn disconnected(&self) {
        self.await_connection(|connection| !matches!(connection, Connection::Connected { .. })).await;
    }

    pub(crate) async fn connected(&self) {
        self.await_connection(|connection| matches!(connection, Connection::Connected { .. })).await;
    }

    async fn await_connection(&self, wanted: impl Fn(Connection) -> bool) {
        let mut changes = self.sessions.changes();
        timeout(SOON, async {
            while !wanted(self.sessions.connection(&cluster())) {
                changes.recv().await.unwrap();
            }
        })
        .await
        .unwrap();
    }
}

/// Whether there is one left, which is taken.
fn counts_down(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().unwrap();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// An agent that has registered, with a directory of its own.
pub(crate) struct Running {
    pub(crate) drain: Drain,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn start(agent: Agent, drain: &Drain) {
    let inner = drain.clone();
    drain.spawn(async move { agent.run(inner).await.unwrap() });
}

pub(crate) async fn connect(hub: &Hub, member: ClusterApi) -> Running {
    let (drain, dir) = (Drain::new(), tempfile::tempdir().unwrap());
    let agent = hub.config(Some("token")).build(member, Arc::new(DirectoryStore::new(dir.path())));
    start(agent, &drain);
    hub.connected().await;
    Running { drain, dir }
}

/// A member that answers every connection with fixed bytes once the head of a request is there, and then sends back
/// what it gets. It notes all that it receives.
#[derive(Clone)]
pub(crate) struct RawMember {
    pub(crate) received: Arc<Mutex<Vec<u8>>>,
    pub(crate) closed: Arc<tokio::sync::Semaphore>,
    address: SocketAddr,
}

impl RawMember {
    pub(crate) async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed = Arc::new(tokio::sync::Semaphore::new(0));
        let member = Self { received: Arc::default(), closed, address };
        let shared = member.clone();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(shared.clone().converse(tcp, answer));
            }
        });
        member
    }

    async fn converse(self, mut tcp: TcpStream, answer: &'static [u8]) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        let mut answered = false;
        loop {
            let count = tcp.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                return self.closed.add_permits(1);
            }
            // The agent looks after its member by itself; that is not what is tested.
            head.extend_from_slice(&buffer[..count]);
            if head.starts_with(b"GET /readyz") {
                let _ = tcp.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
                head.clear();
                continue;
            }
            self.received.lock().unwrap().extend_from_slice(&buffer[..count]);
            if answered {
                let _ = tcp.write_all(&buffer[..count]).await;
            } else if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                answered = true;
                let _ = tcp.write_all(answer).await;
                let _ = tcp.write_all(&head[end + 4..]).await;
            }
        }
    }

    pub(crate) fn api(&self) -> ClusterApi {
        let url = format!("http://{}", self.address).parse().unwrap();
        ClusterApi::https(&kube::Config::new(url)).unwrap()
    }

    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}
