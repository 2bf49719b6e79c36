//! The network on the way to the hub: with a proxy or without, and one that a simulation can cut.
//!
//! A cut network behaves as one that loses packets: what is sent disappears, nothing arrives, nobody is told, and a
//! dial waits. Only the clocks of the two ends notice. A connection that lived through a cut is broken afterwards, as
//! bytes are missing from it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::{HubAddress, Proxy, proxy};

/// The way to the hub; cheap to clone. [`Network::default`] is the machine's network, which only the world can cut.
#[derive(Clone, Debug, Default)]
pub struct Network {
    simulated: Option<Arc<Simulated>>,
    proxy: Option<Arc<Proxy>>,
    /// Where the proxy does not lead.
    exempt: Option<Arc<str>>,
}

#[derive(Debug)]
struct Simulated {
    cut: watch::Sender<bool>,
    /// Connections that their owner gave up meanwhile: the hub must not hear of it before the network is whole.
    held: Mutex<Vec<TcpStream>>,
}

impl Network {
    /// The same network, for [`Network::cut`] and [`Network::heal`] to work on.
    pub fn simulated(self) -> Self {
        let simulated = Simulated { cut: watch::Sender::new(false), held: Mutex::default() };
        Self { simulated: Some(Arc::new(simulated)), ..self }
    }

    /// The same network, where no way leads to the hub but through that proxy.
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(Arc::new(proxy)), ..self }
    }

    /// The same network, whose proxy does not lead to what a list as in `NO_PROXY` names: hosts, which stand for all below
    /// them, addresses, networks, or `*`, each with a port or without.
    pub fn except(self, list: &str) -> Self {
        Self { exempt: Some(list.into()), ..self }
    }

    /// The proxy on the way to that address, if there is one.
    pub fn proxy_to(&self, hub: &HubAddress) -> Option<&Proxy> {
        let is_exempt = self.exempt.as_deref().is_some_and(|list| proxy::is_exempt(list, hub));
        self.proxy.as_deref().filter(|_| !is_exempt)
    }

    /// Loses everything from now on. The machine's network stays as it is.
    pub fn cut(&self) {
        if let Some(simulated) = &self.simulated {
            simulated.cut.send_replace(true);
        }
    }

    /// Carries new connections again, and breaks those that are older than the cut.
    pub fn heal(&self) {
        if let Some(simulated) = &self.simulated {
            simulated.cut.send_replace(false);
            simulated.held().clear();
        }
    }

    /// Connects to an address; waits for as long as the network is cut.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let Some(simulated) = &self.simulated else {
            return Ok(Socket { tcp: Some(TcpStream::connect(address).await?), line: Line::Machine });
        };
        simulated.becomes(false).await;
        let tcp = TcpStream::connect(address).await?;
        Ok(Socket { tcp: Some(tcp), line: Line::Whole(simulated.clone(), Box::pin(simulated.clone().becomes(true))) })
    }
}

impl Simulated {
    fn held(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn becomes(self: &Arc<Self>, wanted: bool) -> impl Future<Output = ()> + Send + use<> {
        let mut cut = self.cut.subscribe();
        async move {
            // The sender lives as long as whoever could ask.
            let _ = cut.wait_for(|cut| *cut == wanted).await;
        }
    }
}

/// A TCP connection over such a network.
#[derive(Debug)]
pub struct Socket {
    /// Taken only when dropped.
    tcp: Option<TcpStream>,
    line: Line,
}

type Change = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Line {
    Machine,
    /// Until it is cut.
    Whole(Arc<Simulated>, Change),
    /// Until it is healed.
    Cut(Arc<Simulated>, Change),
    Broken,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Machine => "Machine",
            Self::Whole(..) => "Whole",
            Self::Cut(..) => "Cut",
            Self::Broken => "Broken",
        })
    }
}

impl Socket {
    /// Sends small writes at once.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.tcp.as_ref().map_or(Ok(()), |tcp| tcp.set_nodelay(true))
    }

    /// The connection, `None` while it is cut.
    fn live(&mut self, context: &mut Context<'_>) -> io::Result<Option<Pin<&mut TcpStream>>> {
        if let Line::Whole(simulated, change) = &mut self.line
            && change.as_mut().poll(context).is_ready()
        {
            let simulated = simulated.clone();
            self.line = Line::Cut(simulated.clone(), Box::pin(simulated.becomes(false)));
        }
        if let Line::Cut(_, change) = &mut self.line {
            if change.as_mut().poll(context).is_pending() {
                return Ok(None);
            }
            self.line = Line::Broken;
        }
        match (&self.line, &mut self.tcp) {
            (Line::Broken, _) | (_, None) => Err(io::ErrorKind::ConnectionReset.into()),
            (_, Some(tcp)) => Ok(Some(Pin::new(tcp))),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that was whole when it was last used may have been cut since.
        let (Line::Whole(simulated, _) | Line::Cut(simulated, _)) = &self.line else { return };
        let mut held = simulated.held();
        // Healed a moment ago: nobody would let go of it again.
        if *simulated.cut.borrow() {
            held.extend(self.tcp.take());
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.live(context)? {
            Some(tcp) => tcp.poll_read(context, into),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.live(context)? {
            Some(tcp) => tcp.poll_write(context, bytes),
            None => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.live(context)? {
            Some(tcp) => tcp.poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.live(context)? {
            Some(tcp) => tcp.poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn pair(network: &Network) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(network.connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_whole_network_carries() {
        for network in [Network::default(), Network::default().simulated()] {
            let (mut near, mut far) = pair(&network).await;
            near.write_all(b"there").await.unwrap();
            far.write_all(b"back").await.unwrap();
            let (mut there, mut back) = ([0; 5], [0; 4]);
            far.read_exact(&mut there).await.unwrap();
            near.read_exact(&mut back).await.unwrap();
            assert_eq!((&there, &back), (b"there", b"back"));
        }
    }

    #[tokio::test]
    async fn a_cut_network_loses_in_silence_and_breaks_when_it_is_whole() {
        let network = Network::default().simulated();
        let (mut near, mut far) = pair(&network).await;
        let mut buffer = [0; 8];
        assert!(timeout(MOMENT, near.read(&mut buffer)).await.is_err(), "nothing was sent");
        network.cut();
        near.write_all(b"lost").await.unwrap();
        far.write_all(b"lost").await.unwrap();
        assert!(timeout(MOMENT, near.read(&mut buffer)).await.is_err());
        assert!(timeout(MOMENT, far.read(&mut buffer)).await.is_err());
        network.heal();
        let broken = timeout(PATIENCE, near.read(&mut buffer)).await.unwrap().unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        assert!(near.write(b"late").await.is_err());
    }

    #[tokio::test]
    async fn the_hub_does_not_hear_of_an_end_before_the_network_is_whole() {
        for is_used in [true, false] {
            let network = Network::default().simulated();
            let (mut near, mut far) = pair(&network).await;
            network.cut();
            if is_used {
                near.write_all(b"lost").await.unwrap();
            }
            drop(near);
            let mut buffer = [0; 8];
            assert!(timeout(MOMENT, far.read(&mut buffer)).await.is_err());
            network.heal();
            // An end or a reset, by what had arrived before.
            let heard = timeout(PATIENCE, far.read(&mut buffer)).await.unwrap();
            assert!(heard.is_err() || heard.is_ok_and(|length| length == 0));
        }
    }

    #[tokio::test]
    async fn a_dial_waits_for_a_whole_network() {
        let network = Network::default().simulated();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        network.cut();
        let dial = network.connect(listener.local_addr().unwrap());
        tokio::pin!(dial);
        assert!(timeout(MOMENT, &mut dial).await.is_err());
        network.heal();
        timeout(PATIENCE, dial).await.unwrap().unwrap();
    }
}
