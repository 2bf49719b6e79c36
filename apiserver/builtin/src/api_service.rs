//! `APIService`: which server answers a group and version.

use api_meta::validation::NameRule;
use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, condition, part};

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

    fn columns(&self) -> Vec<Column> {
        table::columns("apiregistration.k8s.io/apiservices")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let service = part(object, "spec").fields("service");
        let service = service.map(|s| format!("{}/{}", s.text("namespace"), s.text("name")));
        let available = match condition(part(object, "status"), "Available") {
            None => "Unknown".into(),
            Some(c) if c.text("status") == "True" => "True".into(),
            Some(c) => format!("{} ({})", c.text("status"), c.text("reason")),
        };
        vec![object.name().into(), service.unwrap_or_else(|| "Local".into()).into(), available.into(), age(object, now)]
    }
}
