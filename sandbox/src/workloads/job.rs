//! Jobs: pods that run to an end, retried within limits, and counted one by one.

mod backoff;
mod indexes;
mod plan;
mod policy;
mod template;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::{Job, JobStatus},
    core::v1::Pod,
};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{controller_of, is_deleting, name, namespace, selector, uid},
    ownership,
    queue::Queue,
};

use super::apply::{WIDTH, create_pods, delete_pods};
use backoff::Backoff;
pub(super) use plan::ended;
use plan::{End, FINALIZER, Scene, Switch, Verdict, is_tracked};

struct Jobs {
    cluster: Cluster,
    events: Recorder,
    /// Of Jobs that are not finished, with their uids: the next Job of the name begins anew.
    backoffs: Mutex<HashMap<Key, (String, Backoff)>>,
}

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.jobs, &queue);
    ownership::follow(&cluster.pods, &cluster.jobs, &queue, |job| job.spec.as_ref()?.selector.clone());
    let left_behind = Arc::new(Queue::new(&cluster.clock));
    follow_left_behind(cluster, &left_behind);
    let events = cluster.events.for_component("job-controller");
    let jobs = Jobs { cluster: cluster.clone(), events, backoffs: Mutex::default() };
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        cluster.jobs.synced().await;
        cluster.pods.synced().await;
        let pods = controller::run("job-pod", left_behind, 4, token.clone(), |key| let_go(&cluster, key));
        let jobs = controller::run("job", queue, 8, token, |key| jobs.reconcile(key));
        tokio::join!(jobs, pods);
    });
}

/// Queues the pods that no Job will count: those whose Job is over or gone, and those that lost it.
fn follow_left_behind(cluster: &Cluster, queue: &Arc<Queue<Key>>) {
    let wake = queue.clone();
    cluster.pods.on_change(move |_, new| {
        // Whether there is a Job that counts it is looked at later: its Job may become known after the pod.
        if let Some(pod) = new.filter(|pod| is_tracked(pod) && (is_deleting(&***pod) || job_of(pod).is_none())) {
            wake.add(Key::of(&**pod));
        }
    });
    let (pods, wake) = (cluster.pods.clone(), queue.clone());
    cluster.jobs.on_change(move |old, new| {
        if let Some(job) = new.or(old).filter(|job| new.is_none() || plan::is_finished(job)) {
            pods.owned_by(uid(&**job)).iter().filter(|pod| is_tracked(pod)).for_each(|pod| wake.add(Key::of(&**pod)));
        }
    });
}

/// The key and the uid of the Job that manages a pod.
fn job_of(pod: &Pod) -> Option<(Key, &str)> {
    let owner = controller_of(&pod.metadata).filter(|owner| owner.kind == "Job" && owner.api_version == "batch/v1")?;
    Some((Key::new(namespace(pod), &owner.name), &owner.uid))
}

/// Takes the finalizer off a pod that no Job counts any more.
async fn let_go(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(pod) = cluster.pods.get(&key) else { return Ok(None) };
    let counted = match job_of(&pod) {
        Some((job, owner)) => {
            let job = cluster.jobs.get(&job).filter(|job| uid(&**job) == owner);
            job.is_some_and(|job| plan::is_managed_elsewhere(&job) || !plan::is_finished(&job))
        }
        None => controller_of(&pod.metadata).is_some(),
    };
    if !counted {
        release(cluster, &pod).await?;
    }
    Ok(None)
}

async fn release(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    // The pod may have changed since it was looked at.
    let Some(pod) = present(cluster, pod).filter(|pod| is_tracked(pod)) else { return Ok(()) };
    let mut released = (*pod).clone();
    released.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
    released.metadata.finalizers = released.metadata.finalizers.filter(|rest| !rest.is_empty());
    match cluster.pods.update(&pod, &released).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Tries all and returns the first failure.
async fn release_all(cluster: &Cluster, pods: Vec<Arc<Pod>>) -> Result<(), Error> {
    let results = stream::iter(pods)
        .map(|pod| async move { release(cluster, &pod).await })
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>()
        .await;
    results.into_iter().collect()
}

fn present(cluster: &Cluster, pod: &Pod) -> Option<Arc<Pod>> {
    cluster.pods.get(&Key::of(pod)).filter(|present| uid(&**present) == uid(pod))
}

impl Jobs {
    fn backoffs(&self) -> MutexGuard<'_, HashMap<Key, (String, Backoff)>> {
        self.backoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backoff(&self, key: &Key, job: &Job) -> Backoff {
        let known = self.backoffs().get(key).cloned();
        known.filter(|(of, _)| of == uid(job)).map(|(_, backoff)| backoff).unwrap_or_default()
    }

    async fn reconcile(&self, key: Key) -> Result<Next, Error> {
        let cluster = &self.cluster;
        let job = cluster.jobs.get(&key);
        if job.as_ref().is_none_or(|job| plan::is_finished(job)) {
            self.backoffs().remove(&key);
        }
        let Some(job) = job else { return Ok(None) };
        if plan::is_finished(&job) {
            return expire(cluster, &job).await;
        }
        if plan::is_managed_elsewhere(&job) {
            return Ok(None);
        }
        let Some(spec) = &job.spec else { return Ok(None) };
        let Some(selector) = spec.selector.as_ref().map(selector).transpose()?.flatten() else { return Ok(None) };
        let children = ownership::marked_children(&*job, &selector, &cluster.pods, FINALIZER).await?;
        let before = self.backoff(&key, &job);
        let now = cluster.clock.now();
        let scene = Scene::new(&job, spec, &children, &before, now);
        let plan = scene.plan();

        let stopped = delete_pods(cluster, &self.events, &*job, plan.stop).await;
        let discarded = self.discard(&job, plan.discard).await;
        let created = create_pods(cluster, &self.events, &*job, plan.create).await;
        // A Job with pods that could not be stopped is not over.
        let verdict = plan.verdict.filter(|_| stopped.is_ok() && discarded.is_ok());

        let mut tracked = scene.track(plan.status, verdict.as_ref());
        plan::report(&mut tracked.status, &cluster.pods.owned_by(uid(&*job)));
        let job = self.write(&job, &tracked.status).await?;
        self.backoffs().insert(key, (uid(&*job).to_owned(), scene.backoff));
        match plan.switch {
            Some(Switch::Suspended) => self.events.normal(&*job, "Suspended", "Job suspended"),
            Some(Switch::Resumed) => self.events.normal(&*job, "Resumed", "Job resumed"),
            None => {}
        }
        let released = release_all(cluster, tracked.release).await;
        let held: Vec<Arc<Pod>> = children.iter().filter_map(|pod| present(cluster, pod)).collect();
        let held: HashSet<&str> = held.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(&**pod)).collect();
        plan::take_in(&mut tracked.status, &held);
        plan::report(&mut tracked.status, &cluster.pods.owned_by(uid(&*job)));
        let over = verdict.filter(|_| released.is_ok() && !tracked.partial);
        let over = over.filter(|verdict| plan::finish(&mut tracked.status, verdict, now));
        let job = self.write(&job, &tracked.status).await?;
        if let Some(verdict) = over {
            self.tell_end(&job, verdict);
        }
        [stopped, discarded, created, released].into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(plan.again)
    }

    /// Deletes pods that are not to be counted.
    async fn discard(&self, job: &Job, pods: Vec<Arc<Pod>>) -> Result<(), Error> {
        release_all(&self.cluster, pods.clone()).await?;
        delete_pods(&self.cluster, &self.events, job, pods).await
    }

    async fn write(&self, job: &Arc<Job>, status: &JobStatus) -> Result<Arc<Job>, Error> {
        let mut reported = (**job).clone();
        reported.status = Some(status.clone());
        Ok(self.cluster.jobs.update_status(job, &reported).await?.unwrap_or_else(|| job.clone()))
    }

    fn tell_end(&self, job: &Job, verdict: Verdict) {
        tracing::debug!(job = name(job), reason = verdict.reason, "job is over");
        match verdict.end {
            End::Complete => {
                let succeeded = job.status.as_ref().and_then(|status| status.succeeded);
                let wanted = job.spec.as_ref().and_then(|spec| spec.completions);
                if succeeded.zip(wanted).is_some_and(|(succeeded, wanted)| succeeded > wanted) {
                    let message = "Too many succeeded pods running after completion count reached";
                    self.events.warning(job, "TooManySucceededPods", message);
                }
                self.events.normal(job, "Completed", "Job completed");
            }
            End::Failed => self.events.warning(job, failure_reason(&verdict.reason), verdict.message),
        }
    }
}

/// Events have reasons that are known beforehand; another controller may have begun to fail the Job for one of its own.
fn failure_reason(of_condition: &str) -> &'static str {
    const KNOWN: [&str; 5] =
        ["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded"];
    KNOWN.into_iter().find(|known| *known == of_condition).unwrap_or("Failed")
}

/// Deletes a finished Job when its time is over.
async fn expire(cluster: &Cluster, job: &Job) -> Result<Next, Error> {
    let wait = plan::expires_in(job, cluster.clock.now()).filter(|_| !is_deleting(job));
    if wait.is_some_and(|wait| wait.is_zero()) {
        cluster.jobs.delete(job, Deletion::foreground()).await?;
        return Ok(None);
    }
    Ok(wait)
}
