//! A pod's wishes about other pods, parsed once.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Pod, PodAffinityTerm, TopologySpreadConstraint, WeightedPodAffinityTerm},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::core::{Expression, Selector, SelectorExt};

use crate::meta::{labels, namespace};

pub(super) type Labels = BTreeMap<String, String>;

/// One term of pod affinity or anti-affinity.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) topology_key: String,
    selector: Option<Selector>,
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    /// 1 for required terms.
    pub(super) weight: i64,
}

impl Term {
    fn new(pod: &Pod, term: &PodAffinityTerm, weight: i64) -> Self {
        let mut selector = term.label_selector.as_ref().and_then(parse);
        if let Some(selector) = &mut selector {
            selector.extend(alike(pod, term.match_label_keys.as_deref(), Expression::In));
            selector.extend(alike(pod, term.mismatch_label_keys.as_deref(), Expression::NotIn));
        }
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace(pod).to_owned());
        }
        Self {
            topology_key: term.topology_key.clone(),
            selector,
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().and_then(parse),
            weight,
        }
    }

    /// Whether a pod with these labels is meant; its namespace's labels are given too.
    pub(super) fn matches(&self, namespace: &str, of_namespace: &Labels, labels: &Labels) -> bool {
        self.covers(namespace, of_namespace) && self.selector.as_ref().is_some_and(|wanted| wanted.matches(labels))
    }

    fn covers(&self, namespace: &str, of_namespace: &Labels) -> bool {
        self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.as_ref().is_some_and(|wanted| wanted.matches(of_namespace))
    }

    /// The namespaces that may be meant; `None` when labels decide.
    pub(super) fn only_in(&self) -> Option<&[String]> {
        self.namespace_selector.is_none().then_some(&self.namespaces)
    }
}

/// All terms of one pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) affinity: Vec<Term>,
    pub(super) anti_affinity: Vec<Term>,
    pub(super) preferred_affinity: Vec<Term>,
    pub(super) preferred_anti_affinity: Vec<Term>,
}

impl Terms {
    pub(super) fn of(pod: &Pod) -> Self {
        let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
        let (near, far) = (
            affinity.and_then(|affinity| affinity.pod_affinity.as_ref()),
            affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref()),
        );
        let required = |terms: Option<&Vec<PodAffinityTerm>>| {
            terms.into_iter().flatten().map(|term| Term::new(pod, term, 1)).collect()
        };
        let preferred = |terms: Option<&Vec<WeightedPodAffinityTerm>>| {
            let terms = terms.into_iter().flatten();
            terms.map(|term| Term::new(pod, &term.pod_affinity_term, i64::from(term.weight))).collect()
        };
        Self {
            affinity: required(near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            anti_affinity: required(far.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            preferred_affinity: preferred(
                near.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            preferred_anti_affinity: preferred(
                far.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.affinity.is_empty() && self.anti_affinity.is_empty() && !self.prefers()
    }

    pub(super) fn prefers(&self) -> bool {
        !(self.preferred_affinity.is_empty() && self.preferred_anti_affinity.is_empty())
    }
}

/// One topology spread constraint.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) topology_key: String,
    selector: Option<Selector>,
    pub(super) max_skew: i64,
    pub(super) min_domains: i64,
    /// `DoNotSchedule`.
    pub(super) hard: bool,
    pub(super) honors_affinity: bool,
    pub(super) honors_taints: bool,
}

impl Spread {
    fn new(pod: &Pod, given: &TopologySpreadConstraint) -> Self {
        let mut selector = given.label_selector.as_ref().and_then(parse);
        if let Some(selector) = &mut selector {
            selector.extend(alike(pod, given.match_label_keys.as_deref(), Expression::In));
        }
        Self {
            topology_key: given.topology_key.clone(),
            selector,
            max_skew: i64::from(given.max_skew),
            min_domains: given.min_domains.map_or(1, i64::from),
            hard: given.when_unsatisfiable != "ScheduleAnyway",
            honors_affinity: given.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_taints: given.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    /// What upstream's default profile wishes for pods that wish nothing.
    pub(super) fn by_default(topology_key: &str, max_skew: i64, selector: &Selector) -> Self {
        Self {
            topology_key: topology_key.to_owned(),
            selector: Some(selector.clone()),
            max_skew,
            min_domains: 1,
            hard: false,
            honors_affinity: true,
            honors_taints: false,
        }
    }

    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|wanted| wanted.matches(labels))
    }

    pub(super) fn all_of(pod: &Pod) -> Vec<Self> {
        let given = pod.spec.iter().flat_map(|spec| spec.topology_spread_constraints.iter().flatten());
        given.map(|constraint| Self::new(pod, constraint)).collect()
    }
}

/// A selector that cannot be parsed selects nothing; the API server lets none in.
pub(super) fn parse(selector: &LabelSelector) -> Option<Selector> {
    Selector::try_from(selector.clone()).ok()
}

/// What `matchLabelKeys` adds: the pod's own values of these labels. Labels it does not have add nothing.
fn alike<'a>(
    pod: &'a Pod,
    keys: Option<&'a [String]>,
    how: fn(String, std::collections::BTreeSet<String>) -> Expression,
) -> impl Iterator<Item = Expression> + 'a {
    keys.unwrap_or_default()
        .iter()
        .filter_map(move |key| Some(how(key.clone(), [labels(pod).get(key)?.clone()].into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn labels_of(value: Value) -> Labels {
        serde_json::from_value(value).unwrap()
    }

    #[track_caller]
    fn check(term: Value, namespace: &str, labels: Value, expect: bool) {
        let mut term = term;
        term["topologyKey"] = json!("zone");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "labels": {"app": "a", "hash": "1"}},
            "spec": {"containers": [], "affinity": {"podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term]}}}}))
        .unwrap();
        let of_namespace = labels_of(json!({"team": namespace}));
        assert_eq!(Terms::of(&pod).affinity[0].matches(namespace, &of_namespace, &labels_of(labels)), expect);
    }

    #[test]
    fn namespaces_of_terms() {
        let a = || json!({"matchLabels": {"app": "a"}});
        check(json!({"labelSelector": a()}), "n", json!({"app": "a"}), true);
        check(json!({"labelSelector": a()}), "m", json!({"app": "a"}), false);
        check(json!({"labelSelector": a(), "namespaces": ["m"]}), "m", json!({"app": "a"}), true);
        check(json!({"labelSelector": a(), "namespaces": ["m"]}), "n", json!({"app": "a"}), false);
        check(json!({"labelSelector": a(), "namespaceSelector": {}}), "o", json!({"app": "a"}), true);
        let team = json!({"matchLabels": {"team": "o"}});
        check(json!({"labelSelector": a(), "namespaceSelector": team}), "o", json!({"app": "a"}), true);
        check(json!({"labelSelector": a(), "namespaceSelector": team}), "n", json!({"app": "a"}), false);
    }

    #[test]
    fn selectors_of_terms() {
        check(json!({}), "n", json!({"app": "a"}), false);
        check(json!({"labelSelector": {}}), "n", json!({}), true);
        let hash = json!({"labelSelector": {}, "matchLabelKeys": ["hash", "absent"]});
        check(hash.clone(), "n", json!({"hash": "1"}), true);
        check(hash, "n", json!({"hash": "2"}), false);
        let other = json!({"labelSelector": {}, "mismatchLabelKeys": ["hash"]});
        check(other.clone(), "n", json!({"hash": "1"}), false);
        check(other, "n", json!({"hash": "2"}), true);
    }
}
