//! The way out: lines, in pieces of some size. Whoever writes waits for the reader.

use bytes::Bytes;
use tokio::sync::mpsc;
use tunnel_protocol::inventory::Line;

/// Lines are joined to pieces of about this size.
const PIECE: usize = 32 * 1024;

#[derive(Clone)]
pub(crate) struct Out(pub(crate) mpsc::Sender<Bytes>);

impl Out {
    pub(crate) async fn line(&self, line: Line) {
        self.lines([line]).await;
    }

    pub(crate) async fn lines(&self, lines: impl IntoIterator<Item = Line>) {
        let mut piece = Vec::new();
        for line in lines {
            // What has no line is an object whose name is too long to be one.
            line.write(&mut piece);
            if piece.len() >= PIECE {
                self.send(std::mem::take(&mut piece)).await;
            }
        }
        if !piece.is_empty() {
            self.send(piece).await;
        }
    }

    async fn send(&self, piece: Vec<u8>) {
        if self.0.send(piece.into()).await.is_err() {
            // Nobody reads any more, and we are about to be dropped.
            std::future::pending::<()>().await;
        }
    }
}
