//! What roles and bindings allow (upstream: `plugin/pkg/auth/authorizer/rbac`); no IO, no clock, no runtime.
//!
//! A [`Policy`] mirrors the roles and bindings of one cluster, and changes as they do. It answers questions about one
//! user ([`Policy::allows`], [`Policy::grants`], [`Policy::rules_for`]), about everybody ([`Policy::who_can`]), and makes
//! [`Rights`] for many questions about one user. What is the same in many clusters is held once, by their [`Interner`].
//!
//! Two things are for the caller: a user's groups are all that is said of them here, so whoever is authenticated must
//! also be said to be in `system:authenticated`; and members of `system:masters`, whom an API server never asks about,
//! have here what bindings give them.
//!
//! ```
//! use api_meta::{Object, json};
//! use api_rbac::{Attributes, Interner, Kind, Policy, Resource, User};
//!
//! let (interner, mut policy) = (Interner::default(), Policy::default());
//! let role = json!({"metadata": {"name": "view"}, "rules": [
//!     {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
//! ]});
//! let binding = json!({"metadata": {"name": "viewers", "namespace": "shop"},
//!     "roleRef": {"kind": "ClusterRole", "name": "view"},
//!     "subjects": [{"kind": "Group", "name": "staff"}]});
//! policy.insert(Kind::ClusterRole, &Object::try_from(role)?, &interner);
//! policy.insert(Kind::RoleBinding, &Object::try_from(binding)?, &interner);
//!
//! let groups = ["staff".to_owned()];
//! let ann = User { name: "ann", groups: &groups };
//! let list = Attributes::resource("list", Resource { resource: "pods", namespace: "shop", ..Resource::default() });
//! let grant = policy.allows(ann, &list).expect("the binding says so");
//! assert_eq!((&*grant.binding.name, &*grant.subject.name, &*grant.binding.role.name), ("viewers", "staff", "view"));
//! # Ok::<(), api_meta::NotAnObject>(())
//! ```

mod attributes;
mod coverage;
mod index;
mod interner;
mod objects;
mod policy;
mod rights;
mod rule;

pub use attributes::{Attributes, Resource, Target, User};
pub use coverage::{MAX_PARTS, TooMany, lacking};
pub use index::Rules;
pub use interner::{Interner, Name};
pub use objects::{Binding, Kind, RoleKind, RoleRef, Subject, SubjectKind, rules_of};
pub use policy::{Grant, Policy};
pub use rights::{Namespaces, Rights};
pub use rule::PolicyRule;
