//! What a binding says, in its spec or in its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use api_types::tenancy::{
    BindingSpec, CLUSTER, Constraint, GroupBinding, Level, NAMESPACE, PROJECT, ROLE_LEVEL, ROLE_NAME, Subject,
    SubjectKind, USER_EMAIL, UserBinding,
};
use kube::ResourceExt;
use lib_names::{ClusterName, GroupName, InvalidName, UserName};
use md5::{Digest, Md5};

use super::{Binding, BindingKind, NamespacePlace, Places};

/// Finds a person's e-mail by its MD5, the name of a User.
pub type People<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Names that begin so are not people's, nor groups that a provider tells of.
const KEPT: &str = "cpaas:";

/// Why a binding gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBinding {
    /// Neither the spec nor a label says anything.
    #[error("spec is empty, and the label {ROLE_NAME} is missing: say subjects, roleRef and scope in spec")]
    Empty,
    /// A part is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The level is none.
    #[error("{field} is {value:?}: it says platform, cluster, project or namespace")]
    Level {
        /// Where it stands.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A name of a user or group that cannot be bound.
    #[error("{field} is {value:?}: {why}")]
    Name {
        /// Where it stands.
        field: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        why: InvalidName,
    },
    /// Users are known by their e-mail in lower case.
    #[error("the user {0:?} is not in lower case: users are known by their e-mail in lower case")]
    Case(String),
    /// A GroupBinding binds groups.
    #[error("the subject {0:?} is a user, and a GroupBinding binds groups: use a UserBinding")]
    UserInGroupBinding(String),
    /// The e-mail is not the one that the label means.
    #[error("the annotation {USER_EMAIL} is {0:?}, of which the label {USER_EMAIL} is not the MD5")]
    OtherEmail(String),
    /// Nobody knows the user.
    #[error("the label {USER_EMAIL} is {0:?}, and there is no User of that name")]
    UnknownUser(String),
    /// The constraint does not say what its level needs.
    #[error("a binding of scope {scope} needs {needs} in each of spec.constraint, or in its labels", scope = .scope.as_str())]
    Needs {
        /// The scope.
        scope: Level,
        /// What is missing.
        needs: &'static str,
    },
    /// The constraint says more than its level has.
    #[error("a binding of scope {scope} has no {more}", scope = .scope.as_str())]
    TooNarrow {
        /// The scope.
        scope: Level,
        /// What is too much.
        more: &'static str,
    },
    /// Whoever administered the hub would administer all clusters.
    #[error("a role of scope cluster cannot be given for the cluster global: that takes a role of scope platform")]
    Hub,
}

impl InvalidBinding {
    /// For a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Missing(_) => "Incomplete",
            Self::Level { .. } => "ScopeUnknown",
            Self::Name { .. } | Self::Case(_) | Self::UserInGroupBinding(_) => "SubjectInvalid",
            Self::OtherEmail(_) => "EmailMismatch",
            Self::UnknownUser(_) => "UserNotFound",
            Self::Needs { .. } | Self::TooNarrow { .. } => "ConstraintInvalid",
            Self::Hub => "ClusterNotAllowed",
        }
    }
}

impl Binding {
    /// Reads a UserBinding. `people` is asked when only labels say who is meant.
    pub fn of_user(binding: &UserBinding, people: People<'_>) -> Result<Self, InvalidBinding> {
        let spec = match binding.spec.0.is_empty() {
            false => binding.spec.0.clone(),
            true => of_labels(binding.labels(), binding.annotations(), people)?,
        };
        read(BindingKind::User, binding.name_any(), spec)
    }

    /// Reads a GroupBinding. It says all in its spec.
    pub fn of_group(binding: &GroupBinding) -> Result<Self, InvalidBinding> {
        read(BindingKind::Group, binding.name_any(), binding.spec.0.clone())
    }
}

/// The spec that labels stand for.
fn of_labels(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    people: People<'_>,
) -> Result<BindingSpec, InvalidBinding> {
    let label = |key: &str| labels.get(key).filter(|value| !value.is_empty()).cloned();
    let role = label(ROLE_NAME).ok_or(InvalidBinding::Empty)?;
    let level = label(ROLE_LEVEL).ok_or(InvalidBinding::Missing("the label auth.cpaas.io/role.level"))?;
    let scope = Level::parse(&level)
        .ok_or(InvalidBinding::Level { field: "the label auth.cpaas.io/role.level", value: level })?;
    let md5 = label(USER_EMAIL).ok_or(InvalidBinding::Missing("the label auth.cpaas.io/user.email"))?;
    let email = match annotations.get(USER_EMAIL).filter(|email| !email.is_empty()) {
        // Whoever wrote it may have written it as the person does.
        Some(email) if md5_hex(email) == md5 => email.to_lowercase(),
        Some(email) => return Err(InvalidBinding::OtherEmail(email.clone())),
        None => people(&md5).ok_or(InvalidBinding::UnknownUser(md5))?,
    };
    let place = Constraint { project: label(PROJECT), cluster: label(CLUSTER), namespace: label(NAMESPACE) };
    let constraint = if place == Constraint::default() { Vec::new() } else { vec![place] };
    let subjects = vec![Subject { kind: SubjectKind::User, name: email }];
    Ok(BindingSpec { subjects, role_ref: Some(role), scope: Some(scope), constraint })
}

/// The definitions refuse most of what is refused here; labels are not seen by them, and rights are not left to whether a
/// definition was in place in time.
fn read(kind: BindingKind, name: String, spec: BindingSpec) -> Result<Binding, InvalidBinding> {
    if spec.is_empty() {
        return Err(InvalidBinding::Empty);
    }
    let template = spec.role_ref.filter(|role| !role.is_empty()).ok_or(InvalidBinding::Missing("spec.roleRef"))?;
    let scope = spec.scope.ok_or(InvalidBinding::Missing("spec.scope"))?;
    if spec.subjects.is_empty() {
        return Err(InvalidBinding::Missing("spec.subjects"));
    }
    for subject in &spec.subjects {
        check_subject(kind, subject)?;
    }
    let subjects: BTreeSet<Subject> = spec.subjects.into_iter().collect();
    let places = places(scope, &spec.constraint)?;
    Ok(Binding { kind, name, subjects: subjects.into_iter().collect(), template, places })
}

fn check_subject(kind: BindingKind, subject: &Subject) -> Result<(), InvalidBinding> {
    let value = &subject.name;
    if kind == BindingKind::Group && subject.kind == SubjectKind::User {
        return Err(InvalidBinding::UserInGroupBinding(value.clone()));
    }
    let parsed = match subject.kind {
        SubjectKind::User => UserName::from_str(value).map(drop),
        SubjectKind::Group => GroupName::from_str(value).map(drop),
    };
    let kept = value.to_ascii_lowercase().starts_with(KEPT);
    let checked = parsed.and(if kept { Err(InvalidName::Reserved(KEPT)) } else { Ok(()) });
    checked.map_err(|why| InvalidBinding::Name { field: "spec.subjects[].name", value: value.clone(), why })?;
    match subject.kind {
        SubjectKind::User if *value != value.to_ascii_lowercase() => Err(InvalidBinding::Case(value.clone())),
        _ => Ok(()),
    }
}

fn places(scope: Level, constraint: &[Constraint]) -> Result<Places, InvalidBinding> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let needs = |needs| InvalidBinding::Needs { scope, needs };
    let without = |text: &Option<String>, more| match said(text) {
        Some(_) => Err(InvalidBinding::TooNarrow { scope, more }),
        None => Ok(()),
    };
    if constraint.is_empty() && scope != Level::Platform {
        return Err(needs(match scope {
            Level::Project => "a project",
            Level::Namespace => "a project, a cluster and a namespace",
            Level::Platform | Level::Cluster => "a cluster",
        }));
    }
    match scope {
        Level::Platform if constraint.is_empty() => Ok(Places::Everywhere),
        Level::Platform => Err(InvalidBinding::TooNarrow { scope, more: "constraint" }),
        Level::Cluster => {
            let mut clusters = BTreeSet::new();
            for place in constraint {
                without(&place.project, "project")?;
                without(&place.namespace, "namespace")?;
                let cluster = said(&place.cluster).ok_or(needs("a cluster"))?;
                if cluster == ClusterName::GLOBAL {
                    return Err(InvalidBinding::Hub);
                }
                clusters.insert(cluster);
            }
            Ok(Places::Clusters(clusters))
        }
        Level::Project => {
            let mut projects: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
            for place in constraint {
                without(&place.namespace, "namespace")?;
                let project = said(&place.project).ok_or(needs("a project"))?;
                match (said(&place.cluster), projects.entry(project).or_insert_with(|| Some(BTreeSet::new()))) {
                    (Some(cluster), Some(narrowed)) => drop(narrowed.insert(cluster)),
                    // All its clusters, whatever else is named.
                    (None, all) => *all = None,
                    (Some(_), None) => {}
                }
            }
            Ok(Places::Projects(projects))
        }
        Level::Namespace => {
            let all = || needs("a project, a cluster and a namespace");
            let place = |place: &Constraint| {
                Ok(NamespacePlace {
                    cluster: said(&place.cluster).ok_or_else(all)?,
                    project: said(&place.project).ok_or_else(all)?,
                    namespace: said(&place.namespace).ok_or_else(all)?,
                })
            };
            constraint.iter().map(place).collect::<Result<_, _>>().map(Places::Namespaces)
        }
    }
}

pub(crate) fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
