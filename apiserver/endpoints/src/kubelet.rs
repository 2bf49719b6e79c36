//! `pods/log`, `exec`, `attach`, `portforward` and `proxy`: requests that a Pod's node answers.
//!
//! The request goes on to the kubelet in the kubelet's own URL form. Upgrades
//! travel inside the request: whoever answers 101 takes over the connection.

use api_meta::{Object, Status, Value};
use async_trait::async_trait;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::body::Body;
use crate::context::Call;

/// Reaches the kubelet of a node.
#[async_trait]
pub trait KubeletTransport: Send + Sync + 'static {
    /// Sends a request in the kubelet's URL form; answers 101 for streams.
    async fn send(&self, node: &str, request: Request<Body>) -> Result<Response<Body>, Status>;
}

pub(crate) async fn stream(call: &Call<'_>, rest: &[String], request: Request<Body>) -> Result<Response<Body>, Status> {
    if call.served.info().kind != "Pod" {
        return Err(Status::service_unavailable(format!(
            "{} of {} is not available on this server",
            call.target.subresource,
            call.served.info().plural
        )));
    }
    let pod = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?.object;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", pod.name())));
    }
    let uri = kubelet_uri(call, &pod, rest)?;
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

fn kubelet_uri(call: &Call<'_>, pod: &Object, rest: &[String]) -> Result<Uri, Status> {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let place = format!("{}/{}", escape(pod.namespace()), escape(pod.name()));
    let path = match &*call.target.subresource {
        "log" => format!("/containerLogs/{place}/{}", escape(&container(call, pod)?)),
        "exec" => format!("/exec/{place}/{}", escape(&container(call, pod)?)),
        "attach" => format!("/attach/{place}/{}", escape(&container(call, pod)?)),
        "portforward" => format!("/portForward/{place}"),
        _ => format!("/proxy/{place}/{}", rest.iter().map(|s| escape(s)).collect::<Vec<_>>().join("/")),
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
