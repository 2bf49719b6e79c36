//! How a cluster leaves: whether there is anything to ask it, what is left to do, and what people are told of that. Pure.

use std::time::Duration;

use api_types::cluster::{CONFIRM_REMOVAL, Cluster, FORCE_REMOVAL};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::Observed;

pub(crate) const KIND: &str = "Removing";
/// All is gone but what the hub acts by. Whoever reads this asks once more, and for no answer.
const LAST: &str = "Leaving";
/// The same, and there is something that the cluster does not let go of.
const LAST_BUT_SOME: &str = "LeavingSome";
/// For how long somebody may give the hub a right that it lacks.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The names in one message.
const NAMED: usize = 40;

/// Status, reason and message.
pub(crate) type Removing = (&'static str, &'static str, String);

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is asked for nothing any more.
    Forget,
    /// Nothing now.
    Wait(Removing),
    /// What the platform has put there is taken away.
    Clear,
    /// And what the hub acts by.
    ClearAll,
}

/// What came of taking things away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    /// How many things were still there.
    pub(crate) found: usize,
    /// What the cluster does not let the hub take away.
    pub(crate) refused: Vec<String>,
    /// In its words.
    pub(crate) why: Option<String>,
    /// Why it was not asked for all of it.
    pub(crate) away: Option<String>,
}

/// `twin` is another cluster of the hub's that is the same one.
pub(crate) fn next(cluster: &Cluster, observed: &Observed, another: bool, twin: bool) -> Next {
    let name = cluster.name_any();
    if !cluster.is_removal_confirmed() {
        let message = format!(
            "The cluster was deleted and nobody has typed its name, so it stays as it is. To remove it annotate it with \
             {CONFIRM_REMOVAL}={name}."
        );
        return Next::Wait(("False", "NotConfirmed", message));
    }
    let answers = matches!(observed, Observed::Well { .. } | Observed::Sick { .. }) && !another;
    let was_heard = cluster.status.as_ref().is_some_and(|status| status.last_heartbeat_time.is_some());
    if cluster.is_removal_forced() || twin || !was_heard && !answers {
        return Next::Forget;
    }
    match (is_last(cluster), answers) {
        (true, true) => Next::ClearAll,
        // With the last of it the hub's own way there has gone.
        (true, false) => Next::Forget,
        (false, true) => Next::Clear,
        (false, false) => Next::Wait(unreachable(cluster, observed, another)),
    }
}

fn unreachable(cluster: &Cluster, observed: &Observed, another: bool) -> Removing {
    let name = cluster.name_any();
    let (reason, why) = match observed {
        _ if another => ("AnotherCluster", "another cluster answers under its name"),
        Observed::Lost { message, .. } | Observed::Waiting { message, .. } => ("Unreachable", &**message),
        _ => ("Unreachable", "it does not answer"),
    };
    let heard = cluster.status.as_ref().and_then(|status| status.last_heartbeat_time.as_ref());
    let heard = heard.map_or_else(String::new, |at| format!(", last heard of at {:.0}", at.0));
    let since = cluster.metadata.deletion_timestamp.as_ref().map(|at| at.0);
    let since = since.map_or_else(String::new, |at| format!("Since {at:.0} it "));
    let message = format!(
        "{since}waits for the cluster{heard}, to take away what the platform has put there ({}). It goes on by itself when \
         the cluster is back. To forget the cluster without that: ac adm detach {name} --force, or annotate it with \
         {FORCE_REMOVAL}={name}.",
        why.trim_end_matches('.'),
    );
    ("True", reason, message)
}

/// After something was taken away, and not all of it.
pub(crate) fn after(cluster: &Cluster, cleared: &Cleared, now: Timestamp) -> Removing {
    let name = cluster.name_any();
    let Cleared { found, refused, why, away } = cleared;
    if let Some(away) = away {
        let message = format!(
            "The cluster could not be asked for all that is to go ({away}). It is asked again; to forget it without that: ac \
             adm detach {name} --force."
        );
        return ("True", "Interrupted", message);
    }
    if *found > 0 {
        return (
            "True",
            "Clearing",
            format!("The platform is being taken out of the cluster: {found} objects so far."),
        );
    }
    let until = cluster.metadata.deletion_timestamp.as_ref().and_then(|at| at.0.checked_add(PATIENCE).ok());
    match until.filter(|until| !refused.is_empty() && now < *until) {
        Some(until) => {
            let message = format!(
                "The cluster does not let the hub take away {} ({}). Registered with an earlier version's manifest, it lacks \
                 the role acp:hub:removal: delete what there is of these by hand, the webhooks first. The hub lets go of the cluster at \
                 {until:.0}, or at once with ac adm detach {name} --force.",
                listed(refused),
                why.as_deref().unwrap_or("it is not allowed"),
            );
            ("True", "NotAllowed", message)
        }
        None if refused.is_empty() => {
            ("True", LAST, "The agent and the hub's own roles are the last to go.".to_owned())
        }
        None => {
            let message =
                format!("The cluster did not let the hub take away {}: delete these by hand.", listed(refused));
            ("True", LAST_BUT_SOME, message)
        }
    }
}

/// Some of the names, and how many there are besides.
pub(crate) fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - more].join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn said(cluster: &Cluster) -> Option<&Condition> {
    cluster.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == KIND)
}

fn is_last(cluster: &Cluster) -> bool {
    said(cluster).is_some_and(|condition| [LAST, LAST_BUT_SOME].contains(&&*condition.reason))
}

/// The last step did not get through. It is tried again for as long as the cluster answers.
pub(crate) fn still_last(cluster: &Cluster) -> Removing {
    let message = said(cluster).map(|condition| condition.message.clone()).unwrap_or_default();
    let is_some = said(cluster).is_some_and(|condition| condition.reason == LAST_BUT_SOME);
    ("True", if is_some { LAST_BUT_SOME } else { LAST }, message)
}

/// What stays in a cluster that is forgotten now, in the words in which it is told.
pub(crate) fn left_behind(cluster: &Cluster) -> Option<String> {
    if cluster.is_removal_forced() && !is_last(cluster) {
        let was_heard = cluster.status.as_ref().is_some_and(|status| status.last_heartbeat_time.is_some());
        let message = "The cluster was forgotten without being asked: what the platform has put there is still there.";
        return was_heard.then(|| message.to_owned());
    }
    said(cluster).filter(|condition| condition.reason == LAST_BUT_SOME).map(|condition| condition.message.clone())
}

#[cfg(test)]
mod tests {
    use api_types::cluster::{ClusterSpec, ClusterStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::plan::{Link, Told};

    const DELETED: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(DELETED + seconds).unwrap()
    }

    /// Deleted and confirmed, after it had been heard of.
    fn leaving() -> Cluster {
        let mut cluster = Cluster::new("edge", ClusterSpec::default());
        cluster.metadata.deletion_timestamp = Some(Time(at(0)));
        cluster.annotations_mut().insert(CONFIRM_REMOVAL.into(), "edge".into());
        cluster.status = Some(ClusterStatus { last_heartbeat_time: Some(Time(at(-60))), ..Default::default() });
        cluster
    }

    fn saying(mut cluster: Cluster, reason: &str) -> Cluster {
        let condition = Condition {
            type_: KIND.into(),
            status: "True".into(),
            reason: reason.into(),
            message: String::new(),
            last_transition_time: Time(at(0)),
            observed_generation: None,
        };
        cluster.status.get_or_insert_default().conditions = vec![condition];
        cluster
    }

    fn sick() -> Observed {
        Observed::Sick { link: Link::Tunnel, message: "etcd".into(), told: Told::default() }
    }

    fn lost() -> Observed {
        Observed::Lost { reason: "TunnelClosed", message: "The agent is not connected.".into() }
    }

    #[track_caller]
    fn waits(next: Next, reason: &str, words: &[&str]) {
        let Next::Wait((_, said, message)) = next else { panic!("{next:?}") };
        assert_eq!(said, reason, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }

    #[test]
    fn case_79_what_nobody_has_confirmed_stays() {
        for name in [None, Some("far")] {
            let mut cluster = leaving();
            cluster.annotations_mut().clear();
            cluster.annotations_mut().extend(name.map(|name| (CONFIRM_REMOVAL.into(), name.into())));
            // Forcing it confirms nothing.
            cluster.annotations_mut().insert(FORCE_REMOVAL.into(), "edge".into());
            for observed in [sick(), lost()] {
                waits(
                    next(&cluster, &observed, false, false),
                    "NotConfirmed",
                    &["fleet.cpaas.io/confirm-removal=edge"],
                );
            }
        }
    }

    #[test]
    fn case_80_a_lost_cluster_is_waited_for_until_it_is_forced() {
        let mut cluster = leaving();
        let words = ["The agent is not connected", "2027-01-15T08:00:00Z", "2027-01-15T07:59:00Z", "--force"];
        waits(next(&cluster, &lost(), false, false), "Unreachable", &words);
        // Whoever answers in its place is asked for nothing.
        waits(next(&cluster, &sick(), true, false), "AnotherCluster", &["another cluster", "--force"]);
        cluster.annotations_mut().insert(FORCE_REMOVAL.into(), "edge".into());
        for observed in [sick(), lost()] {
            assert_eq!(next(&cluster, &observed, false, false), Next::Forget);
        }
    }

    #[test]
    fn a_cluster_that_was_never_there_is_not_waited_for() {
        let mut cluster = leaving();
        cluster.status = None;
        assert_eq!(next(&cluster, &lost(), false, false), Next::Forget);
        assert_eq!(next(&cluster, &sick(), false, false), Next::Clear);
    }

    #[test]
    fn what_another_name_needs_is_left_there() {
        assert_eq!(next(&leaving(), &sick(), false, true), Next::Forget);
    }

    #[test]
    fn the_last_step_is_asked_for_once_it_is_written_down_and_not_waited_for() {
        for reason in [LAST, LAST_BUT_SOME] {
            let cluster = saying(leaving(), reason);
            assert_eq!(next(&cluster, &sick(), false, false), Next::ClearAll);
            assert_eq!(next(&cluster, &lost(), false, false), Next::Forget);
        }
        assert_eq!(next(&saying(leaving(), "Clearing"), &sick(), false, false), Next::Clear);
    }

    #[test]
    fn what_is_refused_is_named_and_holds_nothing_up_for_ever() {
        let cluster = leaving();
        let reason = |cleared: &Cleared, seconds| after(&cluster, cleared, at(seconds));
        assert_eq!(reason(&Cleared::default(), 1).1, LAST);
        let refused = vec!["deployment/acp-agent in cpaas-system".to_owned(), "clusterrole/acp:agent".to_owned()];
        let cleared = Cleared { refused, why: Some("user may not".into()), ..Cleared::default() };
        let (_, said, message) = reason(&cleared, 299);
        assert_eq!(said, "NotAllowed");
        for word in
            ["deployment/acp-agent in cpaas-system, clusterrole/acp:agent", "user may not", "2027-01-15T08:05:00Z"]
        {
            assert!(message.contains(word), "{message}");
        }
        let (_, said, message) = reason(&cleared, 300);
        assert!(
            said == LAST_BUT_SOME && message.contains("deployment/acp-agent in cpaas-system, clusterrole"),
            "{message}"
        );
        // What is still being found goes first, and whoever breaks off is asked again however long it takes.
        assert_eq!(reason(&Cleared { found: 3, ..cleared.clone() }, 900).1, "Clearing");
        assert_eq!(reason(&Cleared { away: Some("it hung up".into()), ..cleared }, 900).1, "Interrupted");
    }

    #[test]
    fn what_stays_is_told_of() {
        assert_eq!(left_behind(&leaving()), None);
        assert_eq!(left_behind(&saying(leaving(), LAST)), None);
        assert!(left_behind(&saying(leaving(), LAST_BUT_SOME)).is_some());
        let mut forced = saying(leaving(), "Unreachable");
        forced.annotations_mut().insert(FORCE_REMOVAL.into(), "edge".into());
        assert!(left_behind(&forced).unwrap().contains("still there"));
        // Nothing was put where nobody ever was.
        forced.status = None;
        assert_eq!(left_behind(&forced), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..NAMED + 2).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("39 and 2 more"));
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}
