//! `CustomResourceDefinition`: defaults and policy; what it says is judged by the crd crate.

use api_meta::{FieldErrors, Object, Value, json, now_seconds};
use apiserver_model::{Operation, Strategy};

use crate::fields::{FieldsExt, fill};

fn empty_status() -> Value {
    json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null})
}

pub(crate) struct CustomResourceDefinitions;

/// Holds a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

impl Strategy for CustomResourceDefinitions {
    fn default(&self, object: &mut Object) {
        let status = object.made("status");
        fill(status, empty_status());
        for missing in ["conditions", "storedVersions"] {
            status.entry(missing).or_insert(Value::Null);
        }
        let spec = object.made("spec");
        spec.or_text("scope", "Namespaced");
        let names = spec.made("names");
        let (singular, list) = (names.text("kind").to_lowercase(), format!("{}List", names.text("kind")));
        names.or_text("singular", &singular);
        if !names.text("kind").is_empty() {
            names.or_text("listKind", &list);
        }
        spec.made("conversion").or_text("strategy", "None");
        let conversion = spec.made("conversion");
        let service = conversion
            .fields_mut("webhook")
            .and_then(|w| w.fields_mut("clientConfig"))
            .and_then(|c| c.fields_mut("service"));
        if let Some(service) = service {
            service.or_set("port", 443);
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(empty_status())
    }

    /// What is stored from the first moment is remembered, so that no version's objects are forgotten.
    fn prepare_for_create(&self, object: &mut Object) {
        let mut status = empty_status();
        status["storedVersions"] = storage_versions(object).into();
        object.set("status", status);
        object.set_generation(1);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        new.set("status", old.value("status").clone());
        let status = new.made("status");
        let mut stored = status.items("storedVersions").to_vec();
        for version in storage_versions(new) {
            if !stored.contains(&version) {
                stored.push(version);
            }
        }
        new.made("status").set("storedVersions", stored);
        let changed = self.generation_changes(new, old);
        new.set_generation(old.generation() + i64::from(changed));
    }

    /// Metadata stays as it was, but for who wrote it.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        let managed = new.metadata().map(|m| m.value("managedFields").clone()).unwrap_or_default();
        let mut metadata = old.metadata().cloned().unwrap_or_default();
        if let Some(version) = new.metadata().and_then(|m| m.get("resourceVersion")) {
            metadata.set("resourceVersion", version.clone());
        }
        if managed.is_null() {
            metadata.remove("managedFields");
        } else {
            metadata.set("managedFields", managed);
        }
        new.set("metadata", metadata);
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        apiserver_crd::validate(object)
    }

    /// The name is only judged on creation.
    fn check_update(&self, new: &Object, old: &Object) -> FieldErrors {
        apiserver_crd::validate_update(new, old)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        apiserver_crd::warnings(object)
    }

    /// The objects go first (upstream: the definition's `REST.Delete`).
    fn prepare_for_delete(&self, object: &mut Object) {
        let mut finalizers: Vec<String> = object.finalizers().into_iter().map(str::to_owned).collect();
        if !finalizers.iter().any(|f| f == CLEANUP) {
            finalizers.push(CLEANUP.to_owned());
        }
        object.set_finalizers(finalizers);
        let conditions = object.at_mut(&["status", "conditions"]);
        if !conditions.is_array() {
            *conditions = json!([]);
        }
        let Some(conditions) = conditions.as_array_mut() else { return };
        conditions.retain(|condition| condition["type"] != "Terminating");
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": now_seconds(),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }));
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// The version that is stored. Were there several, only the first counts, and validation refuses the definition.
fn storage_versions(object: &Object) -> Vec<Value> {
    let versions = object.value("spec")["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions.iter().filter(|v| v["storage"] == true).map(|v| v["name"].clone()).take(1).collect()
}
