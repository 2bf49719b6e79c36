//! What a resource is: its names, its schema, its policy. No IO.
//!
//! The verbs are written once and know no kind. All that a kind adds is here
//! as data ([`ResourceInfo`], [`Schema`]) and as a few functions ([`Strategy`]);
//! built-in kinds and custom resources look the same from above.

mod resource;
pub mod schema;
mod strategy;
mod table;

pub use resource::{Resource, ResourceInfo, Scope, Subresource, Verb};
pub use schema::Schema;
pub use strategy::{Operation, Strategy};
pub use table::{CREATED_DESCRIPTION, Column, NAME_DESCRIPTION, Table, human_age, human_duration};
