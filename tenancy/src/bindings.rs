//! From who holds which role to native bindings.
//!
//! What a binding is in one cluster follows from it, from its template, from the projects it names, and from that
//! cluster's namespaces; from no other binding. So a change of one recomputes only its own.
//!
//! A binding never reaches further than its constraint: not to a cluster that is not one of its project's, not to a
//! namespace that does not belong to its project now, and not to a namespace of Kubernetes' or the platform's.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use api_types::PLATFORM_NAMESPACE;
use api_types::tenancy::{BINDING, Level, ROLE_RELATIVE, RoleScope, Subject};
use lib_names::ClusterName;
use serde_json::{Value, json};

pub(crate) use read::md5_hex;
pub use read::{InvalidBinding, People};

use crate::object::{Kind, Object};
use crate::projects::{Project, ProjectNamespace, project_role_name};
use crate::roles::{Template, role_name};

/// Annotation of native bindings: the kind of what they follow from, when it is not a UserBinding.
pub const BINDING_KIND: &str = "auth.cpaas.io/binding-kind";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Which of the two kinds a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindingKind {
    /// A UserBinding.
    User,
    /// A GroupBinding.
    Group,
}

impl BindingKind {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "UserBinding",
            Self::Group => "GroupBinding",
        }
    }
}

/// A binding that says something that can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    kind: BindingKind,
    name: String,
    subjects: Vec<Subject>,
    template: String,
    places: Places,
}

/// Where a role is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// In every cluster.
    Everywhere,
    /// In these clusters.
    Clusters(BTreeSet<String>),
    /// In these projects, each in all its clusters (`None`) or in these of them.
    Projects(BTreeMap<String, Option<BTreeSet<String>>>),
    /// In these namespaces.
    Namespaces(BTreeSet<NamespacePlace>),
}

impl Places {
    /// The level of a role that is given so.
    pub fn level(&self) -> Level {
        match self {
            Self::Everywhere => Level::Platform,
            Self::Clusters(_) => Level::Cluster,
            Self::Projects(_) => Level::Project,
            Self::Namespaces(_) => Level::Namespace,
        }
    }
}

/// A namespace of a project in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacePlace {
    /// Its cluster.
    pub cluster: String,
    /// The project that it has to belong to.
    pub project: String,
    /// Its name.
    pub namespace: String,
}

/// What bindings refer to, on the hub.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The templates that can be bound, by name.
    pub templates: BTreeMap<String, Template>,
    /// The projects that are not being deleted, by name.
    pub projects: BTreeMap<String, Project>,
}

/// What is known of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Which namespaces it has that all projects share, by [`shared_namespace`]. A cluster that was imported with a
    /// credential may have no namespace of the platform's.
    pub shared: BTreeSet<RoleScope>,
}

/// The one namespace of a scope that has just one.
pub fn shared_namespace(scope: RoleScope) -> Option<&'static str> {
    match scope {
        RoleScope::SystemNs => Some(PLATFORM_NAMESPACE),
        RoleScope::KubePublic => Some("kube-public"),
        RoleScope::Cluster | RoleScope::ProjectNs | RoleScope::BusinessNs => None,
    }
}

/// The namespaces of a cluster by the projects that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    by_project: BTreeMap<String, BTreeSet<String>>,
    own: BTreeMap<String, ProjectNamespace>,
}

impl Namespaces {
    /// From each namespace that has a project: its name, its project, and for a project's own namespace the mark that says
    /// whose it is ([`PROJECT_UID`](crate::projects::PROJECT_UID)). Namespaces of Kubernetes' and of the platform's belong
    /// to no project, whatever a label says. One that is being deleted is left out: nothing can be created in it.
    pub fn collect<'a>(all: impl IntoIterator<Item = (&'a str, &'a str, Option<&'a str>)>) -> Self {
        let mut namespaces = Self::default();
        for (name, project, uid) in all {
            if name == project {
                let own = ProjectNamespace { uid: uid.map(str::to_owned) };
                namespaces.own.insert(name.to_owned(), own);
            } else if api_types::tenancy::is_project_name(name) {
                namespaces.by_project.entry(project.to_owned()).or_default().insert(name.to_owned());
            }
        }
        namespaces
    }

    /// The namespaces of a project, without its own.
    pub fn of(&self, project: &str) -> impl Iterator<Item = &str> {
        self.by_project.get(project).into_iter().flatten().map(String::as_str)
    }

    /// Whether a namespace belongs to a project, and is not the project's own.
    pub fn belongs(&self, namespace: &str, project: &str) -> bool {
        self.by_project.get(project).is_some_and(|namespaces| namespaces.contains(namespace))
    }

    /// Whether the project's own namespace is there, and is that of this very project.
    pub fn has_own(&self, project: &Project) -> bool {
        self.own.get(project.name()).is_some_and(|own| own.is_of(project))
    }
}

/// What there is to say about a valid binding before it is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// Its template is not there, or is not valid.
    #[error("there is no RoleTemplate {0:?} that could be bound")]
    NoTemplate(String),
    /// Its template is for another level.
    #[error("RoleTemplate {template:?} is of level {is}, and the binding of scope {scope}: they have to be the same", is = .is.as_str(), scope = .scope.as_str())]
    Level {
        /// The template.
        template: String,
        /// Its level.
        is: Level,
        /// The binding's scope.
        scope: Level,
    },
    /// A project that it names is not there. It is given in the others.
    #[error("there is no Project {0:?}")]
    NoProject(String),
    /// A cluster that it names is none of the project's. It is given in the others.
    #[error("cluster {cluster:?} is not one of project {project:?}: add it to the project's spec.clusters first")]
    NotOfProject {
        /// The project.
        project: String,
        /// The cluster.
        cluster: String,
    },
}

impl Finding {
    /// For a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoTemplate(_) => "RoleTemplateNotFound",
            Self::Level { .. } => "ScopeNotOfTemplate",
            Self::NoProject(_) => "ProjectNotFound",
            Self::NotOfProject { .. } => "ClusterNotOfProject",
        }
    }

    /// Whether nothing at all is given.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NoTemplate(_) | Self::Level { .. })
    }
}

/// Which clusters something concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All, the hub too.
    All,
    /// These.
    These(BTreeSet<String>),
}

impl Reach {
    /// Whether a cluster is concerned.
    pub fn contains(&self, cluster: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(clusters) => clusters.contains(cluster),
        }
    }
}

impl Binding {
    /// Which kind it is.
    pub fn kind(&self) -> BindingKind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who is given the role.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The name of its template.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Where the role is given.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The projects that it names. When one of them changes, so may what the binding is.
    pub fn projects(&self) -> BTreeSet<&str> {
        match &self.places {
            Places::Everywhere | Places::Clusters(_) => BTreeSet::new(),
            Places::Projects(projects) => projects.keys().map(String::as_str).collect(),
            Places::Namespaces(places) => places.iter().map(|place| &*place.project).collect(),
        }
    }

    /// The clusters in which it may be something.
    pub fn reach(&self, catalog: &Catalog) -> Reach {
        match &self.places {
            Places::Everywhere => Reach::All,
            Places::Clusters(clusters) => Reach::These(clusters.clone()),
            Places::Projects(projects) => {
                let members = projects.iter().flat_map(|(project, narrowed)| {
                    let project = catalog.projects.get(project);
                    let members = project.into_iter().flat_map(Project::clusters);
                    members.filter(|cluster| narrowed.as_ref().is_none_or(|these| these.contains(*cluster)))
                });
                let hub = std::iter::once(ClusterName::GLOBAL);
                Reach::These(members.chain(hub).map(str::to_owned).collect())
            }
            Places::Namespaces(places) => {
                let hub = std::iter::once(ClusterName::GLOBAL.to_owned());
                Reach::These(places.iter().map(|place| place.cluster.clone()).chain(hub).collect())
            }
        }
    }

    /// What there is to say about it.
    pub fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        let Some(template) = catalog.templates.get(&self.template) else {
            return vec![Finding::NoTemplate(self.template.clone())];
        };
        if template.level() != self.places.level() {
            let (template, is) = (self.template.clone(), template.level());
            return vec![Finding::Level { template, is, scope: self.places.level() }];
        }
        let named: BTreeSet<(&str, Option<&str>)> = match &self.places {
            Places::Everywhere | Places::Clusters(_) => BTreeSet::new(),
            Places::Projects(projects) => projects
                .iter()
                .flat_map(|(project, narrowed)| match narrowed {
                    None => vec![(&**project, None)],
                    Some(clusters) => clusters.iter().map(|cluster| (&**project, Some(&**cluster))).collect(),
                })
                .collect(),
            Places::Namespaces(places) => places.iter().map(|place| (&*place.project, Some(&*place.cluster))).collect(),
        };
        let mut findings: Vec<Finding> = Vec::new();
        for (name, cluster) in named {
            let finding = match (catalog.projects.get(name), cluster) {
                (None, _) => Finding::NoProject(name.to_owned()),
                (Some(project), Some(cluster)) if !project.is_in(cluster) => {
                    Finding::NotOfProject { project: name.to_owned(), cluster: cluster.to_owned() }
                }
                _ => continue,
            };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }

    /// What it is in one cluster, in the order of what is written.
    pub fn plan(&self, catalog: &Catalog, cluster: &Cluster) -> Vec<Object> {
        let Some(template) = catalog.templates.get(&self.template) else { return Vec::new() };
        if template.level() != self.places.level() {
            return Vec::new();
        }
        let mut plan = Plan { binding: self, template, cluster, objects: BTreeMap::new() };
        match &self.places {
            Places::Everywhere => plan.in_cluster(),
            Places::Clusters(clusters) if !cluster.name.is_global() && clusters.contains(cluster.name.as_str()) => {
                plan.in_cluster();
            }
            Places::Clusters(_) => {}
            Places::Projects(projects) => {
                for (project, narrowed) in projects {
                    let meant = narrowed.as_ref().is_none_or(|these| these.contains(cluster.name.as_str()));
                    if let Some(project) = catalog.projects.get(project) {
                        plan.in_project(project, meant);
                    }
                }
            }
            Places::Namespaces(places) => {
                for place in places {
                    if let Some(project) = catalog.projects.get(&place.project) {
                        plan.in_place(project, place);
                    }
                }
            }
        }
        plan.objects.into_values().collect()
    }

    /// Whether there is more to give in a cluster as soon as it has the own namespace of a project.
    pub fn waits(&self, catalog: &Catalog, cluster: &Cluster) -> bool {
        let Places::Projects(projects) = &self.places else { return false };
        projects.iter().any(|(project, narrowed)| {
            let meant = narrowed.as_ref().is_none_or(|these| these.contains(cluster.name.as_str()));
            let project = catalog.projects.get(project).filter(|project| project.is_in(cluster.name.as_str()));
            meant && project.is_some_and(|project| !cluster.namespaces.has_own(project))
        })
    }
}

struct Plan<'a> {
    binding: &'a Binding,
    template: &'a Template,
    cluster: &'a Cluster,
    objects: BTreeMap<crate::Key, Object>,
}

impl Plan<'_> {
    fn in_cluster(&mut self) {
        self.give(RoleScope::Cluster, None);
    }

    /// `meant` is whether the binding means the project in this cluster.
    fn in_project(&mut self, project: &Project, meant: bool) {
        let here = meant && project.is_in(self.cluster.name.as_str());
        if here || self.cluster.name.is_global() {
            self.in_own_namespace(project);
        }
        // A label alone makes no namespace the project's: in a cluster where an earlier project of that name was, there
        // may be such labels still.
        if here && self.cluster.namespaces.has_own(project) {
            let namespaces = &self.cluster.namespaces;
            for namespace in namespaces.of(project.name()) {
                self.give(RoleScope::BusinessNs, Some(namespace));
            }
        }
        if here {
            self.around();
        }
    }

    fn in_place(&mut self, project: &Project, place: &NamespacePlace) {
        let namespaces = &self.cluster.namespaces;
        let here = place.cluster == self.cluster.name.as_str()
            && project.is_in(&place.cluster)
            && namespaces.has_own(project)
            && namespaces.belongs(&place.namespace, &place.project);
        if here {
            self.give(RoleScope::BusinessNs, Some(&place.namespace));
            self.in_own_namespace(project);
            self.around();
        } else if self.cluster.name.is_global() && project.is_in(&place.cluster) {
            // Who is in a namespace of a member sees the project on the hub, and nothing more of it.
            self.of_project(project);
        }
    }

    fn in_own_namespace(&mut self, project: &Project) {
        if self.cluster.namespaces.has_own(project) {
            self.give(RoleScope::ProjectNs, Some(project.name()));
            self.of_project(project);
        }
    }

    /// What belongs to the project and lies in no namespace: itself on the hub, its quota in a member.
    fn of_project(&mut self, project: &Project) {
        if self.template.has(RoleScope::ProjectNs) {
            let name = format!("{}:project:{}", self.stem(), project.name());
            self.put(Kind::ClusterRoleBinding, name, &project_role_name(project.name(), self.template.name()), None);
        }
    }

    /// What a role has besides, wherever it is given in a cluster.
    fn around(&mut self) {
        self.give(RoleScope::Cluster, None);
        for scope in &self.cluster.shared {
            if let Some(namespace) = shared_namespace(*scope) {
                self.give(*scope, Some(namespace));
            }
        }
    }

    fn give(&mut self, scope: RoleScope, namespace: Option<&str>) {
        if self.template.has(scope) {
            let name = format!("{}:{}", self.stem(), scope.as_str());
            let kind = if namespace.is_some() { Kind::RoleBinding } else { Kind::ClusterRoleBinding };
            self.put(kind, name, &role_name(self.template.name(), scope), namespace);
        }
    }

    /// How the names of its native bindings begin. Names of objects have no colon, so no two bindings share one.
    fn stem(&self) -> String {
        match self.binding.kind {
            BindingKind::User => format!("cpaas:{}", self.binding.name),
            BindingKind::Group => format!("cpaas:{}:group", self.binding.name),
        }
    }

    fn put(&mut self, kind: Kind, name: String, role: &str, namespace: Option<&str>) {
        let mut object = Object::new(kind, name)
            .label(ROLE_RELATIVE, self.template.name())
            .annotation(BINDING, &self.binding.name)
            .with("roleRef", json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role}))
            .with("subjects", self.binding.subjects.iter().map(native).collect());
        if self.binding.kind == BindingKind::Group {
            object = object.annotation(BINDING_KIND, self.binding.kind.as_str());
        }
        if let Some(namespace) = namespace {
            object = object.in_namespace(namespace);
        }
        self.objects.insert(object.key().clone(), object);
    }
}

fn native(subject: &Subject) -> Value {
    json!({"apiGroup": RBAC, "kind": subject.kind.as_str(), "name": subject.name})
}

#[cfg(test)]
mod tests;
