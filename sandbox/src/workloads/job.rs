//! Jobs: pods that run to an end, retried within limits.

mod plan;

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{is_deleting, selector, uid},
    ownership,
    queue::Queue,
};

use super::apply::{create_pods, delete_pods};
use plan::{Severity, plan};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.jobs, &queue);
    ownership::follow(&cluster.pods, &cluster.jobs, &queue, |job| job.spec.as_ref()?.selector.as_ref());
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("job-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.jobs.synced().await;
        cluster.pods.synced().await;
        controller::run("job", queue, 8, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(job) = cluster.jobs.get(&key).filter(|job| !is_deleting(&**job)) else { return Ok(None) };
    let Some(given) = job.spec.as_ref().and_then(|spec| spec.selector.as_ref()) else { return Ok(None) };
    let Some(selector) = selector(given)? else { return Ok(None) };
    let now = cluster.clock.now();
    if let Some(wait) = plan::expires_in(&job, now) {
        if wait.is_zero() {
            cluster.jobs.delete(&job, Deletion::background()).await?;
            return Ok(None);
        }
        if plan::is_finished(&job) {
            return Ok(Some(wait));
        }
    }
    let children = ownership::children(&*job, &selector, &cluster.pods).await?;
    let first = plan(&job, &children, now);
    create_pods(cluster, events, &*job, first.create).await?;
    delete_pods(cluster, events, &*job, first.delete).await?;

    // Once more over what is there now: this time only to report.
    let Some(job) = cluster.jobs.get(&key) else { return Ok(None) };
    let report = plan(&job, &cluster.pods.owned_by(uid(&*job)), now);
    let mut reported = (*job).clone();
    reported.status = Some(report.status);
    if cluster.jobs.update_status(&job, &reported).await?.is_some() {
        for event in report.events {
            match event.severity {
                Severity::Normal => events.normal(&*job, event.reason, event.message),
                Severity::Warning => events.warning(&*job, event.reason, event.message),
            }
        }
    }
    // A retry that waits for its back-off.
    Ok(report.again.map(|wait| wait.max(Duration::from_millis(1))))
}
