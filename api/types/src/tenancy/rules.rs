//! What an object can get wrong by itself: validation rules for the definitions, in the Common Expression Language.
//!
//! They stand here and not beside the fields because bindings of both kinds share theirs, and because lists of names are
//! written once.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, ValidationRule};

use super::project::{PLAIN_KEYS, PROJECT_NAMES_REFUSED};

/// An expression that has to hold, and what to tell people when it does not.
type Rule = (String, &'static str);

/// Adds the rules of its kind to a definition.
pub(super) fn add(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let rules = match &*crd.spec.names.kind {
        "Project" => project(),
        "ProjectQuota" => vec![quota_keys("spec.hard", "self.spec.hard")],
        "UserBinding" => binding(),
        "GroupBinding" => {
            let groups = "!has(self.spec.subjects) || self.spec.subjects.all(s, s.kind == 'Group')";
            let message = "spec.subjects of a GroupBinding are groups: bind users with a UserBinding";
            binding().into_iter().chain([(groups.into(), message)]).collect()
        }
        "RoleTemplate" => role_template(),
        "NamespaceResourceRatio" => ["cpu", "memory"].map(ratio).into(),
        _ => Vec::new(),
    };
    let rules: Vec<_> = rules
        .into_iter()
        .map(|(rule, message)| ValidationRule { rule, message: Some(message.to_owned()), ..Default::default() })
        .collect();
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        if !rules.is_empty() {
            schema.x_kubernetes_validations = Some(rules.clone());
        }
    }
    crd
}

fn project() -> Vec<Rule> {
    let refused = list(&PROJECT_NAMES_REFUSED);
    vec![
        (
            "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')".into(),
            "the name of a project names a namespace in each of its clusters: at most 63 lower-case letters, digits and '-'",
        ),
        (
            format!("!self.metadata.name.startsWith('kube-') && !(self.metadata.name in {refused})"),
            "this name belongs to Kubernetes or to the platform: choose another name for the project",
        ),
        (
            "!has(self.spec.clusters) || self.spec.clusters.all(c, self.spec.clusters.exists_one(d, d.name == c.name))"
                .into(),
            "spec.clusters names a cluster twice: name each once",
        ),
        {
            let (keys, message) = quota_keys("spec.clusters[].quota", "c.quota");
            (format!("!has(self.spec.clusters) || self.spec.clusters.all(c, {keys})"), message)
        },
    ]
}

/// Every key of a map is one that a ResourceQuota can have.
fn quota_keys(field: &'static str, path: &str) -> Rule {
    let plain = list(&PLAIN_KEYS);
    let known =
        format!("k in {plain} || k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')");
    let message = match field {
        "spec.hard" => {
            "spec.hard has the keys of a ResourceQuota, such as requests.cpu, pods or requests.nvidia.com/gpu"
        }
        _ => {
            "spec.clusters[].quota has the keys of a ResourceQuota, such as requests.cpu, pods or requests.nvidia.com/gpu"
        }
    };
    (format!("!has({path}) || {path}.all(k, {known})"), message)
}

fn binding() -> Vec<Rule> {
    let says = |field: &str| format!("(has(c.{field}) && c.{field} != '')");
    let (project, cluster, namespace) = (says("project"), says("cluster"), says("namespace"));
    let every = |level: &str, holds: String| {
        format!(
            "!has(self.spec.scope) || self.spec.scope != '{level}' || (has(self.spec.constraint) && self.spec.constraint.size() > 0 && self.spec.constraint.all(c, {holds}))"
        )
    };
    vec![
        (
            "self.spec == oldSelf.spec".into(),
            "the spec of a binding never changes: delete this binding and create another",
        ),
        (
            "(has(self.spec.roleRef) && has(self.spec.scope) && has(self.spec.subjects) && self.spec.subjects.size() > 0) || (!has(self.spec.roleRef) && !has(self.spec.scope) && (!has(self.spec.subjects) || self.spec.subjects.size() == 0) && (!has(self.spec.constraint) || self.spec.constraint.size() == 0))"
                .into(),
            "spec says subjects, roleRef and scope; or nothing, and the labels say it",
        ),
        (
            "!has(self.spec.subjects) || self.spec.subjects.all(s, s.kind != 'User' || s.name == s.name.lowerAscii())".into(),
            "a User in spec.subjects is an e-mail in lower case",
        ),
        (
            "!has(self.spec.subjects) || self.spec.subjects.all(s, !s.name.lowerAscii().startsWith('system:') && !s.name.lowerAscii().startsWith('acp:') && !s.name.lowerAscii().startsWith('cpaas:'))".into(),
            "names that begin with system:, acp: or cpaas: belong to Kubernetes and to the platform: bind people and their groups",
        ),
        (
            "!has(self.spec.scope) || self.spec.scope != 'platform' || !has(self.spec.constraint) || self.spec.constraint.size() == 0".into(),
            "a role of scope platform is given everywhere: leave spec.constraint away",
        ),
        (
            every("cluster", format!("{cluster} && c.cluster != 'global' && !{project} && !{namespace}")),
            "a role of scope cluster is given in the clusters of spec.constraint[].cluster, which has no project and no namespace, and cannot be global",
        ),
        (
            every("project", format!("{project} && !{namespace}")),
            "a role of scope project is given in the projects of spec.constraint[].project, in all their clusters or in .cluster; it has no namespace",
        ),
        (
            every("namespace", format!("{project} && {cluster} && {namespace}")),
            "a role of scope namespace is given in namespaces: each of spec.constraint has project, cluster and namespace",
        ),
    ]
}

fn role_template() -> Vec<Rule> {
    vec![
        (
            "self.metadata.name.size() <= 63".into(),
            "the name of a RoleTemplate is a label of all that follows from it: at most 63 characters",
        ),
        (
            "!has(self.spec.rules) || self.spec.rules.size() == 0 || !has(self.spec.aggregationRules) || self.spec.aggregationRules.size() == 0".into(),
            "spec has rules or aggregationRules, not both",
        ),
        (
            "!has(self.spec.aggregationRules) || self.spec.aggregationRules.all(a, has(a.clusterRoleSelectors) && a.clusterRoleSelectors.size() > 0 && a.clusterRoleSelectors.all(s, (has(s.matchLabels) && s.matchLabels.size() > 0) || (has(s.matchExpressions) && s.matchExpressions.exists(e, e.operator == 'In' || e.operator == 'Exists'))))".into(),
            "each of spec.aggregationRules[].clusterRoleSelectors names a label that has to be there: without one it would take in the rights of nearly all roles",
        ),
        (
            "!has(self.spec.customRules) || self.spec.customRules.all(r, r.verbs.size() > 0)".into(),
            "each of spec.customRules has verbs",
        ),
        (
            "!has(self.spec.customRules) || self.spec.customRules.all(r, (has(r.nonResourceURLs) && r.nonResourceURLs.size() > 0) != (has(r.resources) && r.resources.size() > 0 && has(r.apiGroups) && r.apiGroups.size() > 0))".into(),
            "each of spec.customRules has apiGroups with resources, or nonResourceURLs",
        ),
    ]
}

/// Nothing is promised less than once.
fn ratio(of: &'static str) -> Rule {
    let message = match of {
        "cpu" => "spec.cpu is 0, and requests are left alone, or from 1 to 1000",
        _ => "spec.memory is 0, and requests are left alone, or from 1 to 1000",
    };
    (format!("!has(self.spec.{of}) || self.spec.{of} == 0.0 || self.spec.{of} >= 1.0"), message)
}

/// A list of texts, as an expression.
fn list(texts: &[&str]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| format!("'{text}'")).collect();
    format!("[{}]", quoted.join(", "))
}
