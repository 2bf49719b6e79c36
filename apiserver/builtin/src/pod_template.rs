//! What Pods and everything that makes Pods share; and `PodTemplate` itself.

mod defaults;
mod image;
mod validation;
mod volumes;
mod warnings;

use api_meta::{FieldErrors, FieldPath, Map, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::{self, part};

pub(crate) use defaults::{default_spec, same_service_account};
pub(crate) use validation::{
    class_name, is_hugepages, resource_amount, resource_name, validate_required_selector, validate_restarts_always,
    validate_selected, validate_source, validate_spec, validate_template,
};
pub(crate) use volumes::default_source;
pub(crate) use warnings::{name_warning, warnings};

/// Fills in the template that a workload carries in `spec.template` and the like.
pub(crate) fn default_template(template: &mut Fields) {
    template.made("metadata");
    default_spec(template.made("spec"));
}

/// Warnings of what makes Pods by the template in `spec.template`.
pub(crate) fn template_warnings(object: &Object) -> Vec<String> {
    let template = part(part(object, "spec"), "template");
    let mut all: Vec<_> = name_warning(object.name(), "Pod names and hostnames").into_iter().collect();
    all.extend(warnings(part(template, "spec"), &FieldPath::new("spec").children(&["template", "spec"])));
    all
}

/// `metadata.labels` of a template.
pub(crate) fn labels(template: &Fields) -> Option<&Map<String, Value>> {
    template.fields("metadata")?.fields("labels")
}

pub(crate) struct PodTemplates;

impl Strategy for PodTemplates {
    fn default(&self, object: &mut Object) {
        default_template(object.made("template"));
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("podtemplates")
    }

    fn row(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let template = part(object, "template");
        let [containers, images] = table::containers(template);
        vec![object.name().into(), containers, images, table::labels(labels(template)).into()]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_template(&mut errors, part(object, "template"), &FieldPath::new("template"));
        errors
    }
}
