//! `RuntimeClass`.

use apiserver_model::Strategy;

pub(crate) struct RuntimeClasses;

impl Strategy for RuntimeClasses {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
