//! Reading and filling the fields of an object.
//!
//! Upstream's types are structs: a string that is not there is empty, a list
//! without items is not there, and a struct that is not a pointer is always
//! there. These helpers read and default JSON by the same rules, so that the
//! modules of the kinds read like a list of fields. Values of an unexpected
//! type count as missing; the schema has refused them on the way in.

use api_meta::{Map, Object, Quantity, Value};

pub(crate) type Fields = Map<String, Value>;

static NONE: Value = Value::Null;

pub(crate) trait FieldsExt {
    /// The value, or null.
    fn value(&self, key: &str) -> &Value;
    /// A string; empty when missing.
    fn text(&self, key: &str) -> &str;
    fn int(&self, key: &str) -> Option<i64>;
    /// A boolean; false when missing.
    fn flag(&self, key: &str) -> bool;
    fn fields(&self, key: &str) -> Option<&Fields>;
    /// The items of a list; none when missing.
    fn items(&self, key: &str) -> &[Value];
    /// The items of a list that are objects, with their places.
    fn each<'a>(&'a self, key: &str) -> impl Iterator<Item = (usize, &'a Fields)>;
    fn texts<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str>;

    /// Whether the field says something: it is neither missing nor null.
    fn says(&self, key: &str) -> bool {
        !self.value(key).is_null()
    }

    fn fields_mut(&mut self, key: &str) -> Option<&mut Fields>;
    fn each_mut<'a>(&'a mut self, key: &str) -> impl Iterator<Item = &'a mut Fields>;
    /// The object in a field, made if missing.
    fn made(&mut self, key: &str) -> &mut Fields;

    fn set(&mut self, key: &str, value: impl Into<Value>);
    /// Sets a field that is missing or null (a pointer in upstream's types).
    fn or_set(&mut self, key: &str, value: impl Into<Value>);
    /// Sets a string that is missing or empty.
    fn or_text(&mut self, key: &str, value: &str);
    /// Sets a number that is missing or zero.
    fn or_int(&mut self, key: &str, value: i64);
}

impl FieldsExt for Fields {
    fn value(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NONE)
    }

    fn text(&self, key: &str) -> &str {
        self.value(key).as_str().unwrap_or_default()
    }

    fn int(&self, key: &str) -> Option<i64> {
        self.value(key).as_i64()
    }

    fn flag(&self, key: &str) -> bool {
        self.value(key).as_bool().unwrap_or_default()
    }

    fn fields(&self, key: &str) -> Option<&Fields> {
        self.value(key).as_object()
    }

    fn items(&self, key: &str) -> &[Value] {
        self.value(key).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn each<'a>(&'a self, key: &str) -> impl Iterator<Item = (usize, &'a Fields)> {
        self.items(key).iter().enumerate().filter_map(|(i, v)| Some((i, v.as_object()?)))
    }

    fn texts<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.items(key).iter().filter_map(Value::as_str)
    }

    fn fields_mut(&mut self, key: &str) -> Option<&mut Fields> {
        self.get_mut(key)?.as_object_mut()
    }

    fn each_mut<'a>(&'a mut self, key: &str) -> impl Iterator<Item = &'a mut Fields> {
        self.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
    }

    fn made(&mut self, key: &str) -> &mut Fields {
        let value = self.entry(key).or_insert(Value::Null);
        if !value.is_object() {
            *value = Value::Object(Fields::new());
        }
        let Value::Object(fields) = value else { unreachable!("made an object above") };
        fields
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.insert(key.into(), value.into());
    }

    fn or_set(&mut self, key: &str, value: impl Into<Value>) {
        if !self.says(key) {
            self.set(key, value);
        }
    }

    fn or_text(&mut self, key: &str, value: &str) {
        if self.text(key).is_empty() {
            self.set(key, value);
        }
    }

    fn or_int(&mut self, key: &str, value: i64) {
        if self.int(key).unwrap_or_default() == 0 {
            self.set(key, value);
        }
    }
}

/// Writes the amounts of a resource list in canonical form, nothing finer than a thousandth.
pub(crate) fn canonical_amounts(amounts: Option<&mut Fields>) {
    for amount in amounts.into_iter().flat_map(|amounts| amounts.values_mut()) {
        if let Ok(quantity) = Quantity::from_value(amount) {
            *amount = quantity.rounded_to_milli().to_string().into();
        }
    }
}

/// The amounts of `limits` and `requests`.
pub(crate) fn canonical_resources(resources: &mut Fields) {
    for list in ["limits", "requests"] {
        canonical_amounts(resources.fields_mut(list));
    }
}

/// Adds the fields of `defaults` that are not there yet.
pub(crate) fn fill(fields: &mut Fields, defaults: Value) {
    let Value::Object(defaults) = defaults else { return };
    for (key, value) in defaults {
        fields.or_set(&key, value);
    }
}

/// A selectable field that is a string at the path of its name; empty when missing.
pub(crate) fn selected(object: &Object, selectable: &[&str], field: &str) -> Option<String> {
    if !selectable.contains(&field) {
        return None;
    }
    let path: Vec<_> = field.split('.').collect();
    Some(object.str_at(&path).unwrap_or_default().to_owned())
}
