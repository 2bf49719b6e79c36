//! `/healthz`, `/livez`, `/readyz`: plain words for load balancers, `?verbose` for people.

use std::sync::atomic::{AtomicBool, Ordering};

use apiserver_endpoints::{Body, Info};
use http::{Response, StatusCode};

use crate::chain::plain;

const ENDPOINTS: [&str; 3] = ["healthz", "livez", "readyz"];

/// Whether the server takes requests.
#[derive(Default)]
pub(crate) struct Health {
    ready: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
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

    fn checks(&self, endpoint: &str) -> Vec<(&'static str, bool)> {
        let mut checks = vec![("ping", true), ("log", true), ("etcd", true)];
        if endpoint == "readyz" {
            checks.push(("informer-sync", self.ready.load(Ordering::Acquire)));
            checks.push(("shutdown", !self.stopping.load(Ordering::Acquire)));
        }
        checks
    }

    /// `None` when the path is not one of health.
    pub(crate) fn answer(&self, info: &Info) -> Option<Response<Body>> {
        let mut parts = info.path.trim_matches('/').splitn(2, '/');
        let endpoint = parts.next().filter(|e| ENDPOINTS.contains(e))?;
        let checks = self.checks(endpoint);
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
}
