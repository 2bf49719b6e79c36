//! The agent's end of the tunnel.
//!
//! The agent dials, and dials again whenever the link is gone, until it is drained. Over the connection it is the HTTP/2
//! server: it answers the hub's streams and opens none.
//!
//! It leads to its targets and nowhere else, whatever the hub asks for. The hub may be broken into; a member must not
//! become a way into its own network by that.
//!
//! # Guarantees
//!
//! - The hub is verified against the given trust, and nothing falls back to less.
//! - An agent with several addresses of its hub works to use the first of them, and leaves no connection for another before
//!   that stands. An address that leads nowhere, or to somebody else, costs a second.
//! - Every step of dialling has a deadline. A dead link is noticed within 13 seconds.
//! - A way to the hub that comes back is used within 3 seconds: all its addresses are asked, each again every second. How
//!   long a proxy takes to see that its own way is back, only the proxy knows.
//! - What a proxy sees of the tunnel is TLS between the agent and the hub.
//! - The agents of a hub that restarts come back within 3 seconds, and not together.

mod backoff;
mod dial;
mod network;
mod proxy;
mod race;
mod run;
mod serve;
mod ungranted;

pub use dial::{DialError, HubAddress, is_stranger};
pub use network::{Network, Socket};
pub use proxy::{BadProxy, Link, Proxy, ProxyError};
pub use run::{Agent, Config, State};
pub use serve::{Ended, Handler};
pub use tunnel_protocol::{BadProxyUrl, ProxyUrl};
pub use tunnel_stream::TunnelStream;
