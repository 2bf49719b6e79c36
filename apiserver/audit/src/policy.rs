//! The policy: how much of which requests is recorded (upstream: `audit.k8s.io/v1` `Policy` and its `checker.go`).

use std::cell::RefCell;

use api_meta::{FieldErrors, Reader, Value};
use apiserver_access::{Attributes, ResourceAttributes};
use serde::Serialize;

/// How much is recorded; more and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

/// When an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

const LEVELS: [(&str, Level); 4] = [
    ("None", Level::None),
    ("Metadata", Level::Metadata),
    ("Request", Level::Request),
    ("RequestResponse", Level::RequestResponse),
];

const STAGES: [(&str, Stage); 4] = [
    ("RequestReceived", Stage::RequestReceived),
    ("ResponseStarted", Stage::ResponseStarted),
    ("ResponseComplete", Stage::ResponseComplete),
    ("Panic", Stage::Panic),
];

impl Level {
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    #[error("the audit policy is not YAML: {0}")]
    Syntax(String),
    #[error("the audit policy is of {0}; it should be of kind Policy in audit.k8s.io/v1")]
    Kind(String),
    #[error("the audit policy has mistakes: {0}")]
    Fields(FieldErrors),
    #[error("the audit policy has no rules, so it would record nothing; give it at least one under \"rules\"")]
    Empty,
}

#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    level: Level,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    urls: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

/// What the policy says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) level: Level,
    pub(crate) omit_stages: Vec<Stage>,
    pub(crate) omit_managed_fields: bool,
}

impl Policy {
    /// Reads a policy in YAML or JSON.
    ///
    /// # Errors
    ///
    /// Every mistake, with its field.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let document: Value = serde_saphyr::from_str(text).map_err(|error| InvalidPolicy::Syntax(error.to_string()))?;
        let errors = RefCell::default();
        let policy = Reader::root(&document, &errors).map(read).transpose()?;
        let errors = errors.into_inner();
        match policy {
            Some(policy) if errors.is_empty() && policy.rules.is_empty() => Err(InvalidPolicy::Empty),
            Some(policy) if errors.is_empty() => Ok(policy),
            _ => Err(InvalidPolicy::Fields(errors)),
        }
    }

    pub(crate) fn evaluate(&self, attributes: &Attributes) -> Verdict {
        match self.rules.iter().find(|rule| rule.matches(attributes)) {
            Some(rule) => Verdict {
                level: rule.level,
                omit_stages: rule.omit_stages.clone(),
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
            },
            None => Verdict {
                level: Level::None,
                omit_stages: self.omit_stages.clone(),
                omit_managed_fields: self.omit_managed_fields,
            },
        }
    }
}

fn read(root: Reader<'_>) -> Result<Policy, InvalidPolicy> {
    let (version, kind) = (root.text("apiVersion").unwrap_or_default(), root.text("kind").unwrap_or_default());
    if (version, kind) != ("audit.k8s.io/v1", "Policy") {
        return Err(InvalidPolicy::Kind(format!("kind {kind:?} in {version:?}")));
    }
    root.has("metadata");
    let omit_stages = stages(&root);
    let mut rules: Vec<Rule> = root.children("rules").into_iter().map(rule).collect();
    for rule in &mut rules {
        // What is omitted is what either says.
        rule.omit_stages.extend(omit_stages.iter().copied());
    }
    let omit_managed_fields = root.boolean("omitManagedFields").unwrap_or_default();
    root.done();
    Ok(Policy { rules, omit_stages, omit_managed_fields })
}

fn rule(reader: Reader<'_>) -> Rule {
    let level = reader.required("level");
    let known = LEVELS.iter().find(|(name, _)| *name == level);
    if known.is_none() && !level.is_empty() {
        reader.error(|e| e.not_supported(&reader.path("level"), level, &LEVELS.map(|(name, _)| name)));
    }
    let rule = Rule {
        level: known.map_or(Level::None, |(_, level)| *level),
        users: reader.texts("users"),
        groups: reader.texts("userGroups"),
        verbs: reader.texts("verbs"),
        resources: reader.children("resources").into_iter().map(resources).collect(),
        namespaces: reader.texts("namespaces"),
        urls: reader.texts("nonResourceURLs"),
        omit_stages: stages(&reader),
        omit_managed_fields: reader.boolean("omitManagedFields"),
    };
    let path = reader.path("nonResourceURLs");
    for (index, url) in rule.urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        if !url.starts_with('/') {
            let why = "non-resource URL rules must begin with a '/' character";
            reader.error(|e| e.invalid(&path.index(index), url.as_str(), why));
        }
        if url.trim_end_matches('*').contains('*') || url.ends_with("**") {
            let why = "non-resource URL wildcards '*' must be the final character of the rule";
            reader.error(|e| e.invalid(&path.index(index), url.as_str(), why));
        }
    }
    let of_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if of_resources && !rule.urls.is_empty() {
        let why = "rules cannot apply to both regular resources and non-resource URLs";
        reader.error(|e| e.invalid(&path, rule.urls.clone(), why));
    }
    reader.done();
    rule
}

fn resources(reader: Reader<'_>) -> Resources {
    let read = Resources {
        group: reader.text("group").unwrap_or_default().to_owned(),
        resources: reader.texts("resources"),
        names: reader.texts("resourceNames"),
    };
    if !read.group.is_empty() && read.group != "*" {
        for why in api_meta::validation::is_dns1123_subdomain(&read.group) {
            reader.error(|e| e.invalid(&reader.path("group"), read.group.as_str(), why));
        }
    }
    if !read.names.is_empty() && read.resources.is_empty() {
        let why = "using resourceNames requires at least one resource";
        reader.error(|e| e.invalid(&reader.path("resourceNames"), read.names.clone(), why));
    }
    reader.done();
    read
}

fn stages(reader: &Reader<'_>) -> Vec<Stage> {
    let mut stages = Vec::new();
    for (index, name) in reader.texts("omitStages").iter().enumerate() {
        match STAGES.iter().find(|(known, _)| known == name) {
            Some((_, stage)) => stages.push(*stage),
            None => {
                let why = format!("allowed stages are {}", STAGES.map(|(name, _)| name).join(","));
                reader.error(|e| e.invalid(&reader.path("omitStages").index(index), name.as_str(), why));
            }
        }
    }
    stages
}

fn lists(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}

impl Rule {
    fn matches(&self, attributes: &Attributes) -> bool {
        let user = &attributes.user;
        if !self.users.is_empty() && !lists(&self.users, &user.name)
            || !self.groups.is_empty() && !user.groups.iter().any(|g| lists(&self.groups, g))
            || !self.verbs.is_empty() && !lists(&self.verbs, &attributes.verb)
        {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return attributes.resource.as_ref().is_some_and(|r| self.matches_resource(r));
        }
        if !self.urls.is_empty() {
            return attributes.resource.is_none() && self.urls.iter().any(|url| url_matches(url, &attributes.path));
        }
        true
    }

    fn matches_resource(&self, resource: &ResourceAttributes) -> bool {
        (self.namespaces.is_empty() || lists(&self.namespaces, &resource.namespace))
            && (self.resources.is_empty() || self.resources.iter().any(|r| r.matches(resource)))
    }
}

impl Resources {
    fn matches(&self, resource: &ResourceAttributes) -> bool {
        if self.group != resource.group && self.group != "*" {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.names.is_empty() && !lists(&self.names, &resource.name) {
            return false;
        }
        let sub = &*resource.subresource;
        self.resources.iter().any(|spec| {
            spec == "*"
                || match spec.split_once('/') {
                    None => sub.is_empty() && *spec == resource.resource,
                    Some(("*", wanted)) if !sub.is_empty() && wanted == sub => true,
                    Some((wanted, "*")) => wanted == resource.resource,
                    Some((wanted, wanted_sub)) => wanted == resource.resource && wanted_sub == sub,
                }
        })
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests;
