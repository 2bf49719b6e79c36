//! What a role of the platform's says in one cluster, also before the cluster has it.

use std::collections::HashSet;

use api_rbac::{PolicyRule, RoleKind, RoleRef};
use api_types::tenancy::RoleScope;
use serde_json::json;

use crate::Object;
use crate::bindings::Catalog;
use crate::projects::project_role;
use crate::roles::{Template, main_scope, role_name};
use crate::view::Known;

/// The rules of a cluster's ClusterRole; none when it has no such role.
fn there(known: &Known, name: &str) -> Vec<PolicyRule> {
    let role = RoleRef { kind: RoleKind::ClusterRole, namespace: "".into(), name: name.into() };
    let rules = known.policy.role(&role).map_or(&[][..], |rules| rules.as_slice());
    rules.iter().map(|rule| (**rule).clone()).collect()
}

/// What a template gives in a scope: what its ClusterRole says now, and what aggregation will have it say.
pub(crate) fn template_rules(known: &Known, template: &Template, scope: RoleScope) -> Vec<PolicyRule> {
    let lending = known.role_labels.iter().filter(|(_, labels)| template.selects(scope, labels));
    let lent = lending.flat_map(|(name, _)| there(known, name));
    let own = if main_scope(template.level()) == scope { template.custom_rules() } else { &[] };
    let own = own.iter().filter_map(|rule| PolicyRule::read(&json!(rule)));
    let mut seen = HashSet::new();
    let all = there(known, &role_name(template.name(), scope)).into_iter().chain(lent).chain(own);
    all.filter(|rule| seen.insert(rule.clone())).collect()
}

/// What a native binding that is planned would give.
pub(crate) fn native_rules(known: &Known, catalog: &Catalog, binding: &Object) -> Vec<PolicyRule> {
    let name = binding.body()["roleRef"]["name"].as_str().unwrap_or_default();
    let Some(role) = RoleOf::parse(name) else { return there(known, name) };
    let Some(template) = catalog.templates.get(role.template()) else { return there(known, name) };
    match role {
        RoleOf::Template { scope, .. } => template_rules(known, template, scope),
        RoleOf::Project { project, .. } => {
            let rules = template_rules(known, template, RoleScope::ProjectNs);
            let rules = serde_json::from_value::<Vec<_>>(json!(rules)).unwrap_or_default();
            let project = catalog.projects.get(project).map(|project| project_role(project, template.name(), &rules));
            let rules = project.iter().flat_map(|role| role.body()["rules"].as_array().into_iter().flatten());
            there(known, name).into_iter().chain(rules.filter_map(PolicyRule::read)).collect()
        }
    }
}

/// What the name of one of the platform's ClusterRoles says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoleOf<'a> {
    /// Of a template, in a scope.
    Template { template: &'a str, scope: RoleScope },
    /// Of a template, for what belongs to a project and lies in no namespace.
    Project { project: &'a str, template: &'a str },
}

impl<'a> RoleOf<'a> {
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix("cpaas:")?;
        let (first, rest) = rest.split_once(':')?;
        if first == "project"
            && let Some((project, template)) = rest.split_once(':')
        {
            return Some(Self::Project { project, template });
        }
        let scope = RoleScope::ALL.into_iter().find(|scope| scope.as_str() == rest)?;
        Some(Self::Template { template: first, scope })
    }

    pub(crate) fn template(self) -> &'a str {
        match self {
            Self::Template { template, .. } | Self::Project { template, .. } => template,
        }
    }
}
