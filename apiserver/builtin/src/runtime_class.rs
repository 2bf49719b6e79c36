//! `RuntimeClass`.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, canonical_amounts};

pub(crate) struct RuntimeClasses;

impl Strategy for RuntimeClasses {
    fn default(&self, object: &mut Object) {
        object.entry("handler").or_insert("".into());
        if let Some(overhead) = object.fields_mut("overhead") {
            canonical_amounts(overhead.fields_mut("podFixed"));
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
