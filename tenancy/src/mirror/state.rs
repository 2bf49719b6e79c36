//! What is known of one cluster. No IO.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api_meta::Object as Json;
use api_rbac::{Interner, Policy};
use api_types::tenancy::{CLUSTER_RATIO, DESCRIPTION, DISPLAY_NAME, MANAGED, RoleScope};
use http::StatusCode;
use jiff::Timestamp;
use lib_names::ClusterName;
use serde_json::{Map, Value, json};

use crate::bindings::{Cluster, Namespaces, shared_namespace};
use crate::follow::Name;
use crate::object::{FIELD_MANAGER, Key, Kind, Object};
use crate::view::{Known, Namespace, TERMINATING};
use crate::wire::{Failure, Place};

/// The kinds that are followed in each cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Followed {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
    Namespace,
    Policy,
    PolicyBinding,
    ProjectQuota,
    Ratio,
    Definition,
}

impl Followed {
    pub(crate) const ALL: [Self; 10] = [
        Self::Role,
        Self::ClusterRole,
        Self::RoleBinding,
        Self::ClusterRoleBinding,
        Self::Namespace,
        Self::Policy,
        Self::PolicyBinding,
        Self::ProjectQuota,
        Self::Ratio,
        Self::Definition,
    ];

    pub(crate) fn place(self) -> Place {
        match (self, self.written()) {
            (Self::Definition, _) => Place::new("apiextensions.k8s.io/v1", "customresourcedefinitions").metadata_only(),
            (_, Some(kind)) => {
                let (version, _, resource) = kind.names();
                let place = Place::new(version, resource);
                // Those of namespaces are no concern of the hub's.
                if kind == Kind::Ratio { place.only(CLUSTER_RATIO) } else { place }
            }
            (_, None) => Place::new("rbac.authorization.k8s.io/v1", "roles"),
        }
    }

    /// The kind among those that the platform writes.
    fn written(self) -> Option<Kind> {
        Some(match self {
            Self::ClusterRole => Kind::ClusterRole,
            Self::RoleBinding => Kind::RoleBinding,
            Self::ClusterRoleBinding => Kind::ClusterRoleBinding,
            Self::Namespace => Kind::Namespace,
            Self::Policy => Kind::Policy,
            Self::PolicyBinding => Kind::PolicyBinding,
            Self::ProjectQuota => Kind::ProjectQuota,
            Self::Ratio => Kind::Ratio,
            Self::Role | Self::Definition => return None,
        })
    }

    /// The kind among those that say who may what.
    fn rbac(self) -> Option<api_rbac::Kind> {
        Some(match self {
            Self::Role => api_rbac::Kind::Role,
            Self::ClusterRole => api_rbac::Kind::ClusterRole,
            Self::RoleBinding => api_rbac::Kind::RoleBinding,
            Self::ClusterRoleBinding => api_rbac::Kind::ClusterRoleBinding,
            _ => return None,
        })
    }

    /// Whether what is known of a cluster for questions has it.
    fn is_asked_for(self) -> bool {
        self == Self::Namespace || self.rbac().is_some()
    }

    /// Whether an answer of this code says that there are none: the cluster may not know the kind at all. A cluster whose
    /// rights for the hub are older than the kind is no worse off than before.
    fn has_none(self, code: StatusCode) -> bool {
        match code {
            StatusCode::NOT_FOUND => {
                matches!(self, Self::Policy | Self::PolicyBinding | Self::ProjectQuota | Self::Ratio)
            }
            StatusCode::FORBIDDEN => self == Self::Ratio,
            _ => false,
        }
    }
}

/// What many clusters have alike.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) interner: Interner,
    objects: Pool<Value>,
    wanted: Pool<Object>,
    labels: Pool<BTreeMap<String, String>>,
    /// The last number that was given to a policy.
    versions: AtomicU64,
}

impl Shared {
    /// The one copy of what is kept of an object.
    pub(crate) fn object(&self, object: Value) -> Arc<Value> {
        self.objects.one(object)
    }

    /// The one copy of an object that is wanted.
    pub(crate) fn wanted(&self, object: Object) -> Arc<Object> {
        self.wanted.one(object)
    }

    /// A number that no policy has had, of whichever cluster: another cluster may come to have this one's name.
    fn version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// One copy of each, for as long as anybody holds it.
#[derive(Debug)]
struct Pool<T>(Mutex<(HashSet<Arc<T>>, usize)>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash> Pool<T> {
    fn one(&self, value: T) -> Arc<T> {
        // With how many were left when it was last swept.
        let (all, kept) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&value) {
            return known.clone();
        }
        if all.len() > 2 * *kept + 1024 {
            all.retain(|one| Arc::strong_count(one) > 1);
            *kept = all.len();
        }
        let value = Arc::new(value);
        all.insert(value.clone());
        value
    }
}

/// How well a cluster is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All of it, as it is now.
    Current,
    /// It was never known as a whole; why.
    Unknown(String),
    /// As it was at a time; why nothing is known since.
    Stale {
        /// Nothing is sure since then.
        since: Timestamp,
        /// Why.
        because: String,
    },
}

/// What changed since somebody last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dirty {
    /// What the platform has written, or would write.
    pub(crate) keys: BTreeSet<Key>,
    /// Projects whose namespaces have changed.
    pub(crate) projects: BTreeSet<String>,
    /// There are other definitions of kinds.
    pub(crate) definitions: bool,
}

/// What is known of one cluster.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policy: Arc<Policy>,
    pub(crate) namespaces: Arc<BTreeMap<String, Namespace>>,
    role_labels: Arc<BTreeMap<String, Arc<BTreeMap<String, String>>>>,
    /// The policy's number; none when it has not got one since it changed.
    policy_version: Option<u64>,
    /// For questions, until something changes.
    known: Option<Arc<Known>>,
    /// What the platform has written, and whatever else has such a name: of that, only that it is there.
    pub(crate) observed: BTreeMap<Key, Arc<Value>>,
    /// The definitions of kinds, by name, with the hash that [`DEFINITION`] says.
    pub(crate) definitions: BTreeMap<String, Option<String>>,
    /// ClusterRoles of the hub that every cluster is to have; on other clusters none.
    pub(crate) shared_roles: BTreeMap<String, Arc<Value>>,
    pub(crate) version: Option<String>,
    pub(crate) dirty: Dirty,
    listed: BTreeSet<Followed>,
    lost: BTreeMap<Followed, (Timestamp, String)>,
    began: Timestamp,
}

/// Annotation of a definition that the platform has laid: the hash of what it says.
pub(crate) const DEFINITION: &str = "auth.cpaas.io/definition";

impl State {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            policy: Arc::default(),
            namespaces: Arc::default(),
            role_labels: Arc::default(),
            policy_version: None,
            known: None,
            observed: BTreeMap::new(),
            definitions: BTreeMap::new(),
            shared_roles: BTreeMap::new(),
            version: None,
            dirty: Dirty::default(),
            listed: BTreeSet::new(),
            lost: BTreeMap::new(),
            began: now,
        }
    }

    /// How well it is known.
    pub(crate) fn standing(&self) -> Standing {
        let oldest = self.lost.values().min_by_key(|(since, _)| *since);
        let whole = self.listed.len() == Followed::ALL.len() && self.version.is_some();
        match (whole, oldest) {
            (true, None) => Standing::Current,
            (true, Some((since, because))) => Standing::Stale { since: *since, because: because.clone() },
            (false, Some((_, because))) => Standing::Unknown(because.clone()),
            (false, None) => Standing::Unknown(format!("it is being read since {:.0}", self.began)),
        }
    }

    /// What there is for questions, if it was made since the last change.
    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.known.clone()
    }

    /// What there is for questions; none until all of that was listed once.
    pub(crate) fn make_known(&mut self, name: &ClusterName, shared: &Shared) -> Option<Arc<Known>> {
        if let Some(known) = &self.known {
            return Some(known.clone());
        }
        if !Followed::ALL.into_iter().filter(|kind| kind.is_asked_for()).all(|kind| self.listed.contains(&kind)) {
            return None;
        }
        let version = *self.policy_version.get_or_insert_with(|| shared.version());
        let lost = self.lost.iter().filter(|(kind, _)| kind.is_asked_for());
        let known = Arc::new(Known {
            policy: self.policy.clone(),
            version,
            role_labels: self.role_labels.clone(),
            cluster: Arc::new(self.cluster(name.clone())),
            namespaces: self.namespaces.clone(),
            stale_since: lost.map(|(_, (since, _))| *since).min(),
        });
        self.known = Some(known.clone());
        Some(known)
    }

    /// The namespaces by their projects. What is being deleted takes nothing more.
    pub(crate) fn cluster(&self, name: ClusterName) -> Cluster {
        let living = || self.namespaces.iter().filter(|(_, namespace)| !namespace.is_terminating());
        let of_projects =
            living().filter_map(|(name, namespace)| Some((&**name, namespace.project()?, namespace.owner())));
        let is_there = |scope: &RoleScope| {
            let namespace = shared_namespace(*scope).and_then(|name| self.namespaces.get(name));
            namespace.is_some_and(|namespace| !namespace.is_terminating())
        };
        let shared = RoleScope::ALL.into_iter().filter(is_there).collect();
        Cluster { name, namespaces: Namespaces::collect(of_projects), shared }
    }

    /// What was made for questions is not so any more. Before anything changes: what nobody else holds need not be copied.
    fn forget_known(&mut self, kind: Followed) {
        if kind.is_asked_for() {
            self.known = None;
        }
    }

    /// True when the version is another one.
    pub(crate) fn set_version(&mut self, version: &str) -> bool {
        let changed = self.version.as_deref() != Some(version);
        self.version = Some(version.to_owned());
        changed
    }

    /// Takes in an object. Says whether that changes anything, and whether a kind is new.
    pub(crate) fn put(&mut self, kind: Followed, object: Value, shared: &Shared) -> (bool, bool) {
        let mut changed = false;
        let name = crate::follow::name_of(&object);
        self.forget_known(kind);
        if kind == Followed::Definition {
            let hash = object["metadata"]["annotations"][DEFINITION].as_str().map(str::to_owned);
            let is_new = !self.definitions.contains_key(&name.1);
            let before = self.definitions.insert(name.1, hash.clone());
            self.dirty.definitions |= is_new;
            return (before != Some(hash), is_new);
        }
        if kind == Followed::Namespace {
            changed |= self.put_namespace(&name.1, &object);
        }
        if let Some(written) = kind.written() {
            let key = key_of(written, &name);
            let kept = keep(written, &object).map(|kept| shared.object(kept));
            let before = match &kept {
                Some(kept) => self.observed.insert(key.clone(), kept.clone()),
                None => self.observed.remove(&key),
            };
            if before != kept {
                changed = true;
                self.dirty.keys.insert(key);
            }
        }
        if kind == Followed::ClusterRole {
            changed |= self.put_shared_role(&name.1, &object, shared);
            let labels = shared.labels.one(texts(&object["metadata"]["labels"]));
            changed |= Arc::make_mut(&mut self.role_labels).insert(name.1, labels.clone()) != Some(labels);
        }
        if let Some(rbac) = kind.rbac()
            && let Ok(object) = Json::try_from(object)
        {
            // A reader may hold the one that was; then this is another.
            let other = Arc::make_mut(&mut self.policy).insert(rbac, &object, &shared.interner);
            self.note_policy(other);
            changed |= other;
        }
        (changed, false)
    }

    fn put_namespace(&mut self, name: &str, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let mut annotations = texts(&metadata["annotations"]);
        annotations.retain(|_, value| value.len() <= LONGEST_ANNOTATION);
        let phase = if metadata["deletionTimestamp"].is_null() { "Active" } else { TERMINATING };
        let namespace = Namespace {
            uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
            labels: texts(&metadata["labels"]),
            annotations,
            created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
            phase: phase.to_owned(),
        };
        let before = Arc::make_mut(&mut self.namespaces).insert(name.to_owned(), namespace.clone());
        // What people note on a namespace changes nothing of what is to be written.
        let concern = |one: &Namespace| (one.labels.clone(), one.owner().map(str::to_owned), one.is_terminating());
        if before.as_ref().map(concern) == Some(concern(&namespace)) {
            return false;
        }
        self.touch(name, before.as_ref());
        self.touch(name, Some(&namespace));
        true
    }

    /// A namespace concerns the project that it belongs to, and the one that has its name.
    fn touch(&mut self, name: &str, namespace: Option<&Namespace>) {
        self.dirty.projects.insert(name.to_owned());
        self.dirty.projects.extend(namespace.and_then(Namespace::project).map(str::to_owned));
    }

    /// Another policy has another number, when somebody asks.
    fn note_policy(&mut self, changed: bool) {
        if changed {
            self.policy_version = None;
        }
    }

    fn put_shared_role(&mut self, name: &str, object: &Value, shared: &Shared) -> bool {
        let meant = !object["metadata"]["labels"][api_types::tenancy::SYNC_SCOPE].is_null();
        if !meant {
            return self.shared_roles.remove(name).is_some();
        }
        let metadata = json!({"name": name, "labels": object["metadata"]["labels"]});
        let mut kept = json!({"metadata": metadata, "rules": object["rules"]});
        if !object["aggregationRule"].is_null() {
            kept["aggregationRule"] = object["aggregationRule"].clone();
        }
        let kept = shared.object(kept);
        self.shared_roles.insert(name.to_owned(), kept.clone()) != Some(kept)
    }

    /// Forgets an object. True when it was there.
    pub(crate) fn remove(&mut self, kind: Followed, name: &Name) -> bool {
        let mut changed = false;
        self.forget_known(kind);
        match kind {
            Followed::Definition => {
                let was_there = self.definitions.remove(&name.1).is_some();
                self.dirty.definitions |= was_there;
                return was_there;
            }
            Followed::Namespace => {
                if let Some(before) = Arc::make_mut(&mut self.namespaces).remove(&name.1) {
                    self.touch(&name.1, Some(&before));
                    changed = true;
                }
            }
            Followed::ClusterRole => {
                changed |= self.shared_roles.remove(&name.1).is_some();
                Arc::make_mut(&mut self.role_labels).remove(&name.1);
            }
            _ => {}
        }
        if let Some(written) = kind.written() {
            let key = key_of(written, name);
            if self.observed.remove(&key).is_some() {
                if written == Kind::ProjectQuota {
                    // It may be the last that a project leaves behind.
                    self.dirty.projects.insert(key.name.clone());
                }
                self.dirty.keys.insert(key);
                changed = true;
            }
        }
        if let Some(rbac) = kind.rbac() {
            let other = Arc::make_mut(&mut self.policy).remove(rbac, &name.0, &name.1);
            self.note_policy(other);
            changed |= other;
        }
        changed
    }

    /// These are all there are of a kind.
    pub(crate) fn whole(&mut self, kind: Followed, names: &HashSet<Name>) -> bool {
        let gone: BTreeSet<Name> = self.names(kind).into_iter().filter(|name| !names.contains(name)).collect();
        let mut changed = false;
        self.forget_known(kind);
        for name in gone {
            changed |= self.remove(kind, &name);
        }
        changed |= self.listed.insert(kind);
        changed |= self.lost.remove(&kind).is_some();
        changed
    }

    /// The objects of a kind that are known.
    fn names(&self, kind: Followed) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        match kind {
            Followed::Definition => names.extend(self.definitions.keys().map(|name| (String::new(), name.clone()))),
            Followed::Namespace => names.extend(self.namespaces.keys().map(|name| (String::new(), name.clone()))),
            Followed::Role | Followed::ClusterRole => {
                let kept =
                    |role: &api_rbac::RoleRef| (role.kind == api_rbac::RoleKind::Role) == (kind == Followed::Role);
                let roles = self.policy.roles().filter(|(role, _)| kept(role));
                names.extend(roles.map(|(role, _)| (role.namespace.to_string(), role.name.to_string())));
            }
            Followed::RoleBinding | Followed::ClusterRoleBinding => {
                let bindings = self.policy.bindings();
                let kept = bindings.filter(|one| one.namespace.is_empty() == (kind == Followed::ClusterRoleBinding));
                names.extend(kept.map(|one| (one.namespace.to_string(), one.name.to_string())));
            }
            Followed::Policy | Followed::PolicyBinding | Followed::ProjectQuota | Followed::Ratio => {}
        }
        // What cannot be read grants nothing, and is in no policy.
        if let Some(written) = kind.written() {
            let observed = self.observed.keys().filter(|key| key.kind == written);
            names.extend(observed.map(|key| (key.namespace.clone().unwrap_or_default(), key.name.clone())));
        }
        names
    }

    /// A kind is not known any more. True when that is news.
    pub(crate) fn lost(&mut self, kind: Followed, failure: &Failure, now: Timestamp) -> bool {
        if failure.code().is_some_and(|code| kind.has_none(code)) {
            return self.whole(kind, &HashSet::new());
        }
        self.forget_known(kind);
        let because = super::reason(failure);
        let since = self.lost.get(&kind).map_or(now, |(since, _)| *since);
        self.lost.insert(kind, (since, because.clone())).is_none_or(|(_, before)| before != because)
    }

    /// What changed since this was last asked.
    pub(crate) fn take_dirty(&mut self) -> Dirty {
        std::mem::take(&mut self.dirty)
    }

    /// The groups of the definitions that there are.
    pub(crate) fn groups(&self) -> BTreeSet<&str> {
        self.definitions.keys().filter_map(|name| Some(name.split_once('.')?.1)).collect()
    }
}

/// What is longer is for programs.
const LONGEST_ANNOTATION: usize = 1024;

/// An object's labels or annotations.
fn texts(object: &Value) -> BTreeMap<String, String> {
    let all = object.as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn key_of(kind: Kind, (namespace, name): &Name) -> Key {
    let namespace = Some(namespace.clone()).filter(|namespace| !namespace.is_empty());
    Key { kind, namespace, name: name.clone() }
}

/// What is kept of an object for whoever compares it with what is wanted; of most objects nothing.
fn keep(kind: Kind, object: &Value) -> Option<Value> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str()?;
    let marked = !metadata["labels"][MANAGED].is_null();
    let entries = metadata["managedFields"].as_array().into_iter().flatten();
    let applied = entries.clone().any(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply");
    let named = match kind {
        Kind::Namespace | Kind::ProjectQuota | Kind::Ratio => true,
        Kind::Policy | Kind::PolicyBinding => name.starts_with("cpaas-"),
        Kind::ClusterRole | Kind::ClusterRoleBinding | Kind::RoleBinding => name.starts_with("cpaas:"),
    };
    if !(marked || applied || named) {
        return None;
    }
    let mut kept = json!({"metadata": {"name": name}});
    if !(marked || applied || kind == Kind::Namespace) {
        return Some(kept);
    }
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let ours = |key: &str| key.starts_with("auth.cpaas.io/") || [DISPLAY_NAME, DESCRIPTION].contains(&key);
    let annotations: Map<String, Value> =
        annotations.filter(|(key, _)| ours(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    kept["metadata"]["annotations"] = Value::Object(annotations);
    kept["metadata"]["labels"] = metadata["labels"].clone();
    if applied {
        kept["metadata"]["managedFields"] = json!([{"manager": FIELD_MANAGER, "operation": "Apply"}]);
    }
    let fields: &[&str] = match kind {
        Kind::Namespace => &[],
        Kind::ProjectQuota | Kind::Ratio | Kind::Policy | Kind::PolicyBinding => &["spec"],
        Kind::ClusterRole if !object["aggregationRule"].is_null() => &["aggregationRule"],
        Kind::ClusterRole => &["rules"],
        Kind::ClusterRoleBinding | Kind::RoleBinding => &["roleRef", "subjects"],
    };
    for field in fields {
        if !object[*field].is_null() {
            kept[*field] = object[*field].clone();
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests;
