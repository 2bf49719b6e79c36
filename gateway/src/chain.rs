//! The way of a request, in the order in which it goes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use fleet::{Body, Caller};
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use identity::{Presented, Session};
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::PeerIdentity;
use serde_json::json;
use tokio::sync::watch;

use ::tenancy::rights::Person;

use crate::framing::Framing;
use crate::headers::Kind;
use crate::metrics::{Metrics, Route};
use crate::path::CanonicalPath;
use crate::respond::{Refusal, answer, text};
use crate::rights::Rights;
use crate::shares::Shares;
use crate::turns::Turns;
use crate::{
    Hub, agents, assets, clusters, fleet_api, headers, origin, people, proxy, review, routes, scope, search, tenancy,
};

/// The largest body that the platform's own routes read.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The group of certificates that the hub's authority makes for whoever runs the hub's machine.
const MASTERS: &str = "system:masters";

/// What is known of a connection before any request.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The real address; no header changes it.
    pub(crate) address: SocketAddr,
    /// The client certificate, verified.
    pub(crate) identity: Option<Arc<PeerIdentity>>,
    /// What its bytes looked like before hyper read them.
    pub(crate) framing: Framing,
}

/// Everything that requests meet.
pub(crate) struct Chain {
    pub(crate) hub: Hub,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
    pub(crate) rights: Rights,
    pub(crate) shares: Shares,
    /// Certificates: after a long outage all agents want another one.
    pub(crate) issuing: Turns,
    /// As `Host` says them.
    hosts: Vec<String>,
    /// The same, of clusters that reach the door by other hosts.
    platform_hosts: watch::Receiver<Arc<BTreeSet<String>>>,
}

/// Who asks.
#[derive(Clone)]
pub(crate) enum Who {
    /// Somebody who signed in, and how they showed it.
    Session(Box<Session>, Presented),
    /// Somebody with a certificate of the hub's authority, who may reach the hub itself.
    Certificate(Caller),
}

impl Who {
    /// In whose name requests go on.
    pub(crate) fn caller(&self) -> Result<Caller, Refusal> {
        match self {
            Self::Session(session, _) => {
                let user = session.user();
                Caller::person(&user.name, &user.groups, &user.uid).map_err(|_| Refusal::unauthorized())
            }
            Self::Certificate(caller) => Ok(caller.clone()),
        }
    }

    /// Who it is, for questions about rights.
    pub(crate) fn person(&self) -> Result<Arc<Person>, Refusal> {
        let caller = self.caller()?;
        let groups = caller.groups().map(str::to_owned);
        Ok(Arc::new(Person::authenticated(caller.name(), groups)))
    }

    /// Whoever has a certificate goes no further than the hub.
    pub(crate) fn check_cluster(&self, cluster: &ClusterName) -> Result<(), Refusal> {
        match self {
            Self::Certificate(_) if !cluster.is_global() => {
                Err(Refusal::forbidden("a certificate is good for the hub itself only"))
            }
            _ => Ok(()),
        }
    }

    /// The clusters that a token is good for, when those are not all.
    pub(crate) fn clusters(&self) -> Option<Vec<String>> {
        match self {
            Self::Session(session, _) => session.scope().and_then(|scope| scope.clusters.clone()),
            Self::Certificate(_) => None,
        }
    }
}

impl Chain {
    pub(crate) fn new(hub: Hub, drain: Drain) -> Self {
        let hosts = hub.names.iter().map(|name| name.trim_matches(['[', ']']).to_owned()).collect();
        let platform_hosts = hub.fleet.platform_hosts();
        let rights = Rights::new(hub.fleet.clone(), hub.ask_rights, drain.clone());
        let metrics = Metrics::new(hub.sessions.clone());
        let issuing = Turns::on_half_the_processors();
        Self { hub, metrics, drain, rights, shares: Shares::default(), issuing, hosts, platform_hosts }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(&self, connection: Connection, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        // Ours, and not the client's: it leads through our logs.
        let id = uuid::Uuid::new_v4().to_string();
        let method = request.method().clone();
        let run = std::panic::AssertUnwindSafe(self.filter(connection, request)).catch_unwind();
        let (route, mut response) = match run.await {
            Ok((route, Ok(response))) => (route, response),
            Ok((route, Err(refusal))) => (route, refusal.into_response()),
            Err(_) => (Route::Refused, Refusal::internal().into_response()),
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        let took = started.elapsed();
        self.metrics.observe(route, response.status().as_u16(), took);
        // No path and no query: both may hold what only two people should know.
        tracing::debug!(id = %id, method = %method, route = ?route, code = response.status().as_u16(), ?took, "answered");
        response
    }

    async fn filter(&self, connection: Connection, request: Request<Body>) -> (Route, Result<Response<Body>, Refusal>) {
        let (parts, body) = request.into_parts();
        let (kind, path) = match self.check(&connection, &parts) {
            Ok(checked) => checked,
            Err(refusal) => return (Route::Refused, Err(refusal)),
        };
        let route = route(path.as_str());
        // What the platform reads itself is bounded before anything else; what goes on to a cluster is the cluster's.
        if route != Route::Kubernetes && body.size_hint().lower() > BODY_LIMIT as u64 {
            return (route, Err(Refusal::too_large(BODY_LIMIT)));
        }
        let request = Request::from_parts(parts, body);
        (route, self.dispatch(route, connection, request, kind, &path).await)
    }

    /// Whether that is a name of the door.
    fn is_named(&self, host: &str) -> bool {
        let own = self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host));
        own || self.platform_hosts.borrow().contains(&host.to_ascii_lowercase())
    }

    /// What has only one reading, and claims nothing.
    fn check(&self, connection: &Connection, parts: &Parts) -> Result<(Kind, CanonicalPath), Refusal> {
        if connection.framing.is_ambiguous() {
            return Err(Refusal::ambiguous_length());
        }
        let kind = headers::check(parts, |host| self.is_named(host))?;
        let path = CanonicalPath::of(&parts.uri).map_err(|error| Refusal::malformed(error.to_string()))?;
        Ok((kind, path))
    }

    async fn dispatch(
        &self,
        route: Route,
        connection: Connection,
        request: Request<Body>,
        kind: Kind,
        path: &CanonicalPath,
    ) -> Result<Response<Body>, Refusal> {
        let path = path.as_str();
        if kind == Kind::Upgrade && route != Route::Kubernetes {
            return Err(Refusal::bad_request("nothing is streamed here"));
        }
        let listed = |method: &Method| routes::check(method, path, route == Route::Console);
        let is_public = match route {
            Route::Console | Route::Agents => true,
            Route::Health => path != "/metrics",
            Route::People => identity::api::is_public(request.method(), path),
            _ => false,
        };
        if is_public {
            listed(request.method())?;
        }
        match route {
            // Who asks does not matter to these, or is what they are to find out.
            Route::Console => return self.console(&request, path),
            Route::Agents => return Box::pin(agents::answer(self, &connection, request, path)).await,
            Route::Health if is_public => return self.health(&request, path),
            Route::People if is_public => {
                return Box::pin(people::answer(self, &connection, None, request, path)).await;
            }
            _ => {}
        }
        let (parts, body) = request.into_parts();
        let who = self.authenticate(&connection, &parts, kind)?;
        // To nobody it is not even said what there is.
        listed(&parts.method)?;
        let method = parts.method.clone();
        let request = Request::from_parts(parts, body);
        if let Who::Session(session, _) = &who {
            scope::check(session.scope(), route, &method, kind, path)?;
        }
        match route {
            Route::Kubernetes => self.kubernetes(&who, request, kind, path).await,
            Route::Fleet => Box::pin(fleet_api::answer(self, &who, request, path)).await,
            Route::People if path == "/auth/v1/clusters" => {
                get_only(&method)?;
                clusters::list(self, &who).await
            }
            Route::Tenancy => Box::pin(tenancy::answer(self, &who, request, path)).await,
            Route::Search => Box::pin(search::answer(self, &who, request, path)).await,
            // What people do is long, and would make every request's way as wide.
            Route::People => Box::pin(people::answer(self, &connection, Some(who), request, path)).await,
            Route::Health => self.figures(&who.caller()?, &method).await,
            Route::Console | Route::Agents | Route::Refused => Err(Refusal::not_found()),
        }
    }

    /// Nobody passes without a name. No credential that is present and wrong is ever ignored.
    fn authenticate(&self, connection: &Connection, parts: &Parts, kind: Kind) -> Result<Who, Refusal> {
        let found = self.hub.identity.authenticate(&parts.headers).map_err(|error| {
            tracing::debug!(error = %error, "a credential was refused");
            Refusal::unauthorized()
        })?;
        if let Some((session, presented)) = found {
            if presented == Presented::Cookie {
                origin::check(parts, kind)?;
            }
            return Ok(Who::Session(Box::new(session), presented));
        }
        let Some(identity) = &connection.identity else { return Err(Refusal::unauthorized()) };
        // Agents have certificates of the same authority, and are nobody here.
        if identity.organizations != [MASTERS] {
            return Err(Refusal::unauthorized());
        }
        // Browsers send certificates as they send cookies, and to whatever site a page leads.
        if origin::is_browsers(parts) {
            origin::check(parts, kind)?;
        }
        let caller = Caller::certificate(&identity.common_name, &identity.organizations);
        caller.map(Who::Certificate).map_err(|_| Refusal::unauthorized())
    }

    async fn kubernetes(
        &self,
        who: &Who,
        request: Request<Body>,
        kind: Kind,
        path: &str,
    ) -> Result<Response<Body>, Refusal> {
        let rest = path.strip_prefix("/kubernetes/").unwrap_or_default();
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let cluster: ClusterName = name.parse().map_err(|_| Refusal::not_found())?;
        who.check_cluster(&cluster)?;
        proxy::forward(self, who, &cluster, rest, request, kind).await
    }

    fn console(&self, request: &Request<Body>, path: &str) -> Result<Response<Body>, Refusal> {
        get_only(request.method())?;
        assets::answer(&*self.hub.assets, path, request.headers())
    }

    fn health(&self, request: &Request<Body>, path: &str) -> Result<Response<Body>, Refusal> {
        get_only(request.method())?;
        match path {
            "/version" => Ok(answer(
                StatusCode::OK,
                &json!({"name": "acp", "gitVersion": concat!("v", env!("CARGO_PKG_VERSION"))}),
            )),
            "/readyz" if self.drain.is_finishing() => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "shutting down")),
            _ => Ok(text(StatusCode::OK, "ok")),
        }
    }

    async fn figures(&self, caller: &Caller, method: &Method) -> Result<Response<Body>, Refusal> {
        get_only(method)?;
        if !review::may_get_path(self, caller, "/metrics").await? {
            return Err(Refusal::forbidden("the figures are for administrators"));
        }
        Ok(text(StatusCode::OK, self.metrics.render()))
    }
}

/// By the first segments, which have one reading.
pub(crate) fn route(path: &str) -> Route {
    let under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if under("/kubernetes") {
        Route::Kubernetes
    } else if ::tenancy::api::is_route(path) {
        Route::Tenancy
    } else if under("/acp") {
        Route::Search
    } else if under("/auth") || under("/dex") || under("/console-platform/api/v1/token") {
        Route::People
    } else if under("/platform") {
        Route::Fleet
    } else if under("/agent") {
        Route::Agents
    } else if ["/healthz", "/livez", "/readyz", "/version", "/metrics"].contains(&path) {
        Route::Health
    } else {
        Route::Console
    }
}

pub(crate) fn get_only(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::method_not_allowed()),
    }
}
