//! What the hub's API server has to hold before anything runs on it: the platform's namespace and kinds, and the roles
//! of the hub's own parts.
//!
//! Whoever installs needs wide rights, once per start. What runs afterwards has two narrow identities: requests of
//! people arrive under one that may impersonate and nothing else, and the controllers are
//! [`CONTROLLERS`](crate::CONTROLLERS), who may work in the platform's namespace.
//!
//! Where the hub may not install, an administrator applies [`hub_objects`] instead, and [`lacking()`] tells what is not
//! there.

mod lacking;
mod objects;

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use lib_kubernetes::ClusterApi;
use serde_json::Value;

use crate::error::Error;
use crate::grant::{bind_admins, lay};
use crate::{MANAGER, NAMESPACE};
use objects::{RBAC, impersonation, roles, user};

pub use lacking::lacking;
pub use objects::hub_objects;

/// How long a new kind may take until it is served.
const SERVED: Duration = Duration::from_secs(30);

/// Makes an API server the hub's. `api` acts under an identity that may do all of this; a second time changes nothing.
pub async fn install(api: &ClusterApi) -> Result<(), Error> {
    let client = api.client();
    ensure_namespace(&client).await?;
    let roles = roles();
    let laid = async { lay(&client, &roles).await.map_err(Error::hub("lay the role of the hub's controllers")) };
    let bound = async { bind_admins(client.clone()).await.map_err(Error::hub("bind the platform's administrators")) };
    futures::try_join!(ensure_kinds(&client), laid, bound)?;
    Ok(())
}

/// Lets a user speak for others, and do nothing in its own name.
pub async fn allow_impersonation(api: &ClusterApi, name: &str) -> Result<(), Error> {
    let objects = impersonation(user(name));
    lay(&api.client(), &objects).await.map_err(Error::hub("lay the role of the hub's door"))
}

/// Lays the roles and bindings of other parts of the hub.
pub async fn lay_rights(api: &ClusterApi, objects: &[Value]) -> Result<(), Error> {
    lay(&api.client(), objects).await.map_err(Error::hub("lay the roles of the hub's parts"))
}

/// What an identity would have to be allowed to be the hub's on a cluster, and is not; as people say it.
pub async fn missing_rights(api: &ClusterApi) -> Result<Vec<String>, Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(api.client());
    let asked = NEEDED.iter().map(|(verb, group, resource)| {
        let reviews = reviews.clone();
        async move {
            let attributes = ResourceAttributes {
                verb: Some((*verb).to_owned()),
                group: Some((*group).to_owned()),
                resource: Some((*resource).to_owned()),
                ..Default::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let answer = reviews.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(Error::hub("ask for the rights of the hub's identity"))?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, Error>((!allowed).then(|| format!("{verb} {resource}")))
        }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// What installing takes, and speaking for people. Whoever lays a role must hold what is in it, or may escalate.
const NEEDED: [(&str, &str, &str); 14] = [
    ("impersonate", "", "users"),
    ("impersonate", "", "groups"),
    ("impersonate", "authentication.k8s.io", "uids"),
    ("create", "", "namespaces"),
    ("get", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", RBAC, "clusterroles"),
    ("patch", RBAC, "clusterroles"),
    ("escalate", RBAC, "clusterroles"),
    ("bind", RBAC, "clusterroles"),
    ("create", RBAC, "clusterrolebindings"),
    ("create", RBAC, "roles"),
    ("create", RBAC, "rolebindings"),
];

async fn ensure_namespace(client: &Client) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..Default::default() };
    match namespaces.create(&PostParams::default(), &Namespace { metadata, ..Default::default() }).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::hub("make the platform's namespace")(error)),
        Ok(_) => Ok(()),
    }
}

/// All at once: each is served a moment after it is defined.
async fn ensure_kinds(client: &Client) -> Result<(), Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let defined = api_types::crds().into_iter().map(|crd| {
        let definitions = definitions.clone();
        async move {
            let name = crd.name_any();
            let params = PatchParams::apply(MANAGER).force();
            let laid = definitions.patch(&name, &params, &Patch::Apply(&crd)).await;
            laid.map_err(Error::hub("define the platform's kinds"))?;
            let established = await_condition(definitions, &name, conditions::is_crd_established());
            match tokio::time::timeout(SERVED, established).await {
                Ok(Ok(_)) => Ok(()),
                _ => Err(Error::NotServed),
            }
        }
    });
    try_join_all(defined).await.map(drop)
}
