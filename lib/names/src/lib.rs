//! Checked strings: the names that people and programs give to things.
//!
//! A name is checked where it enters the process and nowhere else: having one is the proof. Serde goes through the same
//! check.

mod cluster;
mod person;

pub use cluster::ClusterName;
pub use person::{GroupName, UserName};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// There is no text.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than the name may be.
    #[error("must be no more than {max} bytes")]
    TooLong {
        /// The longest allowed.
        max: usize,
    },
    /// A character stands where it may not.
    #[error("must not contain {0:?} at this place")]
    BadChar(char),
    /// The name is set aside for the system's own identities.
    #[error("must not start with the reserved prefix {0:?}")]
    Reserved(&'static str),
}

/// Gives a checked string its conversions, all through `FromStr`.
macro_rules! checked {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}
use checked;
