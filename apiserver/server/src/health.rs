//! `/healthz`, `/livez`, `/readyz`: plain words for load balancers, `?verbose` for people.
//!
//! Each check has an address of its own. Their names are upstream's, whose monitoring looks for them; behind a post-start
//! hook stands that the server has done what the hook does upstream, which here is all done before the first answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apiserver_endpoints::{Body, Info};
use http::{Response, StatusCode};
use store_core::Store;

use crate::chain::plain;
use crate::metrics;

pub(crate) const ENDPOINTS: [&str; 3] = ["healthz", "livez", "readyz"];

/// What upstream does between its start and its first answer, by the names of its checks.
const STARTED: [&str; 30] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
    "poststarthook/apiservice-wait-for-first-sync",
];

/// How long the store may take to say where it stands.
const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// Whether the server takes requests.
pub(crate) struct Health {
    store: Arc<dyn Store>,
    ready: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, ready: AtomicBool::default(), stopping: AtomicBool::default() }
    }

    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Probes are answered to the last.
    pub(crate) fn is_probe(path: &str) -> bool {
        path.trim_matches('/').split('/').next().is_some_and(|endpoint| ENDPOINTS.contains(&endpoint))
    }

    fn checks(&self, endpoint: &str, store: bool) -> Vec<(&'static str, bool)> {
        let ready = self.ready.load(Ordering::Acquire);
        let mut checks = vec![("ping", true), ("log", true)];
        checks.push(if endpoint == "readyz" { ("informer-sync", ready && store) } else { ("etcd", store) });
        checks.extend(STARTED.map(|name| (name, ready)));
        if endpoint == "readyz" {
            checks.push(("shutdown", !self.stopping.load(Ordering::Acquire)));
        }
        checks
    }

    /// The addresses of all checks, for the index of paths.
    pub(crate) fn paths(&self) -> Vec<String> {
        let under = |endpoint: &'static str| {
            let checks = self.checks(endpoint, true).into_iter().map(move |(name, _)| format!("/{endpoint}/{name}"));
            std::iter::once(format!("/{endpoint}")).chain(checks)
        };
        ENDPOINTS.into_iter().flat_map(under).collect()
    }

    /// `None` when the path is not one of health.
    pub(crate) async fn answer(&self, info: &Info) -> Option<Response<Body>> {
        let mut parts = info.path.trim_matches('/').splitn(2, '/');
        let endpoint = parts.next().filter(|e| ENDPOINTS.contains(e))?;
        let checks = self.checks(endpoint, self.store_answers().await);
        if let Some(one) = parts.next() {
            return Some(match checks.iter().find(|(name, _)| *name == one) {
                Some((_, true)) => plain(StatusCode::OK, "ok".into()),
                Some((_, false)) => plain(StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n".into()),
                None => plain(StatusCode::NOT_FOUND, "404 page not found\n".into()),
            });
        }
        let healthy = checks.iter().all(|(_, ok)| *ok);
        if healthy && info.query.get("verbose").is_none() {
            return Some(plain(StatusCode::OK, "ok".into()));
        }
        let mut text = String::new();
        for (name, ok) in checks {
            text.push_str(&if ok { format!("[+]{name} ok\n") } else { format!("[-]{name} failed: reason withheld\n") });
        }
        text.push_str(&format!("{endpoint} check {}\n", if healthy { "passed" } else { "failed" }));
        let code = if healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        Some(plain(code, text))
    }

    /// How the checks stand, as upstream's service level indicators (`kubernetes_healthcheck`).
    pub(crate) async fn metrics(&self) -> Response<Body> {
        let mut text = String::from(
            "# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck.\n\
             # TYPE kubernetes_healthcheck gauge\n",
        );
        let store = self.store_answers().await;
        for endpoint in ENDPOINTS {
            for (name, ok) in self.checks(endpoint, store) {
                text.push_str(&format!(
                    "kubernetes_healthcheck{{name=\"{name}\",type=\"{endpoint}\"}} {}\n",
                    u8::from(ok)
                ));
            }
        }
        metrics::response(text)
    }

    async fn store_answers(&self) -> bool {
        matches!(tokio::time::timeout(STORE_DEADLINE, self.store.current_revision()).await, Ok(Ok(_)))
    }
}
