//! Whether all is as it should be, and if not, what is not.

use std::{collections::HashSet, fmt::Debug};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;

use crate::judge::is_fit;

/// What is not as it should be. Reports count that began after `since`.
pub(crate) async fn complaints(client: &Client, since: Timestamp) -> Vec<String> {
    let look = Look { client, complaints: Vec::new() };
    look.all(since).await
}

struct Look<'a> {
    client: &'a Client,
    complaints: Vec<String>,
}

impl Look<'_> {
    async fn all(mut self, since: Timestamp) -> Vec<String> {
        let nodes = self.list::<Node>().await;
        nodes.iter().for_each(|node| self.node(node));
        self.deployments().await;
        self.stateful_sets().await;
        self.daemon_sets(nodes.len()).await;
        self.batch(since).await;
        self.pods().await;
        self.storage().await;
        self.budgets().await;
        self.owners().await;
        self.complaints
    }

    async fn list<K>(&self) -> Vec<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.list(&ListParams::default()).await.expect("a kind can be listed").items
    }

    fn expect(&mut self, holds: bool, what: impl Debug, whose: &impl ResourceExt) {
        if !holds {
            self.complaints.push(format!("{}: {what:?}", whose.name_any()));
        }
    }

    fn node(&mut self, node: &Node) {
        let conditions = node.status.iter().flat_map(|status| status.conditions.clone().unwrap_or_default());
        let ready = conditions.into_iter().any(|is| is.type_ == "Ready" && is.status == "True");
        let tainted = node.spec.iter().any(|spec| spec.taints.iter().flatten().next().is_some());
        self.expect(ready && !tainted, (ready, tainted), node);
    }

    async fn deployments(&mut self) {
        for deployment in self.list::<Deployment>().await {
            let (spec, status) =
                (deployment.spec.clone().unwrap_or_default(), deployment.status.clone().unwrap_or_default());
            let wanted = spec.replicas;
            let counts = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
            let is_observed = status.observed_generation == deployment.metadata.generation;
            self.expect(is_observed && counts.iter().all(|count| *count == wanted), &status, &deployment);
            let conditions = status.conditions.unwrap_or_default();
            let said = |kind: &str| conditions.iter().find(|is| is.type_ == kind).and_then(|is| is.reason.clone());
            let reasons = (said("Available"), said("Progressing"));
            let fine = reasons == (Some("MinimumReplicasAvailable".into()), Some("NewReplicaSetAvailable".into()));
            self.expect(fine, reasons, &deployment);
        }
        let sets = self.list::<ReplicaSet>().await;
        let mut owners: Vec<String> = sets
            .iter()
            .filter(|set| set.spec.as_ref().is_some_and(|spec| spec.replicas != Some(0)))
            .flat_map(|set| set.owner_references().iter().map(|owner| owner.uid.clone()))
            .collect();
        let all = owners.len();
        owners.sort();
        owners.dedup();
        if all != owners.len() {
            self.complaints.push("two sets of one Deployment have pods".to_owned());
        }
    }

    async fn stateful_sets(&mut self) {
        for set in self.list::<StatefulSet>().await {
            let status = set.status.clone().unwrap_or_default();
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
            let counts =
                [Some(status.replicas), status.ready_replicas, status.updated_replicas, status.current_replicas];
            let is_new = status.current_revision == status.update_revision
                && status.observed_generation == set.metadata.generation;
            self.expect(is_new && counts.iter().all(|count| *count == wanted), &status, &set);
        }
    }

    async fn daemon_sets(&mut self, nodes: usize) {
        for set in self.list::<DaemonSet>().await {
            let status = set.status.clone().unwrap_or_default();
            let wanted = i32::try_from(nodes).unwrap_or(0);
            let counts = [
                status.desired_number_scheduled,
                status.current_number_scheduled,
                status.number_ready,
                status.number_available.unwrap_or(0),
                status.updated_number_scheduled.unwrap_or(0),
            ];
            let fine = counts.iter().all(|count| *count == wanted) && status.number_misscheduled == 0;
            self.expect(fine, &status, &set);
        }
    }

    async fn batch(&mut self, since: Timestamp) {
        for job in self.list::<Job>().await.iter().filter(|job| job.name_any() == "work") {
            let status = job.status.clone().unwrap_or_default();
            let complete = status.conditions.iter().flatten().any(|is| is.type_ == "Complete" && is.status == "True");
            self.expect(complete && status.succeeded == Some(10) && status.active.unwrap_or(0) == 0, &status, job);
        }
        for cron in self.list::<CronJob>().await {
            let last = cron.status.as_ref().and_then(|status| status.last_successful_time.clone());
            self.expect(last.as_ref().is_some_and(|last| last.0 > since), last, &cron);
        }
    }

    /// All pods that serve are fit, and exactly they are behind the Service.
    async fn pods(&mut self) {
        let pods = self.list::<Pod>().await;
        let mut fit = Vec::new();
        for pod in &pods {
            let app = pod.labels().get("app").map_or("", String::as_str);
            let serves = !["work", "report"].contains(&app);
            self.expect(!serves || is_fit(pod), &pod.status, pod);
            if app == "web" {
                fit.extend(pod.status.as_ref().and_then(|status| status.pod_ip.clone()));
            }
        }
        let slices = self.list::<EndpointSlice>().await;
        let slices =
            slices.iter().filter(|slice| slice.labels().get("kubernetes.io/service-name") == Some(&"web".to_owned()));
        let ready = slices
            .flat_map(|slice| &slice.endpoints)
            .filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true)));
        let mut ready: Vec<String> = ready.flat_map(|endpoint| endpoint.addresses.clone()).collect();
        ready.sort();
        fit.sort();
        if ready != fit {
            self.complaints.push(format!("the Service has {ready:?}, its pods {fit:?}"));
        }
    }

    async fn storage(&mut self) {
        let claims = self.list::<PersistentVolumeClaim>().await;
        for claim in &claims {
            let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
            self.expect(phase == Some("Bound"), phase, claim);
        }
        let volumes = self.list::<PersistentVolume>().await.len();
        if volumes != claims.len() {
            self.complaints.push(format!("{volumes} volumes for {} claims", claims.len()));
        }
    }

    async fn budgets(&mut self) {
        for budget in self.list::<PodDisruptionBudget>().await {
            let status = budget.status.clone().unwrap_or_default();
            let fine = status.current_healthy == status.expected_pods && status.disruptions_allowed > 0;
            self.expect(fine, &status, &budget);
        }
    }

    /// Nothing is left of what is gone.
    async fn owners(&mut self) {
        let mut all = Vec::new();
        all.extend(facts::<Deployment>(self.list().await));
        all.extend(facts::<ReplicaSet>(self.list().await));
        all.extend(facts::<StatefulSet>(self.list().await));
        all.extend(facts::<DaemonSet>(self.list().await));
        all.extend(facts::<ControllerRevision>(self.list().await));
        all.extend(facts::<CronJob>(self.list().await));
        all.extend(facts::<Job>(self.list().await));
        all.extend(facts::<Pod>(self.list().await));
        let there: HashSet<&str> = all.iter().map(|(_, uid, _)| uid.as_str()).collect();
        let orphans = all.iter().filter(|(_, _, owners)| owners.iter().any(|owner| !there.contains(owner.as_str())));
        self.complaints.extend(orphans.map(|(name, ..)| format!("{name} has outlived its owner")));
    }
}

/// An object's name, its uid, and those of its owners.
fn facts<K: Resource>(all: Vec<K>) -> Vec<(String, String, Vec<String>)> {
    let facts = all.iter().map(|object| {
        let owners = object.owner_references().iter().map(|owner| owner.uid.clone()).collect();
        (object.name_any(), object.uid().unwrap_or_default(), owners)
    });
    facts.collect()
}
