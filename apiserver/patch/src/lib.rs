//! JSON, merge and strategic merge patches, and server-side apply.
//!
//! Pure functions from objects and schemas to objects; no IO, no clock. What
//! a client sees of a mistake is upstream's text: each error here turns into
//! a [`api_meta::Status`].
//!
//! The flow of a patch request: [`decode`] reads the body, one of
//! [`json_patch()`], [`merge_patch()`], [`strategic_merge`] makes the next state
//! of the object, and [`managed_fields`] records who now owns which field.
//! A server-side apply goes through [`managed_fields`] alone.
//!
//! The result of a patch is not checked against the schema: decoding it is the
//! caller's next step, as it is for every body.

pub mod decode;
pub mod go;
pub mod json_patch;
pub mod managed_fields;
mod merge_patch;
pub mod strategic;

pub use json_patch::{JsonPatch, json_patch};
pub use managed_fields::FieldManager;
pub use merge_patch::merge_patch;
pub use strategic::strategic_merge;

use api_meta::{Details, Reason, Status};

/// Upstream's answer to a patch that does not fit the object: a 422 that says nothing more.
fn rejected() -> Status {
    Status::failure(422, Reason::Invalid, "the server rejected our request due to an error in our request")
        .with_details(Details::default())
}

/// An error that upstream did not foresee: its text alone, without reason or details.
fn unclassified(message: impl ToString) -> Status {
    Status::failure(500, Reason::Unknown, message.to_string())
}
