//! What each of the built-in signers signs (upstream: `certificates.ValidateKubeletClientCSR` and its neighbours).
//!
//! Two rules are narrower than upstream's. The unspecific signer `legacy-unknown` signs nothing that could sign in to
//! this cluster, since it checks no name; and no signer signs what a leaf cannot be.

use std::{collections::BTreeSet, time::Duration};

use lib_tls::{SigningRequest, Terms, Use};

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub(super) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const LEGACY: &str = "kubernetes.io/legacy-unknown";

pub(super) const SIGNERS: [&str; 4] = [CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY];

const MASTERS: &str = "system:masters";
const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// How long certificates hold that do not say (upstream: `--cluster-signing-duration`), and at most.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const SHORTEST: Duration = Duration::from_secs(600);

/// The terms on which a signer signs a request, or why it does not.
pub(super) fn terms(
    signer: &str,
    request: &SigningRequest,
    usages: &[String],
    lifetime: Option<Duration>,
) -> Result<Terms, String> {
    if let Some(more) = request.beyond_a_leaf() {
        return Err(format!("the request asks for {more}"));
    }
    let names = match signer {
        CLIENT => {
            client(request, usages)?;
            // As upstream, names of servers do no harm in a client's certificate.
            true
        }
        KUBELET_CLIENT => {
            kubelet_client(request, usages)?;
            false
        }
        KUBELET_SERVING => {
            kubelet_serving(request, usages)?;
            true
        }
        LEGACY => {
            legacy(usages)?;
            true
        }
        _ => return Err(format!("this cluster does not sign for {signer}")),
    };
    Ok(Terms {
        subject: request.claimed().clone(),
        dns_names: if names { request.dns_names().to_vec() } else { Vec::new() },
        addresses: if names { request.addresses().to_vec() } else { Vec::new() },
        uses: usages.iter().map(|usage| purpose(usage)).collect::<Result<_, _>>()?,
        lifetime: lifetime.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST),
    })
}

fn client(request: &SigningRequest, usages: &[String]) -> Result<(), String> {
    for usage in usages {
        if !["digital signature", "key encipherment", "client auth"].contains(&usage.as_str()) {
            return Err(format!("invalid usage for client certificate: {usage}"));
        }
    }
    if !usages.iter().any(|usage| usage == "client auth") {
        return Err("missing required usage for client certificate: client auth".to_owned());
    }
    // Admission refuses these when they come; whoever got around it gets no further.
    if request.claimed().groups.iter().any(|group| group == MASTERS) {
        return Err(format!("use of {CLIENT} signer with {MASTERS} group is not allowed"));
    }
    Ok(())
}

fn is_node(request: &SigningRequest) -> Result<(), String> {
    if request.claimed().groups != [NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    if !request.claimed().user.starts_with(NODE) {
        return Err("subject common name does not begin with system:node:".to_owned());
    }
    Ok(())
}

/// These, with or without what only RSA needs.
fn exactly(usages: &[String], needed: &str) -> Result<(), String> {
    let asked: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let plain = BTreeSet::from(["digital signature", needed]);
    let mut with_rsa = plain.clone();
    with_rsa.insert("key encipherment");
    if asked == plain || asked == with_rsa {
        return Ok(());
    }
    Err(format!("usages did not match {with_rsa:?}"))
}

pub(super) fn kubelet_client(request: &SigningRequest, usages: &[String]) -> Result<(), String> {
    is_node(request)?;
    if !request.dns_names().is_empty() {
        return Err("DNS subjectAltNames are not allowed".to_owned());
    }
    if !request.addresses().is_empty() {
        return Err("IP subjectAltNames are not allowed".to_owned());
    }
    exactly(usages, "client auth")
}

fn kubelet_serving(request: &SigningRequest, usages: &[String]) -> Result<(), String> {
    is_node(request)?;
    if request.dns_names().is_empty() && request.addresses().is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    exactly(usages, "server auth")
}

fn legacy(usages: &[String]) -> Result<(), String> {
    match usages.iter().any(|usage| usage == "client auth") {
        true => Err(format!("{LEGACY} does not sign for clients of this cluster; use {CLIENT}")),
        false => Ok(()),
    }
}

fn purpose(usage: &str) -> Result<Use, String> {
    Ok(match usage {
        "signing" | "digital signature" => Use::DigitalSignature,
        "content commitment" => Use::ContentCommitment,
        "key encipherment" => Use::KeyEncipherment,
        "data encipherment" => Use::DataEncipherment,
        "key agreement" => Use::KeyAgreement,
        "server auth" => Use::ServerAuth,
        "client auth" => Use::ClientAuth,
        "code signing" => Use::CodeSigning,
        "email protection" | "s/mime" => Use::EmailProtection,
        "timestamping" => Use::Timestamping,
        "ocsp signing" => Use::OcspSigning,
        other => return Err(format!("this cluster does not sign for the usage {other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use lib_tls::Subject;

    use super::*;

    fn request(user: &str, groups: &[&str]) -> SigningRequest {
        let subject = Subject::new(user, groups.iter().copied());
        SigningRequest::from_pem(&SigningRequest::generate(&subject).unwrap().0).unwrap()
    }

    #[track_caller]
    fn check(signer: &str, request: &SigningRequest, usages: &[&str], expect: Result<usize, &str>) {
        let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
        let terms = terms(signer, request, &usages, None).map(|terms| terms.uses.len());
        assert_eq!(terms.as_ref().map(|count| *count).map_err(|error| &**error), expect);
    }

    const CLIENT_USES: [&str; 3] = ["digital signature", "key encipherment", "client auth"];
    const SERVER_USES: [&str; 2] = ["digital signature", "server auth"];

    #[test]
    fn clients() {
        let ann = request("ann", &["dev"]);
        check(CLIENT, &ann, &CLIENT_USES, Ok(3));
        check(CLIENT, &ann, &["client auth"], Ok(1));
        check(CLIENT, &ann, &["digital signature"], Err("missing required usage for client certificate: client auth"));
        check(CLIENT, &ann, &["client auth", "server auth"], Err("invalid usage for client certificate: server auth"));
        check(CLIENT, &ann, &["client auth", "cert sign"], Err("invalid usage for client certificate: cert sign"));
        let root = request("root", &[MASTERS]);
        let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        check(CLIENT, &root, &CLIENT_USES, Err(why));
    }

    #[test]
    fn threat_20_only_a_node_gets_a_nodes_certificate() {
        let node = request("system:node:n", &[NODES]);
        check(KUBELET_CLIENT, &node, &CLIENT_USES, Ok(3));
        check(KUBELET_CLIENT, &node, &["digital signature", "client auth"], Ok(2));
        check(
            KUBELET_CLIENT,
            &node,
            &["client auth"],
            Err("usages did not match {\"client auth\", \"digital signature\", \"key encipherment\"}"),
        );
        let name = "subject common name does not begin with system:node:";
        for user in ["system:nodes:n", "System:node:n", "n", "system:node"] {
            check(KUBELET_CLIENT, &request(user, &[NODES]), &CLIENT_USES, Err(name));
        }
        let group = "subject organization is not system:nodes";
        for groups in [&[][..], &["system:node"], &["system:nodes "], &[MASTERS]] {
            check(KUBELET_CLIENT, &request("system:node:n", groups), &CLIENT_USES, Err(group));
        }
        check(KUBELET_SERVING, &node, &SERVER_USES, Err("DNS or IP subjectAltName is required"));
    }

    #[test]
    fn the_unspecific_signer_lets_nobody_in() {
        let root = request("root", &[MASTERS]);
        check(LEGACY, &root, &SERVER_USES, Ok(2));
        check(LEGACY, &root, &["code signing"], Ok(1));
        let why = "kubernetes.io/legacy-unknown does not sign for clients of this cluster; use kubernetes.io/kube-apiserver-client";
        check(LEGACY, &root, &CLIENT_USES, Err(why));
        for usage in ["cert sign", "crl sign", "any"] {
            check(LEGACY, &root, &[usage], Err(&format!("this cluster does not sign for the usage {usage:?}")));
        }
    }

    #[test]
    fn other_signers_are_not_ours() {
        check(
            "example.com/own",
            &request("a", &[]),
            &CLIENT_USES,
            Err("this cluster does not sign for example.com/own"),
        );
    }

    #[test]
    fn lifetimes_have_bounds() {
        let ann = request("ann", &[]);
        let lasts = |seconds: Option<u64>| {
            terms(CLIENT, &ann, &["client auth".to_owned()], seconds.map(Duration::from_secs))
                .unwrap()
                .lifetime
                .as_secs()
        };
        assert_eq!(lasts(None), 365 * 86_400);
        assert_eq!(lasts(Some(3600)), 3600);
        assert_eq!(lasts(Some(1)), 600);
        assert_eq!(lasts(Some(u64::MAX)), 365 * 86_400);
    }
}
