//! The arithmetic of rollouts: how far each set may move without breaking `maxSurge` and `maxUnavailable`.

use std::sync::Arc;

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::meta::{created, name};

use super::sets::{maximum, replicas};

pub(super) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// No more than can be added to what is wanted: people may write any number.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { fenceposts(deployment).0.min(i32::MAX - wanted(deployment)) } else { 0 }
}

pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) || wanted(deployment) == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(wanted(deployment))
}

/// Surge rounds up, unavailable rounds down; both zero would never move, so one may then be unavailable.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&quarter);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&quarter);
    match (scaled(surge, wanted(deployment), true), scaled(unavailable, wanted(deployment), false)) {
        (0, 0) => (0, 1),
        both => both,
    }
}

/// A number, or that percentage of `total`.
pub(in crate::workloads) fn scaled(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let exact = i128::from(percent) * i128::from(total);
            let rounded = if round_up { (exact + 99).div_euclid(100) } else { exact.div_euclid(100) };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

pub(super) fn by_age(sets: &mut [Arc<ReplicaSet>]) {
    sets.sort_by_key(|set| (created(&**set), name(&**set).to_owned()));
}

pub(super) fn total<'a>(sets: impl IntoIterator<Item = &'a Arc<ReplicaSet>>) -> i32 {
    sets.into_iter().map(|set| replicas(set)).fold(0, i32::saturating_add)
}

/// How many available pods a set keeps. Its status may still count those that it was told to give up. (Upstream refuses to
/// go on for as long.)
pub(super) fn available(set: &ReplicaSet) -> i32 {
    let told = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    told.min(replicas(set))
}

/// The size the new set may have now.
pub(super) fn new_set_size(deployment: &Deployment, all: &[Arc<ReplicaSet>], new: Option<&ReplicaSet>) -> i32 {
    let (wanted, present) = (wanted(deployment), new.map_or(0, replicas));
    if !is_rolling(deployment) || present > wanted {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - total(all);
    if room <= 0 { present } else { present + room.min(wanted - present) }
}

/// New sizes for the old sets during a rolling update: first the pods that never became available, then the rest.
pub(super) fn old_set_sizes(deployment: &Deployment, old: &[Arc<ReplicaSet>], new: &ReplicaSet) -> Vec<(usize, i32)> {
    let all = total(old).saturating_add(replicas(new));
    let minimum = wanted(deployment) - max_unavailable(deployment);
    let new_unavailable = replicas(new) - available(new);
    let budget = all - minimum - new_unavailable;
    if total(old) == 0 || budget <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = old.iter().map(|set| replicas(set)).collect();
    let mut cleaned = 0;
    for (size, set) in sizes.iter_mut().zip(old) {
        let unhealthy = (*size - available(set)).min(budget - cleaned);
        *size -= unhealthy;
        cleaned += unhealthy;
    }
    let all_available = available(new) + old.iter().map(|set| available(set)).sum::<i32>();
    let mut surplus = all_available - minimum;
    for size in &mut sizes {
        let step = (*size).min(surplus).max(0);
        *size -= step;
        surplus -= step;
    }
    sizes
        .iter()
        .zip(old)
        .enumerate()
        .filter(|(_, (size, set))| **size != replicas(set))
        .map(|(i, (s, _))| (i, *s))
        .collect()
}

/// New sizes when a Deployment is scaled in the middle of a rollout: each set keeps its share.
pub(super) fn proportional(deployment: &Deployment, active: &[Arc<ReplicaSet>]) -> Vec<i32> {
    let allowed = if wanted(deployment) > 0 { wanted(deployment) + max_surge(deployment) } else { 0 };
    let present = total(active);
    let to_add = allowed - present;
    let mut order: Vec<usize> = (0..active.len()).collect();
    if to_add >= 0 {
        order.sort_by_key(|i| (-replicas(&active[*i]), std::cmp::Reverse(created(&*active[*i]))));
    } else {
        order.sort_by_key(|i| (-replicas(&active[*i]), created(&*active[*i])));
    }
    let mut sizes: Vec<i32> = active.iter().map(|set| replicas(set)).collect();
    let mut added = 0;
    for i in &order {
        if to_add == 0 {
            break;
        }
        let share = fraction(deployment, &active[*i], present);
        let left = to_add - added;
        let step = if to_add > 0 { share.min(left) } else { share.max(left) };
        sizes[*i] += step;
        added += step;
    }
    if let Some(first) = order.first() {
        sizes[*first] = (sizes[*first] + to_add - added).max(0);
    }
    sizes
}

fn fraction(deployment: &Deployment, set: &ReplicaSet, present: i32) -> i32 {
    if wanted(deployment) == 0 {
        return -replicas(set);
    }
    let before = maximum(set).filter(|maximum| *maximum > 0).unwrap_or(present).max(1);
    let after = f64::from(replicas(set)) * f64::from(wanted(deployment) + max_surge(deployment)) / f64::from(before);
    #[expect(clippy::cast_possible_truncation, reason = "replica counts are far below 2^31")]
    let after = after.round() as i32;
    after - replicas(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i32, surge: &str, unavailable: &str) -> Deployment {
        let number = |text: &str| text.parse::<i32>().map_or(json!(text), |number| json!(number));
        serde_json::from_value(json!({"metadata": {"name": "d"}, "spec": {"replicas": replicas, "selector": {},
            "template": {}, "strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": number(surge), "maxUnavailable": number(unavailable)}}}}))
        .unwrap()
    }

    fn set(name: &str, replicas: i32, available: i32) -> Arc<ReplicaSet> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {}},
                "status": {"replicas": replicas, "availableReplicas": available}}))
            .unwrap(),
        )
    }

    #[test]
    fn surge_rounds_up_and_unavailable_rounds_down() {
        let d = deployment(3, "25%", "25%");
        assert_eq!((max_surge(&d), max_unavailable(&d)), (1, 0));
    }

    #[test]
    fn zero_and_zero_would_never_move() {
        let d = deployment(3, "0%", "0%");
        assert_eq!((max_surge(&d), max_unavailable(&d)), (0, 1));
    }

    #[test]
    fn any_number_can_be_written() {
        for surge in ["2147483647", "9223372036854775807%"] {
            let d = deployment(3, surge, "0");
            assert_eq!(max_surge(&d), i32::MAX - 3);
            assert_eq!(new_set_size(&d, &[set("old", i32::MAX, 3), set("older", i32::MAX, 0)], None), 0);
            assert_eq!(new_set_size(&d, &[set("old", 3, 3)], None), 3);
        }
    }

    #[test]
    fn the_new_set_grows_within_the_surge() {
        let d = deployment(4, "25%", "25%");
        assert_eq!(new_set_size(&d, &[set("old", 4, 4)], None), 1);
        let new = set("new", 1, 0);
        assert_eq!(new_set_size(&d, &[set("old", 4, 4), new.clone()], Some(&new)), 1);
        assert_eq!(new_set_size(&d, &[set("old", 2, 2), new.clone()], Some(&new)), 3);
    }

    #[test]
    fn old_sets_shrink_only_as_far_as_availability_allows() {
        let d = deployment(4, "25%", "25%");
        assert_eq!(old_set_sizes(&d, &[set("old", 4, 4)], &set("new", 1, 0)), [(0, 3)]);
        assert_eq!(old_set_sizes(&d, &[set("old", 3, 3)], &set("new", 2, 0)), []);
        assert_eq!(old_set_sizes(&d, &[set("old", 3, 3)], &set("new", 2, 2)), [(0, 1)]);
    }

    #[test]
    fn what_a_set_gives_up_already_is_not_counted_on() {
        let d = deployment(3, "2", "0");
        assert_eq!(old_set_sizes(&d, &[set("old", 2, 3)], &set("new", 3, 2)), [(0, 1)]);
        assert_eq!(old_set_sizes(&d, &[set("old", 1, 1)], &set("new", 2, 4)), []);
    }

    #[test]
    fn pods_that_never_became_available_go_first() {
        let d = deployment(4, "25%", "25%");
        assert_eq!(old_set_sizes(&d, &[set("broken", 2, 0), set("good", 3, 3)], &set("new", 0, 0)), [(0, 0)]);
    }

    #[test]
    fn scaling_in_the_middle_keeps_shares() {
        let d = deployment(20, "0", "5");
        let sizes = proportional(&d, &[set("old", 8, 8), set("new", 2, 2)]);
        assert_eq!(sizes.iter().sum::<i32>(), 20);
        assert_eq!(sizes, [16, 4]);
    }

    #[test]
    fn scaling_to_zero_empties_all() {
        assert_eq!(proportional(&deployment(0, "25%", "25%"), &[set("old", 3, 3), set("new", 2, 2)]), [0, 0]);
    }
}
