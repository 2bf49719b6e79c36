//! From claims to a person (OpenID Connect Core section 5.1), by the mappings of the connector.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::Claims;
use crate::{Error, Secret};

/// No text of a person's may be longer, in bytes.
const LONGEST: usize = 1024;
/// Nobody is in more groups.
const MOST_GROUPS: usize = 1000;

/// Whom a provider vouches for.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The provider's `sub`: never another's, and what its logout tokens speak of.
    pub subject: String,
    /// What the connector has people told apart by: the claim of `userIDKey`, or the subject.
    pub id: String,
    /// Has exactly one `@`.
    pub email: String,
    /// Whether the provider says that the address is this person's. If not, it is whatever was typed there, and must
    /// make nobody somebody.
    pub email_verified: bool,
    /// The name to sign in with, or else the address.
    pub username: String,
    /// The name to be called by.
    pub name: Option<String>,
    pub phone: Option<String>,
    /// Empty unless the connector has `insecureEnableGroups`.
    pub groups: Vec<String>,
    /// The claims of `claimExtra` that are there.
    pub extra: BTreeMap<String, Value>,
    /// The session at the provider (`sid`), which its logout tokens may speak of.
    pub session: Option<String>,
    /// For [`logout_url`](crate::Provider::logout_url). Missing only where the provider gave none on a refresh.
    pub id_token: Option<Secret>,
    /// For the next [`refresh`](crate::Provider::refresh); it replaces the one before.
    pub refresh_token: Option<Secret>,
}

/// A person, of claims that were verified.
pub(crate) fn person(claims: &Map<String, Value>, mapping: &Claims) -> Result<Person, Error> {
    let said = Said { claims, overriding: mapping.overriding };
    let missing = |claim: &str| Error::MissingClaim { claim: claim.to_owned() };
    let subject = said.text("sub")?.ok_or_else(|| missing("sub"))?;
    let id = match &mapping.id {
        Some(claim) => said.text(claim)?.ok_or_else(|| missing(claim))?,
        None => subject.clone(),
    };
    let email = said.mapped("email", mapping.email.as_deref())?.ok_or_else(|| missing("email"))?;
    check_email(&email)?;
    let email_verified = match claims.get("email_verified") {
        Some(said) => *said == Value::Bool(true),
        None => mapping.unsaid_is_verified,
    };
    Ok(Person {
        username: said.mapped("preferred_username", mapping.username.as_deref())?.unwrap_or_else(|| email.clone()),
        name: said.text(mapping.name.as_deref().unwrap_or("name"))?,
        phone: said.mapped("phone_number", mapping.phone.as_deref())?,
        groups: if mapping.with_groups { said.groups(mapping.groups.as_deref())? } else { Vec::new() },
        extra: said.extra(mapping)?,
        session: said.text("sid")?,
        id_token: None,
        refresh_token: None,
        subject,
        id,
        email,
        email_verified,
    })
}

fn useless(claim: &str, why: &'static str) -> Error {
    Error::UselessClaim { claim: claim.to_owned(), why }
}

/// An address that two readers could take for two people's is nobody's.
fn check_email(email: &str) -> Result<(), Error> {
    let (user, domain) = email.split_once('@').unwrap_or_default();
    match !user.is_empty() && !domain.is_empty() && !domain.contains('@') && !email.contains(char::is_whitespace) {
        true => Ok(()),
        false => Err(useless("email", "it is no address of one person, with one @ and no spaces")),
    }
}

fn check_text(claim: &str, text: &str) -> Result<(), Error> {
    if text.len() > LONGEST {
        return Err(useless(claim, "it is longer than 1024 bytes"));
    }
    match text.contains(char::is_control) {
        true => Err(useless(claim, "there are control characters in it")),
        false => Ok(()),
    }
}

struct Said<'a> {
    claims: &'a Map<String, Value>,
    overriding: bool,
}

impl<'a> Said<'a> {
    /// `None` also when it is empty or no text, as Dex has it.
    fn text(&self, claim: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        check_text(claim, text)?;
        Ok(Some(text.to_owned()))
    }

    /// The standard claim, and the mapped one where that is missing or the mapping goes first.
    fn mapped(&self, standard: &str, mapped: Option<&str>) -> Result<Option<String>, Error> {
        let usual = self.text(standard)?;
        match mapped {
            Some(claim) if usual.is_none() || self.overriding => self.text(claim),
            _ => Ok(usual),
        }
    }

    /// A list of names, or of objects with names, or one name.
    fn groups(&self, mapped: Option<&str>) -> Result<Vec<String>, Error> {
        let standard = "groups";
        let claim = match mapped {
            Some(claim) if self.overriding || !self.claims.contains_key(standard) => claim,
            _ => standard,
        };
        let all: &'a [Value] = match self.claims.get(claim) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(all)) => all,
            Some(one) => std::slice::from_ref(one),
        };
        if all.len() > MOST_GROUPS {
            return Err(useless(claim, "there are more than 1000 of them; have the provider send fewer"));
        }
        let mut groups = Vec::new();
        for group in all {
            let name = match group {
                Value::Object(fields) => fields.get("name").and_then(Value::as_str),
                other => other.as_str(),
            };
            let name = name.ok_or_else(|| useless(claim, "it has to be a list of names"))?;
            check_text(claim, name)?;
            if !name.is_empty() && !groups.iter().any(|known| known == name) {
                groups.push(name.to_owned());
            }
        }
        Ok(groups)
    }

    fn extra(&self, mapping: &Claims) -> Result<BTreeMap<String, Value>, Error> {
        let mut extra = BTreeMap::new();
        for (claim, kind) in &mapping.extra {
            let Some(value) = self.claims.get(claim).filter(|value| !value.is_null()) else { continue };
            if !kind.fits(value) {
                return Err(useless(claim, "it is of another type than claimExtra says"));
            }
            if let Some(text) = value.as_str() {
                check_text(claim, text)?;
            }
            extra.insert(claim.clone(), value.clone());
        }
        Ok(extra)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tests::of;

    fn made(config: Value, claims: Value) -> Result<Person, String> {
        let mut all = json!({"sub": "7", "email": "ann@example.com", "email_verified": true});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        person(all.as_object().unwrap(), &of(config).claims).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(config: Value, claims: Value, why: &str) {
        let error = made(config, claims).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn standard_claims() {
        let ann = made(json!({}), json!({"name": "Ann", "preferred_username": "ann", "phone_number": "1", "sid": "s"}));
        let ann = ann.unwrap();
        assert_eq!((&*ann.subject, &*ann.id, &*ann.email, &*ann.username), ("7", "7", "ann@example.com", "ann"));
        let texts = [ann.name, ann.phone, ann.session].map(Option::unwrap);
        assert_eq!(texts, ["Ann", "1", "s"]);
        assert!(ann.email_verified);
        let bare = made(json!({}), json!({})).unwrap();
        assert_eq!((&*bare.username, bare.name, bare.groups.len()), ("ann@example.com", None, 0));
    }

    #[test]
    fn a_mapping_fills_in_or_goes_first() {
        let mapping = json!({"claimMapping": {"email": "mail", "preferred_username": "login", "phone": "mobile"}});
        let said = json!({"mail": "other@example.com", "login": "al", "preferred_username": "ann", "mobile": "2"});
        let filled = made(mapping.clone(), said.clone()).unwrap();
        assert_eq!((&*filled.email, &*filled.username), ("ann@example.com", "ann"));
        assert_eq!(filled.phone.as_deref(), Some("2"));
        let mut overriding = mapping.clone();
        overriding["overrideClaimMapping"] = true.into();
        let first = made(overriding, said).unwrap();
        assert_eq!((&*first.email, &*first.username), ("other@example.com", "al"));
        let keys = json!({"userIDKey": "employee", "userNameKey": "cn"});
        let keyed = made(keys.clone(), json!({"employee": "e1", "cn": "Ann E."})).unwrap();
        assert_eq!((&*keyed.subject, &*keyed.id, keyed.name.as_deref()), ("7", "e1", Some("Ann E.")));
        refused(keys, json!({}), "employee");
    }

    #[test]
    fn groups_in_all_their_forms() {
        #[track_caller]
        fn check(changes: Value, said: Value, expect: &[&str]) {
            let mut config = json!({"insecureEnableGroups": true});
            for (name, value) in changes.as_object().unwrap() {
                config[name] = value.clone();
            }
            assert_eq!(made(config, said).unwrap().groups, expect);
        }
        let groups = json!({"groups": ["a", "b", "a", ""], "roles": ["r"]});
        check(json!({}), groups.clone(), &["a", "b"]);
        check(json!({"insecureEnableGroups": false}), groups.clone(), &[]);
        check(json!({"groupsKey": "roles"}), groups.clone(), &["a", "b"]);
        check(json!({"groupsKey": "roles"}), json!({"roles": ["r"]}), &["r"]);
        check(json!({"claimMapping": {"groups": "roles"}, "overrideClaimMapping": true}), groups, &["r"]);
        check(json!({}), json!({"groups": "one"}), &["one"]);
        check(json!({}), json!({"groups": [{"name": "a", "id": 1}, "b"]}), &["a", "b"]);
        check(json!({}), json!({"groups": null}), &[]);
        let with = json!({"insecureEnableGroups": true});
        refused(with.clone(), json!({"groups": [1]}), "a list of names");
        refused(with.clone(), json!({"groups": {"id": "a"}}), "a list of names");
        refused(with.clone(), json!({"groups": vec!["a"; 1001]}), "more than 1000");
        refused(with, json!({"groups": ["a\u{1b}[2J"]}), "control characters");
    }

    #[test]
    fn extra_claims_have_their_types() {
        let config =
            json!({"claimExtra": [{"field": "a"}, {"field": "n", "type": "number"}, {"field": "l", "type": "array"}]});
        let extra = made(config.clone(), json!({"a": "x", "n": 3, "other": 1})).unwrap().extra;
        assert_eq!(extra, BTreeMap::from([("a".to_owned(), json!("x")), ("n".to_owned(), json!(3))]));
        refused(config.clone(), json!({"n": "3"}), "another type");
        refused(config, json!({"a": ["x"]}), "another type");
    }

    #[test]
    fn case_37_an_address_is_one_persons() {
        for email in ["", "ann", "@example.com", "ann@", "ann@evil.com@example.com", "a b@example.com", "a@b\n"] {
            assert!(made(json!({}), json!({"email": email})).is_err(), "{email:?}");
        }
        refused(json!({}), json!({"email": null}), "the person's email");
        refused(json!({}), json!({"email": ["ann@example.com"]}), "the person's email");
        for (said, skip, expect) in [
            (json!(true), false, true),
            (json!(false), false, false),
            (json!("true"), false, false),
            (json!(null), true, false),
            (json!(false), true, false),
        ] {
            let ann = made(json!({"insecureSkipEmailVerified": skip}), json!({"email_verified": said.clone()}));
            assert_eq!(ann.unwrap().email_verified, expect, "{said} {skip}");
        }
        let claims = json!({"sub": "7", "email": "ann@example.com"});
        for skip in [false, true] {
            let mapping = of(json!({"insecureSkipEmailVerified": skip})).claims;
            assert_eq!(person(claims.as_object().unwrap(), &mapping).unwrap().email_verified, skip);
        }
    }

    #[test]
    fn texts_are_bounded() {
        refused(json!({}), json!({"sub": ""}), "sub");
        refused(json!({}), json!({"sub": 7}), "sub");
        refused(json!({}), json!({"sub": "x".repeat(1025)}), "longer than 1024");
        refused(json!({}), json!({"name": "a\u{0}"}), "control characters");
    }
}
