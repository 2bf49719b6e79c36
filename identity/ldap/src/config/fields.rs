//! Reads the fields of an object, and remembers what is wrong with them.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::config::Mistake;

/// What of a value is repeated.
const SHOWN: usize = 80;

/// No text may be longer, certificates apart.
const LONGEST: usize = 64 << 10;

pub(super) struct Fields<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    mistakes: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Fields<'a> {
    pub(super) fn root(value: &'a Value, mistakes: &'a RefCell<Vec<Mistake>>) -> Option<Self> {
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

    pub(super) fn mistake(&self, name: &str, why: &str) {
        self.remember(name, self.get(name).map(shown).unwrap_or_default(), why);
    }

    /// As `mistake`, and does not repeat the value.
    pub(super) fn secret_mistake(&self, name: &str, why: &str) {
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

    /// A misspelt field would otherwise be as good as left out.
    pub(super) fn only(&self, known: &[&str]) {
        for name in self.fields.keys().filter(|name| !known.contains(&name.as_str())) {
            self.secret_mistake(name, &format!("there is no such field; there are {}", known.join(", ")));
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_str() != Some(""))
    }

    /// Whether nothing is said here: forms send fields that nobody filled in.
    pub(super) fn is_blank(&self) -> bool {
        self.fields.values().all(|value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        })
    }

    /// A text, `None` when it is empty too: forms send empty texts.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.secret(name)?;
        if text.contains('\0') {
            self.mistake(name, "there is a NUL in it");
            return None;
        }
        Some(text)
    }

    /// As `text`, and no mistake repeats it.
    pub(super) fn secret(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Value::String(text) if text.len() > LONGEST => {
                self.secret_mistake(name, &format!("it is longer than {LONGEST} bytes"));
                None
            }
            Value::String(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => {
                self.secret_mistake(name, "it has to be a text");
                None
            }
        }
    }

    pub(super) fn required(&self, name: &str, what: &str) -> Option<&'a str> {
        let text = self.text(name);
        if text.is_none() {
            self.secret_mistake(name, &format!("it is required: {what}"));
        }
        text
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

    pub(super) fn object(&self, name: &str) -> Option<Fields<'a>> {
        Self::of(format!("{}.{name}", self.path), self.get(name)?, self.mistakes)
    }

    pub(super) fn required_object(&self, name: &str, what: &str) -> Option<Fields<'a>> {
        if self.get(name).is_none() {
            self.secret_mistake(name, &format!("it is required: {what}"));
        }
        self.object(name)
    }

    pub(super) fn objects(&self, name: &str) -> Vec<Fields<'a>> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::Array(all)) => {
                let at = |(index, value)| Self::of(format!("{}.{name}[{index}]", self.path), value, self.mistakes);
                all.iter().enumerate().filter_map(at).collect()
            }
            Some(_) => {
                self.mistake(name, "it has to be a list");
                Vec::new()
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
