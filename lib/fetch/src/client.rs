//! Asking.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use lib_tls::Trust;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use url::{Position, Url, form_urlencoded};

use crate::error::BoxError;
use crate::{Addresses, Answer, Authorization, Error, Unreachable};

/// How long a question may take, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// How large an answer may be, if nothing else is said.
const LARGEST: usize = 1 << 20;

/// Whom to trust, and how much of everything there may be. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
    addresses: Addresses,
    patience: Duration,
    largest: usize,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    url: &'a Url,
    authorization: Option<&'a Authorization>,
    form: Option<&'a [(&'a str, &'a str)]>,
}

impl<'a> Question<'a> {
    /// `GET`.
    pub fn get(url: &'a Url) -> Self {
        Self { url, authorization: None, form: None }
    }

    /// `POST` of a form.
    pub fn form(url: &'a Url, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { url, authorization: None, form: Some(fields) }
    }

    #[must_use]
    pub fn by(self, authorization: &'a Authorization) -> Self {
        Self { authorization: Some(authorization), ..self }
    }

    /// The address as an error names it: a query may hold what is nobody's business.
    fn place(&self) -> String {
        self.url[..Position::AfterPath].to_owned()
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        let request = Request::builder()
            .uri(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(header::HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(header::ACCEPT, "application/json");
        let request = match self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization.value()),
            None => request,
        };
        match self.form {
            None => request.body(Full::default()),
            Some(fields) => {
                let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                let request = request.method(Method::POST);
                request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(Full::from(body))
            }
        }
    }
}

impl Client {
    /// Trusts `trust`, and asks any address.
    ///
    /// # Errors
    ///
    /// TLS cannot be had with this trust.
    pub fn new(trust: &Trust) -> Result<Self, lib_tls::Error> {
        let tls = Arc::new(lib_tls::client_config(trust, None, &[b"http/1.1"])?);
        Ok(Self { tls, addresses: Addresses::default(), patience: PATIENCE, largest: LARGEST })
    }

    /// Asks only addresses of which `allowed` says so, see [`Addresses::only`].
    #[must_use]
    pub fn allowing(self, allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { addresses: Addresses::only(allowed), ..self }
    }

    /// Waits no longer than this for an answer to be complete.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Reads no more than so many bytes of an answer.
    #[must_use]
    pub fn at_most(self, largest: usize) -> Self {
        Self { largest, ..self }
    }

    /// The JSON document at an address.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be had.
    pub async fn json(&self, url: &Url) -> Result<Value, Error> {
        self.ask(Question::get(url)).await?.ok()?.json()
    }

    /// # Errors
    ///
    /// There is no answer. A status that is not 200 is an answer, a redirect among them.
    pub async fn ask(&self, question: Question<'_>) -> Result<Answer, Error> {
        match tokio::time::timeout(self.patience, self.exchange(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Late(question.place(), self.patience)),
        }
    }

    async fn exchange(&self, question: Question<'_>) -> Result<Answer, Error> {
        let from = question.place();
        let url = question.url;
        let (Some(host), Some(port), "https") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
            return Err(Error::Address(from));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| Error::Address(from.clone()))?;
        let stream = self.addresses.connect(&host, port).await.map_err(|why| match why {
            Unreachable::Resolve(error) => Error::Resolve(from.clone(), error),
            Unreachable::Forbidden(address) => Error::Forbidden(from.clone(), address),
            Unreachable::Connect(error) => Error::Connect(from.clone(), error),
        })?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        let stream = stream.map_err(|error| Error::Handshake(from.clone(), error))?;
        let wrong = |error: BoxError| Error::Http(from.clone(), error);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| wrong(e.into()))?;
        let request = question.request().map_err(|e| wrong(e.into()))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|e| wrong(e.into()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), self.largest).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => Error::Large(from.clone(), self.largest),
                false => wrong(error),
            })?;
            Ok(Answer { from: from.clone(), status, body: body.to_bytes() })
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection moves the bytes; when it ends, what was asked has its answer or its error.
            _ = connection => exchange.await,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patience, largest, .. } = self;
        f.debug_struct("Client").field("patience", patience).field("largest", largest).finish_non_exhaustive()
    }
}
