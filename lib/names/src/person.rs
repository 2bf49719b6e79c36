//! Names of people and of the groups they are in.
//!
//! Identity providers say who somebody is, and what they say becomes a Kubernetes user or group. A provider that could
//! say `system:masters` would be root on every cluster, so the prefixes that Kubernetes and the hub keep for themselves
//! are not names of people or of their groups.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{InvalidName, checked};

/// Prefixes kept for identities that no person has.
const RESERVED: [&str; 2] = ["system:", "acp:"];

/// The longest name of a person or group.
const MAX_LEN: usize = 253;

/// The name of a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Box<str>);

/// The name of a group of people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Box<str>);

checked!(UserName);
checked!(GroupName);

impl FromStr for UserName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_person(text).map(|()| Self(text.into()))
    }
}

impl FromStr for GroupName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_person(text).map(|()| Self(text.into()))
    }
}

fn check_person(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(InvalidName::TooLong { max: MAX_LEN });
    }
    // These texts travel in HTTP headers; a name that begins or ends with a space would arrive as another name.
    if let Some(bad) = text.chars().find(|c| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        return Err(InvalidName::BadChar(bad));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(InvalidName::BadChar(' '));
    }
    let lower = text.to_ascii_lowercase();
    match RESERVED.into_iter().find(|prefix| lower.starts_with(prefix)) {
        Some(prefix) => Err(InvalidName::Reserved(prefix)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(), InvalidName>) {
        assert_eq!(text.parse::<UserName>().map(drop), expect);
        assert_eq!(text.parse::<GroupName>().map(drop), expect);
    }

    #[test]
    fn plain() {
        check("admin@cpaas.io", Ok(()));
        check("cpaas:platform-admins", Ok(()));
        check("Zoë Q", Ok(()));
    }

    #[test]
    fn case_05_reserved_identities() {
        check("system:masters", Err(InvalidName::Reserved("system:")));
        check("System:Masters", Err(InvalidName::Reserved("system:")));
        check("acp:hub:fleet", Err(InvalidName::Reserved("acp:")));
    }

    #[test]
    fn texts_that_headers_would_change() {
        check("a\r\nb", Err(InvalidName::BadChar('\r')));
        check(" system:masters", Err(InvalidName::BadChar(' ')));
        check("a\u{a0}", Err(InvalidName::BadChar('\u{a0}')));
        check("", Err(InvalidName::Empty));
    }
}
