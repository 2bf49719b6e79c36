//! What many clusters have in common, held once.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Binding, PolicyRule, RoleRef, Rules, Subject};

/// A name of anything, shared by all who say it.
pub type Name = Arc<str>;

/// How much may be forgotten by everybody else before it is looked for.
const SLACK: usize = 4096;

/// Keeps one copy of each name, rule, list of rules and binding, for as long as a policy holds it.
///
/// Clusters of one fleet say mostly the same: policies that share an interner share that.
#[derive(Debug, Default)]
pub struct Interner(Mutex<Pools>);

#[derive(Debug, Default)]
pub(crate) struct Pools {
    names: HashSet<Name>,
    rules: HashSet<Arc<PolicyRule>>,
    lists: HashSet<Listed>,
    bindings: HashSet<Arc<Binding>>,
    /// How many things were left when it was last swept.
    kept: usize,
}

impl Interner {
    pub(crate) fn pools(&self) -> MutexGuard<'_, Pools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pools {
    pub(crate) fn name(&mut self, name: &str) -> Name {
        if let Some(there) = self.names.get(name) {
            return there.clone();
        }
        let made = Name::from(name);
        self.names.insert(made.clone());
        made
    }

    /// Of rules whose names are from here.
    pub(crate) fn rules(&mut self, rules: impl IntoIterator<Item = PolicyRule>) -> Arc<Rules> {
        let rules = rules.into_iter().map(|rule| one(&mut self.rules, rule)).collect();
        let made = Listed(Arc::new(Rules::new(rules)));
        if let Some(there) = self.lists.get(&made) {
            return there.0.clone();
        }
        let rules = made.0.clone();
        self.lists.insert(made);
        rules
    }

    /// Of a binding whose names are from here.
    pub(crate) fn binding(&mut self, binding: Binding) -> Arc<Binding> {
        one(&mut self.bindings, binding)
    }

    pub(crate) fn named_rule(&mut self, rule: &PolicyRule) -> PolicyRule {
        let mut names = |names: &[Name]| names.iter().map(|name| self.name(name)).collect();
        PolicyRule {
            verbs: names(&rule.verbs),
            api_groups: names(&rule.api_groups),
            resources: names(&rule.resources),
            resource_names: names(&rule.resource_names),
            non_resource_urls: names(&rule.non_resource_urls),
        }
    }

    pub(crate) fn named_role(&mut self, role: &RoleRef) -> RoleRef {
        RoleRef { kind: role.kind, namespace: self.name(&role.namespace), name: self.name(&role.name) }
    }

    pub(crate) fn named_binding(&mut self, binding: &Binding) -> Binding {
        let subject = |subject: &Subject| Subject {
            kind: subject.kind,
            namespace: self.name(&subject.namespace),
            name: self.name(&subject.name),
        };
        Binding {
            subjects: binding.subjects.iter().map(subject).collect(),
            namespace: self.name(&binding.namespace),
            name: self.name(&binding.name),
            role: self.named_role(&binding.role),
        }
    }

    /// Drops what no policy holds any more, once that may be as much as what is held.
    pub(crate) fn sweep(&mut self) {
        if self.len() < 2 * self.kept + SLACK {
            return;
        }
        // What holds others goes first.
        self.bindings.retain(held);
        self.lists.retain(|list| held(&list.0));
        self.rules.retain(held);
        self.names.retain(held);
        self.kept = self.len();
    }

    fn len(&self) -> usize {
        self.bindings.len() + self.lists.len() + self.rules.len() + self.names.len()
    }
}

/// A list of rules that are from here: equal ones are the same, and a list is known by where they are.
#[derive(Debug)]
struct Listed(Arc<Rules>);

impl Listed {
    fn places(&self) -> impl Iterator<Item = *const PolicyRule> {
        self.0.as_slice().iter().map(Arc::as_ptr)
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.places().eq(other.places())
    }
}

impl Eq for Listed {}

impl Hash for Listed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places().for_each(|place| place.hash(state));
    }
}

fn one<T: Hash + Eq>(pool: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    if let Some(there) = pool.get(&value) {
        return there.clone();
    }
    let made = Arc::new(value);
    pool.insert(made.clone());
    made
}

fn held<T: ?Sized>(thing: &Arc<T>) -> bool {
    Arc::strong_count(thing) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resource: &str) -> PolicyRule {
        PolicyRule { resources: vec![resource.into()], ..PolicyRule::default() }
    }

    #[test]
    fn equal_lists_are_one() {
        let mut pools = Pools::default();
        let (first, second) = (pools.rules([rule("a"), rule("b")]), pools.rules([rule("a"), rule("b")]));
        assert!(Arc::ptr_eq(&first, &second));
        let longer = pools.rules([rule("a"), rule("b"), rule("c")]);
        assert!(Arc::ptr_eq(&first.as_slice()[0], &longer.as_slice()[0]));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut pools = Pools::default();
        let kept = pools.rules([rule("kept")]);
        for round in 0..3 * SLACK {
            let name = pools.name(&format!("r{round}"));
            pools.rules([rule(&name)]);
            pools.sweep();
        }
        assert!(pools.len() < 2 * SLACK, "{}", pools.len());
        assert!(Arc::ptr_eq(&kept, &pools.rules([rule("kept")])));
    }
}
