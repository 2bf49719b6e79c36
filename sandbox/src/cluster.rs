//! The caches and the recorder that all parts of one cluster's sandbox share.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::{
        ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController,
        Service, ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
    storage::v1::StorageClass,
};
use kube::{Client, runtime::watcher};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cache::{Informer, Kind},
    clock::Clock,
    control_plane::ROOT_CA,
    events::Recorder,
    placement::{Placement, node_of},
};

/// Where kubelets keep their leases.
pub(crate) const LEASES: &str = "kube-node-lease";

/// What every controller of one cluster is given.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) events: Recorder,
    pub(crate) tasks: TaskTracker,
    pub(crate) token: CancellationToken,
    pub(crate) namespaces: Arc<Informer<Namespace>>,
    pub(crate) accounts: Arc<Informer<ServiceAccount>>,
    pub(crate) root_cas: Arc<Informer<ConfigMap>>,
    pub(crate) pods: Arc<Informer<Pod>>,
    pub(crate) placement: Arc<Placement>,
    pub(crate) nodes: Arc<Informer<Node>>,
    pub(crate) leases: Arc<Informer<Lease>>,
    pub(crate) services: Arc<Informer<Service>>,
    pub(crate) endpoints: Arc<Informer<Endpoints>>,
    pub(crate) slices: Arc<Informer<EndpointSlice>>,
    pub(crate) deployments: Arc<Informer<Deployment>>,
    pub(crate) replica_sets: Arc<Informer<ReplicaSet>>,
    pub(crate) replication_controllers: Arc<Informer<ReplicationController>>,
    pub(crate) stateful_sets: Arc<Informer<StatefulSet>>,
    pub(crate) daemon_sets: Arc<Informer<DaemonSet>>,
    pub(crate) revisions: Arc<Informer<ControllerRevision>>,
    pub(crate) jobs: Arc<Informer<Job>>,
    pub(crate) cron_jobs: Arc<Informer<CronJob>>,
    pub(crate) budgets: Arc<Informer<PodDisruptionBudget>>,
    pub(crate) claims: Arc<Informer<PersistentVolumeClaim>>,
    pub(crate) persistent_volumes: Arc<Informer<PersistentVolume>>,
    pub(crate) storage_classes: Arc<Informer<StorageClass>>,
}

impl Cluster {
    pub(crate) fn new(
        client: &Client,
        clock: Clock,
        events: Recorder,
        tasks: TaskTracker,
        token: CancellationToken,
    ) -> Self {
        fn informer<K: Kind>(client: &Client) -> Arc<Informer<K>> {
            Arc::new(Informer::new(client.clone()))
        }
        let pods = informer(client);
        Self {
            client: client.clone(),
            clock,
            events,
            tasks,
            token,
            namespaces: informer(client),
            accounts: informer(client),
            // A cluster may hold many others, and large ones.
            root_cas: Arc::new(Informer::named(client.clone(), ROOT_CA)),
            placement: Placement::of(&pods),
            pods,
            nodes: informer(client),
            // Others keep leases elsewhere, and renew them more often than anybody here wants to know.
            leases: Arc::new(Informer::selecting(
                client.clone(),
                watcher::Config::default().fields(&format!("metadata.namespace={LEASES}")),
            )),
            services: informer(client),
            endpoints: informer(client),
            slices: informer(client),
            deployments: informer(client),
            replica_sets: informer(client),
            replication_controllers: informer(client),
            stateful_sets: informer(client),
            daemon_sets: informer(client),
            revisions: informer(client),
            jobs: informer(client),
            cron_jobs: informer(client),
            budgets: informer(client),
            claims: informer(client),
            persistent_volumes: informer(client),
            storage_classes: informer(client),
        }
    }

    /// Begins to watch a kind. Register handlers first.
    pub(crate) fn watch<K: Kind>(&self, informer: &Arc<Informer<K>>) {
        let (informer, token) = (informer.clone(), self.token.clone());
        self.tasks.spawn(async move { informer.run(token).await });
    }

    /// Begins what every embedded cluster watches, with or without nodes.
    pub(crate) fn watch_control_plane(&self) {
        self.watch(&self.namespaces);
        self.watch(&self.accounts);
        self.watch(&self.root_cas);
        self.watch(&self.claims);
        self.watch(&self.persistent_volumes);
    }

    /// Begins what workloads, scheduler and kubelets watch.
    pub(crate) fn watch_workloads(&self) {
        self.watch(&self.pods);
        self.watch(&self.nodes);
        self.watch(&self.leases);
        self.watch(&self.services);
        self.watch(&self.endpoints);
        self.watch(&self.slices);
        self.watch(&self.deployments);
        self.watch(&self.replica_sets);
        self.watch(&self.replication_controllers);
        self.watch(&self.stateful_sets);
        self.watch(&self.daemon_sets);
        self.watch(&self.revisions);
        self.watch(&self.jobs);
        self.watch(&self.cron_jobs);
        self.watch(&self.budgets);
        self.watch(&self.storage_classes);
    }

    /// The pods on a node.
    pub(crate) fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        let pods = self.placement.on(node);
        pods.iter().filter_map(|key| self.pods.get(key)).filter(|pod| node_of(pod) == Some(node)).collect()
    }

    /// Runs `work` as a task of this cluster.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = work => {}
            }
        });
    }
}
