//! The Kubernetes object model: names, objects, `Status`, selectors, field errors; no IO.
//!
//! Objects are untyped JSON. An API server never needs more than `metadata`
//! to store, list, watch and delete an object, and what a kind adds (defaults,
//! validation, columns) reads a handful of fields; typed structs would decode
//! and encode every field of every object to touch those few.

mod field;
mod group;
mod object;
pub mod quantity;
mod reader;
mod selector;
mod status;
mod time;
pub mod validation;

pub use field::{FieldError, FieldErrorKind, FieldErrors, FieldPath};
pub use group::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, InvalidGroupVersion};
pub use object::{NotAnObject, Object, OwnerReference};
pub use quantity::Quantity;
pub use reader::Reader;
pub use selector::{FieldSelector, InvalidSelector, LabelSelector, Requirement};
pub use status::{Cause, Details, Reason, Status};
pub use time::{format_micro, format_seconds, now_micro, now_seconds, parse as parse_time};

pub use serde_json::{Map, Value, json};
