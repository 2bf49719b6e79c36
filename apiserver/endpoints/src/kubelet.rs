//! `pods/log`, `exec`, `attach` and `portforward`: requests that a Pod's node answers.
//!
//! The request goes on to the kubelet in the kubelet's own URL form. Upgrades
//! travel inside the request: whoever answers 101 takes over the connection.

use api_meta::{Details, GroupResource, Object, Reason, Status, Value};
use apiserver_admission::Operation;
use async_trait::async_trait;
use futures::StreamExt;
use http::header::CONNECTION;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyStream, StreamBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::body::{self, Body, boxed};
use crate::context::Call;

/// Reaches the kubelet of a node.
#[async_trait]
pub trait KubeletTransport: Send + Sync + 'static {
    /// Sends a request in the kubelet's URL form; answers 101 for streams.
    async fn send(&self, node: &str, request: Request<Body>) -> Result<Response<Body>, Status>;
}

pub(crate) async fn stream(call: &Call<'_>, request: Request<Body>) -> Result<Response<Body>, Status> {
    let pod = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?.object;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", pod.name())));
    }
    let subresource = &*call.target.subresource;
    if matches!(subresource, "exec" | "attach" | "portforward") && !is_upgrade(call.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    if subresource != "log" {
        admit_connection(call, "").await?;
    }
    let response = forward(call, node, kubelet_uri(call, &pod)?, request).await?;
    let response = checked(call, response).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    // A log that is followed has no other end than its Pod's.
    let stopping = call.endpoints.stopping.clone().cancelled_owned();
    Ok(response.map(|body| boxed(StreamBody::new(BodyStream::new(body).take_until(stopping)))))
}

/// Sends a request on to a node's kubelet, as `uri`.
pub(crate) async fn forward(
    call: &Call<'_>,
    node: &str,
    uri: Uri,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let transport = call.endpoints.kubelets.as_ref().ok_or_else(|| {
        Status::service_unavailable(format!("no kubelet can be reached from this server (node {node:?})"))
    })?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    // The kubelet gets the stream, never the caller's credentials.
    let secret = |name: &str| {
        ["authorization", "cookie"].contains(&name) || name.starts_with("impersonate-") || name.starts_with("x-remote-")
    };
    let names: Vec<_> = parts.headers.keys().filter(|name| secret(name.as_str())).cloned().collect();
    for name in names {
        parts.headers.remove(name);
    }
    transport.send(node, Request::from_parts(parts, body)).await
}

/// Rules see a stream as its options, such as `PodExecOptions`.
/// `path` is what a proxied request asks for.
pub(crate) async fn admit_connection(call: &Call<'_>, path: &str) -> Result<(), Status> {
    let none = Value::Null;
    let write = call.attributes(Operation::Connect, &call.target.name, None, (&none, false));
    let mut options = Object::default();
    options.set_type(&write.kind);
    let mut set = |key: &str, value: Value| options.insert(key.into(), value);
    match &*call.target.subresource {
        "exec" | "attach" => {
            for flag in ["stdin", "stdout", "stderr", "tty"].into_iter().filter(|flag| call.query.flag(flag)) {
                set(flag, true.into());
            }
            if let Some(container) = call.query.get("container").filter(|name| !name.is_empty()) {
                set("container", container.into());
            }
            let command = call.query.all("command");
            if !command.is_empty() {
                set("command", command.into());
            }
        }
        "portforward" => {
            let ports = call.query.all("ports").into_iter().flat_map(|list| list.split(','));
            let ports: Vec<i64> = ports.filter_map(|port| port.parse().ok()).collect();
            if !ports.is_empty() {
                set("ports", ports.into());
            }
        }
        _ => {
            set("path", format!("/{path}").into());
        }
    }
    call.admit(&write, &mut options).await
}

/// Upstream: `httpstream.IsUpgradeRequest`.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("upgrade"))
}

/// How much of a kubelet's complaint is passed on.
const COMPLAINT: usize = 50_000;

/// A kubelet complains in plain text; clients are told in a `Status` (upstream: `GenericHttpResponseChecker`).
async fn checked(call: &Call<'_>, response: Response<Body>) -> Result<Response<Body>, Status> {
    let code = response.status();
    if code == StatusCode::SWITCHING_PROTOCOLS || (200..=206).contains(&code.as_u16()) {
        return Ok(response);
    }
    let complaint = body::beginning(response.into_body(), COMPLAINT).await;
    let text = String::from_utf8_lossy(&complaint);
    let resource = GroupResource::new("", format!("pods/{}", call.target.subresource));
    Err(complained(code, &resource, &call.target.name, text.trim_end()))
}

/// Upstream: `errors.NewGenericServerResponse`, which here knows no verb.
fn complained(code: StatusCode, resource: &GroupResource, name: &str, text: &str) -> Status {
    let (reason, message) = match code.as_u16() {
        400 => return Status::bad_request(text),
        500 => return Status::internal(text),
        401 => (Reason::Unauthorized, "the server has asked for the client to provide credentials"),
        403 => (Reason::Forbidden, text),
        404 => (Reason::NotFound, "the server could not find the requested resource"),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"),
        429 => {
            (Reason::TooManyRequests, "the server has received too many requests and has asked us to try again later")
        }
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request"),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        501.. => {
            let message = format!("an error on the server ({text:?}) has prevented the request from succeeding");
            return Status::failure(code.as_u16(), Reason::InternalError, format!("{message} ( {resource} {name})"));
        }
        _ => (Reason::Unknown, "the server rejected our request for an unknown reason"),
    };
    let details = Details { name: name.into(), kind: resource.resource.clone(), ..Details::default() };
    Status::failure(code.as_u16(), reason, format!("{message} ( {resource} {name})")).with_details(details)
}

pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn kubelet_uri(call: &Call<'_>, pod: &Object) -> Result<Uri, Status> {
    let place = format!("{}/{}", escape(pod.namespace()), escape(pod.name()));
    let path = match &*call.target.subresource {
        "log" => format!("/containerLogs/{place}/{}", escape(&container(call, pod)?)),
        "exec" => format!("/exec/{place}/{}", escape(&container(call, pod)?)),
        "attach" => format!("/attach/{place}/{}", escape(&container(call, pod)?)),
        _ => format!("/portForward/{place}"),
    };
    let query: Vec<String> = call
        .query
        .pairs()
        .filter(|(key, _)| *key != "container")
        .map(|(key, value)| format!("{}={}", escape(key), escape(value)))
        .collect();
    let text = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    text.parse::<PathAndQuery>().map(Uri::from).map_err(|e| Status::bad_request(e.to_string()))
}

/// The container asked for, or the only one.
fn container(call: &Call<'_>, pod: &Object) -> Result<String, Status> {
    let names = |field: &str| -> Vec<&str> {
        pod.at(&["spec", field])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|c| c.get("name")?.as_str())
            .collect()
    };
    let (main, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let name = call.query.get("container").unwrap_or_default();
    if name.is_empty() {
        let chosen = pod.annotation("kubectl.kubernetes.io/default-container").filter(|c| main.contains(c));
        return match (&main[..], chosen) {
            (_, Some(chosen)) => Ok(chosen.to_owned()),
            ([only], None) => Ok((*only).to_owned()),
            _ => {
                let mut message = format!(
                    "a container name must be specified for pod {}, choose one of: [{}]",
                    pod.name(),
                    main.join(" ")
                );
                if !init.is_empty() {
                    message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
                }
                Err(Status::bad_request(message))
            }
        };
    }
    if [&main, &init, &ephemeral].iter().any(|list| list.contains(&name)) {
        return Ok(name.to_owned());
    }
    Err(Status::bad_request(format!("container {name} is not valid for pod {}", pod.name())))
}
