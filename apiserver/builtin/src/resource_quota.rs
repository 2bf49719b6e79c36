//! `ResourceQuota`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, canonical_amounts};

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
}
