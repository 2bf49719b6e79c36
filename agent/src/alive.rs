//! Answers the kubelet that asks whether the agent lives - that it runs, and nothing else - and whether it is [`Ready`].
//!
//! It is asked over HTTP, on a port of its own: the port of the webhooks is there only once the cluster's API has given what
//! they are served with, and an agent whose cluster or hub is away lives. To be killed for that would help nobody.
//!
//! Whoever reaches the port learns that there is an agent. Connections take one question each, and are few and short.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Ready;

/// Where to ask whether it lives.
pub const LIVEZ: &str = "/livez";
/// Where to ask whether it may take the place of another.
pub const READYZ: &str = "/readyz";
/// At once; more wait to be accepted.
const CONNECTIONS: usize = 16;
/// For a question and its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// hyper's least.
const HEAD: usize = 8 * 1024;

/// Answers for ever.
pub async fn answer(listener: TcpListener, ready: Ready) -> Infallible {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(open.spawn(timeout(PATIENCE, converse(stream, ready.clone())))),
                // Out of descriptors, most likely: wait for some to come back.
                Err(error) => {
                    tracing::warn!(error = %error, "could not accept a connection of a kubelet");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn converse(stream: TcpStream, ready: Ready) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = say(&request, &ready);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).keep_alive(false).max_buf_size(HEAD);
    // Whoever breaks off gets no answer.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn say(request: &Request<Incoming>, ready: &Ready) -> Response<Full<Bytes>> {
    let (status, words) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, LIVEZ) => (StatusCode::OK, "ok".to_owned()),
        (&Method::GET | &Method::HEAD, READYZ) => match ready.waits_for() {
            None => (StatusCode::OK, "ok".to_owned()),
            Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("the agent waits for {what}")),
        },
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "there are /livez and /readyz".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "there are GET /livez and /readyz".to_owned()),
    };
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::watch;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn start() -> SocketAddr {
        let (listening, met) = (watch::Sender::new(false), watch::Sender::new(false));
        start_as(Ready { listening: Some(listening.subscribe()), met: met.subscribe() }).await
    }

    async fn start_as(ready: Ready) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(answer(listener, ready));
        address
    }

    async fn ask(address: SocketAddr, question: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.expect("it ends by itself").unwrap();
        answer
    }

    #[tokio::test]
    async fn a_kubelet_is_told_that_the_agent_lives_and_nothing_else() {
        let address = start().await;
        let alive = ask(address, "GET /livez HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.34\r\n\r\n").await;
        assert!(alive.starts_with("HTTP/1.1 200") && alive.ends_with("\r\n\r\nok"), "{alive}");
        for (question, expect) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
            ("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405"),
            ("nonsense\r\n\r\n", "HTTP/1.1 400"),
        ] {
            let said = ask(address, question).await;
            assert!(said.starts_with(expect), "{question:?}: {said}");
        }
    }

    #[tokio::test]
    async fn a_kubelet_is_told_what_the_agent_waits_for_until_it_is_ready() {
        let (listening, met) = (watch::Sender::new(false), watch::Sender::new(true));
        let address = start_as(Ready { listening: Some(listening.subscribe()), met: met.subscribe() }).await;
        let readyz = || ask(address, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        let said = readyz().await;
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("the agent waits for the cluster's API"), "{said}");
        listening.send_replace(true);
        met.send_replace(false);
        let said = readyz().await;
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("the agent waits for the hub"), "{said}");
        met.send_replace(true);
        assert!(readyz().await.starts_with("HTTP/1.1 200"));
        // One that serves no webhooks waits for none.
        let alone = start_as(Ready { listening: None, met: met.subscribe() }).await;
        assert!(ask(alone, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn those_who_ask_nothing_are_sent_away_and_keep_nobody_out() {
        let address = start().await;
        let mut idle = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let alive = ask(address, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
        for mut stream in idle {
            assert_eq!(timeout(SOON, stream.read(&mut [0; 1])).await.expect("it is closed").unwrap_or(0), 0);
        }
    }
}
