//! `portForward`: connections to the small HTTP service that every simulated pod answers with.
//!
//! Three dialects: SPDY with a pair of streams per connection, the same inside a WebSocket (kubectl's newer way), and
//! the older WebSocket form with two numbered channels per port.

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, stream::FuturesUnordered};
use http::{Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    kubelet::{Kubelets, http_service, logs::LogWriter},
    pods,
    spdy::{Session, Stream},
};

use super::{
    Body, Query, Refusal,
    upgrade::{Protocol, negotiate},
    websocket,
};

const SPDY: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: &str = "v4.channel.k8s.io";
const BUFFER: usize = 32 * 1024;
/// Half-opened pairs of streams kept per connection.
const PAIRS: usize = 256;
/// Ports of one request in the numbered form: two channels each, numbered in a byte.
const PORTS: usize = 64;
const QUEUE: usize = 16;

impl Kubelets {
    pub(super) fn port_forward<B>(
        self: &Arc<Self>,
        pod: Arc<Pod>,
        query: &Query,
        request: &mut Request<B>,
    ) -> Result<Response<Body>, Refusal> {
        if pods::phase(&pod) != "Running" {
            let message =
                format!("unable to forward port because pod is not running. Current status={}", pods::phase(&pod));
            return Err((StatusCode::INTERNAL_SERVER_ERROR, message));
        }
        let ports = ports(query)?;
        let (response, protocol, upgrade) = negotiate(request, &[SPDY], &[TUNNEL, CHANNELS])?;
        if protocol == Protocol::WebSocket(CHANNELS.to_owned()) && (ports.is_empty() || ports.len() > PORTS) {
            return Err((
                StatusCode::BAD_REQUEST,
                format!("between 1 and {PORTS} \"ports\" query parameters are required"),
            ));
        }
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map_or("", |c| c.name.as_str());
        let service = Service { log: self.log_of(&pod, container), pod };
        let token = self.cluster.token.clone();
        self.cluster.tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = forward(upgrade, protocol, service, ports) => {}
            }
        });
        Ok(response)
    }
}

fn ports(query: &Query) -> Result<Vec<u16>, Refusal> {
    let given =
        query.all("ports").chain(query.all("port")).flat_map(|list| list.split(',')).filter(|text| !text.is_empty());
    given
        .map(|text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err((StatusCode::BAD_REQUEST, format!("unable to parse {text:?} as a port"))),
        })
        .collect()
}

/// What every port of a pod is connected to.
#[derive(Clone)]
struct Service {
    pod: Arc<Pod>,
    log: LogWriter,
}

impl Service {
    /// A connection to the service, and the work that serves it.
    fn connect(&self, port: u16) -> (DuplexStream, impl Future<Output = ()> + Send + use<>) {
        let (near, far) = tokio::io::duplex(BUFFER);
        let service = self.clone();
        (near, async move { http_service::serve(far, &service.pod, port, service.log).await })
    }
}

async fn forward(upgrade: OnUpgrade, protocol: Protocol, service: Service, ports: Vec<u16>) {
    let Ok(upgraded) = upgrade.await else { return };
    match protocol {
        Protocol::Spdy(_) => over_spdy(TokioIo::new(upgraded), service).await,
        Protocol::WebSocket(version) if version == TUNNEL => {
            let (near, far) = tokio::io::duplex(2 * BUFFER);
            let socket = websocket::accept(upgraded).await;
            tokio::join!(websocket::tunnel(socket, near), over_spdy(far, service));
        }
        Protocol::WebSocket(_) => over_channels(upgraded, service, ports).await,
    }
}

async fn over_spdy<T: AsyncRead + AsyncWrite + Send + 'static>(io: T, service: Service) {
    let (session, connection) = Session::start(io);
    tokio::select! {
        () = pair_streams(session, service) => {}
        result = connection => {
            if let Err(error) = result {
                tracing::debug!(error = %crate::error::chain(&error), "a SPDY connection broke");
            }
        }
    }
}

/// Each connection is a data and an error stream with the same request id, in either order.
async fn pair_streams(mut session: Session, service: Service) {
    let mut halves: HashMap<String, Stream> = HashMap::new();
    let mut open = FuturesUnordered::new();
    loop {
        let stream = tokio::select! {
            stream = session.accept() => stream,
            Some(()) = open.next(), if !open.is_empty() => continue,
        };
        let Some(stream) = stream else { return };
        let id = stream.header("requestid").unwrap_or_default().to_owned();
        let Some(other) = halves.remove(&id) else {
            if halves.len() < PAIRS {
                halves.insert(id, stream);
            }
            continue;
        };
        let pair = match (stream.header("streamtype"), other.header("streamtype")) {
            (Some("data"), Some("error")) => (stream, other),
            (Some("error"), Some("data")) => (other, stream),
            _ => continue,
        };
        open.push(serve_pair(pair, service.clone()));
    }
}

async fn serve_pair((mut data, error): (Stream, Stream), service: Service) {
    let Some(port) = data.header("port").and_then(|text| text.parse::<u16>().ok()).filter(|port| *port > 0) else {
        error.write(Bytes::from_static(b"the port header is missing or invalid")).await;
        error.finish().await;
        data.finish().await;
        return;
    };
    let (connection, serving) = service.connect(port);
    let (mut reader, mut writer) = tokio::io::split(connection);
    let out = data.writer();
    let inbound = async {
        while let Some(bytes) = data.read().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The service answers what it has and ends.
        let _ = writer.shutdown().await;
    };
    let outbound = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while let Ok(read) = reader.read_buf(&mut buffer).await {
            if read == 0 || !out.write(buffer.split().freeze()).await {
                break;
            }
            buffer.reserve(BUFFER);
        }
        out.finish().await;
    };
    let moved = async {
        tokio::select! {
            () = outbound => {}
            () = async { inbound.await; std::future::pending().await } => {}
        }
    };
    tokio::join!(moved, serving);
    error.finish().await;
}

/// Channel `2n` carries the bytes of the n-th port, `2n + 1` its errors; each opens with the port's number.
async fn over_channels(upgraded: Upgraded, service: Service, ports: Vec<u16>) {
    let (mut to_client, mut from_client) = websocket::accept(upgraded).await.split();
    let (to_writer, mut queued) = mpsc::channel::<Message>(QUEUE);
    let mut inputs = Vec::new();
    let connections = FuturesUnordered::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(2 * index) else { return };
        for channel in [channel, channel + 1] {
            if to_client.send(websocket::message(channel, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        let (to_port, input) = mpsc::channel(QUEUE);
        inputs.push(to_port);
        connections.push(serve_channel(channel, port, service.clone(), input, to_writer.clone()));
    }
    drop(to_writer);
    let read = async {
        while let Some(Ok(message)) = from_client.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            let Some((channel, bytes)) = websocket::payload(message) else { continue };
            if channel % 2 == 0
                && let Some(port) = inputs.get(usize::from(channel / 2))
            {
                // A connection that has ended takes no more.
                let _ = port.send(bytes).await;
            }
        }
    };
    let write = async {
        while let Some(message) = queued.recv().await {
            if to_client.send(message).await.is_err() {
                return;
            }
        }
        let _ = to_client.send(websocket::farewell()).await;
        let _ = to_client.close().await;
    };
    tokio::select! {
        () = read => {}
        ((), ()) = async { tokio::join!(write, connections.for_each(|()| async {})) } => {}
    }
}

async fn serve_channel(
    channel: u8,
    port: u16,
    service: Service,
    mut input: mpsc::Receiver<Bytes>,
    to_writer: mpsc::Sender<Message>,
) {
    let (connection, serving) = service.connect(port);
    let (mut reader, mut writer) = tokio::io::split(connection);
    let inbound = async {
        while let Some(bytes) = input.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let outbound = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while let Ok(read) = reader.read_buf(&mut buffer).await {
            if read == 0 || to_writer.send(websocket::message(channel, &buffer.split())).await.is_err() {
                return;
            }
            buffer.reserve(BUFFER);
        }
    };
    tokio::select! {
        () = inbound => {}
        ((), ()) = async { tokio::join!(outbound, serving) } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_checked() {
        assert_eq!(ports(&Query::parse("ports=80&ports=8080,9090")).unwrap(), [80, 8080, 9090]);
        assert_eq!(ports(&Query::parse("port=0")).unwrap_err().0, StatusCode::BAD_REQUEST);
        assert_eq!(ports(&Query::parse("ports=70000")).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
