//! A link that can be cut: nothing that is sent arrives, and nobody is told.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const PIECE: usize = 64 * 1024;

pub(super) struct Link {
    cluster: String,
    address: SocketAddr,
    cut: watch::Sender<bool>,
    _relay: JoinSet<()>,
}

impl Link {
    /// For the agent of a cluster to the hub.
    pub(super) async fn to(cluster: &str, hub: &str) -> anyhow::Result<Self> {
        let hub = hub.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr().context("a listener has an address")?;
        let cut = watch::Sender::new(false);
        let mut relay = JoinSet::new();
        let state = cut.clone();
        relay.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                // Nobody is let in while it is cut.
                whole(&mut state.subscribe()).await;
                let Ok((near, _)) = listener.accept().await else { continue };
                let (hub, state) = (hub.clone(), state.clone());
                open.spawn(async move {
                    // A hub that is away refuses, and so does the link.
                    let Ok(far) = TcpStream::connect(&hub).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::select! {
                        () = pass(near_in, far_out, state.subscribe()) => {}
                        () = pass(far_in, near_out, state.subscribe()) => {}
                    }
                    // Not even that one end is gone.
                    whole(&mut state.subscribe()).await;
                });
            }
        });
        Ok(Self { cluster: cluster.to_owned(), address, cut, _relay: relay })
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn whole(state: &mut watch::Receiver<bool>) {
    // The link outlives its connections.
    let _ = state.wait_for(|cut| !cut).await;
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<bool>) {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await.unwrap_or_default();
        whole(&mut state).await;
        if count == 0 || to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
