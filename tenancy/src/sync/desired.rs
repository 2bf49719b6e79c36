//! What one cluster is to have, kept up to date. No IO.
//!
//! What follows from an object is worked out again only when that object, or what it refers to, says something else. So a
//! binding that comes costs its own work, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api_types::tenancy::{CLUSTER_RATIO, NamespaceResourceRatioSpec, ROLE_RELATIVE, RoleScope};
use k8s_openapi::api::rbac::v1::ClusterRole;
use lib_names::ClusterName;
use serde_json::{Value, json};

use crate::bindings::{Binding, Cluster, InvalidBinding, Namespaces};
use crate::book::{About, BindingId, Book};
use crate::diff::{Diff, diff};
use crate::guard::{is_guarded, policies};
use crate::mirror::{Dirty, Shared, State};
use crate::object::{Key, Kind, Object};
use crate::projects::{self, Found, InvalidProject, Leaving, Project, ProjectNamespace, Refused, project_role};
use crate::roles::{InvalidTemplate, Template, auditor_of_definitions, base_roles, replica};

/// From what an object of a cluster follows. Of two that would follow in one name, the first counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Admission policies.
    Guard,
    /// The platform's own rules.
    Base,
    /// What auditors read besides.
    Definitions,
    Template(String),
    Project(String),
    Binding(BindingId),
    /// The role of a template in what belongs to a project, by both.
    ProjectRole(String, String),
    /// A role of the hub's that every cluster has.
    Replica(String),
    /// What the cluster's object says of overcommit.
    Ratio,
}

/// What one cluster is to have.
#[derive(Debug)]
pub(crate) struct Desired {
    name: ClusterName,
    wanted: BTreeMap<Key, (Source, Arc<Object>)>,
    sources: BTreeMap<Source, Vec<Key>>,
    /// How many bindings give the role of a template in a project.
    given: BTreeMap<(String, String), usize>,
    refused: BTreeMap<String, Refused>,
    /// As it was when bindings were last worked out.
    cluster: Cluster,
    seen: Seen,
}

/// What was last looked at.
#[derive(Debug, Default)]
struct Seen {
    guarded: Option<bool>,
    templates: BTreeMap<String, Arc<Result<Template, InvalidTemplate>>>,
    projects: BTreeMap<String, Arc<Result<Project, InvalidProject>>>,
    /// Those whose own namespace may be made here.
    recorded: BTreeSet<String>,
    bindings: BTreeMap<BindingId, Arc<Result<Binding, InvalidBinding>>>,
    replicas: BTreeMap<String, Arc<Value>>,
    ratio: Option<NamespaceResourceRatioSpec>,
}

impl Desired {
    pub(crate) fn new(name: ClusterName) -> Self {
        let cluster = Cluster { name: name.clone(), namespaces: Namespaces::default(), shared: BTreeSet::new() };
        Self {
            name,
            wanted: BTreeMap::new(),
            sources: BTreeMap::new(),
            given: BTreeMap::new(),
            refused: BTreeMap::new(),
            cluster,
            seen: Seen::default(),
        }
    }

    /// Whether admission policies see to what is written there.
    pub(crate) fn is_guarded(&self) -> bool {
        self.seen.guarded == Some(true)
    }

    /// The objects that follow from something.
    pub(crate) fn keys(&self, source: &Source) -> &[Key] {
        self.sources.get(source).map(Vec::as_slice).unwrap_or_default()
    }

    /// From what an object follows.
    pub(crate) fn source(&self, key: &Key) -> Option<&Source> {
        self.wanted.get(key).map(|(source, _)| source)
    }

    /// Whether more follows from a binding as soon as the cluster has the own namespace of a project.
    pub(crate) fn waits(&self, binding: &Binding, book: &Book) -> bool {
        binding.waits(&book.hub.catalog, &self.cluster)
    }

    /// Why a project's namespace is not as wanted.
    pub(crate) fn refused(&self, project: &str) -> Option<&Refused> {
        self.refused.get(project)
    }

    /// What has to be written of some objects.
    pub(crate) fn diff(&self, keys: &BTreeSet<Key>, observed: &BTreeMap<Key, Arc<Value>>) -> Diff {
        let there: BTreeMap<Key, Arc<Value>> =
            keys.iter().filter_map(|key| Some((key.clone(), observed.get(key)?.clone()))).collect();
        diff(keys.iter().filter_map(|key| self.wanted.get(key)).map(|(_, object)| &**object), &there)
    }

    /// What is left to do of projects that are not in the cluster any more.
    pub(crate) fn leaving<'a>(
        &'a self,
        book: &'a Book,
        observed: &'a BTreeMap<Key, Arc<Value>>,
    ) -> impl Iterator<Item = (&'a str, Vec<Leaving>)> {
        book.projects.iter().filter_map(|(name, entry)| {
            let Ok(project) = &*entry.read else { return None };
            let stays = project.is_in(self.name.as_str()) || (self.name.is_global() && !project.is_terminating());
            if stays {
                return None;
            }
            let quota = Key { kind: Kind::ProjectQuota, namespace: None, name: name.clone() };
            let has_quota = observed.get(&quota).is_some_and(|quota| quota["metadata"]["labels"].is_object());
            let steps = projects::leave(project, &self.cluster.namespaces, has_quota);
            (!steps.is_empty()).then_some((&**name, steps))
        })
    }

    /// Looks at what people wrote, at what the cluster has, and at what changed of that. Returns which objects may have to
    /// be written.
    pub(crate) fn update(&mut self, book: &Book, state: &State, dirty: Dirty, shared: &Shared) -> Changed {
        let mut update = Update { desired: self, shared, keys: dirty.keys, about: BTreeSet::new() };
        let base_changed = update.fixed(state, dirty.definitions);
        let mut touched = dirty.projects;
        update.cluster(state, &touched);
        let mut templates = update.templates(book);
        if base_changed {
            templates.extend(book.templates.keys().cloned());
        }
        update.projects(book, state, &mut touched);
        update.bindings(book, &templates, &touched);
        update.replicas(book.shared_roles.as_ref());
        update.ratio(book);
        let Update { keys, mut about, .. } = update;
        about.extend(templates.into_iter().map(About::Template));
        about.extend(touched.into_iter().filter(|name| book.projects.contains_key(name)).map(About::Project));
        Changed { keys, about }
    }
}

/// What may have to be written, and about what there may be something new to say.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) keys: BTreeSet<Key>,
    pub(crate) about: BTreeSet<About>,
}

struct Update<'a> {
    desired: &'a mut Desired,
    shared: &'a Shared,
    keys: BTreeSet<Key>,
    about: BTreeSet<About>,
}

impl Update<'_> {
    /// These follow from something now, and nothing else.
    fn set(&mut self, source: Source, objects: Vec<Object>) {
        let desired = &mut *self.desired;
        let mut keys = Vec::with_capacity(objects.len());
        let mut before: BTreeSet<Key> = desired.sources.remove(&source).unwrap_or_default().into_iter().collect();
        for object in objects {
            let key = object.key().clone();
            before.remove(&key);
            keys.push(key.clone());
            match desired.wanted.get(&key) {
                Some((other, _)) if *other < source => {}
                Some((_, same)) if **same == object => {}
                _ => {
                    let object = self.shared.wanted(object);
                    desired.wanted.insert(key.clone(), (source.clone(), object));
                    self.keys.insert(key);
                }
            }
        }
        for key in before {
            if desired.wanted.get(&key).is_some_and(|(owner, _)| *owner == source) {
                desired.wanted.remove(&key);
                self.keys.insert(key);
            }
        }
        if !keys.is_empty() {
            desired.sources.insert(source, keys);
        }
    }

    /// What every cluster has. True when other rules are lent.
    fn fixed(&mut self, state: &State, other_definitions: bool) -> bool {
        let guarded = state.version.as_deref().is_some_and(is_guarded);
        let is_new = self.desired.seen.guarded != Some(guarded);
        if is_new {
            self.desired.seen.guarded = Some(guarded);
            let is_hub = self.desired.name.is_global();
            self.set(Source::Guard, if guarded { policies(is_hub) } else { Vec::new() });
            self.set(Source::Base, base_roles(guarded));
        }
        // Also where there are none.
        if other_definitions || is_new {
            self.set(Source::Definitions, vec![auditor_of_definitions(state.groups())]);
        }
        is_new
    }

    fn cluster(&mut self, state: &State, touched: &BTreeSet<String>) {
        if touched.is_empty() {
            return;
        }
        let cluster = state.cluster(self.desired.name.clone());
        if self.desired.cluster.shared != cluster.shared {
            // All bindings are worked out again.
            self.desired.seen.bindings.clear();
        }
        self.desired.cluster = cluster;
    }

    /// Returns the templates that say something else.
    fn templates(&mut self, book: &Book) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        let gone = self.desired.seen.templates.keys().filter(|name| !book.templates.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.desired.seen.templates.remove(&name);
            self.set(Source::Template(name.clone()), Vec::new());
            changed.insert(name);
        }
        for (name, entry) in &book.templates {
            if self.desired.seen.templates.get(name).is_some_and(|seen| Arc::ptr_eq(seen, &entry.read)) {
                continue;
            }
            self.desired.seen.templates.insert(name.clone(), entry.read.clone());
            let roles = entry.read.as_ref().as_ref().map(Template::cluster_roles).unwrap_or_default();
            self.set(Source::Template(name.clone()), roles);
            changed.insert(name.clone());
        }
        changed
    }

    /// Adds the projects that say something else.
    fn projects(&mut self, book: &Book, state: &State, touched: &mut BTreeSet<String>) {
        let gone = self.desired.seen.projects.keys().filter(|name| !book.projects.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.desired.seen.projects.remove(&name);
            self.desired.refused.remove(&name);
            self.set(Source::Project(name.clone()), Vec::new());
            touched.insert(name);
        }
        for (name, entry) in &book.projects {
            let same = self.desired.seen.projects.get(name).is_some_and(|seen| Arc::ptr_eq(seen, &entry.read));
            let recorded = crate::report::is_recorded(&entry.object, &self.desired.name);
            if same && !touched.contains(name) && self.desired.seen.recorded.contains(name) == recorded {
                continue;
            }
            if !same {
                self.desired.seen.projects.insert(name.clone(), entry.read.clone());
                touched.insert(name.clone());
            }
            match recorded {
                true => self.desired.seen.recorded.insert(name.clone()),
                false => self.desired.seen.recorded.remove(name),
            };
            let found = match state.namespaces.get(name) {
                None => Found::Absent,
                Some(there) => Found::Present {
                    mark: ProjectNamespace { uid: there.owner().map(str::to_owned) },
                    terminating: there.is_terminating(),
                },
            };
            let planned = match &*entry.read {
                // It would not be known afterwards where to clean up.
                Ok(_) if found == Found::Absent && !recorded => Ok(Vec::new()),
                Ok(project) => projects::plan(project, &self.desired.name, &found),
                Err(_) => Ok(Vec::new()),
            };
            let (objects, refused) = match planned {
                Ok(objects) => (objects, None),
                Err(refused) => (Vec::new(), Some(refused)),
            };
            self.set(Source::Project(name.clone()), objects);
            match refused {
                Some(refused) => drop(self.desired.refused.insert(name.clone(), refused)),
                None => drop(self.desired.refused.remove(name)),
            }
        }
    }

    fn bindings(&mut self, book: &Book, templates: &BTreeSet<String>, touched: &BTreeSet<String>) {
        let gone: Vec<BindingId> = self
            .desired
            .sources
            .keys()
            .filter_map(|source| match source {
                Source::Binding(id) if !book.bindings.contains_key(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        let mut roles: BTreeSet<(String, String)> = BTreeSet::new();
        for id in gone {
            self.set_binding(id, Vec::new(), &mut roles);
        }
        self.desired.seen.bindings.retain(|id, _| book.bindings.contains_key(id));
        for (id, entry) in &book.bindings {
            let same = self.desired.seen.bindings.get(id).is_some_and(|seen| Arc::ptr_eq(seen, &entry.read));
            let concerned = match &*entry.read {
                Ok(binding) => {
                    templates.contains(binding.template())
                        || binding.projects().into_iter().any(|project| touched.contains(project))
                }
                Err(_) => false,
            };
            if same && !concerned {
                continue;
            }
            self.desired.seen.bindings.insert(id.clone(), entry.read.clone());
            let objects = match &*entry.read {
                Ok(binding) => binding.plan(&book.hub.catalog, &self.desired.cluster),
                Err(_) => Vec::new(),
            };
            self.set_binding(id.clone(), objects, &mut roles);
        }
        // A role of a project follows from its template, too.
        let of_templates = self.desired.given.keys().filter(|(_, template)| templates.contains(template));
        roles.extend(of_templates.cloned());
        if !roles.is_empty() {
            self.project_roles(book, roles);
        }
    }

    /// Notes which roles of projects are given more often, or less.
    fn set_binding(&mut self, id: BindingId, objects: Vec<Object>, roles: &mut BTreeSet<(String, String)>) {
        self.about.insert(About::Binding(id.clone()));
        let source = Source::Binding(id);
        for key in self.desired.keys(&source).to_vec() {
            let Some((_, object)) = self.desired.wanted.get(&key) else { continue };
            if let Some(role) = role_of_project(object)
                && let Some(times) = self.desired.given.get_mut(&role)
            {
                *times -= 1;
                roles.insert(role);
            }
        }
        for role in objects.iter().filter_map(role_of_project) {
            *self.desired.given.entry(role.clone()).or_default() += 1;
            roles.insert(role);
        }
        self.set(source, objects);
    }

    fn project_roles(&mut self, book: &Book, roles: BTreeSet<(String, String)>) {
        let lending = self.lending();
        for role in roles {
            let is_given = self.desired.given.get(&role).is_some_and(|times| *times > 0);
            if !is_given {
                self.desired.given.remove(&role);
            }
            let (name, template) = role.clone();
            let found = book.hub.catalog.projects.get(&name).zip(book.hub.catalog.templates.get(&template));
            let object = found.filter(|_| is_given).map(|(project, template)| {
                project_role(project, template.name(), &template.rules(RoleScope::ProjectNs, &lending))
            });
            self.set(Source::ProjectRole(name, template), object.into_iter().collect());
        }
    }

    /// The platform's roles whose rules templates take in.
    fn lending(&self) -> Vec<ClusterRole> {
        let ours = self.desired.wanted.values().filter(|(source, object)| {
            matches!(source, Source::Base | Source::Template(_)) && object.body().get("rules").is_some()
        });
        ours.filter_map(|(_, object)| serde_json::from_value(object.body().clone()).ok()).collect()
    }

    /// How much more than they ask for Pods may use, unless their namespace says.
    fn ratio(&mut self, book: &Book) {
        let member = book.members.get(self.desired.name.as_str());
        // The definition lets nothing pass that cannot be read.
        let ratio = member.and_then(|member| member.ratio.clone().unwrap_or_default());
        if self.desired.seen.ratio == ratio {
            return;
        }
        self.desired.seen.ratio = ratio;
        let (namespace, name) = CLUSTER_RATIO;
        let object = |ratio| Object::new(Kind::Ratio, name).in_namespace(namespace).with("spec", json!(ratio));
        self.set(Source::Ratio, ratio.map(object).into_iter().collect());
    }

    /// Roles that somebody made on the hub for all clusters.
    fn replicas(&mut self, hub: Option<&BTreeMap<String, Arc<Value>>>) {
        let Some(hub) = hub.filter(|_| !self.desired.name.is_global()) else { return };
        let gone = self.desired.seen.replicas.keys().filter(|name| !hub.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.desired.seen.replicas.remove(&name);
            self.set(Source::Replica(name), Vec::new());
        }
        for (name, role) in hub {
            if self.desired.seen.replicas.get(name).is_some_and(|seen| Arc::ptr_eq(seen, role)) {
                continue;
            }
            self.desired.seen.replicas.insert(name.clone(), role.clone());
            let read = serde_json::from_value::<ClusterRole>((**role).clone()).ok();
            self.set(Source::Replica(name.clone()), read.as_ref().and_then(replica).into_iter().collect());
        }
    }
}

/// The project and the template whose role a native binding gives.
fn role_of_project(object: &Object) -> Option<(String, String)> {
    let body = object.body();
    let template = body["metadata"]["labels"][ROLE_RELATIVE].as_str()?;
    let role = body["roleRef"]["name"].as_str()?.strip_prefix("cpaas:project:")?;
    let project = role.strip_suffix(template)?.strip_suffix(':')?;
    Some((project.to_owned(), template.to_owned()))
}

#[cfg(test)]
mod tests;
