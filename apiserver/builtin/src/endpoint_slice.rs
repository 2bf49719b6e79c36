//! `EndpointSlice`.

use apiserver_model::Strategy;

pub(crate) struct EndpointSlices;

impl Strategy for EndpointSlices {
    fn has_generation(&self) -> bool {
        true
    }
}
