//! API priority and fairness: `FlowSchema`, `PriorityLevelConfiguration`.

use apiserver_model::Strategy;

pub(crate) struct FlowSchemas;

impl Strategy for FlowSchemas {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}

pub(crate) struct PriorityLevels;

impl Strategy for PriorityLevels {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
