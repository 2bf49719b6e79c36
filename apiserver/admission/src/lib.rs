//! Admission: rules that look beyond the object, asked before every write.
//!
//! # Flow
//!
//! A verb describes its write as [`Attributes`], lets [`Admission::mutate`] change the object, validates it, and asks
//! [`Admission::validate`] last. Which rules there are, and in which order, is said once, in [`all_ordered_plugins`].
//! Each rule is a module that goes by upstream's name for it.
//!
//! # Guarantees
//!
//! - A rule that cannot be asked refuses: nothing is stored unseen.
//! - Rules read the registry's mirror; none costs more the more objects of other kinds there are.
//! - Warnings and audit annotations reach the client and the audit log also when the write is refused.

mod aggregate;
mod attributes;
mod certificate_requester;
mod certificates;
mod class;
mod compiled;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod expressions;
mod limit_ranger;
mod matching;
mod mutating_webhook;
mod namespace_lifecycle;
mod node_restriction;
mod persistent_volume_claim_resize;
mod plugin;
mod plugins;
mod pod_references;
mod pod_security;
mod priority;
mod reinvocation;
mod resource_quota;
mod review;
mod role_escalation;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
mod validating_admission_policy;
mod validating_webhook;
mod webhook;

pub use attributes::{Attributes, Findings, Operation};
pub use plugin::{Admission, Plugin};
pub use plugins::all_ordered_plugins;
pub use reinvocation::Reinvocation;
pub use validating_admission_policy::type_check;
