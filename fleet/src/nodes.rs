//! Draining a node of any cluster: nothing new is placed there, and its Pods leave as their budgets let them.
//!
//! All that is asked of the cluster is asked in the caller's name, so its own rules decide each step. Nothing runs beside
//! the stream that tells of it: whoever stops reading stops the drain, and what has left by then has left. The node stays
//! cordoned, as after `kubectl drain`.

mod leaving;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::Limited;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet as DaemonSetObject;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use lib_kubernetes::{ClusterApi, boxed};
use lib_names::ClusterName;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Caller, Fleet, SendError};
use leaving::Leaving;
use plan::{DaemonSet, Fate, controller, judge};

pub use plan::Why;

/// Questions to the cluster at a time.
const AT_ONCE: usize = 8;
/// How long one may take, until its whole answer is there.
const PATIENCE: Duration = Duration::from_secs(70);
/// The most that one answer may be: the cluster is somebody else's.
const ANSWER: usize = 16 * 1024 * 1024;
/// Pods of a node in one answer, and how many of those are read.
const PAGE: u32 = 250;
const PAGES: usize = 16;
/// Events that wait for their reader.
const TOLD: usize = 64;

/// How a node is to be drained. Everything that is not said is as in `kubectl drain`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DrainRequest {
    /// Let Pods go that nothing makes anew.
    pub force: bool,
    /// Leave Pods of DaemonSets where they are, and go on.
    pub ignore_daemon_sets: bool,
    /// Let Pods go with what is in their `emptyDir` volumes.
    pub delete_empty_dir_data: bool,
    /// Delete Pods whatever their budgets say.
    pub disable_eviction: bool,
    /// How long each Pod has to end; as the Pod says unless this does.
    pub grace_period_seconds: Option<u32>,
    /// When to give up; 0 is never.
    pub timeout_seconds: u32,
    /// Do not wait for Pods that have been leaving for longer than this; 0 waits for all.
    pub skip_wait_for_delete_timeout_seconds: u32,
    /// Only Pods with these labels.
    pub pod_selector: String,
    /// Change nothing, and say what would happen.
    pub dry_run: bool,
}

/// What happens, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Progress {
    /// Nothing new is placed on the node.
    Cordoned {
        /// Nor was before.
        already: bool,
    },
    /// These Pods are special, and what was asked for settles what becomes of them.
    Warned {
        /// How they are special.
        reason: Why,
        /// As `namespace/name`.
        pods: Vec<String>,
    },
    /// These Pods are special, and nothing leaves before it is said what becomes of them.
    Barred {
        /// How they are special.
        reason: Why,
        /// As `namespace/name`.
        pods: Vec<String>,
    },
    /// A Pod is asked to leave.
    Evicting {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It may not leave yet.
    Waiting {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why, as the cluster says it.
        message: String,
        /// When it is asked again.
        retry_after_seconds: u64,
    },
    /// It has left.
    Evicted {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It is not asked again.
    Failed {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why, as the cluster says it.
        message: String,
    },
    /// Nothing has happened for a while.
    Alive {
        /// How many Pods have left.
        evicted: usize,
        /// Of how many.
        total: usize,
        /// What is wrong with the way to the cluster, if anything is.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The last line.
    Done {
        /// Whether all that was to leave has left.
        drained: bool,
        /// How many Pods have left.
        evicted: usize,
        /// What has not, and why.
        remaining: Vec<Remaining>,
        /// Why it ended early.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

/// A Pod that has not left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remaining {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why it is still there.
    pub message: String,
}

/// Why a drain did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// The cluster refused.
    #[error("the cluster refused")]
    Refused(#[source] Box<kube::Error>),
    /// The cluster was not reached.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It answered something else than a Kubernetes API does.
    #[error("the answer of cluster {0} could not be read")]
    Answer(ClusterName, #[source] Box<kube::Error>),
    /// There is no end to its Pods.
    #[error("cluster {0} names more Pods on one node than the {max} that are read", max = PAGE as usize * PAGES)]
    TooMany(ClusterName),
}

impl DrainError {
    fn of(cluster: &ClusterName) -> impl Fn(kube::Error) -> Self {
        move |error| match error {
            kube::Error::Service(cause) => match cause.downcast::<SendError>() {
                Ok(error) => Self::Send(*error),
                Err(source) => Self::Send(SendError::Unreachable { cluster: cluster.clone(), source }),
            },
            error @ kube::Error::Api(_) => Self::Refused(Box::new(error)),
            error => Self::Answer(cluster.clone(), Box::new(error)),
        }
    }
}

impl Fleet {
    /// Cordons a node and has its Pods leave, in the caller's name. Dropping what is returned stops it.
    ///
    /// # Errors
    /// When the cluster cannot be reached, or does not let the caller see or cordon the node or list its Pods.
    pub async fn drain_node(
        &self,
        cluster: &ClusterName,
        caller: &Caller,
        node: &str,
        request: DrainRequest,
    ) -> Result<impl Stream<Item = Progress> + Send + use<>, DrainError> {
        let client = self.carefully(cluster, caller).client();
        let failed = DrainError::of(cluster);
        let nodes: Api<Node> = Api::all(client.clone());
        let found = nodes.get(node).await.map_err(&failed)?;
        let already = found.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        if !already {
            let patch = Patch::Merge(json!({"spec": {"unschedulable": true}}));
            let params = PatchParams { dry_run: request.dry_run, ..PatchParams::default() };
            nodes.patch(node, &params, &patch).await.map_err(&failed)?;
        }
        let pods = pods_of(&client, cluster, node, &request).await?;
        let daemon_sets = daemon_sets_of(&client, &pods).await.map_err(&failed)?;
        let (mut going, mut warned, mut barred) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let now = Timestamp::now();
        for pod in &pods {
            let (fate, name) = (judge(pod, daemon_sets.of(pod), &request, now), called(pod));
            match fate {
                Fate::Bars(why) => barred.entry(why).or_insert_with(Vec::new).push(name),
                Fate::Goes(Some(why)) | Fate::Stays(Some(why)) => warned.entry(why).or_insert_with(Vec::new).push(name),
                Fate::Goes(None) | Fate::Stays(None) => {}
            }
            if matches!(fate, Fate::Goes(_)) {
                going.push(pod.metadata.clone());
            }
        }
        let mut first = vec![Progress::Cordoned { already }];
        first.extend(warned.into_iter().map(|(reason, pods)| Progress::Warned { reason, pods }));
        let is_barred = !barred.is_empty();
        first.extend(barred.into_iter().map(|(reason, pods)| Progress::Barred { reason, pods }));
        if is_barred {
            let message = Some("some Pods leave only when that is asked for: nothing was evicted".to_owned());
            first.push(Progress::Done { drained: false, evicted: 0, remaining: Vec::new(), message });
            going.clear();
        }
        let (tell, told) = mpsc::channel(TOLD);
        let leaving = Leaving::new(client, node.to_owned(), request, going, tell);
        let work = async move {
            if !is_barred {
                leaving.run().await;
            }
        };
        let told = stream::unfold(told, |mut told| async move { told.recv().await.map(|event| (event, told)) });
        // One task does both, so the work ends with its reader.
        let work = stream::once(work).filter_map(async |()| None);
        Ok(stream::iter(first).chain(stream::select(told, work)))
    }

    /// A cluster's API in the caller's name, whose answers have a bound and an end.
    fn carefully(&self, cluster: &ClusterName, caller: &Caller) -> ClusterApi {
        let (api, cluster) = (self.api(cluster, caller.clone()), cluster.clone());
        ClusterApi::from_fn(move |request| {
            let (api, cluster) = (api.clone(), cluster.clone());
            Box::pin(async move {
                let answer = timeout(PATIENCE, api.send(request)).await;
                let answer = answer.map_err(|_| SendError::Deadline(cluster))??;
                Ok(answer.map(|body| boxed(Limited::new(body, ANSWER))))
            })
        })
    }
}

fn called(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// Those on the node that were asked for.
fn on_node(node: &str, request: &DrainRequest) -> ListParams {
    let params = ListParams::default().fields(&format!("spec.nodeName={node}")).limit(PAGE);
    match request.pod_selector.is_empty() {
        true => params,
        false => params.labels(&request.pod_selector),
    }
}

async fn pods_of(
    client: &Client,
    cluster: &ClusterName,
    node: &str,
    request: &DrainRequest,
) -> Result<Vec<Pod>, DrainError> {
    let all: Api<Pod> = Api::all(client.clone());
    let (mut params, mut found) = (on_node(node, request), Vec::new());
    for _ in 0..PAGES {
        let page = all.list(&params).await.map_err(DrainError::of(cluster))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params = params.continue_token(&more),
            None => return Ok(found),
        }
    }
    Err(DrainError::TooMany(cluster.clone()))
}

/// The DaemonSets that Pods name, by namespace and name: those that are there.
struct DaemonSets(BTreeSet<(String, String)>);

impl DaemonSets {
    fn of(&self, pod: &Pod) -> DaemonSet {
        match daemon_set_of(pod) {
            None => DaemonSet::None,
            Some(named) if self.0.contains(&named) => DaemonSet::There,
            Some(_) => DaemonSet::Missing,
        }
    }
}

fn daemon_set_of(pod: &Pod) -> Option<(String, String)> {
    let owner = controller(pod).filter(|owner| owner.kind == "DaemonSet")?;
    Some((pod.namespace().unwrap_or_default(), owner.name.clone()))
}

async fn daemon_sets_of(client: &Client, pods: &[Pod]) -> Result<DaemonSets, kube::Error> {
    let named: BTreeSet<_> = pods.iter().filter_map(daemon_set_of).collect();
    let asked = stream::iter(named).map(|(namespace, name)| async move {
        let api: Api<DaemonSetObject> = Api::namespaced(client.clone(), &namespace);
        let is_there = api.get_metadata_opt(&name).await?.is_some();
        Ok::<_, kube::Error>(is_there.then_some((namespace, name)))
    });
    let there: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(DaemonSets(there.into_iter().flatten().collect()))
}
