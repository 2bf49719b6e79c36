use serde_json::{Value, json};

use super::{finish, provider, recorded};
use crate::{NameId, ProviderSession};

#[track_caller]
fn check(name: &str, changes: Value) {
    let person = finish(&provider(changes), &recorded(&format!("{name}.xml")));
    let person = person.unwrap_or_else(|error| panic!("{name}: {}", super::whole(&error)));
    assert_eq!(person.username, "alice", "{name}");
    assert_eq!(person.email, "alice@example.com", "{name}");
    assert_eq!(person.groups, ["cluster-admins", "staff"], "{name}");
}

#[test]
fn whole_person() {
    let person = finish(&provider(json!({})), &recorded("signed.xml")).unwrap();
    assert_eq!(person.name.as_deref(), Some("Alice Liddell"));
    assert_eq!(person.attributes["groups"], ["staff", "cluster-admins"]);
    let ProviderSession { name_id, index } = person.session;
    assert!(index.is_some_and(|index| index.starts_with("id-")));
    assert_eq!(
        name_id,
        NameId {
            value: "id-of-alice".to_owned(),
            format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
            name_qualifier: None,
            sp_name_qualifier: Some(super::ENTITY.to_owned()),
        }
    );
}

#[test]
fn signatures() {
    check("signed", json!({}));
    check("both-signed", json!({}));
    check("sha384", json!({}));
    check("sha512", json!({}));
    check("inclusive-prefixes", json!({}));
    check("inclusive-default", json!({}));
    check("inclusive-default-undone", json!({}));
    check("ecdsa-p256", json!({"certificates": [recorded("p256.pem")]}));
    check("ecdsa-p384", json!({"certificates": [recorded("p384.pem")]}));
}

#[test]
fn signature_of_the_response_where_that_is_enough() {
    let content = json!({"wantAssertionsSigned": false});
    check("response-signed", content.clone());
    check("signed", content.clone());
    check("both-signed", content.clone());
    check("encrypted-response-signed", content);
}

#[test]
fn encrypted() {
    let wanted = json!({"wantAssertionsEncrypted": true});
    check("encrypted-gcm", wanted.clone());
    check("encrypted-gcm128", wanted.clone());
    check("encrypted-both-signed", wanted.clone());
    check("encrypted-cbc-both-signed", wanted.clone());
    check("encrypted-cbc128-both-signed", wanted);
}

#[test]
fn new_certificate_beside_the_old_one() {
    check("signed", json!({"certificates": [recorded("expired.pem"), recorded("idp.pem")]}));
    check("signed", json!({"caData": recorded("expired.pem") + &recorded("idp.pem"), "certificates": null}));
}

#[test]
fn metadata_in_place_of_fields() {
    let nothing = json!({
        "idpMetadata": recorded("idp-metadata.xml"),
        "ssoIssuer": null, "ssoURL": null, "sloURL": null, "certificates": null,
    });
    check("signed", nothing);
}

#[test]
fn groups_in_one_value() {
    let split = json!({"groupsDelim": ";", "allowedGroups": ["staff", "other"]});
    assert_eq!(finish(&provider(split.clone()), &recorded("bob.xml")).unwrap().groups, ["night-shift", "staff"]);
    let mut filtered = split;
    filtered["filterGroups"] = json!(true);
    assert_eq!(finish(&provider(filtered), &recorded("bob.xml")).unwrap().groups, ["staff"]);
}

#[test]
fn base64_in_lines() {
    use base64::Engine as _;
    let xml = recorded("signed.xml");
    let text = base64::engine::general_purpose::STANDARD.encode(&xml);
    let lines: Vec<&str> = text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let person = provider(json!({})).finish(
        &super::pending(&xml),
        &lines.join("\r\n"),
        super::made(&xml),
        &mut super::Seen::default(),
    );
    assert_eq!(person.unwrap().username, "alice");
}
