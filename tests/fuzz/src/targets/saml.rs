//! Responses and metadata of a SAML identity provider, in XML.
//!
//! The corpus is of `tests/peers/saml-idp/idp.py record`: responses to one request, in which a real provider says that
//! Alice signed in. The signatures in them are real too, so whatever is done to them may be refused, and may not be
//! anybody else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity_saml::{Config, KeyPair, Pending, Replay, ServiceProvider};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) const TOKENS: &[&str] = &[
    "<ns1:Assertion ",
    "</ns1:Assertion>",
    "<ns1:EncryptedAssertion>",
    "<ns1:NameID>",
    "<ns1:AttributeValue>",
    "<ns2:Signature>",
    "</ns2:Signature>",
    "<ns2:Object>",
    "<ns0:Extensions>",
    "</ns0:Extensions>",
    "<ns0:Status>",
    " ID=\"",
    " Id=\"",
    " URI=\"\"",
    " xmlns=\"\"",
    " xmlns:ns1=\"urn:x\"",
    "alice",
    "admin",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE x>",
    "<?x ?>",
    "&amp;",
    "&#x",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/2000/09/xmldsig#",
];

const KEY: &str = include_str!("../../../../identity/saml/tests/recorded/sp.key");
const CERTIFICATE: &str = include_str!("../../../../identity/saml/tests/recorded/sp.pem");
const PROVIDER: &str = include_str!("../../../../identity/saml/tests/recorded/idp.pem");
const RESPONSE: &str = include_str!("../../../../identity/saml/tests/recorded/signed.xml");

fn fields() -> Value {
    json!({
        "entityIssuer": "https://acp.example.com/dex",
        "redirectURI": "https://acp.example.com/dex/callback/saml",
        "usernameAttr": "urn:mace:dir:attribute-def:uid",
        "emailAttr": "urn:mace:dir:attribute-def:mail",
        "wantAssertionsSigned": false,
    })
}

fn service(more: Value) -> Option<ServiceProvider> {
    let mut config: Map<String, Value> = fields().as_object().cloned().unwrap_or_default();
    config.extend(more.as_object().cloned().unwrap_or_default());
    let key = KeyPair::new(&der(KEY), &der(CERTIFICATE)).expect("a key pair of ours");
    Some(ServiceProvider::new(Config::parse("corp", &config.into()).ok()?, key))
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).expect("PEM")
}

/// Reading a key takes longer than reading most of the messages.
static SERVICE: LazyLock<ServiceProvider> = LazyLock::new(|| {
    service(json!({
        "ssoIssuer": "https://idp.example.com/metadata",
        "ssoURL": "https://idp.example.com/sso",
        "certificates": [PROVIDER],
    }))
    .expect("a configuration")
});

struct Nothing;

impl Replay for Nothing {
    fn first_time(&mut self, _issuer: &str, _id: &str, _until: Timestamp) -> bool {
        true
    }
}

pub(super) fn response(data: &[u8]) {
    let (_, made) = RESPONSE.split_once("IssueInstant=\"").expect("a response");
    let now: Timestamp = made.split('"').next().and_then(|made| made.parse().ok()).expect("a time");
    let request_id = "id-0123456789abcdef0123456789abcdef".to_owned();
    let pending = Pending { request_id, connector: "corp".to_owned(), issued: now };
    let Ok(person) = SERVICE.finish(&pending, &STANDARD.encode(data), now, &mut Nothing) else { return };
    let said = (person.username.as_str(), person.email.as_str(), person.session.name_id.value.as_str());
    assert_eq!(
        said,
        ("alice", "alice@example.com", "id-of-alice"),
        "what was signed can be refused, and not be changed"
    );
    assert_eq!(person.attributes["groups"], ["staff", "cluster-admins"]);
}

/// A configuration from it either sends people somewhere or says what is wrong.
pub(super) fn metadata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Where there is none, fields have to say what it would.
    if text.is_empty() {
        return;
    }
    if let Err(invalid) = Config::parse("corp", &with(fields(), "idpMetadata", &text)) {
        let all = invalid.mistakes();
        assert!(
            !all.is_empty()
                && all.iter().all(|mistake| mistake.field == "spec.config.idpMetadata" && !mistake.why.is_empty())
        );
        return;
    }
    let service = service(json!({"idpMetadata": text})).expect("the same again");
    service.begin(Timestamp::UNIX_EPOCH, None).expect("there is somewhere to go");
}

fn with(mut config: Value, field: &str, text: &str) -> Value {
    config[field] = text.into();
    config
}
