//! A client of our own frames against the session.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{
    frame::{Frame, decode, encode},
    headers::{Decoder, Encoder},
    session::Session,
};

struct Client {
    io: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
    buffer: BytesMut,
}

impl Client {
    async fn send(&mut self, frame: Frame) {
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes);
        self.io.write_all(&bytes).await.unwrap();
    }

    async fn open(&mut self, id: u32, headers: &[(&str, &str)]) {
        let headers: Vec<_> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let block = self.encoder.encode(&headers).unwrap().into();
        self.send(Frame::SynStream { id, fin: false, block }).await;
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = decode(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

fn connect() -> (Client, Session) {
    let (near, far) = tokio::io::duplex(4096);
    let (session, work) = Session::start(far);
    tokio::spawn(work);
    (Client { io: near, encoder: Encoder::new().unwrap(), decoder: Decoder::new(), buffer: BytesMut::new() }, session)
}

#[tokio::test]
async fn a_stream_is_answered_and_carries_bytes_both_ways() {
    let (mut client, mut session) = connect();
    client.open(1, &[("streamType", "data"), ("port", "8080")]).await;
    let mut stream = session.accept().await.unwrap();
    assert_eq!(stream.header("streamtype"), Some("data"));
    let Some(Frame::SynReply { id: 1, block, .. }) = client.next().await else { panic!("no reply") };
    assert!(client.decoder.decode(&block).unwrap().is_empty());

    client.send(Frame::Data { id: 1, fin: true, bytes: Bytes::from_static(b"hello") }).await;
    assert_eq!(stream.read().await.unwrap(), "hello");
    assert!(stream.read().await.is_none());

    assert!(stream.write(Bytes::from_static(b"world")).await);
    stream.finish().await;
    assert_eq!(client.next().await, Some(Frame::Data { id: 1, fin: false, bytes: Bytes::from_static(b"world") }));
    assert_eq!(client.next().await, Some(Frame::Data { id: 1, fin: true, bytes: Bytes::new() }));
}

#[tokio::test]
async fn pings_are_answered() {
    let (mut client, _session) = connect();
    client.send(Frame::Ping { id: 7 }).await;
    assert_eq!(client.next().await, Some(Frame::Ping { id: 7 }));
}

#[tokio::test]
async fn large_writes_are_cut_into_frames() {
    let (mut client, mut session) = connect();
    client.open(1, &[]).await;
    let stream = session.accept().await.unwrap();
    client.next().await;
    let sent = Bytes::from(vec![7_u8; 100_000]);
    let write = tokio::spawn(async move { stream.write(sent).await });
    let mut seen = 0;
    while seen < 100_000 {
        let Some(Frame::Data { bytes, .. }) = client.next().await else { panic!("no data") };
        assert!(bytes.len() <= 32 * 1024);
        seen += bytes.len();
    }
    assert!(write.await.unwrap());
}

#[tokio::test]
async fn a_broken_peer_ends_the_session() {
    let (mut client, mut session) = connect();
    client.io.write_all(&[0x80, 2, 0, 1, 0, 0, 0, 0]).await.unwrap();
    assert!(session.accept().await.is_none());
}

#[test]
fn frames_survive_the_wire() {
    let mut wire = BytesMut::new();
    let frames = [
        Frame::SynStream { id: 3, fin: true, block: Bytes::from_static(b"abc") },
        Frame::Reset { id: 3, status: 5 },
        Frame::GoAway { last: 3 },
        Frame::Data { id: 5, fin: false, bytes: Bytes::from_static(b"payload") },
    ];
    for frame in &frames {
        encode(frame, &mut wire);
    }
    for frame in frames {
        assert_eq!(decode(&mut wire).unwrap(), Some(frame));
    }
    assert_eq!(decode(&mut wire).unwrap(), None);
}
