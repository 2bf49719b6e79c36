//! The configuration: `AuthenticationConfiguration` of `apiserver.config.k8s.io`, or the `--oidc-*` flags mapped onto it.

use std::cell::RefCell;

use api_meta::validation::is_dns1123_subdomain;
use api_meta::{FieldErrors, FieldPath, Reader, Value};
use lib_jose::Algorithm;
use lib_tls::Trust;
use url::Url;

use crate::expressions::Expression;

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

/// How a part of a user comes from claims.
#[derive(Clone, Debug)]
pub(crate) enum Mapping {
    Claim(Claim),
    Expression(Expression),
}

#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    pub(crate) url: String,
    /// Where its discovery document is.
    pub(crate) discovery: Url,
    pub(crate) trust: Trust,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) username: Mapping,
    pub(crate) groups: Option<Mapping>,
    pub(crate) uid: Option<Mapping>,
    pub(crate) extra: Vec<(String, Expression)>,
    pub(crate) required_claims: Vec<(String, String)>,
    pub(crate) claim_rules: Vec<Expression>,
    pub(crate) user_rules: Vec<Expression>,
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
        let mut algorithms = Vec::new();
        for name in &flags.signing_algorithms {
            match name.parse() {
                Ok(algorithm) => algorithms.push(algorithm),
                Err(_) => {
                    errors.not_supported(&flag("signing-algs"), name.as_str(), &Algorithm::ALL.map(Algorithm::name));
                }
            }
        }
        if flags.signing_algorithms.is_empty() {
            algorithms.push(Algorithm::Rs256);
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
            username: Mapping::Claim(Claim { claim, prefix }),
            groups: groups
                .map(|claim| Mapping::Claim(Claim { claim, prefix: flags.groups_prefix.clone().unwrap_or_default() })),
            uid: None,
            extra: Vec::new(),
            required_claims: flags.required_claims.clone(),
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
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
    let rules: Vec<Rule> = entry.children("claimValidationRules").into_iter().filter_map(claim_rule).collect();
    let user_rules = entry.children("userValidationRules").into_iter().filter_map(user_rule).collect();
    let mappings = entry.child("claimMappings");
    if mappings.is_none() {
        entry.error(|e| e.required(&entry.path("claimMappings").child("username"), "claim or expression is required"));
    }
    let mappings = mappings?;
    let username = mappings.child("username").and_then(mapping);
    if username.is_none() && !mappings.has("username") {
        let path = mappings.path("username");
        mappings.error(|e| e.required(&path, "claim or expression is required"));
    }
    let groups = mappings.child("groups").and_then(mapping);
    let uid = mappings.child("uid").and_then(uid);
    let extra = extra(&mappings);
    let (mut required_claims, mut claim_rules) = (Vec::new(), Vec::new());
    for rule in rules {
        match rule {
            Rule::Value(claim, value) => required_claims.push((claim, value)),
            Rule::Expression(expression) => claim_rules.push(expression),
        }
    }
    if let Some(Mapping::Expression(name)) = &username
        && name.reads("email")
        && !extra.iter().map(|(_, e)| e).chain(&claim_rules).chain([name]).any(|e| e.reads("email_verified"))
    {
        let why = "claims.email_verified must be used in claimMappings.username.expression or \
                   claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is \
                   used in claimMappings.username.expression";
        mappings.error(|e| e.invalid(&mappings.path("username").child("expression"), name.text.as_str(), why));
    }
    mappings.done();
    let Party { url, discovery, trust, audiences } = party?;
    let algorithms = Algorithm::ALL.to_vec();
    Some(Issuer {
        url,
        discovery,
        trust,
        audiences,
        algorithms,
        username: username?,
        groups,
        uid,
        extra,
        required_claims,
        claim_rules,
        user_rules,
    })
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

enum Rule {
    Value(String, String),
    Expression(Expression),
}

fn claim_rule(rule: Reader<'_>) -> Option<Rule> {
    let (claim, expression) = (rule.text("claim").unwrap_or_default(), rule.text("expression").unwrap_or_default());
    let (value, message) = (rule.text("requiredValue").unwrap_or_default(), rule.text("message").unwrap_or_default());
    let mut errors = FieldErrors::new();
    let read = match (claim, expression) {
        ("", "") => {
            errors.required(&rule.path("claim"), "claim or expression is required");
            None
        }
        ("", text) => {
            if !value.is_empty() {
                errors.invalid(&rule.path("requiredValue"), value, "may not be specified when expression is set");
            }
            Expression::claim_rule(text, &rule.path("expression"), &mut errors).map(Rule::Expression)
        }
        (claim, "") => {
            if !message.is_empty() {
                errors.invalid(&rule.path("message"), message, "may not be specified when claim is set");
            }
            Some(Rule::Value(claim.to_owned(), value.to_owned()))
        }
        (claim, _) => {
            errors.invalid(&rule.path("claim"), claim, "claim and expression can't both be set");
            None
        }
    };
    rule.error(|all| all.extend(errors));
    rule.done();
    read
}

fn user_rule(rule: Reader<'_>) -> Option<Expression> {
    let text = rule.required("expression");
    rule.text("message");
    let mut errors = FieldErrors::new();
    let path = rule.path("expression");
    let read = (!text.is_empty()).then(|| Expression::user_rule(text, &path, &mut errors)).flatten();
    rule.error(|all| all.extend(errors));
    rule.done();
    read
}

/// A user's name or groups.
fn mapping(reader: Reader<'_>) -> Option<Mapping> {
    let (claim, expression) = (reader.text("claim").unwrap_or_default(), reader.text("expression").unwrap_or_default());
    let prefix = reader.text("prefix");
    let mut errors = FieldErrors::new();
    let read = match (claim, expression) {
        ("", "") => {
            errors.required(&reader.path("claim"), "claim or expression is required");
            None
        }
        ("", text) => {
            if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) {
                errors.invalid(&reader.path("prefix"), prefix, "prefix can't be set when expression is set");
            }
            Expression::mapping(text, &reader.path("expression"), &mut errors).map(Mapping::Expression)
        }
        (claim, "") => {
            if prefix.is_none() {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                errors.required(&reader.path("prefix"), why);
            }
            let prefix = prefix.unwrap_or_default().to_owned();
            Some(Mapping::Claim(Claim { claim: claim.to_owned(), prefix }))
        }
        (claim, _) => {
            errors.invalid(&reader.path("claim"), claim, "claim and expression can't both be set");
            None
        }
    };
    reader.error(|all| all.extend(errors));
    reader.done();
    read
}

fn uid(reader: Reader<'_>) -> Option<Mapping> {
    let (claim, expression) = (reader.text("claim").unwrap_or_default(), reader.text("expression").unwrap_or_default());
    let mut errors = FieldErrors::new();
    let read = match (claim, expression) {
        ("", "") => None,
        ("", text) => Expression::mapping(text, &reader.path("expression"), &mut errors).map(Mapping::Expression),
        (claim, "") => Some(Mapping::Claim(Claim { claim: claim.to_owned(), prefix: String::new() })),
        (claim, _) => {
            errors.invalid(&reader.path("claim"), claim, "claim and expression can't both be set");
            None
        }
    };
    reader.error(|all| all.extend(errors));
    reader.done();
    read
}

fn extra(mappings: &Reader<'_>) -> Vec<(String, Expression)> {
    let mut read: Vec<(String, Expression)> = Vec::new();
    for entry in mappings.children("extra") {
        let (key, text) = (entry.required("key"), entry.required("valueExpression"));
        let mut errors = FieldErrors::new();
        let path = entry.path("key");
        extra_key(key, &path, &mut errors);
        if read.iter().any(|(known, _)| known == key) {
            errors.duplicate(&path, key);
        }
        let field = entry.path("valueExpression");
        let value = (!text.is_empty()).then(|| Expression::mapping(text, &field, &mut errors)).flatten();
        read.extend(value.map(|value| (key.to_owned(), value)));
        entry.error(|all| all.extend(errors));
        entry.done();
    }
    read
}

/// `example.com/team`: of a domain that is not Kubernetes' own.
fn extra_key(key: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let (domain, name) = key.split_once('/').unwrap_or(("", key));
    if domain.is_empty() || name.is_empty() {
        errors.invalid(path, key, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    } else {
        for why in is_dns1123_subdomain(domain) {
            errors.invalid(path, key, why);
        }
    }
    if key != key.to_lowercase() {
        errors.invalid(path, key, "must be lowercase");
    }
    let own = ["kubernetes.io", "k8s.io"];
    if own.iter().any(|own| domain == *own || domain.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))) {
        let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
        errors.invalid(path, key, why);
    }
}

#[cfg(test)]
mod tests;
