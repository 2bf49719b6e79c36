//! Who may write what rights follow from. Whoever writes a binding gives rights, so nobody writes one who does not hold
//! them; the same goes for templates, and for taking rights away.
//!
//! The rules, for each place that a binding names:
//!
//! - The caller may write bindings there: a right to `userbindings` (or `groupbindings`) in the namespace, in the
//!   project's own namespace, in the cluster, or, for the whole platform, on the hub.
//! - The caller holds there all that the binding gives, or the fact `bind` on the template (as RBAC's own `bind`).
//! - A role of the whole platform is given by those who have the fact `bind` for it on the hub.
//! - What a binding gives on the hub is asked on the hub. So what one cluster says of its own roles, whose administrators
//!   may have it say anything, gives nothing beyond that cluster.
//! - Whoever may do both on the whole hub may do it everywhere, for the hub rules all clusters; also in clusters of which
//!   nothing is known. Nobody else may give rights in those.
//!
//! Of a place that the caller may not write to nothing is said, not even whether it is there.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api_rbac::{PolicyRule, TooMany, User, lacking};
use api_types::tenancy::{RoleTemplate, TEMPLATE_OFFICIAL};
use kube::ResourceExt;
use lib_names::ClusterName;

use crate::bindings::{Binding, BindingKind, Catalog, Finding, Places};
use crate::given::{native_rules, template_rules};
use crate::rights::holds;
use crate::roles::{InvalidTemplate, Template};
use crate::view::{HubObjects, Known, View};

/// What is to be done. A binding is never changed, so nobody updates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is to be.
    Create,
    /// It is not to be any more.
    Delete,
}

impl Verb {
    /// As RBAC has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// No right to such objects at that place, or no such place.
    #[error("{verb} {resource}.auth.alauda.io is not allowed {place}: ask who administers it")]
    Place {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        resource: &'static str,
        /// Where.
        place: String,
    },
    /// The rights are more than the caller has.
    #[error("role {role:?} gives more {place} than you hold there{}: whoever holds all of it can give it, or somebody with the right to bind {role:?} there", listed(.rules))]
    Lacks {
        /// The template.
        role: String,
        /// Where.
        place: String,
        /// What is lacking.
        rules: Vec<PolicyRule>,
    },
    /// Whoever holds all that there is now would give what there will be.
    #[error(
        "giving role {0:?} on the whole platform takes the right to bind it: bind roletemplates.auth.alauda.io of that name, on the hub"
    )]
    Bind(String),
    /// Nobody knows what the caller holds in one of the clusters.
    #[error(
        "nothing is known of cluster {0:?} now, so whether you hold there what you would give cannot be told: try again when it is reached, or name other clusters in spec.constraint[].cluster"
    )]
    Unknown(String),
    /// Rules that cannot be compared.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// It came with the platform.
    #[error("template {0:?} comes with the platform: create another one, and give it the rights that you want")]
    Official(String),
    /// Allowed, but nothing would be given.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Nonsense(Vec<Finding>),
    /// Allowed, but the template says nothing that can be given.
    #[error(transparent)]
    Template(#[from] InvalidTemplate),
}

impl Denied {
    /// Whether the caller may, and the object is what is wrong.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Nonsense(_) | Self::Template(_) | Self::TooMany(_))
    }
}

/// The first few rules of a list that may be long.
fn listed(rules: &[PolicyRule]) -> String {
    const FIRST: usize = 5;
    let mut text: String = rules.iter().take(FIRST).map(|rule| format!(", {rule}")).collect();
    if rules.len() > FIRST {
        text += &format!(", and {} more", rules.len() - FIRST);
    }
    if text.is_empty() { text } else { format!(" (you lack{})", text.trim_start_matches(',')) }
}

/// Where somebody must be allowed to write.
struct Anchor {
    cluster: String,
    /// A right in any of these will do; empty is the whole cluster.
    namespaces: Vec<String>,
    /// Whether the binding itself counts as written here, and not only what it gives.
    writes: bool,
    /// For people.
    place: String,
}

/// Whether somebody may create or delete a binding.
pub fn binding(view: &dyn View, who: User<'_>, verb: Verb, binding: &Binding) -> Result<(), Denied> {
    let objects = view.hub();
    let catalog = &objects.catalog;
    let resource = plural(binding.kind());
    let hub = view.cluster(ClusterName::GLOBAL).ok_or_else(|| Denied::Unknown(ClusterName::GLOBAL.to_owned()))?;
    let writes_all = holds(&hub, who, verb.as_str(), resource, "", "");
    let binds_all = holds(&hub, who, "bind", "roletemplates", "", binding.template());
    for anchor in anchors(binding, catalog, view) {
        let known = view.cluster(&anchor.cluster);
        let fact = |verb: &str, resource: &str, name: &str| {
            let known = known.as_deref();
            anchor
                .namespaces
                .iter()
                .any(|namespace| known.is_some_and(|known| holds(known, who, verb, resource, namespace, name)))
        };
        if anchor.writes && !writes_all && !fact(verb.as_str(), resource, "") {
            return Err(match known {
                // Whose project it is may know where it is.
                None if !matches!(binding.places(), Places::Clusters(_))
                    && in_project_on_hub(&hub, who, verb, resource, binding) =>
                {
                    Denied::Unknown(anchor.cluster)
                }
                _ => Denied::Place { verb: verb.as_str(), resource, place: anchor.place },
            });
        }
        if binds_all || fact("bind", "roletemplates", binding.template()) {
            continue;
        }
        if verb == Verb::Create && matches!(binding.places(), Places::Everywhere) {
            return Err(Denied::Bind(binding.template().to_owned()));
        }
        let known = known.ok_or(Denied::Unknown(anchor.cluster))?;
        all_held(&known, catalog, who, binding, &anchor.place)?;
    }
    match (verb, binding.findings(catalog)) {
        (Verb::Create, findings) if !findings.is_empty() => Err(Denied::Nonsense(findings)),
        _ => Ok(()),
    }
}

/// What somebody may do with bindings, without regard to what they give: for lists, in which many are in one place.
pub struct Reach<'a> {
    view: &'a dyn View,
    objects: Arc<HubObjects>,
    who: User<'a>,
    verb: &'a str,
    /// By cluster, namespace and resource.
    met: RefCell<HashMap<(String, String, &'static str), bool>>,
}

impl<'a> Reach<'a> {
    /// Of somebody, for a verb.
    pub fn new(view: &'a dyn View, who: User<'a>, verb: &'a str) -> Self {
        Self { view, objects: view.hub(), who, verb, met: RefCell::default() }
    }

    /// Whether they may, in every place that a binding names.
    pub fn contains(&self, binding: &Binding) -> bool {
        let resource = plural(binding.kind());
        if self.may(ClusterName::GLOBAL, "", resource) {
            return true;
        }
        let anchors = anchors(binding, &self.objects.catalog, self.view);
        let mut anchors = anchors.into_iter().filter(|anchor| anchor.writes).peekable();
        let may = |anchor: Anchor| anchor.namespaces.iter().any(|space| self.may(&anchor.cluster, space, resource));
        anchors.peek().is_some() && anchors.all(may)
    }

    fn may(&self, cluster: &str, namespace: &str, resource: &'static str) -> bool {
        let ask = || {
            self.view.cluster(cluster).is_some_and(|known| holds(&known, self.who, self.verb, resource, namespace, ""))
        };
        *self.met.borrow_mut().entry((cluster.to_owned(), namespace.to_owned(), resource)).or_insert_with(ask)
    }
}

fn in_project_on_hub(hub: &Known, who: User<'_>, verb: Verb, resource: &str, binding: &Binding) -> bool {
    binding.projects().iter().all(|project| holds(hub, who, verb.as_str(), resource, project, ""))
}

/// The kind in paths.
pub fn plural(kind: BindingKind) -> &'static str {
    match kind {
        BindingKind::User => "userbindings",
        BindingKind::Group => "groupbindings",
    }
}

fn anchors(binding: &Binding, catalog: &Catalog, view: &dyn View) -> Vec<Anchor> {
    let hub = ClusterName::GLOBAL;
    let whole = |cluster: &str, place: String| Anchor {
        cluster: cluster.to_owned(),
        namespaces: vec![String::new()],
        writes: true,
        place,
    };
    match binding.places() {
        Places::Everywhere => {
            let on_hub = whole(hub, "on the whole platform".to_owned());
            let members = view.clusters().into_iter().filter(|cluster| cluster != hub);
            // Who may write on the hub is asked there; what is given, everywhere.
            let members = members.map(|cluster| Anchor { writes: false, ..whole(&cluster, in_cluster(&cluster)) });
            std::iter::once(on_hub).chain(members).collect()
        }
        Places::Clusters(clusters) => clusters.iter().map(|cluster| whole(cluster, in_cluster(cluster))).collect(),
        Places::Projects(projects) => {
            let mut anchors = Vec::new();
            for (project, narrowed) in projects {
                let all =
                    || catalog.projects.get(project).map(|project| project.clusters().map(str::to_owned).collect());
                let clusters: BTreeSet<String> = narrowed.clone().or_else(all).unwrap_or_default();
                // The hub first: what it says of others is only for those who are in the project.
                let clusters =
                    std::iter::once(hub.to_owned()).chain(clusters.into_iter().filter(|cluster| cluster != hub));
                anchors.extend(clusters.map(|cluster| Anchor {
                    place: format!("in project {project:?} {}", in_cluster(&cluster)),
                    cluster,
                    namespaces: vec![project.clone()],
                    writes: true,
                }));
            }
            anchors
        }
        Places::Namespaces(places) => {
            let anchor = |place: &crate::bindings::NamespacePlace| {
                let known = view.cluster(&place.cluster);
                let project = catalog.projects.get(&place.project);
                // A right in a namespace is one in this project only while the namespace is the project's. Else a binding
                // could lie in wait for the day on which another project takes the namespace in.
                let belongs = known.as_ref().zip(project).is_some_and(|(known, project)| {
                    let namespaces = &known.cluster.namespaces;
                    namespaces.has_own(project) && namespaces.belongs(&place.namespace, &place.project)
                });
                let own = belongs.then(|| place.namespace.clone());
                let member = Anchor {
                    cluster: place.cluster.clone(),
                    namespaces: own.into_iter().chain([place.project.clone()]).collect(),
                    writes: true,
                    place: format!(
                        "in namespace {:?} of project {:?} {}",
                        place.namespace,
                        place.project,
                        in_cluster(&place.cluster)
                    ),
                };
                let on_hub = Anchor {
                    cluster: hub.to_owned(),
                    namespaces: vec![place.project.clone()],
                    writes: false,
                    place: format!("in project {:?} {}", place.project, in_cluster(hub)),
                };
                [member, on_hub]
            };
            places.iter().flat_map(anchor).collect()
        }
    }
}

fn in_cluster(cluster: &str) -> String {
    if cluster == ClusterName::GLOBAL { "on the hub".to_owned() } else { format!("in cluster {cluster:?}") }
}

/// Whether the caller holds all that a binding gives in a cluster.
fn all_held(known: &Known, catalog: &Catalog, who: User<'_>, binding: &Binding, place: &str) -> Result<(), Denied> {
    let lacks = |rules| Denied::Lacks { role: binding.template().to_owned(), place: place.to_owned(), rules };
    // What a template gives that is not there, or is of another level, nobody holds: it may be there tomorrow.
    if binding.findings(catalog).iter().any(Finding::is_fatal) {
        return Err(lacks(Vec::new()));
    }
    // What a namespace that is not there would be given cannot be held either.
    let missing = match binding.places() {
        Places::Namespaces(places) => places.iter().any(|place| {
            place.cluster == known.cluster.name.as_str()
                && !known.cluster.namespaces.belongs(&place.namespace, &place.project)
        }),
        _ => false,
    };
    if missing {
        return Err(lacks(Vec::new()));
    }
    for object in binding.plan(catalog, &known.cluster) {
        let namespace = object.key().namespace.as_deref().unwrap_or_default();
        let rules = known.policy.lacking(who, namespace, &native_rules(known, catalog, &object))?;
        if !rules.is_empty() {
            return Err(lacks(rules));
        }
    }
    // Namespaces come and go: whoever gives a role in a project gives it in those that it will have.
    if let (Places::Projects(_), Some(template)) = (binding.places(), catalog.templates.get(binding.template())) {
        let everywhere: Vec<PolicyRule> =
            template.scopes().into_iter().flat_map(|scope| template_rules(known, template, scope)).collect();
        let rules = known.policy.lacking(who, "", &everywhere)?;
        if !rules.is_empty() && !known.cluster.name.is_global() {
            return Err(lacks(rules));
        }
    }
    Ok(())
}

/// What is written of a template, a project or a quota.
#[derive(Debug)]
pub enum Write<'a, T> {
    /// It is to be.
    Create(&'a T),
    /// It is to change.
    Update {
        /// From this.
        old: &'a T,
        /// To this.
        new: &'a T,
    },
    /// It is to go.
    Delete(&'a T),
}

// Derived, these would ask for a `T` that can be copied.
impl<T> Clone for Write<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Write<'_, T> {}

impl<'a, T> Write<'a, T> {
    fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update { .. } => "update",
            Self::Delete(_) => "delete",
        }
    }

    /// What will be, and what is.
    fn states(&self) -> (Option<&'a T>, Option<&'a T>) {
        match *self {
            Self::Create(new) => (Some(new), None),
            Self::Update { old, new } => (Some(new), Some(old)),
            Self::Delete(old) => (None, Some(old)),
        }
    }
}

/// Whether somebody may write a template. Its bindings follow it, so what it says before and after has to be held in every
/// cluster, by its labels too; or `escalate` on it, as RBAC's own.
pub fn template(view: &dyn View, who: User<'_>, write: Write<'_, RoleTemplate>) -> Result<(), Denied> {
    let hub = view.cluster(ClusterName::GLOBAL).ok_or_else(|| Denied::Unknown(ClusterName::GLOBAL.to_owned()))?;
    let (new, old) = write.states();
    let written = || new.into_iter().chain(old);
    let name = written().next().map(ResourceExt::name_any).unwrap_or_default();
    let (verb, resource) = (write.verb(), "roletemplates");
    let named = if verb == "create" { "" } else { &*name };
    if !holds(&hub, who, verb, resource, "", named) {
        return Err(Denied::Place { verb, resource, place: "on the whole platform".to_owned() });
    }
    if written().any(|template| template.labels().get(TEMPLATE_OFFICIAL).is_some_and(|value| value == "true")) {
        return Err(Denied::Official(name));
    }
    let new = new.map(Template::read).transpose()?;
    // What says nothing gives nothing: it may go, and be mended.
    let old = old.and_then(|old| Template::read(old).ok());
    if holds(&hub, who, "escalate", resource, "", &name) {
        return Ok(());
    }
    for read in new.iter().chain(&old) {
        for cluster in view.clusters() {
            let Some(known) = view.cluster(&cluster) else { return Err(Denied::Unknown(cluster)) };
            let rules: Vec<PolicyRule> =
                read.scopes().into_iter().flat_map(|scope| template_rules(&known, read, scope)).collect();
            let rules = lacking(known.policy.rules_for(who, ""), &rules)?;
            if !rules.is_empty() {
                return Err(Denied::Lacks { role: name, place: in_cluster(&cluster), rules });
            }
        }
    }
    Ok(())
}

/// Whether somebody may write a project. Where it is and how much it may use is decided above it, with the fact
/// `projectclusters`.
pub fn project(view: &dyn View, who: User<'_>, write: Write<'_, api_types::tenancy::Project>) -> Result<(), Denied> {
    let hub = view.cluster(ClusterName::GLOBAL).ok_or_else(|| Denied::Unknown(ClusterName::GLOBAL.to_owned()))?;
    let verb = write.verb();
    let (name, reaches) = match write {
        Write::Create(new) => (new.name_any(), !new.spec.clusters.is_empty()),
        Write::Update { old, new } => (old.name_any(), old.spec != new.spec),
        Write::Delete(old) => (old.name_any(), false),
    };
    let named = if verb == "create" { "" } else { &*name };
    let denied = |verb, resource| Denied::Place { verb, resource, place: format!("for project {name:?}") };
    if !holds(&hub, who, verb, "projects", "", named) {
        return Err(denied(verb, "projects"));
    }
    if reaches && !holds(&hub, who, "update", "projectclusters", "", &name) {
        return Err(denied("update", "projectclusters"));
    }
    Ok(())
}

/// Whether somebody may write a ProjectQuota in a cluster: it follows from the Project, so nobody but who may mend what the
/// platform has written.
pub fn project_quota(view: &dyn View, who: User<'_>, cluster: &str, name: &str) -> Result<(), Denied> {
    let may = view.cluster(cluster).is_some_and(|known| holds(&known, who, "update", "managedobjects", "", ""));
    let place = format!("for project {name:?} {}", in_cluster(cluster));
    may.then_some(()).ok_or(Denied::Place { verb: "update", resource: "projectquotas", place })
}

#[cfg(test)]
mod tests;
