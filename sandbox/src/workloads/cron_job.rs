//! CronJobs: a Job at each due moment of a schedule.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::{Recorder, reference},
    meta::{controller_of, name, namespace, uid},
    ownership,
    queue::Queue,
};

use plan::{Plan, Run, plan};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let (clock, wake) = (cluster.clock.clone(), queue.clone());
    cluster.cron_jobs.on_change(move |old, new| {
        let Some(cron) = new.or(old) else { return };
        match old.zip(new).and_then(|(old, new)| plan::rescheduled(old, new, clock.now())) {
            Some(wait) => wake.add_after(Key::of(&**cron), wait),
            None => wake.add(Key::of(&**cron)),
        }
    });
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
    let Some(cron) = cluster.cron_jobs.get(&key) else { return Ok(None) };
    let Some(spec) = &cron.spec else { return Ok(None) };
    let jobs = cluster.jobs.owned_by(uid(&*cron));
    let mut status = cron.status.clone().unwrap_or_default();
    for job in plan::surplus(spec, &jobs) {
        delete(cluster, events, &cron, &mut status, &job).await?;
    }
    let Plan { mut status, events: told, run: due, again } = plan(&cron, status, &jobs, cluster.clock.now());
    for notice in told {
        events.tell(reference(&*cron), notice);
    }
    let ran = match due {
        Some(due) => run(cluster, events, &cron, &mut status, due).await,
        None => Ok(()),
    };
    let mut reported = (*cron).clone();
    reported.status = Some(status);
    cluster.cron_jobs.update_status(&cron, &reported).await?;
    ran?;
    Ok(again)
}

async fn run(
    cluster: &Cluster,
    events: &Recorder,
    cron: &CronJob,
    status: &mut CronJobStatus,
    due: Run,
) -> Result<(), Error> {
    for active in due.replace {
        let job = cluster.jobs.get(&Key::new(namespace(cron), active.name.as_deref().unwrap_or_default()));
        if let Some(job) = job.filter(|job| active.uid.as_deref() == Some(uid(&**job))) {
            delete(cluster, events, cron, status, &job).await?;
        }
    }
    match cluster.jobs.create(namespace(cron), &due.job).await {
        Ok(job) => {
            events.normal(cron, "SuccessfulCreate", format!("Created job {}", name(&*job)));
            plan::note(status, &job, due.at);
            Ok(())
        }
        // It is there already: made here before the status could say so, or by somebody else, who then answers for it.
        Err(error) if error.is_conflict() => {
            let job = cluster.jobs.get(&Key::of(&due.job)).ok_or(error)?;
            if controller_of(&job.metadata).is_some_and(|owner| owner.uid == uid(cron)) {
                plan::note(status, &job, due.at);
            }
            Ok(())
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                events.warning(cron, "FailedCreate", format!("Error creating job: {}", error.message()));
            }
            Err(error)
        }
    }
}

async fn delete(
    cluster: &Cluster,
    events: &Recorder,
    cron: &CronJob,
    status: &mut CronJobStatus,
    job: &Job,
) -> Result<(), Error> {
    match cluster.jobs.delete(job, Deletion::background()).await {
        Ok(()) => {
            plan::forget(status, uid(job));
            events.normal(cron, "SuccessfulDelete", format!("Deleted job {}", name(job)));
            Ok(())
        }
        Err(error) => {
            events.warning(cron, "FailedDelete", format!("Deleted job: {}", error.message()));
            Err(error)
        }
    }
}
