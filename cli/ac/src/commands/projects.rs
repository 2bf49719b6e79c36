//! Projects.

pub mod shown;
