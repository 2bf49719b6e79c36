//! What a connector says (`dex.coreos.com/v1` `Connector`, `spec.config` of the type `ldap`).

use std::fmt;

use identity_config::{Fields, InvalidConfig};
use lib_tls::{Credential, Trust};
use rustls_pki_types::ServerName;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::connection::Privacy;
use crate::protocol::filter::{Filter, Matching, is_attribute};
use crate::protocol::message::Scope;

const LDAP: u16 = 389;
const LDAPS: u16 = 636;

const FIELDS: &[&str] = &[
    "host",
    "insecureNoSSL",
    "startTLS",
    "rootCAData",
    "clientCert",
    "clientKey",
    "bindDN",
    "bindPW",
    "usernamePrompt",
    "userSearch",
    "groupSearch",
    "insecureSkipVerify",
    "rootCA",
];

const USER_FIELDS: &[&str] = &[
    "baseDN",
    "filter",
    "username",
    "scope",
    "idAttr",
    "emailAttr",
    "emailSuffix",
    "nameAttr",
    "preferredUsernameAttr",
];

const GROUP_FIELDS: &[&str] =
    &["baseDN", "filter", "scope", "userAttr", "groupAttr", "userMatchers", "nameAttr", "recursive"];

const MATCHER_FIELDS: &[&str] = &["userAttr", "groupAttr", "recursionGroupAttr"];

/// A connector's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) privacy: Privacy,
    /// Who asks; nobody in particular if absent.
    pub(crate) account: Option<Account>,
    pub(crate) username_prompt: Option<String>,
    pub(crate) users: UserSearch,
    pub(crate) groups: Option<GroupSearch>,
}

/// Whom the directory knows us as.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) dn: String,
    pub(crate) password: Zeroizing<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("dn", &self.dn).finish_non_exhaustive()
    }
}

/// Where people are, and what is read of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserSearch {
    pub(crate) base: String,
    pub(crate) scope: Scope,
    pub(crate) filter: Option<Filter>,
    /// What a person types is compared with this.
    pub(crate) username: String,
    pub(crate) id: Source,
    pub(crate) email: Email,
    pub(crate) name: Option<String>,
    pub(crate) preferred_username: Option<String>,
}

/// Where something of an entry is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The entry's name.
    Dn,
    Attribute(String),
}

impl Source {
    fn of(text: &str) -> Self {
        match text.eq_ignore_ascii_case("DN") {
            true => Self::Dn,
            false => Self::Attribute(text.to_owned()),
        }
    }
}

/// Where the email address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Email {
    Attribute(String),
    /// The name that people sign in with, and this domain.
    Suffix(String),
}

/// Where groups are, and how they name their members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupSearch {
    pub(crate) base: String,
    pub(crate) scope: Scope,
    pub(crate) filter: Option<Filter>,
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// A group that has what `user` says among what `group` names has the user as a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) user: Source,
    pub(crate) group: Matching,
    /// Names groups in groups by their DN; groups of groups are not looked for if absent.
    pub(crate) nested: Option<Matching>,
}

impl Config {
    /// Reads `spec.config`.
    ///
    /// # Errors
    ///
    /// Every mistake, with its field.
    pub fn parse(config: &Value) -> Result<Self, InvalidConfig> {
        identity_config::read(config, Self::read)
    }

    /// `None` only beside a mistake.
    fn read(fields: &Fields<'_>) -> Option<Self> {
        fields.only(FIELDS);
        let privacy = privacy(fields);
        let default_port = if matches!(privacy, Some(Privacy::Tls(_))) { LDAPS } else { LDAP };
        let host = host(fields, default_port);
        let account = account(fields);
        let users = fields.required_object("userSearch", "where people are").and_then(|fields| users(&fields));
        let groups = fields.object("groupSearch").filter(|fields| !fields.is_blank()).map(|fields| groups(&fields));
        let (name, port) = host?;
        Some(Self {
            name,
            port,
            privacy: privacy?,
            account: account?,
            username_prompt: fields.text("usernamePrompt").map(str::to_owned),
            users: users?,
            groups: match groups {
                Some(groups) => Some(groups?),
                None => None,
            },
        })
    }

    /// What the form for signing in calls the name, if the connector says so.
    pub fn username_prompt(&self) -> Option<&str> {
        self.username_prompt.as_deref()
    }

    /// What the directory is asked for when somebody signs in with this name.
    pub fn filter_for(&self, login: &str) -> Filter {
        self.users.with(Filter::equal(&self.users.username, login))
    }

    /// Where the directory is, for people.
    pub(crate) fn host(&self) -> String {
        match self.name.contains(':') {
            true => format!("[{}]:{}", self.name, self.port),
            false => format!("{}:{}", self.name, self.port),
        }
    }
}

fn host(fields: &Fields<'_>, default_port: u16) -> Option<(String, u16)> {
    const WAY: &str = "it has to be a name or an address and a port: ldap.example.com:636, [2001:db8::1]:636";
    let host = fields.required("host", "the directory's name or address, and its port")?;
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix(':').unwrap_or("?"))),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port = port.map_or(Some(default_port), |port| port.parse().ok().filter(|port| *port != 0));
    match (ServerName::try_from(name), port) {
        (Ok(_), Some(port)) => Some((name.to_owned(), port)),
        _ => {
            fields.mistake("host", WAY);
            None
        }
    }
}

fn privacy(fields: &Fields<'_>) -> Option<Privacy> {
    if fields.flag("insecureSkipVerify") {
        let way = "nobody is believed without proof; put the certificate of the authority that signed the directory's \
                   into rootCAData, and take this out";
        fields.mistake("insecureSkipVerify", way);
    }
    if fields.has("rootCA") {
        fields.mistake("rootCA", "files are not read; put the certificate itself into rootCAData");
    }
    let (plain, start_tls) = (fields.flag("insecureNoSSL"), fields.flag("startTLS"));
    if plain && start_tls {
        fields.mistake("startTLS", "insecureNoSSL says that there is no TLS at all; take one of the two out");
        return None;
    }
    if plain {
        for field in ["rootCAData", "clientCert", "clientKey"].into_iter().filter(|field| fields.has(field)) {
            fields.secret_mistake(field, "it is of no use with insecureNoSSL: true; take one of the two out");
        }
        return Some(Privacy::None);
    }
    let (trust, credential) = (trust(fields), credential(fields));
    let config = match lib_tls::client_config(&trust?, credential?.as_ref(), &[]) {
        Ok(config) => config.into(),
        Err(error) => {
            fields.secret_mistake("rootCAData", &error.to_string());
            return None;
        }
    };
    Some(if start_tls { Privacy::StartTls(config) } else { Privacy::Tls(config) })
}

fn trust(fields: &Fields<'_>) -> Option<Trust> {
    let way = "the certificate of the authority that signed the directory's, as PEM in base64; the machine's own \
               authorities are not trusted";
    fields.required("rootCAData", way)?;
    let pem = fields.pem("rootCAData")?;
    match Trust::bundle(&pem) {
        Ok(trust) => Some(trust),
        Err(error) => {
            let way = format!("{error}; give the authority's certificate, not the directory's own");
            fields.secret_mistake("rootCAData", &way);
            None
        }
    }
}

/// What we show the directory when it asks for a certificate.
fn credential(fields: &Fields<'_>) -> Option<Option<Credential>> {
    match (fields.has("clientCert"), fields.has("clientKey")) {
        (false, false) => return Some(None),
        (true, false) => fields.secret_mistake("clientKey", "clientCert is of no use without it"),
        (false, true) => fields.secret_mistake("clientCert", "clientKey is of no use without it"),
        (true, true) => {}
    }
    let (certificate, key) = (fields.pem("clientCert")?, fields.pem("clientKey")?);
    match Credential::from_pem(certificate.to_string(), key.to_string()) {
        Ok(credential) => Some(Some(credential)),
        Err(error) => {
            fields.secret_mistake("clientCert", &format!("{error}; clientKey has to be its key"));
            None
        }
    }
}

fn account(fields: &Fields<'_>) -> Option<Option<Account>> {
    match (fields.text("bindDN"), fields.secret("bindPW")) {
        (None, None) => Some(None),
        (Some(dn), Some(password)) => {
            Some(Some(Account { dn: dn.to_owned(), password: Zeroizing::new(password.to_owned()) }))
        }
        (Some(_), None) => {
            let why = "bindDN needs its password; a bind without one is anonymous and says nothing (RFC 4513 5.1.2)";
            fields.secret_mistake("bindPW", why);
            None
        }
        (None, Some(_)) => {
            fields.mistake("bindDN", "bindPW is of no use without the name of its account");
            None
        }
    }
}

fn users(fields: &Fields<'_>) -> Option<UserSearch> {
    fields.only(USER_FIELDS);
    let base = fields.required("baseDN", "the entry below which people are, such as ou=people,dc=example,dc=com");
    let username = fields.required("username", "the attribute that people sign in with, such as uid or mail");
    if username.is_some() {
        attribute(fields, "username");
    }
    let (scope, filter) = (scope(fields), filter(fields));
    let email = match (attribute(fields, "emailAttr"), fields.text("emailSuffix")) {
        (Some(_), Some(_)) => {
            fields.mistake("emailSuffix", "emailAttr says where addresses are; take one of the two out");
            return None;
        }
        (None, Some(suffix)) => Email::Suffix(suffix.trim_start_matches('@').to_owned()),
        (attribute, None) => Email::Attribute(attribute.unwrap_or("mail").to_owned()),
    };
    Some(UserSearch {
        scope: scope?,
        filter: filter?,
        id: Source::of(attribute(fields, "idAttr").unwrap_or("uid")),
        email,
        name: attribute(fields, "nameAttr").map(str::to_owned),
        preferred_username: attribute(fields, "preferredUsernameAttr").map(str::to_owned),
        base: base?.to_owned(),
        username: username?.to_owned(),
    })
}

fn groups(fields: &Fields<'_>) -> Option<GroupSearch> {
    fields.only(GROUP_FIELDS);
    let base = fields.required("baseDN", "the entry below which groups are, such as ou=groups,dc=example,dc=com");
    let (scope, filter) = (scope(fields), filter(fields));
    let name = attribute(fields, "nameAttr").unwrap_or("cn").to_owned();
    let recursive = fields.flag("recursive");
    let listed = fields.objects("userMatchers");
    let matchers: Option<Vec<Matcher>> = match listed.as_slice() {
        [] => matcher(fields, recursive).map(|matcher| vec![matcher]),
        listed => {
            for field in ["userAttr", "groupAttr"].into_iter().filter(|field| fields.has(field)) {
                fields.mistake(field, "userMatchers says the same; take one of the two out");
            }
            let one = |fields: &Fields<'_>| {
                fields.only(MATCHER_FIELDS);
                matcher(fields, recursive)
            };
            listed.iter().map(one).collect()
        }
    };
    Some(GroupSearch { scope: scope?, filter: filter?, name, matchers: matchers?, base: base?.to_owned() })
}

fn matcher(fields: &Fields<'_>, recursive: bool) -> Option<Matcher> {
    let user = fields.required("userAttr", "the attribute of a person that groups name; DN for the name of the entry");
    if user.is_some() {
        attribute(fields, "userAttr");
    }
    let group = fields.required("groupAttr", "the attribute of a group that names its members, such as member");
    let group = group.and_then(|_| matching(fields, "groupAttr"));
    let nested = match matching(fields, "recursionGroupAttr") {
        None if recursive => group.clone(),
        nested => nested,
    };
    Some(Matcher { user: Source::of(user?), group: group?, nested })
}

fn scope(fields: &Fields<'_>) -> Option<Scope> {
    match fields.text("scope") {
        None | Some("sub") => Some(Scope::Sub),
        Some("one") => Some(Scope::One),
        Some(_) => {
            fields.mistake("scope", "it may be sub, for all below baseDN, or one, for what is directly below it");
            None
        }
    }
}

fn filter(fields: &Fields<'_>) -> Option<Option<Filter>> {
    let Some(text) = fields.text("filter") else { return Some(None) };
    match Filter::parse(text) {
        Ok(filter) => Some(Some(filter)),
        Err(error) => {
            fields.mistake("filter", &format!("{error}; a filter is like (objectClass=person) (RFC 4515)"));
            None
        }
    }
}

/// The name of an attribute.
fn attribute<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a str> {
    let text = fields.text(name)?;
    if !is_attribute(text) {
        fields.mistake(name, "it has to be the name of an attribute, such as cn");
        return None;
    }
    Some(text)
}

fn matching(fields: &Fields<'_>, name: &str) -> Option<Matching> {
    let matching = Matching::parse(fields.text(name)?).filter(|matching| matching.attribute.is_some());
    if matching.is_none() {
        let way = "it has to be the name of an attribute, such as member, or one and a matching rule, such as \
                   member:1.2.840.113556.1.4.1941:";
        fields.mistake(name, way);
    }
    matching
}

#[cfg(test)]
mod tests;
