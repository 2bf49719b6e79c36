//! What a failing store means to a client.

use api_meta::{Cause, Details, Reason, Status};
use store_core::Error;

/// The safe half of a store's error; the whole chain is for the log, where it is written once.
pub fn from_store(error: &Error) -> Status {
    match error {
        Error::Compacted { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        Error::FutureRevision { requested, current } => too_large_resource_version(requested.0, current.0),
        Error::Invalid { reason, .. } => Status::bad_request(*reason),
        Error::OverQuota { limit, .. } => no_room(format!(
            "the data of this API server has reached its limit of {limit} bytes; deleting objects makes room"
        )),
        Error::Full { reason } => no_room(format!("the store of this API server is full: {reason}")),
        Error::DiskFull { .. } => no_room(
            "no space is left on the disk of this API server; nothing can be written before there is room on it".into(),
        ),
        Error::Closed => Status::service_unavailable("the API server is shutting down"),
        other => {
            tracing::error!(error = %chain(other), "the store failed");
            Status::internal("the store failed; the API server's log says why")
        }
    }
}

fn no_room(message: String) -> Status {
    Status::failure(507, Reason::InternalError, message)
}

/// A version that this server has not seen yet, and waited for in vain.
pub(crate) fn too_large_resource_version(requested: u64, current: u64) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    Status::failure(
        504,
        Reason::Timeout,
        format!("Timeout: Too large resource version: {requested}, current: {current}"),
    )
    .with_details(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
