//! What answers on every port of every simulated pod: who it is, and what it was asked.

use std::{convert::Infallible, fmt::Write};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::meta::{name, namespace};

use super::{logs::LogWriter, node_name};

/// Serves HTTP/1.1 on one connection until it ends.
pub(super) async fn serve<T>(io: T, pod: &Pod, port: u16, log: LogWriter)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(pod, port, request.method(), &request.uri().to_string(), request.headers(), &log);
        async { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    if let Err(error) = served {
        tracing::debug!(error = %crate::error::chain(&error), "a forwarded connection broke");
    }
}

/// Answers one request, and logs it as the pod's.
pub(super) fn respond(
    pod: &Pod,
    port: u16,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    log: &LogWriter,
) -> Response<Full<Bytes>> {
    let path = target.split('?').next().unwrap_or_default();
    let line = serde_json::json!({"level": "info", "msg": "request", "method": method.as_str(), "path": path});
    log.line(&line.to_string());
    answer(pod, port, method, target, headers)
}

fn answer(pod: &Pod, port: u16, method: &Method, target: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut text = format!(
        "This is a simulated pod.\n\npod: {}\nnamespace: {}\nnode: {}\nport: {port}\n\n{} {}\n",
        name(pod),
        namespace(pod),
        node_name(pod),
        method,
        target,
    );
    for (header, value) in headers {
        let _ = writeln!(text, "{header}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(pod) = header::HeaderValue::from_str(name(pod)) {
        response.headers_mut().insert("x-simulated-pod", pod);
    }
    response
}
