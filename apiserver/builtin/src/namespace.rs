//! `Namespace`.

use api_meta::validation::NameRule;
use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, fill, selected};
use crate::table::{self, age, part};
use crate::validate::qualified;

/// What holds a namespace until its contents are gone.
const FINALIZER: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(crate) struct Namespaces;

impl Strategy for Namespaces {
    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn default(&self, object: &mut Object) {
        fill(object.made("status"), json!({"phase": "Active"}));
        object.made("spec");
        label_with_name(object);
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"phase": "Active"}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set("status", json!({"phase": "Active"}));
        label_with_name(object);
        let spec = object.made("spec");
        if !spec.texts("finalizers").any(|f| f == FINALIZER) {
            let mut finalizers = spec.items("finalizers").to_vec();
            finalizers.push(FINALIZER.into());
            spec.set("finalizers", finalizers);
        }
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        keep_finalizers(new, old);
        new.set("status", old.value("status").clone());
    }

    /// `/finalize` changes the finalizers and nothing else but metadata.
    fn prepare_for_subresource_update(&self, _subresource: &str, new: &mut Object, old: &Object) {
        new.set("status", old.value("status").clone());
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("namespaces")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), part(object, "status").text("phase").into(), age(object, now)]
    }

    fn selectable_fields(&self) -> &[&str] {
        &["status.phase"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        selected(object, self.selectable_fields(), field)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        for (index, name) in part(object, "spec").texts("finalizers").enumerate() {
            let path = FieldPath::new("spec").child("finalizers").index(index);
            qualified(&mut errors, &path, name);
            if !name.contains('/') && ![FINALIZER, "orphan", "foregroundDeletion"].contains(&name) {
                let message = "name is neither a standard finalizer name nor is it fully qualified";
                errors.invalid(&path, name, message);
            }
        }
        errors
    }
}

/// The label by which selectors name a namespace; one still without a name gets it with the name.
fn label_with_name(object: &mut Object) {
    let name = object.name().to_owned();
    if !name.is_empty() {
        object.metadata_mut().made("labels").set(NAME_LABEL, name);
    }
}

fn keep_finalizers(new: &mut Object, old: &Object) {
    let finalizers = old.at(&["spec", "finalizers"]).cloned();
    let spec = new.made("spec");
    match finalizers {
        Some(finalizers) => spec.set("finalizers", finalizers),
        None => {
            spec.remove("finalizers");
        }
    }
}
