//! An agent whose only way to its hub is a proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use agent::{DirectoryStore, Network, Proxy};
use lib_drain::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tunnel_protocol::registration::{REGISTER_PATH, RENEW_PATH};

use crate::support::*;

/// Leads to the hub whatever it is asked for, and notes that.
async fn proxy(hub: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let noted = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let noted = noted.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(near.read_u8().await.unwrap());
                }
                noted.lock().unwrap().push(String::from_utf8(head).unwrap());
                let mut far = TcpStream::connect(hub).await.unwrap();
                near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test]
async fn all_that_an_agent_says_to_its_hub_goes_through_its_proxy_and_its_members_api_does_not() {
    let hub = Hub::start(&["token", "another"]).await;
    let (address, heads) = proxy(hub.address).await;
    let dir = tempfile::tempdir().unwrap();
    let run = async |token: &str| {
        let mut config = hub.config(Some(token));
        // Nobody is there but for the proxy, which leads elsewhere.
        config.hub.port = 1;
        let url = format!("http://me:p%40ss@{address}").parse().unwrap();
        config.network = Network::default().through(Proxy::new(url, None).unwrap());
        let member = RawMember::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let (drain, store) = (Drain::new(), Arc::new(DirectoryStore::new(dir.path())));
        start(config.build(member.api(), store), &drain);
        hub.connected().await;
        let _ = drain.drain(SOON).await;
        hub.disconnected().await;
    };
    run("token").await;
    // Its certificate is kept, and with a token at hand the hub is asked whether it is still good.
    run("another").await;
    assert_eq!(*hub.asked.lock().unwrap(), [REGISTER_PATH, RENEW_PATH]);
    let heads = heads.lock().unwrap();
    assert!(heads.len() >= 4, "two questions and two tunnels: {heads:?}");
    for head in heads.iter() {
        assert!(head.starts_with("CONNECT 127.0.0.1:1 HTTP/1.1\r\n"), "{head}");
        // me:p@ss
        assert!(
            head.to_ascii_lowercase().contains("proxy-authorization: basic ") && head.contains("bWU6cEBzcw=="),
            "{head}"
        );
    }
}
