//! Signs what was approved, for the built-in signers.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    ByteString,
    api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
};

use super::{certificate, has, parsed, rules};
use crate::{
    cache::Informer, clock::Clock, cluster::Cluster, config::CertificateSigner, controller, meta::now, ownership,
    queue::Queue,
};

pub(super) fn start(
    cluster: &Cluster,
    requests: &Arc<Informer<CertificateSigningRequest>>,
    signer: Arc<dyn CertificateSigner>,
) {
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(requests, &queue);
    let (requests, token) = (requests.clone(), cluster.token.clone());
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

fn is_due(request: &CertificateSigningRequest) -> bool {
    rules::SIGNERS.contains(&request.spec.signer_name.as_str())
        && has(request, "Approved")
        && !has(request, "Denied")
        && !has(request, "Failed")
        && certificate(request).is_none()
}

fn answer(request: &CertificateSigningRequest, signer: &dyn CertificateSigner) -> CertificateSigningRequest {
    let mut answered = request.clone();
    let status = answered.status.get_or_insert_default();
    match sign(request, signer) {
        Ok(certificate) => status.certificate = Some(ByteString(certificate.into_bytes())),
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

fn sign(request: &CertificateSigningRequest, signer: &dyn CertificateSigner) -> Result<String, String> {
    let spec = &request.spec;
    let lifetime = spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let parsed = parsed(request)?;
    let terms = rules::terms(&spec.signer_name, &parsed, spec.usages.as_deref().unwrap_or_default(), lifetime)?;
    signer.sign(&parsed, &terms)
}

#[cfg(test)]
mod tests {
    use lib_tls::{SigningRequest, Subject, Terms};
    use serde_json::json;

    use super::*;

    struct Naming;

    impl CertificateSigner for Naming {
        fn sign(&self, _: &SigningRequest, terms: &Terms) -> Result<String, String> {
            Ok(terms.subject.user.clone())
        }
    }

    fn request(approved: bool, usages: &[&str]) -> CertificateSigningRequest {
        let (pem, _) = SigningRequest::generate(&Subject::new("ann", ["dev"])).unwrap();
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({"metadata": {"name": "r"},
            "spec": {"request": "", "signerName": rules::SIGNERS[0], "usages": usages},
            "status": {"conditions": [{"type": if approved {"Approved"} else {"Denied"}, "status": "True"}]}}))
        .unwrap();
        request.spec.request = ByteString(pem.into_bytes());
        request
    }

    #[test]
    fn only_approved_requests_are_signed() {
        assert!(is_due(&request(true, &["client auth"])));
        assert!(!is_due(&request(false, &["client auth"])));
        let signed = answer(&request(true, &["client auth", "digital signature"]), &Naming);
        assert_eq!(certificate(&signed), Some(&b"ann"[..]));
        assert!(!is_due(&signed));
    }

    #[test]
    fn what_may_not_be_signed_fails() {
        for usages in [&["client auth", "server auth"][..], &["digital signature"][..]] {
            let failed = answer(&request(true, usages), &Naming);
            assert!(has(&failed, "Failed") && certificate(&failed).is_none() && !is_due(&failed));
        }
        let mut garbage = request(true, &["client auth"]);
        garbage.spec.request = ByteString(b"pem".to_vec());
        assert!(has(&answer(&garbage, &Naming), "Failed"));
    }
}
