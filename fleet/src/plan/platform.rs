//! Whether a cluster's agent reaches the hub by the address that the cluster's annotation names.

use api_types::cluster::PLATFORM_URL;
use tunnel_protocol::{PlatformUrl, Reached};

use super::{Link, Observed, Setter};
use crate::platform::HOSTS;

pub(super) const KIND: &str = "PlatformURLUsed";

/// By which address an agent is to reach the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// By the one that it was given.
    #[default]
    Given,
    /// By this one.
    Url(PlatformUrl),
    /// The annotation says nothing that can be used, and this is why.
    Invalid(String),
    /// Clusters name too many hosts without this one.
    TooMany(PlatformUrl),
}

/// How far an agent is.
#[derive(Debug, PartialEq, Eq)]
enum Progress<'a> {
    Used,
    Trying,
    NotReached(&'a str),
    /// It has not taken what it was told.
    NotTaken(&'a str),
}

fn progress<'a>(url: Option<&PlatformUrl>, reached: &'a Reached) -> Progress<'a> {
    let message = reached.message.as_deref();
    let is_told = reached.told == url.map(PlatformUrl::to_string);
    let is_used = match url {
        Some(url) => reached.used == Some(url.authority()),
        // Only the agent knows which one it was given.
        None => message.is_none(),
    };
    match (is_told, message) {
        (false, Some(why)) => Progress::NotTaken(why),
        (true, _) if is_used => Progress::Used,
        (true, Some(why)) => Progress::NotReached(why),
        (_, None) => Progress::Trying,
    }
}

/// Whether it is worth to look again soon.
pub(crate) fn is_moving(wanted: &Wanted, reached: Option<&Reached>) -> bool {
    let url = match wanted {
        Wanted::Given => None,
        Wanted::Url(url) => Some(url),
        Wanted::Invalid(_) | Wanted::TooMany(_) => return false,
    };
    reached.is_some_and(|reached| progress(url, reached) == Progress::Trying)
}

/// Says how that is, where something is wanted or was. The cluster is as well as it was without that.
pub(super) fn judge(set: &mut Setter<'_>, wanted: &Wanted, observed: &Observed, is_silent: bool) {
    match wanted {
        Wanted::Invalid(why) => {
            let message =
                format!("The annotation {PLATFORM_URL}: {why}. The agent goes on with the address that it has.");
            return set.put(KIND, "False", "Invalid", &message);
        }
        Wanted::TooMany(url) => {
            let message = format!(
                "The annotation {PLATFORM_URL}: clusters name more than {HOSTS} hosts, and the hub's certificate does not name \
                 {}. Use a host that others name too. The agent goes on with the address that it has.",
                url.host()
            );
            return set.put(KIND, "False", "TooManyHosts", &message);
        }
        Wanted::Given | Wanted::Url(_) => {}
    }
    match (observed, wanted) {
        (Observed::Well { link: Link::Tunnel, told, .. } | Observed::Sick { link: Link::Tunnel, told, .. }, _) => {
            tell(set, wanted, told.address.as_ref());
        }
        (Observed::Lost { .. }, Wanted::Url(_)) if is_silent => {
            let message = "No heartbeat; by which address the agent looks for the hub is not known.";
            set.put(KIND, "Unknown", "HeartbeatLost", message);
        }
        (Observed::Lost { .. }, Wanted::Url(_)) => set.keep(KIND),
        // Others have no agent, or had none yet.
        _ => {}
    }
}

fn tell(set: &mut Setter<'_>, wanted: &Wanted, reached: Option<&Reached>) {
    let Wanted::Url(url) = wanted else {
        if let Some(reached) = reached
            && let Progress::NotReached(why) | Progress::NotTaken(why) = progress(None, reached)
        {
            let used = reached.used.as_deref().unwrap_or("another address");
            let message = format!(
                "The annotation {PLATFORM_URL} was taken away, and the agent goes on with {used}: by the address that it was \
                 given, it does not reach the hub ({why}). Put the annotation back, or register the cluster again."
            );
            set.put(KIND, "False", "GivenNotReached", &message);
        }
        return;
    };
    let Some(reached) = reached else {
        let message = format!("The agent is of a version that cannot be told to reach the hub at {url}: upgrade it.");
        return set.put(KIND, "Unknown", "NotTold", &message);
    };
    let goes_on = match reached.used.as_deref() {
        Some(used) => format!("goes on with {used}"),
        None => "goes on with the address that it has".to_owned(),
    };
    match progress(Some(url), reached) {
        Progress::Used => set.put(KIND, "True", "InUse", &format!("The agent reaches the hub at {url}.")),
        Progress::Trying => {
            set.put(KIND, "Unknown", "Trying", &format!("The agent tries to reach the hub at {url}, and {goes_on}."));
        }
        Progress::NotReached(why) => {
            let message = format!(
                "The agent does not reach the hub at {url}, and {goes_on} ({why}). The address has to lead to the hub's door \
                 from the cluster's network, with nothing in between that ends TLS; it is tried again at least once a minute."
            );
            set.put(KIND, "False", "NotReached", &message);
        }
        Progress::NotTaken(why) => {
            let message =
                format!("The agent has not taken that it is to reach the hub at {url}, and {goes_on} ({why}).");
            set.put(KIND, "False", "NotTaken", &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use api_types::cluster::ClusterStatus;

    use super::*;
    use crate::plan::tests::{gone, planned, waiting, well};
    use crate::plan::{Known, Told, is_ready};

    /// What is said when the annotation says that, and the agent that.
    #[track_caller]
    fn says_of_address(
        wanted: &str,
        reached: Option<(Option<&str>, &str, Option<&str>)>,
        expect: Option<(&str, &str, &str)>,
    ) {
        let text = |text: &str| text.to_owned();
        let reached = reached.map(|(told, used, message)| Reached {
            told: told.map(text),
            used: Some(used.to_owned()),
            message: message.map(text),
        });
        let mut observed = well("v1.34.2");
        observed.told_mut().unwrap().address = reached;
        let address = match wanted {
            "" => Wanted::Given,
            url => Wanted::Url(url.parse().unwrap()),
        };
        let status = planned(&ClusterStatus::default(), &observed, Known { address, ..Known::default() }, 0);
        assert!(is_ready(&status), "it is as well as it was");
        let found = status.conditions.iter().find(|condition| condition.type_ == "PlatformURLUsed");
        let said = found.map(|found| (found.status.as_str(), found.reason.as_str(), found.message.as_str()));
        assert_eq!(
            said.map(|(status, reason, _)| (status, reason)),
            expect.map(|(status, reason, _)| (status, reason))
        );
        if let (Some((.., message)), Some((.., words))) = (said, expect) {
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn by_which_address_the_agent_reaches_the_hub() {
        let url = "https://hub.branch";
        says_of_address("", None, None);
        says_of_address("", Some((None, "hub:443", None)), None);
        says_of_address(url, None, Some(("Unknown", "NotTold", "upgrade it")));
        says_of_address(url, Some((Some(url), "hub.branch:443", None)), Some(("True", "InUse", url)));
        says_of_address(url, Some((Some(url), "hub:443", None)), Some(("Unknown", "Trying", "goes on with hub:443")));
        let why = Some("nobody is there");
        says_of_address(
            url,
            Some((Some(url), "hub:443", why)),
            Some(("False", "NotReached", "hub:443 (nobody is there)")),
        );
        says_of_address(url, Some((None, "hub:443", why)), Some(("False", "NotTaken", "nobody is there")));
        // It was taken away, and there is no way back.
        says_of_address("", Some((None, "hub.branch:443", why)), Some(("False", "GivenNotReached", "hub.branch:443")));
        says_of_address(
            "",
            Some((Some(url), "hub.branch:443", why)),
            Some(("False", "GivenNotReached", "nobody is there")),
        );
    }

    #[test]
    fn what_cannot_be_used_is_said_whoever_is_there() {
        for (address, reason) in [
            (Wanted::Invalid("\"x\" is no URL".into()), "Invalid"),
            (Wanted::TooMany("https://hub".parse().unwrap()), "TooManyHosts"),
        ] {
            for observed in [well("v1.34.2"), gone(), waiting()] {
                let known = Known { address: address.clone(), ..Known::default() };
                let status = planned(&ClusterStatus::default(), &observed, known, 0);
                let said: Vec<_> = status.conditions.iter().filter(|one| one.type_ == "PlatformURLUsed").collect();
                assert!(matches!(said[..], [one] if one.reason == reason && one.status == "False"), "{said:?}");
            }
        }
    }

    #[test]
    fn by_which_address_a_lost_cluster_looks_for_the_hub_is_not_known_for_long() {
        let known = || Known { address: Wanted::Url("https://hub".parse().unwrap()), ..Known::default() };
        let said = |status: &ClusterStatus| {
            let found = status.conditions.iter().find(|condition| condition.type_ == "PlatformURLUsed");
            found.map(|found| format!("{} {}", found.status, found.reason))
        };
        let mut observed = well("v1.34.2");
        observed.told_mut().unwrap().address =
            Some(Reached { told: Some("https://hub".into()), used: Some("hub:443".into()), message: None });
        let before = planned(&ClusterStatus::default(), &observed, known(), 0);
        assert_eq!(said(&before).as_deref(), Some("True InUse"));
        let soon = planned(&before, &gone(), known(), 5);
        assert_eq!(said(&soon).as_deref(), Some("True InUse"));
        let later = planned(&soon, &gone(), known(), 60);
        assert_eq!(said(&later).as_deref(), Some("Unknown HeartbeatLost"));
        assert_eq!(said(&planned(&ClusterStatus::default(), &waiting(), known(), 0)), None);
    }

    #[test]
    fn a_cluster_without_an_agent_is_told_nothing() {
        let observed = Observed::Well {
            link: Link::Direct,
            version: "v1.34.2".into(),
            nodes: None,
            follows: Some(true),
            webhooks: (None, None),
            told: Told::default(),
        };
        let known = Known { address: Wanted::Url("https://hub".parse().unwrap()), ..Known::default() };
        let status = planned(&ClusterStatus::default(), &observed, known, 0);
        assert!(!status.conditions.iter().any(|condition| condition.type_ == "PlatformURLUsed"));
    }
}
