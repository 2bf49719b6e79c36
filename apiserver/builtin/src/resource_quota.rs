//! `ResourceQuota`.

use apiserver_model::Strategy;

pub(crate) struct ResourceQuotas;

impl Strategy for ResourceQuotas {
    fn has_status(&self) -> bool {
        true
    }
}
