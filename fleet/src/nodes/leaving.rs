//! Pods on their way out of a node: each is asked to leave, asked again while its budget forbids it, and waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use lib_telemetry::chain;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::plan::is_given_up;
use super::{AT_ONCE, DrainRequest, PAGES, Progress, Remaining, on_node};
use crate::SendError;

/// How long a Pod that may not leave is left in peace, as by kubectl.
const AGAIN: Duration = Duration::from_secs(5);
/// The same for one that changed while it was asked.
const SOON: Duration = Duration::from_secs(1);
/// How often it is seen who has left.
const LOOK: Duration = Duration::from_secs(1);
/// After how long something is said, so that a reader who has gone is noticed.
const SILENCE: Duration = Duration::from_secs(10);

/// By namespace and name.
type Key = (String, String);

struct Leaver {
    uid: String,
    state: State,
}

enum State {
    /// It is asked to leave then; why it was not let before.
    Due(Instant, Option<String>),
    Gone,
    /// It may leave, and takes its time.
    Leaving,
    /// The same, for longer than anybody waits.
    GivenUp,
    Failed(String),
}

/// What the cluster says to a Pod's leaving.
enum Verdict {
    Leaves,
    Later(Duration, Option<String>),
    Never(String),
}

/// The Pods of one node.
pub(super) struct Leaving {
    client: Client,
    node: String,
    request: DrainRequest,
    pods: BTreeMap<Key, Leaver>,
    tell: mpsc::Sender<Progress>,
    told: Instant,
}

impl Leaving {
    pub(super) fn new(
        client: Client,
        node: String,
        request: DrainRequest,
        pods: Vec<ObjectMeta>,
        tell: mpsc::Sender<Progress>,
    ) -> Self {
        let now = Instant::now();
        let pods = pods.into_iter().map(|pod| {
            let key = (pod.namespace.unwrap_or_default(), pod.name.unwrap_or_default());
            (key, Leaver { uid: pod.uid.unwrap_or_default(), state: State::Due(now, None) })
        });
        Self { client, node, request, pods: pods.collect(), tell, told: now }
    }

    /// Until all have left, the rest never will, or the time is over.
    pub(super) async fn run(mut self) {
        let given = Duration::from_secs(self.request.timeout_seconds.into());
        let ends = (!given.is_zero()).then(|| Instant::now() + given);
        let message = match ends {
            None => self.go().await,
            Some(ends) => match tokio::time::timeout_at(ends, self.go()).await {
                Ok(message) => message,
                Err(_) => Some(format!("the time of {} s is over", given.as_secs())),
            },
        };
        let remaining = self.remaining();
        let drained = remaining.is_empty() && message.is_none();
        let evicted = self.gone();
        self.say(Progress::Done { drained, evicted, remaining, message }).await;
    }

    /// Why it ended early, if it did.
    async fn go(&mut self) -> Option<String> {
        loop {
            self.ask_all().await;
            if self.request.dry_run {
                return None;
            }
            let mut trouble = None;
            if self.pods.values().any(|pod| matches!(pod.state, State::Leaving | State::Due(..))) {
                match self.look().await {
                    Ok(()) => {}
                    Err(error) if is_passing(&error) => trouble = Some(said(&error)),
                    Err(error) => return Some(said(&error)),
                }
            }
            let now = Instant::now();
            if self.told + SILENCE <= now {
                let (evicted, total) = (self.gone(), self.pods.len());
                self.say(Progress::Alive { evicted, total, message: trouble }).await;
            }
            let is_waited_for = self.pods.values().any(|pod| matches!(pod.state, State::Leaving));
            let look = is_waited_for.then_some(now + LOOK);
            let due = self.pods.values().filter_map(|pod| match pod.state {
                State::Due(at, _) => Some(at),
                _ => None,
            });
            match due.chain(look).min() {
                Some(next) => sleep_until(next).await,
                None => return None,
            }
        }
    }

    /// Asks those whose time has come.
    async fn ask_all(&mut self) {
        let now = Instant::now();
        let due = self.pods.iter().filter(|(_, pod)| matches!(pod.state, State::Due(at, _) if at <= now));
        let due: Vec<(Key, String)> = due.map(|(key, pod)| (key.clone(), pod.uid.clone())).collect();
        let mut asked = Vec::with_capacity(due.len());
        for ((namespace, name), uid) in due {
            self.say(Progress::Evicting { namespace: namespace.clone(), name: name.clone() }).await;
            asked.push(ask(self.client.clone(), self.request.clone(), (namespace, name), uid));
        }
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(((namespace, name), verdict)) = answers.next().await {
            let state = match verdict {
                Verdict::Leaves => State::Leaving,
                Verdict::Later(pause, message) => {
                    if let Some(message) = message.clone() {
                        let (namespace, name, retry_after_seconds) = (namespace.clone(), name.clone(), pause.as_secs());
                        self.say(Progress::Waiting { namespace, name, message, retry_after_seconds }).await;
                    }
                    State::Due(Instant::now() + pause, message)
                }
                Verdict::Never(message) => {
                    let (namespace, name, message) = (namespace.clone(), name.clone(), message);
                    self.say(Progress::Failed { namespace, name, message: message.clone() }).await;
                    State::Failed(message)
                }
            };
            if let Some(pod) = self.pods.get_mut(&(namespace, name)) {
                pod.state = state;
            }
        }
    }

    /// Sees who has left.
    async fn look(&mut self) -> Result<(), kube::Error> {
        let all: Api<Pod> = Api::all(self.client.clone());
        let (mut params, mut there) = (on_node(&self.node, &self.request), BTreeMap::new());
        for _ in 0..PAGES {
            let page = all.list_metadata(&params).await?;
            let now = Timestamp::now();
            for pod in page.items {
                let is_given_up = is_given_up(&pod.metadata, &self.request, now);
                let key = (pod.namespace().unwrap_or_default(), pod.name_any());
                there.insert(key, (pod.metadata.uid.unwrap_or_default(), is_given_up));
            }
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => params = params.continue_token(&more),
                None => {
                    self.note(&there).await;
                    return Ok(());
                }
            }
        }
        // Who is not on a page that nobody reads has not left for all that.
        Ok(())
    }

    async fn note(&mut self, there: &BTreeMap<Key, (String, bool)>) {
        let mut left = Vec::new();
        for (key, pod) in &mut self.pods {
            let waits = matches!(pod.state, State::Due(..) | State::Leaving);
            match there.get(key).filter(|(uid, _)| *uid == pod.uid) {
                _ if !waits => {}
                Some((_, true)) => pod.state = State::GivenUp,
                Some((_, false)) => {}
                // Another Pod may have its name.
                None => {
                    pod.state = State::Gone;
                    left.push(key.clone());
                }
            }
        }
        for (namespace, name) in left {
            self.say(Progress::Evicted { namespace, name }).await;
        }
    }

    fn gone(&self) -> usize {
        self.pods.values().filter(|pod| matches!(pod.state, State::Gone)).count()
    }

    fn remaining(&self) -> Vec<Remaining> {
        let left = self.pods.iter().filter_map(|((namespace, name), pod)| {
            let message = match &pod.state {
                State::Gone | State::GivenUp => return None,
                State::Leaving if self.request.dry_run => return None,
                State::Leaving => "it was told to leave, and has not ended yet".to_owned(),
                State::Due(_, Some(message)) | State::Failed(message) => message.clone(),
                State::Due(_, None) => "it was not told to leave yet".to_owned(),
            };
            Some(Remaining { namespace: namespace.clone(), name: name.clone(), message })
        });
        left.collect()
    }

    async fn say(&mut self, event: Progress) {
        self.told = Instant::now();
        // Whoever no longer listens drops us with the rest.
        let _ = self.tell.send(event).await;
    }
}

async fn ask(client: Client, request: DrainRequest, key: Key, uid: String) -> (Key, Verdict) {
    let pods: Api<Pod> = Api::namespaced(client, &key.0);
    let asked = match request.disable_eviction {
        true => {
            let params = DeleteParams {
                dry_run: request.dry_run,
                grace_period_seconds: request.grace_period_seconds,
                preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
                ..DeleteParams::default()
            };
            pods.delete(&key.1, &params).await.map(drop)
        }
        false => {
            let eviction = eviction(&request, &key, &uid);
            let params = PostParams::default();
            pods.create_subresource::<_, Value>("eviction", &key.1, &params, &eviction).await.map(drop)
        }
    };
    let verdict = match asked {
        Ok(()) => Verdict::Leaves,
        Err(error) => verdict(&error),
    };
    (key, verdict)
}

/// What is asked for is this Pod, and not another one that has taken its name.
fn eviction(request: &DrainRequest, (namespace, name): &Key, uid: &str) -> Value {
    let mut options = json!({"preconditions": {"uid": uid}});
    if let Some(seconds) = request.grace_period_seconds {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if request.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": options})
}

fn verdict(error: &kube::Error) -> Verdict {
    match error {
        // It has left by itself; the next look says so.
        kube::Error::Api(status) if status.code == 404 => Verdict::Leaves,
        kube::Error::Api(status) if status.code == 409 => Verdict::Later(SOON, None),
        error if is_passing(error) || is_leaving_with_its_namespace(error) => Verdict::Later(AGAIN, Some(said(error))),
        error => Verdict::Never(said(error)),
    }
}

/// Whether it may go well later.
fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 503 | 504),
        kube::Error::Service(cause) => {
            !matches!(cause.downcast_ref(), Some(SendError::Unknown(_) | SendError::Another(_)))
        }
        _ => false,
    }
}

/// Its namespace ends, and takes it along.
fn is_leaving_with_its_namespace(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// In the cluster's words: which budget it is stands in a cause.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let causes = causes.map(|cause| cause.message.as_str()).filter(|message| !message.is_empty());
            let all: Vec<&str> = std::iter::once(status.message.as_str()).chain(causes).collect();
            all.join(" ")
        }
        kube::Error::Service(cause) => match cause.downcast_ref::<SendError>() {
            Some(error) => error.to_string(),
            None => "the cluster cannot be reached".to_owned(),
        },
        other => {
            tracing::info!(error = %chain(other), "an answer about a node's Pods could not be read");
            "the cluster's answer could not be read".to_owned()
        }
    }
}
