//! Questions about rights, put to the hub's API server in the caller's name.

use fleet::{Caller, NAMESPACE};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use crate::chain::Chain;
use crate::respond::Refusal;

/// Whether the caller may get a path of the hub.
pub(crate) async fn may_get_path(chain: &Chain, caller: &Caller, path: &str) -> Result<bool, Refusal> {
    let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
    ask(chain, caller, SelfSubjectAccessReviewSpec { non_resource_attributes: Some(attributes), ..Default::default() })
        .await
}

/// Whether the caller may do this with a cluster, or with all of them.
pub(crate) async fn may(chain: &Chain, caller: &Caller, verb: &str, cluster: Option<&str>) -> Result<bool, Refusal> {
    let attributes = ResourceAttributes {
        group: Some("cluster.x-k8s.io".to_owned()),
        version: Some("v1beta1".to_owned()),
        resource: Some("clusters".to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        verb: Some(verb.to_owned()),
        name: cluster.map(str::to_owned),
        ..Default::default()
    };
    ask(chain, caller, SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() })
        .await
}

/// Whether the caller may change what the hub keeps in a Secret of that name, which stands for what is decided by it.
pub(crate) async fn may_update_secret(chain: &Chain, caller: &Caller, name: &str) -> Result<bool, Refusal> {
    let attributes = ResourceAttributes {
        version: Some("v1".to_owned()),
        resource: Some("secrets".to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        verb: Some("update".to_owned()),
        name: Some(name.to_owned()),
        ..Default::default()
    };
    ask(chain, caller, SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() })
        .await
}

async fn ask(chain: &Chain, caller: &Caller, spec: SelfSubjectAccessReviewSpec) -> Result<bool, Refusal> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(caller.clone().client_of(chain.hub.fleet.hub()));
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
