//! One module per verb.
//!
//! # Flow
//!
//! [`request::Info`] says what a path and method ask for; the server's filter
//! chain authenticates and authorises that; [`Endpoints::handle`] finds the
//! served resource and runs the verb. A verb is written once: what a kind adds
//! is in its [`apiserver_model::Strategy`], what a subresource does differently
//! in one module of its own.

mod binding;
pub mod body;
mod conditions;
mod context;
mod create;
mod delete;
mod eviction;
mod fields;
mod get;
mod kubelet;
mod list;
mod list_body;
mod local;
pub mod negotiate;
mod options;
mod patch;
mod proxy;
pub mod request;
mod respond;
mod reviews;
mod scale;
mod table;
pub mod token;
mod update;
mod watch;

pub use body::{Body, BoxError};
pub use context::{Endpoints, Tokens};
pub use kubelet::KubeletTransport;
pub use local::LocalGroup;
pub use request::{Info, Target};
pub use respond::status as status_response;
