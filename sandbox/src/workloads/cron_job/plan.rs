//! Whether a schedule has come round, and what that means for a CronJob; no IO.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job},
        core::v1::ObjectReference,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use lib_cron::Schedule;

use crate::{
    events::{Notice, reference},
    meta::{annotation, controller_reference, created, is_deleting, name, namespace, uid},
};

use super::super::job::ended;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// As many moments missed are nothing out of the ordinary.
const FEW: i64 = 100;
/// Clocks differ: looking a little late is better than looking early.
const LATE: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Plan {
    pub(super) status: CronJobStatus,
    pub(super) events: Vec<Notice>,
    pub(super) run: Option<Run>,
    pub(super) again: Option<Duration>,
}

impl Plan {
    fn normal(&mut self, reason: &'static str, message: impl Into<String>) {
        self.events.push(Notice::normal(reason, message));
    }

    fn warning(&mut self, reason: &'static str, message: impl Into<String>) {
        self.events.push(Notice::warning(reason, message));
    }
}

/// A Job to be made.
pub(super) struct Run {
    pub(super) at: Timestamp,
    pub(super) job: Job,
    /// What is at work still and has to go first.
    pub(super) replace: Vec<ObjectReference>,
}

/// How a Job ended, if it has.
fn end(job: &Job) -> Option<&str> {
    ended(job).map(|condition| condition.type_.as_str())
}

/// Finished Jobs beyond the history limits, the oldest first.
pub(super) fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let limits = [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
    let mut surplus = Vec::new();
    for (how, limit) in limits {
        let Some(limit) = limit else { continue };
        let mut finished: Vec<_> = jobs.iter().filter(|job| end(job) == Some(how)).collect();
        let started = |job: &Job| job.status.as_ref().and_then(|status| Some(status.start_time.as_ref()?.0));
        finished.sort_by_key(|job| (started(job).is_none(), started(job), name(&***job).to_owned()));
        let beyond = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        surplus.extend(finished.into_iter().take(beyond).cloned());
    }
    surplus
}

/// `status` is the one to go on from: some Jobs may have been deleted since the CronJob was read.
pub(super) fn plan(cron: &CronJob, status: CronJobStatus, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let mut plan = Plan { status, ..Plan::default() };
    look_after_active(jobs, &mut plan);
    let Some(spec) = cron.spec.as_ref().filter(|_| !is_deleting(cron)) else { return plan };
    let zone = match zone(spec) {
        Ok(zone) => zone,
        Err(why) => {
            plan.warning("UnknownTimeZone", why);
            return plan;
        }
    };
    if spec.suspend == Some(true) {
        return plan;
    }
    let schedule = match Schedule::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(why) => {
            let message = format!("unparseable schedule: {:?} : {why}", spec.schedule);
            plan.warning("UnparseableSchedule", message);
            return plan;
        }
    };
    let Some(recent) = Recent::find(cron, &schedule, &zone, now, true) else {
        let why = "time difference between two schedules is less than 1 second";
        plan.warning("InvalidSchedule", format!("invalid schedule: {} : {why}", spec.schedule));
        return plan;
    };
    plan.again = next_in(cron, &schedule, &zone, now);
    if let Some(at) = recent.due {
        if recent.missed > FEW {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            plan.warning("TooManyMissedTimes", message);
        }
        run(cron, spec, &zone, at, now, &mut plan);
    }
    plan
}

/// For which moment the controller made a Job; nothing for one that people made.
fn moment(job: &Job) -> Option<Timestamp> {
    annotation(job, SCHEDULED)?.parse().ok()
}

/// Takes what ended or is gone off the list of what is at work.
fn look_after_active(jobs: &[Arc<Job>], plan: &mut Plan) {
    let mut active = plan.status.active.take().unwrap_or_default();
    for job in jobs {
        let listed = active.iter().position(|active| active.uid.as_deref() == Some(uid(&**job)));
        match (end(job), listed) {
            // Begun by a controller that ended before it could note that: to overlook it is to run it company.
            (None, None) if moment(job).is_some() => {
                active.push(reference(&**job));
                let last = plan.status.last_schedule_time.take().map(|at| at.0);
                plan.status.last_schedule_time = last.max(moment(job)).map(Time);
            }
            (None, None) => {
                let message = format!("Saw a job that the controller did not create or forgot: {}", name(&**job));
                plan.warning("UnexpectedJob", message);
            }
            (Some(how), Some(at)) => {
                active.remove(at);
                let message = format!("Saw completed job: {}, condition: {how}", name(&**job));
                plan.normal("SawCompletedJob", message);
            }
            _ => {}
        }
        if end(job) == Some("Complete") {
            let at = job.status.as_ref().and_then(|status| status.completion_time.as_ref()).map(|at| at.0);
            let before = plan.status.last_successful_time.as_ref().map(|at| at.0);
            plan.status.last_successful_time = before.max(at).map(Time);
        }
    }
    active.retain(|active| {
        let known = jobs.iter().any(|job| active.uid.as_deref() == Some(uid(&**job)));
        if !known {
            let message = format!("Active job went missing: {}", active.name.as_deref().unwrap_or_default());
            plan.normal("MissingJob", message);
        }
        known
    });
    plan.status.active = (!active.is_empty()).then_some(active);
}

/// Zones need a database; the one name that needs none is always known.
fn zone(spec: &CronJobSpec) -> Result<TimeZone, String> {
    match spec.time_zone.as_deref() {
        None | Some("UTC" | "Etc/UTC") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| format!("invalid timeZone: {name:?}: unknown time zone {name}")),
    }
}

/// Runs the Job of a moment that has come, unless it is too late for it, was there, or others are at work.
fn run(cron: &CronJob, spec: &CronJobSpec, zone: &TimeZone, at: Timestamp, now: Timestamp, plan: &mut Plan) {
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    // One beyond all time is never over.
    if deadline.and_then(|deadline| at.checked_add(deadline).ok()).is_some_and(|deadline| deadline < now) {
        let moment = at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S %z");
        plan.warning("MissSchedule", format!("Missed scheduled time to start a job: {moment}"));
        return;
    }
    let job = job(cron, spec, at, zone);
    let active = plan.status.active.clone().unwrap_or_default();
    let is_there = active.iter().any(|active| active.name == job.metadata.name);
    if is_there || plan.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == at) {
        return;
    }
    if spec.concurrency_policy.as_deref() == Some("Forbid") && !active.is_empty() {
        let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
        plan.normal("JobAlreadyActive", message);
        return;
    }
    let replace = if spec.concurrency_policy.as_deref() == Some("Replace") { active } else { Vec::new() };
    plan.run = Some(Run { at, job, replace });
}

/// The Job is at work.
pub(super) fn note(status: &mut CronJobStatus, job: &Job, at: Timestamp) {
    status.active.get_or_insert_default().push(reference(job));
    status.last_schedule_time = Some(Time(at));
}

/// The Job was deleted.
pub(super) fn forget(status: &mut CronJobStatus, uid: &str) {
    let active = status.active.take().map(|mut active| {
        active.retain(|active| active.uid.as_deref() != Some(uid));
        active
    });
    status.active = active.filter(|active| !active.is_empty());
}

fn job(cron: &CronJob, spec: &CronJobSpec, at: Timestamp, zone: &TimeZone) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), local(at, zone));
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", name(cron), at.as_second() / 60)),
            namespace: Some(namespace(cron).to_owned()),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

/// RFC 3339 by the clock of `zone`.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    if at.offset().is_zero() { at.timestamp().to_string() } else { at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string() }
}

/// Where a CronJob is in its schedule.
struct Recent {
    /// Nothing before this is asked for.
    from: Timestamp,
    /// The latest moment since then that has come.
    due: Option<Timestamp>,
    /// How many have come, roughly.
    missed: i64,
}

impl Recent {
    /// `None` for a schedule that never comes (upstream: `mostRecentScheduleTime`).
    fn find(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, now: Timestamp, in_time: bool) -> Option<Self> {
        let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref()).map(|at| at.0);
        let deadline = cron.spec.as_ref().and_then(|spec| spec.starting_deadline_seconds).filter(|_| in_time);
        // One that reaches back beyond all time rules nothing out.
        let oldest = deadline.and_then(|deadline| now.checked_sub(SignedDuration::from_secs(deadline)).ok());
        let from = last.unwrap_or_else(|| created(cron));
        let from = oldest.map_or(from, |oldest| from.max(oldest));
        let first = schedule.next(from, zone)?;
        if now < first {
            return Some(Self { from, due: None, missed: 0 });
        }
        let Some(second) = schedule.next(first, zone).filter(|second| *second <= now) else {
            return Some(Self { from, due: Some(first), missed: 0 });
        };
        // Counting them one by one could take for ever: steps as long as the first come close to the last.
        let step = second.duration_since(first).as_secs().max(1);
        let missed = now.duration_since(first).as_secs() / step + 1;
        let mut at = first + SignedDuration::from_secs((missed - 2) * step);
        let mut due = None;
        while let Some(next) = schedule.next(at, zone).filter(|next| *next <= now) {
            (at, due) = (next, Some(next));
        }
        Some(Self { from, due, missed })
    }
}

/// How long until the schedule comes round again.
pub(super) fn next_in(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Duration> {
    let recent = Recent::find(cron, schedule, zone, now, false)?;
    let since = recent.due.unwrap_or(if recent.missed == 0 { recent.from } else { now });
    let next = schedule.next(since, zone)?;
    Some(Duration::try_from(next.duration_since(now)).unwrap_or_default() + LATE)
}

/// How long to leave a CronJob alone whose schedule was edited: what its new schedule missed is not made up for.
pub(super) fn rescheduled(old: &CronJob, new: &CronJob, now: Timestamp) -> Option<Duration> {
    let (old, spec) = (old.spec.as_ref()?, new.spec.as_ref()?);
    if (&old.schedule, &old.time_zone) == (&spec.schedule, &spec.time_zone) {
        return None;
    }
    next_in(new, &Schedule::parse(&spec.schedule).ok()?, &zone(spec).ok()?, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn cron(spec: Value, last: Option<&str>) -> CronJob {
        let mut all = json!({"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {}}}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(
            json!({"metadata": {"name": "c", "namespace": "n", "uid": "u", "creationTimestamp": "2024-01-01T00:01:00Z"},
            "spec": all, "status": {"lastScheduleTime": last}}),
        )
        .unwrap()
    }

    fn child(minute: i64, condition: Option<&str>) -> Arc<Job> {
        let conditions: Vec<Value> =
            condition.iter().map(|condition| json!({"type": condition, "status": "True"})).collect();
        let done = condition.filter(|condition| *condition == "Complete").map(|_| "2024-01-01T00:14:00Z");
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": format!("c-{minute}"), "uid": format!("uid-{minute}")},
                "status": {"conditions": conditions, "completionTime": done,
                           "startTime": Timestamp::from_second(minute * 60).unwrap()}}))
            .unwrap(),
        )
    }

    /// What is known to be at work.
    fn with_active(mut cron: CronJob, jobs: &[Arc<Job>]) -> CronJob {
        let active = jobs.iter().map(|job| reference(&**job)).collect();
        cron.status.as_mut().unwrap().active = Some(active);
        cron
    }

    fn planned(cron: &CronJob, jobs: &[Arc<Job>], now: &str) -> Plan {
        plan(cron, cron.status.clone().unwrap_or_default(), jobs, now.parse().unwrap())
    }

    fn said(plan: &Plan) -> Vec<(&'static str, &str)> {
        plan.events.iter().map(|event| (event.reason, event.message.as_str())).collect()
    }

    #[track_caller]
    fn check(cron: &CronJob, now: &str, expect: Option<&str>) {
        let found = planned(cron, &[], now).run.map(|run| run.at.to_string());
        assert_eq!(found.as_deref(), expect);
    }

    #[test]
    fn the_latest_missed_moment_is_due() {
        check(&cron(json!({}), None), "2024-01-01T00:04:59Z", None);
        check(&cron(json!({}), None), "2024-01-01T00:16:00Z", Some("2024-01-01T00:15:00Z"));
        check(&cron(json!({}), Some("2024-01-01T00:15:00Z")), "2024-01-01T00:16:00Z", None);
        check(&cron(json!({"suspend": true}), None), "2024-01-01T00:16:00Z", None);
        check(&cron(json!({"startingDeadlineSeconds": 30}), None), "2024-01-01T00:16:00Z", None);
        let endless = cron(json!({"startingDeadlineSeconds": i64::MAX}), None);
        check(&endless, "2024-01-01T00:16:00Z", Some("2024-01-01T00:15:00Z"));
        check(
            &cron(json!({"schedule": "30 6-16/4 * * 1-5"}), None),
            "2024-01-08T06:31:00Z",
            Some("2024-01-08T06:30:00Z"),
        );
    }

    #[test]
    fn a_schedule_is_looked_at_when_it_comes_round() {
        let plan = planned(&cron(json!({}), Some("2024-01-01T00:15:00Z")), &[], "2024-01-01T00:16:00Z");
        assert_eq!(plan.again, Some(Duration::from_secs(240) + LATE));
        let every = cron(json!({"schedule": "@every 90s"}), Some("2024-01-01T00:15:00Z"));
        assert_eq!(planned(&every, &[], "2024-01-01T00:16:00Z").again, Some(Duration::from_secs(30) + LATE));
    }

    #[test]
    fn many_missed_moments_are_told_of() {
        let plan = planned(&cron(json!({}), None), &[], "2024-01-02T00:02:00Z");
        assert_eq!(plan.run.as_ref().unwrap().at.to_string(), "2024-01-02T00:00:00Z");
        assert_eq!(said(&plan)[0].0, "TooManyMissedTimes");
    }

    #[test]
    fn a_schedule_that_never_comes_is_invalid() {
        let plan = planned(&cron(json!({"schedule": "0 0 30 2 *"}), None), &[], "2024-01-01T00:16:00Z");
        let why = "invalid schedule: 0 0 30 2 * : time difference between two schedules is less than 1 second";
        assert_eq!((said(&plan), plan.again), (vec![("InvalidSchedule", why)], None));
    }

    #[test]
    fn a_late_start_is_missed_when_the_moment_is_older_than_the_deadline() {
        let mut plan = Plan::default();
        let cron = cron(json!({"startingDeadlineSeconds": 30}), None);
        let at = "2024-01-01T00:15:00Z".parse().unwrap();
        run(&cron, cron.spec.as_ref().unwrap(), &TimeZone::UTC, at, "2024-01-01T00:16:00Z".parse().unwrap(), &mut plan);
        let why = "Missed scheduled time to start a job: Mon, 01 Jan 2024 00:15:00 +0000";
        assert_eq!(said(&plan), [("MissSchedule", why)]);
    }

    #[test]
    fn a_schedule_is_in_its_zone() {
        let named = |name: &str| zone(cron(json!({"timeZone": name}), None).spec.as_ref().unwrap());
        let schedule = Schedule::parse("0 3 * * *").unwrap();
        let next = |name: &str| schedule.next("2024-01-01T00:00:00Z".parse().unwrap(), &named(name).unwrap()).unwrap();
        assert_eq!(next("UTC").to_string(), "2024-01-01T03:00:00Z");
        assert_eq!(next("Europe/Berlin").to_string(), "2024-01-01T02:00:00Z");
        assert_eq!(next("Asia/Shanghai").to_string(), "2024-01-01T19:00:00Z");
        assert!(named("Middle/Earth").is_err());
        let lost = planned(&cron(json!({"timeZone": "Middle/Earth"}), None), &[], "2024-01-01T00:16:00Z");
        let why = "invalid timeZone: \"Middle/Earth\": unknown time zone Middle/Earth";
        assert_eq!(said(&lost), [("UnknownTimeZone", why)]);
    }

    #[test]
    fn a_job_is_named_by_its_minute_and_dated_in_its_zone() {
        let cron = cron(json!({}), None);
        let at = "2024-01-01T00:15:00Z".parse().unwrap();
        let of = |zone: &TimeZone| job(&cron, cron.spec.as_ref().unwrap(), at, zone);
        let utc = of(&TimeZone::UTC);
        assert_eq!((name(&utc), annotation(&utc, SCHEDULED)), ("c-28401135", Some("2024-01-01T00:15:00Z")));
        let berlin = of(&TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(annotation(&berlin, SCHEDULED), Some("2024-01-01T01:15:00+01:00"));
    }

    #[test]
    fn a_job_that_is_at_work_is_waited_for_or_replaced() {
        let old = [child(28_401_130, None)];
        let with =
            |policy: &str| with_active(cron(json!({"concurrencyPolicy": policy}), Some("2024-01-01T00:10:00Z")), &old);
        let plan = |policy: &str| planned(&with(policy), &old, "2024-01-01T00:15:30Z");
        assert_eq!(plan("Allow").run.unwrap().replace, []);
        assert_eq!(plan("Replace").run.unwrap().replace, [reference(&*old[0])]);
        let forbidden = plan("Forbid");
        assert!(forbidden.run.is_none());
        assert_eq!(said(&forbidden)[0].0, "JobAlreadyActive");
    }

    #[test]
    fn the_list_of_what_is_at_work_is_kept() {
        let jobs = [child(1, Some("Complete")), child(2, None), child(3, None), child(4, Some("Failed"))];
        let listed = [jobs[0].clone(), jobs[1].clone(), child(9, None)];
        let plan = planned(&with_active(cron(json!({"suspend": true}), None), &listed), &jobs, "2024-01-01T00:16:00Z");
        assert_eq!(
            said(&plan),
            [
                ("SawCompletedJob", "Saw completed job: c-1, condition: Complete"),
                ("UnexpectedJob", "Saw a job that the controller did not create or forgot: c-3"),
                ("MissingJob", "Active job went missing: c-9"),
            ]
        );
        assert_eq!(plan.status.active, Some(vec![reference(&*jobs[1])]));
        assert_eq!(plan.status.last_successful_time.unwrap().0.to_string(), "2024-01-01T00:14:00Z");
    }

    #[test]
    fn a_job_that_was_begun_and_not_noted_is_at_work() {
        let mut begun = (*child(28_401_135, None)).clone();
        let at = "2024-01-01T01:15:00+01:00".to_owned();
        begun.metadata.annotations = Some([(SCHEDULED.to_owned(), at)].into());
        let begun = [Arc::new(begun)];
        let cron = cron(json!({"concurrencyPolicy": "Forbid"}), Some("2024-01-01T00:10:00Z"));
        let plan = planned(&cron, &begun, "2024-01-01T00:20:30Z");
        assert_eq!(said(&plan)[0].0, "JobAlreadyActive");
        assert_eq!(plan.status.active, Some(vec![reference(&*begun[0])]));
        assert_eq!(plan.status.last_schedule_time.unwrap().0.to_string(), "2024-01-01T00:15:00Z");
    }

    #[test]
    fn the_oldest_of_each_end_go() {
        let jobs = [child(3, Some("Complete")), child(1, Some("Complete")), child(2, Some("Failed")), child(4, None)];
        let limits = json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0});
        let gone = surplus(cron(limits, None).spec.as_ref().unwrap(), &jobs);
        assert_eq!(gone.iter().map(|job| name(&**job)).collect::<Vec<_>>(), ["c-1", "c-2"]);
        assert!(surplus(cron(json!({}), None).spec.as_ref().unwrap(), &jobs).is_empty());
    }

    #[test]
    fn an_edited_schedule_does_not_make_up_for_the_past() {
        let (old, new) = (cron(json!({}), None), cron(json!({"schedule": "0 0 * * *"}), Some("2023-12-01T00:00:00Z")));
        let now = "2024-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(rescheduled(&old, &new, now), Some(Duration::from_secs(12 * 3600) + LATE));
        assert_eq!(rescheduled(&old, &cron(json!({"suspend": true}), None), now), None);
    }
}
