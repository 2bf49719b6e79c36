use serde_json::{Value, json};

use super::{CONNECTOR, config_with, recorded};
use crate::Config;

#[track_caller]
fn check(changes: Value, expect: &[&str]) {
    let mistakes = Config::parse(CONNECTOR, &config_with(changes)).map(|_| ()).unwrap_err();
    let found: Vec<String> = mistakes.0.iter().map(|mistake| format!("{}: {}", mistake.field, mistake.text)).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, expect) in found.iter().zip(expect) {
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
            "grupsAttr: is not known; the fields are entityIssuer,",
            "ssoURL: is \"ldap://idp\", and must be an https:// or http:// address",
            "requestBinding: is \"artifact\", and must be redirect or post",
            "redirectURI: is required",
            "emailAttr: is 5, and must be a text",
            "nameIDPolicyFormat: is \"short\", and must be a urn: or one of emailAddress,",
            "wantAssertionsSigned: is \"yes\", and must be true or false",
        ],
    );
}

#[test]
fn nothing() {
    let mistakes = Config::parse(CONNECTOR, &json!({})).unwrap_err();
    let fields: Vec<&str> = mistakes.0.iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(fields, ["ssoIssuer", "ssoURL", "certificates", "redirectURI", "usernameAttr", "emailAttr"]);
    assert!(Config::parse(CONNECTOR, &json!([])).is_err());
}

#[test]
fn dangerous_of_dex() {
    check(json!({"insecureSkipSignatureValidation": true}), &["insecureSkipSignatureValidation: is not offered"]);
    check(json!({"ca": "/etc/ca.pem"}), &["ca: names a file"]);
}

#[test]
fn certificates() {
    check(json!({"certificates": ["nonsense!"]}), &["certificates[0]: is neither PEM nor base64"]);
    check(json!({"certificates": [recorded("idp.pem"), "AAAA"]}), &["certificates[1]: is no X.509 certificate"]);
    check(json!({"certificates": []}), &["certificates: is required"]);
    check(json!({"certificates": [recorded("sp.key")]}), &["certificates[0]: is no X.509 certificate"]);
    check(
        json!({"certificates": [recorded("idp.pem").repeat(11)]}),
        &["certificates: has 11 certificates, more than 10"],
    );
}

#[test]
fn groups() {
    check(
        json!({"groupsAttr": null, "groupsDelim": ",", "allowedGroups": ["a"]}),
        &["groupsDelim: means nothing without groupsAttr", "allowedGroups: means nothing without groupsAttr"],
    );
    check(json!({"filterGroups": true}), &["filterGroups: would leave nobody a group"]);
}

#[test]
fn metadata_and_fields() {
    let metadata = recorded("idp-metadata.xml");
    check(
        json!({"idpMetadata": metadata}),
        &["ssoIssuer: is in idpMetadata already", "ssoURL: is in", "sloURL: is in", "certificates: is in"],
    );
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
    check_metadata("ns0:EntityDescriptor", "ns0:EntitiesDescriptor", "idpMetadata: begins with EntitiesDescriptor");
    check_metadata(
        "ns0:IDPSSODescriptor",
        "ns0:SPSSODescriptor",
        "idpMetadata: EntityDescriptor has no IDPSSODescriptor",
    );
    check_metadata("ns0:SingleSignOnService", "ns0:Other", "idpMetadata: has no SingleSignOnService");
    check_metadata("https://idp.example.com/sso", "javascript:alert(1)", "idpMetadata: has \"javascript:alert(1)\"");
    check_metadata("ns0:KeyDescriptor", "ns0:Other", "idpMetadata: has no certificate to sign with");
    check_metadata("<ns0:IDPSSO", "<!DOCTYPE x><ns0:IDPSSO", "idpMetadata: cannot be read: it has a document type");
}

#[test]
fn metadata_with_many_certificates() {
    let metadata = recorded("idp-metadata.xml");
    let start = metadata.find("<ns0:KeyDescriptor").unwrap();
    let end = metadata.find("</ns0:KeyDescriptor>").unwrap() + "</ns0:KeyDescriptor>".len();
    let key = &metadata[start..end];
    check_metadata(key, &key.repeat(11), "idpMetadata: has ");
}

#[test]
fn metadata_with_comments() {
    let metadata = format!("<?xml version=\"1.0\"?><!-- of the staff -->{}", recorded("idp-metadata.xml"));
    let fields =
        json!({"idpMetadata": metadata, "ssoIssuer": null, "ssoURL": null, "sloURL": null, "certificates": null});
    Config::parse(CONNECTOR, &config_with(fields)).unwrap();
}
