//! The platform's door as a program sees it: JSON over HTTPS with the platform's own CA.

use std::net::SocketAddr;
use std::path::Path;

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

/// A client of one server, with one user's token or none.
#[derive(Clone)]
pub struct Door {
    client: kube::Client,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// `null` where the body is not JSON.
    pub body: Value,
    pub text: String,
    pub headers: http::HeaderMap,
}

impl Door {
    /// With what a kubeconfig says.
    ///
    /// # Panics
    /// When it says nothing useful.
    pub async fn of_kubeconfig(path: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(path).expect("the kubeconfig can be read");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Self::with(config.expect("the kubeconfig is complete"))
    }

    /// # Panics
    /// When the address or the CA is none.
    pub fn new(url: &str, ca_pem: &str, token: Option<&str>) -> Self {
        Self::with(config(url, ca_pem, token))
    }

    /// For a server whose name means nothing here: at this address, with the certificate of that name.
    ///
    /// # Panics
    /// When the address or the CA is none.
    pub fn at(address: SocketAddr, url: &str, ca_pem: &str, token: Option<&str>) -> Self {
        Self::with(config_at(address, url, ca_pem, token))
    }

    /// The same for whoever lives in another time than the server, and so cannot judge its certificate.
    ///
    /// # Panics
    /// When the address is none.
    pub fn in_another_time(address: SocketAddr, url: &str, token: Option<&str>) -> Self {
        let mut config = config_at(address, url, "", token);
        config.accept_invalid_certs = true;
        Self::with(config)
    }

    fn with(mut config: kube::Config) -> Self {
        // A refusal is an answer: asking again for minutes would hide it.
        config.default_retry = false;
        Self { client: kube::Client::try_from(config).expect("a client can be made") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// # Panics
    /// When no answer comes at all.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error:#}"))
    }

    /// # Errors
    /// When no answer comes.
    pub async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        let body = body.map(|body| body.to_string().into_bytes());
        let (parts, body) = self.client.send(request(method, path, body)?).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            headers: parts.headers,
        })
    }

    /// Sends bytes and counts those that come back, without looking at them.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<(StatusCode, usize)> {
        let (parts, body) = self.client.send(request(method, path, body)?).await?.into_parts();
        Ok((parts.status, body.collect().await?.to_bytes().len()))
    }

    /// The client below, for watches.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }
}

fn config(url: &str, ca_pem: &str, token: Option<&str>) -> kube::Config {
    let mut config = kube::Config::new(url.parse().expect("the printed address is one"));
    let authorities = CertificateDer::pem_slice_iter(ca_pem.as_bytes());
    let authorities = authorities.map(|der| der.expect("the CA is PEM").as_ref().to_vec()).collect();
    config.root_cert = Some(authorities);
    config.auth_info.token = token.map(|token| token.to_owned().into());
    config
}

fn config_at(address: SocketAddr, url: &str, ca_pem: &str, token: Option<&str>) -> kube::Config {
    let mut config = config(url, ca_pem, token);
    let name = config.cluster_url.authority().expect("the printed address has a host");
    let host = HeaderValue::from_str(name.as_str()).expect("a host is a header");
    config.tls_server_name = Some(name.host().to_owned());
    config.headers.push((header::HOST, host));
    config.cluster_url = format!("https://{address}").parse().expect("an address makes a URL");
    config
}

fn request(method: Method, path: &str, body: Option<Vec<u8>>) -> anyhow::Result<Request<Body>> {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    Ok(request.body(Body::from(body.unwrap_or_default()))?)
}

impl Answer {
    /// The body, if the server was content.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.body
    }

    /// That the server refused, in a metav1 `Status` that says `words`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refused(&self, status: StatusCode, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["kind"], "Status", "{}", self.text);
        assert_eq!(self.body["code"], status.as_u16(), "{}", self.text);
        let causes = self.body["details"]["causes"].as_array();
        let said = causes.into_iter().flatten().chain([&self.body]).flat_map(|one| [&one["message"], &one["field"]]);
        let said: Vec<String> = said.filter_map(Value::as_str).map(str::to_lowercase).collect();
        assert!(said.iter().any(|text| text.contains(&words.to_lowercase())), "{} does not say {words:?}", self.text);
    }
}
