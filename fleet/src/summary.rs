//! A fleet in few numbers: how many clusters are well, what is wrong with the others, how much they have. Pure.
//!
//! Whoever asks says which clusters they may see; nothing here knows of any other. Names have a bound, counts have none.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{LabelSelector, Quantity};
use api_types::cluster::{Cluster, ClusterStatus, Nodes, Resources};
use api_types::support::{self, Origin};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use crate::plan::CONDITIONS;

/// The most clusters that are named for one reason.
const NAMED: usize = 20;
/// The most certificates that are told.
const CERTIFICATES: usize = 10;
/// The most resources that are told: those that the most clusters have.
const RESOURCES: usize = 32;
/// What kinds of conditions are counted, at most; others than ours may be anything.
const KINDS: usize = 64;

/// A fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetSummary {
    /// All clusters together.
    #[serde(flatten)]
    pub all: Summary,
    /// The same by the values of a label, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
}

/// Clusters with one value of a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// `None` for those that do not have the label.
    pub value: Option<String>,
    /// Those clusters.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Some clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many there are.
    pub clusters: Readiness,
    /// What is not as it should be, with the clusters where that is so.
    pub conditions: Vec<Failing>,
    /// Which versions of Kubernetes they have, oldest first.
    pub versions: Vec<Versions>,
    /// Their nodes.
    pub nodes: Nodes,
    /// How much those have of which it is known.
    pub resource: Resources,
    /// How many those are.
    pub counted: usize,
    /// The certificates that expire first.
    pub certificates: Vec<Expiring>,
}

/// How many clusters can be worked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// All.
    pub total: usize,
    /// Those that can.
    pub ready: usize,
    /// Those that cannot.
    pub not_ready: usize,
    /// Those of which nobody knows.
    pub unknown: usize,
}

/// A condition that does not hold somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// As `Connected`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it does not hold.
    #[serde(rename = "false")]
    pub fails: Named,
    /// Where nobody knows.
    pub unknown: Named,
}

/// Clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How many.
    pub total: usize,
    /// The first of them, by name.
    pub names: Vec<String>,
}

/// Clusters of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// As `v1.34.2`.
    pub version: String,
    /// Whether the platform works with it.
    pub supported: bool,
    /// How many.
    pub clusters: usize,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// Until when it holds.
    pub not_after: Timestamp,
    /// Whose it is.
    pub cluster: String,
    /// What it is for.
    pub name: String,
}

impl FleetSummary {
    /// Of those clusters that the selector selects.
    pub fn of(clusters: &[Arc<Cluster>], selector: &LabelSelector, group_by: Option<&str>) -> Self {
        let selects =
            |cluster: &&Arc<Cluster>| selector.matches_with(|key| cluster.labels().get(key).map(ToOwned::to_owned));
        let mut selected: Vec<&Cluster> = clusters.iter().filter(selects).map(|cluster| &**cluster).collect();
        selected.sort_by_key(|cluster| cluster.name_any());
        let groups = group_by.map(|key| {
            let mut groups: BTreeMap<Option<&String>, Vec<&Cluster>> = BTreeMap::new();
            for cluster in &selected {
                groups.entry(cluster.labels().get(key)).or_default().push(cluster);
            }
            let group = |(value, clusters): (Option<&String>, Vec<&Cluster>)| Group {
                value: value.cloned(),
                summary: Summary::of(&clusters),
            };
            groups.into_iter().map(group).collect()
        });
        Self { all: Summary::of(&selected), groups }
    }
}

impl Summary {
    /// The clusters come by name.
    fn of(clusters: &[&Cluster]) -> Self {
        let mut summary = Self::default();
        let mut conditions: BTreeMap<&str, Failing> = BTreeMap::new();
        let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
        let mut resources = Sums::default();
        let unknown = ClusterStatus::default();
        for cluster in clusters {
            let (name, status) = (cluster.name_any(), cluster.status.as_ref().unwrap_or(&unknown));
            summary.clusters.note(status);
            for condition in status.conditions.iter().filter(|condition| condition.status != "True") {
                if conditions.len() < KINDS || CONDITIONS.contains(&&*condition.type_) {
                    let failing = conditions.entry(&condition.type_).or_insert_with(|| Failing::of(&condition.type_));
                    let place = if condition.status == "False" { &mut failing.fails } else { &mut failing.unknown };
                    place.note(&name);
                }
            }
            if let Some(version) = &status.kubernetes_version {
                *versions.entry(version).or_default() += 1;
            }
            if let Some(Nodes { total, ready }) = status.nodes {
                summary.nodes.total = summary.nodes.total.saturating_add(total);
                summary.nodes.ready = summary.nodes.ready.saturating_add(ready);
            }
            if let Some(resource) = &status.resource {
                summary.counted += 1;
                resources.add(resource);
            }
            summary.certificates.extend(status.certificates.iter().map(|certificate| Expiring {
                not_after: certificate.not_after.0,
                cluster: name.clone(),
                name: certificate.name.clone(),
            }));
        }
        summary.certificates.sort();
        summary.certificates.truncate(CERTIFICATES);
        summary.resource = resources.finish();
        summary.conditions = conditions.into_values().collect();
        // As people read them, and behind them those of others.
        let place = |kind: &str| CONDITIONS.iter().position(|known| *known == kind).unwrap_or(CONDITIONS.len());
        summary.conditions.sort_by_key(|failing| place(&failing.kind));
        let release = support::current();
        let judged = |(version, clusters): (&str, usize)| Versions {
            version: version.to_owned(),
            supported: release.judge(Origin::ThirdParty, version).is_ok(),
            clusters,
        };
        summary.versions = versions.into_iter().map(judged).collect();
        summary.versions.sort_by_cached_key(|it| numbers(&it.version));
        summary
    }
}

/// `v1.9.10` comes before `v1.10.2`.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

impl Readiness {
    fn note(&mut self, status: &ClusterStatus) {
        self.total += 1;
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        match ready.map(|condition| &*condition.status) {
            Some("True") => self.ready += 1,
            Some("False") => self.not_ready += 1,
            _ => self.unknown += 1,
        }
    }
}

impl Failing {
    fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), fails: Named::default(), unknown: Named::default() }
    }
}

impl Named {
    fn note(&mut self, name: &str) {
        self.total += 1;
        if self.names.len() < NAMED {
            self.names.push(name.to_owned());
        }
    }
}

/// Of each resource how many clusters have it, and how much that is: capacity, allocatable, allocated.
#[derive(Default)]
struct Sums<'a>(BTreeMap<&'a str, (usize, [Option<Quantity>; 3])>);

impl<'a> Sums<'a> {
    fn add(&mut self, resources: &'a Resources) {
        let Resources { capacity, allocatable, allocated } = resources;
        for (place, list) in [capacity, allocatable, allocated].into_iter().enumerate() {
            for (name, amount) in list {
                let Ok(amount) = amount.parse::<Quantity>() else { continue };
                let (clusters, sums) = self.0.entry(name).or_default();
                *clusters += 1;
                sums[place] = Some(sums[place].map_or(amount, |sum| sum + amount));
            }
        }
    }

    fn finish(self) -> Resources {
        let mut sums: Vec<_> = self.0.into_iter().collect();
        sums.sort_by_key(|(name, (clusters, _))| (Reverse(*clusters), *name));
        sums.truncate(RESOURCES);
        let list = |place: usize| {
            let amount = |(name, (_, sums)): &(&str, (usize, [Option<Quantity>; 3]))| {
                Some(((*name).to_owned(), sums[place]?.to_string()))
            };
            sums.iter().filter_map(amount).collect()
        };
        Resources { capacity: list(0), allocatable: list(1), allocated: list(2) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::*;

    fn cluster(name: &str, region: Option<&str>, status: Value) -> Arc<Cluster> {
        let labels = region.map(|region| json!({"region": region}));
        let metadata = json!({"name": name, "labels": labels});
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap())
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2030-01-01T00:00:00Z"})
    }

    fn well(cpu: &str, version: &str, until: &str) -> Value {
        json!({
            "conditions": [condition("Ready", "True"), condition("AgentCurrent", "False")],
            "kubernetesVersion": version, "nodes": {"total": 3, "ready": 2},
            "resource": {"capacity": {"cpu": cpu, "memory": "8Gi"}, "allocatable": {"cpu": cpu}, "allocated": {"cpu": "500m"}},
            "certificates": [{"name": "agent", "notAfter": until}],
        })
    }

    fn fleet() -> Vec<Arc<Cluster>> {
        let lost = json!({
            "conditions": [condition("Connected", "False"), condition("Ready", "Unknown"), condition("Backup", "False")],
            "kubernetesVersion": "v1.9.3", "nodes": {"total": 1, "ready": 1},
        });
        vec![
            cluster("us", Some("us"), well("4", "v1.34.2", "2030-03-01T00:00:00Z")),
            cluster("eu-2", Some("eu"), lost),
            cluster("eu-1", Some("eu"), well("2500m", "v1.34.2", "2030-02-01T00:00:00Z")),
            cluster("new", None, Value::Null),
        ]
    }

    fn of(selector: &str, group_by: Option<&str>) -> Value {
        json!(FleetSummary::of(&fleet(), &LabelSelector::parse(selector).unwrap(), group_by))
    }

    #[test]
    fn a_fleet_in_few_numbers() {
        let summary = of("", None);
        assert_eq!(summary["clusters"], json!({"total": 4, "ready": 2, "notReady": 0, "unknown": 2}));
        let none = || json!({"total": 0, "names": []});
        let one = |name: &str| json!({"total": 1, "names": [name]});
        let expect = json!([
            {"type": "Ready", "false": none(), "unknown": one("eu-2")},
            {"type": "Connected", "false": one("eu-2"), "unknown": none()},
            {"type": "AgentCurrent", "false": {"total": 2, "names": ["eu-1", "us"]}, "unknown": none()},
            {"type": "Backup", "false": one("eu-2"), "unknown": none()},
        ]);
        assert_eq!(summary["conditions"], expect);
        let expect = json!([
            {"version": "v1.9.3", "supported": false, "clusters": 1},
            {"version": "v1.34.2", "supported": true, "clusters": 2},
        ]);
        assert_eq!(summary["versions"], expect);
        assert_eq!(summary["nodes"], json!({"total": 7, "ready": 5}));
        let expect = json!({
            "capacity": {"cpu": "6500m", "memory": "16Gi"}, "allocatable": {"cpu": "6500m"}, "allocated": {"cpu": "1"},
        });
        assert_eq!((&summary["resource"], &summary["counted"]), (&expect, &json!(2)));
        let first = json!({"notAfter": "2030-02-01T00:00:00Z", "cluster": "eu-1", "name": "agent"});
        assert_eq!(summary["certificates"][0], first);
        assert_eq!(summary.get("groups"), None);
    }

    #[test]
    fn groups_by_a_label() {
        let summary = of("", Some("region"));
        let groups = summary["groups"].as_array().unwrap();
        let said: Vec<_> =
            groups.iter().map(|it| json!([it["value"], it["clusters"]["total"], it["counted"]])).collect();
        assert_eq!(json!(said), json!([[null, 1, 0], ["eu", 2, 1], ["us", 1, 1]]));
        assert_eq!(summary["clusters"]["total"], 4);
    }

    #[test]
    fn a_selector_chooses() {
        assert_eq!(of("region in (eu)", None)["clusters"]["total"], 2);
        assert_eq!(of("!region", None)["clusters"]["total"], 1);
        let none = of("region=mars", Some("region"));
        assert_eq!((&none["clusters"]["total"], &none["groups"]), (&json!(0), &json!([])));
    }

    #[test]
    fn case_28_names_and_kinds_without_end_are_counted_and_not_told() {
        let kinds: Vec<Value> = (0..1000).map(|number| condition(&format!("K{number}"), "False")).collect();
        let amounts: BTreeMap<String, &str> = (0..1000).map(|number| (format!("a{number}"), "1")).collect();
        let hostile = json!({"conditions": kinds, "resource": {"capacity": amounts}});
        let mut clusters = vec![cluster("hostile", None, hostile)];
        let plain = || json!({"conditions": [condition("Ready", "False")], "resource": {"capacity": {"cpu": "1"}}});
        clusters.extend((0..100).map(|number| cluster(&format!("z{number:03}"), None, plain())));
        let summary = FleetSummary::of(&clusters, &LabelSelector::everything(), None).all;
        assert!(summary.conditions.len() <= KINDS + CONDITIONS.len());
        let ready = summary.conditions.iter().find(|it| it.kind == "Ready").unwrap();
        assert_eq!((ready.fails.total, ready.fails.names.len()), (100, NAMED));
        assert_eq!(summary.resource.capacity.len(), RESOURCES);
        assert_eq!(summary.resource.capacity["cpu"], "100");
    }

    #[test]
    fn a_thousand_clusters_are_summed_up_in_a_moment() {
        let many: Vec<_> = (0..1000)
            .map(|number| {
                let region = format!("r{}", number % 20);
                cluster(&format!("c{number}"), Some(&region), well("4", "v1.34.2", "2030-02-01T00:00:00Z"))
            })
            .collect();
        let took = (0..5).map(|_| {
            let began = Instant::now();
            let summary = FleetSummary::of(&many, &LabelSelector::everything(), Some("region"));
            assert_eq!(summary.all.counted, 1000);
            began.elapsed()
        });
        // Not optimised, on a machine that does other things too: the bound is far above what it takes.
        assert!(took.min().unwrap() < Duration::from_millis(500));
    }
}
