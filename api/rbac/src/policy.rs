//! The roles and bindings of one cluster, and what they come to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use api_meta::Object;

use crate::interner::Pools;
use crate::objects::{ACCOUNTS, read_rules};
use crate::rule::Asked;
use crate::{
    Attributes, Binding, Interner, Kind, Name, PolicyRule, Rights, RoleKind, RoleRef, Rules, Subject, SubjectKind,
    TooMany, User, lacking,
};

/// The roles and bindings of one cluster.
///
/// Objects come and go one by one. However they came, the same objects are the same policy, and answers name the first
/// of many reasons in one order: bindings of the whole cluster, then of the namespace, each by name, then by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    roles: HashMap<RoleRef, Arc<Rules>>,
    /// By namespace, empty for the whole cluster; in each by name.
    bindings: HashMap<Name, Vec<Arc<Binding>>>,
    /// By user; service accounts by the names of their users. Each by namespace and name, as below.
    users: Index,
    groups: Index,
}

type Index = HashMap<Name, Vec<Arc<Binding>>>;

/// Why somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// It names the role.
    pub binding: &'a Binding,
    /// Who the user is in the binding.
    pub subject: &'a Subject,
    /// The rule of the role.
    pub rule: &'a PolicyRule,
}

/// Objects.
impl Policy {
    /// Takes in an object, in place of the one of that kind, namespace and name. True when that changes anything.
    ///
    /// What cannot be read grants nothing.
    pub fn insert(&mut self, kind: Kind, object: &Object, interner: &Interner) -> bool {
        let namespace = if kind.is_namespaced() { object.namespace() } else { "" };
        if kind.is_namespaced() && namespace.is_empty() {
            return false;
        }
        let pools = &mut *interner.pools();
        let changed = match kind {
            Kind::Role | Kind::ClusterRole => {
                let role = role_ref(kind, pools.name(namespace), pools.name(object.name()));
                let rules = read_rules(object, &mut |name| pools.name(name));
                self.put_role(role, pools.rules(rules))
            }
            Kind::RoleBinding | Kind::ClusterRoleBinding => {
                match Binding::read(object, namespace, &mut |name| pools.name(name)) {
                    Some(binding) => self.put_binding(pools.binding(binding), pools),
                    None => self.remove_binding(namespace, object.name()),
                }
            }
        };
        pools.sweep();
        changed
    }

    /// As [`Self::insert`] of a role.
    pub fn insert_role(&mut self, role: &RoleRef, rules: &[PolicyRule], interner: &Interner) -> bool {
        let pools = &mut *interner.pools();
        let (role, rules) =
            (pools.named_role(role), rules.iter().map(|rule| pools.named_rule(rule)).collect::<Vec<_>>());
        let changed = self.put_role(role, pools.rules(rules));
        pools.sweep();
        changed
    }

    /// As [`Self::insert`] of a binding.
    pub fn insert_binding(&mut self, binding: &Binding, interner: &Interner) -> bool {
        let pools = &mut *interner.pools();
        let binding = pools.named_binding(binding);
        let changed = self.put_binding(pools.binding(binding), pools);
        pools.sweep();
        changed
    }

    /// Forgets an object. True when it was there.
    pub fn remove(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        let namespace = if kind.is_namespaced() { namespace } else { "" };
        match kind {
            Kind::Role | Kind::ClusterRole => {
                self.roles.remove(&role_ref(kind, namespace.into(), name.into())).is_some()
            }
            Kind::RoleBinding if namespace.is_empty() => false,
            Kind::RoleBinding | Kind::ClusterRoleBinding => self.remove_binding(namespace, name),
        }
    }

    /// The rules of a role; `None` when there is no such role.
    pub fn role(&self, role: &RoleRef) -> Option<&Rules> {
        self.roles.get(role).map(|rules| &**rules)
    }

    pub fn roles(&self) -> impl Iterator<Item = (&RoleRef, &Rules)> {
        self.roles.iter().map(|(role, rules)| (role, &**rules))
    }

    /// A binding; of the whole cluster, if the namespace is empty.
    pub fn binding(&self, namespace: &str, name: &str) -> Option<&Binding> {
        let there = self.bindings.get(namespace)?;
        there.binary_search_by(|binding| (*binding.name).cmp(name)).ok().map(|at| &*there[at])
    }

    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values().flatten().map(|binding| &**binding)
    }

    fn put_role(&mut self, role: RoleRef, rules: Arc<Rules>) -> bool {
        let before = self.roles.insert(role, rules.clone());
        before.is_none_or(|before| !same(&before, &rules))
    }

    fn put_binding(&mut self, binding: Arc<Binding>, pools: &mut Pools) -> bool {
        let there = self.bindings.entry(binding.namespace.clone()).or_default();
        match there.binary_search_by(|other| other.name.cmp(&binding.name)) {
            Ok(at) if same(&there[at], &binding) => return false,
            Ok(at) => {
                let before = std::mem::replace(&mut there[at], binding.clone());
                self.unfile(&before);
            }
            Err(at) => there.insert(at, binding.clone()),
        }
        for subject in &binding.subjects {
            match subject.kind {
                SubjectKind::Group => file(&mut self.groups, &subject.name, &binding),
                SubjectKind::User => file(&mut self.users, &subject.name, &binding),
                SubjectKind::ServiceAccount => file(&mut self.users, &pools.name(&account(subject)), &binding),
            }
        }
        true
    }

    fn remove_binding(&mut self, namespace: &str, name: &str) -> bool {
        let Some(there) = self.bindings.get_mut(namespace) else { return false };
        let Ok(at) = there.binary_search_by(|binding| (*binding.name).cmp(name)) else { return false };
        let binding = there.remove(at);
        if there.is_empty() {
            self.bindings.remove(namespace);
        }
        self.unfile(&binding);
        true
    }

    fn unfile(&mut self, binding: &Binding) {
        for subject in &binding.subjects {
            match subject.kind {
                SubjectKind::Group => unfile(&mut self.groups, &subject.name, binding),
                SubjectKind::User => unfile(&mut self.users, &subject.name, binding),
                SubjectKind::ServiceAccount => unfile(&mut self.users, &account(subject), binding),
            }
        }
    }
}

/// Questions.
impl Policy {
    /// The first reason for which the user may do it.
    pub fn allows(&self, user: User<'_>, attributes: &Attributes<'_>) -> Option<Grant<'_>> {
        let asked = Asked::request(attributes);
        self.held(user, attributes.namespace()).find_map(|(binding, rules)| {
            let rule = rules.first(&asked)?;
            Some(Grant { binding, subject: binding.subject(user)?, rule })
        })
    }

    /// All reasons for which the user may do it.
    pub fn grants(&self, user: User<'_>, attributes: &Attributes<'_>) -> Vec<Grant<'_>> {
        let asked = Asked::request(attributes);
        let mut grants = Vec::new();
        for (binding, rules) in self.held(user, attributes.namespace()) {
            let subjects: Vec<&Subject> = binding.subjects.iter().filter(|subject| subject.is(user)).collect();
            for rule in rules.all(&asked) {
                grants.extend(subjects.iter().map(|subject| Grant { binding, subject, rule }));
            }
        }
        grants
    }

    /// All rules that hold for a user in a namespace, or, without one, in the whole cluster.
    pub fn rules_for(&self, user: User<'_>, namespace: &str) -> Vec<&PolicyRule> {
        let held = self.held(user, namespace);
        held.flat_map(|(_, rules)| rules.as_slice().iter().map(|rule| &**rule)).collect()
    }

    /// What some rules say that the user may not do in a namespace, or, without one, in the whole cluster: who lacks
    /// anything may not grant those rules there.
    ///
    /// # Errors
    ///
    /// As [`lacking`].
    pub fn lacking<'a>(
        &self,
        user: User<'_>,
        namespace: &str,
        wanted: impl IntoIterator<Item = &'a PolicyRule>,
    ) -> Result<Vec<PolicyRule>, TooMany> {
        lacking(self.rules_for(user, namespace), wanted)
    }

    /// Roles that bindings give to the user in a namespace, or in the whole cluster, and that do not exist.
    pub fn missing_roles(&self, user: User<'_>, namespace: &str) -> Vec<&RoleRef> {
        let bindings = self.bindings_of(user, Some(namespace)).into_iter();
        let mut seen = HashSet::new();
        bindings
            .map(|binding| &binding.role)
            .filter(|role| !self.roles.contains_key(*role) && seen.insert(*role))
            .collect()
    }

    /// Everybody who may do it, and why. Who the members of groups are is not known here.
    pub fn who_can(&self, attributes: &Attributes<'_>) -> BTreeMap<&Subject, Vec<Grant<'_>>> {
        let asked = Asked::request(attributes);
        let places = BTreeSet::from(["", attributes.namespace()]);
        let bindings = places.into_iter().filter_map(|place| self.bindings.get(place)).flatten();
        // Many bindings give one role.
        let mut allowing: HashMap<&RoleRef, Vec<&PolicyRule>> = HashMap::new();
        let mut found: BTreeMap<&Subject, Vec<Grant<'_>>> = BTreeMap::new();
        for binding in bindings {
            let rules = allowing
                .entry(&binding.role)
                .or_insert_with(|| self.roles.get(&binding.role).map(|rules| rules.all(&asked)).unwrap_or_default());
            if rules.is_empty() {
                continue;
            }
            for subject in &binding.subjects {
                let grants = rules.iter().map(|rule| Grant { binding, subject, rule });
                found.entry(subject).or_default().extend(grants);
            }
        }
        found
    }

    /// All that the user holds, for many questions.
    pub fn rights(&self, user: User<'_>) -> Rights {
        let bindings = self.bindings_of(user, None).into_iter();
        Rights::of(user, bindings.filter_map(|binding| Some((binding, self.roles.get(&binding.role)?))))
    }

    /// Whether any binding names the user or one of the groups.
    pub fn binds(&self, user: User<'_>) -> bool {
        let of_groups = || user.groups.iter().filter_map(|group| self.groups.get(&**group));
        self.users.get(user.name).into_iter().chain(of_groups()).any(|bindings| !bindings.is_empty())
    }

    /// What the user holds in a namespace, in order.
    fn held<'a>(&'a self, user: User<'_>, namespace: &str) -> impl Iterator<Item = (&'a Binding, &'a Rules)> {
        let bindings = self.bindings_of(user, Some(namespace)).into_iter();
        bindings.filter_map(|binding| Some((&**binding, &**self.roles.get(&binding.role)?)))
    }

    /// The bindings of a user that hold in a namespace, or all of them, in order.
    fn bindings_of(&self, user: User<'_>, namespace: Option<&str>) -> Vec<&Arc<Binding>> {
        let mine = self.users.get(user.name).into_iter();
        let ours = user.groups.iter().filter_map(|group| self.groups.get(&**group));
        let mut bindings: Vec<&Arc<Binding>> = Vec::new();
        for list in mine.chain(ours) {
            match namespace {
                None => bindings.extend(list),
                Some("") => bindings.extend(of_cluster(list)),
                Some(namespace) => bindings.extend(of_cluster(list).chain(of_namespace(list, namespace))),
            }
        }
        bindings.sort_by(|a, b| place(a).cmp(&place(b)));
        bindings.dedup_by(|a, b| Arc::ptr_eq(a, b));
        bindings
    }
}

fn role_ref(kind: Kind, namespace: Name, name: Name) -> RoleRef {
    let kind = if kind.is_namespaced() { RoleKind::Role } else { RoleKind::ClusterRole };
    RoleRef { kind, namespace, name }
}

/// The name of a service account's user.
fn account(subject: &Subject) -> String {
    format!("{ACCOUNTS}{}:{}", subject.namespace, subject.name)
}

fn place(binding: &Binding) -> (&str, &str) {
    (&binding.namespace, &binding.name)
}

fn same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// Of bindings in order, those of the whole cluster: they are first.
fn of_cluster(list: &[Arc<Binding>]) -> impl Iterator<Item = &Arc<Binding>> {
    list.iter().take_while(|binding| binding.namespace.is_empty())
}

/// Of bindings in order, those of a namespace.
fn of_namespace<'a>(list: &'a [Arc<Binding>], namespace: &str) -> impl Iterator<Item = &'a Arc<Binding>> {
    let start = list.partition_point(|binding| *binding.namespace < *namespace);
    list[start..].iter().take_while(move |binding| *binding.namespace == *namespace)
}

fn file(index: &mut Index, name: &Name, binding: &Arc<Binding>) {
    let list = index.entry(name.clone()).or_default();
    // An account may stand in a binding as one and as its user.
    if let Err(at) = list.binary_search_by(|other| place(other).cmp(&place(binding))) {
        list.insert(at, binding.clone());
    }
}

fn unfile(index: &mut Index, name: &str, binding: &Binding) {
    let Some(list) = index.get_mut(name) else { return };
    if let Ok(at) = list.binary_search_by(|other| place(other).cmp(&place(binding))) {
        list.remove(at);
    }
    if list.is_empty() {
        index.remove(name);
    }
}

#[cfg(test)]
mod tests;
