//! `Endpoints`.

use apiserver_model::Strategy;

pub(crate) struct Endpoints;

impl Strategy for Endpoints {
    fn allow_create_on_update(&self) -> bool {
        true
    }
}
