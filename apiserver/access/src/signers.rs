//! Who may decide about certificate signing requests, and which may not even be made (upstream: the admission plugins
//! `CertificateApproval`, `CertificateSigning` and `CertificateSubjectRestriction`).

use api_meta::{GroupResource, Object, Status, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lib_tls::SigningRequest;

use crate::user::MASTERS;
use crate::{Attributes, Authorizer, ResourceAttributes, User};

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

fn signer(request: &Object) -> &str {
    request.str_at(&["spec", "signerName"]).unwrap_or_default()
}

fn forbidden(request: &Object, why: String) -> Status {
    Status::forbidden(&GroupResource::new(GROUP, "certificatesigningrequests"), request.name(), why)
}

/// Whether a user may do this for a signer, by its name or by that of all signers of its domain.
fn may(authorizer: &dyn Authorizer, user: &User, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let resource = ResourceAttributes {
            group: GROUP.into(),
            version: "*".into(),
            resource: "signers".into(),
            name,
            ..ResourceAttributes::default()
        };
        let attributes =
            Attributes { user: user.clone(), verb: verb.into(), resource: Some(resource), path: String::new() };
        authorizer.authorize(&attributes).is_allowed()
    })
}

/// An approval or denial, through `/approval`: for those who may `approve` for the signer.
///
/// # Errors
///
/// 403.
pub fn check_approval(authorizer: &dyn Authorizer, user: &User, old: &Object) -> Result<(), Status> {
    let signer = signer(old);
    if may(authorizer, user, "approve", signer) {
        return Ok(());
    }
    Err(forbidden(old, format!("user not permitted to approve requests with signerName {signer:?}")))
}

/// A certificate or a failure, through `/status`: for those who may `sign` for the signer.
///
/// # Errors
///
/// 403.
pub fn check_signing(authorizer: &dyn Authorizer, user: &User, old: &Object, new: &Object) -> Result<(), Status> {
    let same = |field: &str| {
        let of = |object: &Object| object.at(&["status", field]).filter(|v| !is_empty(v)).cloned();
        of(old) == of(new)
    };
    let signer = signer(old);
    if (same("certificate") && same("conditions")) || may(authorizer, user, "sign", signer) {
        return Ok(());
    }
    Err(forbidden(old, format!("user not permitted to sign requests with signerName {signer:?}")))
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("")
}

/// A new request: nobody asks this server's own signer to make them its master.
///
/// # Errors
///
/// 403.
pub fn check_subject(new: &Object) -> Result<(), Status> {
    if signer(new) != CLIENT_SIGNER {
        return Ok(());
    }
    let encoded = new.str_at(&["spec", "request"]).unwrap_or_default();
    let pem = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let parsed =
        SigningRequest::from_pem(&pem).map_err(|error| forbidden(new, format!("failed to parse CSR: {error}")))?;
    if parsed.claimed().groups.iter().any(|group| group == MASTERS) {
        return Err(forbidden(new, format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use lib_tls::Subject;

    use super::*;
    use crate::{Decision, RulesReview};

    /// May do these things: `approve kubernetes.io/*`.
    struct Only(&'static str);

    impl Authorizer for Only {
        fn authorize(&self, attributes: &Attributes) -> Decision {
            let name = attributes.resource.as_ref().map(|r| r.name.clone()).unwrap_or_default();
            let reason = String::new();
            match format!("{} {name}", attributes.verb) == self.0 {
                true => Decision::Allow { reason },
                false => Decision::NoOpinion { reason },
            }
        }

        fn rules(&self, _: &User, _: &str) -> RulesReview {
            RulesReview::default()
        }
    }

    fn request(signer: &str, subject: &Subject, status: Value) -> Object {
        let (pem, _) = SigningRequest::generate(subject).unwrap();
        let request = json!({"metadata": {"name": "r"}, "status": status,
            "spec": {"signerName": signer, "request": STANDARD.encode(pem)}});
        Object::try_from(request).unwrap()
    }

    fn ann() -> Subject {
        Subject::new("ann", ["dev"])
    }

    #[test]
    fn a_signer_is_named_or_its_domain() {
        let user = User::new("u", [""; 0]);
        let pending = request("kubernetes.io/kubelet-serving", &ann(), json!({}));
        let approve = |only| check_approval(&Only(only), &user, &pending).map_err(|status| status.message);
        assert_eq!(approve("approve kubernetes.io/kubelet-serving"), Ok(()));
        assert_eq!(approve("approve kubernetes.io/*"), Ok(()));
        let refused = approve("sign kubernetes.io/*").unwrap_err();
        assert!(
            refused
                .ends_with("user not permitted to approve requests with signerName \"kubernetes.io/kubelet-serving\""),
            "{refused}"
        );
        let signed = request("kubernetes.io/kubelet-serving", &ann(), json!({"certificate": "eA=="}));
        let sign = |only, new| check_signing(&Only(only), &user, &pending, new).is_ok();
        assert!(sign("sign kubernetes.io/*", &signed) && !sign("approve kubernetes.io/*", &signed));
        // Whoever changes neither needs no such right.
        assert!(sign("", &request("kubernetes.io/kubelet-serving", &ann(), json!({"conditions": []}))));
    }

    #[test]
    fn nobody_asks_to_be_master() {
        let root = Subject::new("root", [MASTERS]);
        assert!(check_subject(&request(CLIENT_SIGNER, &root, json!({}))).is_err());
        assert!(check_subject(&request(CLIENT_SIGNER, &ann(), json!({}))).is_ok());
        assert!(check_subject(&request("example.com/own", &root, json!({}))).is_ok());
        let garbage = json!({"spec": {"signerName": CLIENT_SIGNER, "request": "eA=="}});
        assert!(check_subject(&Object::try_from(garbage).unwrap()).is_err());
    }
}
