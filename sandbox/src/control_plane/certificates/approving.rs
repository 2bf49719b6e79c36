//! Approves kubelets' requests for client certificates, where their senders may have them (upstream: `csrapproving`).

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
};
use kube::{Api, Client, api::PostParams};

use super::{certificate, has, parsed, rules};
use crate::{
    cache::Informer,
    clock::Clock,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{MANAGER, now},
    ownership,
    queue::Queue,
};

/// When a request that was not approved is looked at again: rights may have been given since.
const AGAIN: Duration = Duration::from_secs(60);

/// A right, and what is said when somebody has it.
type Way = (&'static str, &'static str);

const SELF: Way = ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.");
const ANY: Way = ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.");

pub(super) fn start(cluster: &Cluster, requests: &Arc<Informer<CertificateSigningRequest>>) {
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(requests, &queue);
    let (requests, client, token) = (requests.clone(), cluster.client.clone(), cluster.token.clone());
    cluster.tasks.spawn(async move {
        requests.synced().await;
        let (requests, client) = (&requests, &client);
        controller::run("csrapproving", queue, 2, token, |key| async move {
            match requests.get(&key) {
                Some(request) => reconcile(requests, client, &request).await,
                None => Ok(None),
            }
        })
        .await;
    });
}

async fn reconcile(
    requests: &Informer<CertificateSigningRequest>,
    client: &Client,
    request: &CertificateSigningRequest,
) -> Result<Next, Error> {
    let ways = ways(request);
    for (right, message) in &ways {
        if allowed(client, request, right).await? {
            requests.update_as(request, &approved(request, message), Some("approval"), MANAGER).await?;
            return Ok(None);
        }
    }
    Ok((!ways.is_empty()).then_some(AGAIN))
}

/// The rights by which a request may be approved without a person; none for all that is not a kubelet's, or is decided.
fn ways(request: &CertificateSigningRequest) -> Vec<Way> {
    let decided = has(request, "Approved") || has(request, "Denied") || certificate(request).is_some();
    if decided || request.spec.signer_name != rules::KUBELET_CLIENT {
        return Vec::new();
    }
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    let Ok(parsed) = parsed(request) else { return Vec::new() };
    if parsed.beyond_a_leaf().is_some() || rules::kubelet_client(&parsed, usages).is_err() {
        return Vec::new();
    }
    match request.spec.username.as_deref() == Some(&*parsed.claimed().user) {
        true => vec![SELF, ANY],
        false => vec![ANY],
    }
}

async fn allowed(client: &Client, request: &CertificateSigningRequest, right: &str) -> Result<bool, Error> {
    let spec = &request.spec;
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: spec.username.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone(),
            extra: spec.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                group: Some("certificates.k8s.io".to_owned()),
                resource: Some("certificatesigningrequests".to_owned()),
                subresource: Some(right.to_owned()),
                verb: Some("create".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api = Api::<SubjectAccessReview>::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| Error::api("review a kubelet's rights".to_owned(), error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn approved(request: &CertificateSigningRequest, message: &str) -> CertificateSigningRequest {
    let mut approved = request.clone();
    let conditions = approved.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: "Approved".to_owned(),
        status: "True".to_owned(),
        reason: Some("AutoApproved".to_owned()),
        message: Some(message.to_owned()),
        last_update_time: Some(now()),
        last_transition_time: Some(now()),
    });
    approved
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use lib_tls::{SigningRequest, Subject};
    use serde_json::json;

    use super::*;

    fn request(sender: &str, user: &str, signer: &str, status: serde_json::Value) -> CertificateSigningRequest {
        let (pem, _) = SigningRequest::generate(&Subject::new(user, ["system:nodes"])).unwrap();
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({"metadata": {"name": "r"},
            "spec": {"request": "", "signerName": signer, "username": sender,
                "usages": ["client auth", "digital signature", "key encipherment"]},
            "status": status}))
        .unwrap();
        request.spec.request = ByteString(pem.into_bytes());
        request
    }

    #[track_caller]
    fn check(request: &CertificateSigningRequest, expect: &[Way]) {
        assert_eq!(ways(request), expect);
    }

    #[test]
    fn kubelets_alone_need_no_person() {
        let node = "system:node:n";
        check(&request(node, node, rules::KUBELET_CLIENT, json!({})), &[SELF, ANY]);
        check(&request("system:bootstrap:abcdef", node, rules::KUBELET_CLIENT, json!({})), &[ANY]);
        check(&request("ann", "ann", rules::KUBELET_CLIENT, json!({})), &[]);
        check(&request(node, node, rules::SIGNERS[0], json!({})), &[]);
        for verdict in ["Approved", "Denied"] {
            let status = json!({"conditions": [{"type": verdict, "status": "True"}]});
            check(&request(node, node, rules::KUBELET_CLIENT, status), &[]);
        }
    }
}
