//! What storage drivers say of themselves: `CSIDriver`, `CSINode`, `CSIStorageCapacity`.

use api_meta::{Object, Quantity, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, fill};
use crate::table::{self, UNSET, age, or_none, part, text_or};

pub(crate) struct CsiDrivers;

impl Strategy for CsiDrivers {
    fn default(&self, object: &mut Object) {
        let spec = object.made("spec");
        fill(
            spec,
            json!({
                "attachRequired": true,
                "podInfoOnMount": false,
                "storageCapacity": false,
                "fsGroupPolicy": "ReadWriteOnceWithFSType",
                "requiresRepublish": false,
                "seLinuxMount": false,
            }),
        );
        if spec.items("volumeLifecycleModes").is_empty() {
            spec.set("volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/csidrivers")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let or = |key: &str, missing: bool| spec.value(key).as_bool().unwrap_or(missing);
        let audiences: Vec<_> = spec.each("tokenRequests").map(|(_, request)| request.text("audience")).collect();
        let modes: Vec<_> = spec.texts("volumeLifecycleModes").collect();
        vec![
            object.name().into(),
            or("attachRequired", true).into(),
            or("podInfoOnMount", false).into(),
            or("storageCapacity", false).into(),
            if spec.says("tokenRequests") { audiences.join(",").into() } else { UNSET.into() },
            or("requiresRepublish", false).into(),
            or_none(modes.join(",")).into(),
            age(object, now),
        ]
    }
}

pub(crate) struct CsiNodes;

impl Strategy for CsiNodes {
    fn default(&self, object: &mut Object) {
        object.made("spec").entry("drivers").or_insert(Value::Null);
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/csinodes")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), part(object, "spec").items("drivers").len().into(), age(object, now)]
    }
}

pub(crate) struct CsiStorageCapacities;

impl Strategy for CsiStorageCapacities {
    fn default(&self, object: &mut Object) {
        for amount in ["capacity", "maximumVolumeSize"] {
            if let Ok(quantity) = Quantity::from_value(object.value(amount)) {
                object.set(amount, quantity.to_string());
            }
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/csistoragecapacities")
    }

    fn row(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.text("storageClassName").into(), text_or(object, "capacity", UNSET)]
    }
}
