//! `proxy` of Pods, Services and Nodes: plain HTTP that something in the cluster answers.
//!
//! Who is asked is named `[scheme:]name[:port]`, as upstream's `ResourceLocation` of each kind reads it. The scheme is
//! read and has no effect: the request travels to the node inside what leads to kubelets, and a Pod answers there.

use api_meta::{Object, Status, Value};
use http::header::{HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::body::{self, Body};
use crate::context::Call;
use crate::kubelet::{admit_connection, escape, forward};

pub(crate) async fn proxy(call: &Call<'_>, mut request: Request<Body>) -> Result<Response<Body>, Status> {
    let Some(path) = path_below(request.uri().path(), !call.target.namespace.is_empty()) else {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(to_directory(request.uri()));
        }
        admit_connection(call, "").await?;
        return send(call, request, "").await;
    };
    let path = path.to_owned();
    admit_connection(call, &path).await?;
    forwarded_for(&mut request);
    send(call, request, &path).await
}

async fn send(call: &Call<'_>, request: Request<Body>, path: &str) -> Result<Response<Body>, Status> {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let (node, place) = match &*call.served.info().kind {
        "Node" => (node(call).await?, String::new()),
        "Pod" => in_pod(&pod(call).await?)?,
        _ => in_pod(&service(call).await?)?,
    };
    let uri = format!("{place}/{path}{query}").parse::<PathAndQuery>().map(Uri::from);
    forward(call, &node, uri.map_err(|error| Status::bad_request(error.to_string()))?, request).await
}

/// A port of a Pod; the one without a number is the first that a container names.
struct Place {
    pod: Object,
    port: Option<u16>,
}

/// The node to ask, and how its kubelet is asked for that port.
fn in_pod(place: &Place) -> Result<(String, String), Status> {
    let pod = &place.pod;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() || pod.str_at(&["status", "podIP"]).unwrap_or_default().is_empty() {
        // Upstream: `proxyutil.IsProxyableIP` of no address.
        return Err(Status::bad_request("address not allowed"));
    }
    let port = place.port.or_else(|| first_port(pod)).unwrap_or(80);
    Ok((node.to_owned(), format!("/proxy/{}/{}/{port}", escape(pod.namespace()), escape(pod.name()))))
}

fn first_port(pod: &Object) -> Option<u16> {
    let containers = pod.at(&["spec", "containers"])?.as_array()?;
    let mut ports = containers.iter().filter_map(|container| container.get("ports")?.as_array()?.first());
    ports.next()?.get("containerPort").and_then(number)
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|port| port.try_into().ok())
}

async fn pod(call: &Call<'_>) -> Result<Place, Status> {
    let asked = Asked::parse(call, "pod")?;
    let port = match asked.port {
        "" => None,
        text => Some(text.parse().map_err(|_| asked.invalid("pod"))?),
    };
    let pod = call.registry().get(call.served, &call.target.namespace, asked.name).await?.object;
    Ok(Place { pod, port })
}

async fn node(call: &Call<'_>) -> Result<String, Status> {
    let asked = Asked::parse(call, "node")?;
    let node = call.registry().get(call.served, "", asked.name).await?.object;
    let kubelet = node.at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).and_then(Value::as_u64);
    if asked.port.is_empty() || asked.port.parse().ok() == Some(kubelet.unwrap_or(10250)) {
        return Ok(asked.name.to_owned());
    }
    Err(Status::service_unavailable(format!(
        "error trying to reach service: only the kubelet of node {:?} can be reached, not its port {:?}",
        asked.name, asked.port
    )))
}

/// A Pod that is ready to answer for a Service. Upstream picks any; the first is one.
async fn service(call: &Call<'_>) -> Result<Place, Status> {
    let asked = Asked::parse(call, "service")?;
    let service = call.registry().get(call.served, &call.target.namespace, asked.name).await?.object;
    let name = port_name(&service, &asked)?;
    let unavailable = || Status::service_unavailable(format!("no endpoints available for service {:?}", asked.whole));
    let (pod, port) = endpoint(call, asked.name, name).ok_or_else(unavailable)?;
    let pods = call.registry().catalog().find("", "v1", "pods").ok_or_else(unavailable)?;
    let pod = call.registry().get(&pods, &call.target.namespace, &pod).await?.object;
    Ok(Place { pod, port: Some(port) })
}

/// A port that is given as a number stands for its name.
fn port_name<'a>(service: &'a Object, asked: &Asked<'a>) -> Result<&'a str, Status> {
    let Ok(number) = asked.port.parse::<u64>() else { return Ok(asked.port) };
    let ports = service.at(&["spec", "ports"]).and_then(Value::as_array).into_iter().flatten();
    let port = ports.into_iter().find(|port| port.get("port").and_then(Value::as_u64) == Some(number));
    let port = port.ok_or_else(|| {
        Status::service_unavailable(format!("no service port {number} found for service {:?}", asked.name))
    })?;
    Ok(port.get("name").and_then(Value::as_str).unwrap_or_default())
}

/// The Pod and the port behind a Service's port of that name.
fn endpoint(call: &Call<'_>, service: &str, port: &str) -> Option<(String, u16)> {
    let slices = call.registry().catalog().find("discovery.k8s.io", "v1", "endpointslices")?;
    let of_service = slices.collection.as_ref()?.list(&call.target.namespace);
    of_service.iter().find_map(|entry| {
        let slice = call.registry().get_cached(&slices, entry.namespace(), entry.name()).ok()?.object;
        let name = slice.labels().and_then(|labels| labels.get("kubernetes.io/service-name")?.as_str());
        if name != Some(service) {
            return None;
        }
        ready_endpoint(&slice, port)
    })
}

fn ready_endpoint(slice: &Object, port: &str) -> Option<(String, u16)> {
    let ports = slice.at(&["ports"])?.as_array()?;
    let named = |candidate: &&Value| candidate.get("name").and_then(Value::as_str).unwrap_or_default() == port;
    let number = ports.iter().find(named)?.get("port").and_then(number)?;
    slice.at(&["endpoints"])?.as_array()?.iter().find_map(|endpoint| {
        let ready = endpoint.get("conditions").and_then(|conditions| conditions.get("ready")?.as_bool());
        let target =
            endpoint.get("targetRef").filter(|target| target.get("kind").and_then(Value::as_str) == Some("Pod"))?;
        (ready != Some(false)).then(|| Some((target.get("name")?.as_str()?.to_owned(), number)))?
    })
}

/// Upstream: `utilnet.SplitSchemeNamePort`.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    whole: &'a str,
    name: &'a str,
    port: &'a str,
}

impl<'a> Asked<'a> {
    fn parse(call: &'a Call<'_>, what: &str) -> Result<Self, Status> {
        let whole = &*call.target.name;
        Self::split(whole).ok_or_else(|| Self { whole, name: "", port: "" }.invalid(what))
    }

    fn split(whole: &'a str) -> Option<Self> {
        let parts: Vec<&str> = whole.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return None,
        };
        (["", "http", "https"].contains(&scheme) && !name.is_empty()).then_some(Self { whole, name, port })
    }

    fn invalid(&self, what: &str) -> Status {
        Status::bad_request(format!("invalid {what} request {:?}", self.whole))
    }
}

/// What follows `.../proxy/`, as it was written; nothing when not even the slash is there.
fn path_below(path: &str, namespaced: bool) -> Option<&str> {
    // api/v1/namespaces/NAMESPACE/pods/NAME/proxy, or api/v1/nodes/NAME/proxy.
    let before = if namespaced { 7 } else { 5 };
    path.trim_start_matches('/').splitn(before + 1, '/').nth(before)
}

/// Links on a page lead from its directory, which must end in a slash for that.
fn to_directory(uri: &Uri) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// What the answering side needs to name itself as its client does (upstream: `proxy.Transport`).
fn forwarded_for(request: &mut Request<Body>) {
    let uri = HeaderValue::from_str(request.uri().path()).ok();
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers: &mut HeaderMap = request.headers_mut();
    let host = headers.get(HOST).cloned().or(authority);
    for (name, value) in [
        ("x-forwarded-uri", uri),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", Some(HeaderValue::from_static("https"))),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(whole: &str, expect: Option<(&str, &str)>) {
        assert_eq!(Asked::split(whole).map(|asked| (asked.name, asked.port)), expect);
    }

    #[test]
    fn who_is_asked() {
        check("web", Some(("web", "")));
        check("web:80", Some(("web", "80")));
        check("http:web:80", Some(("web", "80")));
        check("https:web:", Some(("web", "")));
        check(":web:http", Some(("web", "http")));
        check("ftp:web:21", None);
        check(":80", None);
        check("a:b:c:d", None);
        check("", None);
    }

    #[test]
    fn the_path_stays_as_it_was_written() {
        let below = |path| path_below(path, true);
        assert_eq!(below("/api/v1/namespaces/n/pods/p/proxy"), None);
        assert_eq!(below("/api/v1/namespaces/n/pods/p/proxy/"), Some(""));
        assert_eq!(below("/api/v1/namespaces/n/pods/p/proxy/a%2Fb//c/"), Some("a%2Fb//c/"));
        assert_eq!(path_below("/api/v1/nodes/n/proxy/healthz", false), Some("healthz"));
    }
}
