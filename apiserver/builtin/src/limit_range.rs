//! `LimitRange`.

use apiserver_model::Strategy;

pub(crate) struct LimitRanges;

impl Strategy for LimitRanges {
    fn allow_create_on_update(&self) -> bool {
        true
    }
}
