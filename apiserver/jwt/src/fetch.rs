//! One GET over TLS, to a server that a pinned authority vouches for.
//!
//! Everything is bounded: time, size, and where the answer may come from. There
//! are no redirects: a document is where the configuration says, or nowhere.

use std::sync::Arc;
use std::time::Duration;

use api_meta::Value;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use lib_tls::Trust;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is not the address of a TLS server")]
    Address(String),
    #[error("could not set up TLS")]
    Tls(#[source] lib_tls::Error),
    #[error("could not reach {0}")]
    Connect(String, #[source] std::io::Error),
    #[error("{0} did not answer as an HTTP server")]
    Http(String, #[source] BoxError),
    #[error("{0} answered {1}")]
    Answer(String, StatusCode),
    #[error("{0} sent no JSON")]
    Json(String, #[source] serde_json::Error),
    #[error("{0} took too long")]
    Late(String),
    #[error("{0} says that its issuer is another")]
    OtherIssuer(String),
    #[error("{0} has no {1}")]
    Missing(String, &'static str),
}

pub(crate) async fn json(url: &Url, trust: &Trust) -> Result<Value, Error> {
    match tokio::time::timeout(PATIENCE, get(url, trust)).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Late(url.to_string())),
    }
}

async fn get(url: &Url, trust: &Trust) -> Result<Value, Error> {
    let address = || Error::Address(url.to_string());
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err(address()) };
    if url.scheme() != "https" {
        return Err(address());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare.clone()).map_err(|_| address())?;
    let config = lib_tls::client_config(trust, None, &[b"http/1.1"]).map_err(Error::Tls)?;
    let connect = |error| Error::Connect(url.to_string(), error);
    let stream = TcpStream::connect((&*bare, port)).await.map_err(connect)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(connect)?;
    let wrong = |error: BoxError| Error::Http(url.to_string(), error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| wrong(e.into()))?;
    let request = Request::get(&url[url::Position::BeforePath..])
        .header(header::HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|e| wrong(e.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| wrong(e.into()))?;
        if response.status() != StatusCode::OK {
            return Err(Error::Answer(url.to_string(), response.status()));
        }
        Ok(Limited::new(response.into_body(), LARGEST).collect().await.map_err(wrong)?.to_bytes())
    };
    tokio::pin!(exchange);
    let body = tokio::select! {
        body = &mut exchange => body?,
        // The connection moves the bytes; when it ends, what was asked has its answer or its error.
        _ = connection => exchange.await?,
    };
    serde_json::from_slice(&body).map_err(|error| Error::Json(url.to_string(), error))
}
