//! The words of the tunnel between hub and agents, and between a hub's replicas; no IO.
//!
//! An agent dials the hub's door with TLS, offers [`ALPN`] and shows the certificate that names its cluster. Then the
//! roles turn around: over that connection the *hub* is the HTTP/2 client and the agent the server, so only the hub can
//! open streams. Each stream is a `CONNECT` whose authority is the name of a [`Target`]; after `200` it carries plain
//! HTTP/1.1 to that target. There is no other handshake: who the agent is, the certificate says, and nothing that an
//! agent sends later can change it.
//!
//! What comes from the other machine is decoded here, and every decoder is total: any bytes give a value or an error.

mod address;
mod agent;
mod authority;
mod health;
pub mod inventory;
pub mod limits;
mod plain;
mod proxy;
mod refusal;
pub mod registration;
pub mod replica;
mod survey;
mod target;

pub use address::{Address, BadPlatformUrl, PlatformUrl, Reached};
pub use agent::{AGENT, AGENTS_GROUP, NotAnAgent, agent_user, cluster_of_agent};
pub use authority::{Authorities, Trusted};
pub use health::{ApiHealth, BadHealth, Health, NodeCount, QuotaHealth, RatioHealth, Webhooks};
pub use proxy::{BadProxyUrl, ProxyKind, ProxyLogin, ProxyUrl};
pub use refusal::Refusal;
pub use survey::{ComponentHealth, Components, MAX_COMPONENTS, MAX_RESOURCES, ResourceList, Resources, Survey};
pub use target::{Target, UnknownTarget};

/// The protocol's name in the TLS handshake. Another version has another name, so peers that do not understand each other
/// find out before a byte is exchanged.
pub const ALPN: &[u8] = b"acp-tunnel/1";

/// The authority of a `CONNECT` that leads nowhere: the replica of the hub stops, and the agent is to find another one. Until
/// it has, this connection serves as before. An agent that does not know the word refuses, and dials when it is cut off.
pub const HAND_OVER: &str = "hand-over";

/// The authority of a `CONNECT` that leads nowhere: a newer connection of the same key serves the cluster from now on. An
/// agent that has not made it itself leaves the tunnel to whoever has, as a Pod does to the one that takes its place. One
/// that does not know the word refuses, and dials again.
pub const REPLACED: &str = "replaced";
