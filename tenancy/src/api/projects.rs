//! `/auth/v1/projects`: the projects that the caller may see, and their namespaces in each cluster.

use api_rbac::{Attributes, Resource, User};
use api_types::tenancy::{ClusterDeletePolicy, GROUP, Project};
use http::{Method, Response};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use super::page::{PARAMETERS, Wanted};
use super::{Ask, Bytes, Refused, Service, no_content, ok, shown};
use crate::escalation::{self, Write};
use crate::rights::holds;
use crate::view::{Known, Namespace};

/// Of Projects, what `fieldSelector` knows.
const FIELDS: [&str; 2] = ["metadata.name", "status.phase"];

pub(super) async fn answer(service: &Service, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match (ask.method(), rest) {
        (&Method::GET | &Method::HEAD, []) => list(service, ask),
        (&Method::GET | &Method::HEAD, [name]) => visible(service, ask, name).map(|object| ok(&shown(&object))),
        (&Method::DELETE, [name]) => delete(service, ask, name).await,
        (&Method::GET | &Method::HEAD, [name, "clusters", cluster, "namespaces"]) => {
            namespaces(service, ask, name, cluster)
        }
        (_, [] | [_] | [_, "clusters", _, "namespaces"]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

/// Whoever may list projects sees all; others those that they may get.
fn sees(hub: &Known, who: User<'_>, name: &str) -> bool {
    holds(hub, who, "list", "projects", "", "") || holds(hub, who, "get", "projects", "", name)
}

fn list(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let wanted = Wanted::read(&ask.params(&PARAMETERS)?, &FIELDS)?;
    let hub = service.hub()?;
    let objects = service.view().hub();
    let rights = service.rights.of(&ask.caller.person, lib_names::ClusterName::GLOBAL);
    let may = |verb, name| {
        let resource = Resource { group: GROUP, resource: "projects", name, ..Resource::default() };
        rights.as_ref().is_some_and(|rights| rights.allows(&Attributes::resource(verb, resource)).is_some())
    };
    let all = may("list", "");
    let seen = objects.projects.iter().filter(|(name, _)| all || may("get", name)).map(|(_, object)| &**object);
    let field = |object: &Value, name: &str| {
        let value = if name == "metadata.name" { &object["metadata"]["name"] } else { &object["status"]["phase"] };
        value.as_str().map(str::to_owned)
    };
    let (items, mut metadata) = wanted.page(seen, field);
    metadata["resourceVersion"] = hub.version.to_string().into();
    let items: Vec<Value> = items.into_iter().map(shown).collect();
    Ok(ok(&json!({"kind": "ProjectList", "apiVersion": "auth.alauda.io/v1", "metadata": metadata, "items": items})))
}

fn visible(service: &Service, ask: &Ask<'_>, name: &str) -> Result<std::sync::Arc<Value>, Refused> {
    let hub = service.hub()?;
    let seen = sees(&hub, ask.caller.person.user(), name);
    let found = service.view().hub().projects.get(name).cloned().filter(|_| seen);
    found.ok_or_else(|| Refused::no("Project", name))
}

/// Deletes it in the caller's name. `reclaim` says what becomes of its namespaces, where that is not what it says itself.
async fn delete(service: &Service, ask: &Ask<'_>, name: &str) -> Result<Response<Bytes>, Refused> {
    let params = ask.params(&["reclaim"])?;
    let reclaim = match params.one("reclaim")? {
        None => None,
        Some("true") => Some(ClusterDeletePolicy::Delete),
        Some("false") => Some(ClusterDeletePolicy::Retain),
        Some(other) => {
            let message = format!(
                "reclaim is {other:?}: true deletes the project's namespaces with all that is in them, false keeps them"
            );
            return Err(Refused::bad_request(message));
        }
    };
    let object = visible(service, ask, name)?;
    let old: Project = serde_json::from_value((*object).clone()).map_err(|_| Refused::no("Project", name))?;
    let who = ask.caller.person.user();
    escalation::project(service.view(), who, Write::Delete(&old))?;
    let projects: Api<Project> = Api::all(ask.caller.client.clone());
    if let Some(policy) = reclaim.filter(|policy| *policy != old.spec.cluster_delete_policy.unwrap_or_default()) {
        let mut new = old.clone();
        new.spec.cluster_delete_policy = Some(policy);
        escalation::project(service.view(), who, Write::Update { old: &old, new: &new })?;
        let patch = json!({"metadata": {"uid": old.metadata.uid}, "spec": {"clusterDeletePolicy": policy}});
        projects.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    }
    // This very project, and not a later one of its name.
    let preconditions = Some(Preconditions { uid: old.metadata.uid.clone(), resource_version: None });
    projects.delete(name, &DeleteParams { preconditions, ..DeleteParams::default() }).await?;
    Ok(no_content())
}

/// The namespaces of a project in a cluster that the caller may get.
fn namespaces(service: &Service, ask: &Ask<'_>, name: &str, cluster: &str) -> Result<Response<Bytes>, Refused> {
    ask.cluster(cluster)?;
    let wanted = Wanted::read(&ask.params(&PARAMETERS)?, &["metadata.name", "status.phase"])?;
    let project = visible(service, ask, name)?;
    let of_project = |cluster: &str| {
        let clusters = project["spec"]["clusters"].as_array();
        clusters.into_iter().flatten().any(|one| one["name"] == cluster)
    };
    if !of_project(cluster) {
        return Err(Refused::new(404, "NotFound", format!("Project {name:?} has no cluster {cluster:?}")));
    }
    let Some(known) = service.view().cluster(cluster) else {
        return Err(Refused::unavailable(format!(
            "nothing is known of cluster {cluster:?} yet: try again when it is reached"
        )));
    };
    let rights = service.rights.of(&ask.caller.person, cluster);
    let may = |namespace: &str| {
        let resource = Resource { resource: "namespaces", namespace, name: namespace, ..Resource::default() };
        rights.as_ref().is_some_and(|rights| rights.allows(&Attributes::resource("get", resource)).is_some())
    };
    let seen: Vec<Value> = known
        .namespaces
        .iter()
        .filter(|(namespace, _)| known.project_of(namespace) == Some(name) && may(namespace))
        .map(|(name, namespace)| view(name, namespace))
        .collect();
    let field = |object: &Value, name: &str| {
        let value = if name == "metadata.name" { &object["metadata"]["name"] } else { &object["status"]["phase"] };
        value.as_str().map(str::to_owned)
    };
    let (items, metadata) = wanted.page(&seen, field);
    let mut answer = json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": metadata, "items": items});
    if let Some(since) = known.stale_since {
        answer["staleClusters"] = json!([{"name": cluster, "since": since}]);
    }
    Ok(ok(&answer))
}

fn view(name: &str, namespace: &Namespace) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": namespace.uid, "labels": namespace.labels, "annotations": namespace.annotations,
            "creationTimestamp": namespace.created,
        },
        "status": {"phase": namespace.phase},
    })
}
