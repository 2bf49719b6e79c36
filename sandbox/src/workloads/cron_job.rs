//! CronJobs: a Job at each due moment of a schedule.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::batch::v1::{CronJob, CronJobSpec, Job},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::{Recorder, reference},
    meta::{controller_reference, created, is_deleting, name, namespace, uid},
    ownership,
    queue::Queue,
};

use super::schedule::Schedule;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Moments missed while nobody looked: more than this are not counted one by one.
const MISSED: usize = 100;

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.cron_jobs, &queue);
    ownership::follow(&cluster.jobs, &cluster.cron_jobs, &queue, |_| None);
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("cronjob-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.cron_jobs.synced().await;
        cluster.jobs.synced().await;
        controller::run("cronjob", queue, 4, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(cron) = cluster.cron_jobs.get(&key).filter(|cron| !is_deleting(&**cron)) else { return Ok(None) };
    let Some(spec) = &cron.spec else { return Ok(None) };
    let (schedule, zone) = match (Schedule::parse(&spec.schedule), zone(spec)) {
        (Ok(schedule), Ok(zone)) => (schedule, zone),
        (Err(why), _) => {
            events.warning(&*cron, "UnparseableSchedule", format!("unparseable schedule: {:?} : {why}", spec.schedule));
            return Ok(None);
        }
        (_, Err(why)) => {
            events.warning(&*cron, "UnknownTimeZone", why);
            return Ok(None);
        }
    };
    let now = cluster.clock.now();
    let due = due(&cron, &schedule, &zone, now);
    let jobs = cluster.jobs.owned_by(uid(&*cron));
    let mut last = None;
    if let Some(at) = due {
        last = run(cluster, events, &cron, &jobs, at, now).await?.then_some(at);
    }
    prune(cluster, events, &cron, &jobs).await?;
    report(cluster, &key, last).await?;
    if spec.suspend == Some(true) {
        return Ok(None);
    }
    let next = schedule.next(now, &zone);
    Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(100)))
}

/// Zones need a database; the one name that needs none is always known.
fn zone(spec: &CronJobSpec) -> Result<TimeZone, String> {
    match spec.time_zone.as_deref() {
        None | Some("UTC" | "Etc/UTC") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| format!("invalid timeZone: {name:?}: unknown time zone {name}")),
    }
}

/// The latest moment that has come and has had no Job yet.
fn due(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let spec = cron.spec.as_ref().filter(|spec| spec.suspend != Some(true))?;
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref()).map(|at| at.0);
    let mut from = last.unwrap_or_else(|| created(cron));
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    // One that reaches back beyond all time rules nothing out.
    from = deadline.and_then(|deadline| now.checked_sub(deadline).ok()).map_or(from, |oldest| from.max(oldest));
    let mut latest = None;
    for _ in 0..MISSED {
        match schedule.next(from, zone).filter(|at| *at <= now) {
            Some(at) => (from, latest) = (at, Some(at)),
            None => return latest,
        }
    }
    // Far behind: start over from the last few minutes.
    let recent = now - SignedDuration::from_secs(60);
    schedule.next(recent, zone).filter(|at| *at <= now).or(latest)
}

fn is_active(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    !conditions.into_iter().any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
}

fn succeeded(job: &Job) -> bool {
    job.status.as_ref().is_some_and(|status| status.completion_time.is_some())
}

/// Makes the Job of a moment unless the concurrency policy says otherwise.
async fn run(
    cluster: &Cluster,
    events: &Recorder,
    cron: &CronJob,
    jobs: &[Arc<Job>],
    at: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(spec) = &cron.spec else { return Ok(false) };
    let active: Vec<_> = jobs.iter().filter(|job| is_active(job)).collect();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            events.normal(cron, "JobAlreadyActive", message);
            return Ok(false);
        }
        Some("Replace") => {
            for job in active {
                cluster.jobs.delete(job, Deletion::background()).await?;
            }
        }
        _ => {}
    }
    match cluster.jobs.create(namespace(cron), &job(cron, spec, at)).await {
        Ok(created) => {
            events.normal(cron, "SuccessfulCreate", format!("Created job {}", name(&*created)));
            tracing::debug!(late = %(now.duration_since(at)), "job of a schedule created");
            Ok(true)
        }
        // The Job of this moment is there already.
        Err(error) if error.is_conflict() => Ok(true),
        Err(error) => Err(error),
    }
}

fn job(cron: &CronJob, spec: &CronJobSpec, at: Timestamp) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), at.to_string());
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

/// Deletes finished Jobs beyond the history limits, the oldest first.
async fn prune(cluster: &Cluster, events: &Recorder, cron: &CronJob, jobs: &[Arc<Job>]) -> Result<(), Error> {
    let Some(spec) = &cron.spec else { return Ok(()) };
    let limits =
        [(true, spec.successful_jobs_history_limit.unwrap_or(3)), (false, spec.failed_jobs_history_limit.unwrap_or(1))];
    for (wanted, limit) in limits {
        let mut finished: Vec<_> = jobs.iter().filter(|job| !is_active(job) && succeeded(job) == wanted).collect();
        finished.sort_by_key(|job| (created(&***job), name(&***job).to_owned()));
        let surplus = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for job in finished.into_iter().take(surplus) {
            cluster.jobs.delete(job, Deletion::background()).await?;
            events.normal(cron, "SuccessfulDelete", format!("Deleted job {}", name(&**job)));
        }
    }
    Ok(())
}

async fn report(cluster: &Cluster, key: &Key, last: Option<Timestamp>) -> Result<(), Error> {
    let Some(cron) = cluster.cron_jobs.get(key) else { return Ok(()) };
    let jobs = cluster.jobs.owned_by(uid(&*cron));
    let mut reported = (*cron).clone();
    let status = reported.status.get_or_insert_default();
    let active: Vec<_> = jobs.iter().filter(|job| is_active(job)).map(|job| reference(&**job)).collect();
    status.active = (!active.is_empty()).then_some(active);
    if let Some(at) = last {
        status.last_schedule_time = Some(Time(at));
    }
    let done = jobs.iter().filter_map(|job| job.status.as_ref()?.completion_time.clone()).map(|at| at.0).max();
    if let Some(at) = done {
        let before = status.last_successful_time.as_ref().map(|at| at.0);
        status.last_successful_time = Some(Time(before.map_or(at, |before| before.max(at))));
    }
    cluster.cron_jobs.update_status(&cron, &reported).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::annotation;
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

    #[track_caller]
    fn check(cron: &CronJob, now: &str, expect: Option<&str>) {
        let schedule = Schedule::parse(&cron.spec.as_ref().unwrap().schedule).unwrap();
        let found = due(cron, &schedule, &TimeZone::UTC, now.parse().unwrap());
        assert_eq!(found.map(|at| at.to_string()).as_deref(), expect);
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
    }

    #[test]
    fn a_job_is_named_by_its_minute() {
        let cron = cron(json!({}), None);
        let job = job(&cron, cron.spec.as_ref().unwrap(), "2024-01-01T00:15:00Z".parse().unwrap());
        assert_eq!(name(&job), "c-28401135");
        assert_eq!(annotation(&job, SCHEDULED), Some("2024-01-01T00:15:00Z"));
    }
}
