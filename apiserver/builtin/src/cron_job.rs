//! `CronJob`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::FieldsExt;
use crate::job::default_job_template;

pub(crate) struct CronJobs;

impl Strategy for CronJobs {
    fn default(&self, object: &mut Object) {
        object.made("status");
        let spec = object.made("spec");
        spec.or_text("concurrencyPolicy", "Allow");
        spec.or_set("suspend", false);
        spec.or_set("successfulJobsHistoryLimit", 3);
        spec.or_set("failedJobsHistoryLimit", 1);
        default_job_template(spec.made("jobTemplate"));
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
