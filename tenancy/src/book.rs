//! What people wrote on the hub. No IO.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use api_types::cluster::{Cluster, ClusterProperties};
use api_types::tenancy::{
    GROUP, GroupBinding, InvalidOvercommit, NamespaceResourceRatioSpec, RoleTemplate, UserBinding,
};
use kube::ResourceExt;
use lib_names::ClusterName;
use serde_json::Value;

use crate::bindings::{Binding, BindingKind, InvalidBinding};
use crate::follow::Name;
use crate::projects::{InvalidProject, Project};
use crate::roles::{InvalidTemplate, Template};
use crate::view::{Bound, HubObjects};
use crate::wire::Place;

/// The kinds that are followed on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Written {
    Project,
    RoleTemplate,
    UserBinding,
    GroupBinding,
    User,
    Cluster,
}

impl Written {
    pub(crate) const ALL: [Self; 6] =
        [Self::Project, Self::RoleTemplate, Self::UserBinding, Self::GroupBinding, Self::User, Self::Cluster];

    pub(crate) fn place(self) -> Place {
        let v1 = format!("{GROUP}/v1");
        match self {
            Self::Project => Place::new(&v1, "projects"),
            Self::RoleTemplate => Place::new(&format!("{GROUP}/v1beta1"), "roletemplates"),
            Self::UserBinding => Place::new(&v1, "userbindings"),
            Self::GroupBinding => Place::new(&v1, "groupbindings"),
            Self::User => Place::new(&v1, "users"),
            Self::Cluster => Place::new("cluster.x-k8s.io/v1beta1", "clusters"),
        }
    }
}

/// Which binding.
pub(crate) type BindingId = (BindingKind, String);

/// Something that has a status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Binding(BindingId),
    Template(String),
    Project(String),
}

/// An object, and what it says. The latter is another one only when it says something else.
#[derive(Debug)]
pub(crate) struct Entry<K, T, E> {
    pub(crate) object: K,
    pub(crate) read: Arc<Result<T, E>>,
}

/// A binding of either kind.
#[derive(Debug)]
pub(crate) enum AnyBinding {
    User(UserBinding),
    Group(GroupBinding),
}

/// A cluster of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) uid: String,
    /// It is worth a look now.
    pub(crate) ready: bool,
    /// Somebody wants it left alone.
    pub(crate) paused: bool,
    /// It is leaving the platform.
    pub(crate) leaving: bool,
    /// How much more than they ask for new Pods may use.
    pub(crate) ratio: Result<Option<NamespaceResourceRatioSpec>, InvalidOvercommit>,
}

pub(crate) type ProjectEntry = Entry<api_types::tenancy::Project, Project, InvalidProject>;
pub(crate) type TemplateEntry = Entry<RoleTemplate, Template, InvalidTemplate>;
pub(crate) type BindingEntry = Entry<AnyBinding, Binding, InvalidBinding>;

/// What people wrote.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// For questions. Whoever reads it keeps it as it is.
    pub(crate) hub: Arc<HubObjects>,
    pub(crate) projects: BTreeMap<String, ProjectEntry>,
    pub(crate) templates: BTreeMap<String, TemplateEntry>,
    pub(crate) bindings: BTreeMap<BindingId, BindingEntry>,
    pub(crate) members: BTreeMap<String, Member>,
    /// ClusterRoles that every cluster is to have, once it is known which they are.
    pub(crate) shared_roles: Option<BTreeMap<String, Arc<Value>>>,
    listed: BTreeSet<Written>,
    lost: BTreeSet<Written>,
    /// How often it came to say something else.
    pub(crate) edition: u64,
}

impl Book {
    /// Whether all of it is known, as it is now. Nothing is taken from anybody unless.
    pub(crate) fn is_whole(&self) -> bool {
        self.was_whole() && self.lost.is_empty() && self.shared_roles.is_some()
    }

    /// Whether all of it was known once.
    pub(crate) fn was_whole(&self) -> bool {
        self.listed.len() == Written::ALL.len()
    }

    /// Whether there is such a cluster, and it stays.
    pub(crate) fn has_cluster(&self, name: &str) -> bool {
        name == ClusterName::GLOBAL || self.members.get(name).is_some_and(|member| !member.leaving)
    }

    /// The clusters that there are.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &str> {
        let members = self.members.iter().filter(|(_, member)| !member.leaving).map(|(name, _)| &**name);
        members.chain((!self.members.contains_key(ClusterName::GLOBAL)).then_some(ClusterName::GLOBAL))
    }

    /// Takes in an object, and says about what there may be something new to say.
    pub(crate) fn put(&mut self, kind: Written, mut object: Value) -> Result<Vec<About>, serde_json::Error> {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        Ok(match kind {
            Written::Project => {
                let written = Arc::new(object.clone());
                let object: api_types::tenancy::Project = serde_json::from_value(object)?;
                let name = object.name_any();
                let before = self.projects.remove(&name);
                let is_recorded = |object: &api_types::tenancy::Project| {
                    let status = object.status.as_ref().map(|status| status.clusters.clone());
                    (object.metadata.finalizers.clone(), status)
                };
                let was_recorded = before.as_ref().map(|before| is_recorded(&before.object));
                if was_recorded != Some(is_recorded(&object)) {
                    self.edition += 1;
                }
                let read = self.same(before.map(|before| before.read), Project::read(&object));
                let hub = Arc::make_mut(&mut self.hub);
                hub.projects.insert(name.clone(), written);
                match &*read {
                    Ok(project) if !project.is_terminating() => {
                        drop(hub.catalog.projects.insert(name.clone(), project.clone()));
                    }
                    _ => drop(hub.catalog.projects.remove(&name)),
                }
                self.projects.insert(name.clone(), Entry { object, read });
                self.about_project(&name)
            }
            Written::RoleTemplate => {
                let object: RoleTemplate = serde_json::from_value(object)?;
                let name = object.name_any();
                let before = self.templates.remove(&name);
                // Also what only people see of it may have to be put right.
                self.edition += 1;
                let read = self.same(before.map(|before| before.read), Template::read(&object));
                let catalog = &mut Arc::make_mut(&mut self.hub).catalog;
                match &*read {
                    Ok(template) => drop(catalog.templates.insert(name.clone(), template.clone())),
                    Err(_) => drop(catalog.templates.remove(&name)),
                }
                self.templates.insert(name.clone(), Entry { object, read });
                self.about_template(&name)
            }
            Written::UserBinding => {
                let read: UserBinding = serde_json::from_value(object.clone())?;
                self.put_binding((BindingKind::User, read.name_any()), AnyBinding::User(read), object)
            }
            Written::GroupBinding => {
                let read: GroupBinding = serde_json::from_value(object.clone())?;
                self.put_binding((BindingKind::Group, read.name_any()), AnyBinding::Group(read), object)
            }
            Written::User => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (name, email) = (text(&object["metadata"]["name"]), text(&object["spec"]["email"]));
                if self.hub.people.get(&name) == Some(&email) {
                    return Ok(Vec::new());
                }
                self.people().insert(name, email);
                self.read_labelled()
            }
            Written::Cluster => {
                // Only where the fleet looks for them.
                if object["metadata"]["namespace"] != api_types::PLATFORM_NAMESPACE {
                    return Ok(Vec::new());
                }
                let object: Cluster = serde_json::from_value(object)?;
                let mut conditions = object.status.iter().flat_map(|status| &status.conditions);
                let member = Member {
                    uid: object.uid().unwrap_or_default(),
                    ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
                    paused: object.spec.paused == Some(true),
                    leaving: object.metadata.deletion_timestamp.is_some(),
                    ratio: object.spec.properties.as_ref().map_or(Ok(None), ClusterProperties::ratio),
                };
                let name = object.name_any();
                let before = self.members.insert(name.clone(), member.clone());
                if before.as_ref() == Some(&member) {
                    return Ok(Vec::new());
                }
                self.edition += 1;
                self.about_all()
            }
        })
    }

    fn people(&mut self) -> &mut BTreeMap<String, String> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.hub).people)
    }

    /// Keeps a binding, with what it says now.
    fn put_binding(&mut self, id: BindingId, object: AnyBinding, written: Value) -> Vec<About> {
        let before = self.bindings.remove(&id);
        let now = self.read_binding(&object);
        let bound = Arc::new(Bound { object: written, says: now.clone() });
        Arc::make_mut(&mut self.hub).bindings.insert(id.clone(), bound);
        let read = self.same(before.map(|before| before.read), now);
        self.bindings.insert(id.clone(), Entry { object, read });
        vec![About::Binding(id)]
    }

    fn read_binding(&self, object: &AnyBinding) -> Result<Binding, InvalidBinding> {
        match object {
            AnyBinding::User(binding) => Binding::of_user(binding, &|md5| self.hub.people.get(md5).cloned()),
            AnyBinding::Group(binding) => Binding::of_group(binding),
        }
    }

    /// Reads the bindings again that say with labels whom they mean.
    fn read_labelled(&mut self) -> Vec<About> {
        let labelled = |object: &AnyBinding| matches!(object, AnyBinding::User(binding) if binding.spec.0.is_empty());
        let ids: Vec<BindingId> =
            self.bindings.iter().filter(|(_, entry)| labelled(&entry.object)).map(|(id, _)| id.clone()).collect();
        let put = |id| {
            let entry = self.bindings.remove(&id)?;
            let now = self.read_binding(&entry.object);
            if let Some(bound) = Arc::make_mut(&mut self.hub).bindings.get_mut(&id) {
                Arc::make_mut(bound).says = now.clone();
            }
            let read = self.same(Some(entry.read), now);
            self.bindings.insert(id.clone(), Entry { object: entry.object, read });
            Some(About::Binding(id))
        };
        ids.into_iter().filter_map(put).collect()
    }

    /// Forgets an object.
    pub(crate) fn remove(&mut self, kind: Written, name: &Name) -> Vec<About> {
        let (namespace, name) = name;
        self.edition += 1;
        if kind == Written::Cluster && namespace != api_types::PLATFORM_NAMESPACE {
            return Vec::new();
        }
        match kind {
            Written::Project => {
                let hub = Arc::make_mut(&mut self.hub);
                hub.catalog.projects.remove(name);
                hub.projects.remove(name);
                self.projects.remove(name).map(|_| self.about_project(name)).unwrap_or_default()
            }
            Written::RoleTemplate => {
                Arc::make_mut(&mut self.hub).catalog.templates.remove(name);
                self.templates.remove(name).map(|_| self.about_template(name)).unwrap_or_default()
            }
            Written::UserBinding => self.remove_binding((BindingKind::User, name.clone())),
            Written::GroupBinding => self.remove_binding((BindingKind::Group, name.clone())),
            Written::User => match self.people().remove(name) {
                Some(_) => self.read_labelled(),
                None => Vec::new(),
            },
            Written::Cluster => match self.members.remove(name) {
                Some(_) => self.about_all(),
                None => Vec::new(),
            },
        }
    }

    fn remove_binding(&mut self, id: BindingId) -> Vec<About> {
        Arc::make_mut(&mut self.hub).bindings.remove(&id);
        self.bindings.remove(&id).map(|_| About::Binding(id)).into_iter().collect()
    }

    /// These are all there are of a kind.
    pub(crate) fn whole(&mut self, kind: Written, names: &HashSet<Name>) -> Vec<About> {
        let known: Vec<String> = match kind {
            Written::Project => self.projects.keys().cloned().collect(),
            Written::RoleTemplate => self.templates.keys().cloned().collect(),
            Written::UserBinding => self.bindings_of(BindingKind::User),
            Written::GroupBinding => self.bindings_of(BindingKind::Group),
            Written::User => self.hub.people.keys().cloned().collect(),
            Written::Cluster => self.members.keys().cloned().collect(),
        };
        let namespace = if kind == Written::Cluster { api_types::PLATFORM_NAMESPACE } else { "" };
        let known = known.into_iter().map(|name| (namespace.to_owned(), name));
        let gone: Vec<Name> = known.filter(|name| !names.contains(name)).collect();
        if self.listed.insert(kind) | self.lost.remove(&kind) {
            self.edition += 1;
        }
        gone.iter().flat_map(|name| self.remove(kind, name)).collect()
    }

    fn bindings_of(&self, kind: BindingKind) -> Vec<String> {
        self.bindings.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    /// A kind is not known any more.
    pub(crate) fn lost(&mut self, kind: Written) {
        self.lost.insert(kind);
        self.edition += 1;
    }

    fn about_project(&self, name: &str) -> Vec<About> {
        let names = |entry: &BindingEntry| matches!(&*entry.read, Ok(binding) if binding.projects().contains(name));
        let bindings = self.bindings.iter().filter(|(_, entry)| names(entry));
        let bindings = bindings.map(|(id, _)| About::Binding(id.clone()));
        bindings.chain([About::Project(name.to_owned())]).collect()
    }

    fn about_template(&self, name: &str) -> Vec<About> {
        let of = |entry: &BindingEntry| matches!(&*entry.read, Ok(binding) if binding.template() == name);
        let bindings = self.bindings.iter().filter(|(_, entry)| of(entry));
        let bindings = bindings.map(|(id, _)| About::Binding(id.clone()));
        bindings.chain([About::Template(name.to_owned())]).collect()
    }

    /// Whether there is such an object.
    pub(crate) fn has(&self, about: &About) -> bool {
        match about {
            About::Binding(id) => self.bindings.contains_key(id),
            About::Template(name) => self.templates.contains_key(name),
            About::Project(name) => self.projects.contains_key(name),
        }
    }

    pub(crate) fn about_all(&self) -> Vec<About> {
        let bindings = self.bindings.keys().cloned().map(About::Binding);
        let templates = self.templates.keys().cloned().map(About::Template);
        bindings.chain(templates).chain(self.projects.keys().cloned().map(About::Project)).collect()
    }

    /// The same as before, if it says the same.
    fn same<T: PartialEq>(&mut self, before: Option<Arc<T>>, now: T) -> Arc<T> {
        match before.filter(|before| **before == now) {
            Some(before) => before,
            None => {
                self.edition += 1;
                Arc::new(now)
            }
        }
    }
}

#[cfg(test)]
mod tests;
