//! Names of clusters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{InvalidName, checked};

/// The name of a cluster: an RFC 1123 label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(Box<str>);

checked!(ClusterName);

impl ClusterName {
    /// The longest name.
    pub const MAX_LEN: usize = 63;

    /// The hub's own name among its clusters.
    pub const GLOBAL: &'static str = "global";

    /// The hub's own name, as a name.
    pub fn global() -> Self {
        Self(Self::GLOBAL.into())
    }

    /// Whether this names the hub itself.
    pub fn is_global(&self) -> bool {
        &*self.0 == Self::GLOBAL
    }
}

impl FromStr for ClusterName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidName::TooLong { max: Self::MAX_LEN });
        }
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some(bad) = text.chars().find(|c| !inner(*c)) {
            return Err(InvalidName::BadChar(bad));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(InvalidName::BadChar('-'));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, InvalidName>) {
        assert_eq!(text.parse::<ClusterName>().map(|name| name.to_string()), expect.map(str::to_owned));
    }

    #[test]
    fn plain() {
        check("eu-west-1", Ok("eu-west-1"));
    }

    #[test]
    fn one_digit() {
        check("1", Ok("1"));
    }

    #[test]
    fn empty() {
        check("", Err(InvalidName::Empty));
    }

    #[test]
    fn longest() {
        check(&"a".repeat(63), Ok(&"a".repeat(63)));
    }

    #[test]
    fn too_long() {
        check(&"a".repeat(64), Err(InvalidName::TooLong { max: 63 }));
    }

    #[test]
    fn trailing_dash() {
        check("eu-", Err(InvalidName::BadChar('-')));
    }

    #[test]
    fn leading_dash() {
        check("-eu", Err(InvalidName::BadChar('-')));
    }

    #[test]
    fn upper_case() {
        check("EU", Err(InvalidName::BadChar('E')));
    }

    #[test]
    fn dots_belong_to_subdomains() {
        check("a.b", Err(InvalidName::BadChar('.')));
    }

    #[test]
    fn path_tricks() {
        check("a/../b", Err(InvalidName::BadChar('/')));
        check("a%2fb", Err(InvalidName::BadChar('%')));
        check("a:extra", Err(InvalidName::BadChar(':')));
        check("clüster", Err(InvalidName::BadChar('ü')));
    }

    #[test]
    fn serde_checks_too() {
        assert!(serde_json::from_str::<ClusterName>("\"eu\"").is_ok());
        assert!(serde_json::from_str::<ClusterName>("\"../eu\"").is_err());
    }

    proptest! {
        #[test]
        fn accepted_names_are_labels(text in ".{0,80}") {
            let is_label = !text.is_empty()
                && text.len() <= 63
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !text.starts_with('-')
                && !text.ends_with('-');
            prop_assert_eq!(text.parse::<ClusterName>().is_ok(), is_label);
        }
    }
}
