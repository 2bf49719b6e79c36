//! The fields of one object, and what is wrong with them.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::Mistake;

/// What of a value is repeated.
const SHOWN: usize = 80;

/// No text may be longer; the longest honest ones are the metadata of SAML providers.
const LONGEST: usize = 256 << 10;

/// One object of a configuration.
pub struct Fields<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    mistakes: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn root(value: &'a Value, mistakes: &'a RefCell<Vec<Mistake>>) -> Option<Self> {
        Self::of("spec.config".to_owned(), value, mistakes)
    }

    fn of(path: String, value: &'a Value, mistakes: &'a RefCell<Vec<Mistake>>) -> Option<Self> {
        match value.as_object() {
            Some(fields) => Some(Self { path, fields, mistakes }),
            None => {
                // The value may be a secret that stands in the wrong place.
                let why = "it has to be an object".to_owned();
                mistakes.borrow_mut().push(Mistake { field: path, value: String::new(), why });
                None
            }
        }
    }

    /// Remembers that a field is wrong, with the beginning of what it says.
    pub fn mistake(&self, name: &str, why: &str) {
        self.remember(name, self.get(name).map(shown).unwrap_or_default(), why);
    }

    /// As [`mistake`](Self::mistake), and does not repeat the value.
    pub fn secret_mistake(&self, name: &str, why: &str) {
        self.remember(name, String::new(), why);
    }

    fn remember(&self, name: &str, value: String, why: &str) {
        let field = format!("{}.{name}", self.path);
        let mut mistakes = self.mistakes.borrow_mut();
        // One for each field: the first says what the next would be about.
        if mistakes.iter().all(|mistake| mistake.field != field) {
            mistakes.push(Mistake { field, value, why: why.to_owned() });
        }
    }

    /// A misspelt field would otherwise be as good as left out. What it says is not repeated: it may be a misspelt
    /// password's.
    pub fn only(&self, known: &[&str]) {
        for name in self.fields.keys().filter(|name| !known.contains(&name.as_str())) {
            self.secret_mistake(name, &format!("there is no such field; there are {}", known.join(", ")));
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Whether a field says anything: forms send empty texts.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_str() != Some(""))
    }

    /// Whether nothing is said here: forms send fields that nobody filled in.
    pub fn is_blank(&self) -> bool {
        self.fields.values().all(|value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        })
    }

    /// A text; `None` when it is empty too.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.secret(name)?;
        if text.contains('\0') {
            self.mistake(name, "there is a NUL in it");
            return None;
        }
        Some(text)
    }

    /// As [`text`](Self::text), and no mistake repeats it.
    pub fn secret(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Value::String(text) if text.len() > LONGEST => {
                self.secret_mistake(name, &format!("it is longer than {} KiB", LONGEST >> 10));
                None
            }
            Value::String(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => {
                self.secret_mistake(name, "it has to be a text");
                None
            }
        }
    }

    /// A text that has to be there: `what` says what it is.
    pub fn required(&self, name: &str, what: &str) -> Option<&'a str> {
        self.text(name).or_else(|| self.missing(name, what))
    }

    /// As [`required`](Self::required), and no mistake repeats it.
    pub fn required_secret(&self, name: &str, what: &str) -> Option<&'a str> {
        self.secret(name).or_else(|| self.missing(name, what))
    }

    /// Says that a field is missing, unless something else was said of it.
    pub fn missing<T>(&self, name: &str, what: &str) -> Option<T> {
        self.secret_mistake(name, &format!("it is required: {what}"));
        None
    }

    /// PEM, as it is or in base64.
    pub fn pem(&self, name: &str) -> Option<Zeroizing<String>> {
        let text = self.text(name)?;
        if text.trim_start().starts_with("-----BEGIN ") {
            return Some(Zeroizing::new(text.to_owned()));
        }
        let joined: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
        let decoded = STANDARD.decode(&*joined).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if decoded.is_none() {
            self.secret_mistake(name, "it is no PEM in base64, and files are not read; make it with base64 -w0 FILE");
        }
        decoded.map(Zeroizing::new)
    }

    /// False unless said.
    pub fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    pub fn flag_or(&self, name: &str, unless_said: bool) -> bool {
        match self.get(name) {
            None => unless_said,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.mistake(name, "it has to be true or false");
                unless_said
            }
        }
    }

    pub fn object(&self, name: &str) -> Option<Fields<'a>> {
        Self::of(format!("{}.{name}", self.path), self.get(name)?, self.mistakes)
    }

    pub fn required_object(&self, name: &str, what: &str) -> Option<Fields<'a>> {
        match self.get(name) {
            Some(_) => self.object(name),
            None => self.missing(name, what),
        }
    }

    pub fn objects(&self, name: &str) -> Vec<Fields<'a>> {
        let at = |(index, value)| Self::of(format!("{}.{name}[{index}]", self.path), value, self.mistakes);
        self.list(name).iter().enumerate().filter_map(at).collect()
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        let all = self.list(name);
        let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
        if texts.len() != all.len() {
            self.mistake(name, "each of the list has to be a text");
        }
        texts
    }

    /// A list of texts, or one by itself.
    pub fn one_or_more(&self, name: &str) -> Vec<&'a str> {
        match self.get(name) {
            Some(Value::String(_)) => self.text(name).into_iter().collect(),
            _ => self.texts(name),
        }
    }

    fn list(&self, name: &str) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(all)) => all,
            Some(_) => {
                self.mistake(name, "it has to be a list");
                &[]
            }
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
