//! People whom an LDAP directory or Active Directory knows: signed in, looked up, and listed.
//!
//! A [`Config`] is what a connector says, checked; a [`Directory`] asks. Nothing is kept between two questions: each
//! has a connection and a deadline of its own.
//!
//! # Flow
//!
//! To sign somebody in, the directory is asked as the connector's account for the one entry with that name; then the
//! directory, and nobody else, is asked whether that entry has this password; then, as the account again, which groups
//! name the entry.
//!
//! # Guarantees
//!
//! - What a person types is a value in a request. It is never part of a text that anything parses, neither a filter nor
//!   a name of an entry, so there is no metacharacter.
//! - An empty password is never sent: a directory takes it for an anonymous bind and agrees (RFC 4513 section 5.1.2).
//! - A wrong name and a wrong password cannot be told apart, by answer or by the number of questions asked.
//! - The directory is believed when its certificate is from the configured authority and names the host. Without TLS
//!   nothing is sent unless the connector says `insecureNoSSL: true`.
//! - Referrals and aliases are not followed, and only addresses are called that [`Directory::allowing`] allows.
//! - Every answer has a bound, and so has the time.
//!
//! # Errors
//!
//! [`SignInError`] tells the person's affairs from the operator's; [`DirectoryError`] is all the operator's, and names
//! the field of the connector where there is one.

mod config;
mod connection;
mod directory;
mod error;
mod groups;
mod person;
mod protocol;
mod refusal;

pub use config::Config;
pub use directory::{Directory, Limits, People};
pub use error::{AccountProblem, DirectoryError, MissingAttribute, Refusal, SignInError, Unavailable};
pub use person::Person;
pub use protocol::ber::Malformed;
pub use protocol::filter::{Comparison, Filter, InvalidFilter, Matching, Pieces};
