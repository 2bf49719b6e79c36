//! `Pod`.

mod qos;
mod resources;
pub(crate) mod row;
mod validation;

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, canonical_resources, selected};
use crate::pod_template::{default_spec, name_warning, same_service_account, warnings};
use crate::table::{self, part};

pub(crate) struct Pods;

impl Strategy for Pods {
    fn default(&self, object: &mut Object) {
        default_status(object.made("status"));
        let spec = object.made("spec");
        default_spec(spec);
        spec.or_set("enableServiceLinks", true);
        for list in ["initContainers", "containers"] {
            spec.each_mut(list).for_each(resources::limits_are_requests);
        }
        resources::default_pod_requests(spec);
        if spec.flag("hostNetwork") {
            for list in ["initContainers", "containers"] {
                spec.each_mut(list).for_each(ports_of_host);
            }
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set_generation(1);
        let spec = object.made("spec");
        // Admission may have chosen the account since the defaults were set.
        same_service_account(spec);
        // Upstream's gate for other policies of single containers is off by default.
        for container in spec.each_mut("initContainers") {
            if container.text("restartPolicy") != "Always" {
                container.remove("restartPolicy");
            }
        }
        let mut status = json!({"phase": "Pending", "qosClass": qos::class(spec)});
        if !spec.items("schedulingGates").is_empty() {
            status["conditions"] = json!([{
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": null,
                "lastTransitionTime": null,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]);
        }
        object.set("status", status);
    }

    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        keep_metadata(new, old, &["deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "generation"]);
        let qos = old.value("status")["qosClass"].clone();
        if !qos.is_null() {
            new.made("status").or_set("qosClass", qos);
        }
    }

    /// `ephemeralcontainers` adds containers for debugging, `resize` changes resources.
    fn prepare_for_subresource_update(&self, subresource: &str, new: &mut Object, old: &Object) {
        let written = new.made("spec").clone();
        let mut spec = old.value("spec").as_object().cloned().unwrap_or_default();
        if subresource == "ephemeralcontainers" {
            match written.get("ephemeralContainers") {
                Some(containers) => spec.set("ephemeralContainers", containers.clone()),
                None => {
                    spec.remove("ephemeralContainers");
                }
            }
        } else {
            resources::take_resources(&mut spec, &written);
        }
        let version = new.resource_version().to_owned();
        let managed = new.metadata().map(|m| m.value("managedFields").clone()).unwrap_or_default();
        new.set("metadata", old.value("metadata").clone());
        new.set_meta_str("resourceVersion", &version);
        if !managed.is_null() {
            new.metadata_mut().set("managedFields", managed);
        }
        new.set("spec", spec);
        new.set("status", old.value("status").clone());
        let changed = self.generation_changes(new, old);
        new.set_generation(old.generation() + i64::from(changed));
    }

    /// A Pod that no node runs, or runs no more, goes at once.
    fn grace_period_seconds(&self, object: &Object, requested: Option<i64>) -> Option<i64> {
        let spec = object.value("spec").as_object();
        let period =
            requested.or_else(|| spec.and_then(|s| s.int("terminationGracePeriodSeconds"))).unwrap_or_default();
        let unscheduled = spec.is_none_or(|s| s.text("nodeName").is_empty());
        let finished = matches!(object.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        Some(match period {
            _ if unscheduled || finished => 0,
            // Negative: as fast as a kubelet can.
            ..0 => 1,
            period => period,
        })
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("pods")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        row::row(object, now)
    }

    fn selectable_fields(&self) -> &[&str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        match field {
            "spec.hostNetwork" => Some(part(object, "spec").flag("hostNetwork").to_string()),
            "status.podIPs" => {
                let addresses = part(object, "status").each("podIPs").map(|(_, ip)| ip.text("ip"));
                Some(addresses.collect::<Vec<_>>().join(","))
            }
            "status.podIP" => {
                Some(part(object, "status").each("podIPs").next().map_or("", |(_, ip)| ip.text("ip")).into())
            }
            _ => selected(object, self.selectable_fields(), field),
        }
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_update(new, old)
    }

    fn validate_subresource_update(&self, subresource: &str, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_subresource_update(subresource, new, old)
    }

    fn warnings(&self, object: &Object, operation: Operation) -> Vec<String> {
        if operation == Operation::Update {
            return Vec::new();
        }
        let mut all: Vec<_> = name_warning(object.name(), "the Pod's hostname").into_iter().collect();
        all.extend(warnings(part(object, "spec"), &FieldPath::new("spec")));
        all
    }
}

/// Container statuses and conditions show what upstream's structs show.
fn default_status(status: &mut Fields) {
    for list in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
        for container in status.each_mut(list) {
            container.made("state");
            container.made("lastState");
            for (key, zero) in
                [("ready", json!(false)), ("restartCount", json!(0)), ("image", json!("")), ("imageID", json!(""))]
            {
                container.or_set(key, zero);
            }
            for state in ["state", "lastState"] {
                let state = container.made(state);
                if let Some(running) = state.fields_mut("running") {
                    running.entry("startedAt").or_insert(Value::Null);
                }
                if let Some(terminated) = state.fields_mut("terminated") {
                    terminated.or_set("exitCode", 0);
                    terminated.entry("startedAt").or_insert(Value::Null);
                    terminated.entry("finishedAt").or_insert(Value::Null);
                }
            }
            if let Some(resources) = container.fields_mut("resources") {
                canonical_resources(resources);
            }
        }
    }
    for condition in status.each_mut("conditions") {
        condition.entry("lastProbeTime").or_insert(Value::Null);
        condition.entry("lastTransitionTime").or_insert(Value::Null);
    }
}

/// On the host's network a container's port is the host's.
fn ports_of_host(container: &mut Fields) {
    for port in container.each_mut("ports") {
        let number = port.int("containerPort").unwrap_or_default();
        port.or_int("hostPort", number);
    }
}

/// Puts back what an update may not touch.
fn keep_metadata(new: &mut Object, old: &Object, keys: &[&str]) {
    for key in keys {
        match old.metadata().and_then(|m| m.get(*key)).cloned() {
            Some(value) => new.metadata_mut().set(key, value),
            None => {
                new.metadata_mut().remove(*key);
            }
        }
    }
}
