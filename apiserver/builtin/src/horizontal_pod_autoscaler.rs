//! `HorizontalPodAutoscaler` in v1 and v2.

use apiserver_model::Strategy;

pub(crate) struct HorizontalPodAutoscalers;

impl Strategy for HorizontalPodAutoscalers {
    fn has_status(&self) -> bool {
        true
    }
}
