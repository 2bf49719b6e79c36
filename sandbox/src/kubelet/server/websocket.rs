//! WebSocket transports: numbered channels (`v4.channel.k8s.io`, `v5.channel.k8s.io`), and plain bytes for a tunnel.

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The largest message taken in.
const LIMIT: usize = 1 << 20;
const BUFFER: usize = 32 * 1024;

pub(super) async fn accept(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

/// A message for a channel.
pub(super) fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut framed = BytesMut::with_capacity(bytes.len() + 1);
    framed.put_u8(channel);
    framed.extend_from_slice(bytes);
    Message::Binary(framed.freeze())
}

/// The channel and payload of a message; `None` for messages without payload.
pub(super) fn payload(message: Message) -> Option<(u8, Bytes)> {
    let mut bytes: Bytes = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => text.into(),
        _ => return None,
    };
    if bytes.is_empty() {
        return None;
    }
    let channel = bytes.split_to(1)[0];
    Some((channel, bytes))
}

/// Carries the bytes of `inner` in binary messages until either side ends.
pub(super) async fn tunnel(socket: Socket, inner: DuplexStream) {
    let (mut to_peer, mut from_peer) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(inner);
    let inbound = async {
        while let Some(Ok(message)) = from_peer.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => break,
                _ => continue,
            };
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let outbound = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while let Ok(read) = reader.read_buf(&mut buffer).await {
            if read == 0 || to_peer.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                break;
            }
            buffer.reserve(BUFFER);
        }
        // The peer may be gone already; it needs no farewell then.
        let _ = to_peer.send(farewell()).await;
        let _ = to_peer.close().await;
    };
    tokio::select! {
        () = inbound => {}
        () = outbound => {}
    }
}

/// The close frame of a stream that ended as it should. Clients take a close without a status for a failure.
pub(super) fn farewell() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}
