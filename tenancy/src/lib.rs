//! Projects, roles and their bindings: what each cluster is to have of them, and how it gets that.
//!
//! The native RBAC of each cluster is the only authoriser, so all of this becomes ClusterRoles, bindings, namespaces and
//! admission policies there. What is to be there is decided by modules that do nothing else: each is a function from what
//! people wrote, and from what a cluster has, to the objects it is to have.
//!
//! - [`roles`]: the roles that come with the platform, and what becomes of a RoleTemplate.
//! - [`bindings`]: what becomes of a UserBinding or a GroupBinding in one cluster.
//! - [`projects`]: what becomes of a Project in one cluster, how it leaves one, and its status.
//! - [`guard`]: the admission policies that see to what RBAC cannot say.
//! - [`view`]: what is known at a moment, of the hub and of each cluster.
//! - [`rights`]: what somebody may do in a cluster.
//! - [`explain`]: why somebody may do something, who else may, and what a change of bindings would change.
//! - [`escalation`]: who may write bindings, templates, projects and quotas.
//! - [`api`]: all of this over HTTP.
//! - [`diff`]: from what is wanted and what is there to what has to be written.
//!
//! [`Tenancy::start`] does it: it follows the hub's objects, and each cluster by a [`Mirror`], writes what has to be
//! written, and tells in the status of the hub's objects what became of them.

pub mod api;
pub mod bindings;
mod book;
pub mod diff;
pub mod escalation;
pub mod explain;
mod follow;
mod given;
pub mod guard;
mod mirror;
mod object;
pub mod projects;
mod report;
pub mod rights;
pub mod roles;
mod run;
mod sync;
#[cfg(test)]
mod testing;
pub mod view;
mod wire;

pub use mirror::{Mirror, Snapshot, Standing};
pub use object::{FIELD_MANAGER, Key, Kind, Object};
pub use run::{Parts, Tenancy, Way};
