//! `Secret`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fields::FieldsExt;
use crate::table::{self, age, part};
use jiff::Timestamp;

pub(crate) struct Secrets;

impl Strategy for Secrets {
    fn default(&self, object: &mut Object) {
        object.or_text("type", "Opaque");
        merge_string_data(object);
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("secrets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.text("type").into(), part(object, "data").len().into(), age(object, now)]
    }
}

/// `stringData` is for writing only: it goes over `data` and is not kept.
fn merge_string_data(object: &mut Object) {
    let Some(Value::Object(texts)) = object.remove("stringData") else { return };
    if texts.is_empty() {
        return;
    }
    let data = object.made("data");
    for (key, text) in texts {
        data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
    }
}
