//! What the agent's role does not allow.

use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn the_agent_asks_for_no_more_than_it_needs() {
    let (member, _agent) = Member::start().await;
    let client = member.cluster.user(AGENT);
    let hook = |name: &str| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name}});
    let webhooks: Api<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration> =
        Api::all(client.clone());
    let other = webhooks.patch("other", &PatchParams::apply("x"), &Patch::Apply(hook("other"))).await;
    refused(said(other), 403, "other");
    let posted = webhooks.create(&PostParams::default(), &serde_json::from_value(hook("other")).unwrap()).await;
    refused(said(posted), 403, "cannot create");
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "a");
    refused(said(quotas.create(&PostParams::default(), &quota("q", json!({"pods": "1"}))).await), 403, "cannot create");
    refused(said(Api::<Secret>::all(client.clone()).list(&Default::default()).await), 403, "cannot list");
    let project: Api<api_types::tenancy::ProjectQuota> = Api::all(client.clone());
    member.bound("shop", json!({"pods": "1"})).await;
    let ratios = Api::<api_types::tenancy::NamespaceResourceRatio>::namespaced(client.clone(), "a");
    let ratio = serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {"cpu": 2}})).unwrap();
    refused(said(ratios.create(&PostParams::default(), &ratio).await), 403, "cannot create");
    let hooks: Api<k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration> = Api::all(client);
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "other"}});
    refused(said(hooks.patch("other", &PatchParams::apply("x"), &Patch::Apply(hook)).await), 403, "other");
    let loosened = project.patch("shop", &PatchParams::default(), &Patch::Merge(json!({"spec": {"hard": {}}}))).await;
    refused(said(loosened), 403, "cannot patch");
}
