//! The rules of a role, and the way to those that may speak of a question.
//!
//! Roles that are aggregated from many have thousands of rules, of which few name one resource.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::rule::{ALL, Asked, What};
use crate::{Name, PolicyRule};

/// So many are looked at one by one.
pub(crate) const FEW: usize = 12;

/// The rules of one role, in their order.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Box<[Arc<PolicyRule>]>,
    index: OnceLock<Box<RuleIndex>>,
}

impl Rules {
    pub(crate) fn new(rules: Box<[Arc<PolicyRule>]>) -> Self {
        Self { rules, index: OnceLock::new() }
    }

    pub fn as_slice(&self) -> &[Arc<PolicyRule>] {
        &self.rules
    }

    fn index(&self) -> &RuleIndex {
        self.index.get_or_init(|| Box::new(RuleIndex::of(self.rules.iter().map(Deref::deref))))
    }

    /// The first rule that allows what is asked.
    pub(crate) fn first(&self, asked: &Asked<'_>) -> Option<&PolicyRule> {
        if self.rules.len() <= FEW {
            return self.rules.iter().map(Deref::deref).find(|rule| rule.permits(asked));
        }
        self.index().first(asked, |number| self.rules[number].permits(asked)).map(|number| &*self.rules[number])
    }

    /// All rules that allow what is asked.
    pub(crate) fn all(&self, asked: &Asked<'_>) -> Vec<&PolicyRule> {
        let mut rules: Vec<&PolicyRule> = if self.rules.len() <= FEW {
            self.rules.iter().map(Deref::deref).collect()
        } else {
            self.index().candidates(asked).into_iter().map(|number| &*self.rules[number]).collect()
        };
        rules.retain(|rule| rule.permits(asked));
        rules
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Rules {}

/// Numbers of rules by what they name. Its size is that of the rules: it does not multiply their fields.
#[derive(Debug, Default)]
pub(crate) struct RuleIndex {
    /// By resource, and `*/log`.
    resources: HashMap<Name, Vec<u32>>,
    /// Rules for every resource, by API group.
    groups: HashMap<Name, Vec<u32>>,
    paths: Vec<u32>,
}

impl RuleIndex {
    pub(crate) fn of<'a>(rules: impl IntoIterator<Item = &'a PolicyRule>) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0..).zip(rules) {
            for resource in &rule.resources {
                if **resource == *ALL {
                    rule.api_groups.iter().for_each(|group| add(&mut index.groups, group, number));
                } else {
                    add(&mut index.resources, resource, number);
                }
            }
            if !rule.non_resource_urls.is_empty() {
                index.paths.push(number);
            }
        }
        index
    }

    /// Whatever may allow what is asked is in one of these, each of which is in order.
    fn lists(&self, asked: &Asked<'_>) -> [&[u32]; 4] {
        match &asked.what {
            What::Path(_) => [&self.paths, &[], &[], &[]],
            What::Resource { group, resource, of_all, .. } => [
                get(&self.resources, resource),
                of_all.as_ref().map_or(&[], |all| get(&self.resources, all)),
                get(&self.groups, group),
                get(&self.groups, ALL),
            ],
        }
    }

    /// The lowest number for which `permits` holds.
    pub(crate) fn first(&self, asked: &Asked<'_>, permits: impl Fn(usize) -> bool) -> Option<usize> {
        let lists = self.lists(asked).into_iter();
        lists.filter_map(|list| list.iter().map(|number| *number as usize).find(|number| permits(*number))).min()
    }

    /// The numbers of all rules that may allow what is asked, in order.
    fn candidates(&self, asked: &Asked<'_>) -> Vec<usize> {
        let mut numbers: Vec<usize> = self.lists(asked).into_iter().flatten().map(|number| *number as usize).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

fn get<'a>(lists: &'a HashMap<Name, Vec<u32>>, key: &str) -> &'a [u32] {
    lists.get(key).map_or(&[], |list| list)
}

fn add(lists: &mut HashMap<Name, Vec<u32>>, key: &Name, number: u32) {
    match lists.get_mut(key) {
        // A rule may say a thing twice.
        Some(list) if list.last() == Some(&number) => {}
        Some(list) => list.push(number),
        None => drop(lists.insert(key.clone(), vec![number])),
    }
}
