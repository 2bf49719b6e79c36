//! Reads the fields of an object, and remembers what is wrong with them.

use std::cell::RefCell;

use serde_json::{Map, Value};
use url::Url;

use crate::Secret;
use crate::config::Mistake;

/// What of a value is repeated.
const SHOWN: usize = 80;

/// No word of a list may be longer.
const LONGEST: usize = 1024;

pub(super) struct Fields<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    mistakes: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Fields<'a> {
    pub(super) fn root(value: &'a Value, mistakes: &'a RefCell<Vec<Mistake>>) -> Option<Self> {
        Self::of("config".to_owned(), value, mistakes).map(|fields| Self { path: String::new(), ..fields })
    }

    fn of(path: String, value: &'a Value, mistakes: &'a RefCell<Vec<Mistake>>) -> Option<Self> {
        match value.as_object() {
            Some(fields) => Some(Self { path, fields, mistakes }),
            None => {
                let why = "it has to be an object".to_owned();
                mistakes.borrow_mut().push(Mistake { field: path, value: shown(value), why });
                None
            }
        }
    }

    fn path(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    pub(super) fn mistake(&self, name: &str, why: &str) {
        let value = self.get(name).map(shown).unwrap_or_default();
        self.mistakes.borrow_mut().push(Mistake { field: self.path(name), value, why: why.to_owned() });
    }

    /// A misspelt field would otherwise be as good as left out.
    pub(super) fn only(&self, known: &[&str]) {
        for name in self.fields.keys().filter(|name| !known.contains(&name.as_str())) {
            self.mistake(name, &format!("there is no such field; there are {}", known.join(", ")));
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text, `None` when it is empty too: forms send empty texts.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let text = match self.get(name)? {
            Value::String(text) => text.as_str(),
            _ => {
                self.mistake(name, "it has to be a text");
                return None;
            }
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn required(&self, name: &str, what: &str) -> Option<&'a str> {
        let text = self.text(name);
        if text.is_none() && self.get(name).is_none_or(Value::is_string) {
            self.mistake(name, &format!("it is required: {what}"));
        }
        text
    }

    /// As `required`, and no mistake repeats it.
    pub(super) fn secret(&self, name: &str, what: &str) -> Option<Secret> {
        match self.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(Secret::new(text.as_str())),
            other => {
                let why = match other {
                    None | Some(Value::String(_)) => format!("it is required: {what}"),
                    Some(_) => "it has to be a text".to_owned(),
                };
                let (field, value) = (self.path(name), String::new());
                self.mistakes.borrow_mut().push(Mistake { field, value, why });
                None
            }
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.mistake(name, "it has to be true or false");
                false
            }
        }
    }

    /// Words of printable ASCII without quotes and backslashes (RFC 6749 section 3.3).
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let fits = |word: &str| {
            let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            !word.is_empty() && word.len() <= LONGEST && word.bytes().all(printable)
        };
        let all = match self.get(name) {
            None => return Vec::new(),
            Some(Value::Array(all)) => all,
            Some(_) => {
                self.mistake(name, "it has to be a list of words");
                return Vec::new();
            }
        };
        let words: Vec<String> =
            all.iter().filter_map(Value::as_str).filter(|word| fits(word)).map(str::to_owned).collect();
        if words.len() != all.len() {
            self.mistake(name, "each has to be one word of printable ASCII, without quotes and backslashes");
        }
        words
    }

    pub(super) fn object(&self, name: &str) -> Option<Fields<'a>> {
        Self::of(self.path(name), self.get(name)?, self.mistakes)
    }

    pub(super) fn objects(&self, name: &str) -> Vec<Fields<'a>> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::Array(all)) => {
                let at = |(index, value)| Self::of(format!("{}[{index}]", self.path(name)), value, self.mistakes);
                all.iter().enumerate().filter_map(at).collect()
            }
            Some(_) => {
                self.mistake(name, "it has to be a list");
                Vec::new()
            }
        }
    }

    pub(super) fn https(&self, name: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
        let Some(url) = url else {
            self.mistake(name, "it has to be an address that begins with https://");
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.mistake(name, "a user name or password has no place in it");
            return None;
        }
        if url.fragment().is_some() {
            self.mistake(name, "there may be no # in it");
            return None;
        }
        Some(url)
    }

    pub(super) fn issuer(&self, name: &str, text: &str) -> Option<Url> {
        let url = self.https(name, text)?;
        if url.query().is_some() {
            self.mistake(name, "there may be no ? in an issuer (OpenID Connect Discovery section 3)");
            return None;
        }
        Some(url)
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
