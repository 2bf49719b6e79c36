//! What can go wrong on the hub's end.

use std::time::SystemTime;

use lib_names::ClusterName;
use tunnel_protocol::replica::NotAReplica;
use tunnel_protocol::{NotAnAgent, Refusal, Target};

use crate::Room;

/// Why a connection does not become a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The handshake chose another protocol.
    #[error("the connection is not a tunnel")]
    Protocol,
    /// The peer showed no certificate.
    #[error("the agent showed no certificate")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("could not read the agent's certificate")]
    Certificate(#[source] lib_tls::Error),
    /// The certificate is not an agent's.
    #[error("the certificate is not an agent's")]
    NotAnAgent(#[from] NotAnAgent),
    /// The certificate is not that of a replica of the hub.
    #[error("the certificate is not that of a replica of the hub")]
    NotAReplica(#[from] NotAReplica),
    /// HTTP/2 could not start.
    #[error("could not start HTTP/2")]
    Handshake(#[source] h2::Error),
    /// The other end did not answer the first ping.
    #[error("the other end did not answer in time")]
    Silent,
    /// Another agent, with another key, is connected for this cluster.
    #[error("cluster {cluster} is connected with another key")]
    KeyInUse {
        /// The cluster.
        cluster: ClusterName,
    },
    /// The hub is shutting down.
    #[error("the hub is shutting down")]
    Draining,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The cluster's agent is not connected.
    #[error("cluster {cluster} has no tunnel")]
    NoTunnel {
        /// The cluster.
        cluster: ClusterName,
        /// Since when; `None` if it was never connected to this process.
        since: Option<SystemTime>,
    },
    /// Every stream of that room is in use.
    #[error("the tunnel of cluster {cluster} is full")]
    Full {
        /// The cluster.
        cluster: ClusterName,
        /// The room.
        room: Room,
    },
    /// The agent did not answer before the deadline.
    #[error("the agent of cluster {cluster} did not answer in time")]
    Deadline {
        /// The cluster.
        cluster: ClusterName,
    },
    /// The agent refused.
    #[error("the agent of cluster {cluster} refused a stream to {target}")]
    Refused {
        /// The cluster.
        cluster: ClusterName,
        /// What was asked for.
        target: Target,
        /// Why not.
        #[source]
        refusal: Refusal,
    },
    /// Another replica of the hub has the tunnel, and was not reached.
    #[error("replica {replica} of the hub, which has the tunnel of cluster {cluster}, was not reached")]
    Replica {
        /// The cluster.
        cluster: ClusterName,
        /// Which replica.
        replica: String,
        /// How.
        #[source]
        source: h2::Error,
    },
    /// Another replica of the hub has the tunnel, and did not get a stream either.
    #[error("replica {replica} of the hub got no stream in the tunnel of cluster {cluster}")]
    AtReplica {
        /// The cluster.
        cluster: ClusterName,
        /// Which replica.
        replica: String,
    },
    /// The tunnel broke while the stream was opened.
    #[error("the tunnel of cluster {cluster} broke")]
    Broken {
        /// The cluster.
        cluster: ClusterName,
        /// How.
        #[source]
        source: h2::Error,
    },
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no stream.
    #[error("could not open a stream")]
    Open(#[from] OpenError),
    /// The exchange failed.
    #[error("could not exchange HTTP with cluster {cluster}")]
    Exchange {
        /// The cluster.
        cluster: ClusterName,
        /// How.
        #[source]
        source: hyper::Error,
    },
    /// The response did not begin before the deadline.
    #[error("cluster {cluster} did not answer in time")]
    Deadline {
        /// The cluster.
        cluster: ClusterName,
    },
}
