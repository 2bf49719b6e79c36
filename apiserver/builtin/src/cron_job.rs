//! `CronJob`.

use apiserver_model::Strategy;

pub(crate) struct CronJobs;

impl Strategy for CronJobs {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
