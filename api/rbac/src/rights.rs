//! Many questions about one user.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::index::{FEW, RuleIndex};
use crate::policy::Grant;
use crate::rule::Asked;
use crate::{Attributes, Binding, Name, PolicyRule, Resource, Rules, User};

/// What one user holds in one cluster, as it was when it was asked for.
///
/// Making it looks at each of the user's bindings once; afterwards an answer takes the same time however many they are.
#[derive(Debug, Default)]
pub struct Rights {
    cluster: Scope,
    namespaces: HashMap<Name, Scope>,
}

/// What holds in one place, and no more often than the first time.
#[derive(Debug, Default)]
struct Scope {
    held: Vec<Held>,
    merged: OnceLock<Merged>,
}

#[derive(Debug)]
struct Held {
    binding: Arc<Binding>,
    /// Which of the binding's subjects the user is.
    subject: usize,
    rules: Arc<Rules>,
}

/// One index over the rules of many roles.
#[derive(Debug)]
struct Merged {
    /// What is held, and which rule of it.
    rules: Vec<(u32, u32)>,
    index: RuleIndex,
}

/// Namespaces in which somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// In every one, also those that are yet to come, and what has no namespace.
    All,
    These(BTreeSet<Name>),
}

impl Namespaces {
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.contains(namespace),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(these) if these.is_empty())
    }
}

impl Rights {
    /// Of bindings in order of their namespaces.
    pub(crate) fn of<'a>(user: User<'_>, held: impl Iterator<Item = (&'a Arc<Binding>, &'a Arc<Rules>)>) -> Self {
        let mut rights = Self::default();
        let mut seen: HashSet<(&str, *const Rules)> = HashSet::new();
        for (binding, rules) in held {
            // The second binding that gives the same rules in the same place gives nothing.
            if !seen.insert((&binding.namespace, Arc::as_ptr(rules))) {
                continue;
            }
            let Some(subject) = binding.subjects.iter().position(|subject| subject.is(user)) else { continue };
            let scope = match &*binding.namespace {
                "" => &mut rights.cluster,
                _ => rights.namespaces.entry(binding.namespace.clone()).or_default(),
            };
            scope.held.push(Held { binding: binding.clone(), subject, rules: rules.clone() });
        }
        rights
    }

    /// As [`Policy::allows`](crate::Policy::allows).
    pub fn allows(&self, attributes: &Attributes<'_>) -> Option<Grant<'_>> {
        let asked = Asked::request(attributes);
        self.cluster.first(&asked).or_else(|| self.namespaces.get(attributes.namespace())?.first(&asked))
    }

    /// Where the user may do it with all objects of a resource: `pods`, or `pods/log`.
    pub fn namespaces_where(&self, verb: &str, group: &str, resource: &str) -> Namespaces {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let asked = Resource { group, resource, subresource, ..Resource::default() };
        let attributes = Attributes::resource(verb, asked);
        let asked = Asked::request(&attributes);
        if self.cluster.first(&asked).is_some() {
            return Namespaces::All;
        }
        let these = self.namespaces.iter().filter(|(_, scope)| scope.first(&asked).is_some());
        Namespaces::These(these.map(|(namespace, _)| namespace.clone()).collect())
    }
}

impl Scope {
    fn first(&self, asked: &Asked<'_>) -> Option<Grant<'_>> {
        if self.held.len() <= FEW {
            return self.held.iter().find_map(|held| Some(held.grant(held.rules.first(asked)?)));
        }
        let merged = self.merged.get_or_init(|| Merged::of(&self.held));
        let rule = |number: usize| {
            let (held, rule) = merged.rules[number];
            let held = &self.held[held as usize];
            (held, &*held.rules.as_slice()[rule as usize])
        };
        let (held, rule) = rule(merged.index.first(asked, |number| rule(number).1.permits(asked))?);
        Some(held.grant(rule))
    }
}

impl Held {
    fn grant<'a>(&'a self, rule: &'a PolicyRule) -> Grant<'a> {
        Grant { binding: &self.binding, subject: &self.binding.subjects[self.subject], rule }
    }
}

impl Merged {
    fn of(held: &[Held]) -> Self {
        let numbered =
            (0..).zip(held).flat_map(|(held, one)| (0..).zip(one.rules.as_slice()).map(move |(rule, _)| (held, rule)));
        let rules = held.iter().flat_map(|held| held.rules.as_slice()).map(|rule| &**rule);
        Self { index: RuleIndex::of(rules), rules: numbered.collect() }
    }
}
