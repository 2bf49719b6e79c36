//! What storage drivers say of themselves: `CSIDriver`, `CSINode`, `CSIStorageCapacity`.

use api_meta::{Object, Quantity, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};

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
}

pub(crate) struct CsiNodes;

impl Strategy for CsiNodes {
    fn default(&self, object: &mut Object) {
        object.made("spec").entry("drivers").or_insert(Value::Null);
    }

    fn allow_unconditional_update(&self) -> bool {
        false
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
}
