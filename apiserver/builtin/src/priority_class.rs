//! `PriorityClass`.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct PriorityClasses;

impl Strategy for PriorityClasses {
    fn default(&self, object: &mut Object) {
        object.or_set("value", 0);
        object.or_set("preemptionPolicy", "PreemptLowerPriority");
    }

    fn has_generation(&self) -> bool {
        true
    }
}
