//! Roles and their bindings.

use api_meta::validation::NameRule;
use api_meta::{Object, Value};
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) struct Roles;
pub(crate) struct ClusterRoles;
pub(crate) struct RoleBindings;
pub(crate) struct ClusterRoleBindings;

fn default_role(object: &mut Object) {
    object.entry("rules").or_insert(Value::Null);
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
}
