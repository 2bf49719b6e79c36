//! What runs in a member: dials the hub, serves the tunnel, reports.
//!
//! # Flow
//!
//! [`Config::build`] makes an [`Agent`]; [`Agent::run`] enrolls it (a registration token becomes a certificate, once),
//! keeps the certificate fresh, holds the tunnel, and answers what comes through it: requests to the member's Kubernetes
//! API, questions about the agent itself, and what objects there are.
//!
//! # Guarantees
//!
//! - Every request of the hub that goes to the member's API names the user in whose name it is made. The agent's own
//!   rights are never lent to a request that does not say who asks.
//! - Losing the hub changes nothing in the member: the quotas of projects are enforced without it ([`quota`]), and Pods
//!   get the overcommit ratio of their namespace ([`ratio`]).
//! - An agent whose cluster was removed says so once, asks rarely whether that has changed, and deletes nothing.
//! - The private key is made here and never leaves.
//! - The hub is known by the authorities that the agent was given, and by those that a hub so known has told it of through the
//!   tunnel. One is given up only when the hub was reached without it.
//! - It is reached by the address that the agent was given, or by one that it has told of itself, if it is there. No address
//!   that leads nowhere, or to somebody else, costs the agent its hub.

mod address;
pub mod alive;
mod enroll;
mod forward;
mod guard;
mod health;
mod hub_client;
mod inventory;
pub mod quota;
pub mod ratio;
mod ready;
mod run;
mod serve;
mod store;
mod trust;

pub use enroll::{EnrollError, Token};
pub use hub_client::HubError;
pub use lib_admission::{AdmissionUrl, BadUrl};
pub use lib_kubernetes::{Body, ClusterApi};
pub use ready::Ready;
pub use run::{Agent, Config, Error};
pub use store::{CredentialStore, DirectoryStore, KeptAddress, SecretStore, StoreError, Told};
pub use tunnel_agent::{BadProxy, BadProxyUrl, HubAddress, Network, Proxy, ProxyUrl, State};
pub use tunnel_protocol::{AGENT, Webhooks};
