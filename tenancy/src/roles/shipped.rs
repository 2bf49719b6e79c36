//! The roles that come with the platform. What they are stands in `roles/*.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use api_types::tenancy::{
    AGGREGATE_TO, AGGREGATE_TO_SCOPE, AggregationRule, DESCRIPTION, DISPLAY_NAME, Level, RoleScope, RoleTemplate,
    RoleTemplateSpec, TEMPLATE_LEVEL, TEMPLATE_OFFICIAL,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::json;

use crate::object::{Kind, Object};

const BASE: &str = include_str!("../../roles/base.yaml");
const TEMPLATES: &str = include_str!("../../roles/templates.yaml");

/// A template's name without this is its short name: what labels and base roles call it.
const SUFFIX: &str = "-system";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    name: String,
    to: Vec<String>,
    scope: RoleScope,
    #[serde(default)]
    guarded: bool,
    rules: Vec<PolicyRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shipped {
    name: String,
    level: Level,
    scopes: Vec<RoleScope>,
    display_name: BTreeMap<String, String>,
    description: BTreeMap<String, String>,
}

/// The platform's own rules, as a cluster is to have them. Where no admission policy looks at what is written to
/// namespaces, nobody below the level of the cluster may write them.
pub fn base_roles(guarded: bool) -> Vec<Object> {
    let base: Vec<Base> = serde_saphyr::from_str(BASE).expect("the file is checked by a test");
    base.into_iter().filter(|role| guarded || !role.guarded).map(|role| role.object()).collect()
}

impl Base {
    fn object(&self) -> Object {
        let object = Object::new(Kind::ClusterRole, format!("cpaas:base:{}", self.name));
        let object =
            self.to.iter().fold(object, |object, short| object.label(&format!("{AGGREGATE_TO}{short}"), "true"));
        object.label(&format!("{AGGREGATE_TO_SCOPE}{}", self.scope.as_str()), "true").with("rules", json!(self.rules))
    }
}

/// Groups that serve more than objects: what is read there may be a console or a proxy.
const NOT_ONLY_OBJECTS: [&str; 1] = ["subresources.kubevirt.io"];

/// Lets auditors read the objects of the groups that a cluster's CustomResourceDefinitions are in. There is no way to say
/// "all groups but one" in RBAC, and `*` would take Secrets in; see `roles/base.yaml`.
pub fn auditor_of_definitions<'a>(groups: impl IntoIterator<Item = &'a str>) -> Object {
    let core = |group: &str| group.is_empty() || group == "*" || NOT_ONLY_OBJECTS.contains(&group);
    let groups: BTreeSet<_> = groups.into_iter().filter(|group| !core(group)).collect();
    let rules = match groups.is_empty() {
        true => json!([]),
        false => json!([{"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch"]}]),
    };
    Object::new(Kind::ClusterRole, "cpaas:base:platform-auditor:definitions")
        .label(&format!("{AGGREGATE_TO}platform-auditor"), "true")
        .label(&format!("{AGGREGATE_TO_SCOPE}{}", RoleScope::Cluster.as_str()), "true")
        .with("rules", rules)
}

/// The templates that come with the platform, as the hub is to have them.
pub fn shipped_templates() -> Vec<RoleTemplate> {
    let shipped: Vec<Shipped> = serde_saphyr::from_str(TEMPLATES).expect("the file is checked by a test");
    shipped.iter().map(Shipped::template).collect()
}

impl Shipped {
    fn template(&self) -> RoleTemplate {
        let short = self.name.strip_suffix(SUFFIX).unwrap_or(&self.name);
        let aggregation_rules = self.scopes.iter().map(|scope| AggregationRule {
            scope: *scope,
            cluster_role_selectors: vec![LabelSelector {
                match_labels: Some(
                    [format!("{AGGREGATE_TO}{short}"), format!("{AGGREGATE_TO_SCOPE}{}", scope.as_str())]
                        .map(|label| (label, "true".to_owned()))
                        .into(),
                ),
                ..LabelSelector::default()
            }],
        });
        let spec = RoleTemplateSpec { aggregation_rules: aggregation_rules.collect(), ..RoleTemplateSpec::default() };
        let mut template = RoleTemplate::new(&self.name, spec);
        let labels =
            [(TEMPLATE_LEVEL, self.level.as_str()), (TEMPLATE_OFFICIAL, "true"), ("rbac.cpaas.io/version", "v2")];
        template.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        // As published: the text without a language is for Chinese readers, the one with `.en` for all others.
        let texts = |key: &str, texts: &BTreeMap<String, String>| {
            let said = |language: &str, key: String| texts.get(language).map(|text| (key, text.clone()));
            [said("zh", key.to_owned()), said("en", format!("{key}.en"))].into_iter().flatten().collect::<Vec<_>>()
        };
        let annotations =
            texts(DISPLAY_NAME, &self.display_name).into_iter().chain(texts(DESCRIPTION, &self.description));
        template.metadata.annotations = Some(annotations.collect());
        template
    }
}
