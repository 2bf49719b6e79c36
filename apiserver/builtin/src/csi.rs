//! What storage drivers say of themselves: `CSIDriver`, `CSINode`, `CSIStorageCapacity`.

use apiserver_model::Strategy;

pub(crate) struct CsiDrivers;

impl Strategy for CsiDrivers {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

pub(crate) struct CsiNodes;

impl Strategy for CsiNodes {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

pub(crate) struct CsiStorageCapacities;

impl Strategy for CsiStorageCapacities {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
