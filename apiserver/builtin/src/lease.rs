//! `Lease`.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct Leases;

impl Strategy for Leases {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
