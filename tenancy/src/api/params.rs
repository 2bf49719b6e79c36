//! Parameters of a query. One that is not known is refused: a misspelt filter would show everything.

use std::collections::BTreeMap;

use super::Refused;

/// More than anybody says.
const MOST: usize = 64;

pub(super) struct Params(BTreeMap<String, Vec<String>>);

impl Params {
    pub(super) fn parse(query: &str, known: &[&str]) -> Result<Self, Refused> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(MOST) {
            if !known.contains(&&*name) {
                let message = format!("there is no parameter {name:?}: there are {}", known.join(", "));
                return Err(Refused::bad_request(message));
            }
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(Self(all))
    }

    /// The one value, where there is one that says anything.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refused> {
        match self.all(name) {
            [] => Ok(None),
            [value] => Ok(Some(&**value).filter(|value| !value.is_empty())),
            _ => Err(Refused::bad_request(format!("{name} is given more than once: give it once"))),
        }
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The same, which has to be there.
    pub(super) fn must(&self, name: &str) -> Result<&str, Refused> {
        self.one(name)?.ok_or_else(|| Refused::bad_request(format!("the parameter {name} is missing")))
    }
}
