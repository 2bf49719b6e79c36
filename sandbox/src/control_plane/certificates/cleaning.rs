//! Takes away requests that nobody needs any more (upstream: `csrcleaner`).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use lib_tls::{PeerIdentity, first_certificate};

use super::{certificate, has};
use crate::{
    cache::{Deletion, Informer},
    clock::Clock,
    cluster::Cluster,
    controller, ownership,
    queue::Queue,
};

/// How long what is decided, and what is not, stays to be looked at.
const DECIDED: Duration = Duration::from_secs(3600);
const PENDING: Duration = Duration::from_secs(24 * 3600);

pub(super) fn start(cluster: &Cluster, requests: &Arc<Informer<CertificateSigningRequest>>) {
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(requests, &queue);
    let (requests, token) = (requests.clone(), cluster.token.clone());
    cluster.tasks.spawn(async move {
        requests.synced().await;
        let requests = &requests;
        controller::run("csrcleaner", queue, 1, token, |key| async move {
            let Some(request) = requests.get(&key) else { return Ok(None) };
            let Some(end) = end(&request) else { return Ok(None) };
            match Duration::try_from(end.duration_since(Timestamp::now())) {
                Ok(left) if !left.is_zero() => Ok(Some(left)),
                _ => requests.delete(&request, Deletion::graceful()).await.map(|()| None),
            }
        })
        .await;
    });
}

/// When a request has been there long enough.
fn end(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let decided = conditions
        .filter(|c| match &*c.type_ {
            "Approved" => certificate(request).is_some(),
            "Denied" | "Failed" => true,
            _ => false,
        })
        .filter_map(|c| c.last_update_time.as_ref())
        .map(|time| time.0 + DECIDED)
        .min();
    let expired = certificate(request).filter(|_| has(request, "Approved")).and_then(expiry);
    let undecided = request.status.as_ref().is_none_or(|s| s.conditions.as_ref().is_none_or(Vec::is_empty));
    let pending = request.metadata.creation_timestamp.as_ref().filter(|_| undecided).map(|time| time.0 + PENDING);
    [decided, expired, pending].into_iter().flatten().min()
}

fn expiry(pem: &[u8]) -> Option<Timestamp> {
    let der = first_certificate(std::str::from_utf8(pem).ok()?).ok()?;
    Timestamp::try_from(PeerIdentity::of(&der).ok()?.validity.not_after).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use lib_tls::{Authority, Leaf, Subject};
    use serde_json::{Value, json};

    use super::*;

    fn request(status: Value) -> CertificateSigningRequest {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "a.b/c"}, "status": status}))
        .unwrap()
    }

    #[track_caller]
    fn check(status: Value, expect: Option<&str>) {
        assert_eq!(end(&request(status)), expect.map(|time| time.parse().unwrap()));
    }

    #[test]
    fn what_is_decided_goes_sooner() {
        let condition =
            |kind: &str| json!([{"type": kind, "status": "True", "lastUpdateTime": "2026-01-02T00:00:00Z"}]);
        check(json!({}), Some("2026-01-02T00:00:00Z"));
        check(json!({"conditions": condition("Denied")}), Some("2026-01-02T01:00:00Z"));
        check(json!({"conditions": condition("Failed")}), Some("2026-01-02T01:00:00Z"));
        check(json!({"conditions": condition("Approved"), "certificate": "eA=="}), Some("2026-01-02T01:00:00Z"));
        // Its signer may be slow.
        check(json!({"conditions": condition("Approved")}), None);
    }

    #[test]
    fn a_certificate_that_is_over_goes_with_its_request() {
        let then = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let authority = Authority::generate("test", then).unwrap();
        let credential = authority.issue_at(&Leaf::Client(Subject::new("ann", ["dev"])), then).unwrap();
        let mut request = request(json!({"conditions": [{"type": "Approved", "status": "True"}]}));
        request.status.as_mut().unwrap().certificate = Some(ByteString(credential.chain_pem().as_bytes().to_vec()));
        assert_eq!(end(&request), Some(Timestamp::from_second(1_000_000_000 + 365 * 86_400).unwrap()));
    }
}
