use serde_json::{Value, json};

use super::{CONNECTOR, config_with, recorded};
use crate::Config;

#[track_caller]
fn check(changes: Value, expect: &[&str]) {
    let invalid = Config::parse(CONNECTOR, &config_with(changes)).map(|_| ()).unwrap_err();
    let found: Vec<String> = invalid.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, expect) in found.iter().zip(expect) {
        let found = found.strip_prefix("spec.config.").unwrap();
        assert!(found.starts_with(expect), "{found:?} does not begin with {expect:?}");
    }
}

#[test]
fn everything_at_once() {
    check(
        json!({
            "ssoURL": "ldap://idp", "redirectURI": null, "emailAttr": 5, "wantAssertionsSigned": "yes",
            "nameIDPolicyFormat": "short", "requestBinding": "artifact", "grupsAttr": "groups",
        }),
        &[
            "grupsAttr: there is no such field; there are entityIssuer,",
            "ssoURL: \"ldap://idp\": it has to be an address that begins with https:// or http://",
            "requestBinding: \"artifact\": it may be redirect or post",
            "redirectURI: it is required: where the provider sends people back to",
            "emailAttr: it has to be a text",
            "nameIDPolicyFormat: \"short\": it has to be a urn: or one of emailAddress,",
            "wantAssertionsSigned: \"yes\": it has to be true or false",
        ],
    );
}

#[test]
fn nothing() {
    let invalid = Config::parse(CONNECTOR, &json!({})).unwrap_err();
    let fields: Vec<&str> = invalid.mistakes().iter().map(|mistake| mistake.field.as_str()).collect();
    let all = ["ssoIssuer", "ssoURL", "certificates", "redirectURI", "usernameAttr", "emailAttr"];
    assert_eq!(fields, all.map(|field| format!("spec.config.{field}")));
    assert!(Config::parse(CONNECTOR, &json!([])).is_err());
}

#[test]
fn dangerous_of_dex() {
    check(
        json!({"insecureSkipSignatureValidation": true}),
        &["insecureSkipSignatureValidation: true: anybody could sign in as anybody"],
    );
    check(json!({"ca": "/etc/ca.pem"}), &["ca: \"/etc/ca.pem\": files are not read"]);
}

#[test]
fn certificates() {
    check(json!({"certificates": ["nonsense!"]}), &["certificates[0]: it is neither PEM nor base64"]);
    check(json!({"certificates": [recorded("idp.pem"), "AAAA"]}), &["certificates[1]: it is no X.509 certificate"]);
    check(json!({"certificates": []}), &["certificates: it is required"]);
    check(json!({"certificates": [recorded("sp.key")]}), &["certificates[0]: it is no X.509 certificate"]);
    check(
        json!({"certificates": [recorded("idp.pem").repeat(11)]}),
        &["certificates: it has 11 certificates, more than 10"],
    );
}

#[test]
fn groups() {
    check(
        json!({"groupsAttr": null, "groupsDelim": ",", "allowedGroups": ["a"]}),
        &["groupsDelim: \",\": it means nothing without groupsAttr", "allowedGroups: [\"a\"]: it means nothing"],
    );
    check(json!({"filterGroups": true}), &["filterGroups: true: nobody would have a group left"]);
}

#[test]
fn metadata_and_fields() {
    let metadata = recorded("idp-metadata.xml");
    check(
        json!({"idpMetadata": metadata}),
        &["ssoIssuer: it is in idpMetadata already", "ssoURL: it is in", "sloURL: it is in", "certificates: it is in"],
    );
}

#[test]
fn blank_metadata() {
    let fields = |text: &str| json!({"idpMetadata": text, "ssoIssuer": null, "ssoURL": null, "sloURL": null, "certificates": null});
    check(fields(" \n"), &["idpMetadata: it is required"]);
    check(fields(""), &["ssoIssuer: it is required", "ssoURL: it is required", "certificates: it is required"]);
}

#[track_caller]
fn check_metadata(from: &str, to: &str, expect: &str) {
    let metadata = recorded("idp-metadata.xml");
    let changed = metadata.replace(from, to);
    assert_ne!(changed, metadata);
    let fields =
        json!({"idpMetadata": changed, "ssoIssuer": null, "ssoURL": null, "sloURL": null, "certificates": null});
    check(fields, &[expect]);
}

#[test]
fn broken_metadata() {
    check_metadata("ns0:EntityDescriptor", "ns0:EntitiesDescriptor", "idpMetadata: it begins with EntitiesDescriptor");
    check_metadata(
        "ns0:IDPSSODescriptor",
        "ns0:SPSSODescriptor",
        "idpMetadata: EntityDescriptor has no IDPSSODescriptor",
    );
    check_metadata("ns0:SingleSignOnService", "ns0:Other", "idpMetadata: it has no SingleSignOnService");
    check_metadata("https://idp.example.com/sso", "javascript:alert(1)", "idpMetadata: it has \"javascript:alert(1)\"");
    check_metadata("ns0:KeyDescriptor", "ns0:Other", "idpMetadata: it has no certificate to sign with");
    check_metadata("<ns0:IDPSSO", "<!DOCTYPE x><ns0:IDPSSO", "idpMetadata: it cannot be read: it has a document type");
}

#[test]
fn metadata_with_many_certificates() {
    let metadata = recorded("idp-metadata.xml");
    let start = metadata.find("<ns0:KeyDescriptor").unwrap();
    let end = metadata.find("</ns0:KeyDescriptor>").unwrap() + "</ns0:KeyDescriptor>".len();
    let key = &metadata[start..end];
    check_metadata(key, &key.repeat(11), "idpMetadata: it has ");
}

#[test]
fn metadata_with_comments() {
    let metadata = format!("<?xml version=\"1.0\"?><!-- of the staff -->{}", recorded("idp-metadata.xml"));
    let fields =
        json!({"idpMetadata": metadata, "ssoIssuer": null, "ssoURL": null, "sloURL": null, "certificates": null});
    Config::parse(CONNECTOR, &config_with(fields)).unwrap();
}
