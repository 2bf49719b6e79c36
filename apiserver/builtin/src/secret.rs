//! `Secret`.

use api_meta::{Object, Value};
use apiserver_model::Strategy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fields::FieldsExt;

pub(crate) struct Secrets;

impl Strategy for Secrets {
    fn default(&self, object: &mut Object) {
        object.or_text("type", "Opaque");
        merge_string_data(object);
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
