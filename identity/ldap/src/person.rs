//! What is read of a person's entry.

use crate::config::{Email, Source, UserSearch};
use crate::error::MissingAttribute;
use crate::protocol::message::Entry;

/// A person whom the directory knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Stays the same while everything else of the person may change.
    pub id: String,
    /// What the directory has for what the person types, not how they typed it.
    pub login: String,
    /// The email address.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// Names of groups, in order, each once.
    pub groups: Vec<String>,
}

impl UserSearch {
    /// Which attributes a person is made of.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &str> {
        let id = match &self.id {
            Source::Dn => None,
            Source::Attribute(attribute) => Some(attribute.as_str()),
        };
        let email = match &self.email {
            Email::Attribute(attribute) => Some(attribute.as_str()),
            Email::Suffix(_) => None,
        };
        let all = [id, email, Some(self.username.as_str()), self.name.as_deref(), self.preferred_username.as_deref()];
        all.into_iter().flatten()
    }

    /// The person that an entry stands for, without groups.
    pub(crate) fn person(&self, entry: &Entry) -> Result<Person, MissingAttribute> {
        let text = |attribute: &str, field| {
            entry.text(attribute).map(str::to_owned).ok_or_else(|| missing(entry, attribute, field))
        };
        let username = text(&self.username, "userSearch.username")?;
        let email = match &self.email {
            Email::Attribute(attribute) => text(attribute, "userSearch.emailAttr")?,
            Email::Suffix(suffix) => format!("{username}@{suffix}"),
        };
        let login = match &self.preferred_username {
            Some(attribute) => text(attribute, "userSearch.preferredUsernameAttr")?,
            None => username,
        };
        let id = match &self.id {
            Source::Dn => entry.dn.clone(),
            Source::Attribute(attribute) => {
                id(entry, attribute).ok_or_else(|| missing(entry, attribute, "userSearch.idAttr"))?
            }
        };
        // A name is nice to have. Nobody is kept out for want of one.
        let name = self.name.as_deref().and_then(|attribute| entry.text(attribute)).unwrap_or(&login).to_owned();
        Ok(Person { id, login, email, name, groups: Vec::new() })
    }
}

fn missing(entry: &Entry, attribute: &str, field: &'static str) -> MissingAttribute {
    MissingAttribute { dn: entry.dn.clone(), attribute: attribute.to_owned(), field }
}

/// Active Directory's are bytes; `objectGUID` is written as its own tools write it, others in hexadecimal.
fn id(entry: &Entry, attribute: &str) -> Option<String> {
    let value = entry.values(attribute).first().filter(|value| !value.is_empty())?;
    if attribute.eq_ignore_ascii_case("objectGUID")
        && let Ok(guid) = <[u8; 16]>::try_from(value.as_slice())
    {
        return Some(guid_text(guid));
    }
    Some(match str::from_utf8(value) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// The first three groups are little-endian (MS-DTYP section 2.3.4).
fn guid_text(guid: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = guid;
    let first = u32::from_le_bytes([a, b, c, d]);
    let (second, third) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
    let rest: Vec<String> = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{first:08x}-{second:04x}-{third:04x}-{}-{}", rest[..2].concat(), rest[2..].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Scope;

    fn users() -> UserSearch {
        UserSearch {
            base: "dc=x".into(),
            scope: Scope::Sub,
            filter: None,
            username: "uid".into(),
            id: Source::Attribute("uid".into()),
            email: Email::Attribute("mail".into()),
            name: Some("displayName".into()),
            preferred_username: None,
        }
    }

    fn entry(attributes: &[(&str, &[u8])]) -> Entry {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), vec![value.to_vec()])).collect();
        Entry { dn: "uid=ann,dc=x".into(), attributes }
    }

    #[test]
    fn all_there() {
        let entry = entry(&[("UID", b"ann"), ("mail", b"ann@x.org"), ("displayname", b"Ann")]);
        let person = users().person(&entry).unwrap();
        let [id, login, email, name] = ["ann", "ann", "ann@x.org", "Ann"].map(str::to_owned);
        assert_eq!(person, Person { id, login, email, name, groups: vec![] });
    }

    #[test]
    fn a_name_is_optional() {
        assert_eq!(users().person(&entry(&[("uid", b"ann"), ("mail", b"a@x")])).unwrap().name, "ann");
    }

    #[test]
    fn an_address_is_not() {
        let error = users().person(&entry(&[("uid", b"ann"), ("mail", b" ")])).unwrap_err();
        assert_eq!((error.attribute.as_str(), error.field), ("mail", "userSearch.emailAttr"));
    }

    #[test]
    fn an_address_may_be_made() {
        let users = UserSearch { email: Email::Suffix("x.org".into()), ..users() };
        assert_eq!(users.person(&entry(&[("uid", b"ann")])).unwrap().email, "ann@x.org");
    }

    #[test]
    fn ids_of_bytes() {
        let guid: [u8; 16] = std::array::from_fn(|n| n as u8);
        let with = |attribute: &str, value: &[u8]| id(&entry(&[(attribute, value)]), attribute);
        assert_eq!(with("objectGUID", &guid).unwrap(), "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(with("objectSid", &[1, 0xff]).unwrap(), "01ff");
        assert_eq!(with("uid", b"ann").unwrap(), "ann");
        assert_eq!(with("uid", b""), None);
    }

    #[test]
    fn the_entry_s_name_as_id() {
        let users = UserSearch { id: Source::Dn, ..users() };
        assert_eq!(users.person(&entry(&[("uid", b"ann"), ("mail", b"a@x")])).unwrap().id, "uid=ann,dc=x");
    }
}
