//! Who may approve and sign certificate signing requests, and for whom no request is taken.

use api_meta::{Object, Status, Value};
use apiserver_access::{Attributes as Question, MASTERS, ResourceAttributes};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lib_tls::SigningRequest;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

fn signer(request: &Object) -> &str {
    request.str_at(&["spec", "signerName"]).unwrap_or_default()
}

/// Whether the user may do this for the signer, or for all signers of its domain.
fn may(attributes: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let question = Question {
            user: attributes.user.clone(),
            verb: verb.into(),
            path: String::new(),
            resource: Some(ResourceAttributes {
                group: "certificates.k8s.io".into(),
                version: "*".into(),
                resource: "signers".into(),
                name,
                ..ResourceAttributes::default()
            }),
        };
        attributes.authorizer.authorize(&question).is_allowed()
    })
}

fn is_update_of(attributes: &Attributes<'_>, subresource: &str) -> bool {
    attributes.operation == Operation::Update
        && attributes.is_of("certificates.k8s.io", "certificatesigningrequests")
        && attributes.subresource == subresource
}

pub(crate) struct CertificateApproval;

#[async_trait]
impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        is_update_of(attributes, "approval")
    }

    async fn validate(&self, attributes: &Attributes<'_>, request: &Object) -> Result<(), Status> {
        // As it was: nobody helps themselves by naming another signer.
        let signer = attributes.old.map(signer).unwrap_or_default();
        if may(attributes, "approve", signer) {
            return Ok(());
        }
        let why = format!("user not permitted to approve requests with signerName {signer:?}");
        Err(attributes.forbidden(request, why))
    }
}

pub(crate) struct CertificateSigning;

#[async_trait]
impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        is_update_of(attributes, "status")
    }

    async fn validate(&self, attributes: &Attributes<'_>, request: &Object) -> Result<(), Status> {
        let Some(old) = attributes.old else { return Ok(()) };
        let said = |request: &Object| ["certificate", "conditions"].map(|key| request.at(&["status", key]).cloned());
        if said(request) == said(old) || may(attributes, "sign", signer(old)) {
            return Ok(());
        }
        let why = format!("user not permitted to sign requests with signerName {:?}", signer(old));
        Err(attributes.forbidden(request, why))
    }
}

const API_CLIENTS: &str = "kubernetes.io/kube-apiserver-client";

pub(crate) struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("certificates.k8s.io", "certificatesigningrequests")
    }

    async fn validate(&self, attributes: &Attributes<'_>, request: &Object) -> Result<(), Status> {
        if signer(request) != API_CLIENTS {
            return Ok(());
        }
        let groups = organizations(request.at(&["spec", "request"]))
            .map_err(|why| attributes.forbidden(request, format!("failed to parse CSR: {why}")))?;
        if groups.iter().any(|group| group == MASTERS) {
            let why = format!("use of {API_CLIENTS} signer with {MASTERS} group is not allowed");
            return Err(attributes.forbidden(request, why));
        }
        Ok(())
    }
}

/// The organisations in the subject of a request: base64 of PEM.
fn organizations(request: Option<&Value>) -> Result<Vec<String>, String> {
    let pem = request.and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let pem = pem.and_then(|pem| String::from_utf8(pem).ok()).ok_or("PEM block type must be CERTIFICATE REQUEST")?;
    let asked = SigningRequest::from_pem(&pem).map_err(|error| error.to_string())?;
    Ok(asked.claimed().groups.clone())
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use lib_tls::Subject;

    use super::*;

    #[test]
    fn organizations_are_read_from_the_request() {
        let (pem, _) = SigningRequest::generate(&Subject::new("eve", [MASTERS])).unwrap();
        assert_eq!(organizations(Some(&json!(STANDARD.encode(pem)))), Ok(vec![MASTERS.to_owned()]));
        for odd in [None, Some(json!("?")), Some(json!(STANDARD.encode("x")))] {
            assert!(organizations(odd.as_ref()).is_err());
        }
    }
}
