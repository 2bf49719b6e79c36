//! Roles and bindings, as objects hold them.

use std::collections::HashSet;
use std::fmt;

use api_meta::{Object, Value};
use serde::Serialize;

use crate::{Name, PolicyRule, User};

/// The kinds that policies are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

impl Kind {
    /// The kind of an object that says it: those in lists often do not.
    pub fn of(object: &Object) -> Option<Self> {
        Some(match object.kind() {
            "Role" => Self::Role,
            "ClusterRole" => Self::ClusterRole,
            "RoleBinding" => Self::RoleBinding,
            "ClusterRoleBinding" => Self::ClusterRoleBinding,
            _ => return None,
        })
    }

    /// Whether objects of this kind have a namespace.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Self::Role | Self::RoleBinding)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum RoleKind {
    Role,
    ClusterRole,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "Role",
            Self::ClusterRole => "ClusterRole",
        })
    }
}

/// Which role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RoleRef {
    pub kind: RoleKind,
    /// Empty for cluster roles.
    pub namespace: Name,
    pub name: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServiceAccount => "ServiceAccount",
        })
    }
}

/// Whom a binding gives its role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subject {
    pub kind: SubjectKind,
    /// Of a service account; empty for others.
    pub namespace: Name,
    pub name: Name,
}

pub(crate) const ACCOUNTS: &str = "system:serviceaccount:";

impl Subject {
    /// Whether this is the user, or a group of theirs.
    pub fn is(&self, user: User<'_>) -> bool {
        match self.kind {
            SubjectKind::User => *self.name == *user.name,
            SubjectKind::Group => user.groups.iter().any(|group| *self.name == **group),
            SubjectKind::ServiceAccount => user
                .name
                .strip_prefix(ACCOUNTS)
                .and_then(|rest| rest.split_once(':'))
                .is_some_and(|(namespace, name)| *self.namespace == *namespace && *self.name == *name),
        }
    }

    fn read(value: &Value, binding_namespace: &Name, name: &mut impl FnMut(&str) -> Name) -> Option<Self> {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let kind = match text("kind")? {
            "User" => SubjectKind::User,
            "Group" => SubjectKind::Group,
            "ServiceAccount" => SubjectKind::ServiceAccount,
            _ => return None,
        };
        let namespace = match (kind, text("namespace").unwrap_or_default()) {
            (SubjectKind::ServiceAccount, "") => binding_namespace.clone(),
            (SubjectKind::ServiceAccount, namespace) => name(namespace),
            _ => name(""),
        };
        Some(Self { kind, namespace, name: name(text("name")?) })
    }
}

/// A role and whom it is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Where the role holds; empty for the whole cluster.
    pub namespace: Name,
    pub name: Name,
    pub role: RoleRef,
    pub subjects: Box<[Subject]>,
}

impl Binding {
    pub fn kind(&self) -> Kind {
        if self.namespace.is_empty() { Kind::ClusterRoleBinding } else { Kind::RoleBinding }
    }

    /// The first subject that is the user.
    pub fn subject(&self, user: User<'_>) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.is(user))
    }

    /// The binding in a place; `None` when it gives nothing, as one of no kind of role does.
    ///
    /// Subjects that are none are left out.
    pub(crate) fn read(object: &Object, namespace: &str, name: &mut impl FnMut(&str) -> Name) -> Option<Self> {
        let namespace = name(namespace);
        let (kind, role_namespace) = match object.str_at(&["roleRef", "kind"])? {
            "ClusterRole" => (RoleKind::ClusterRole, name("")),
            "Role" if !namespace.is_empty() => (RoleKind::Role, namespace.clone()),
            _ => return None,
        };
        let role = RoleRef { kind, namespace: role_namespace, name: name(object.str_at(&["roleRef", "name"])?) };
        let subjects = object.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let mut seen = HashSet::new();
        let subjects = subjects
            .filter_map(|subject| Subject::read(subject, &namespace, name))
            .filter(|subject| seen.insert(subject.clone()))
            .collect();
        Some(Self { namespace, name: name(object.name()), role, subjects })
    }
}

/// The rules of a role. One that does not decode grants nothing.
pub fn rules_of(role: &Object) -> Vec<PolicyRule> {
    read_rules(role, &mut |name| Name::from(name))
}

pub(crate) fn read_rules(role: &Object, name: &mut impl FnMut(&str) -> Name) -> Vec<PolicyRule> {
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| PolicyRule::read_with(rule, name)).collect()
}
