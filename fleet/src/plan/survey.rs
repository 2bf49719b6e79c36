//! How much a cluster has and gives away, and how its core components are.

use api_types::cluster::{ClusterStatus, Component, Resources};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tunnel_protocol::{ComponentHealth, Components, Survey};

use super::Setter;

pub(super) const KIND: &str = "ComponentsHealthy";
const API_SERVER: &str = "kube-apiserver";
/// The most components that the condition names; the others stand beside it.
const NAMED: usize = 5;

/// What is said of a cluster. An agent of an earlier version says nothing, and then nothing is known. `ready` is the API
/// server's own word, which counts more than what was seen of its Pods a moment ago.
pub(super) fn judge(
    set: &mut Setter<'_>,
    next: &mut ClusterStatus,
    ready: Result<(), &str>,
    survey: Option<&Survey>,
    now: Timestamp,
) {
    let Some(Survey { resources, components }) = survey else {
        (next.resource, next.components) = (None, Vec::new());
        return;
    };
    if let Some(resources) = resources {
        let tunnel_protocol::Resources { capacity, allocatable, allocated } = resources.clone();
        next.resource = Some(Resources { capacity, allocatable, allocated });
    }
    let old = std::mem::take(&mut next.components);
    let mut seen = match components {
        Some(Components { named, message: None }) => named.clone(),
        // What cannot be seen now is what it was.
        _ => old.iter().map(known).collect(),
    };
    match ready {
        Ok(()) if components.is_some() || !old.is_empty() => {
            // What it said of itself before.
            seen.retain(|it| it.name != API_SERVER || is_seen(components.as_ref(), API_SERVER));
            if !seen.iter().any(|it| it.name == API_SERVER) {
                seen.push(ComponentHealth { name: API_SERVER.into(), healthy: true, message: None });
            }
        }
        Ok(()) => {}
        Err(message) => {
            seen.retain(|it| it.name != API_SERVER);
            seen.push(ComponentHealth { name: API_SERVER.into(), healthy: false, message: Some(message.to_owned()) });
        }
    }
    seen.sort_by(|one, other| (one.healthy, &one.name).cmp(&(other.healthy, &other.name)));
    say(set, &seen, components.as_ref());
    next.components = seen.into_iter().map(|component| dated(&old, component, now)).collect();
}

fn is_seen(components: Option<&Components>, name: &str) -> bool {
    components.is_some_and(|components| components.named.iter().any(|it| it.name == name))
}

fn known(component: &Component) -> ComponentHealth {
    let Component { name, healthy, message, .. } = component.clone();
    ComponentHealth { name, healthy, message }
}

fn dated(old: &[Component], component: ComponentHealth, now: Timestamp) -> Component {
    let ComponentHealth { name, healthy, message } = component;
    let before = old.iter().find(|it| it.name == name && it.healthy == healthy);
    let last_transition_time = before.map_or(Time(now), |before| before.last_transition_time.clone());
    Component { name, healthy, message, last_transition_time }
}

fn say(set: &mut Setter<'_>, seen: &[ComponentHealth], components: Option<&Components>) {
    let sick: Vec<String> = seen.iter().filter(|it| !it.healthy).map(said).collect();
    let unseen = components.and_then(|components| components.message.as_deref());
    match (&*sick, unseen) {
        ([], None) if seen.is_empty() => set.keep(KIND),
        ([], None) => {
            let message = format!("All of {} components are available.", seen.len());
            set.put(KIND, "True", "AllAvailable", &message);
        }
        ([], Some(why)) => {
            let message = format!("The components in kube-system cannot be looked at: {why}.");
            set.put(KIND, "Unknown", "NotSeen", &message);
        }
        (sick, _) => {
            let more = sick.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let message = format!(
                "{}{more}. To look into it: kubectl -n kube-system get deployments,daemonsets,pods",
                sick[..sick.len().min(NAMED)].join("; ")
            );
            set.put(KIND, "False", "NotAvailable", &message);
        }
    }
}

fn said(component: &ComponentHealth) -> String {
    let why = component.message.as_deref().unwrap_or("it is not available").trim_end_matches('.');
    format!("{}: {why}", component.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Looks at a cluster once more.
    fn judged(old: &ClusterStatus, ready: Result<(), &str>, survey: Option<&Survey>, seconds: i64) -> ClusterStatus {
        let mut next = old.clone();
        let mut set = Setter { old: &old.conditions, now: at(seconds), said: Vec::new() };
        judge(&mut set, &mut next, ready, survey, at(seconds));
        next.conditions = set.finish();
        next
    }

    fn seen(components: &[(&str, Option<&str>)]) -> Survey {
        let health = |(name, message): &(&str, Option<&str>)| ComponentHealth {
            name: (*name).into(),
            healthy: message.is_none(),
            message: message.map(Into::into),
        };
        let named = components.iter().map(health).collect();
        Survey { resources: None, components: Some(Components { named, message: None }) }
    }

    #[track_caller]
    fn check(status: &ClusterStatus, value: &str, reason: &str, message: &str) {
        let condition = status.conditions.iter().find(|condition| condition.type_ == KIND).expect("it is said");
        assert_eq!((&*condition.status, &*condition.reason), (value, reason), "{}", condition.message);
        assert!(condition.message.contains(message), "{}", condition.message);
    }

    fn names(status: &ClusterStatus) -> Vec<(&str, bool)> {
        status.components.iter().map(|it| (&*it.name, it.healthy)).collect()
    }

    #[test]
    fn components_are_named_with_what_they_lack_and_since_when() {
        let well = judged(&ClusterStatus::default(), Ok(()), Some(&seen(&[("coredns", None), ("etcd", None)])), 0);
        check(&well, "True", "AllAvailable", "All of 3 components");
        let sick = judged(&well, Ok(()), Some(&seen(&[("coredns", Some("0 of 2 Pods are available"))])), 20);
        check(&sick, "False", "NotAvailable", "coredns: 0 of 2 Pods are available. To look");
        assert_eq!(names(&sick), [("coredns", false), ("kube-apiserver", true)]);
        assert_eq!(sick.components[0].last_transition_time.0, at(20));
        let still = judged(&sick, Ok(()), Some(&seen(&[("coredns", Some("1 of 2 Pods are available"))])), 40);
        assert_eq!(still.components[0].last_transition_time.0, at(20));
        assert_eq!(still.components[1].last_transition_time.0, at(0));
    }

    #[test]
    fn an_api_server_that_is_not_ready_is_a_component_too() {
        let well = judged(&ClusterStatus::default(), Ok(()), Some(&seen(&[("coredns", None), (API_SERVER, None)])), 0);
        let unseen = Survey {
            resources: None,
            components: Some(Components { named: Vec::new(), message: Some("it answered 503".into()) }),
        };
        let sick = judged(&well, Err("its check etcd fails."), Some(&unseen), 10);
        check(&sick, "False", "NotAvailable", "kube-apiserver: its check etcd fails. To look");
        assert_eq!(names(&sick), [(API_SERVER, false), ("coredns", true)]);
        let ready = judged(&sick, Ok(()), Some(&unseen), 20);
        check(&ready, "Unknown", "NotSeen", "cannot be looked at: it answered 503.");
        assert_eq!(names(&ready), [("coredns", true), (API_SERVER, true)]);
        // One of its Pods is not.
        let lame = seen(&[(API_SERVER, Some("2 of 3 Pods are available"))]);
        check(&judged(&ready, Ok(()), Some(&lame), 30), "False", "NotAvailable", "kube-apiserver: 2 of 3");
    }

    #[test]
    fn many_that_are_not_well_are_counted() {
        let many: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| (&**name, Some("gone"))).collect();
        let sick = judged(&ClusterStatus::default(), Ok(()), Some(&seen(&many)), 0);
        check(&sick, "False", "NotAvailable", "c4: gone; and 4 more. ");
    }

    #[test]
    fn what_was_not_looked_at_yet_is_what_it_was() {
        let resources = |cpu: &str| {
            let list = || [("cpu".to_owned(), cpu.to_owned())].into();
            let resources = tunnel_protocol::Resources { capacity: list(), allocatable: list(), allocated: list() };
            Survey { resources: Some(resources), ..seen(&[("coredns", None)]) }
        };
        let known = judged(&ClusterStatus::default(), Ok(()), Some(&resources("4")), 0);
        let again = judged(&known, Ok(()), Some(&Survey::default()), 10);
        assert_eq!((&again.resource, &again.components), (&known.resource, &known.components));
        check(&again, "True", "AllAvailable", "");
        let fresh = judged(&ClusterStatus::default(), Ok(()), Some(&Survey::default()), 0);
        assert_eq!((fresh.resource, fresh.components, fresh.conditions), (None, Vec::new(), Vec::new()));
    }

    #[test]
    fn an_agent_of_an_earlier_version_says_nothing() {
        let known = judged(&ClusterStatus::default(), Ok(()), Some(&seen(&[("coredns", None)])), 0);
        let silent = judged(&known, Ok(()), None, 10);
        assert_eq!((silent.resource, silent.components, silent.conditions), (None, Vec::new(), Vec::new()));
    }
}
