//! Who owns what, and who may do what: projects, roles and their bindings.
//!
//! The kinds and their fields are the published ones; fields that are not listed here are kept. What an object can get
//! wrong by itself is refused by rules in its definition. What labels say is not seen by such rules: the admission
//! policies of the `tenancy` crate look after those.

mod binding;
mod project;
mod ratio;
mod role_template;
mod rules;

pub use binding::{
    AffectedItem, BindingCondition, BindingPhase, BindingSpec, BindingStatus, BindingsCreated, Constraint,
    FailureDetails, GroupBinding, GroupBindingSpec, Level, Subject, SubjectKind, UserBinding, UserBindingSpec,
};
pub use project::{
    ClusterDeletePolicy, PROJECT_NAMES_REFUSED, Project, ProjectCluster, ProjectCondition, ProjectConditionType,
    ProjectNamespaceDetail, ProjectPhase, ProjectQuota, ProjectQuotaSpec, ProjectQuotaStatus, ProjectSpec,
    ProjectStatus, QuotaReservation, is_project_name, is_quota_key,
};
pub use ratio::{
    CLUSTER_RATIO, InvalidOvercommit, NamespaceResourceRatio, NamespaceResourceRatioSpec, NamespaceResourceRatioStatus,
    Overcommit,
};
pub use role_template::{AggregationRule, FunctionRule, RoleScope, RoleTemplate, RoleTemplateSpec, RoleTemplateStatus};

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResourceExt;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::json;

/// The API group of all kinds here but one.
pub const GROUP: &str = "auth.alauda.io";

/// Label of a Namespace: the project that owns it. Of a binding in the label form: the project it is for.
pub const PROJECT: &str = "cpaas.io/project";
/// Label of a [`Project`]: its name. Of a project's own namespace: the same.
pub const PROJECT_NAME: &str = "cpaas.io/project-name";
/// Label of a binding in the label form: the cluster it is for.
pub const CLUSTER: &str = "cpaas.io/cluster";
/// Label of a binding in the label form: the namespace it is for.
pub const NAMESPACE: &str = "cpaas.io/namespace";
/// Annotation: the name that people see.
pub const DISPLAY_NAME: &str = "cpaas.io/display-name";
/// Annotation: what a thing is for.
pub const DESCRIPTION: &str = "cpaas.io/description";

/// Label of a binding in the label form: a [`Level`].
pub const ROLE_LEVEL: &str = "auth.cpaas.io/role.level";
/// Label of a binding in the label form: the [`RoleTemplate`].
pub const ROLE_NAME: &str = "auth.cpaas.io/role.name";
/// Of a binding in the label form. As a label: the MD5 of the user's e-mail; as an annotation: the e-mail.
pub const USER_EMAIL: &str = crate::auth::USER_EMAIL;

/// Label of a [`RoleTemplate`]: the [`Level`] at which it is bound.
pub const TEMPLATE_LEVEL: &str = "auth.cpaas.io/roletemplate.level";
/// Label of a [`RoleTemplate`]: whether it came with the platform.
pub const TEMPLATE_OFFICIAL: &str = "auth.cpaas.io/roletemplate.official";
/// Label of ClusterRoles and bindings in a cluster: the template they follow from.
pub const ROLE_RELATIVE: &str = "auth.cpaas.io/role.relative";
/// Label of ClusterRoles in a cluster: the template they follow from, as those ask who verify a template.
pub const ROLE_TEMPLATE: &str = "auth.cpaas.io/roletemplate";
/// Label of the ClusterRole with a template's own rules: the template.
pub const CUSTOM_OF: &str = "auth.cpaas.io/custom-of";
/// Annotation of native bindings: the binding they follow from.
pub const BINDING: &str = "auth.cpaas.io/binding";
/// Label of what the platform writes in a cluster, and what it may take away again: `"true"`.
pub const MANAGED: &str = "auth.cpaas.io/managed";
/// Kubernetes' label for the same; for people.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "acp";

/// Begins the label that says to which template a ClusterRole lends its rules: the template's name without `-system`
/// follows.
pub const AGGREGATE_TO: &str = "rbac.cpaas.io/aggregate-to-";
/// Begins the label that says where those rules hold: a [`RoleScope`] follows.
pub const AGGREGATE_TO_SCOPE: &str = "rbac.cpaas.io/aggregate-to-scope-";

/// Label of a ClusterRole on the hub that every cluster is to have: `platform`.
pub const SYNC_SCOPE: &str = "rbac.cpaas.io/sync.scope";

/// The group of everybody who came through the platform's door. Only the door says that somebody is in it.
pub const USERS: &str = "cpaas:users";

/// Amounts by the names that ResourceQuotas use.
pub type Amounts = BTreeMap<String, Quantity>;

/// The definitions of all kinds here.
pub(crate) fn definitions() -> Vec<CustomResourceDefinition> {
    // Upstream's definition asks for nothing: a binding may say everything with labels, a project may have no cluster yet.
    let lenient =
        [Project::crd(), UserBinding::crd(), GroupBinding::crd(), RoleTemplate::crd()].map(spec_may_be_absent);
    let strict = [ProjectQuota::crd(), NamespaceResourceRatio::crd()];
    lenient.into_iter().chain(strict).map(keeps_unknown_fields).map(rules::add).collect()
}

fn keeps_unknown_fields(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    // Not in the spec of a binding: it is all that a right follows from, and all of it is known.
    let parts: &[&str] = if crd.spec.names.kind.ends_with("Binding") { &["status"] } else { &["spec", "status"] };
    for properties in properties(&mut crd) {
        for part in parts {
            if let Some(part) = properties.get_mut(*part) {
                part.x_kubernetes_preserve_unknown_fields = Some(true);
            }
        }
    }
    crd
}

/// An absent spec is an empty one.
fn spec_may_be_absent(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for properties in properties(&mut crd) {
        if let Some(spec) = properties.get_mut("spec") {
            spec.default = Some(JSON(json!({})));
        }
    }
    crd
}

type Properties = BTreeMap<String, k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps>;

fn properties(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut Properties> {
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.filter_map(|schema| schema.properties.as_mut())
}

/// The schema of [`Amounts`]: like Kubernetes' quantities, whole numbers too, and none below zero.
fn amounts_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": 64,
            "pattern": r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
        },
    })
}

/// Reads amounts that are written as numbers as well.
fn amounts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amounts, D::Error> {
    struct Read;

    impl<'de> Visitor<'de> for Read {
        type Value = Amounts;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("amounts by their names")
        }

        fn visit_unit<E>(self) -> Result<Amounts, E> {
            Ok(Amounts::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Amounts, A::Error> {
            let mut amounts = Amounts::new();
            while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                let amount = match value {
                    serde_json::Value::String(text) => text,
                    serde_json::Value::Number(number) => number.to_string(),
                    _ => {
                        return Err(A::Error::custom(format!("the amount of {name:?} is neither a text nor a number")));
                    }
                };
                amounts.insert(name, Quantity(amount));
            }
            Ok(amounts)
        }
    }

    deserializer.deserialize_any(Read)
}

#[cfg(test)]
mod tests;
