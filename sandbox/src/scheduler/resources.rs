//! Quantities, what pods ask for, and whether a node has it.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::{Container, Pod, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    node_info::NodeInfo,
    pod_info::PodInfo,
    refusal::{Plugin, Reason, Refusal},
};

/// What a container without requests is taken to use, so that many of them are not put on one node.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts: thousandths of cores, bytes, and whole units of anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) milli_cpu: i64,
    pub(super) memory: i64,
    pub(super) ephemeral_storage: i64,
    pub(super) others: BTreeMap<String, i64>,
}

type Amounts = BTreeMap<String, Quantity>;

impl Resources {
    pub(super) fn from_map(map: Option<&Amounts>) -> Self {
        let mut all = Self::default();
        for (name, amount) in map.into_iter().flatten() {
            let Some(thousandths) = milli(&amount.0) else { continue };
            let whole = clamp(thousandths.div_euclid(1000) + i128::from(thousandths.rem_euclid(1000) != 0));
            match name.as_str() {
                "cpu" => all.milli_cpu = clamp(thousandths),
                "memory" => all.memory = whole,
                "ephemeral-storage" => all.ephemeral_storage = whole,
                // Counted, not asked for.
                "pods" => {}
                _ => {
                    all.others.insert(name.clone(), whole);
                }
            }
        }
        all
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.merge(other, i64::saturating_add);
    }

    pub(super) fn take(&mut self, other: &Self) {
        self.merge(other, |a, b| a.saturating_sub(b).max(0));
    }

    fn raise(&mut self, other: &Self) {
        self.merge(other, i64::max);
    }

    fn merge(&mut self, other: &Self, combine: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = combine(self.milli_cpu, other.milli_cpu);
        self.memory = combine(self.memory, other.memory);
        self.ephemeral_storage = combine(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.others {
            let entry = self.others.entry(name.clone()).or_insert(0);
            *entry = combine(*entry, *amount);
        }
    }

    /// By name, for what is asked for. The name that upstream shows is the resource's own.
    fn each(&self) -> impl Iterator<Item = (&str, i64)> {
        let named = [("cpu", self.milli_cpu), ("memory", self.memory), ("ephemeral-storage", self.ephemeral_storage)];
        named.into_iter().chain(self.others.iter().map(|(name, amount)| (name.as_str(), *amount)))
    }

    fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            _ => self.others.get(name).copied().unwrap_or(0),
        }
    }
}

fn clamp(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

/// Whether the node has room; every resource that lacks is named.
pub(super) fn filter(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut resolvable = true;
    if node.pods.len() + 1 > node.slots {
        reasons.push(Cow::Borrowed("Too many pods"));
    }
    for (name, asked) in pod.requests.each().filter(|(_, asked)| *asked > 0) {
        let all = node.allocatable.get(name);
        if asked > all.saturating_sub(node.requested.get(name)) {
            reasons.push(lacks(name));
            // Not even the empty node has that much.
            resolvable &= asked <= all;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Refusal { plugin: Plugin::NodeResourcesFit, resolvable, reasons }) }
}

fn lacks(name: &str) -> Reason {
    match name {
        "cpu" => Cow::Borrowed("Insufficient cpu"),
        "memory" => Cow::Borrowed("Insufficient memory"),
        _ => Cow::Owned(format!("Insufficient {name}")),
    }
}

/// 0 to 100: how much is left, cores and memory alike (upstream: `NodeResourcesFit`, `LeastAllocated`).
pub(super) fn least_allocated(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let left = |all: i64, used: i64| if all <= 0 || used > all { 0 } else { (all - used) * 100 / all };
    let cpu = left(node.allocatable.milli_cpu, node.assumed_use.milli_cpu + pod.assumed_use.milli_cpu);
    // In KiB, for the product with 100 to have room.
    let memory = left(node.allocatable.memory >> 10, (node.assumed_use.memory + pod.assumed_use.memory) >> 10);
    (cpu + memory) / 2
}

/// 0 to 100: how evenly cores and memory would be used (upstream: `NodeResourcesBalancedAllocation`).
pub(super) fn balanced(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let share = |all: i64, used: i64| if all <= 0 { 1.0 } else { (used as f64 / all as f64).min(1.0) };
    let cpu = share(node.allocatable.milli_cpu, node.requested.milli_cpu + pod.requests.milli_cpu);
    let memory = share(node.allocatable.memory, node.requested.memory + pod.requests.memory);
    ((1.0 - (cpu - memory).abs() / 2.0) * 100.0) as i64
}

/// What a pod reserves on its node: its containers together, or an init container beside the sidecars that run by
/// then if that is more; or what is asked for the pod as a whole.
pub(super) fn requests(pod: &Pod) -> Resources {
    let of =
        |container: &Container| Resources::from_map(container.resources.as_ref().and_then(|r| r.requests.as_ref()));
    pod.spec.as_ref().map_or_else(Resources::default, |spec| total(spec, of))
}

/// The same, with something for containers that ask for nothing.
pub(super) fn assumed_use(pod: &Pod) -> Resources {
    let of = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref());
        let given = |name: &str| requests.is_some_and(|requests| requests.contains_key(name));
        let mut asked = Resources::from_map(requests);
        asked.others.clear();
        if !given("cpu") {
            asked.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !given("memory") {
            asked.memory = DEFAULT_MEMORY;
        }
        asked
    };
    pod.spec.as_ref().map_or_else(Resources::default, |spec| total(spec, of))
}

fn total(spec: &PodSpec, of: impl Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for init in spec.init_containers.iter().flatten() {
        let mut asked = of(init);
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&asked);
            asked = sidecars.clone();
        } else {
            asked.add(&sidecars);
        }
        peak.raise(&asked);
    }
    spec.containers.iter().for_each(|container| running.add(&of(container)));
    running.add(&sidecars);
    running.raise(&peak);
    let whole = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let given = Resources::from_map(whole);
    for name in whole.into_iter().flatten().map(|(name, _)| name.as_str()) {
        match name {
            "cpu" => running.milli_cpu = given.milli_cpu,
            "memory" => running.memory = given.memory,
            _ => {
                running.others.insert(name.to_owned(), given.get(name));
            }
        }
    }
    running.add(&Resources::from_map(spec.overhead.as_ref()));
    running
}

/// A quantity in thousandths, rounded up; `None` if it is not one.
pub(super) fn milli(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 18 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (numerator, mut denominator): (i128, i128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        other => {
            let exponent: u32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1000 * 10_i128.checked_pow(exponent)?, 1)
        }
    };
    denominator *= 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.checked_mul(numerator)?;
    Some(product.div_euclid(denominator) + i128::from(product.rem_euclid(denominator) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, expect: Option<i128>) {
        assert_eq!(milli(text), expect, "{text}");
    }

    #[test]
    fn quantities() {
        check("2", Some(2000));
        check("250m", Some(250));
        check("0.5", Some(500));
        check("1.5Gi", Some(1_610_612_736_000));
        check("1e3", Some(1_000_000));
        check("100n", Some(1));
        check("twelve", None);
        check("1X", None);
    }

    #[test]
    fn a_large_init_container_counts_by_its_peak() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}},
                           {"name": "b", "resources": {"requests": {"cpu": "200m"}}}],
            "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "1"}}}]}}))
        .unwrap();
        assert_eq!(requests(&pod).milli_cpu, 1000);
    }

    #[track_caller]
    fn check_requests(spec: serde_json::Value, cpu: i64) {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(requests(&pod).milli_cpu, cpu);
    }

    #[test]
    fn sidecars_run_beside_what_starts_after_them() {
        let asks = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": asks("200m")});
        let init = json!({"name": "i", "resources": asks("500m")});
        let main = json!([{"name": "a", "resources": asks("100m")}]);
        check_requests(json!({"containers": main, "initContainers": [sidecar, init]}), 700);
        check_requests(json!({"containers": main, "initContainers": [init, sidecar]}), 500);
        check_requests(json!({"containers": main, "resources": asks("3")}), 3000);
        check_requests(json!({"containers": main, "overhead": {"cpu": "50m"}}), 150);
    }

    #[test]
    fn a_container_without_requests_is_not_for_free() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}})).unwrap();
        assert_eq!(requests(&pod), Resources::default());
        assert_eq!((assumed_use(&pod).milli_cpu, assumed_use(&pod).memory), (200, 400 << 20));
    }
}
