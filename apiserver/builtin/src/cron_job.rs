//! `CronJob`.

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy, human_age};
use jiff::Timestamp;
use lib_cron::Schedule;

use crate::fields::FieldsExt;
use crate::job::{default_job_template, validate_template_spec};
use crate::table::{self, NONE, age, part, text_or};
use crate::validate::{not_negative, one_of};

/// A Job's name has eleven more characters, and a Pod's name must fit a label.
const MAX_NAME: usize = 52;

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

    fn columns(&self) -> Vec<Column> {
        table::columns("batch/cronjobs")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let job = part(part(spec, "jobTemplate"), "spec");
        let [containers, images] = table::containers(part(job, "template"));
        let last = status.text("lastScheduleTime");
        vec![
            object.name().into(),
            spec.text("schedule").into(),
            text_or(spec, "timeZone", NONE),
            table::yes_no(spec.value("suspend")),
            status.items("active").len().into(),
            if last.is_empty() { NONE.into() } else { human_age(last, now).into() },
            age(object, now),
            containers,
            images,
            table::selector(job.value("selector")).into(),
        ]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        if object.name().len() > MAX_NAME {
            let message = format!("must be no more than {MAX_NAME} characters");
            errors.invalid(&FieldPath::new("metadata").child("name"), object.name(), message);
        }
        match spec.text("schedule") {
            "" => errors.required(&path.child("schedule"), ""),
            text => {
                if let Err(wrong) = check_schedule(text) {
                    errors.invalid(&path.child("schedule"), text, wrong);
                }
            }
        }
        not_negative(
            &mut errors,
            spec,
            &path,
            &["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
        );
        one_of(&mut errors, spec, "concurrencyPolicy", &path, &["Allow", "Forbid", "Replace"]);
        let job = part(part(spec, "jobTemplate"), "spec");
        validate_template_spec(&mut errors, job, &path.children(&["jobTemplate", "spec"]));
        errors
    }
}

fn check_schedule(text: &str) -> Result<(), String> {
    if text.contains("TZ=") {
        return Err("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".into());
    }
    Schedule::parse(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for good in ["* * * * *", "*/5 0-6 1,15 jan-MAR sun", "@daily", "@every 1h30m", "0 0 1 1 ?"] {
            assert_eq!(check_schedule(good), Ok(()), "{good}");
        }
        assert_eq!(check_schedule("60 * * * *"), Err("end of range (60) above maximum (59): 60".into()));
        for zoned in ["TZ=UTC * * * * *", "CRON_TZ=UTC * * * * *"] {
            let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            assert_eq!(check_schedule(zoned), Err(why.into()));
        }
    }
}
