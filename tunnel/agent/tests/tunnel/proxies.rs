//! Proxies between agent and hub: those that others wrote, and those that let nobody through.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lib_tls::{Authority, ClientVerification, Leaf, Trust, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tunnel_agent::{HubAddress, Network, Proxy, ProxyUrl, State};
use tunnel_protocol::limits::Timing;

use crate::support::{Echo, Hub, SOON, agent_over, authority, wait_for};

/// A proxy that others wrote, as a process of its own. It ends with this.
struct Real {
    address: SocketAddr,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Real {
    async fn start(program: &str, address: SocketAddr, folder: tempfile::TempDir, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process =
            command.spawn().unwrap_or_else(|error| panic!("{program}, which `cargo xtask test` installs: {error}"));
        // Where nobody listens yet, a connection may meet itself.
        let answers = || std::net::TcpStream::connect(address).is_ok_and(|tcp| tcp.local_addr().unwrap() != address);
        wait_for(answers).await;
        Self { address, _process: process, _folder: folder }
    }

    /// tinyproxy, which lets nobody in but `me`, and nobody out but to that port.
    async fn http(at: SocketAddr, allowed: u16) -> Self {
        let (address, folder) = (free(at), tempfile::tempdir().unwrap());
        let config = folder.path().join("tinyproxy.conf");
        let (ip, port) = (address.ip(), address.port());
        let text = format!("Listen {ip}\nPort {port}\nTimeout 600\nBasicAuth me p4ss\nConnectPort {allowed}\n");
        std::fs::write(&config, text).unwrap();
        Self::start("tinyproxy", address, folder, &["-d".into(), "-c".into(), config.display().to_string()]).await
    }

    /// microsocks, which lets nobody in but `me`.
    async fn socks(at: SocketAddr) -> Self {
        let (address, folder) = (free(at), tempfile::tempdir().unwrap());
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = ["-i", &ip, "-p", &port, "-u", "me", "-P", "p4ss"].map(str::to_owned);
        Self::start("microsocks", address, folder, &arguments).await
    }
}

/// An address with a port where nobody listens. These programs cannot be asked which one they took.
fn free(at: SocketAddr) -> SocketAddr {
    StdListener::bind(at).unwrap().local_addr().unwrap()
}

fn v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn v6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, 0).into()
}

fn through(url: &str) -> Network {
    Network::default().through(Proxy::new(url.parse().unwrap(), None).unwrap())
}

/// Bytes go to the hub and back.
async fn carries(hub: &Hub, network: &Network) {
    let agent = agent_over(hub, "eu-1", Echo, Timing::default(), network);
    hub.connected("eu-1").await;
    let mut stream = hub.open("eu-1").await;
    stream.write_all(b"through").await.unwrap();
    let mut back = [0; 7];
    timeout(SOON, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"through");
    drop(stream);
    let _ = agent.drain.drain(SOON).await;
    hub.disconnected("eu-1").await;
}

/// For those who do not answer; enough for those who do.
const BRIEF: Duration = Duration::from_secs(2);

/// What is wrong with the way, in the words of the agent's log and status.
async fn wrong(hub: &HubAddress, network: &Network, limit: Duration) -> String {
    let error = hub.connect(network, limit).await.expect_err("nothing leads there");
    lib_telemetry::chain(&error).to_string()
}

async fn check_wrong(hub: SocketAddr, url: &str, words: &[&str]) {
    let (network, hub) = (through(url), hub.to_string().parse().unwrap());
    let said = wrong(&hub, &network, BRIEF).await;
    let proxy: ProxyUrl = url.parse().unwrap();
    for word in words.iter().copied().chain([proxy.to_string().as_str()]) {
        assert!(said.contains(word), "{word:?}: {said}");
    }
    let shown = format!("{said} {network:?}");
    assert!(!shown.contains("p4ss") && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_tunnel_leads_through_an_http_proxy() {
    for at in [v4(), v6()] {
        // Its own address, and the hub's, by numbers of either family.
        let hub = Hub::start_at(at, authority(), Timing::default()).await;
        let running = Real::http(at, hub.address.port()).await;
        let proxy = running.address;
        carries(&hub, &through(&format!("http://me:p4ss@{proxy}"))).await;
        check_wrong(hub.address, &format!("http://me:s3cret@{proxy}"), &["does not accept the user"]).await;
        check_wrong(hub.address, &format!("http://{proxy}"), &["wants a user and a password", "--proxy-file"]).await;
        let mut agent = agent_over(&hub, "eu-1", Echo, Timing::default(), &through(&format!("http://{proxy}")));
        let waits = agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
        let State::Waiting { reason, denied: true } = waits else { panic!("{waits:?}") };
        assert!(reason.contains("wants a user and a password"), "{reason}");
        let _ = agent.drain.drain(SOON).await;
    }
}

#[tokio::test]
async fn a_tunnel_leads_through_a_socks_proxy() {
    for at in [v4(), v6()] {
        let hub = Hub::start_at(at, authority(), Timing::default()).await;
        let running = Real::socks(at).await;
        let proxy = running.address;
        for scheme in ["socks5", "socks5h"] {
            carries(&hub, &through(&format!("{scheme}://me:p4ss@{proxy}"))).await;
        }
        check_wrong(hub.address, &format!("socks5://me:s3cret@{proxy}"), &["does not accept the user"]).await;
        check_wrong(hub.address, &format!("socks5h://{proxy}"), &["wants a user and a password"]).await;
    }
}

#[tokio::test]
async fn a_hub_by_its_name_is_looked_up_by_whom_it_was_left_to() {
    let hub = Hub::start(Timing::default()).await;
    let name = HubAddress { host: "localhost".into(), port: hub.address.port() };
    let running = (Real::http(v4(), hub.address.port()).await, Real::socks(v4()).await);
    let (http, socks) = (running.0.address, running.1.address);
    for url in
        [format!("http://me:p4ss@{http}"), format!("socks5://me:p4ss@{socks}"), format!("socks5h://me:p4ss@{socks}")]
    {
        name.connect(&through(&url), SOON).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    }
    let nowhere: HubAddress = "hub.invalid:1".parse().unwrap();
    for (scheme, words) in [("socks5", "look up the hub's name"), ("socks5h", "does not reach the hub")] {
        let said = wrong(&nowhere, &through(&format!("{scheme}://me:p4ss@{socks}")), SOON).await;
        assert!(said.contains(words), "{scheme}: {said}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_let_us_to_the_hub_is_told_from_one_that_cannot() {
    let hub = Hub::start(Timing::default()).await;
    let gone = free(v4());
    let running = (Real::http(v4(), gone.port()).await, Real::socks(v4()).await);
    let (elsewhere, socks) = (running.0.address, running.1.address);
    check_wrong(hub.address, &format!("http://me:p4ss@{elsewhere}"), &["refuses (403", "let CONNECT through"]).await;
    for url in [format!("http://me:p4ss@{elsewhere}"), format!("socks5h://me:p4ss@{socks}")] {
        check_wrong(gone, &url, &["does not reach the hub"]).await;
    }
}

#[tokio::test]
async fn a_proxy_may_speak_tls_and_is_known_by_its_authority() {
    let hub = Hub::start(Timing::default()).await;
    let plain = Real::http(v4(), hub.address.port()).await;
    let (authority, other) = (authority(), authority());
    let listener = TcpListener::bind(v4()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let inner = plain.address;
    tokio::spawn(seal(listener, authority.clone(), inner));
    let url = format!("https://me:p4ss@{address}");
    let trusting = |authority: &Authority| {
        let trust = Trust::bundle(authority.certificate_pem()).unwrap();
        Network::default().through(Proxy::new(url.parse().unwrap(), Some(&trust)).unwrap())
    };
    carries(&hub, &trusting(&authority)).await;
    let address: HubAddress = hub.address.to_string().parse().unwrap();
    let said = wrong(&address, &trusting(&other), SOON).await;
    assert!(said.contains("--proxy-ca-file") && !said.contains("p4ss"), "{said}");
    // One that is said to speak TLS and does not: it waits for the rest of a line.
    let trust = Trust::bundle(authority.certificate_pem()).unwrap();
    let wrong_kind = Proxy::new(format!("https://me:p4ss@{inner}").parse().unwrap(), Some(&trust)).unwrap();
    let said = wrong(&address, &Network::default().through(wrong_kind), BRIEF).await;
    assert!(said.contains("is it a proxy of that kind"), "{said}");
}

/// TLS in front of a proxy that speaks none.
async fn seal(listener: TcpListener, authority: Arc<Authority>, inner: SocketAddr) {
    let credential = authority.issue(&Leaf::Server(["127.0.0.1".into()].into())).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&credential, &ClientVerification::None, &[]).unwrap()));
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut outer) = acceptor.accept(tcp).await else { return };
            let mut inner = TcpStream::connect(inner).await.unwrap();
            let _ = copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

/// How a server behaves that is no proxy.
#[derive(Clone, Copy)]
enum Impostor {
    Silent,
    HangsUp,
    Says(&'static [u8]),
    SaysForEver(&'static [u8]),
}

impl Impostor {
    async fn start(self) -> SocketAddr {
        let listener = TcpListener::bind(v4()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut asked = [0; 1024];
                    let _ = tcp.read(&mut asked).await;
                    match self {
                        Self::HangsUp => return,
                        Self::Silent => {}
                        Self::Says(words) => drop(tcp.write_all(words).await),
                        Self::SaysForEver(words) => while tcp.write_all(words).await.is_ok() {},
                    }
                    let _ = tcp.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        address
    }
}

#[tokio::test]
async fn whoever_is_no_proxy_is_named_in_time_and_not_gone_past() {
    let hub = Hub::start(Timing::default()).await;
    let early = b"HTTP/1.1 200 OK\r\n\r\nmore than was asked for";
    for (scheme, impostor, words) in [
        ("http", Impostor::Silent, "did not answer in time"),
        ("http", Impostor::HangsUp, "no answer of a proxy"),
        ("http", Impostor::Says(b"220 mail.example.com ESMTP\r\n"), "no answer of a proxy"),
        ("http", Impostor::Says(b"HTTP/1.1 200 OK\r\nBroken\r\n\r\n"), "no answer of a proxy"),
        ("http", Impostor::Says(early), "no answer of a proxy"),
        ("http", Impostor::Says(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"), "does not accept the user"),
        ("http", Impostor::Says(b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\nContent-Length: 0\r\n\r\n"), "(302"),
        ("http", Impostor::Says(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"), "does not reach the hub (502"),
        (
            "http",
            Impostor::SaysForEver(b"HTTP/1.1 200 OK\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            "no answer of",
        ),
        ("http", Impostor::SaysForEver(b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer in time"),
        ("socks5", Impostor::Silent, "did not answer in time"),
        ("socks5h", Impostor::HangsUp, "no answer of a proxy"),
        ("socks5h", Impostor::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no answer of a proxy"),
        ("socks5h", Impostor::Says(b"\x05\xff"), "does not accept the user"),
        ("socks5h", Impostor::Says(b"\x05\x02\x01\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"), "refuses ("),
        (
            "socks5h",
            Impostor::Says(b"\x05\x02\x01\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"),
            "does not reach the hub",
        ),
    ] {
        let (address, began) = (impostor.start().await, Instant::now());
        check_wrong(hub.address, &format!("{scheme}://me:s3cret@{address}"), &[words]).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{words}: {:?}", began.elapsed());
    }
    // Nobody there at all.
    check_wrong(hub.address, &format!("http://me:s3cret@{}", free(v4())), &["cannot be reached"]).await;
    assert!(hub.endings.lock().unwrap().is_empty(), "nothing got to the hub without a proxy");
}

#[tokio::test]
async fn a_proxy_that_comes_back_is_used_again() {
    let hub = Hub::start(Timing::default()).await;
    let listener = TcpListener::bind(v4()).await.unwrap();
    let (address, passed) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (target, count) = (hub.address, passed.clone());
    // The first connection is lost with the proxy, as when that restarts.
    let relay = async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let mut far = TcpStream::connect(target).await.unwrap();
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let both = copy_bidirectional(&mut near, &mut far);
            let _ = timeout(if first { Duration::from_millis(300) } else { SOON }, both).await;
        }
    };
    let relay = tokio::spawn(relay);
    let agent = agent_over(&hub, "eu-1", Echo, Timing::default(), &through(&format!("http://{address}")));
    hub.connected("eu-1").await;
    hub.disconnected("eu-1").await;
    hub.connected("eu-1").await;
    assert_eq!(passed.load(Ordering::Relaxed), 2);
    let _ = agent.drain.drain(SOON).await;
    relay.abort();
}
