//! Why nodes were refused, and what is said of it: upstream's texts, word for word.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::{BitOr, BitOrAssign},
};

/// Upstream's plugins, as far as they refuse nodes; in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    NodeUnschedulable,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
}

/// A set of plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plugins(u16);

impl Plugins {
    pub(super) fn contains(self, plugin: Plugin) -> bool {
        self.0 & Self::from(plugin).0 != 0
    }
}

impl From<Plugin> for Plugins {
    fn from(plugin: Plugin) -> Self {
        Self(1 << plugin as u16)
    }
}

impl BitOr for Plugins {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Plugins {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

pub(super) type Reason = Cow<'static, str>;

/// One plugin's no to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) plugin: Plugin,
    /// Whether taking pods off the node could change it.
    pub(super) resolvable: bool,
    pub(super) reasons: Vec<Reason>,
}

impl Refusal {
    /// Until pods leave.
    pub(super) fn for_now(plugin: Plugin, reason: impl Into<Reason>) -> Self {
        Self { plugin, resolvable: true, reasons: vec![reason.into()] }
    }

    /// Whatever pods are on the node.
    pub(super) fn for_good(plugin: Plugin, reason: impl Into<Reason>) -> Self {
        Self { plugin, resolvable: false, reasons: vec![reason.into()] }
    }
}

/// Why a pod fits nowhere (upstream: `framework.FitError`, `Diagnosis`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Diagnosis {
    NoNodes,
    /// Said before any node was looked at.
    Pod {
        plugin: Plugin,
        reason: String,
        nodes: usize,
    },
    Nodes {
        /// By the node's slot.
        refusals: Vec<(usize, Refusal)>,
        /// How many nodes there are in all; those without a refusal of their own were ruled out by name.
        nodes: usize,
    },
}

impl Diagnosis {
    pub(super) fn plugins(&self) -> Plugins {
        match self {
            Self::NoNodes => Plugin::NodeAffinity.into(),
            Self::Pod { plugin, .. } => (*plugin).into(),
            Self::Nodes { refusals, nodes } => {
                let named = if refusals.len() < *nodes { Plugin::NodeAffinity.into() } else { Plugins::default() };
                refusals.iter().fold(named, |all, (_, refusal)| all | refusal.plugin.into())
            }
        }
    }

    /// What is told to people. `preemption` is what came of trying to make room; empty when room is being made.
    pub(super) fn message(&self, preemption: &str) -> String {
        let text = match self {
            Self::NoNodes => return "no nodes available to schedule pods".to_owned(),
            // Plugins that were not asked have no state when preemption is tried, and upstream says so: "not found".
            Self::Pod { reason, nodes, .. } => return format!("0/{nodes} nodes are available: {reason}. not found"),
            Self::Nodes { refusals, nodes } => {
                let reasons = refusals.iter().map(|(_, refusal)| refusal.reasons.as_slice());
                histogram(*nodes, reasons, "node(s) didn't satisfy plugin(s) [NodeAffinity]")
            }
        };
        if preemption.is_empty() {
            return text;
        }
        // The plugin for resource claims comes first and has none to give.
        format!("{text} no new claims to deallocate, preemption: {preemption}")
    }
}

/// Reasons with their counts; nodes that are not listed are counted under `absent`.
pub(super) fn histogram<'a>(nodes: usize, listed: impl Iterator<Item = &'a [Reason]>, absent: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut explained = 0;
    for reasons in listed {
        explained += 1;
        for reason in reasons {
            *counts.entry(reason).or_insert(0) += 1;
        }
    }
    if explained < nodes {
        *counts.entry(absent).or_insert(0) += nodes - explained;
    }
    let mut lines: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    lines.sort();
    if lines.is_empty() {
        return format!("0/{nodes} nodes are available:");
    }
    format!("0/{nodes} nodes are available: {}.", lines.join(", "))
}
