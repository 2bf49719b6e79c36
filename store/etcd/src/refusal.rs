//! What etcd's refusals mean.
//!
//! etcd tells most of them apart by nothing but these texts (`rpctypes`), and its own client compares them too, so they
//! are a part of its API.

use crate::grpc::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Compacted,
    FutureRevision,
    TooManyOps,
    TooLarge,
    NoSpace,
    /// The token is not (or no longer) good: log in again.
    Stale,
    WrongPassword,
    NotEnabled,
    Denied,
    /// The member cannot answer now; another may.
    Unavailable,
    Other,
}

impl Refusal {
    pub(crate) fn of(status: &Status) -> Self {
        match status.message.as_str() {
            "etcdserver: mvcc: required revision has been compacted" => Self::Compacted,
            "etcdserver: mvcc: required revision is a future revision" => Self::FutureRevision,
            "etcdserver: too many operations in txn request" => Self::TooManyOps,
            "etcdserver: request is too large" => Self::TooLarge,
            "etcdserver: mvcc: database space exceeded" => Self::NoSpace,
            "etcdserver: invalid auth token"
            | "etcdserver: revision of auth store is old"
            | "etcdserver: user name is empty" => Self::Stale,
            "etcdserver: authentication failed, invalid user ID or password" => Self::WrongPassword,
            "etcdserver: authentication is not enabled" => Self::NotEnabled,
            "etcdserver: permission denied" => Self::Denied,
            // gRPC's own limit, a little above etcd's.
            text if text.starts_with("grpc: received message larger than max") => Self::TooLarge,
            _ if status.code == Status::UNAVAILABLE => Self::Unavailable,
            _ => Self::Other,
        }
    }
}
