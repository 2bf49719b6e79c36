//! Audit: who asked what of the API server, and how it was answered (upstream: `pkg/audit`).
//!
//! # Flow
//!
//! For each request the [`Policy`] says how much is recorded, from its first
//! rule that matches. [`Auditor::begin`] opens a [`Record`], which collects what
//! becomes known and writes an event at each stage: a line of JSON in the form
//! of `audit.k8s.io/v1`. One thread writes the lines; a request goes on when its
//! line is written, so a slow disk slows requests down and loses nothing.
//!
//! # Guarantees
//!
//! One event is one line, whatever clients send: control characters are
//! escaped, those of C1 and DEL too, which terminals obey as well. Lines that
//! wait are bounded in bytes. Credentials are never recorded at any level: no
//! `Authorization` header, no token in a query, none of a `TokenReview` or
//! `TokenRequest`. All else is as the policy decides: at `Request` and
//! `RequestResponse` the contents of Secrets are on the record.
//!
//! # Errors
//!
//! When the file cannot be written the loss is counted and logged, and requests
//! go on; in [`Mode::BlockingStrict`] they are refused instead.

mod event;
mod file;
mod policy;
mod record;
mod redact;
mod sink;

pub use event::{ObjectReference, Request};
pub use file::FileOptions;
pub use policy::{InvalidPolicy, Level, Policy, Stage};
pub use record::{Auditor, Record};
pub use sink::{Lost, Mode, Output, Sink};
