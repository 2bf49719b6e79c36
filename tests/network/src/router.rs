//! The one machine between all others: it forwards their packets, and delays and loses them as it is told.
//!
//! Each host has a TUN device whose packets come here. What is to happen to a packet depends on who sent it and to whom
//! it goes, so each direction of a way fails on its own. The kernel's own means (netem, queues of packets to user space)
//! are not in every kernel that tests run on; TUN devices are.
//!
//! It runs on a thread of its own, so that no test keeps packets waiting.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_tun::Tun;

/// As on Ethernet.
const LARGEST_PACKET: usize = 1500;

/// How many packets may be under way in one direction between two hosts. One more is lost, as in any router.
const QUEUE: usize = 16 * 1024;

/// Which host, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Port(usize);

/// What happens to packets in one direction between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    /// Which part of them is lost, by chance: from 0 to 1.
    pub loss: f64,
    /// How long each is under way.
    pub delay: Duration,
}

impl Path {
    /// Nothing arrives.
    pub const CUT: Self = Self { loss: 1.0, delay: Duration::ZERO };
}

/// Forwards until it is dropped.
pub(crate) struct Router {
    state: Arc<Mutex<State>>,
    runtime: Handle,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct State {
    devices: Vec<Arc<Tun>>,
    addresses: HashMap<Ipv4Addr, Port>,
    paths: HashMap<(Port, Port), Path>,
    queues: HashMap<(Port, Port), mpsc::Sender<Due>>,
}

/// A packet under way.
struct Due {
    at: Instant,
    packet: Vec<u8>,
}

impl Router {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            runtime.block_on(async {
                // Dropped rather than sent.
                let _ = stopped.await;
            });
        });
        Self { state: Arc::default(), runtime: handle, _stop: stop }
    }

    /// Where devices have to be made.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Forwards what comes from a device.
    pub(crate) fn attach(&self, device: Tun, address: Ipv4Addr) -> Port {
        let device = Arc::new(device);
        let port = {
            let mut state = lock(&self.state);
            state.devices.push(device.clone());
            let port = Port(state.devices.len() - 1);
            state.addresses.insert(address, port);
            port
        };
        self.runtime.spawn(forward(self.state.clone(), port, device));
        port
    }

    /// Packets to `new`, and no longer those to `old`, are this host's.
    pub(crate) fn readdress(&self, port: Port, old: Ipv4Addr, new: Ipv4Addr) {
        let mut state = lock(&self.state);
        state.addresses.remove(&old);
        state.addresses.insert(new, port);
    }

    pub(crate) fn set(&self, from: Port, to: Port, path: Path) {
        lock(&self.state).paths.insert((from, to), path);
    }
}

async fn forward(state: Arc<Mutex<State>>, from: Port, device: Arc<Tun>) {
    let mut chance = fastrand::Rng::with_seed(0xacb);
    let mut packet = vec![0; LARGEST_PACKET];
    // A device whose host is gone gives errors for ever.
    while let Ok(length) = device.recv(&mut packet).await {
        let packet = &packet[..length];
        let Some(destination) = destination(packet) else { continue };
        let mut locked = lock(&state);
        let Some(&to) = locked.addresses.get(&destination) else { continue };
        let path = locked.paths.get(&(from, to)).copied().unwrap_or_default();
        if chance.f64() < path.loss {
            continue;
        }
        let out = locked.devices[to.0].clone();
        let queue = locked.queues.entry((from, to)).or_insert_with(|| deliver(out));
        // Full: lost.
        let _ = queue.try_send(Due { at: Instant::now() + path.delay, packet: packet.to_vec() });
    }
}

/// Hands packets over when it is time, in the order in which they were sent.
fn deliver(to: Arc<Tun>) -> mpsc::Sender<Due> {
    let (queue, mut packets) = mpsc::channel::<Due>(QUEUE);
    tokio::spawn(async move {
        while let Some(Due { at, packet }) = packets.recv().await {
            if at > Instant::now() {
                sleep_until(at).await;
            }
            // A host whose link is down receives nothing.
            let _ = to.send(&packet).await;
        }
    });
    queue
}

/// Of an IPv4 packet (RFC 791 section 3.1). Hosts send others too, to find neighbours that they do not have.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let version = packet.first()? >> 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (version == 4).then(|| address.into())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
