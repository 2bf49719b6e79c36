//! How fast nodes that are not ready may lose their pods; no IO.
//!
//! When much of a zone is not ready at once, the fault is more likely to be in between than in the nodes, and moving
//! their pods would make it worse. As upstream (`handleDisruption`): one node in ten seconds for each zone; none in a
//! small zone of which more than half is not ready; and none at all while no node of the cluster is ready.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::taints::Evictions;

/// Between two nodes of a zone (upstream: `--node-eviction-rate`, its inverse).
const BETWEEN: Duration = Duration::from_secs(10);
/// The same in a large zone of which more than half is not ready (`--secondary-node-eviction-rate`).
const BETWEEN_IN_NEED: Duration = Duration::from_secs(100);
/// A zone of up to so many nodes is small (`--large-cluster-size-threshold`).
const SMALL: usize = 50;
/// From this part on, much of a zone is not ready (`--unhealthy-zone-threshold`).
const MUCH: f64 = 0.55;

#[derive(Default)]
pub(super) struct Zones {
    nodes: HashMap<String, (String, bool)>,
    zones: BTreeMap<String, Zone>,
}

#[derive(Default)]
struct Zone {
    ready: usize,
    not_ready: usize,
    /// When its next node may lose its pods.
    next: Option<Timestamp>,
}

impl Zone {
    fn between(&self) -> Option<Duration> {
        let all = self.ready + self.not_ready;
        // Counts of nodes are far below what a double holds.
        #[expect(clippy::cast_precision_loss, reason = "counts of nodes are small")]
        let much = self.ready > 0 && self.not_ready > 2 && self.not_ready as f64 / all as f64 >= MUCH;
        match much {
            false => Some(BETWEEN),
            true if all > SMALL => Some(BETWEEN_IN_NEED),
            true => None,
        }
    }
}

impl Zones {
    /// Takes in what is known of a node; `None` when it is gone. Says whether that changes what other nodes' pods do.
    pub(super) fn note(&mut self, node: &str, state: Option<(String, bool)>) -> bool {
        let before = (self.all_down(), self.held_back());
        let known = match &state {
            Some(state) => self.nodes.insert(node.to_owned(), state.clone()),
            None => self.nodes.remove(node),
        };
        if let Some((zone, ready)) = known {
            *self.count(zone, ready) -= 1;
        }
        if let Some((zone, ready)) = state {
            *self.count(zone, ready) += 1;
        }
        self.zones.retain(|_, zone| zone.ready + zone.not_ready > 0);
        before != (self.all_down(), self.held_back())
    }

    fn count(&mut self, zone: String, ready: bool) -> &mut usize {
        let zone = self.zones.entry(zone).or_default();
        if ready { &mut zone.ready } else { &mut zone.not_ready }
    }

    fn all_down(&self) -> bool {
        !self.zones.is_empty() && self.zones.values().all(|zone| zone.ready == 0)
    }

    fn held_back(&self) -> usize {
        self.zones.values().filter(|zone| zone.between().is_none()).count()
    }

    /// What a node that is not ready does with its pods, and when to ask again. Who is told to go takes the turn.
    pub(super) fn turn(&mut self, node: &str, now: Timestamp) -> (Evictions, Option<Duration>) {
        if self.all_down() {
            return (Evictions::Stop, None);
        }
        let zone = self.nodes.get(node).and_then(|(zone, _)| self.zones.get_mut(zone));
        let Some((zone, between)) = zone.and_then(|zone| zone.between().map(|between| (zone, between))) else {
            return (Evictions::Wait, None);
        };
        let wait = zone.next.map_or(SignedDuration::ZERO, |next| next.duration_since(now));
        if let Some(wait) = Duration::try_from(wait).ok().filter(|wait| !wait.is_zero()) {
            return (Evictions::Wait, Some(wait));
        }
        zone.next = SignedDuration::try_from(between).ok().and_then(|between| now.checked_add(between).ok());
        (Evictions::Go, None)
    }

    /// What nodes do that need no turn.
    pub(super) fn standing(&self) -> Evictions {
        if self.all_down() { Evictions::Stop } else { Evictions::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(of: &[(&str, usize, usize)]) -> Zones {
        let mut zones = Zones::default();
        for (zone, ready, not_ready) in of {
            for number in 0..ready + not_ready {
                zones.note(&format!("{zone}-{number}"), Some(((*zone).to_owned(), number < *ready)));
            }
        }
        zones
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The turns of the zone's last node, one after the other, at these seconds.
    #[track_caller]
    fn check(of: &[(&str, usize, usize)], asked: &[i64], expect: &[Evictions]) {
        let mut zones = zones(of);
        let (zone, ready, not_ready) = of[0];
        let node = format!("{zone}-{}", ready + not_ready - 1);
        let turns: Vec<_> = asked.iter().map(|second| zones.turn(&node, at(*second)).0).collect();
        assert_eq!(turns, expect);
    }

    #[test]
    fn one_node_at_a_time() {
        use Evictions::{Go, Wait};
        check(&[("a", 2, 2)], &[0, 1, 9, 10, 19, 21], &[Go, Wait, Wait, Go, Wait, Go]);
        assert_eq!(zones(&[("a", 1, 1)]).turn("a-1", at(0)), (Go, None));
    }

    #[test]
    fn none_when_much_of_a_small_zone_is_down() {
        use Evictions::{Go, Wait};
        check(&[("a", 2, 3)], &[0, 1000], &[Wait, Wait]);
        check(&[("a", 20, 40)], &[0, 99, 100], &[Go, Wait, Go]);
        check(&[("a", 1, 2)], &[0], &[Go]);
    }

    #[test]
    fn none_when_all_are_down() {
        check(&[("a", 0, 1)], &[0], &[Evictions::Stop]);
        check(&[("a", 0, 2), ("b", 0, 1)], &[0], &[Evictions::Stop]);
        check(&[("a", 0, 2), ("b", 1, 0)], &[0], &[Evictions::Go]);
    }

    #[test]
    fn what_concerns_all_is_told() {
        let mut zones = zones(&[("a", 1, 1)]);
        assert!(!zones.note("a-1", Some(("a".to_owned(), false))), "nothing new");
        assert!(zones.note("a-0", Some(("a".to_owned(), false))), "the last one is down");
        assert!(zones.note("b-0", Some(("b".to_owned(), true))), "one is up");
        assert!(!zones.note("a-1", None));
    }
}
