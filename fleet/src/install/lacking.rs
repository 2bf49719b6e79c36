//! What a cluster lacks that somebody else has to prepare for the hub.
//!
//! Everything is asked for with rights that everybody has: which kinds are served, and what an identity may do. Rights
//! count that the cluster can list, which are those by RBAC.

use std::collections::HashSet;

use api_meta::Object;
use api_rbac::{PolicyRule, rules_of};
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};
use lib_kubernetes::ClusterApi;
use serde_json::{Value, json};

use super::objects::{impersonation_rules, roles};
use crate::error::Error;
use crate::{Caller, NAMESPACE};

/// Where nothing of the hub's is bound, so that only what is bound everywhere counts.
const ELSEWHERE: &str = "default";

/// What [`hub_objects`](super::hub_objects) has and the cluster has not, as people say it. `others` are the same as there.
pub async fn lacking(api: &ClusterApi, others: &[Value]) -> Result<Vec<String>, Error> {
    let own = may(&api.client(), NAMESPACE).await?;
    let silent = uncovered("the hub's identity", &own, &impersonation_rules());
    if !silent.is_empty() {
        // Nobody can be asked about in whose name one may not speak.
        return Ok(silent);
    }
    let roles: Vec<Value> = roles().into_iter().chain(others.iter().cloned()).collect();
    let rights =
        try_join_all(roles.iter().filter(|object| object["roleRef"].is_null()).map(|role| lacking_rights(api, role)));
    let (kinds, namespace, rights) = futures::try_join!(lacking_kinds(api), lacking_namespace(api), rights)?;
    Ok(kinds.into_iter().chain(namespace).chain(rights.into_iter().flatten()).collect())
}

async fn lacking_kinds(api: &ClusterApi) -> Result<Vec<String>, Error> {
    let client = api.client();
    let failed = || Error::hub("ask for the kinds of the hub's cluster");
    let found = client.list_api_groups().await.map_err(failed())?;
    let served: HashSet<String> =
        found.groups.into_iter().flat_map(|group| group.versions).map(|version| version.group_version).collect();
    let crds = api_types::crds();
    let wanted: Vec<(String, &str)> = crds
        .iter()
        .flat_map(|crd| crd.spec.versions.iter().map(move |version| (crd, version)))
        .map(|(crd, version)| (format!("{}/{}", crd.spec.group, version.name), crd.spec.names.plural.as_str()))
        .collect();
    let versions: HashSet<&String> =
        wanted.iter().map(|(version, _)| version).filter(|version| served.contains(*version)).collect();
    let listed = try_join_all(versions.into_iter().map(|version| {
        let client = &client;
        async move {
            let list = client.list_api_group_resources(version).await.map_err(failed())?;
            Ok::<_, Error>(list.resources.into_iter().map(move |resource| (version.clone(), resource.name)))
        }
    }));
    let there: HashSet<(String, String)> = listed.await?.into_iter().flatten().collect();
    let missing =
        wanted.into_iter().filter(|(version, plural)| !there.contains(&(version.clone(), (*plural).to_owned())));
    Ok(missing.map(|(version, plural)| format!("the kind {plural} of {version}")).collect())
}

/// Whether the namespace is there. Who may not know that lacks a right, which is told with the others.
async fn lacking_namespace(api: &ClusterApi) -> Result<Option<String>, Error> {
    let namespaces: Api<Namespace> = Api::all(Caller::controllers().client_of(api));
    match namespaces.get_opt(NAMESPACE).await {
        Ok(Some(_)) => Ok(None),
        Ok(None) => Ok(Some(format!("the namespace {NAMESPACE}"))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(Error::hub("look for the platform's namespace")(error)),
    }
}

/// What the user of that name may not do that the role says.
async fn lacking_rights(api: &ClusterApi, role: &Value) -> Result<Vec<String>, Error> {
    let name = role["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or(ELSEWHERE);
    let part = Caller::certificate(name, &[])?.client_of(api);
    Ok(uncovered(name, &may(&part, namespace).await?, &role["rules"]))
}

async fn may(client: &Client, namespace: &str) -> Result<Vec<PolicyRule>, Error> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..Default::default() };
    let asked = Api::all(client.clone()).create(&PostParams::default(), &review).await;
    let status = asked.map_err(Error::hub("ask for the rights of the hub's parts"))?.status.unwrap_or_default();
    let (resources, paths) = (json!(status.resource_rules), json!(status.non_resource_rules));
    Ok([resources, paths].iter().flat_map(rules).collect())
}

fn uncovered(who: &str, owned: &[PolicyRule], wanted: &Value) -> Vec<String> {
    let missing = api_rbac::lacking(owned, &rules(wanted)).expect("the hub's own roles are short");
    missing.iter().map(|rule| format!("a right of {who}: {rule}")).collect()
}

fn rules(list: &Value) -> Vec<PolicyRule> {
    rules_of(&Object::try_from(json!({"rules": list})).expect("it is an object"))
}
