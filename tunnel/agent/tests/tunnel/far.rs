//! Streams over a long link: as much is under way as it holds, and no more lies in memory than a hub can bear.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lib_drain::Drain;
use lib_tls::Trust;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tunnel_agent::{Handler, TunnelStream};
use tunnel_hub::Room;
use tunnel_protocol::Target;
use tunnel_protocol::limits::{FAR_STREAM_WINDOW, STREAM_WINDOW, Timing, UNREAD};

use crate::support::*;

/// One way; over it a stream has the largest window.
const DELAY: Duration = Duration::from_millis(50);
const PIECE: usize = 64 * 1024;
/// How many pieces the link holds.
const HELD: usize = 64;

/// As it is for agents, but that round trips are measured soon.
fn soon_measured() -> Timing {
    Timing { ping_interval: Duration::from_millis(100), ..Timing::default() }
}

/// A hub, an agent, and a link between them on which everything takes its time.
struct Scene {
    hub: Hub,
    _agent: Running,
    _link: Link,
}

impl Scene {
    async fn start(handler: impl Handler) -> Self {
        let hub = Hub::start(soon_measured()).await;
        let link = Link::to(hub.address).await;
        let (trust, credential) = (Trust::Pin(hub.authority.pin()), credential(&hub.authority, "one"));
        let agent = start_agent(link.address, &trust, &credential, handler, soon_measured());
        hub.connected("one").await;
        Self { hub, _agent: agent, _link: link }
    }

    async fn open(&self, target: Target) -> TunnelStream {
        self.hub.sessions.open(&cluster("one"), Room::People, target, SOON).await.unwrap()
    }

    fn buffered(&self) -> u64 {
        self.hub.sessions.snapshots()[0].figures.buffered
    }
}

struct Link {
    address: SocketAddr,
    _drain: Drain,
}

impl Link {
    async fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, drain) = (listener.local_addr().unwrap(), Drain::new());
        let owner = drain.clone();
        drain.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (from, to) = near.into_split();
                let (back, forth) = TcpStream::connect(hub).await.unwrap().into_split();
                owner.spawn(carry(from, forth));
                owner.spawn(carry(back, to));
            }
        });
        Self { address, _drain: drain }
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let (enter, mut leave) = mpsc::channel::<(Instant, Vec<u8>)>(HELD);
    let entering = async move {
        loop {
            let mut piece = vec![0; PIECE];
            match from.read(&mut piece).await {
                Ok(length @ 1..) => piece.truncate(length),
                _ => return,
            }
            if enter.send((Instant::now() + DELAY, piece)).await.is_err() {
                return;
            }
        }
    };
    let leaving = async move {
        while let Some((at, piece)) = leave.recv().await {
            sleep_until(at.into()).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(entering, leaving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_is_under_way_as_a_long_link_holds() {
    let scene = Scene::start(Flood).await;
    let mut stream = scene.open(Target::KubernetesApi).await;
    stream.read_exact(&mut [0]).await.unwrap();
    wait_for(|| scene.buffered() > u64::from(FAR_STREAM_WINDOW) / 2).await;
    assert!(scene.buffered() <= u64::from(FAR_STREAM_WINDOW));
}

/// Takes nothing of what it is sent.
struct Deaf;

#[async_trait]
impl Handler for Deaf {
    async fn serve(&self, _: Target, mut stream: TunnelStream) {
        stream.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_is_under_way_to_an_agent() {
    let scene = Scene::start(Deaf).await;
    let mut stream = scene.open(Target::KubernetesApi).await;
    let half = vec![0; FAR_STREAM_WINDOW as usize / 2];
    timeout(SOON, stream.write_all(&half)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_readers_who_stop_fill_no_memory_by_being_far_away() {
    /// With the window that each of them would have, a quarter of a gibibyte.
    const STOPPED: usize = 32;
    let scene = Scene::start(Flood).await;
    let mut stopped = Vec::new();
    for _ in 0..STOPPED {
        let mut stream = scene.open(Target::KubernetesApi).await;
        stream.read_exact(&mut [0]).await.unwrap();
        stopped.push(stream);
    }
    wait_for(|| scene.buffered() > UNREAD / 2).await;
    let mut lively = scene.open(Target::AgentStatus).await;
    for _ in 0..10 {
        echo_once(&mut lively, &[7; 1024]).await;
        assert!(scene.buffered() <= UNREAD + UNDER_WAY, "{}", scene.buffered());
    }
    // Who comes now has the short window.
    let mut late = scene.open(Target::KubernetesApi).await;
    let before = scene.buffered();
    late.read_exact(&mut [0]).await.unwrap();
    for _ in 0..5 {
        echo_once(&mut lively, &[7; 1024]).await;
    }
    assert!(scene.buffered() <= before + u64::from(STREAM_WINDOW), "{before} and {}", scene.buffered());

    // Whoever reads on gets all that was under way, and more; and the windows are large again.
    let mut stream = stopped.pop().unwrap();
    drop((stopped, late));
    let mut much = vec![0; 2 * FAR_STREAM_WINDOW as usize];
    timeout(SOON, stream.read_exact(&mut much)).await.unwrap().unwrap();
    wait_for(|| scene.buffered() > u64::from(FAR_STREAM_WINDOW) / 2).await;
}
