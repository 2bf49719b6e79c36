//! `StatefulSet`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, fill};
use crate::persistent_volume_claim::default_claim;
use crate::pod_template::default_template;
use crate::table::{self, age, int, part};
use jiff::Timestamp;

fn zero_status() -> Value {
    json!({"replicas": 0, "availableReplicas": 0})
}

pub(crate) struct StatefulSets;

impl Strategy for StatefulSets {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), zero_status());
        let spec = object.made("spec");
        spec.or_set("replicas", 1);
        spec.or_text("podManagementPolicy", "OrderedReady");
        spec.or_set("revisionHistoryLimit", 10);
        let update = spec.made("updateStrategy");
        update.or_text("type", "RollingUpdate");
        if update.text("type") == "RollingUpdate" {
            update.made("rollingUpdate").or_set("partition", 0);
        }
        let retention = spec.made("persistentVolumeClaimRetentionPolicy");
        retention.or_text("whenDeleted", "Retain");
        retention.or_text("whenScaled", "Retain");
        default_template(spec.made("template"));
        for claim in spec.each_mut("volumeClaimTemplates") {
            claim.set("apiVersion", "v1");
            claim.set("kind", "PersistentVolumeClaim");
            claim.made("metadata");
            default_claim(claim);
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(zero_status())
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("apps/statefulsets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let [containers, images] = table::containers(part(spec, "template"));
        vec![
            object.name().into(),
            format!("{}/{}", int(status, "readyReplicas"), int(spec, "replicas")).into(),
            age(object, now),
            containers,
            images,
        ]
    }
}
