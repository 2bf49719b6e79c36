//! A local user.

use lib_names::{GroupName, UserName};
use ring::digest::{SHA256, digest};

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// Tells two users of the same name apart, of which one is gone.
    pub uid: String,
}

/// A user as it is stored.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) user: User,
    /// The argon2id hash, in PHC form.
    pub(crate) password: String,
    pub(crate) disabled: bool,
}

impl Record {
    /// Changes with the password, and says nothing about it.
    pub(crate) fn fingerprint(&self) -> String {
        let hash = digest(&SHA256, self.password.as_bytes());
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
