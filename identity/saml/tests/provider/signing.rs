//! What we sign, held against xmlsec1. That the provider holds it, and our metadata, against the schemas of SAML, is in
//! every other test.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity_saml::{Form, Outgoing};
use jiff::Timestamp;
use serde_json::json;

use crate::idp::Idp;

fn message(outgoing: &Outgoing) -> String {
    let Outgoing::Post(Form { fields, .. }) = outgoing else { panic!("{outgoing:?}") };
    String::from_utf8(STANDARD.decode(&fields[0].1).unwrap()).unwrap()
}

/// Whether the program finds the signature of an element right, with the certificate in our metadata.
fn verifies(xml: &str, element: &str, metadata: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let certificate = metadata.split_once("<ds:X509Certificate>").unwrap().1.split_once('<').unwrap().0;
    fs::write(
        path("certificate.pem"),
        format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"),
    )
    .unwrap();
    fs::write(path("message.xml"), xml).unwrap();
    let output = Command::new("xmlsec1")
        .args(["--verify", "--enabled-reference-uris", "same-doc", "--id-attr:ID", element, "--pubkey-cert-pem"])
        .args([path("certificate.pem"), path("message.xml")])
        .output()
        .expect("xmlsec1 is there; `cargo xtask tools` installs it");
    output.status.success()
}

#[test]
fn enveloped_signatures() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({"entityIssuer": "urn:acp:<&\"'>"}));
    let (outgoing, _) = provider.begin(Timestamp::now(), None).unwrap();
    let xml = message(&outgoing);
    assert!(verifies(&xml, "AuthnRequest", &provider.metadata()), "{xml}");
    assert!(!verifies(&xml.replace("persistent", "transient"), "AuthnRequest", &provider.metadata()));
}
