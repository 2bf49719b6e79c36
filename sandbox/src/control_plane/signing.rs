//! Signs approved certificate signing requests for the built-in signers.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    ByteString,
    api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
};

use crate::{
    cache::Informer,
    cluster::Cluster,
    config::{CertificateSigner, SigningRequest},
    controller,
    meta::now,
    ownership,
    queue::Queue,
};

const SIGNERS: [&str; 3] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
];

pub(super) fn start(cluster: &Cluster, signer: Arc<dyn CertificateSigner>) {
    let requests: Arc<Informer<CertificateSigningRequest>> = Arc::new(Informer::new(cluster.client.clone()));
    let queue = Arc::new(Queue::new());
    ownership::each(&requests, &queue);
    cluster.watch(&requests);
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        requests.synced().await;
        let (requests, signer) = (&requests, &*signer);
        controller::run("csrsigning", queue, 2, token, |key| async move {
            let Some(request) = requests.get(&key).filter(|request| is_due(request)) else { return Ok(None) };
            requests.update_status(&request, &answer(&request, signer)).await?;
            Ok(None)
        })
        .await;
    });
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_due(request: &CertificateSigningRequest) -> bool {
    SIGNERS.contains(&request.spec.signer_name.as_str())
        && has(request, "Approved")
        && !has(request, "Denied")
        && !has(request, "Failed")
        && request.status.as_ref().is_none_or(|status| status.certificate.is_none())
}

/// What each signer may be used for; anything else is refused before the authority sees it.
fn allowed_usages(signer: &str) -> &'static [&'static str] {
    match signer {
        "kubernetes.io/kubelet-serving" => &["key encipherment", "digital signature", "server auth"],
        _ => &["key encipherment", "digital signature", "client auth"],
    }
}

fn answer(request: &CertificateSigningRequest, signer: &dyn CertificateSigner) -> CertificateSigningRequest {
    let mut answered = request.clone();
    let status = answered.status.get_or_insert_default();
    match sign(request, signer) {
        Ok(certificate) => status.certificate = Some(ByteString(certificate)),
        Err(why) => status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
            type_: "Failed".to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some(why),
            last_update_time: Some(now()),
            last_transition_time: Some(now()),
        }),
    }
    answered
}

fn sign(request: &CertificateSigningRequest, signer: &dyn CertificateSigner) -> Result<Vec<u8>, String> {
    let spec = &request.spec;
    let usages = spec.usages.clone().unwrap_or_default();
    let allowed = allowed_usages(&spec.signer_name);
    if let Some(usage) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("usage {usage:?} is not allowed for signer {}", spec.signer_name));
    }
    let purpose = allowed[2];
    if !usages.iter().any(|usage| usage == purpose) {
        return Err(format!("usage {purpose:?} is required for signer {}", spec.signer_name));
    }
    signer.sign(&SigningRequest {
        signer_name: spec.signer_name.clone(),
        pem: spec.request.0.clone(),
        usages,
        lifetime: spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        username: spec.username.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Echo;

    impl CertificateSigner for Echo {
        fn sign(&self, request: &SigningRequest) -> Result<Vec<u8>, String> {
            Ok(request.pem.clone())
        }
    }

    fn request(approved: bool, usages: &[&str]) -> CertificateSigningRequest {
        serde_json::from_value(json!({"metadata": {"name": "r"},
            "spec": {"request": "cGVt", "signerName": SIGNERS[0], "usages": usages},
            "status": {"conditions": [{"type": if approved {"Approved"} else {"Denied"}, "status": "True"}]}}))
        .unwrap()
    }

    #[test]
    fn only_approved_requests_are_signed() {
        assert!(is_due(&request(true, &["client auth"])));
        assert!(!is_due(&request(false, &["client auth"])));
        let signed = answer(&request(true, &["client auth", "digital signature"]), &Echo);
        assert_eq!(signed.status.as_ref().unwrap().certificate.as_ref().unwrap().0, b"pem");
        assert!(!is_due(&signed));
    }

    #[test]
    fn other_usages_are_refused() {
        for usages in [&["client auth", "server auth"][..], &["digital signature"][..]] {
            let failed = answer(&request(true, usages), &Echo);
            assert!(has(&failed, "Failed") && failed.status.unwrap().certificate.is_none());
        }
    }
}
