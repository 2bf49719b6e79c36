//! What an administrator says about a provider: the `config` of a Connector of the type `saml`.
//!
//! The names are Dex's where Dex has the thing. Everything that is wrong is said at once, by field.

use std::fmt;

use serde_json::{Map, Value};
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

/// All that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidConfig(pub Vec<Mistake>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The field in `config`.
    pub field: String,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{}: {}", if at == 0 { "" } else { "; " }, mistake.field, mistake.text)?;
        }
        Ok(())
    }
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
    pub fn parse(connector: &str, config: &Value) -> Result<Self, InvalidConfig> {
        let empty = Map::new();
        let mut read = Reader { config: config.as_object().unwrap_or(&empty), mistakes: Vec::new() };
        if !config.is_object() {
            read.mistake("config", "must be an object");
        }
        read.unknown_fields();
        let provider = read.provider();
        let redirect = read.required_url("redirectURI");
        let entity = read.text("entityIssuer");
        let logout = read.url("logoutURI");
        let (username, email) = (read.required("usernameAttr"), read.required("emailAttr"));
        let name = read.text("nameAttr");
        let groups = read.groups();
        let name_id_format = read.name_id_format();
        let signed_assertions = read.flag("wantAssertionsSigned", true);
        let encrypted_assertions = read.flag("wantAssertionsEncrypted", false);
        match (provider, redirect, username, email) {
            (Some(provider), Some(redirect), Some(username), Some(email)) if read.mistakes.is_empty() => Ok(Self {
                connector: connector.to_owned(),
                entity: entity.unwrap_or_else(|| redirect.to_string()),
                provider,
                redirect,
                logout,
                username,
                email,
                name,
                groups,
                name_id_format,
                signed_assertions,
                encrypted_assertions,
            }),
            _ => Err(InvalidConfig(read.mistakes)),
        }
    }
}

struct Reader<'c> {
    config: &'c Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, field: &str, text: impl Into<String>) {
        self.mistakes.push(Mistake { field: field.to_owned(), text: text.into() });
    }

    fn unknown_fields(&mut self) {
        let unknown: Vec<&String> = self.config.keys().filter(|field| !FIELDS.contains(&field.as_str())).collect();
        for field in unknown {
            let text = match field.as_str() {
                "ca" => "names a file, and no file is read here; put its content into caData".to_owned(),
                "insecureSkipSignatureValidation" => "is not offered: anybody could sign in as anybody".to_owned(),
                _ => format!("is not known; the fields are {}", FIELDS.join(", ")),
            };
            self.mistakes.push(Mistake { field: field.clone(), text });
        }
    }

    fn has(&self, field: &str) -> bool {
        self.config.get(field).is_some_and(|value| !value.is_null())
    }

    /// A text that is not empty.
    fn text(&mut self, field: &str) -> Option<String> {
        match self.config.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Some(Value::String(_)) => {
                self.mistake(field, "is empty; leave it out or give it a value");
                None
            }
            Some(other) => {
                self.mistake(field, format!("is {other}, and must be a text"));
                None
            }
        }
    }

    fn required(&mut self, field: &str) -> Option<String> {
        if !self.has(field) {
            self.mistake(field, "is required");
        }
        self.text(field)
    }

    fn url(&mut self, field: &str) -> Option<Url> {
        let text = self.text(field)?;
        match address(&text) {
            Some(url) => Some(url),
            None => {
                self.mistake(field, format!("is {text:?}, and must be an https:// or http:// address"));
                None
            }
        }
    }

    fn required_url(&mut self, field: &str) -> Option<Url> {
        if !self.has(field) {
            self.mistake(field, "is required");
        }
        self.url(field)
    }

    fn flag(&mut self, field: &str, unless_said: bool) -> bool {
        match self.config.get(field) {
            None | Some(Value::Null) => unless_said,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.mistake(field, format!("is {other}, and must be true or false"));
                unless_said
            }
        }
    }

    /// One text, or a list of them.
    fn texts(&mut self, field: &str) -> Vec<String> {
        let texts: Option<Vec<String>> = match self.config.get(field) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::String(text)) => return vec![text.clone()],
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        texts.unwrap_or_else(|| {
            self.mistake(field, "must be a list of texts");
            Vec::new()
        })
    }

    fn provider(&mut self) -> Option<Provider> {
        if !self.has("idpMetadata") {
            return self.provider_by_fields();
        }
        let both: Vec<&str> = OF_THE_PROVIDER.iter().copied().filter(|field| self.has(field)).collect();
        for field in both {
            self.mistake(field, "is in idpMetadata already; leave out one of the two");
        }
        let metadata = self.text("idpMetadata")?;
        match Provider::from_metadata(&metadata) {
            Ok(provider) => {
                self.not_too_many(&provider.certificates, "idpMetadata");
                Some(provider)
            }
            Err(error) => {
                self.mistake("idpMetadata", chain(&error));
                None
            }
        }
    }

    fn provider_by_fields(&mut self) -> Option<Provider> {
        let issuer = self.required("ssoIssuer");
        let sign_in = self.required_url("ssoURL");
        let logout = self.url("sloURL");
        let binding = match self.text("requestBinding").as_deref() {
            None | Some("redirect") => Binding::Redirect,
            Some("post") => Binding::Post,
            Some(other) => {
                let text = format!("is {other:?}, and must be redirect or post");
                self.mistake("requestBinding", text);
                Binding::Redirect
            }
        };
        let certificates = self.certificates();
        let endpoint = |url: Url| Endpoint { url, binding };
        let logout = logout.map(endpoint);
        Some(Provider {
            issuer: issuer?,
            sign_in: endpoint(sign_in?),
            logout_answer: logout.clone(),
            logout,
            certificates,
        })
    }

    fn certificates(&mut self) -> Vec<Certificate> {
        let mut certificates = Vec::new();
        for field in ["caData", "certificates"] {
            for (at, text) in self.texts(field).iter().enumerate() {
                match Certificate::read_all(text) {
                    Ok(read) => certificates.extend(read),
                    Err(error) => self.mistake(&format!("{field}[{at}]"), error.to_string()),
                }
            }
        }
        if certificates.is_empty() && !self.mistakes.iter().any(|mistake| mistake.field.contains('[')) {
            self.mistake("certificates", "is required: the certificate that the provider signs with, in PEM");
        }
        self.not_too_many(&certificates, "certificates");
        certificates
    }

    /// Each is tried with each signature.
    fn not_too_many(&mut self, certificates: &[Certificate], field: &str) {
        if certificates.len() > CERTIFICATES {
            let count = certificates.len();
            self.mistake(
                field,
                format!("has {count} certificates, more than {CERTIFICATES}; take out those of the past"),
            );
        }
    }

    fn groups(&mut self) -> Groups {
        let groups = Groups {
            attribute: self.text("groupsAttr"),
            delimiter: self.text("groupsDelim"),
            allowed: self.texts("allowedGroups"),
            filter: self.flag("filterGroups", false),
        };
        if groups.attribute.is_none() {
            for field in ["groupsDelim", "allowedGroups", "filterGroups"] {
                if self.has(field) {
                    self.mistake(field, "means nothing without groupsAttr");
                }
            }
        }
        if groups.filter && groups.allowed.is_empty() {
            self.mistake("filterGroups", "would leave nobody a group without allowedGroups");
        }
        groups
    }

    fn name_id_format(&mut self) -> String {
        let text = self.text("nameIDPolicyFormat").unwrap_or_else(|| "persistent".to_owned());
        match full_name_id_format(&text) {
            Some(format) => format,
            None => {
                let text =
                    format!("is {text:?}, and must be a urn: or one of {}", SHORT_FORMATS.map(|f| f.0).join(", "));
                self.mistake("nameIDPolicyFormat", text);
                String::new()
            }
        }
    }
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
