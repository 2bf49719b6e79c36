//! Writes into a cluster what it is to have.
//!
//! # Flow
//!
//! One worker for each cluster. It is woken when the hub's objects or the cluster's change: it works out what is wanted
//! of what changed, compares, and writes the difference. What it wrote comes back by the mirror and is compared once more.
//!
//! # Guarantees
//!
//! - Nothing is written, and nothing taken away, unless all of the hub's lists and all of the cluster's are known as they
//!   are now.
//! - No role and no binding is written before the admission policies stand and the cluster acts by them.
//! - Rights are taken away before others are given.
//! - A cluster that is away is left alone. It costs the others nothing, and when it is back just the difference is written.
//! - Several hubs do not fight: all of them want the same, which follows from the hub's objects alone, and an apply of what
//!   is there already changes nothing. So there is no leader to be elected, and none whose loss delays a right. One whose
//!   view is behind may undo what another just did, and it is put right as soon as either sees it; but before a binding is
//!   given the hub is asked whether what it follows from is still there, so that none comes back.

mod desired;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use api_types::tenancy::MANAGED;
use futures::StreamExt as _;
use futures::stream;
use lib_backoff::{Backoff, chance};
use lib_names::ClusterName;
use lib_telemetry::chain;
use tokio::time::Instant;

use crate::book::{About, BindingId, Book};
use crate::diff::Operation;
use crate::mirror::{self, Standing};
use crate::object::{Key, Kind};
use crate::projects::{Leaving, Outcome, Seen};
use crate::report::{BindingPart, Item, ProjectPart};
use crate::run::Core;
use crate::wire::{Failure, Wire};
use desired::{Changed, Desired, Source};

/// Writes to a cluster at a time.
const AT_ONCE: usize = 8;
/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts at what a cluster refuses, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks after one cluster.
pub(crate) struct Worker {
    name: ClusterName,
    core: Arc<Core>,
    wire: Wire,
    cluster: Arc<mirror::Cluster>,
    desired: Desired,
    /// What has to be looked at.
    pending: BTreeSet<Key>,
    /// What the cluster has refused, and why; tried again later.
    refused: BTreeMap<Key, String>,
    /// What is somebody else's.
    foreign: BTreeSet<Key>,
    /// Projects that cannot leave, and why.
    stuck: BTreeMap<String, String>,
    /// Whether the cluster is known to act by its admission policies.
    guard: Guard,
    definitions_laid: bool,
    backoff: Backoff,
    /// About what there is something new to say.
    about: BTreeSet<About>,
}

#[derive(Clone, Copy, PartialEq)]
enum Guard {
    /// Nobody has looked.
    Unknown,
    /// It was written just now.
    Laid,
    Stands,
}

/// How a pass ended.
enum Pass {
    /// All is as wanted, but for what was refused.
    Done,
    /// The cluster was not reached.
    Away(Failure),
}

impl Worker {
    pub(crate) fn new(name: ClusterName, core: Arc<Core>, wire: Wire, cluster: Arc<mirror::Cluster>) -> Self {
        Self {
            desired: Desired::new(name.clone()),
            name,
            core,
            wire,
            cluster,
            pending: BTreeSet::new(),
            refused: BTreeMap::new(),
            foreign: BTreeSet::new(),
            stuck: BTreeMap::new(),
            guard: Guard::Unknown,
            definitions_laid: false,
            backoff: Backoff::new(FIRST),
            about: BTreeSet::new(),
        }
    }

    /// Works until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut written = self.core.written.subscribe();
        loop {
            written.borrow_and_update();
            let retry = self.pass().await;
            let wait = async {
                match retry {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.cluster.changed.notified() => {}
                changed = written.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = wait => {
                    // What was refused is tried again.
                    self.pending.extend(self.refused.keys().cloned());
                }
            }
        }
    }

    /// Does what there is to do, and says when to try again, if it has to be.
    async fn pass(&mut self) -> Option<Instant> {
        if !self.look() {
            return None;
        }
        let pass = self.write().await;
        if let Pass::Away(failure) = &pass {
            tracing::info!(cluster = %self.name, error = %chain(failure), "a cluster went away while it was written to");
        }
        self.publish();
        let owed = matches!(pass, Pass::Away(_)) || !self.refused.is_empty() || !self.stuck.is_empty();
        if owed {
            return Some(Instant::now() + self.backoff.after(PATIENCE, chance()));
        }
        self.backoff.reset();
        None
    }

    /// Looks at what changed. False when it cannot be worked with now.
    fn look(&mut self) -> bool {
        let mut state = self.cluster.state.write().unwrap_or_else(PoisonError::into_inner);
        let standing = state.standing();
        if self.name.is_global() && !matches!(standing, Standing::Unknown(_)) {
            self.core.share_roles(&state.shared_roles);
        }
        let book = self.core.book.read().unwrap_or_else(PoisonError::into_inner);
        let reached = match &standing {
            Standing::Current => None,
            Standing::Stale { because, .. } | Standing::Unknown(because) => Some(because.clone()),
        };
        let is_reached = reached.is_none();
        self.core.progress.reach(&self.name, reached, &book);
        let paused = book.members.get(self.name.as_str()).is_some_and(|member| member.paused);
        if !is_reached || !book.is_whole() || paused {
            return false;
        }
        let dirty = state.take_dirty();
        let Changed { keys, about } = self.desired.update(&book, &state, dirty, self.core.mirror.shared());
        self.pending.extend(keys);
        self.about.extend(about);
        true
    }

    async fn write(&mut self) -> Pass {
        if let Err(failure) = self.lay_definitions().await {
            if !failure.is_verdict() {
                return Pass::Away(failure);
            }
            tracing::warn!(cluster = %self.name, error = %chain(&failure), "could not define the platform's kinds in a cluster");
        }
        let operations = self.compare();
        let mut by_stage: BTreeMap<Stage, Vec<Operation>> = BTreeMap::new();
        for operation in operations {
            by_stage.entry(Stage::of(&operation)).or_default().push(operation);
        }
        if self.guard == Guard::Unknown {
            let writes = [Stage::Write(Kind::Policy), Stage::Write(Kind::PolicyBinding)];
            let is_laid = writes.iter().any(|stage| by_stage.contains_key(stage));
            self.guard = if is_laid { Guard::Laid } else { Guard::Stands };
        }
        for (stage, operations) in by_stage {
            if stage > Stage::Write(Kind::PolicyBinding) && !self.guard_stands().await {
                // Nobody has a right that nothing looks after.
                let why = "the admission policies do not stand yet";
                for key in operations.iter().map(Operation::key) {
                    self.pending.remove(key);
                    self.refused.insert(key.clone(), why.to_owned());
                }
                continue;
            }
            if matches!(stage, Stage::Write(Kind::Policy | Kind::PolicyBinding)) {
                self.guard = Guard::Laid;
            }
            if let Err(failure) = self.write_stage(operations).await {
                return Pass::Away(failure);
            }
        }
        match self.leave().await {
            Ok(()) => Pass::Done,
            Err(failure) => Pass::Away(failure),
        }
    }

    /// What has to be written.
    fn compare(&mut self) -> Vec<Operation> {
        let state = self.cluster.state.read().unwrap_or_else(PoisonError::into_inner);
        let diff = self.desired.diff(&self.pending, &state.observed);
        drop(state);
        let looked_at = std::mem::take(&mut self.pending);
        for key in looked_at {
            self.note(&key);
            self.refused.remove(&key);
            self.foreign.remove(&key);
        }
        // Until it is known to be done.
        self.pending.extend(diff.operations.iter().map(|operation| operation.key().clone()));
        for key in diff.foreign {
            tracing::warn!(cluster = %self.name, %key, "what the platform would write is there, and somebody else's");
            self.foreign.insert(key);
        }
        diff.operations
    }

    fn note(&mut self, key: &Key) {
        let about = match self.desired.source(key) {
            Some(Source::Binding(id)) => About::Binding(id.clone()),
            Some(Source::Template(name)) => About::Template(name.clone()),
            Some(Source::Project(name)) => About::Project(name.clone()),
            // A role that is given lacks what is in it.
            Some(Source::ProjectRole(name, _)) => About::Project(name.clone()),
            _ => return,
        };
        self.about.insert(about);
    }

    /// Writes what is independent of each other. An error when the cluster is not reached any more; then what was not done
    /// is looked at again.
    async fn write_stage(&mut self, operations: Vec<Operation>) -> Result<(), Failure> {
        let (wire, core, desired) = (&self.wire, &self.core, &self.desired);
        let mut done = stream::iter(operations)
            .map(|operation| async move {
                let source = desired.source(operation.key()).cloned();
                let result = write::execute(wire, core, &operation, source.as_ref()).await;
                (operation, result)
            })
            .buffer_unordered(AT_ONCE);
        let (mut refused, mut written) = (Vec::new(), Vec::new());
        let mut away = None;
        while let Some((operation, result)) = done.next().await {
            let key = operation.key().clone();
            match result {
                Ok(()) => written.push(key),
                Err(failure) if failure.is_verdict() => refused.push((key, chain(&failure).to_string())),
                Err(failure) => {
                    away = Some(failure);
                    break;
                }
            }
        }
        drop(done);
        for key in written {
            self.pending.remove(&key);
        }
        for (key, why) in refused {
            tracing::warn!(cluster = %self.name, %key, error = %why, "a cluster refused what the platform writes");
            self.pending.remove(&key);
            self.refused.insert(key, why);
        }
        away.map_or(Ok(()), Err)
    }

    /// Whether the cluster's admission policies are there, and it acts by them.
    async fn guard_stands(&mut self) -> bool {
        if !self.desired.is_guarded() {
            // There are none, and what they would look after is given to nobody.
            return true;
        }
        let keys = self.desired.keys(&Source::Guard);
        if keys.iter().any(|key| self.refused.contains_key(key) || self.foreign.contains(key)) {
            return false;
        }
        if self.guard != Guard::Stands && write::guard_is_effective(&self.wire).await {
            self.guard = Guard::Stands;
        }
        self.guard == Guard::Stands
    }

    /// The kinds that members have of the platform's. The hub has all of them since it was installed.
    async fn lay_definitions(&mut self) -> Result<(), Failure> {
        if self.definitions_laid || self.name.is_global() {
            return Ok(());
        }
        for definition in write::definitions() {
            let is_there = {
                let state = self.cluster.state.read().unwrap_or_else(PoisonError::into_inner);
                state.definitions.get(&definition.name) == Some(&Some(definition.hash.clone()))
            };
            if !is_there {
                definition.lay(&self.wire).await?;
            }
        }
        self.definitions_laid = true;
        Ok(())
    }

    /// What projects have left behind that are not in the cluster any more.
    async fn leave(&mut self) -> Result<(), Failure> {
        let leaving: Vec<(String, Vec<Leaving>)> = {
            let state = self.cluster.state.read().unwrap_or_else(PoisonError::into_inner);
            let book = self.core.book.read().unwrap_or_else(PoisonError::into_inner);
            // Both are as they were when all was known: what changed since has not been looked at.
            let leaving = self.desired.leaving(&book, &state.observed);
            leaving.map(|(project, steps)| (project.to_owned(), steps)).collect()
        };
        self.stuck.clear();
        for (project, steps) in leaving {
            self.about.insert(About::Project(project.clone()));
            // In their order: the project's own namespace says whose the others are.
            for step in steps {
                match write::leave(&self.wire, &step).await {
                    Ok(()) => {}
                    Err(failure) if failure.is_verdict() => {
                        self.stuck.insert(project, chain(&failure).to_string());
                        break;
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(())
    }

    /// Says what became of it.
    fn publish(&mut self) {
        let state = self.cluster.state.read().unwrap_or_else(PoisonError::into_inner);
        let book = self.core.book.read().unwrap_or_else(PoisonError::into_inner);
        let about = std::mem::take(&mut self.about);
        self.core.progress.with(&self.name, |progress| {
            for one in &about {
                match one {
                    About::Binding(id) => match book.bindings.get(id) {
                        Some(entry) => {
                            let more = matches!(&*entry.read, Ok(binding) if self.desired.waits(binding, &book));
                            drop(progress.bindings.insert(id.clone(), self.binding(id, more)));
                        }
                        None => drop(progress.bindings.remove(id)),
                    },
                    About::Template(name) if book.templates.contains_key(name) => {
                        let outcome = self.outcome(&Source::Template(name.clone()));
                        drop(progress.templates.insert(name.clone(), outcome));
                    }
                    About::Template(name) => drop(progress.templates.remove(name)),
                    About::Project(name) => match book.projects.get(name) {
                        Some(entry) => {
                            let left = self.has_left(&entry.object, &state);
                            drop(
                                progress.projects.insert(name.clone(), ProjectPart { seen: self.project(name), left }),
                            );
                        }
                        None => drop(progress.projects.remove(name)),
                    },
                }
            }
        });
        let ratio = self.ratio(&book);
        drop((state, book));
        self.core.tell_ratio(&self.name, ratio);
        self.core.progress.tell(about);
    }

    /// Whether nothing of a project is there, and nothing is to come.
    fn has_left(&self, project: &api_types::tenancy::Project, state: &mirror::State) -> bool {
        let (name, uid) = (project.metadata.name.as_deref(), project.metadata.uid.as_deref());
        let name = name.unwrap_or_default();
        let quota = Key { kind: Kind::ProjectQuota, namespace: None, name: name.to_owned() };
        self.desired.keys(&Source::Project(name.to_owned())).is_empty()
            && state.namespaces.get(name).is_none_or(|own| own.owner() != uid)
            && !state.observed.contains_key(&quota)
    }

    /// `more` says that there is something to come.
    fn binding(&self, id: &BindingId, more: bool) -> BindingPart {
        let keys = self.desired.keys(&Source::Binding(id.clone()));
        let count = |kind: Kind| i32::try_from(keys.iter().filter(|key| key.kind == kind).count()).unwrap_or(i32::MAX);
        let items = keys.iter().filter_map(|key| Some(Item { key: key.clone(), error: self.why(key)? }));
        let outcome = match self.outcome(&Source::Binding(id.clone())) {
            Outcome::Done if more => Outcome::Waiting,
            outcome => outcome,
        };
        BindingPart {
            outcome,
            cluster_role_bindings: count(Kind::ClusterRoleBinding),
            role_bindings: count(Kind::RoleBinding),
            items: items.take(8).collect(),
        }
    }

    /// Whether the cluster has the ratio that it is to have, if it is to have one.
    fn ratio(&self, book: &Book) -> Option<Result<(), String>> {
        let member = book.members.get(self.name.as_str())?;
        if let Err(invalid) = &member.ratio {
            return Some(Err(invalid.to_string()));
        }
        let key = self.desired.keys(&Source::Ratio).first()?;
        Some(match (self.foreign.contains(key), self.refused.get(key)) {
            (true, _) => Err(format!(
                "{key} is there, and is not the platform's: delete it, or hand it over with the label {MANAGED}=true"
            )),
            (false, Some(why)) => Err(format!("{key}: {why}")),
            (false, None) => Ok(()),
        })
    }

    fn project(&self, name: &str) -> Seen {
        let unguarded = !self.desired.is_guarded();
        if let Some(why) = self.stuck.get(name) {
            return Seen { namespace: Outcome::Failed(why.clone()), quota: Outcome::Done, unguarded };
        }
        if let Some(refused) = self.desired.refused(name) {
            let quota = Outcome::Failed(refused.to_string());
            return Seen { namespace: quota.clone(), quota, unguarded };
        }
        let keys = self.desired.keys(&Source::Project(name.to_owned()));
        if keys.is_empty() {
            return Seen { unguarded, ..Seen::default() };
        }
        let of = |kind: Kind| self.worst(keys.iter().filter(|key| key.kind == kind));
        Seen { namespace: of(Kind::Namespace), quota: of(Kind::ProjectQuota), unguarded }
    }

    fn outcome(&self, source: &Source) -> Outcome {
        self.worst(self.desired.keys(source).iter())
    }

    fn worst<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Outcome {
        let mut outcome = Outcome::Done;
        for key in keys {
            if let Some(why) = self.why(key) {
                return Outcome::Failed(format!("{key}: {why}"));
            }
            if self.pending.contains(key) {
                outcome = Outcome::Waiting;
            }
        }
        outcome
    }

    fn why(&self, key: &Key) -> Option<String> {
        let foreign = || "it is there, and is not the platform's: delete it, or give it another name".to_owned();
        self.refused.get(key).cloned().or_else(|| self.foreign.contains(key).then(foreign))
    }
}

/// What is written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Bindings go before the roles that they bind.
    Unbind,
    Delete,
    Write(Kind),
}

impl Stage {
    fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Delete(Key { kind: Kind::ClusterRoleBinding | Kind::RoleBinding, .. }) => Self::Unbind,
            Operation::Delete(_) => Self::Delete,
            Operation::Apply(object) | Operation::Repair { object, .. } | Operation::Replace(object) => {
                Self::Write(object.key().kind)
            }
        }
    }
}
