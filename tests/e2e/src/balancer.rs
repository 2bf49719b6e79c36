//! What stands before the replicas of a hub: each connection goes to one of them that takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A balancer of TCP connections; it ends when it is dropped.
pub struct Balancer {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Balancer {
    /// Takes connections for these, in turn.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(backends: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (backends, turn): (Arc<[SocketAddr]>, _) = (backends.into(), Arc::new(AtomicUsize::new(0)));
        let accepting = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (backends, turn) = (backends.clone(), turn.clone());
                tokio::spawn(async move {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    for number in 0..backends.len() {
                        if let Ok(mut far) = TcpStream::connect(backends[(first + number) % backends.len()]).await {
                            // Either end may go away.
                            let _ = copy_bidirectional(&mut near, &mut far).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
