//! `PriorityClass`.

use apiserver_model::Strategy;

pub(crate) struct PriorityClasses;

impl Strategy for PriorityClasses {
    fn has_generation(&self) -> bool {
        true
    }
}
