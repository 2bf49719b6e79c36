//! Projects, roles and their bindings: what each cluster is to hold of them.
//!
//! The native RBAC of each cluster is the only authoriser, so all of this becomes ClusterRoles, bindings, namespaces and
//! admission policies there. The modules here decide that and do nothing: each is a function from what people wrote, and
//! from what a cluster has, to the objects it is to have.
//!
//! - [`roles`]: the roles that come with the platform, and what becomes of a RoleTemplate.
//! - [`bindings`]: what becomes of a UserBinding or a GroupBinding in one cluster.
//! - [`projects`]: what becomes of a Project in one cluster, how it leaves one, and its status.
//! - [`guard`]: the admission policies that see to what RBAC cannot say.
//! - [`diff`]: from what is wanted and what is there to what has to be written.

pub mod bindings;
pub mod diff;
pub mod guard;
mod object;
pub mod projects;
pub mod roles;

pub use object::{FIELD_MANAGER, Key, Kind, Object};
