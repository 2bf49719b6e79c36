//! A server on a store in memory, and one request to it.

use std::sync::Arc;

use apiserver_access::{MASTERS, User};
use apiserver_endpoints::{Body, body};
use apiserver_server::{ApiServer, Config, Running, Service};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

pub(crate) async fn start(config: Config) -> Running {
    start_on(Arc::new(store_memory::MemoryStore::new(store_memory::Options::default())), config).await
}

/// A server on a store that others write to as well.
pub(crate) async fn start_on(store: Arc<dyn store_core::Store>, config: Config) -> Running {
    ApiServer::new(store, config).start().await.expect("a fresh server starts")
}

pub(crate) fn admin(server: &Running) -> Service {
    server.service_as(User::new("admin", [MASTERS]))
}

pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Code and reason of a `Status`.
    #[track_caller]
    pub(crate) fn failure(&self) -> (u16, String) {
        let status = self.json();
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(status["code"], self.code.as_u16(), "{status}");
        (self.code.as_u16(), status["reason"].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) async fn send(service: &Service, request: Request<Body>) -> Answer {
    let response = service.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    Answer {
        code: parts.status,
        headers: parts.headers,
        body: body.collect().await.expect("the body is whole").to_bytes(),
    }
}

pub(crate) async fn ask(service: &Service, method: &str, uri: &str, media: &str, content: impl Into<Bytes>) -> Answer {
    let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, media);
    send(service, request.body(body::full(content)).expect("the request is one")).await
}
