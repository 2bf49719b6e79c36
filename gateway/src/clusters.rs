//! `GET /auth/v1/clusters`: the clusters that the caller may see.

use std::sync::Arc;

use api_types::Cluster;
use api_types::cluster::DISPLAY_NAME;
use fleet::{Body, Caller};
use futures::{StreamExt, TryStreamExt};
use http::{Response, StatusCode};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::chain::{Chain, Who};
use crate::respond::{Refusal, answer};
use crate::review;

/// Questions to the hub's API server at a time.
const AT_ONCE: usize = 8;

/// Whoever may list or get Clusters on the hub sees those, and everybody the clusters in which they have a role.
pub(crate) async fn list(chain: &Chain, who: &Who) -> Result<Response<Body>, Refusal> {
    let has_role = |name: &str| {
        let person = who.person()?;
        Ok(chain.hub.tenancy.rights().is_in(&person, name))
    };
    let mut clusters = seen(chain, &who.caller()?, has_role).await?;
    clusters.sort_by_key(|cluster| cluster.name_any());
    let items: Vec<Value> = clusters.iter().map(|cluster| view(cluster)).collect();
    Ok(answer(
        StatusCode::OK,
        &json!({"kind": "ClusterList", "apiVersion": "clusterregistry.k8s.io/v1alpha1", "items": items}),
    ))
}

/// The clusters whose objects the caller may read, with all that stands in them. A role in a cluster is not enough for that.
pub(crate) async fn readable(chain: &Chain, caller: &Caller) -> Result<Vec<Arc<Cluster>>, Refusal> {
    seen(chain, caller, |_| Ok(false)).await
}

/// All for those who may list them; for others one by one.
async fn seen(
    chain: &Chain,
    caller: &Caller,
    besides: impl Fn(&str) -> Result<bool, Refusal>,
) -> Result<Vec<Arc<Cluster>>, Refusal> {
    let clusters = chain.hub.fleet.clusters();
    if review::may(chain, caller, "list", None).await? {
        return Ok(clusters);
    }
    let besides = &besides;
    let asked = futures::stream::iter(clusters).map(|cluster| async move {
        let name = cluster.name_any();
        let may = besides(&name)? || review::may(chain, caller, "get", Some(&name)).await?;
        Ok::<_, Refusal>(may.then_some(cluster))
    });
    let seen: Vec<Option<Arc<Cluster>>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(seen.into_iter().flatten().collect())
}

/// The form that clients of this address know. Where a cluster is reached is here, under this door.
fn view(cluster: &Cluster) -> Value {
    let name = cluster.name_any();
    let status = cluster.status.clone().unwrap_or_default();
    let display = cluster.annotations().get(DISPLAY_NAME).map(|text| json!({DISPLAY_NAME: text})).unwrap_or(json!({}));
    json!({
        "metadata": {
            "name": name, "uid": cluster.uid(), "labels": cluster.labels(), "annotations": display,
            "creationTimestamp": cluster.creation_timestamp(),
        },
        "spec": {
            "kubernetesApiEndpoints": {
                "serverEndpoints": [{"clientCIDR": "0.0.0.0/0", "serverAddress": format!("/kubernetes/{name}")}],
            },
        },
        "status": {"version": status.kubernetes_version, "type": "Kubernetes", "conditions": status.conditions},
    })
}
