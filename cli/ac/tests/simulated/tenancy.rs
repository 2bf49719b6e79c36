//! The simulated platform's projects and rights: `/auth` and the search, as the hub answers them, and the few places where
//! a cluster has something to say about them.
//!
//! It decides nothing: a test says what the platform would answer to a question about rights, and sees what was asked.

use std::collections::BTreeMap;

use http::{Method, Response};
use serde_json::{Value, json};

use super::{Body, State, empty, refuse, reply};

/// Who may do what is the test's to say.
#[derive(Default)]
pub(crate) struct Tenancy {
    /// Whoever asks may not list all projects.
    pub(crate) tenant: bool,
    /// How often somebody has to ask until the rights in a new namespace are there.
    pub(crate) rights_after: usize,
    /// How often a project's quota is not there yet.
    pub(crate) quotas_after: usize,
    /// Since when nothing has been heard of clusters.
    pub(crate) stale_since: Option<&'static str>,
    /// Answers by path.
    pub(crate) answers: BTreeMap<&'static str, Value>,
}

pub(crate) const BINDINGS: &str = "/auth/v2/userbindings";
pub(crate) const PROJECTS: &str = "/kubernetes/global/apis/auth.alauda.io/v1/projects";

const WIDE: &[&str] =
    &["projects", "userbindings", "roletemplates", "namespaces", "clusterroles", "clusterrolebindings"];

pub(super) fn is_wide(plural: &str) -> bool {
    WIDE.contains(&plural)
}

pub(super) fn is_collection(name: &str) -> bool {
    is_wide(name) || ["resourcequotas", "limitranges", "rolebindings", "deployments"].contains(&name)
}

pub(crate) fn project(name: &str, clusters: &[&str]) -> Value {
    let clusters: Vec<Value> = clusters.iter().map(|cluster| json!({"name": cluster, "quota": {}})).collect();
    json!({"apiVersion": "auth.alauda.io/v1", "kind": "Project",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"cpaas.io/display-name": "The \u{1b}[31mshop"}},
        "spec": {"clusters": clusters}, "status": {"phase": "Active"}})
}

/// As the definition of the kind has the columns.
pub(super) fn table(objects: &[Value]) -> Value {
    let columns = ["Name", "Display", "Clusters", "Phase", "Age"];
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let display = &object["metadata"]["annotations"]["cpaas.io/display-name"];
            json!({"cells": [object["metadata"]["name"], display, "east", object["status"]["phase"], "5d"],
                "object": {"metadata": object["metadata"]}})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "50"},
        "columnDefinitions": columns.map(|name| json!({"name": name, "priority": 0})), "rows": rows})
}

/// What a cluster answers before its objects are looked at.
pub(super) fn in_cluster(state: &mut State, method: &Method, path: &str, body: &str) -> Option<Response<Body>> {
    if path.starts_with(PROJECTS) && *method == Method::GET && state.tenancy.tenant {
        return Some(refuse(403, "Forbidden", "projects.auth.alauda.io is forbidden"));
    }
    if path.ends_with("/selfsubjectaccessreviews") {
        let allowed = state.tenancy.rights_after == 0;
        state.tenancy.rights_after = state.tenancy.rights_after.saturating_sub(1);
        return Some(reply(201, &json!({"status": {"allowed": allowed}})));
    }
    if path.contains("/projectquotas/") && *method == Method::GET && !state.objects.contains_key(path) {
        let missing = state.tenancy.quotas_after > 0;
        state.tenancy.quotas_after = state.tenancy.quotas_after.saturating_sub(1);
        return Some(if missing { refuse(404, "NotFound", "not there yet") } else { reply(200, &json!({})) });
    }
    if path.ends_with("/resourcequotas") && *method == Method::POST && body.contains("\"999\"") {
        return Some(refuse(403, "Forbidden", "admission webhook denied the request: exceeds the project's quota"));
    }
    if path.ends_with("/limitranges") && *method == Method::POST && body.contains("\"999Gi\"") {
        return Some(refuse(422, "Invalid", "LimitRange \"default\" is invalid"));
    }
    None
}

fn list(state: &State, prefix: &str) -> Vec<Value> {
    let below = format!("{prefix}/");
    state.objects.iter().filter(|(key, _)| key.starts_with(&below)).map(|(_, object)| object.clone()).collect()
}

/// What the platform answers; `None` for what others answer.
pub(super) fn answer(
    state: &mut State,
    method: &Method,
    path: &str,
    query: &BTreeMap<String, String>,
    body: &str,
) -> Option<Response<Body>> {
    if let Some(answer) = state.tenancy.answers.get(path) {
        return Some(reply(200, answer));
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let missing = || Some(refuse(404, "NotFound", &format!("{path} not found")));
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["auth", "v1", "projects"]) => {
            if let Some(other) =
                query.keys().find(|key| !["labelSelector", "limit", "continue"].contains(&key.as_str()))
            {
                return Some(refuse(400, "BadRequest", &format!("there is no parameter {other:?}")));
            }
            let projects = list(state, PROJECTS);
            let start: usize = query.get("continue").map_or(0, |text| text.parse().unwrap());
            let limit: usize = query.get("limit").map_or(usize::MAX, |text| text.parse().unwrap());
            let page: Vec<&Value> = projects.iter().skip(start).take(limit).collect();
            let end = start + page.len();
            let next = if end < projects.len() { end.to_string() } else { String::new() };
            Some(reply(
                200,
                &json!({"kind": "ProjectList", "apiVersion": "auth.alauda.io/v1", "metadata": {"continue": next},
                    "items": page}),
            ))
        }
        (verb, ["auth", "v1", "projects", name]) => {
            let key = format!("{PROJECTS}/{name}");
            let Some(project) = state.objects.get(&key).cloned() else { return missing() };
            if verb == "DELETE" {
                state.objects.remove(&key);
                return Some(empty(204));
            }
            Some(reply(200, &project))
        }
        ("GET", ["auth", "v1", "projects", project, "clusters", cluster, "namespaces"]) => {
            if state.lost.iter().any(|lost| lost == cluster) {
                return Some(refuse(503, "ServiceUnavailable", "cluster has no tunnel"));
            }
            let mut namespaces = list(state, &format!("/kubernetes/{cluster}/api/v1/namespaces"));
            namespaces.retain(|namespace| namespace["metadata"]["labels"]["cpaas.io/project"] == *project);
            let mut list = json!({"kind": "NamespaceList", "metadata": {}, "items": namespaces});
            if let Some(since) = state.tenancy.stale_since {
                list["staleClusters"] = json!([{"name": cluster, "since": since}]);
            }
            Some(reply(200, &list))
        }
        // By the MD5 of the e-mail: `nobody@example.com`.
        ("GET", ["auth", "v1", "users", "8c5548eb0b2b80924f237953392df5e7"]) => missing(),
        ("GET", ["auth", "v1", "users", _]) if state.identity.is_none() => {
            Some(refuse(403, "Forbidden", "users are not for you to see"))
        }
        ("GET", ["auth", "v2", "userbindings"]) => Some(reply(200, &json!({"items": list(state, BINDINGS)}))),
        ("POST", ["auth", "v2", "userbindings"]) => {
            let binding: Value = serde_json::from_str(body).unwrap();
            let key = format!("{BINDINGS}/{}", binding["metadata"]["name"].as_str().unwrap());
            if binding["spec"]["roleRef"] == "forbidden" {
                return Some(refuse(403, "Forbidden", "you cannot give what you do not hold"));
            }
            if state.objects.contains_key(&key) {
                return Some(refuse(409, "AlreadyExists", "the binding exists"));
            }
            state.objects.insert(key, binding.clone());
            Some(reply(201, &binding))
        }
        ("DELETE", ["auth", "v2", "userbindings", _]) => match state.objects.remove(path) {
            Some(_) => Some(empty(204)),
            None => missing(),
        },
        _ => None,
    }
}
