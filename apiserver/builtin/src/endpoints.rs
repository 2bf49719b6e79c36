//! `Endpoints`.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, object: &mut Object) {
        for subset in object.each_mut("subsets") {
            for port in subset.each_mut("ports") {
                port.or_text("protocol", "TCP");
            }
        }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
