//! Certificate signing requests, from the wish to the certificate and away again.
//!
//! Kubelets' requests for their own client certificates are approved when their senders may
//! ([`approving`]); what is approved, by whomever, is signed for the built-in signers ([`signing`]);
//! what nobody needs any more goes ([`cleaning`]). What may be signed at all is in [`rules`].

mod approving;
mod cleaning;
mod rules;
mod signing;

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::{cache::Informer, cluster::Cluster, config::CertificateSigner};

pub(super) fn start(cluster: &Cluster, signer: Option<Arc<dyn CertificateSigner>>) {
    let requests: Arc<Informer<CertificateSigningRequest>> = Arc::new(Informer::new(cluster.client.clone()));
    approving::start(cluster, &requests);
    if let Some(signer) = signer {
        signing::start(cluster, &requests, signer);
    }
    cleaning::start(cluster, &requests);
    cluster.watch(&requests);
}

/// Whether a request has a condition that is true.
fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn certificate(request: &CertificateSigningRequest) -> Option<&[u8]> {
    request.status.as_ref().and_then(|status| status.certificate.as_ref()).map(|certificate| &*certificate.0)
}

/// The request in the object, with the right signature.
fn parsed(request: &CertificateSigningRequest) -> Result<lib_tls::SigningRequest, String> {
    let pem = std::str::from_utf8(&request.spec.request.0).map_err(|_| "the request is not PEM".to_owned())?;
    lib_tls::SigningRequest::from_pem(pem).map_err(|error| error.to_string())
}
