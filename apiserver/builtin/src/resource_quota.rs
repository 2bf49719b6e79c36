//! `ResourceQuota`.

mod validation;

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, canonical_amounts};
use crate::table::{self, age, part};
use crate::validate::immutable;

pub(crate) struct ResourceQuotas;

impl Strategy for ResourceQuotas {
    fn default(&self, object: &mut Object) {
        canonical_amounts(object.made("spec").fields_mut("hard"));
        let status = object.made("status");
        canonical_amounts(status.fields_mut("hard"));
        canonical_amounts(status.fields_mut("used"));
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("resourcequotas")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let status = part(object, "status");
        for (name, hard) in part(status, "hard") {
            let used = part(status, "used").get(name).and_then(Value::as_str).unwrap_or("0");
            let text = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
            if name.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
        }
        vec![object.name().into(), requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let scopes = |o: &Object| part(o, "spec").value("scopes").clone();
        immutable(&mut errors, &scopes(new), &scopes(old), &FieldPath::new("spec").child("scopes"));
        errors
    }
}
