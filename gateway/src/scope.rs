//! What an API token is good for, when that is less than what its owner may. Whether the owner may, the cluster says.

use api_types::auth::TokenScope;
use http::Method;

use crate::headers::Kind;
use crate::metrics::Route;
use crate::nodes;
use crate::respond::Refusal;
use crate::rights::Attributes;

pub(crate) fn check(
    scope: Option<&TokenScope>,
    route: Route,
    method: &Method,
    kind: Kind,
    path: &str,
) -> Result<(), Refusal> {
    let Some(scope) = scope else { return Ok(()) };
    let named = path.strip_prefix("/kubernetes/").filter(|_| route == Route::Kubernetes);
    let target = named.map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    // A stream is a shell or a port, and what a proxy passes on to a program may change anything.
    let through = target.is_some_and(|(_, rest)| Attributes::lead_to_programs(method, rest));
    // Some questions are too long for a query.
    let asks = route == Route::Tenancy && tenancy::api::only_reads(method, path);
    let reads =
        matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && kind == Kind::Plain && !through || asks;
    if scope.read_only == Some(true) && !reads {
        return Err(Refusal::forbidden("the token is good for reading only"));
    }
    let Some(clusters) = &scope.clusters else { return Ok(()) };
    let own = matches!(path, "/auth/v1/clusters" | "/auth/v1/sessions/current") && reads;
    // These narrow their answers to the token's clusters themselves.
    let narrowed =
        reads && (route == Route::Search || route == Route::Tenancy && tenancy::api::is_about_a_cluster(path));
    let cluster = target.map(|(cluster, _)| cluster);
    match cluster.or_else(|| nodes::cluster(path).filter(|_| route == Route::Fleet)) {
        Some(cluster) if clusters.iter().any(|named| named == cluster) => Ok(()),
        None if own || narrowed => Ok(()),
        _ => Err(Refusal::forbidden(format!("the token is good for these clusters only: {}", clusters.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_scope(scope: &TokenScope, method: Method, kind: Kind, path: &str, allowed: bool) {
        let route = crate::chain::route(path);
        assert_eq!(check(Some(scope), route, &method, kind, path).is_ok(), allowed, "{method} {path}");
    }

    const PODS: &str = "/kubernetes/a/api/v1/namespaces/x/pods";

    #[test]
    fn a_reading_token_reads() {
        let scope = TokenScope { read_only: Some(true), clusters: None };
        check_scope(&scope, Method::GET, Kind::Plain, PODS, true);
        check_scope(&scope, Method::POST, Kind::Plain, PODS, false);
        check_scope(&scope, Method::DELETE, Kind::Plain, PODS, false);
        check_scope(&scope, Method::GET, Kind::Upgrade, &format!("{PODS}/p/exec"), false);
        check_scope(&scope, Method::GET, Kind::Plain, &format!("{PODS}/p/proxy/shutdown"), false);
        check_scope(&scope, Method::DELETE, Kind::Plain, "/auth/v1/sessions/x", false);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v1/rights", true);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v1/bindings/preview", true);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v2/userbindings", false);
        check_scope(&scope, Method::DELETE, Kind::Plain, "/auth/v1/projects/p", false);
        check_scope(&scope, Method::POST, Kind::Plain, "/platform/fleet.cpaas.io/v1/clusters/a/nodes/n/drain", false);
        // Names are only names.
        check_scope(&scope, Method::GET, Kind::Plain, &format!("{PODS}/proxy"), true);
        check_scope(&scope, Method::GET, Kind::Plain, "/kubernetes/a/api/v1/namespaces/proxy/pods/exec/log", true);
    }

    #[test]
    fn a_reading_token_reads_as_the_cluster_does() {
        let scope = TokenScope { read_only: Some(true), clusters: None };
        for path in ["pods/p/pr%6fxy/shutdown", "services/s/%70roxy/", "pods/p/e%78ec", "pods/p/%61ttach"] {
            let path = format!("/kubernetes/a/api/v1/namespaces/x/{path}");
            check_scope(&scope, Method::GET, Kind::Plain, &path, false);
        }
        check_scope(&scope, Method::GET, Kind::Plain, "/kubernetes/a/api/v1/nodes/n/%70%72%6f%78%79/run", false);
        check_scope(&scope, Method::GET, Kind::Plain, "/kubernetes/a/api/v1/pr%6fxy/nodes/n/run", false);
    }

    #[test]
    fn a_clusters_token_stays_there() {
        let scope = TokenScope { read_only: None, clusters: Some(vec!["a".into()]) };
        check_scope(&scope, Method::POST, Kind::Plain, PODS, true);
        check_scope(&scope, Method::GET, Kind::Plain, "/kubernetes/b/api", false);
        check_scope(&scope, Method::GET, Kind::Plain, "/kubernetes/aa/api", false);
        check_scope(&scope, Method::GET, Kind::Plain, "/auth/v1/clusters", true);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v1/users", false);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v1/rights", true);
        check_scope(&scope, Method::GET, Kind::Plain, "/auth/v1/explain", true);
        check_scope(&scope, Method::GET, Kind::Plain, "/auth/v1/projects/p/clusters/a/namespaces", true);
        check_scope(&scope, Method::GET, Kind::Plain, "/acp/v1/resources/search", true);
        check_scope(&scope, Method::GET, Kind::Plain, "/auth/v1/projects", false);
        check_scope(&scope, Method::GET, Kind::Plain, "/auth/v2/userbindings", false);
        check_scope(&scope, Method::POST, Kind::Plain, "/auth/v1/bindings/preview", false);
        check_scope(&scope, Method::GET, Kind::Plain, "/platform/fleet.cpaas.io/v1/imports", false);
        for (cluster, may) in [("a", true), ("b", false)] {
            let path = format!("/platform/fleet.cpaas.io/v1/clusters/{cluster}/nodes/n/drain");
            check_scope(&scope, Method::POST, Kind::Plain, &path, may);
        }
    }
}
