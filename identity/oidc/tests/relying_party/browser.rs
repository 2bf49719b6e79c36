//! A person with a browser: follows redirects, keeps cookies, fills in forms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lib_tls::{Authority, Trust, client_config};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url, form_urlencoded};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Browser {
    tls: TlsConnector,
    cookies: BTreeMap<String, String>,
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Browser {
    pub(crate) fn new(authority: &Authority) -> Self {
        let trust = Trust::bundle(authority.certificate_pem()).unwrap();
        let config = client_config(&trust, None, &[b"http/1.1"]).unwrap();
        Self { tls: TlsConnector::from(Arc::new(config)), cookies: BTreeMap::new() }
    }

    /// Goes where the provider leads until it leads back to us. What forms ask for is in `answers`.
    pub(crate) async fn walk(&mut self, start: Url, home: &str, answers: &[(&str, &str)]) -> Url {
        let mut url = start;
        let mut page = self.get(&url).await;
        for _ in 0..20 {
            if let Some(location) = &page.location {
                url = url.join(location).unwrap();
                if url.as_str().starts_with(home) {
                    return url;
                }
                page = self.get(&url).await;
            } else {
                assert!(page.status == StatusCode::OK && page.text.contains("<form"), "{}: {}", page.status, page.text);
                let (action, fields) = form(&page.text, answers);
                url = url.join(&action).unwrap();
                page = self.post(&url, &fields).await;
            }
        }
        panic!("{url} leads nowhere");
    }

    pub(crate) async fn get(&mut self, url: &Url) -> Page {
        self.ask(url, Request::get(&url[Position::BeforePath..Position::AfterQuery]), String::new()).await
    }

    pub(crate) async fn post(&mut self, url: &Url, fields: &[(String, String)]) -> Page {
        let request = Request::post(&url[Position::BeforePath..Position::AfterQuery]);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(url, request, body).await
    }

    async fn ask(&mut self, url: &Url, request: http::request::Builder, body: String) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, &url[Position::BeforeHost..Position::AfterPort])
            .header(header::COOKIE, cookies.join("; "))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let exchange = async {
            let host = url.host_str().unwrap().to_owned();
            let stream = TcpStream::connect((&*host, url.port().unwrap())).await.unwrap();
            let stream = self.tls.connect(ServerName::try_from(host).unwrap(), stream).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        };
        let (head, body) = tokio::time::timeout(PATIENCE, exchange).await.expect("a page in time");
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = cookie.split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        let location = head.headers.get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
        Page { status: head.status, location, text: String::from_utf8_lossy(&body).into_owned() }
    }
}

/// Where a page's form goes, and with what: its hidden fields, and the answers.
fn form(page: &str, answers: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next()?.replace("&amp;", "&"))
    };
    let tags = |start: &'static str| page.split(start).skip(1).map(|tag| tag.split('>').next().unwrap());
    let action = tags("<form ").find_map(|tag| attribute(tag, "action")).expect("a form that goes somewhere");
    let hidden = tags("<input ").filter(|tag| tag.contains("type=\"hidden\""));
    let mut fields: Vec<(String, String)> =
        hidden.map(|tag| (attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap())).collect();
    fields.extend(answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    (action, fields)
}
