//! What an administrator says about a provider: the `config` of a Connector of the type `saml`.
//!
//! The names are Dex's where Dex has the thing.

use identity_config::{Fields, InvalidConfig};
use serde_json::Value;
use url::Url;

use crate::binding::{Binding, Endpoint};
use crate::certificate::Certificate;
use crate::metadata::Provider;

/// How many certificates one provider may sign with; two are usual while one replaces the other.
const CERTIFICATES: usize = 10;

/// A provider, and what is taken from its assertions.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) connector: String,
    /// Our entity ID.
    pub(crate) entity: String,
    pub(crate) provider: Provider,
    /// Our assertion consumer service.
    pub(crate) redirect: Url,
    /// Our single logout service.
    pub(crate) logout: Option<Url>,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) name: Option<String>,
    pub(crate) groups: Groups,
    pub(crate) name_id_format: String,
    pub(crate) signed_assertions: bool,
    pub(crate) encrypted_assertions: bool,
}

/// Which groups a person has, and which of them count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    pub(crate) attribute: Option<String>,
    pub(crate) delimiter: Option<String>,
    pub(crate) allowed: Vec<String>,
    pub(crate) filter: bool,
}

const FIELDS: &[&str] = &[
    "entityIssuer",
    "ssoIssuer",
    "ssoURL",
    "sloURL",
    "requestBinding",
    "caData",
    "certificates",
    "idpMetadata",
    "redirectURI",
    "logoutURI",
    "usernameAttr",
    "emailAttr",
    "nameAttr",
    "groupsAttr",
    "groupsDelim",
    "filterGroups",
    "allowedGroups",
    "nameIDPolicyFormat",
    "wantAssertionsSigned",
    "wantAssertionsEncrypted",
];

/// What the provider's metadata says in one, and fields say one by one.
const OF_THE_PROVIDER: &[&str] = &["ssoIssuer", "ssoURL", "sloURL", "requestBinding", "caData", "certificates"];

impl Config {
    /// Reads the `config` of the Connector that has this id.
    ///
    /// # Errors
    ///
    /// Every mistake, with its field.
    pub fn parse(connector: &str, config: &Value) -> Result<Self, InvalidConfig> {
        identity_config::read(config, |fields| Self::read(connector, fields))
    }

    /// `None` only beside a mistake.
    fn read(connector: &str, fields: &Fields<'_>) -> Option<Self> {
        if fields.has("ca") {
            fields.mistake("ca", "files are not read; put the certificate itself into caData");
        }
        if fields.has("insecureSkipSignatureValidation") {
            let way = "anybody could sign in as anybody; put the provider's certificate into caData, and take this out";
            fields.mistake("insecureSkipSignatureValidation", way);
        }
        fields.only(FIELDS);
        let provider = provider(fields);
        let redirect = required(fields, "redirectURI", "where the provider sends people back to; register it there");
        let redirect = redirect.and_then(|text| url(fields, "redirectURI", text));
        let entity = text(fields, "entityIssuer");
        let logout = text(fields, "logoutURI").and_then(|text| url(fields, "logoutURI", text));
        let username = required(fields, "usernameAttr", "the attribute with the name that people are known by");
        let email = required(fields, "emailAttr", "the attribute with the email address");
        let name = text(fields, "nameAttr");
        let groups = groups(fields);
        let name_id_format = name_id_format(fields);
        let signed_assertions = fields.flag_or("wantAssertionsSigned", true);
        let encrypted_assertions = fields.flag("wantAssertionsEncrypted");
        let redirect = redirect?;
        Some(Self {
            connector: connector.to_owned(),
            entity: entity.map_or_else(|| redirect.to_string(), str::to_owned),
            provider: provider?,
            redirect,
            logout,
            username: username?.to_owned(),
            email: email?.to_owned(),
            name: name.map(str::to_owned),
            groups,
            name_id_format: name_id_format?,
            signed_assertions,
            encrypted_assertions,
        })
    }
}

/// A text without the space around it that pasting brings along.
fn text<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a str> {
    fields.text(name).map(str::trim).filter(|text| !text.is_empty())
}

fn required<'a>(fields: &Fields<'a>, name: &str, what: &str) -> Option<&'a str> {
    text(fields, name).or_else(|| fields.missing(name, what))
}

fn url(fields: &Fields<'_>, name: &str, text: &str) -> Option<Url> {
    let url = address(text);
    if url.is_none() {
        fields.mistake(name, "it has to be an address that begins with https:// or http://");
    }
    url
}

fn provider(fields: &Fields<'_>) -> Option<Provider> {
    if !fields.has("idpMetadata") {
        return provider_by_fields(fields);
    }
    for field in OF_THE_PROVIDER.iter().filter(|field| fields.has(field)) {
        fields.secret_mistake(field, "it is in idpMetadata already; take one of the two out");
    }
    match Provider::from_metadata(required(fields, "idpMetadata", "the provider's EntityDescriptor, in XML")?) {
        Ok(provider) => {
            not_too_many(fields, "idpMetadata", &provider.certificates);
            Some(provider)
        }
        Err(error) => {
            fields.secret_mistake("idpMetadata", &chain(&error));
            None
        }
    }
}

fn provider_by_fields(fields: &Fields<'_>) -> Option<Provider> {
    let issuer = required(fields, "ssoIssuer", "the provider's entity ID");
    let sign_in = required(fields, "ssoURL", "where people sign in at the provider");
    let sign_in = sign_in.and_then(|text| url(fields, "ssoURL", text));
    let logout = text(fields, "sloURL").and_then(|text| url(fields, "sloURL", text));
    let binding = match text(fields, "requestBinding") {
        None | Some("redirect") => Binding::Redirect,
        Some("post") => Binding::Post,
        Some(_) => {
            fields.mistake("requestBinding", "it may be redirect or post");
            Binding::Redirect
        }
    };
    let certificates = certificates(fields);
    let endpoint = |url: Url| Endpoint { url, binding };
    let logout = logout.map(endpoint);
    Some(Provider {
        issuer: issuer?.to_owned(),
        sign_in: endpoint(sign_in?),
        logout_answer: logout.clone(),
        logout,
        certificates: certificates?,
    })
}

fn certificates(fields: &Fields<'_>) -> Option<Vec<Certificate>> {
    let mut all = Some(Vec::new());
    for field in ["caData", "certificates"] {
        for (at, text) in fields.one_or_more(field).into_iter().enumerate() {
            match Certificate::read_all(text) {
                Ok(read) => all.iter_mut().for_each(|all| all.extend_from_slice(&read)),
                Err(error) => {
                    fields.secret_mistake(&format!("{field}[{at}]"), &error.to_string());
                    all = None;
                }
            }
        }
    }
    let all = all?;
    if all.is_empty() {
        return fields.missing("certificates", "the certificate that the provider signs with, in PEM");
    }
    not_too_many(fields, "certificates", &all);
    Some(all)
}

/// Each is tried with each signature.
fn not_too_many(fields: &Fields<'_>, name: &str, certificates: &[Certificate]) {
    let count = certificates.len();
    if count > CERTIFICATES {
        let way = format!("it has {count} certificates, more than {CERTIFICATES}; take out those of the past");
        fields.secret_mistake(name, &way);
    }
}

fn groups(fields: &Fields<'_>) -> Groups {
    let groups = Groups {
        attribute: text(fields, "groupsAttr").map(str::to_owned),
        delimiter: fields.text("groupsDelim").map(str::to_owned),
        allowed: fields.one_or_more("allowedGroups").into_iter().map(str::to_owned).collect(),
        filter: fields.flag("filterGroups"),
    };
    if groups.attribute.is_none() {
        for field in ["groupsDelim", "allowedGroups", "filterGroups"].into_iter().filter(|field| fields.has(field)) {
            fields.mistake(field, "it means nothing without groupsAttr");
        }
    }
    if groups.filter && groups.allowed.is_empty() {
        fields.mistake("filterGroups", "nobody would have a group left; name those that count in allowedGroups");
    }
    groups
}

fn name_id_format(fields: &Fields<'_>) -> Option<String> {
    let format = full_name_id_format(text(fields, "nameIDPolicyFormat").unwrap_or("persistent"));
    if format.is_none() {
        let way = format!("it has to be a urn: or one of {}", SHORT_FORMATS.map(|format| format.0).join(", "));
        fields.mistake("nameIDPolicyFormat", &way);
    }
    format
}

/// Dex's short names.
const SHORT_FORMATS: [(&str, &str); 8] = [
    ("emailAddress", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
    ("unspecified", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"),
    ("X509SubjectName", "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"),
    ("WindowsDomainQualifiedName", "urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName"),
    ("entity", "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"),
    ("kerberos", "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos"),
    ("persistent", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"),
    ("transient", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
];

fn full_name_id_format(text: &str) -> Option<String> {
    let short = SHORT_FORMATS.iter().find(|(short, _)| *short == text).map(|(_, full)| (*full).to_owned());
    short.or_else(|| text.starts_with("urn:").then(|| text.to_owned()))
}

/// An address that a browser can be sent to.
pub(crate) fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

/// An error with its sources: a configuration's mistakes are shown as texts.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
