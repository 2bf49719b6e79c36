//! A simulated platform: a real TLS server that speaks the gateway's contract over objects in memory.
//!
//! It stands in for the gateway in tests of the command line alone. It knows no access control and no controllers.

pub(crate) mod identity;
pub(crate) mod tenancy;
mod upgrade;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

pub(crate) const USER: &str = "admin@cpaas.io";
pub(crate) const PASSWORD: &str = "correct horse";

type Body = BoxBody<Bytes, Infallible>;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) tokens: Vec<String>,
    pub(crate) clusters: Vec<String>,
    /// Clusters that cannot be reached.
    pub(crate) lost: Vec<String>,
    /// Path with the cluster's prefix -> object.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Every request line and body.
    pub(crate) requests: Vec<(String, String)>,
    /// What each request said it came from.
    pub(crate) agents: Vec<String>,
    /// The issuer; older platforms have none.
    pub(crate) identity: Option<identity::Identity>,
    /// What it tells of a drain, by node.
    pub(crate) drains: BTreeMap<String, String>,
    /// What it knows of projects and rights.
    pub(crate) tenancy: tenancy::Tenancy,
    /// What it knows of the last upgrade of agents.
    pub(crate) upgrade: upgrade::Upgrade,
    version: u64,
}

pub(crate) struct Platform {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    pub(crate) state: Arc<Mutex<State>>,
    events: broadcast::Sender<(String, Value)>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Platform {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            clusters: ["global", "east", "west"].map(str::to_owned).to_vec(),
            version: 100,
            ..State::default()
        }));
        for (cluster, name) in [("east", "web-1"), ("east", "db-with-a-long-name"), ("global", "hub-1")] {
            let path = format!("/kubernetes/{cluster}/api/v1/namespaces/default/pods/{name}");
            state.lock().unwrap().objects.insert(path, pod(name));
        }
        for name in ["global", "east", "west"] {
            let path =
                format!("/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters/{name}");
            state.lock().unwrap().objects.insert(path, cluster(name));
        }
        let (config, ca_pem) = tls();
        let (events, _) = broadcast::channel(16);
        let stop = CancellationToken::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let thread = std::thread::spawn({
            let (state, events, stop) = (state.clone(), events.clone(), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(listener, config, state, events, stop));
            }
        });
        Self { url, ca_pem, state, events, stop, thread: Some(thread) }
    }

    /// A platform with an issuer of its own.
    pub(crate) fn with_issuer() -> Self {
        let platform = Self::start();
        platform.state.lock().unwrap().identity = Some(identity::Identity::new(&platform.url));
        platform
    }

    /// Reads or changes what the issuer knows.
    pub(crate) fn issuer<T>(&self, look: impl FnOnce(&mut identity::Identity) -> T) -> T {
        look(self.state.lock().unwrap().identity.as_mut().unwrap())
    }

    /// Changes an object and tells whoever watches.
    pub(crate) fn announce(&self, kind: &str, path: &str) {
        let object = self.state.lock().unwrap().objects[path].clone();
        let collection = path.rsplit_once('/').unwrap().0.to_owned();
        self.events.send((collection, json!({"type": kind, "object": table(&[object])}))).unwrap();
    }

    /// Ends every watch, as a server that goes away does.
    pub(crate) fn end_watches(&self) {
        // Those that ended by themselves meanwhile need no telling.
        let _ = self.events.send((String::new(), Value::Null));
    }

    /// How many watches are open.
    pub(crate) fn watchers(&self) -> usize {
        self.events.receiver_count()
    }
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "7",
            "labels": {"app": name.split('-').next()}, "managedFields": [{"manager": "x"}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "main"}, {"name": "side"}]}, "status": {"phase": "Running"}})
}

fn cluster(name: &str) -> Value {
    json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": name, "namespace": "cpaas-system", "uid": format!("uid-{name}"), "resourceVersion": "9"},
        "status": {"phase": "Provisioned", "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn tls() -> (Arc<rustls::ServerConfig>, String) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "simulated platform CA");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let chain = vec![leaf.der().clone(), ca_certificate.der().clone()];
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(config), ca_certificate.pem())
}

async fn serve(
    listener: std::net::TcpListener,
    config: Arc<rustls::ServerConfig>,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<(String, Value)>,
    stop: CancellationToken,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        let (acceptor, state, events) = (acceptor.clone(), state.clone(), events.clone());
        tasks.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = hyper::service::service_fn(move |request| answer(request, state.clone(), events.clone()));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // Clients come and go as they like.
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
    tasks.shutdown().await;
}

fn reply(code: u16, value: &Value) -> Response<Body> {
    let content_type = match value["kind"].as_str() {
        Some("APIGroupDiscoveryList") => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json",
    };
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::new(Bytes::from(value.to_string())).boxed())
        .unwrap()
}

fn empty(code: u16) -> Response<Body> {
    Response::builder().status(code).body(Full::new(Bytes::new()).boxed()).unwrap()
}

fn refuse(code: u16, reason: &str, message: &str) -> Response<Body> {
    reply(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message,
            "code": code}),
    )
}

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<(String, Value)>,
) -> Result<Response<Body>, Infallible> {
    let upgrade = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    let agent = parts.headers.get(header::USER_AGENT).map_or("", |agent| agent.to_str().unwrap()).to_owned();
    state.lock().unwrap().agents.push(agent);
    state.lock().unwrap().requests.push((line, body.clone()));
    let path = parts.uri.path().to_owned();
    let opened = {
        let mut state = state.lock().unwrap();
        let query = parts.uri.query().unwrap_or_default();
        let opened = identity::open(&mut state, &parts.method, &path, query, &body);
        opened.map(|answer| (answer, path == "/dex/token" && state.identity.as_ref().is_some_and(|i| i.silent)))
    };
    match opened {
        // Done, and nobody hears of it.
        Some((_, true)) => return std::future::pending().await,
        Some((answer, false)) => return Ok(answer),
        None => {}
    }
    if path == "/auth/v1/sessions" && parts.method == Method::POST {
        let sent: Value = serde_json::from_str(&body).unwrap();
        if sent["username"] != USER || sent["password"] != PASSWORD {
            return Ok(refuse(401, "Unauthorized", "wrong user name or password"));
        }
        let mut state = state.lock().unwrap();
        let token = format!("token-{}-sesame", state.requests.len());
        state.tokens.push(token.clone());
        let login = json!({"token": token, "username": USER, "groups": ["cpaas:platform-admins"],
            "expirationTimestamp": "2099-01-01T00:00:00Z"});
        return Ok(reply(200, &login));
    }
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let token = bearer.unwrap_or_default().to_owned();
    if !state.lock().unwrap().tokens.contains(&token) {
        return Ok(refuse(401, "Unauthorized", "Unauthorized"));
    }
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if path.starts_with("/kubernetes/") {
        let name = path.split('/').nth(2).unwrap().to_owned();
        if state.lock().unwrap().lost.contains(&name) {
            return Ok(refuse(503, "ServiceUnavailable", &format!("cluster {name:?} has no tunnel")));
        }
        if path.ends_with("/exec") && query["command"] == "forbidden" {
            return Ok(refuse(403, "Forbidden", "pods \"web-1\" is forbidden: no exec for you"));
        }
        if let Some(upgrade) = upgrade {
            let key = parts.headers[header::SEC_WEBSOCKET_KEY].as_bytes().to_vec();
            tokio::spawn(exec(upgrade, query["command"].clone()));
            return Ok(Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(&key))
                .header(header::SEC_WEBSOCKET_PROTOCOL, "v5.channel.k8s.io")
                .body(Full::new(Bytes::new()).boxed())
                .unwrap());
        }
        if query.contains_key("watch") {
            return Ok(watch(path, events.subscribe()));
        }
        return Ok(kubernetes(&state, &parts.method, &path, &query, &accept, &body));
    }
    let tenancy = tenancy::answer(&mut state.lock().unwrap(), &parts.method, &path, &query, &body);
    if let Some(answer) = tenancy {
        return Ok(answer);
    }
    let guarded = identity::guarded(&mut state.lock().unwrap(), &parts.method, &path, &query, &body);
    Ok(guarded.unwrap_or_else(|| platform(&state, &parts.method, &path, &query, &token, &body)))
}

fn platform(
    state: &Mutex<State>,
    method: &Method,
    path: &str,
    query: &BTreeMap<String, String>,
    token: &str,
    body: &str,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    match (method.as_str(), path) {
        ("GET", "/version") => reply(200, &json!({"gitVersion": "v0.1.0"})),
        ("GET", "/auth/v1/sessions/current") => {
            reply(200, &json!({"username": USER, "groups": [], "expirationTimestamp": "2099-01-01T00:00:00Z"}))
        }
        ("DELETE", "/auth/v1/sessions/current") => {
            state.tokens.retain(|known| known != token);
            empty(204)
        }
        ("GET", "/auth/v1/clusters") => {
            let items: Vec<Value> = state.clusters.iter().map(|name| json!({"metadata": {"name": name}})).collect();
            reply(200, &json!({"items": items}))
        }
        ("GET", "/platform/fleet.cpaas.io/v1/summary") => match query.get("labelSelector") {
            Some(text) if text.contains("===") => refuse(400, "BadRequest", "labelSelector cannot be read"),
            _ => reply(200, &summary(query.contains_key("groupBy"))),
        },
        ("GET", "/platform/fleet.cpaas.io/v1/support-matrix") => {
            let matrix = include_str!("../../../../api/types/src/support/matrix.json");
            reply(200, &serde_json::from_str::<Value>(matrix).unwrap())
        }
        (method, "/platform/fleet.cpaas.io/v1/agent-upgrade") => {
            let (is_post, dry_run) = (method == "POST", query.get("dryRun").is_some_and(|value| value == "true"));
            match upgrade::answer(&mut state.upgrade, is_post, dry_run, body) {
                Ok(status) => reply(200, &status),
                Err((code, message)) => refuse(code, "Refused", message),
            }
        }
        (method, "/platform/fleet.cpaas.io/v1/authority") => {
            let asked = serde_json::from_str::<Value>(body).unwrap_or_default();
            if asked["step"] == "retire" && asked["confirm"] != "leave behind" {
                return refuse(409, "Conflict", "this step would cut off 1 of the agents (edge: its agent is away)");
            }
            let step = if method == "GET" || asked["step"] == "retire" { "Settled" } else { "Introduced" };
            reply(
                200,
                &json!({
                    "step": step,
                    "authorities": [{
                        "role": "Signing", "name": "acp hub authority", "fingerprint": "AA:BB", "pin": "sha256:00",
                        "notAfter": "2036-01-01T00:00:00Z",
                    }],
                    "certificates": "PEM\n",
                    "agents": {"total": 2, "ready": 1, "lacking": [{"cluster": "edge", "reason": "Away", "message": "its agent is away"}]},
                }),
            )
        }
        ("POST", path) if path.ends_with("/drain") => {
            let node = path.rsplit('/').nth(1).unwrap();
            match state.drains.get(node) {
                Some(lines) => Response::new(Full::new(Bytes::from(lines.clone())).boxed()),
                None => {
                    refuse(403, "Forbidden", "pods is forbidden: User \"admin@cpaas.io\" cannot list resource \"pods\"")
                }
            }
        }
        ("POST", "/platform/fleet.cpaas.io/v1/imports") => {
            let sent: Value = serde_json::from_str(body).unwrap();
            if query["dryRun"] == "true" {
                return reply(200, &json!({"version": "v1.33.1", "nodes": 3, "serverReachable": true}));
            }
            reply(201, &cluster(sent["name"].as_str().unwrap()))
        }
        ("POST", "/platform/fleet.cpaas.io/v1/registrations") => {
            let sent: Value = serde_json::from_str(body).unwrap();
            if sent["platformUrl"].as_str().is_some_and(|url| !url.starts_with("https://")) {
                return refuse(
                    422,
                    "Invalid",
                    "Cluster is invalid: platformUrl: \"hub\" is no URL; write it as https://hub",
                );
            }
            reply(
                201,
                &json!({"name": sent["name"], "token": "once", "expirationTimestamp": "2099-01-01T00:00:00Z",
                    "command": "acp agent --token once", "manifest": "kind: List\n"}),
            )
        }
        ("POST", "/platform/fleet.cpaas.io/v1/removals") => {
            let sent: Value = serde_json::from_str(body).unwrap();
            let name = sent["name"].as_str().unwrap();
            let path =
                format!("/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters/{name}");
            match state.objects.get(&path) {
                None => refuse(404, "NotFound", "no such cluster"),
                Some(_) if sent["confirm"] != name => refuse(422, "Invalid", "confirm: must be the name"),
                Some(object) if sent["uid"] != object["metadata"]["uid"] => refuse(409, "Conflict", "another uid"),
                Some(object) if query["dryRun"] == "true" => reply(200, &object.clone()),
                Some(_) => reply(202, &state.objects.remove(&path).unwrap()),
            }
        }
        ("POST", "/platform/fleet.cpaas.io/v1/registrations/edge") => reply(
            201,
            &json!({"name": "edge", "token": "twice", "expirationTimestamp": "2099-01-01T00:00:00Z",
                "command": "acp agent --token twice", "manifest": "kind: List\n"}),
        ),
        _ => refuse(404, "NotFound", "no such path"),
    }
}

fn kubernetes(
    state: &Mutex<State>,
    method: &Method,
    path: &str,
    query: &BTreeMap<String, String>,
    accept: &str,
    body: &str,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let (_, rest) = path.trim_start_matches("/kubernetes/").split_once('/').unwrap_or_default();
    match rest {
        "version" => return reply(200, &json!({"major": "1", "minor": "34", "gitVersion": "v1.34.1"})),
        "api" => {
            return reply(200, &groups(&[("", "v1", &[("pods", "Pod", "po"), ("configmaps", "ConfigMap", "cm")])]));
        }
        "apis" => {
            return reply(
                200,
                &groups(&[
                    ("cluster.x-k8s.io", "v1beta1", &[("clusters", "Cluster", "cl")]),
                    ("apps", "v1", &[("deployments", "Deployment", "deploy")]),
                    ("auth.alauda.io", "v1", &[("projects", "Project", ""), ("userbindings", "UserBinding", "")]),
                    ("auth.alauda.io", "v1beta1", &[("roletemplates", "RoleTemplate", "")]),
                ]),
            );
        }
        _ => {}
    }
    if let Some(answer) = tenancy::in_cluster(&mut state, method, path, body) {
        return answer;
    }
    if let Some(pod) = path.strip_suffix("/log") {
        assert!(state.objects.contains_key(pod), "{pod}");
        if query.contains_key("previous") {
            let text = "previous terminated container not found";
            return Response::builder().status(400).body(Full::new(Bytes::from(text)).boxed()).unwrap();
        }
        let text = format!("line of {}\n", query["container"]);
        return Response::new(Full::new(Bytes::from(text)).boxed());
    }
    let name = path.rsplit('/').next().unwrap().to_owned();
    let is_collection =
        ["pods", "configmaps", "clusters", "nodes"].contains(&name.as_str()) || tenancy::is_collection(&name);
    let is_trial = query.get("dryRun").is_some_and(|dry_run| dry_run == "All");
    let missing = || refuse(404, "NotFound", &format!("objects {name:?} not found"));
    state.version += 1;
    let version = state.version.to_string();
    let selector = api_meta::LabelSelector::parse(query.get("labelSelector").map_or("", String::as_str)).unwrap();
    match method.as_str() {
        "GET" if is_collection => {
            let root = path.split("/namespaces/").next().unwrap().trim_end_matches(&format!("/{name}")).to_owned();
            let prefix = if path.contains("/namespaces/") { format!("{path}/") } else { root };
            let found: Vec<Value> = state
                .objects
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix) && key.contains(&format!("/{name}/")))
                .map(|(_, object)| object.clone())
                .filter(|object| selector.matches(object["metadata"]["labels"].as_object()))
                .collect();
            if accept.contains("as=Table") {
                return reply(200, &table_with(&found, query.get("includeObject").map(String::as_str)));
            }
            reply(
                200,
                &json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "50"}, "items": found}),
            )
        }
        "GET" => match state.objects.get(path) {
            Some(object) if accept.contains("as=Table") => reply(200, &table(std::slice::from_ref(object))),
            Some(object) => reply(200, object),
            None => missing(),
        },
        "POST" => {
            let mut object: Value = serde_json::from_str(body).unwrap();
            object["metadata"]["resourceVersion"] = version.into();
            let name = object["metadata"]["name"].as_str().unwrap();
            let key = format!("{path}/{name}");
            if state.objects.contains_key(&key) {
                return refuse(409, "AlreadyExists", &format!("objects {name:?} already exists"));
            }
            if !is_trial {
                state.objects.insert(key, object.clone());
            }
            reply(201, &object)
        }
        "PATCH" => {
            let patch: Value = serde_json::from_str(body).unwrap();
            let Some(stored) = state.objects.get_mut(path) else { return missing() };
            let mut tried = stored.clone();
            let object = if is_trial { &mut tried } else { stored };
            // What says nothing that depends on the rest of the object needs no version.
            let version_said = &patch["metadata"]["resourceVersion"];
            let needs_none = version_said.is_null() && patch["spec"].get("unschedulable").is_some();
            if !needs_none && *version_said != object["metadata"]["resourceVersion"] {
                return refuse(409, "Conflict", "the object has been modified");
            }
            merge(object, &patch);
            object["metadata"]["resourceVersion"] = version.into();
            reply(200, object)
        }
        "PUT" if name == "approval" => {
            let object: Value = serde_json::from_str(body).unwrap();
            let Some(stored) = state.objects.get_mut(path.trim_end_matches("/approval")) else { return missing() };
            stored["status"] = object["status"].clone();
            reply(200, stored)
        }
        "DELETE" if is_trial => match state.objects.get(path) {
            Some(_) => reply(200, &json!({"kind": "Status", "status": "Success"})),
            None => missing(),
        },
        "DELETE" => match state.objects.remove(path) {
            Some(object) => {
                let uid = object["metadata"]["uid"].clone();
                reply(200, &json!({"kind": "Status", "status": "Success", "details": {"uid": uid}}))
            }
            None => missing(),
        },
        _ => refuse(405, "MethodNotAllowed", "no"),
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key.as_str()], value);
        }
    }
}

/// Group, version, and the plural, kind and short name of each resource.
type Group<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str, &'a str)]);

fn groups(groups: &[Group<'_>]) -> Value {
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, version, resources)| {
            let resources: Vec<Value> = resources
                .iter()
                .map(|(plural, kind, short)| {
                    json!({"resource": plural, "responseKind": {"group": group, "version": version, "kind": kind},
                        "scope": if tenancy::is_wide(plural) { "Cluster" } else { "Namespaced" }, "singularResource": kind.to_lowercase(), "shortNames": [short],
                        "verbs": ["create", "delete", "get", "list", "patch", "watch"], "categories": ["all"]})
                })
                .collect();
            json!({"metadata": {"name": group}, "versions": [{"version": version, "freshness": "Current",
                "resources": resources}]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
}

fn table(objects: &[Value]) -> Value {
    table_with(objects, None)
}

fn table_with(objects: &[Value], include: Option<&str>) -> Value {
    if objects.iter().any(|object| object["kind"] == "Project") {
        return tenancy::table(objects);
    }
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let metadata =
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
            let included = if include == Some("Object") { object } else { &metadata };
            json!({"cells": [object["metadata"]["name"], object["status"]["phase"], object["spec"]["nodeName"]],
                "object": included})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "50"},
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
            {"name": "Status", "type": "string", "format": "", "description": "", "priority": 0},
            {"name": "Node", "type": "string", "format": "", "description": "", "priority": 1}],
        "rows": rows})
}

fn watch(path: String, mut events: broadcast::Receiver<(String, Value)>) -> Response<Body> {
    let stream = futures::stream::unfold((path, events.resubscribe()), |(path, mut events)| async move {
        loop {
            let (collection, event) = events.recv().await.ok()?;
            if collection.is_empty() {
                return None;
            }
            if collection == path {
                let frame = Frame::data(Bytes::from(format!("{event}\n")));
                return Some((Ok::<_, Infallible>(frame), (path, events)));
            }
        }
    });
    // The extra receiver only existed to be subscribed before the answer starts.
    while events.try_recv().is_ok() {}
    Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(stream)))))
}

/// `BoxBody` wants `Sync`; the stream is only ever polled by its one owner.
struct SyncStream<S>(std::pin::Pin<Box<S>>);

impl<S: futures::Stream> futures::Stream for SyncStream<S> {
    type Item = S::Item;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// Echoes standard input in capitals until it ends, then exits with 7. `die` loses its connection, `flood` never ends.
async fn exec(upgrade: hyper::upgrade::OnUpgrade, command: String) {
    let stream = TokioIo::new(upgrade.await.unwrap());
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let send = |channel: u8, text: &str| Message::binary([&[channel], text.as_bytes()].concat());
    if command == "die" {
        socket.send(send(1, "last words\n")).await.unwrap();
        return;
    }
    if command == "flood" {
        while socket.send(send(1, "flood\n")).await.is_ok() {}
        return;
    }
    socket.send(send(2, "on stderr\n")).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let bytes = message.into_data();
        match bytes.first() {
            Some(0) => {
                let text = String::from_utf8(bytes[1..].to_vec()).unwrap().to_uppercase();
                socket.send(send(1, &text)).await.unwrap();
            }
            Some(255) => break,
            _ => {}
        }
    }
    let status = json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "exit",
        "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}});
    socket.send(send(3, &status.to_string())).await.unwrap();
    // The client may have hung up already.
    let _ = socket.close(None).await;
}

/// A fleet of three clusters, two of which are in Europe.
fn summary(groups: bool) -> Value {
    let counts = |total: u32, ready: u32, cpu: &str| {
        json!({
            "clusters": {"total": total, "ready": ready, "notReady": 0, "unknown": total - ready},
            "nodes": {"total": 3 * total, "ready": 3 * ready},
            "resource": {
                "capacity": {"cpu": "16"}, "allocatable": {"cpu": "15", "memory": "32Gi", "pods": "330"},
                "allocated": {"cpu": cpu, "memory": "8Gi", "pods": "33"},
            },
            "versions": [{"version": "v1.34.2", "supported": true, "clusters": total}],
        })
    };
    let mut all = counts(3, 2, "4500m");
    all["conditions"] = json!([
        {"type": "Ready", "false": {"total": 0, "names": []}, "unknown": {"total": 1, "names": ["eu-2"]}},
        {"type": "Connected", "false": {"total": 1, "names": ["eu-2"]}, "unknown": {"total": 0, "names": []}},
    ]);
    all["certificates"] = json!([{"notAfter": "2020-01-01T00:00:00Z", "cluster": "eu-1", "name": "agent"}]);
    if groups {
        let (mut none, mut eu) = (counts(1, 1, "0"), counts(2, 1, "4500m"));
        (none["value"], eu["value"]) = (Value::Null, "eu".into());
        none["resource"] = json!({"capacity": {}, "allocatable": {}, "allocated": {}});
        all["groups"] = json!([none, eu]);
    }
    all
}
