//! Why somebody may do something, what is missing if they may not, who else may, and what a change would change.
//!
//! All of it follows from the roles and bindings that clusters have. A native binding is traced back to the binding on the
//! hub that it follows from: one counts as its origin only when it would be planned so, whatever a name says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use api_rbac::{
    Attributes, Grant, Interner, Kind, Policy, PolicyRule, RoleKind, RoleRef, SubjectKind, Target, TooMany, User,
};
use api_types::PLATFORM_NAMESPACE;
use api_types::tenancy::{Level, RoleScope};
use serde::Serialize;

use crate::Object;
use crate::bindings::{Binding, BindingKind};
use crate::given::{RoleOf, native_rules, template_rules};
use crate::rights::holds;
use crate::view::{HubObjects, Known, View};

/// How many are named of those who could grant something.
const GRANTORS: usize = 64;

/// How many changes are told.
const CHANGES: usize = 5_000;

/// One way in which a right reaches somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantedBy {
    /// The UserBinding on the hub, if it follows from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_binding: Option<String>,
    /// The GroupBinding on the hub, if it follows from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_binding: Option<String>,
    /// The RoleTemplate, if the role is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_template: Option<String>,
    /// Who the binding names: the user, or a group of theirs.
    pub subject: Subject,
    /// The binding in the cluster.
    pub native: Native,
    /// The role in the cluster.
    pub role: Named,
    /// The rule of the role.
    pub rule: PolicyRule,
}

/// Somebody in a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: SubjectKind,
    /// Of a service account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Subject {
    fn of(subject: &api_rbac::Subject) -> Self {
        Self { kind: subject.kind, namespace: subject.namespace.to_string(), name: subject.name.to_string() }
    }
}

/// A binding of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Native {
    /// `ClusterRoleBinding` or `RoleBinding`.
    pub kind: &'static str,
    /// Empty for the whole cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A role of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `ClusterRole` or `Role`.
    pub kind: RoleKind,
    /// The name.
    pub name: String,
}

/// An answer to why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether they may.
    pub allowed: bool,
    /// Every reason.
    pub grants: Vec<GrantedBy>,
    /// What it would take, if they may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// What it would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// The rule that no role of theirs has.
    pub rule: PolicyRule,
    /// The templates that have it, the narrowest first.
    pub templates: Vec<Giving>,
    /// Who can give one of them.
    pub grantors: Vec<Grantor>,
}

/// A template that would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Giving {
    /// The RoleTemplate.
    pub role_template: String,
    /// At which level it is bound.
    pub scope: Level,
}

/// Somebody who can give a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grantor {
    /// Who.
    pub subject: Subject,
    /// Which roles.
    pub role_templates: Vec<String>,
    /// Why they can.
    pub because: GrantedBy,
}

/// Traces bindings of one cluster back to the hub.
struct Trace<'a> {
    hub: &'a HubObjects,
    known: &'a Known,
    planned: HashMap<(BindingKind, String), HashSet<(String, String)>>,
}

impl<'a> Trace<'a> {
    fn new(hub: &'a HubObjects, known: &'a Known) -> Self {
        Self { hub, known, planned: HashMap::new() }
    }

    fn granted(&mut self, grant: &Grant<'_>) -> GrantedBy {
        let Grant { binding, subject, rule } = grant;
        let origin = self.origin(binding);
        let of = |kind| origin.as_ref().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone());
        let template = RoleOf::parse(&binding.role.name).map(|role| role.template().to_owned());
        GrantedBy {
            user_binding: of(BindingKind::User),
            group_binding: of(BindingKind::Group),
            role_template: template.filter(|name| self.hub.catalog.templates.contains_key(name)),
            subject: Subject::of(subject),
            native: Native {
                kind: if binding.kind() == Kind::RoleBinding { "RoleBinding" } else { "ClusterRoleBinding" },
                namespace: binding.namespace.to_string(),
                name: binding.name.to_string(),
            },
            role: Named { kind: binding.role.kind, name: binding.role.name.to_string() },
            rule: (*rule).clone(),
        }
    }

    fn origin(&mut self, native: &api_rbac::Binding) -> Option<(BindingKind, String)> {
        let (name, rest) = native.name.strip_prefix("cpaas:")?.split_once(':')?;
        let kind = if rest.starts_with("group:") { BindingKind::Group } else { BindingKind::User };
        let key = (kind, name.to_owned());
        let binding = self.hub.bindings.get(&key)?.says.as_ref().ok()?;
        let planned = self.planned.entry(key.clone()).or_insert_with(|| {
            let objects = binding.plan(&self.hub.catalog, &self.known.cluster);
            objects.iter().map(|object| (namespace_of(object).to_owned(), object.key().name.clone())).collect()
        });
        planned.contains(&(native.namespace.to_string(), native.name.to_string())).then_some(key)
    }
}

fn namespace_of(object: &Object) -> &str {
    object.key().namespace.as_deref().unwrap_or_default()
}

/// Why somebody may do something in a cluster, or what is missing. `sees` is whether whoever is told may know who is in the
/// namespace; else only those are named who can grant it anywhere in the cluster.
pub fn explain(
    view: &dyn View,
    cluster: &str,
    who: User<'_>,
    attributes: &Attributes<'_>,
    sees: bool,
) -> Option<Explanation> {
    let (hub, known) = (view.hub(), view.cluster(cluster)?);
    let mut trace = Trace::new(&hub, &known);
    let grants: Vec<GrantedBy> =
        known.policy.grants(who, attributes).iter().map(|grant| trace.granted(grant)).collect();
    let allowed = !grants.is_empty();
    let missing = (!allowed).then(|| missing(view, &hub, &known, attributes, sees));
    Some(Explanation { allowed, grants, missing })
}

fn missing(view: &dyn View, hub: &HubObjects, known: &Known, attributes: &Attributes<'_>, sees: bool) -> Missing {
    let scopes = scopes_at(known, attributes.namespace(), sees);
    let mut templates: Vec<Giving> = hub
        .catalog
        .templates
        .values()
        .filter(|template| {
            let mut rules = scopes.iter().flat_map(|scope| template_rules(known, template, *scope));
            rules.any(|rule| rule.allows(attributes))
        })
        // A role of clusters is not given on the hub.
        .filter(|template| !(template.level() == Level::Cluster && known.cluster.name.is_global()))
        .map(|template| Giving { role_template: template.name().to_owned(), scope: template.level() })
        .collect();
    let narrowness = |level: Level| std::cmp::Reverse(Level::ALL.iter().position(|one| *one == level));
    templates.sort_by(|a, b| (narrowness(a.scope), &a.role_template).cmp(&(narrowness(b.scope), &b.role_template)));
    let grantors = grantors(view, hub, known, attributes.namespace(), &templates, sees);
    Missing { rule: rule_of(attributes), templates, grantors }
}

/// What of a template holds in a namespace of a cluster, or, without one, in the whole cluster. Whoever may not see who is
/// in it does not learn here whether it is there, nor whose it is.
fn scopes_at(known: &Known, namespace: &str, sees: bool) -> Vec<RoleScope> {
    let more = match namespace {
        "" => None,
        PLATFORM_NAMESPACE => Some(RoleScope::SystemNs),
        "kube-public" => Some(RoleScope::KubePublic),
        _ if !sees => Some(RoleScope::BusinessNs),
        _ => known.project_of(namespace).map(|project| match project == namespace {
            true => RoleScope::ProjectNs,
            false => RoleScope::BusinessNs,
        }),
    };
    std::iter::once(RoleScope::Cluster).chain(more).collect()
}

/// The one rule that would allow it.
pub(crate) fn rule_of(attributes: &Attributes<'_>) -> PolicyRule {
    let one = |text: &str| vec![text.into()];
    match attributes.target {
        Target::Path(path) => {
            PolicyRule { verbs: one(attributes.verb), non_resource_urls: one(path), ..PolicyRule::default() }
        }
        Target::Resource(asked) => PolicyRule {
            verbs: one(attributes.verb),
            api_groups: one(asked.group),
            resources: match asked.subresource {
                "" => one(asked.resource),
                sub => vec![format!("{}/{sub}", asked.resource).into()],
            },
            resource_names: if asked.name.is_empty() { Vec::new() } else { one(asked.name) },
            ..PolicyRule::default()
        },
    }
}

/// Those who may write bindings of a template in the place, and may bind it there.
fn grantors(
    view: &dyn View,
    hub: &HubObjects,
    known: &Known,
    namespace: &str,
    templates: &[Giving],
    sees: bool,
) -> Vec<Grantor> {
    let on_hub = view.cluster(lib_names::ClusterName::GLOBAL);
    let mut found: BTreeMap<Subject, Grantor> = BTreeMap::new();
    let project = known.project_of(namespace).unwrap_or_default();
    for Giving { role_template, scope } in templates {
        let (place, namespaces) = match scope {
            Level::Platform => (on_hub.as_deref(), vec![""]),
            Level::Cluster => (Some(known), vec![""]),
            Level::Project => (Some(known), vec![if sees { project } else { "" }]),
            Level::Namespace => (Some(known), if sees { vec![namespace, project] } else { vec![""] }),
        };
        let Some(place) = place else { continue };
        let mut trace = Trace::new(hub, place);
        for namespace in namespaces.into_iter().collect::<BTreeSet<_>>() {
            let fact = |verb, resource, name| {
                let group = api_types::tenancy::GROUP;
                let resource = api_rbac::Resource { group, resource, namespace, name, ..Default::default() };
                place.policy.who_can(&Attributes::resource(verb, resource))
            };
            let write = fact("create", "userbindings", "");
            for (subject, grants) in fact("bind", "roletemplates", role_template) {
                let person = subject.kind != SubjectKind::ServiceAccount
                    && !["system:", "acp:"].iter().any(|kept| subject.name.starts_with(kept));
                let (true, true, Some(grant)) = (person, write.contains_key(subject), grants.first()) else { continue };
                let subject = Subject::of(subject);
                if !found.contains_key(&subject) && found.len() >= GRANTORS {
                    continue;
                }
                let grantor = found.entry(subject.clone()).or_insert_with(|| Grantor {
                    subject,
                    role_templates: Vec::new(),
                    because: trace.granted(grant),
                });
                if !grantor.role_templates.contains(role_template) {
                    grantor.role_templates.push(role_template.clone());
                }
            }
        }
    }
    found.into_values().collect()
}

/// Everybody who may do something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoCan {
    /// People.
    pub users: Vec<Holder>,
    /// Groups; who is in them, their provider knows.
    pub groups: Vec<Holder>,
    /// Programs in the cluster.
    pub service_accounts: Vec<Holder>,
}

/// Somebody who may do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Of a service account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Why.
    pub grants: Vec<GrantedBy>,
}

/// Who may do something in a cluster; nothing when nothing is known of it.
pub fn who_can(view: &dyn View, cluster: &str, attributes: &Attributes<'_>) -> Option<WhoCan> {
    let (hub, known) = (view.hub(), view.cluster(cluster)?);
    let mut trace = Trace::new(&hub, &known);
    let mut answer = WhoCan::default();
    for (subject, grants) in known.policy.who_can(attributes) {
        let list = match subject.kind {
            SubjectKind::User => &mut answer.users,
            SubjectKind::Group => &mut answer.groups,
            SubjectKind::ServiceAccount => &mut answer.service_accounts,
        };
        let grants = grants.iter().map(|grant| trace.granted(grant)).collect();
        list.push(Holder { namespace: subject.namespace.to_string(), name: subject.name.to_string(), grants });
    }
    Some(answer)
}

/// Whether somebody may know who is in a namespace of a cluster, or, without one, who may do what in all of it: whoever may
/// list its bindings there, in its project, in the cluster or on the hub.
pub fn sees_members(view: &dyn View, cluster: &str, who: User<'_>, namespace: &str) -> bool {
    let may = |known: &Known, namespace: &str| holds(known, who, "list", "userbindings", namespace, "");
    let everywhere = view.cluster(lib_names::ClusterName::GLOBAL).is_some_and(|hub| may(&hub, ""));
    everywhere
        || view.cluster(cluster).is_some_and(|known| {
            let project = known.project_of(namespace).unwrap_or_default();
            may(&known, namespace) || (!project.is_empty() && may(&known, project))
        })
}

/// What somebody gains or loses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who.
    pub subject: Subject,
    /// Where.
    pub cluster: String,
    /// Empty for the whole cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Which rights.
    pub rules: Vec<PolicyRule>,
}

/// What a change of bindings would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Rights that are not held yet.
    pub gains: Vec<Change>,
    /// Rights that are not held in another way.
    pub losses: Vec<Change>,
    /// Clusters that are concerned and of which nothing is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_clusters: Vec<String>,
    /// Whether there are more changes than are told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What would change if these bindings were made and those taken away. Of a group it is told what the group has: its
/// members may have it in other ways.
///
/// # Errors
///
/// Rules that say too much to be compared.
pub fn preview(view: &dyn View, create: &[Binding], delete: &[&Binding]) -> Result<Preview, TooMany> {
    let hub = view.hub();
    let mut preview = Preview::default();
    for cluster in view.clusters() {
        let concerned =
            create.iter().chain(delete.iter().copied()).any(|binding| binding.reach(&hub.catalog).contains(&cluster));
        if !concerned {
            continue;
        }
        let Some(known) = view.cluster(&cluster) else {
            preview.unknown_clusters.push(cluster);
            continue;
        };
        Comparison::new(&hub, &known, create, delete).tell(&cluster, &mut preview)?;
    }
    Ok(preview)
}

/// One cluster before and after.
struct Comparison<'a> {
    before: &'a Policy,
    after: Policy,
    /// By namespace and subject: what is given, and what is taken.
    given: Touched,
    taken: Touched,
}

type Touched = BTreeMap<(String, api_rbac::Subject), Vec<PolicyRule>>;

impl<'a> Comparison<'a> {
    fn new(hub: &HubObjects, known: &'a Known, create: &[Binding], delete: &[&Binding]) -> Self {
        let interner = Interner::default();
        let mut after = (*known.policy).clone();
        let (mut given, mut taken) = (Touched::new(), Touched::new());
        for object in delete.iter().flat_map(|binding| binding.plan(&hub.catalog, &known.cluster)) {
            let Some(native) = known.policy.binding(namespace_of(&object), &object.key().name) else { continue };
            let kind = native.kind();
            let rules = native_rules(known, &hub.catalog, &object);
            touch(&mut taken, native, &rules);
            after.remove(kind, namespace_of(&object), &object.key().name);
        }
        for object in create.iter().flat_map(|binding| binding.plan(&hub.catalog, &known.cluster)) {
            let Some(native) = native(&object) else { continue };
            let rules = native_rules(known, &hub.catalog, &object);
            after.insert_role(&native.role, &rules, &interner);
            after.insert_binding(&native, &interner);
            touch(&mut given, &native, &rules);
        }
        Self { before: &known.policy, after, given, taken }
    }

    fn tell(&self, cluster: &str, preview: &mut Preview) -> Result<(), TooMany> {
        for (touched, policy, changes) in
            [(&self.given, self.before, &mut preview.gains), (&self.taken, &self.after, &mut preview.losses)]
        {
            for ((namespace, subject), rules) in touched {
                let rules = policy.lacking(user(subject, &[subject.name.to_string()]), namespace, rules)?;
                if rules.is_empty() {
                    continue;
                }
                if changes.len() >= CHANGES {
                    preview.truncated = true;
                    break;
                }
                changes.push(Change {
                    subject: Subject::of(subject),
                    cluster: cluster.to_owned(),
                    namespace: namespace.clone(),
                    rules,
                });
            }
        }
        Ok(())
    }
}

/// Somebody with no groups, or a group with nobody in it.
fn user<'a>(subject: &'a api_rbac::Subject, own: &'a [String]) -> User<'a> {
    match subject.kind {
        SubjectKind::Group => User { name: "", groups: own },
        SubjectKind::User | SubjectKind::ServiceAccount => User { name: &subject.name, groups: &[] },
    }
}

fn touch(touched: &mut Touched, native: &api_rbac::Binding, rules: &[PolicyRule]) {
    for subject in &native.subjects {
        let all = touched.entry((native.namespace.to_string(), subject.clone())).or_default();
        for rule in rules {
            if !all.contains(rule) {
                all.push(rule.clone());
            }
        }
    }
}

/// A planned binding as a policy has it.
fn native(object: &Object) -> Option<api_rbac::Binding> {
    let subject = |value: &serde_json::Value| {
        let kind = match value["kind"].as_str()? {
            "User" => SubjectKind::User,
            "Group" => SubjectKind::Group,
            _ => return None,
        };
        Some(api_rbac::Subject { kind, namespace: "".into(), name: value["name"].as_str()?.into() })
    };
    let role = object.body()["roleRef"]["name"].as_str()?;
    Some(api_rbac::Binding {
        namespace: namespace_of(object).into(),
        name: (*object.key().name).into(),
        role: RoleRef { kind: RoleKind::ClusterRole, namespace: "".into(), name: role.into() },
        subjects: object.body()["subjects"].as_array()?.iter().filter_map(subject).collect(),
    })
}

#[cfg(test)]
mod tests;
