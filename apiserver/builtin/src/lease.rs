//! `Lease`.

use apiserver_model::Strategy;

pub(crate) struct Leases;

impl Strategy for Leases {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
