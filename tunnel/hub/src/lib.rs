//! The hub's end of the tunnels.
//!
//! The hub never dials a member. An agent holds one connection open and we open streams inside it, so a cluster behind
//! NAT needs no inbound port. Over that connection we are the HTTP/2 client: an agent has no way to open a stream
//! hub-ward, and an attempt ends its session.
//!
//! A request goes ahead of the agent's word that it leads where the stream is to lead; refused, nobody has read it.
//!
//! There is no retry here: only the caller knows whether a request is safe to repeat. There is no queue either; with no
//! tunnel, or with no stream left in it, the answer is an error at once.
//!
//! # Guarantees
//!
//! - A session belongs to the cluster that the client certificate named in the handshake. Nothing that is sent later
//!   changes that.
//! - The newest session of the same key wins. Another key does not displace a session that lives.
//! - A session counts as connected once it has answered a ping, and is dropped when it stops answering.
//! - What another replica of the hub has is used through it: one step, and never through a third. When the connection to it
//!   ends, what it has counts as disconnected.
//! - Streams of people and streams of the hub itself have a [`Room`] each; neither takes the other's.

mod client;
mod error;
mod opening;
mod peer;
mod registry;
mod replica;
mod request;
mod room;
mod session;
mod sessions;
mod turn;

pub use error::{OpenError, Refused, SendError};
pub use peer::{Peer, ReplicaPeer};
pub use registry::{Change, Connection, Snapshot};
pub use request::ResponseBody;
pub use room::Room;
pub use session::Ended;
pub use sessions::{Config, Deadlines, Entered, Sessions};
pub use tunnel_stream::{Figures, TunnelStream};
