//! `APIService`: which server answers a group and version.

use api_meta::validation::NameRule;
use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct ApiServices;

impl Strategy for ApiServices {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        object.made("status");
        let spec = object.made("spec");
        spec.or_set("groupPriorityMinimum", 0);
        spec.or_set("versionPriority", 0);
        if let Some(service) = spec.fields_mut("service") {
            service.or_set("port", 443);
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
