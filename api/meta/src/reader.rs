//! Documents that operators write, read so that every mistake names its field.
//!
//! A [`Reader`] hands out one map's fields by name and remembers which were asked for; [`Reader::done`] then refuses the
//! others, so that a misspelt field is a mistake and not a wish that nobody hears. All mistakes are collected.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::{FieldErrors, FieldPath};

/// One map of a document.
pub struct Reader<'a> {
    path: FieldPath,
    fields: &'a Map<String, Value>,
    known: RefCell<Vec<&'static str>>,
    errors: &'a RefCell<FieldErrors>,
}

impl<'a> Reader<'a> {
    /// The document itself; `None` when it is no map.
    pub fn root(document: &'a Value, errors: &'a RefCell<FieldErrors>) -> Option<Self> {
        Self::of(document, FieldPath::root(), errors)
    }

    fn of(value: &'a Value, path: FieldPath, errors: &'a RefCell<FieldErrors>) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { path, fields, known: RefCell::default(), errors }),
            other => {
                errors.borrow_mut().type_invalid(&path, other.clone(), "must be a map");
                None
            }
        }
    }

    fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().push(name);
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, path: &FieldPath, value: &Value, wanted: &str) {
        self.errors.borrow_mut().type_invalid(path, value.clone(), format!("must be {wanted}"));
    }

    /// Where a field is.
    pub fn path(&self, name: &str) -> FieldPath {
        self.path.child(name)
    }

    /// Reports a mistake.
    pub fn error(&self, report: impl FnOnce(&mut FieldErrors)) {
        report(&mut self.errors.borrow_mut());
    }

    pub fn has(&self, name: &'static str) -> bool {
        self.get(name).is_some()
    }

    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        let value = self.get(name)?;
        if value.as_str().is_none() {
            self.wrong(&self.path(name), value, "a string");
        }
        value.as_str()
    }

    /// A string that must be there and say something.
    pub fn required(&self, name: &'static str) -> &'a str {
        if !self.has(name) || self.get(name).and_then(Value::as_str) == Some("") {
            self.error(|errors| errors.required(&self.path(name), ""));
        }
        self.text(name).unwrap_or_default()
    }

    pub fn boolean(&self, name: &'static str) -> Option<bool> {
        let value = self.get(name)?;
        if value.as_bool().is_none() {
            self.wrong(&self.path(name), value, "true or false");
        }
        value.as_bool()
    }

    fn list(&self, name: &'static str) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(&self.path(name), other, "a list");
                &[]
            }
        }
    }

    pub fn texts(&self, name: &'static str) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, item) in self.list(name).iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong(&self.path(name).index(index), item, "a string"),
            }
        }
        texts
    }

    pub fn child(&self, name: &'static str) -> Option<Reader<'a>> {
        Self::of(self.get(name)?, self.path(name), self.errors)
    }

    pub fn children(&self, name: &'static str) -> Vec<Reader<'a>> {
        let items = self.list(name).iter().enumerate();
        items.filter_map(|(index, item)| Self::of(item, self.path(name).index(index), self.errors)).collect()
    }

    /// Refuses every field that was not asked for.
    pub fn done(self) {
        for name in self.fields.keys() {
            if !self.known.borrow().iter().any(|known| known == name) {
                self.errors.borrow_mut().forbidden(&self.path(name), "there is no field of this name");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn every_mistake_names_its_field() {
        let errors = RefCell::default();
        let document = json!({"rules": [{"level": 3}, "x", {"levle": "None"}], "omit": "yes", "users": ["a", 1]});
        let root = Reader::root(&document, &errors).unwrap();
        for rule in root.children("rules") {
            rule.required("level");
            rule.done();
        }
        assert_eq!(root.boolean("omit"), None);
        assert_eq!(root.texts("users"), ["a"]);
        root.done();
        let said: Vec<String> = errors.borrow().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "rules[1]: Invalid value: \"x\": must be a map",
                "rules[0].level: Invalid value: 3: must be a string",
                "rules[2].level: Required value",
                "rules[2].levle: Forbidden: there is no field of this name",
                "omit: Invalid value: \"yes\": must be true or false",
                "users[1]: Invalid value: 1: must be a string",
            ]
        );
    }
}
