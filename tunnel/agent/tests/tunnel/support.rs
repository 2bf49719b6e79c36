//! A hub and agents on the loopback interface.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Response};
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::{Authority, ClientVerification, Credential, Leaf, Subject, Trust, client_config, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tunnel_agent::{Agent, Config, Handler, HubAddress, Network, State, TunnelStream};
use tunnel_hub::{Change, Connection, Deadlines, Ended, Peer, Refused, ReplicaPeer, ResponseBody, Room, Sessions};
use tunnel_protocol::limits::Timing;
use tunnel_protocol::{AGENTS_GROUP, ALPN, Target, agent_user, replica};

/// Long enough for anything that is to happen, short enough for a person who waits for a failing test.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What still comes when somebody has said to stop: it is in the sockets, and on the link.
pub(crate) const UNDER_WAY: u64 = 24 * 1024 * 1024;

pub(crate) fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

pub(crate) fn quick() -> Timing {
    Timing {
        handshake: Duration::from_millis(500),
        ping_interval: Duration::from_millis(50),
        ping_timeout: Duration::from_millis(300),
    }
}

pub(crate) fn authority() -> Arc<Authority> {
    Arc::new(Authority::generate("test hub", SystemTime::now()).unwrap())
}

pub(crate) fn credential(authority: &Authority, name: &str) -> Credential {
    authority.issue(&Leaf::Client(Subject::new(agent_user(&cluster(name)), [AGENTS_GROUP]))).unwrap()
}

/// How connections to the hub ended, in order.
pub(crate) type Endings = Arc<Mutex<Vec<Result<Ended, Refused>>>>;

pub(crate) struct Hub {
    pub(crate) authority: Arc<Authority>,
    pub(crate) address: SocketAddr,
    pub(crate) sessions: Sessions,
    pub(crate) endings: Endings,
    pub(crate) drain: Drain,
}

impl Hub {
    pub(crate) async fn start(timing: Timing) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), authority(), timing).await
    }

    pub(crate) async fn start_at(address: SocketAddr, authority: Arc<Authority>, timing: Timing) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Sessions::new(tunnel_hub::Config { timing, ..Default::default() });
        let endings = Endings::default();
        let drain = Drain::new();
        let credential = authority
            .issue(&Leaf::Server(["127.0.0.1", "::1", "localhost", replica::DOOR].map(Into::into).into()))
            .unwrap();
        let clients = ClientVerification::Optional(authority.certificate_pem().to_owned());
        let config = server_config(&credential, &clients, &[ALPN, replica::ALPN, b"http/1.1"]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let door = Self { authority, address, sessions, endings, drain };
        door.drain.spawn(accept(listener, acceptor, door.sessions.clone(), door.endings.clone(), door.drain.clone()));
        door
    }

    /// Ends without a goodbye, as a process that was killed.
    pub(crate) async fn kill(self) -> (SocketAddr, Arc<Authority>) {
        let _ = self.drain.drain(Duration::ZERO).await;
        (self.address, self.authority)
    }

    pub(crate) async fn connected(&self, name: &str) {
        self.await_connection(name, |connection| matches!(connection, Connection::Connected { .. })).await;
    }

    pub(crate) async fn disconnected(&self, name: &str) {
        self.await_connection(name, |connection| matches!(connection, Connection::Disconnected { .. })).await;
    }

    async fn await_connection(&self, name: &str, wanted: impl Fn(Connection) -> bool) {
        let mut changes = self.sessions.changes();
        let name = cluster(name);
        timeout(SOON, async {
            while !wanted(self.sessions.connection(&name)) {
                let Change { .. } = changes.recv().await.unwrap();
            }
        })
        .await
        .unwrap();
    }

    /// Waits until this many connections have ended.
    pub(crate) async fn ended(&self, count: usize) -> Vec<String> {
        wait_for(|| self.endings.lock().unwrap().len() >= count).await;
        self.endings.lock().unwrap().iter().map(|ending| format!("{ending:?}")).collect()
    }

    pub(crate) async fn open(&self, name: &str) -> TunnelStream {
        self.sessions.open(&cluster(name), Room::People, Target::KubernetesApi, SOON).await.unwrap()
    }

    /// A TLS connection to the door, as an agent would make it.
    pub(crate) async fn send(&self, name: &str, request: Request<Empty<Bytes>>) -> Response<ResponseBody> {
        let deadlines = Deadlines { open: SOON, head: SOON };
        self.sessions.send(&cluster(name), Room::People, Target::KubernetesApi, request, deadlines).await.unwrap()
    }

    pub(crate) async fn dial(&self, credential: Option<&Credential>, alpn: &[&[u8]]) -> std::io::Result<ClientTls> {
        let trust = Trust::bundle(self.authority.certificate_pem()).unwrap();
        let config = client_config(&trust, credential, alpn).unwrap();
        let tcp = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await
    }
}

pub(crate) type ClientTls = tokio_rustls::client::TlsStream<TcpStream>;

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, sessions: Sessions, endings: Endings, drain: Drain) {
    let owner = drain.clone();
    let door = async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            // As the door does.
            tcp.set_nodelay(true).unwrap();
            let (acceptor, sessions, endings) = (acceptor.clone(), sessions.clone(), endings.clone());
            owner.spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let is_replica = stream.get_ref().1.alpn_protocol() == Some(replica::ALPN);
                let ended = match is_replica {
                    true => match ReplicaPeer::of(&stream) {
                        Ok(_) => sessions.serve_replica(stream).await,
                        Err(refused) => Err(refused),
                    },
                    false => match Peer::of(&stream) {
                        Ok(peer) => sessions.serve(&peer, stream).await,
                        Err(refused) => Err(refused),
                    },
                };
                endings.lock().unwrap().push(ended);
            });
        }
    };
    tokio::select! {
        () = door => {}
        () = drain.finishing() => {}
    }
}

pub(crate) struct Running {
    pub(crate) drain: Drain,
    pub(crate) state: watch::Receiver<State>,
}

impl Running {
    pub(crate) async fn await_state(&mut self, wanted: impl FnMut(&State) -> bool) -> State {
        timeout(SOON, self.state.wait_for(wanted)).await.unwrap().unwrap().clone()
    }
}

pub(crate) fn start_agent(
    address: SocketAddr,
    trust: &Trust,
    credential: &Credential,
    handler: impl Handler,
    timing: Timing,
) -> Running {
    start_over(&Network::default(), address, trust, credential, handler, timing)
}

/// The same over a network that can be cut.
pub(crate) fn start_over(
    network: &Network,
    address: SocketAddr,
    trust: &Trust,
    credential: &Credential,
    handler: impl Handler,
    timing: Timing,
) -> Running {
    let hub = HubAddress { host: address.ip().to_string(), port: address.port() };
    start_among(network, watch::channel(vec![hub]).1, trust, credential, handler, timing)
}

/// The same of a hub with several addresses, which may change.
pub(crate) fn start_among(
    network: &Network,
    hubs: watch::Receiver<Vec<HubAddress>>,
    trust: &Trust,
    credential: &Credential,
    handler: impl Handler,
    timing: Timing,
) -> Running {
    let tls = client_config(trust, Some(credential), &[ALPN]).unwrap();
    let (_, tls) = watch::channel(Arc::new(tls));
    let agent = Agent::new(Config { network: network.clone(), timing }, hubs, tls, Arc::new(handler));
    let (drain, state) = (Drain::new(), agent.state());
    drain.spawn(agent.run(drain.clone()));
    Running { drain, state }
}

/// An agent of this cluster that is known to the hub.
pub(crate) fn agent_of(hub: &Hub, name: &str, handler: impl Handler, timing: Timing) -> Running {
    let trust = Trust::Pin(hub.authority.pin());
    start_agent(hub.address, &trust, &credential(&hub.authority, name), handler, timing)
}

/// The same over a network that can be cut.
pub(crate) fn agent_over(hub: &Hub, name: &str, handler: impl Handler, timing: Timing, network: &Network) -> Running {
    let trust = Trust::Pin(hub.authority.pin());
    start_over(network, hub.address, &trust, &credential(&hub.authority, name), handler, timing)
}

/// Sends back what it gets.
pub(crate) struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn serve(&self, _: Target, stream: TunnelStream) {
        let (mut read, mut write) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    }
}

/// Sends zeros for as long as somebody takes them.
pub(crate) struct Flood;

#[async_trait]
impl Handler for Flood {
    async fn serve(&self, target: Target, mut stream: TunnelStream) {
        if target == Target::AgentStatus {
            return Echo.serve(target, stream).await;
        }
        let zeros = vec![0; 64 * 1024];
        while stream.write_all(&zeros).await.is_ok() {}
    }
}

pub(crate) async fn echo_once(stream: &mut TunnelStream, text: &[u8]) {
    timeout(SOON, async {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    })
    .await
    .unwrap();
}

/// Waits until a condition holds that nobody announces.
pub(crate) async fn wait_for(condition: impl Fn() -> bool) {
    timeout(SOON, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the condition should hold soon");
}
