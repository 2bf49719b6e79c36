//! Follows the hub, and has a worker for each cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api_types::tenancy::RoleTemplate;
use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt as _;
use lib_backoff::{Backoff, chance};
use lib_drain::Drain;
use lib_kubernetes::ClusterApi;
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::bindings::BindingKind;
use crate::book::{BindingId, Book, Written};
use crate::follow::{Change, follow, name_of};
use crate::mirror::{Cluster, Mirror};
use crate::report::{self, Progress};
use crate::roles::shipped_templates;
use crate::sync::Worker;
use crate::view::{HubObjects, Known, View};
use crate::wire::{Failure, Wire};

/// How long it is believed that a binding is there, after the hub said so.
const BELIEVED: Duration = Duration::from_secs(1);
/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts to lay the templates that come with the platform, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way to a cluster, in the name of [`TENANCY_USER`](crate::guard::TENANCY_USER).
pub type Way = Arc<dyn Fn(&ClusterName) -> ClusterApi + Send + Sync>;

/// What this works with.
pub struct Parts {
    /// The hub's API, in the name of [`TENANCY_USER`](crate::guard::TENANCY_USER), which has its role there.
    pub hub: ClusterApi,
    /// The way to each member, in the same name.
    pub members: Way,
}

/// Keeps projects, roles and bindings as they are wanted, in every cluster. Clones share everything.
#[derive(Clone)]
pub struct Tenancy {
    core: Arc<Core>,
}

/// What all parts share.
pub(crate) struct Core {
    pub(crate) mirror: Mirror,
    pub(crate) book: RwLock<Book>,
    /// Changes with the book.
    pub(crate) written: watch::Sender<u64>,
    pub(crate) progress: Progress,
    pub(crate) hub: Wire,
    /// Of each cluster that is to have a ratio of its own, whether it has it, or why not.
    pub(crate) ratios: watch::Sender<BTreeMap<String, Result<(), String>>>,
    /// What the hub said last about bindings that are given.
    asked: Mutex<HashMap<BindingId, Arc<Asked>>>,
}

type Asked = tokio::sync::Mutex<Option<(Instant, bool)>>;

impl Tenancy {
    /// Works until `drain` finishes.
    pub fn start(parts: Parts, drain: &Drain) -> Self {
        let core = Arc::new(Core {
            mirror: Mirror::new(),
            book: RwLock::default(),
            written: watch::Sender::new(0),
            progress: Progress::default(),
            hub: Wire::new(parts.hub.clone()),
            ratios: watch::Sender::default(),
            asked: Mutex::default(),
        });
        let drain = drain.child();
        let supervisor = Supervisor { core: core.clone(), parts, drain: drain.clone(), running: BTreeMap::new() };
        let work = [
            spawn(&drain, follow_hub(core.clone())),
            spawn(&drain, report::run(core.clone())),
            spawn(&drain, lay_templates(core.clone())),
            spawn(&drain, supervisor.run()),
        ];
        drop(work);
        Self { core }
    }

    /// What each cluster has.
    pub fn mirror(&self) -> &Mirror {
        &self.core.mirror
    }

    /// Of each cluster that is to have an overcommit ratio of its own, whether it has it, or why not.
    pub fn ratios(&self) -> watch::Receiver<BTreeMap<String, Result<(), String>>> {
        self.core.ratios.subscribe()
    }

    /// A cluster may be back: it is looked at now, and not when it would be tried again anyway.
    pub fn wake(&self, cluster: &ClusterName) {
        self.core.mirror.wake(cluster);
    }
}

impl View for Tenancy {
    fn hub(&self) -> Arc<HubObjects> {
        self.core.book.read().unwrap_or_else(PoisonError::into_inner).hub.clone()
    }

    fn clusters(&self) -> Vec<String> {
        self.core.mirror.clusters().iter().map(ToString::to_string).collect()
    }

    fn cluster(&self, name: &str) -> Option<Arc<Known>> {
        let name: ClusterName = name.parse().ok()?;
        // Who holds what on the hub is no answer as long as it is not known what there is.
        if name.is_global() && !self.core.book.read().unwrap_or_else(PoisonError::into_inner).was_whole() {
            return None;
        }
        self.core.mirror.known(&name)
    }
}

/// Runs something until the drain finishes.
fn spawn(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    let finishing = drain.clone();
    drain.spawn(async move {
        tokio::select! {
            () = finishing.finishing() => {}
            () = task => {}
        }
    })
}

impl Core {
    /// Notes whether a cluster has the ratio that it is to have.
    pub(crate) fn tell_ratio(&self, cluster: &ClusterName, has: Option<Result<(), String>>) {
        self.ratios.send_if_modified(|all| {
            let before = match has.clone() {
                Some(has) => all.insert(cluster.to_string(), has),
                None => all.remove(cluster.as_str()),
            };
            before != has
        });
    }

    /// What the hub says every cluster is to have.
    pub(crate) fn share_roles(&self, roles: &BTreeMap<String, Arc<Value>>) {
        let same = |book: &Book| book.shared_roles.as_ref() == Some(roles);
        if same(&self.book.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        book.shared_roles = Some(roles.clone());
        let about = book.about_all();
        drop(book);
        self.progress.tell(about);
        self.written.send_modify(|n| *n += 1);
    }

    /// Whether a binding is still there. What was followed may be behind, and a right that was taken away must not come
    /// back.
    pub(crate) async fn is_still_given(&self, id: &BindingId) -> Result<bool, Failure> {
        let asked = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() > 4096 {
                // Nobody asks about these now.
                all.retain(|_, asked| Arc::strong_count(asked) > 1);
            }
            all.entry(id.clone()).or_default().clone()
        };
        let mut known = asked.lock().await;
        if let Some((at, said)) = *known
            && at.elapsed() < BELIEVED
        {
            return Ok(said);
        }
        let kind = if id.0 == BindingKind::User { Written::UserBinding } else { Written::GroupBinding };
        let at = Instant::now();
        let found = self.hub.get(&kind.place(), &id.1).await?;
        let said = found.is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null());
        *known = Some((at, said));
        Ok(said)
    }
}

/// Keeps the book.
async fn follow_hub(core: Arc<Core>) {
    let back = Notify::new();
    let all = Written::ALL.map(|kind| {
        let (core, back) = (&core, &back);
        async move {
            let place = kind.place();
            let tell = |change| core.tell(kind, change);
            match follow(&core.hub, &place, core.mirror.lists(), back, tell).await {}
        }
    });
    join_all(all).await;
}

impl Core {
    fn tell(&self, kind: Written, change: Change) {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        let (was_whole, edition) = (book.is_whole(), book.edition);
        let mut about = match change {
            Change::Put(object) => {
                let name = name_of(&object);
                book.put(kind, object).unwrap_or_else(|error| {
                    tracing::warn!(?kind, name = name.1, error = %chain(&error), "could not read an object of the hub");
                    // Whatever it says now, it does not say that.
                    book.remove(kind, &name)
                })
            }
            Change::Drop(name) => book.remove(kind, &name),
            Change::Whole(names) => book.whole(kind, &names),
            Change::Lost(failure) => {
                tracing::warn!(?kind, error = %chain(&failure), "could not follow the hub's objects");
                book.lost(kind);
                Vec::new()
            }
        };
        if book.is_whole() && !was_whole {
            about.extend(book.about_all());
        }
        let is_news = book.edition != edition;
        drop(book);
        self.progress.tell(about);
        // How something stands concerns nobody who writes it into clusters.
        if is_news {
            self.written.send_modify(|n| *n += 1);
        }
    }
}

/// Lays the templates that come with the platform, and puts them right.
async fn lay_templates(core: Arc<Core>) {
    let shipped: Vec<(RoleTemplate, Value)> = shipped_templates()
        .into_iter()
        .filter_map(|template| Some((template.clone(), serde_json::to_value(&template).ok()?)))
        .collect();
    let (mut written, mut backoff) = (core.written.subscribe(), Backoff::new(FIRST));
    loop {
        written.borrow_and_update();
        let missing: Vec<(String, &Value)> = {
            let book = core.book.read().unwrap_or_else(PoisonError::into_inner);
            let lacks = |template: &RoleTemplate| {
                let there = book.templates.get(&template.name_any());
                !there.is_some_and(|there| says_all(template, &there.object))
            };
            let is_whole = book.is_whole();
            let missing = shipped.iter().filter(|(template, _)| is_whole && lacks(template));
            missing.map(|(template, body)| (template.name_any(), body)).collect()
        };
        let mut owed = false;
        for (name, body) in missing {
            if let Err(failure) = core.hub.apply_value(&Written::RoleTemplate.place(), None, &name, body).await {
                tracing::warn!(template = %name, error = %chain(&failure), "could not lay a role that comes with the platform");
                owed = true;
            }
        }
        if owed {
            tokio::time::sleep(backoff.after(PATIENCE, chance())).await;
            continue;
        }
        backoff.reset();
        if written.changed().await.is_err() {
            return;
        }
    }
}

fn says_all(wanted: &RoleTemplate, there: &RoleTemplate) -> bool {
    let has = |ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
        ours.iter().all(|(key, value)| theirs.get(key) == Some(value))
    };
    wanted.spec == there.spec && has(wanted.labels(), there.labels()) && has(wanted.annotations(), there.annotations())
}

/// Has a worker for each cluster.
struct Supervisor {
    core: Arc<Core>,
    parts: Parts,
    drain: Drain,
    running: BTreeMap<ClusterName, Running>,
}

struct Running {
    uid: String,
    ready: bool,
    cluster: Arc<Cluster>,
    drain: Drain,
}

impl Supervisor {
    async fn run(mut self) {
        let mut written = self.core.written.subscribe();
        loop {
            written.borrow_and_update();
            self.reconcile();
            if written.changed().await.is_err() {
                return;
            }
        }
    }

    /// Starts and stops workers.
    fn reconcile(&mut self) {
        let wanted: BTreeMap<ClusterName, (String, bool)> = {
            let book = self.core.book.read().unwrap_or_else(PoisonError::into_inner);
            let members = book.members.iter().filter(|(name, member)| book.has_cluster(name) && !member.leaving);
            let members =
                members.filter_map(|(name, member)| Some((name.parse().ok()?, (member.uid.clone(), member.ready))));
            // The hub is one of its own clusters, whatever objects there are.
            let mut wanted: BTreeMap<ClusterName, (String, bool)> = members.collect();
            wanted.insert(ClusterName::global(), (String::new(), true));
            wanted
        };
        let gone = |name: &ClusterName, running: &Running| wanted.get(name).is_none_or(|(uid, _)| *uid != running.uid);
        let stopped: Vec<ClusterName> =
            self.running.iter().filter(|(name, running)| gone(name, running)).map(|(name, _)| name.clone()).collect();
        for name in stopped {
            if let Some(running) = self.running.remove(&name) {
                running.drain.finish();
                self.core.mirror.forget(&name, &running.cluster);
                self.core.progress.forget(&name);
                self.core.tell_ratio(&name, None);
            }
        }
        for (name, (uid, ready)) in wanted {
            match self.running.get_mut(&name) {
                Some(running) => {
                    if ready && !running.ready {
                        running.cluster.back.notify_waiters();
                    }
                    running.ready = ready;
                }
                None => self.start(name, uid, ready),
            }
        }
    }

    fn start(&mut self, name: ClusterName, uid: String, ready: bool) {
        let api = if name.is_global() { self.parts.hub.clone() } else { (self.parts.members)(&name) };
        let wire = Wire::new(api);
        let (core, drain) = (self.core.clone(), self.drain.child());
        let cluster = core.mirror.add(&name, Timestamp::now());
        let worker = Worker::new(name.clone(), core.clone(), wire.clone(), cluster.clone());
        let followed = cluster.clone();
        let work = spawn(&drain, async move {
            tokio::join!(core.mirror.run(&followed, &wire), worker.run());
        });
        drop(work);
        self.running.insert(name, Running { uid, ready, cluster, drain });
    }
}
