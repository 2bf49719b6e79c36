//! The configuration: `AuthenticationConfiguration` of `apiserver.config.k8s.io`, or the `--oidc-*` flags mapped onto it.

use std::cell::RefCell;

use api_meta::{FieldErrors, FieldPath, Reader, Value};
use lib_tls::Trust;
use url::Url;

use crate::keys::ALGORITHMS;

/// As many as upstream takes.
const MOST_ISSUERS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum InvalidConfiguration {
    #[error("the authentication configuration is not YAML: {0}")]
    Syntax(String),
    #[error(
        "the authentication configuration is of {0}; it should be of kind AuthenticationConfiguration in \
         apiserver.config.k8s.io/v1 or v1beta1"
    )]
    Kind(String),
    #[error("the authentication configuration has mistakes: {0}")]
    Fields(FieldErrors),
}

/// Who is believed, and whether strangers are let in.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) anonymous: Anonymous,
}

/// Where requests without credentials may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Anonymous {
    #[default]
    Everywhere,
    Nowhere,
    Paths(Vec<String>),
}

/// A claim and what is put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) claim: String,
    pub(crate) prefix: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    pub(crate) url: String,
    /// Where its discovery document is.
    pub(crate) discovery: Url,
    pub(crate) trust: Trust,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<String>,
    pub(crate) username: Claim,
    pub(crate) groups: Option<Claim>,
    pub(crate) uid: Option<String>,
    pub(crate) required_claims: Vec<(String, String)>,
}

/// The older way to say the same for one issuer.
#[derive(Clone, Debug, Default)]
pub struct OidcFlags {
    pub issuer_url: String,
    pub client_id: String,
    /// PEM, of `--oidc-ca-file`.
    pub certificate_authority: String,
    pub username_claim: Option<String>,
    pub username_prefix: Option<String>,
    pub groups_claim: Option<String>,
    pub groups_prefix: Option<String>,
    pub signing_algorithms: Vec<String>,
    pub required_claims: Vec<(String, String)>,
}

impl Configuration {
    /// Reads a configuration in YAML or JSON. `disallowed` are issuers that nobody else may be, such as this server.
    ///
    /// # Errors
    ///
    /// Every mistake, with its field.
    pub fn parse(text: &str, disallowed: &[&str]) -> Result<Self, InvalidConfiguration> {
        let document: Value =
            serde_saphyr::from_str(text).map_err(|error| InvalidConfiguration::Syntax(error.to_string()))?;
        let errors = RefCell::default();
        let configuration = Reader::root(&document, &errors).map(|root| read(root, disallowed)).transpose()?;
        match (configuration, errors.into_inner()) {
            (Some(configuration), errors) if errors.is_empty() => Ok(configuration),
            (_, errors) => Err(InvalidConfiguration::Fields(errors)),
        }
    }

    /// The same, with or without requests that carry no credential.
    #[must_use]
    pub fn let_strangers_in(self, wanted: bool) -> Self {
        let anonymous = if wanted { Anonymous::Everywhere } else { Anonymous::Nowhere };
        Self { anonymous, ..self }
    }

    /// What the flags say, with upstream's defaults.
    ///
    /// # Errors
    ///
    /// Every mistake, with its flag.
    pub fn from_flags(flags: &OidcFlags, disallowed: &[&str]) -> Result<Self, InvalidConfiguration> {
        let mut errors = FieldErrors::new();
        let flag = |name: &str| FieldPath::new(&format!("--oidc-{name}"));
        if flags.client_id.is_empty() {
            errors.required(&flag("client-id"), "the audience that tokens for this cluster have");
        }
        let algorithms = match &flags.signing_algorithms[..] {
            [] => vec!["RS256".to_owned()],
            some => some.to_vec(),
        };
        for algorithm in algorithms.iter().filter(|a| !ALGORITHMS.contains(&a.as_str())) {
            errors.not_supported(&flag("signing-algs"), algorithm.as_str(), &ALGORITHMS);
        }
        let url = check_url(&flags.issuer_url, &flag("issuer-url"), disallowed, &mut errors);
        let trust = trust(&flags.certificate_authority, &flag("ca-file"), &mut errors);
        let claim = flags.username_claim.clone().unwrap_or_else(|| "sub".into());
        let prefix = match flags.username_prefix.as_deref() {
            Some("-") => String::new(),
            Some(prefix) => prefix.to_owned(),
            // Names of one issuer are not another's; addresses are unique already.
            None if claim == "email" => String::new(),
            None => format!("{}#", flags.issuer_url),
        };
        let (Some(url), Some(trust)) = (url, trust) else { return Err(InvalidConfiguration::Fields(errors)) };
        if !errors.is_empty() {
            return Err(InvalidConfiguration::Fields(errors));
        }
        let groups = flags.groups_claim.clone().filter(|claim| !claim.is_empty());
        let issuer = Issuer {
            url: flags.issuer_url.clone(),
            discovery: discovery_of(&url),
            trust,
            audiences: vec![flags.client_id.clone()],
            algorithms,
            username: Claim { claim, prefix },
            groups: groups.map(|claim| Claim { claim, prefix: flags.groups_prefix.clone().unwrap_or_default() }),
            uid: None,
            required_claims: flags.required_claims.clone(),
        };
        Ok(Self { issuers: vec![issuer], anonymous: Anonymous::Everywhere })
    }
}

fn read(root: Reader<'_>, disallowed: &[&str]) -> Result<Configuration, InvalidConfiguration> {
    let (version, kind) = (root.text("apiVersion").unwrap_or_default(), root.text("kind").unwrap_or_default());
    let known = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"].contains(&version);
    if !known || kind != "AuthenticationConfiguration" {
        return Err(InvalidConfiguration::Kind(format!("kind {kind:?} in {version:?}")));
    }
    let anonymous = root.child("anonymous").map_or(Anonymous::Everywhere, anonymous);
    let listed = root.children("jwt");
    if listed.len() > MOST_ISSUERS {
        root.error(|e| e.too_many(&root.path("jwt"), listed.len(), MOST_ISSUERS));
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for entry in listed.into_iter().take(MOST_ISSUERS) {
        let path = entry.path("issuer").child("url");
        let Some(issuer) = issuer(&entry, disallowed) else {
            entry.done();
            continue;
        };
        if issuers.iter().any(|other| other.url == issuer.url) {
            entry.error(|e| e.duplicate(&path, issuer.url.as_str()));
        }
        issuers.push(issuer);
        entry.done();
    }
    root.done();
    Ok(Configuration { issuers, anonymous })
}

fn anonymous(reader: Reader<'_>) -> Anonymous {
    let enabled = reader.boolean("enabled").unwrap_or_default();
    let conditions = reader.children("conditions");
    let paths: Vec<String> = conditions
        .into_iter()
        .map(|condition| {
            let path = condition.required("path").to_owned();
            condition.done();
            path
        })
        .collect();
    if !enabled && !paths.is_empty() {
        let why = "enabled should be set to true when conditions are defined";
        reader.error(|e| e.invalid(&reader.path("conditions"), paths.clone(), why));
    }
    reader.done();
    match (enabled, paths.is_empty()) {
        (false, _) => Anonymous::Nowhere,
        (true, true) => Anonymous::Everywhere,
        (true, false) => Anonymous::Paths(paths),
    }
}

/// One entry of `jwt`. All its parts are read, so that all mistakes are told at once.
fn issuer(entry: &Reader<'_>, disallowed: &[&str]) -> Option<Issuer> {
    let said = entry.child("issuer");
    if said.is_none() {
        entry.error(|e| e.required(&entry.path("issuer"), ""));
    }
    let party = said.and_then(|said| party(said, disallowed));
    let required_claims = entry.children("claimValidationRules").into_iter().filter_map(required_claim).collect();
    if entry.has("userValidationRules") {
        no_expressions(entry, "userValidationRules");
    }
    let mappings = entry.child("claimMappings");
    if mappings.is_none() {
        entry.error(|e| e.required(&entry.path("claimMappings").child("username"), "claim or expression is required"));
    }
    let mappings = mappings?;
    let username = mappings.child("username").and_then(claim);
    if username.is_none() && !mappings.has("username") {
        let path = mappings.path("username");
        mappings.error(|e| e.required(&path, "claim or expression is required"));
    }
    let groups = mappings.child("groups").and_then(claim);
    let uid = mappings.child("uid").and_then(|uid| {
        if uid.has("expression") {
            no_expressions(&uid, "expression");
        }
        let claim = uid.text("claim").filter(|c| !c.is_empty()).map(str::to_owned);
        uid.done();
        claim
    });
    if mappings.has("extra") {
        no_expressions(&mappings, "extra");
    }
    mappings.done();
    let Party { url, discovery, trust, audiences } = party?;
    let algorithms = ALGORITHMS.map(str::to_owned).to_vec();
    Some(Issuer { url, discovery, trust, audiences, algorithms, username: username?, groups, uid, required_claims })
}

struct Party {
    url: String,
    discovery: Url,
    trust: Trust,
    audiences: Vec<String>,
}

fn party(said: Reader<'_>, disallowed: &[&str]) -> Option<Party> {
    let mut errors = FieldErrors::new();
    let url = said.required("url");
    let parsed = (!url.is_empty()).then(|| check_url(url, &said.path("url"), disallowed, &mut errors)).flatten();
    let discovery = said.text("discoveryURL").filter(|u| !u.is_empty());
    let discovery = discovery.map(|text| {
        let path = said.path("discoveryURL");
        if text.trim_end_matches('/') == url.trim_end_matches('/') {
            errors.invalid(&path, text, "discoveryURL must be different from URL");
        }
        check_url(text, &path, &[], &mut errors)
    });
    let authority = said.text("certificateAuthority").unwrap_or_default();
    let trust = trust(authority, &said.path("certificateAuthority"), &mut errors);
    let audiences = said.texts("audiences");
    let path = said.path("audiences");
    if audiences.is_empty() {
        errors.required(&path, format!("at least one {path} is required"));
    }
    for (index, audience) in audiences.iter().enumerate() {
        if audience.is_empty() {
            errors.required(&path.index(index), "");
        }
        if audiences[..index].contains(audience) {
            errors.duplicate(&path.index(index), audience.as_str());
        }
    }
    let policy = said.text("audienceMatchPolicy").unwrap_or_default();
    if policy != "MatchAny" && (audiences.len() > 1 || !policy.is_empty()) {
        let why = if audiences.len() > 1 {
            "audienceMatchPolicy must be MatchAny for multiple audiences"
        } else {
            "audienceMatchPolicy must be empty or MatchAny for single audience"
        };
        errors.invalid(&said.path("audienceMatchPolicy"), policy, why);
    }
    if said.text("egressSelectorType").is_some_and(|kind| !kind.is_empty()) {
        errors.forbidden(&said.path("egressSelectorType"), "this server has no egress selectors; leave the field out");
    }
    said.error(|all| all.extend(errors));
    let url = url.to_owned();
    said.done();
    let discovery = match discovery {
        Some(discovery) => discovery?,
        None => discovery_of(&parsed?),
    };
    Some(Party { url, discovery, trust: trust?, audiences })
}

/// `/.well-known/openid-configuration` below the issuer.
fn discovery_of(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    url
}

fn check_url(text: &str, path: &FieldPath, disallowed: &[&str], errors: &mut FieldErrors) -> Option<Url> {
    if disallowed.contains(&text) {
        let why = format!("URL must not overlap with disallowed issuers: {disallowed:?}");
        errors.invalid(path, text, why);
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            errors.invalid(path, text, format!("it is no URL: {error}"));
            return None;
        }
    };
    for (wrong, why) in [
        (url.scheme() != "https", "URL scheme must be https"),
        (!url.username().is_empty() || url.password().is_some(), "URL must not contain a username or password"),
        (url.query().is_some(), "URL must not contain a query"),
        (url.fragment().is_some(), "URL must not contain a fragment"),
        (url.host().is_none(), "URL must name a host"),
    ] {
        if wrong {
            errors.invalid(path, text, why);
        }
    }
    Some(url)
}

fn trust(pem: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Trust> {
    if pem.is_empty() {
        let why = "the certificates of the authorities that sign the issuer's; the machine's own are not trusted";
        errors.required(path, why);
        return None;
    }
    match Trust::bundle(pem) {
        Ok(trust) => Some(trust),
        Err(error) => {
            errors.invalid(path, "<omitted>", error.to_string());
            None
        }
    }
}

fn no_expressions(reader: &Reader<'_>, field: &str) {
    let why = "expressions are not supported by this server; map a claim instead, or leave the field out";
    reader.error(|e| e.forbidden(&reader.path(field), why));
}

fn required_claim(rule: Reader<'_>) -> Option<(String, String)> {
    if rule.has("expression") || rule.has("message") {
        no_expressions(&rule, "expression");
        rule.has("claim");
        rule.has("requiredValue");
        rule.done();
        return None;
    }
    let read = (rule.required("claim").to_owned(), rule.text("requiredValue").unwrap_or_default().to_owned());
    rule.done();
    Some(read)
}

fn claim(mapping: Reader<'_>) -> Option<Claim> {
    if mapping.has("expression") {
        no_expressions(&mapping, "expression");
    }
    let name = mapping.text("claim").unwrap_or_default();
    let prefix = mapping.text("prefix");
    if !name.is_empty() && prefix.is_none() {
        let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
        mapping.error(|e| e.required(&mapping.path("prefix"), why));
    }
    if name.is_empty() && !mapping.has("expression") {
        mapping.error(|e| e.required(&mapping.path("claim"), ""));
    }
    let read =
        (!name.is_empty()).then(|| Claim { claim: name.to_owned(), prefix: prefix.unwrap_or_default().to_owned() });
    mapping.done();
    read
}

#[cfg(test)]
mod tests;
