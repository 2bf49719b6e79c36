//! Roles and their bindings.

mod validation;

use api_meta::validation::NameRule;
use api_meta::{FieldErrors, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, part};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) struct Roles;
pub(crate) struct ClusterRoles;
pub(crate) struct RoleBindings;
pub(crate) struct ClusterRoleBindings;

fn default_role(object: &mut Object) {
    // As it comes back from upstream's store, which does not tell no rules from an empty list.
    if object.items("rules").is_empty() {
        object.set("rules", Value::Null);
    }
}

fn default_binding(object: &mut Object) {
    object.made("roleRef").or_text("apiGroup", GROUP);
    for subject in object.each_mut("subjects") {
        match subject.text("kind") {
            "User" | "Group" => subject.or_text("apiGroup", GROUP),
            _ => {}
        }
    }
}

impl Strategy for Roles {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        default_role(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate_role(object, true)
    }
}

impl Strategy for ClusterRoles {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        default_role(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate_role(object, false)
    }
}

impl Strategy for RoleBindings {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        default_binding(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("rbac.authorization.k8s.io/rolebindings")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        binding_row(object, now)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate_binding(object, true)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_same_role(new, old)
    }
}

impl Strategy for ClusterRoleBindings {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        default_binding(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("rbac.authorization.k8s.io/clusterrolebindings")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        binding_row(object, now)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate_binding(object, false)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_same_role(new, old)
    }
}

fn binding_row(object: &Object, now: Timestamp) -> Vec<Value> {
    let role = part(object, "roleRef");
    let of_kind = |kind: &str| {
        let names = object.each("subjects").map(|(_, s)| s).filter(|s| s.text("kind") == kind).map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", s.text("namespace"), s.text("name")),
            _ => s.text("name").to_owned(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        object.name().into(),
        format!("{}/{}", role.text("kind"), role.text("name")).into(),
        age(object, now),
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ]
}
