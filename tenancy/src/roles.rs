//! From roles as the platform gives them to ClusterRoles.
//!
//! A template's rights are lent to it by ClusterRoles that carry its label: the platform's own, in `roles/base.yaml`, and
//! those that anybody else brings who may write ClusterRoles. The cluster adds them up, by its own aggregation.

mod shipped;

use std::collections::{BTreeMap, BTreeSet};

use api_types::tenancy::{
    AGGREGATE_TO, CUSTOM_OF, Level, MANAGED, ROLE_RELATIVE, ROLE_TEMPLATE, RoleScope, RoleTemplate, SYNC_SCOPE,
    TEMPLATE_LEVEL,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use serde_json::json;

pub use shipped::{auditor_of_definitions, base_roles, shipped_templates};

use crate::object::{Kind, Object};

/// Why nothing follows from a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// Nothing says where it is bound.
    #[error("label {TEMPLATE_LEVEL} is missing: it says platform, cluster, project or namespace")]
    NoLevel,
    /// What says where it is bound says nothing known.
    #[error("label {TEMPLATE_LEVEL} is {0:?}: it says platform, cluster, project or namespace")]
    UnknownLevel(String),
    /// Functions of products are not known here.
    #[error(
        "spec.rules refers to the function {0:?}: there are no functions here, use spec.aggregationRules or spec.customRules"
    )]
    Function(String),
    /// Rights of a namespace, given with the whole cluster.
    #[error("spec.aggregationRules has scope {scope}, which a template of level {level} cannot have: only cluster", level = .level.as_str(), scope = .scope.as_str())]
    Scope {
        /// The template's level.
        level: Level,
        /// Where the rights would hold.
        scope: RoleScope,
    },
    /// It would take in the rights of nearly all roles.
    #[error(
        "spec.aggregationRules of scope {} has a selector that names no label which has to be there",
        .0.as_str()
    )]
    SelectsAll(RoleScope),
    /// A namespace has no such paths.
    #[error(
        "spec.customRules has nonResourceURLs, which a template of level {} cannot have: its rules hold in namespaces",
        .0.as_str()
    )]
    PathsInNamespace(Level),
}

impl InvalidTemplate {
    /// For a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoLevel => "LevelMissing",
            Self::UnknownLevel(_) => "LevelUnknown",
            Self::Function(_) => "FunctionsUnknown",
            Self::Scope { .. } => "ScopeNotAtLevel",
            Self::SelectsAll(_) => "SelectorTooWide",
            Self::PathsInNamespace(_) => "PathsInNamespace",
        }
    }
}

/// A template that can be bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    name: String,
    level: Level,
    selectors: BTreeMap<RoleScope, Vec<LabelSelector>>,
    custom_rules: Vec<PolicyRule>,
}

impl Template {
    /// Checks what was written.
    pub fn read(template: &RoleTemplate) -> Result<Self, InvalidTemplate> {
        let level = template.labels().get(TEMPLATE_LEVEL).ok_or(InvalidTemplate::NoLevel)?;
        let level = Level::parse(level).ok_or_else(|| InvalidTemplate::UnknownLevel(level.clone()))?;
        let spec = &template.spec;
        if let Some(rule) = spec.rules.first() {
            return Err(InvalidTemplate::Function(rule.function_resource_ref.clone()));
        }
        let in_cluster = main_scope(level) == RoleScope::Cluster;
        let mut selectors: BTreeMap<RoleScope, Vec<LabelSelector>> = BTreeMap::new();
        for rule in &spec.aggregation_rules {
            if in_cluster && rule.scope != RoleScope::Cluster {
                return Err(InvalidTemplate::Scope { level, scope: rule.scope });
            }
            if rule.cluster_role_selectors.is_empty() || !rule.cluster_role_selectors.iter().all(names_a_label) {
                return Err(InvalidTemplate::SelectsAll(rule.scope));
            }
            selectors.entry(rule.scope).or_default().extend(rule.cluster_role_selectors.iter().cloned());
        }
        let paths = |rule: &PolicyRule| rule.non_resource_urls.as_ref().is_some_and(|urls| !urls.is_empty());
        if !in_cluster && spec.custom_rules.iter().any(paths) {
            return Err(InvalidTemplate::PathsInNamespace(level));
        }
        let name = template.name_any();
        if !spec.custom_rules.is_empty() {
            let own = LabelSelector {
                match_labels: Some([(CUSTOM_OF.to_owned(), name.clone())].into()),
                ..LabelSelector::default()
            };
            selectors.entry(main_scope(level)).or_default().push(own);
        }
        Ok(Self { name, level, selectors, custom_rules: spec.custom_rules.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// At which level it is bound.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Where its rights hold.
    pub fn scopes(&self) -> BTreeSet<RoleScope> {
        self.selectors.keys().copied().collect()
    }

    /// Whether it has rights of that scope.
    pub fn has(&self, scope: RoleScope) -> bool {
        self.selectors.contains_key(&scope)
    }

    /// Whether a ClusterRole with these labels lends its rules to it in a scope.
    pub fn selects(&self, scope: RoleScope, labels: &BTreeMap<String, String>) -> bool {
        self.selectors.get(&scope).into_iter().flatten().any(|selector| selects(selector, labels))
    }

    /// Its own rules, which hold in its level's main scope.
    pub fn custom_rules(&self) -> &[PolicyRule] {
        &self.custom_rules
    }

    /// What a cluster is to have of it: a ClusterRole for each scope, which aggregates; and one with its own rules.
    pub fn cluster_roles(&self) -> Vec<Object> {
        let mut roles: Vec<_> =
            self.selectors.iter().map(|(scope, selectors)| self.aggregate(*scope, selectors)).collect();
        if !self.custom_rules.is_empty() {
            let own = Object::new(Kind::ClusterRole, format!("cpaas:{}:custom", self.name));
            roles.push(
                own.label(CUSTOM_OF, &self.name)
                    .label(ROLE_TEMPLATE, &self.name)
                    .with("rules", json!(self.custom_rules)),
            );
        }
        roles
    }

    fn aggregate(&self, scope: RoleScope, selectors: &[LabelSelector]) -> Object {
        Object::new(Kind::ClusterRole, role_name(&self.name, scope))
            .label(ROLE_RELATIVE, &self.name)
            .label(ROLE_TEMPLATE, &self.name)
            .with("aggregationRule", json!({"clusterRoleSelectors": selectors}))
    }

    /// The rules that aggregation gives it in a scope, from the ClusterRoles of a cluster (upstream:
    /// `clusterroleaggregation`).
    pub fn rules<'a>(&'a self, scope: RoleScope, roles: impl IntoIterator<Item = &'a ClusterRole>) -> Vec<PolicyRule> {
        let selectors = self.selectors.get(&scope).map_or(&[][..], Vec::as_slice);
        let mut lending: Vec<&ClusterRole> = roles
            .into_iter()
            .filter(|role| role.name_any() != role_name(&self.name, scope))
            .filter(|role| selectors.iter().any(|selector| selects(selector, role.labels())))
            .collect();
        lending.sort_by_key(|role| role.name_any());
        let mut rules = Vec::new();
        for rule in lending.into_iter().flat_map(|role| role.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules
    }
}

/// What every cluster is to have of a ClusterRole that somebody made on the hub for all of them, with the label
/// [`SYNC_SCOPE`]. Only names that begin with `cpaas:` are the platform's to write, and of those not the names of its own
/// roles.
pub fn replica(role: &ClusterRole) -> Option<Object> {
    let name = role.metadata.name.as_deref()?;
    let meant = role.labels().get(SYNC_SCOPE).is_some_and(|scope| scope == "platform");
    let free = name.starts_with("cpaas:") && !name.starts_with("cpaas:base:") && !name.starts_with("cpaas:project:");
    let ours = role.labels().contains_key(MANAGED) || role.aggregation_rule.is_some();
    if !meant || !free || ours {
        return None;
    }
    let lends = role.labels().iter().filter(|(key, _)| key.starts_with(AGGREGATE_TO));
    let object = lends.fold(Object::new(Kind::ClusterRole, name), |object, (key, value)| object.label(key, value));
    Some(object.with("rules", json!(role.rules.as_deref().unwrap_or_default())))
}

/// The ClusterRole of a template's rights in a scope.
pub fn role_name(template: &str, scope: RoleScope) -> String {
    format!("cpaas:{template}:{}", scope.as_str())
}

/// Where the rights of a level mainly are.
pub fn main_scope(level: Level) -> RoleScope {
    match level {
        Level::Platform | Level::Cluster => RoleScope::Cluster,
        Level::Project | Level::Namespace => RoleScope::BusinessNs,
    }
}

fn names_a_label(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty());
    let there = |operator: &str| operator == "In" || operator == "Exists";
    labels || selector.match_expressions.iter().flatten().any(|expression| there(&expression.operator))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|expression| {
            let value = labels.get(&expression.key);
            let listed = value.is_some_and(|value| expression.values.iter().flatten().any(|listed| listed == value));
            match &*expression.operator {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests;
