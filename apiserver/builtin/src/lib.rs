//! The built-in resources: one small module each for defaults, policy, validation and table.
//!
//! [`resources`] is the whole list, in discovery's order. Everything behind it
//! is a pure function of objects; whatever needs to look at other objects
//! (cluster IPs, the tokens of service accounts, the kinds behind a budget)
//! belongs to the registry or to admission.

pub mod admission_expressions;
mod api_service;
mod catalog;
mod certificate_signing_request;
mod config_map;
mod controller_revision;
mod cron_job;
mod csi;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod difference;
mod dynamic_resource;
mod endpoint_slice;
mod endpoints;
mod event;
mod fields;
pub mod flow_control;
mod horizontal_pod_autoscaler;
mod ingress;
mod ip_address;
mod job;
mod lease;
mod limit_range;
mod metrics;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_template;
mod priority_class;
mod rbac;
mod replica_set;
mod resource_quota;
mod runtime_class;
pub mod scale;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;
mod table;
mod validate;
mod volume_attachment;
mod webhook;
mod workload;

pub use catalog::resources;
pub use metrics::{METRICS, metrics_policy, metrics_resources};
pub use service::{Needs as ServiceNeeds, needs as service_needs};
