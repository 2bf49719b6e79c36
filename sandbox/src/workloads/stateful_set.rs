//! StatefulSets: pods with names of their own, one after the other (or all at once when asked), updated from the last.

mod claims;
mod plan;

use std::sync::Arc;

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{is_deleting, labels, name, namespace, selector, uid},
    ownership, pods,
    queue::Queue,
};

use super::revisions;
use plan::{Plan, Revisions, plan, status};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.stateful_sets, &queue);
    ownership::follow(&cluster.pods, &cluster.stateful_sets, &queue, |set| {
        set.spec.as_ref().map(|spec| spec.selector.clone())
    });
    // A pod may wait for a claim to go.
    let (sets, wake) = (cluster.stateful_sets.clone(), queue.clone());
    cluster.claims.on_change(move |old, new| {
        let (Some(gone), None) = (old, new) else { return };
        let sets = sets.in_namespace(namespace(&**gone));
        sets.iter().filter(|set| claims::has_claim(set, gone)).for_each(|set| wake.add(Key::of(&**set)));
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("statefulset-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.stateful_sets.synced().await;
        cluster.pods.synced().await;
        cluster.revisions.synced().await;
        cluster.claims.synced().await;
        controller::run("statefulset", queue, 4, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(set) = cluster.stateful_sets.get(&key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let Some(selector) = selector(&spec.selector)? else { return Ok(None) };
    if is_deleting(&*set) {
        return Ok(None);
    }
    let children = ownership::children(&*set, &selector, &cluster.pods).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let owner = revisions::Owner {
        object: &*set,
        selector: &selector,
        template: &spec.template,
        collisions,
        label: revisions::OWN_HASH,
    };
    let history = revisions::sync(cluster, owner).await?;
    let current_name = set.status.as_ref().and_then(|status| status.current_revision.clone());
    let current = history.all.iter().find(|revision| Some(name(&***revision)) == current_name.as_deref());
    let known = Revisions {
        current: name(&**current.unwrap_or(&history.update)).to_owned(),
        current_template: current.and_then(|revision| revisions::template(revision)),
        update: name(&*history.update).to_owned(),
        collisions: history.collisions,
    };
    let at = cluster.clock.now();
    let stale = |pod: &Pod| {
        let claims = claims::claims(&set, pod).into_iter().filter_map(|claim| cluster.claims.get(&Key::of(&claim)));
        claims.into_iter().any(|claim| claims::is_stale(&set, pod, &claim))
    };
    let plan = plan(&set, &known, &children, stale, at);
    let work = Work { cluster, events, set: &set };
    let worked = work.carry_out(plan, &children).await;

    let Some(set) = cluster.stateful_sets.get(&key) else { return Ok(None) };
    let now_owned = cluster.pods.owned_by(uid(&*set));
    let mut reported = (*set).clone();
    reported.status = Some(status(&set, &known, &now_owned, at));
    cluster.stateful_sets.update_status(&set, &reported).await?;
    worked?;
    let mut in_use: Vec<&str> =
        now_owned.iter().filter_map(|pod| labels(&**pod).get(revisions::HASH)).map(String::as_str).collect();
    in_use.push(&known.current);
    revisions::prune(cluster, &history, spec.revision_history_limit.unwrap_or(10), &in_use).await?;
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    Ok(pods::next_available(now_owned.iter().map(|pod| &**pod), min_ready, at))
}

struct Work<'a> {
    cluster: &'a Cluster,
    events: &'a Recorder,
    set: &'a StatefulSet,
}

impl Work<'_> {
    async fn carry_out(&self, plan: Plan, children: &[Arc<Pod>]) -> Result<(), Error> {
        for pod in &plan.create {
            self.create(pod).await?;
        }
        for pod in &plan.waiting {
            self.create_claims(pod).await?;
        }
        // Before any of them goes: its claims may have to go with it.
        for pod in children {
            self.own_claims(pod).await?;
        }
        for pod in &plan.delete {
            let result = self.cluster.pods.delete(pod, Deletion::graceful()).await;
            self.tell(["delete", "SuccessfulDelete", "FailedDelete"], pod, &result);
            result?;
        }
        Ok(())
    }

    async fn create(&self, pod: &Pod) -> Result<(), Error> {
        let result = match self.create_claims(pod).await {
            Ok(()) => self.cluster.pods.create(namespace(self.set), pod).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if !result.as_ref().is_err_and(|error| error.is_namespace_terminating() || error.is_conflict()) {
            self.tell(["create", "SuccessfulCreate", "FailedCreate"], pod, &result);
        }
        result?;
        self.own_claims(pod).await
    }

    /// What became of a pod: the verb, and the reasons of the event for success and failure.
    fn tell(&self, [verb, success, failure]: [&'static str; 3], pod: &Pod, result: &Result<(), Error>) {
        let what = format!("{verb} Pod {} in StatefulSet {}", name(pod), name(self.set));
        match result {
            Ok(()) => self.events.normal(self.set, success, format!("{what} successful")),
            Err(error) => self.events.warning(self.set, failure, format!("{what} failed error: {}", error.message())),
        }
    }

    /// Makes the claims of a pod that are not there. Others were kept from an earlier pod of its name: that is what
    /// claims are for.
    async fn create_claims(&self, pod: &Pod) -> Result<(), Error> {
        for claim in claims::claims(self.set, pod) {
            if let Some(present) = self.cluster.claims.get(&Key::of(&claim)) {
                if is_deleting(&*present) {
                    return Err(Error::Leaving { what: "pvc", name: name(&claim).to_owned() });
                }
                continue;
            }
            let (pod, set) = (name(pod), name(self.set));
            match self.cluster.claims.create(namespace(self.set), &claim).await {
                Ok(_) => {
                    let message = format!("create Claim {} Pod {pod} in StatefulSet {set} success", name(&claim));
                    self.events.normal(self.set, "SuccessfulCreate", message);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    let what = format!("create Claim {} for Pod {pod} in StatefulSet {set}", name(&claim));
                    let message = format!("{what} failed error: {}", error.message());
                    self.events.warning(self.set, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives the claims of a pod the owners that the set's policy asks for.
    async fn own_claims(&self, pod: &Pod) -> Result<(), Error> {
        for claim in claims::claims(self.set, pod) {
            let Some(claim) = self.cluster.claims.get(&Key::of(&claim)) else { continue };
            let owned = claims::with_owners(self.set, pod, &claim);
            // Told once: when the pod is made, or when it turns out that the owners are of no use.
            if (owned.is_some() || uid(pod).is_empty()) && claims::has_other_controller(self.set, pod, &claim) {
                let message = format!(
                    "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a manging controller, \
                     the retention policy is ignored for this claim",
                    name(&*claim)
                );
                self.events.warning(self.set, "ConflictingController", message);
            }
            if let Some(owned) = owned {
                self.cluster.claims.update(&claim, &owned).await?;
            }
        }
        Ok(())
    }
}
