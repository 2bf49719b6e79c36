//! `ConfigMap`.

use api_meta::validation::is_config_key;
use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, part};
use crate::validate::each_wrong;

pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {
    fn columns(&self) -> Vec<Column> {
        table::columns("configmaps")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let count = part(object, "data").len() + part(object, "binaryData").len();
        vec![object.name().into(), count.into(), age(object, now)]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let mut size = 0;
        let (data, binary) = (part(object, "data"), part(object, "binaryData"));
        for (key, value) in data {
            let path = FieldPath::new("data").key(key);
            each_wrong(&mut errors, &path, key.as_str(), is_config_key(key));
            if binary.contains_key(key) {
                errors.invalid(&path, key.as_str(), "duplicate of key present in binaryData");
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in binary {
            each_wrong(&mut errors, &FieldPath::new("binaryData").key(key), key.as_str(), is_config_key(key));
            size += decoded_length(value.as_str().unwrap_or_default());
        }
        if size > MAX_SIZE {
            errors.too_long(&FieldPath::root(), MAX_SIZE);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if old.flag("immutable") {
            validate_frozen(&mut errors, new, old, &["data", "binaryData"]);
        }
        errors
    }
}

/// Of all values of a ConfigMap or Secret.
pub(crate) const MAX_SIZE: usize = 1024 * 1024;

/// How many bytes base64 stands for.
pub(crate) fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|&b| b == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

/// Marked immutable, an object keeps its data and the mark.
pub(crate) fn validate_frozen(errors: &mut FieldErrors, new: &Object, old: &Object, keys: &[&str]) {
    let message = "field is immutable when `immutable` is set";
    if !new.flag("immutable") {
        errors.forbidden(&FieldPath::new("immutable"), message);
    }
    for key in keys {
        if part(new, key) != part(old, key) {
            errors.forbidden(&FieldPath::new(key), message);
        }
    }
}
