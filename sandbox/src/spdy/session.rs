//! One connection and its streams.
//!
//! `Session::start` gives the streams that the peer opens and a future that moves the bytes; the caller owns both.
//! Dropping the session or cancelling the future ends all streams.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use super::{
    SpdyError,
    frame::{Frame, decode, encode},
    headers::{Decoder, Encoder, Headers},
};

/// Frames waiting to be written, chunks waiting to be read and streams waiting to be taken.
const QUEUE: usize = 32;
/// Streams open at once on one connection.
const STREAMS: usize = 512;
/// The most data put into one frame.
const CHUNK: usize = 32 * 1024;
const REFUSED_STREAM: u32 = 3;

pub(crate) struct Session {
    incoming: mpsc::Receiver<Stream>,
}

/// A stream that the peer opened.
pub(crate) struct Stream {
    id: u32,
    headers: Headers,
    data: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Frame>,
}

impl Session {
    pub(crate) fn start<T>(io: T) -> (Self, impl Future<Output = Result<(), SpdyError>>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (to_caller, incoming) = mpsc::channel(QUEUE);
        (Self { incoming }, run(io, to_caller))
    }

    /// The next stream; `None` when the connection has ended.
    pub(crate) async fn accept(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }
}

impl Stream {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The next bytes; `None` when the peer has finished.
    pub(crate) async fn read(&mut self) -> Option<Bytes> {
        self.data.recv().await
    }

    /// Sends bytes; `false` when the connection has ended.
    pub(crate) async fn write(&self, bytes: Bytes) -> bool {
        self.writer().write(bytes).await
    }

    /// Says that no more bytes will come.
    pub(crate) async fn finish(&self) {
        self.writer().finish().await;
    }

    pub(crate) fn writer(&self) -> StreamWriter {
        StreamWriter { id: self.id, out: self.out.clone() }
    }
}

/// The sending half of a stream.
#[derive(Clone)]
pub(crate) struct StreamWriter {
    id: u32,
    out: mpsc::Sender<Frame>,
}

impl StreamWriter {
    pub(crate) async fn write(&self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK));
            if self.out.send(Frame::Data { id: self.id, fin: false, bytes: chunk }).await.is_err() {
                return false;
            }
        }
        true
    }

    pub(crate) async fn finish(&self) {
        // A connection that ended has finished every stream.
        let _ = self.out.send(Frame::Data { id: self.id, fin: true, bytes: Bytes::new() }).await;
    }
}

async fn run<T>(io: T, to_caller: mpsc::Sender<Stream>) -> Result<(), SpdyError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(io);
    let (out, mut queued) = mpsc::channel::<Frame>(QUEUE);
    let mut demux =
        Demux { streams: HashMap::new(), to_caller, out, decoder: Decoder::new(), encoder: Encoder::new()? };
    let read = async {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        loop {
            while let Some(frame) = decode(&mut buffer)? {
                if demux.take_in(frame).await?.is_none() {
                    return Ok(());
                }
            }
            if reader.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    };
    // The demux holds a sender, so the queue ends only after the reading side has.
    let write = async {
        let mut buffer = BytesMut::new();
        while let Some(frame) = queued.recv().await {
            encode(&frame, &mut buffer);
            while let Ok(frame) = queued.try_recv() {
                encode(&frame, &mut buffer);
            }
            writer.write_all(&buffer).await?;
            writer.flush().await?;
            buffer.clear();
        }
        Ok(())
    };
    tokio::pin!(read, write);
    tokio::select! {
        result = &mut read => result,
        result = &mut write => result,
    }
}

struct Demux {
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    to_caller: mpsc::Sender<Stream>,
    out: mpsc::Sender<Frame>,
    decoder: Decoder,
    encoder: Encoder,
}

impl Demux {
    /// Acts on one frame; `None` ends the connection.
    async fn take_in(&mut self, frame: Frame) -> Result<Option<()>, SpdyError> {
        match frame {
            Frame::SynStream { id, fin, block } => return self.open(id, fin, &block).await,
            Frame::Data { id, fin, bytes } => {
                if !bytes.is_empty()
                    && let Some(stream) = self.streams.get(&id)
                {
                    // A reader that went away wants no more; the bytes are dropped.
                    let _ = stream.send(bytes).await;
                }
                if fin {
                    self.streams.remove(&id);
                }
            }
            Frame::Reset { id, .. } => {
                self.streams.remove(&id);
            }
            Frame::Headers { id, fin, block } => {
                // Every block must pass through the decoder to keep its state.
                self.decoder.decode(&block)?;
                if fin {
                    self.streams.remove(&id);
                }
            }
            Frame::SynReply { block, .. } => {
                self.decoder.decode(&block)?;
            }
            Frame::Ping { id } => return Ok(self.send(Frame::Ping { id }).await),
            Frame::GoAway { .. } => {
                // The peer opens no more streams; those open go on until it closes the connection.
            }
            Frame::Other => {}
        }
        Ok(Some(()))
    }

    async fn open(&mut self, id: u32, fin: bool, block: &[u8]) -> Result<Option<()>, SpdyError> {
        let headers = self.decoder.decode(block)?;
        if id.is_multiple_of(2) || self.streams.contains_key(&id) {
            return Err(SpdyError::Protocol("a stream id is wrong"));
        }
        self.streams.retain(|_, stream| !stream.is_closed());
        if self.streams.len() >= STREAMS {
            return Ok(self.send(Frame::Reset { id, status: REFUSED_STREAM }).await);
        }
        let (to_stream, data) = mpsc::channel(QUEUE);
        if !fin {
            self.streams.insert(id, to_stream);
        }
        let block = self.encoder.encode(&[])?.into();
        if self.send(Frame::SynReply { id, fin: false, block }).await.is_none() {
            return Ok(None);
        }
        let stream = Stream { id, headers, data, out: self.out.clone() };
        Ok(self.to_caller.send(stream).await.ok())
    }

    async fn send(&self, frame: Frame) -> Option<()> {
        self.out.send(frame).await.ok()
    }
}
