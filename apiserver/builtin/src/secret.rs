//! `Secret`.

use api_meta::validation::is_config_key;
use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Operation, Strategy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::config_map::{MAX_SIZE, decoded_length, validate_frozen};
use crate::fields::{Fields, FieldsExt, selected};
use crate::table::{self, age, part};
use crate::validate::{each_wrong, immutable};

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

    fn selectable_fields(&self) -> &[&str] {
        &["type"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        selected(object, self.selectable_fields(), field)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let data = part(object, "data");
        let mut size = 0;
        for (key, value) in data {
            each_wrong(&mut errors, &FieldPath::new("data").key(key), key.as_str(), is_config_key(key));
            size += decoded_length(value.as_str().unwrap_or_default());
        }
        if size > MAX_SIZE {
            errors.too_long(&FieldPath::new("data"), MAX_SIZE);
        }
        validate_type(&mut errors, object, data);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        immutable(&mut errors, new.value("type"), old.value("type"), &FieldPath::new("type"));
        if old.flag("immutable") {
            validate_frozen(&mut errors, new, old, &["data"]);
        }
        errors
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        if object.text("type") != "kubernetes.io/tls" {
            return Vec::new();
        }
        let holds_pem = |key: &str| {
            let bytes = STANDARD.decode(part(object, "data").text(key)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains("-----BEGIN ")
        };
        match (holds_pem("tls.crt"), holds_pem("tls.key")) {
            (false, _) => vec!["tls: failed to find any PEM data in certificate input".into()],
            (true, false) => vec!["tls: failed to find any PEM data in key input".into()],
            (true, true) => Vec::new(),
        }
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

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// What some types must hold.
fn validate_type(errors: &mut FieldErrors, object: &Object, data: &Fields) {
    let path = |key: &str| FieldPath::new("data").key(key);
    match object.text("type") {
        "kubernetes.io/service-account-token" if object.annotation(ACCOUNT_NAME).unwrap_or_default().is_empty() => {
            errors.required(&FieldPath::new("metadata").child("annotations").key(ACCOUNT_NAME), "");
        }
        "kubernetes.io/dockercfg" => json_value(errors, data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_value(errors, data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            errors.required(&path("username"), "");
            errors.required(&path("password"), "");
        }
        "kubernetes.io/ssh-auth" if data.text("ssh-privatekey").is_empty() => {
            errors.required(&path("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !data.contains_key(key) {
                    errors.required(&path(key), "");
                }
            }
        }
        _ => {}
    }
}

/// A value that must be JSON. The error never shows it.
fn json_value(errors: &mut FieldErrors, data: &Fields, key: &str) {
    let path = FieldPath::new("data").key(key);
    let Some(text) = data.value(key).as_str() else {
        errors.required(&path, "");
        return;
    };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    if let Err(wrong) = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) {
        errors.invalid(&path, "<secret contents redacted>", go_json_error(&bytes, &wrong));
    }
}

/// What Go's decoder says, without more of the contents than the one byte it names.
fn go_json_error(bytes: &[u8], error: &serde_json::Error) -> String {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        _ if error.is_eof() => "unexpected end of JSON input".into(),
        Some(b) if !b"{[\"-tfn".contains(b) && !b.is_ascii_digit() => {
            format!("invalid character '{}' looking for beginning of value", char::from(*b))
        }
        _ => "invalid JSON".into(),
    }
}
