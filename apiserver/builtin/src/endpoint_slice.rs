//! `EndpointSlice`.

use api_meta::{Object, Value};
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct EndpointSlices;

impl Strategy for EndpointSlices {
    fn default(&self, object: &mut Object) {
        object.entry("endpoints").or_insert(Value::Null);
        object.entry("ports").or_insert(Value::Null);
        for endpoint in object.each_mut("endpoints") {
            endpoint.made("conditions");
        }
        for port in object.each_mut("ports") {
            port.or_set("name", "");
            port.or_set("protocol", "TCP");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }
}
