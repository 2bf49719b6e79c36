//! `IPAddress` and `ServiceCIDR`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct IpAddresses;

impl Strategy for IpAddresses {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }
}

pub(crate) struct ServiceCidrs;

impl Strategy for ServiceCidrs {
    fn default(&self, object: &mut Object) {
        object.made("spec");
        object.made("status");
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }
}
