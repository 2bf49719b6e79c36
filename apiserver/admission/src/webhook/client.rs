//! One POST to one webhook.
//!
//! Each call has a connection of its own, which ends with it: calls are few, and a webhook that was replaced is never
//! asked through an old connection. No task outlives a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api_meta::Value;
use apiserver_registry::Registry;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError};

use super::hook::{Hook, Place};
use super::resolve::resolve;

/// How many calls run at once; the others wait, within their own deadlines.
const AT_ONCE: usize = 128;

/// How large an answer may be: a patch of the largest object, encoded twice.
const LARGEST: usize = 8 << 20;

/// Calls webhooks.
pub(crate) struct Client {
    slots: Semaphore,
    /// Spreads calls over the endpoints of a Service.
    turn: AtomicUsize,
}

impl Default for Client {
    fn default() -> Self {
        Self { slots: Semaphore::new(AT_ONCE), turn: AtomicUsize::new(0) }
    }
}

/// Whom to ask, and how.
struct Address {
    url: String,
    path: String,
    authority: String,
    /// The name that the certificate must be for.
    name: String,
    host: String,
    port: u16,
}

impl Client {
    /// The JSON of the answer, or why there is none in upstream's words.
    pub(super) async fn post(&self, registry: &Registry, hook: &Hook, body: &Value) -> Result<Value, String> {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let tls = hook.tls.clone()?;
        let (url, work) = match self.address(registry, hook) {
            Ok(address) => (address.url.clone(), Ok(address)),
            Err((url, why)) => (url, Err(why)),
        };
        let exchange = async {
            let address = work.map_err(Problem::Sending)?;
            let _slot = self.slots.acquire().await.map_err(|_| Problem::Sending("the server is stopping".into()))?;
            exchange(&address, tls, body).await
        };
        match tokio::time::timeout(hook.timeout, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Problem::Sending(why))) => Err(format!("Post {url:?}: {why}")),
            Ok(Err(Problem::Answer(why))) => Err(why),
            Err(_) => Err(format!("Post {url:?}: context deadline exceeded")),
        }
    }

    /// Fails with the URL that was meant and what keeps from it.
    fn address(&self, registry: &Registry, hook: &Hook) -> Result<Address, (String, String)> {
        let query = format!("timeout={}s", hook.timeout.as_secs());
        match &hook.place {
            Place::Url(url) => {
                let mut full = url.clone();
                full.query_pairs_mut().append_pair("timeout", &format!("{}s", hook.timeout.as_secs()));
                let host = url.host_str().unwrap_or_default();
                Ok(Address {
                    url: full.to_string(),
                    path: format!("{}?{}", full.path(), full.query().unwrap_or_default()),
                    authority: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
                    name: host.trim_matches(['[', ']']).to_owned(),
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: url.port().unwrap_or(443),
                })
            }
            Place::Service { namespace, name, port, path } => {
                let (server, path) = (format!("{name}.{namespace}.svc"), path.trim_start_matches('/'));
                let url = format!("https://{server}:{port}/{path}?{query}");
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let (host, to) = resolve(registry, namespace, name, *port, turn).map_err(|why| (url.clone(), why))?;
                let path = format!("/{path}?{query}");
                Ok(Address { url, path, authority: format!("{server}:{port}"), name: server, host, port: to })
            }
            Place::Nowhere(why) => Err((String::new(), why.clone())),
        }
    }
}

enum Problem {
    /// The request did not get there, or no answer came.
    Sending(String),
    /// There is an answer, and it is not what was asked for.
    Answer(String),
}

async fn exchange(address: &Address, tls: Option<Arc<ClientConfig>>, body: Vec<u8>) -> Result<Value, Problem> {
    let stream = connect(address, tls).await.map_err(Problem::Sending)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&address.path)
        .header(HOST, &address.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, */*")
        .header(USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Problem::Sending(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Problem::Sending(error.to_string()))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| Problem::Sending(broken(&error)))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, LARGEST).collect().await.map_err(|error| Problem::Sending(error.to_string()))?;
        Ok((parts.status, bytes.to_bytes()))
    };
    tokio::pin!(talk);
    let (code, bytes) = tokio::select! {
        answered = &mut talk => answered?,
        // Its end is the end of the answer too, which may be complete already.
        _ = connection => talk.await?,
    };
    answer(code, &bytes).map_err(Problem::Answer)
}

/// As Go tells of a connection that ends early.
fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "EOF".into()
    } else {
        error.to_string()
    }
}

async fn connect(address: &Address, tls: Option<Arc<ClientConfig>>) -> Result<TlsStream<TcpStream>, String> {
    // Whoever is there, nobody vouches for them.
    let tls = tls.ok_or_else(|| UNKNOWN.to_owned())?;
    let target = if address.host.contains(':') {
        format!("[{}]:{}", address.host, address.port)
    } else {
        format!("{}:{}", address.host, address.port)
    };
    let mut addresses = tokio::net::lookup_host(&target)
        .await
        .map_err(|_| format!("dial tcp: lookup {}: no such host", address.host))?;
    let first = addresses.next().ok_or_else(|| format!("dial tcp: lookup {}: no such host", address.host))?;
    let tcp =
        TcpStream::connect(first).await.map_err(|error| format!("dial tcp {first}: connect: {}", reason(&error)))?;
    let name = ServerName::try_from(address.name.clone()).map_err(|error| error.to_string())?;
    TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| distrust(&error))
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "no route to host".into(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        _ => error.to_string(),
    }
}

const UNKNOWN: &str = "tls: failed to verify certificate: x509: certificate signed by unknown authority";

/// Why the other side is not whom it should be, as far as there are words of Go for it.
fn distrust(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let what = match inner {
        // Another authority of the same name is another authority.
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            return UNKNOWN.to_owned();
        }
        Some(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "x509: certificate has expired or is not yet valid".to_owned()
        }
        Some(TlsError::InvalidCertificate(why)) => format!("x509: {why}"),
        Some(other) => return format!("tls: {other}"),
        None => {
            return if error.kind() == std::io::ErrorKind::UnexpectedEof { "EOF".into() } else { error.to_string() };
        }
    };
    format!("tls: failed to verify certificate: {what}")
}

/// Anything but success has no review in it (upstream: `NewGenericServerResponse`). A redirect is followed nowhere: what
/// is sent here is not for others.
fn answer(code: StatusCode, bytes: &[u8]) -> Result<Value, String> {
    if (200..=206).contains(&code.as_u16()) {
        let wrong = |error: serde_json::Error| format!("couldn't get version/kind; json parse error: {error}");
        return serde_json::from_slice(bytes).map_err(wrong);
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]);
    let text = text.trim();
    Err(match code.as_u16() {
        400 => "the server rejected our request for an unknown reason".into(),
        401 => "the server has asked for the client to provide credentials".into(),
        404 => "the server could not find the requested resource".into(),
        405 => "the server does not allow this method on the requested resource".into(),
        403 | 406 | 415 => text.to_owned(),
        409 => "the server reported a conflict".into(),
        422 => "the server rejected our request due to an error in our request".into(),
        429 => "the server has received too many requests and has asked us to try again later".into(),
        503 => "the server is currently unable to handle the request".into(),
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .into()
        }
        500.. => format!("an error on the server ({text:?}) has prevented the request from succeeding"),
        code => format!("the server responded with the status code {code} but did not return more information"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, body: &str, expect: &str) {
        assert_eq!(answer(StatusCode::from_u16(code).unwrap(), body.as_bytes()), Err(expect.to_owned()));
    }

    #[test]
    fn what_is_no_success_is_told() {
        check(500, "boom\n", "an error on the server (\"boom\") has prevented the request from succeeding");
        check(404, "x", "the server could not find the requested resource");
        check(302, "", "the server responded with the status code 302 but did not return more information");
        assert!(answer(StatusCode::OK, b"{").unwrap_err().starts_with("couldn't get version/kind; json parse error: "));
    }
}
