//! Sessions.

use jiff::Timestamp;

use crate::token::TokenHash;
use crate::user::User;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub user: User,
    /// Until when.
    pub expires: Timestamp,
    pub(crate) hash: TokenHash,
}

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) hash: TokenHash,
    pub(crate) username: String,
    pub(crate) user_uid: String,
    /// The fingerprint of the password with which it began.
    pub(crate) password: String,
    pub(crate) expires: Timestamp,
}
