use k8s_openapi::api::authorization::v1::ResourceRule;

use super::certificates::Whose;
use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn well(version: &str) -> Observed {
    let nodes = Some(NodeCount { total: 3, ready: 2 });
    Observed::Well {
        link: Link::Tunnel,
        version: version.into(),
        nodes,
        follows: Some(true),
        webhooks: (None, None),
        told: Told::default(),
    }
}

pub(super) fn gone() -> Observed {
    Observed::Lost { reason: "TunnelClosed", message: "The agent is not connected.".into() }
}

pub(super) fn waiting() -> Observed {
    Observed::Waiting { reason: "WaitingForAgent", message: "No agent has connected yet.".into() }
}

fn next(old: &ClusterStatus, observed: &Observed, seconds: i64) -> ClusterStatus {
    planned(old, observed, Known::default(), seconds)
}

/// By a hub that has listened for long, and has heard what stands on record.
pub(super) fn planned(old: &ClusterStatus, observed: &Observed, known: Known, seconds: i64) -> ClusterStatus {
    let last = old.last_heartbeat_time.as_ref().map(|last| last.0);
    let mut heard = Heard { since: at(-10_000), last };
    heard.note(observed, at(seconds));
    plan(old, Some(1), observed, known, heard, at(seconds))
}

#[track_caller]
fn check(status: &ClusterStatus, expect: [(&str, &str); 4]) {
    for (kind, value) in expect {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        assert_eq!(found.map_or("", |condition| &condition.status), value, "{kind}");
    }
}

#[test]
fn a_healthy_cluster() {
    let status = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    check(
        &status,
        [("Ready", "True"), ("Connected", "True"), ("APIServerHealthy", "True"), ("VersionSupported", "True")],
    );
    assert_eq!(status.phase.as_deref(), Some("Provisioned"));
    assert_eq!(status.nodes, Some(Nodes { total: 3, ready: 2 }));
}

#[test]
fn a_version_outside_the_gate() {
    let status = next(&ClusterStatus::default(), &well("v1.35.0"), 0);
    check(
        &status,
        [("Ready", "False"), ("Connected", "True"), ("APIServerHealthy", "True"), ("VersionSupported", "False")],
    );
}

#[test]
fn a_lost_cluster_is_unknown_within_40_seconds_and_back_at_once() {
    let before = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    let soon = next(&before, &gone(), 5);
    check(
        &soon,
        [("Ready", "True"), ("Connected", "False"), ("APIServerHealthy", "True"), ("VersionSupported", "True")],
    );
    let later = next(&soon, &gone(), 30);
    check(
        &later,
        [("Ready", "Unknown"), ("Connected", "False"), ("APIServerHealthy", "Unknown"), ("VersionSupported", "True")],
    );
    let back = next(&later, &well("v1.34.2"), 60);
    check(
        &back,
        [("Ready", "True"), ("Connected", "True"), ("APIServerHealthy", "True"), ("VersionSupported", "True")],
    );
    assert_eq!(back.conditions[0].last_transition_time.0, at(60));
}

#[test]
fn transitions_are_noted_when_the_status_changes() {
    let first = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    let second = next(&first, &well("v1.34.3"), 100);
    assert_eq!(second.conditions[0].last_transition_time.0, at(0));
}

#[test]
fn a_pending_cluster() {
    let status = next(&ClusterStatus::default(), &waiting(), 0);
    check(&status, [("Ready", "False"), ("Connected", "False"), ("APIServerHealthy", ""), ("VersionSupported", "")]);
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(status.last_heartbeat_time, None);
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let first = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    assert!(!is_due(&first, &next(&first, &well("v1.34.2"), 59), 0.0));
    assert!(is_due(&first, &next(&first, &well("v1.34.2"), 60), 0.0));
    assert!(!is_due(&first, &next(&first, &well("v1.34.2"), 44), 1.0));
    assert!(is_due(&first, &next(&first, &well("v1.34.2"), 45), 1.0));
    assert!(is_due(&first, &next(&first, &well("v1.34.3"), 1), 0.0));
    let pending = next(&ClusterStatus::default(), &waiting(), 0);
    assert!(!is_due(&pending, &next(&pending, &waiting(), 500), 1.0));
}

#[test]
fn conditions_of_others_stay() {
    let mut status = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    status.conditions.push(Condition { type_: "Backup".into(), ..status.conditions[0].clone() });
    let status = next(&status, &gone(), 50);
    assert_eq!(status.conditions.last().unwrap().type_, "Backup");
    assert_eq!(status.conditions[0].type_, "Ready");
}

fn rules(of: &[(&[&str], &[&str], &[&str])], incomplete: bool) -> SubjectRulesReviewStatus {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let rule = |(verbs, resources, names): &(&[&str], &[&str], &[&str])| ResourceRule {
        api_groups: Some(vec![RBAC.into()]),
        verbs: list(verbs),
        resources: Some(list(resources)),
        resource_names: (!names.is_empty()).then(|| list(names)),
    };
    SubjectRulesReviewStatus { incomplete, resource_rules: of.iter().map(rule).collect(), ..Default::default() }
}

#[test]
fn rules_that_let_the_hub_see_when_rights_change() {
    let (watch, two, others) = (["list", "watch"], ["roles", "rolebindings"], ["clusterroles", "clusterrolebindings"]);
    let all: [(&[&str], &[&str], &[&str]); 2] = [(&watch, &two, &[]), (&watch, &others, &[])];
    assert_eq!(follows_rights(&rules(&all, false)), Some(true));
    assert_eq!(follows_rights(&rules(&all, true)), Some(true));
    assert_eq!(follows_rights(&rules(&[(&["*"], &["*"], &[])], false)), Some(true));
    // Some of the kinds, one of the verbs, some of the objects, another group.
    assert_eq!(follows_rights(&rules(&all[..1], false)), Some(false));
    assert_eq!(follows_rights(&rules(&[(&["watch"], &["*"], &[])], false)), Some(false));
    assert_eq!(follows_rights(&rules(&[(&watch, &["*"], &["admin"])], false)), Some(false));
    let mut foreign = rules(&all, false);
    foreign.resource_rules.iter_mut().for_each(|rule| rule.api_groups = Some(vec![String::new()]));
    assert_eq!(follows_rights(&foreign), Some(false));
    // What is not said may be allowed all the same.
    assert_eq!(follows_rights(&rules(&all[..1], true)), None);
}

#[test]
fn a_member_where_rights_are_not_followed_is_ready_and_says_what_mends_it() {
    let with = |old: &ClusterStatus, follows: Option<bool>| {
        let Observed::Well { link, version, nodes, .. } = well("v1.34.2") else { unreachable!() };
        next(old, &Observed::Well { link, version, nodes, follows, webhooks: (None, None), told: Told::default() }, 0)
    };
    let status = with(&ClusterStatus::default(), Some(false));
    check(
        &status,
        [("Ready", "True"), ("Connected", "True"), ("VersionSupported", "True"), ("RightsFollowed", "False")],
    );
    let message = &status.conditions.last().unwrap().message;
    assert!(message.contains("--verb=list,watch") && message.contains("--user=acp:hub:fleet"), "{message}");
    // What was known last stays, while nothing else is.
    check(&with(&status, None), [("Ready", "True"), ("", ""), ("", ""), ("RightsFollowed", "False")]);
    check(&next(&status, &gone(), 60), [("Ready", "Unknown"), ("", ""), ("", ""), ("RightsFollowed", "False")]);
    check(&with(&status, Some(true)), [("Ready", "True"), ("", ""), ("", ""), ("RightsFollowed", "True")]);
    check(&with(&ClusterStatus::default(), None), [("Ready", "True"), ("", ""), ("", ""), ("RightsFollowed", "")]);
}

#[test]
fn whether_objects_are_known_is_said_beside_the_rest() {
    let said = |status| Known {
        indexed: Some((status, "Following", "The objects are known.".to_owned())),
        ..Known::default()
    };
    let indexed = |status: &ClusterStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == "Indexed");
        found.map(|condition| (condition.status.clone(), condition.last_transition_time.0))
    };
    let first = planned(&ClusterStatus::default(), &well("v1.34.2"), said("False"), 0);
    assert!(is_ready(&first), "it changes nothing else");
    assert_eq!(indexed(&first), Some(("False".into(), at(0))));
    let second = planned(&first, &well("v1.34.2"), said("True"), 5);
    assert!(is_due(&first, &second, 0.0));
    assert_eq!(indexed(&second), Some(("True".into(), at(5))));
    let third = planned(&second, &gone(), said("True"), 6);
    assert_eq!(indexed(&third), Some(("True".into(), at(5))));
    assert_eq!(indexed(&planned(&third, &waiting(), said("True"), 7)), None, "nobody was there");
}

#[test]
fn case_55_a_webhook_of_quotas_that_is_not_served_is_seen() {
    let says = |quota: Option<QuotaHealth>| {
        let Observed::Well { link, version, nodes, follows, .. } = well("v1.34.2") else { unreachable!() };
        Observed::Well { link, version, nodes, follows, webhooks: (quota, None), told: Told::default() }
    };
    let of = |status: &ClusterStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == "QuotaEnforced").cloned();
        found.map(|condition| (condition.status, condition.reason, condition.message))
    };
    let plain = next(&ClusterStatus::default(), &says(None), 0);
    assert_eq!(of(&plain), None);
    let on = next(&plain, &says(Some(QuotaHealth { enforced: true, message: None })), 1);
    assert_eq!(of(&on).unwrap().0, "True");
    let off = next(&on, &says(Some(QuotaHealth { enforced: false, message: Some("no port".into()) })), 2);
    let (status, reason, message) = of(&off).unwrap();
    assert_eq!((&*status, &*reason), ("False", "WebhookNotServed"));
    assert!(message.contains("(no port)"), "{message}");
    assert_eq!(of(&next(&off, &gone(), 3)).unwrap().0, "False");
    assert_eq!(of(&next(&off, &gone(), 40)).unwrap().0, "Unknown");
}

#[test]
fn ratios_that_are_not_applied_are_seen_and_since_when() {
    let says = |ratio: Option<(bool, &str)>| {
        let Observed::Well { link, version, nodes, follows, .. } = well("v1.34.2") else { unreachable!() };
        let ratio = ratio.map(|(applied, why)| {
            let message = (!why.is_empty()).then(|| why.to_owned());
            RatioHealth { applied, message }
        });
        Observed::Well { link, version, nodes, follows, webhooks: (None, ratio), told: Told::default() }
    };
    let mut status = ClusterStatus::default();
    let seconds = std::cell::Cell::new(0);
    let mut check =
        |observed: &Observed, handed_down: Option<Result<(), &str>>, expect: Option<(&str, &str, &str, i64)>| {
            seconds.set(seconds.get() + 1);
            let ratio = handed_down.map(|handed_down| handed_down.map_err(str::to_owned));
            status = planned(&status, observed, Known { ratio, ..Known::default() }, seconds.get());
            let found = status.conditions.iter().find(|condition| condition.type_ == "RatioApplied");
            let said = found.map(|found| (&*found.status, &*found.reason, found.last_transition_time.0));
            assert_eq!(said, expect.map(|(status, reason, _, since)| (status, reason, at(since))), "{observed:?}");
            let message = found.map_or("", |found| &found.message);
            assert!(message.contains(expect.map_or("", |(_, _, message, _)| message)), "{message}");
        };
    check(&says(None), None, None);
    check(&says(Some((true, ""))), None, Some(("True", "WebhookServed", "", 2)));
    check(&says(Some((true, ""))), Some(Ok(())), Some(("True", "WebhookServed", "", 2)));
    check(&says(Some((false, "forbidden"))), Some(Ok(())), Some(("False", "WebhookNotServed", "(forbidden)", 4)));
    check(
        &says(Some((false, "forbidden"))),
        Some(Err("theirs")),
        Some(("False", "WebhookNotServed", "(forbidden)", 4)),
    );
    check(&says(Some((true, ""))), Some(Err("theirs")), Some(("False", "NotHandedDown", "(theirs)", 4)));
    check(&gone(), Some(Err("theirs")), Some(("False", "NotHandedDown", "(theirs)", 4)));
    check(&says(Some((true, ""))), Some(Ok(())), Some(("True", "WebhookServed", "", 8)));
    // A cluster that was imported has nobody who would do it.
    check(&says(None), Some(Ok(())), Some(("False", "NoAgent", "no agent", 9)));
    check(&says(None), None, None);
    check(&says(Some((true, ""))), None, Some(("True", "WebhookServed", "", 11)));
    seconds.set(71);
    check(&gone(), None, Some(("Unknown", "HeartbeatLost", "", 72)));
}

fn telling(told: Told) -> Observed {
    let mut seen = well("v1.34.2");
    *seen.told_mut().unwrap() = told;
    seen
}

fn said(status: &ClusterStatus, kind: &str) -> Option<(String, String, String)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).cloned();
    found.map(|condition| (condition.status, condition.reason, condition.message))
}

#[test]
fn case_29_a_clock_that_is_wrong_is_said_and_keeps_nobody_from_work() {
    let ahead = |millis: i64| telling(Told { clock: Some(SignedDuration::from_millis(millis)), ..Told::default() });
    let status = next(&ClusterStatus::default(), &ahead(900), 0);
    assert_eq!(said(&status, "ClockSynchronised").unwrap().0, "True");
    let status = next(&status, &ahead(61_400), 10);
    let (value, reason, message) = said(&status, "ClockSynchronised").unwrap();
    assert_eq!((&*value, &*reason, status.clock_offset_seconds), ("False", "ClockAhead", Some(61)));
    assert!(message.starts_with("The clock is 61 s ahead"), "{message}");
    assert!(is_ready(&status));
    // Noise is no news; nor is an exchange that took too long to measure anything.
    for again in [ahead(62_300), ahead(59_600), telling(Told::default())] {
        assert_eq!(
            ClusterStatus { last_heartbeat_time: None, ..next(&status, &again, 11) },
            ClusterStatus { last_heartbeat_time: None, ..status.clone() }
        );
    }
    let behind = next(&status, &ahead(-86_400_000 * 365), 20);
    let (_, reason, message) = said(&behind, "ClockSynchronised").unwrap();
    assert_eq!(reason, "ClockBehind");
    assert!(message.starts_with("The clock is 365 days behind"), "{message}");
    assert_eq!(said(&next(&behind, &gone(), 90), "ClockSynchronised").unwrap().1, "ClockBehind", "nobody has set it");
    assert_eq!(said(&next(&behind, &ahead(0), 100), "ClockSynchronised").unwrap().0, "True");
}

#[test]
fn a_certificate_that_runs_out_is_said_with_what_to_do() {
    const DAY: i64 = 86_400;
    let of = |whose, days: i64| {
        telling(Told { certificate: Some(Holds { whose, until: at(days * DAY) }), ..Told::default() })
    };
    let mut status = ClusterStatus::default();
    for (whose, days, expected) in [
        (Whose::Agent, 30, ("True", "InDate", "until 2027-02-14 08:00 UTC")),
        (Whose::Agent, 8, ("True", "InDate", "renews it by itself")),
        (Whose::Agent, 6, ("False", "RenewalOverdue", "logs deployment/acp-agent")),
        (Whose::Credential, 365, ("True", "InDate", "nothing renews it")),
        (Whose::Credential, 29, ("False", "ExpiresSoon", "import it with a new kubeconfig")),
        (Whose::Credential, 0, ("False", "Expired", "held until 2027-01-15 08:00 UTC")),
    ] {
        status = next(&status, &of(whose, days), 10);
        let (value, reason, message) = said(&status, "CertificatesValid").unwrap();
        assert_eq!((&*value, &*reason), (expected.0, expected.1), "{whose:?} {days}");
        assert!(message.contains(expected.2), "{message}");
        assert_eq!(status.certificates[0].not_after.0, at(days * DAY));
        assert!(is_ready(&status));
    }
    // Who says nothing of it, or nothing at all, has the one that it had.
    for silent in [telling(Told::default()), gone()] {
        let after = next(&status, &silent, 90);
        let say = |status: &ClusterStatus| (status.certificates.clone(), said(status, "CertificatesValid"));
        assert_eq!(say(&after), say(&status));
    }
}

#[test]
fn an_agent_of_another_version_is_said_with_what_to_do() {
    let of = |agent: &str| {
        let told = Told { agent: Some(agent.into()), ..Told::default() };
        let status = next(&ClusterStatus::default(), &telling(told), 0);
        assert!(is_ready(&status));
        said(&status, "AgentCurrent").unwrap()
    };
    assert_eq!(of(env!("CARGO_PKG_VERSION")).0, "True");
    let (value, reason, message) = of("0.0.1");
    assert_eq!((&*value, &*reason), ("False", "AgentOlder"));
    assert!(message.contains("Deployment acp-agent"), "{message}");
    let (value, reason, message) = of("99.0.0");
    assert_eq!((&*value, &*reason), ("False", "AgentNewer"));
    assert!(message.contains("Upgrade the hub"), "{message}");
    assert_eq!(of("\u{fffd}[2J").0, "Unknown");
    // Where there is no agent, nothing is said of one.
    assert_eq!(said(&next(&ClusterStatus::default(), &well("v1.34.2"), 0), "AgentCurrent"), None);
}

#[test]
fn silence_counts_from_what_was_heard_and_not_from_what_was_written() {
    let first = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    // It was heard of again without a write, and is lost after that.
    let heard = Heard { since: at(-10_000), last: Some(at(50)) };
    let lost = plan(&first, Some(1), &gone(), Known::default(), heard, at(64));
    assert_eq!((&*said(&lost, "Connected").unwrap().0, &*said(&lost, "Ready").unwrap().0), ("False", "True"));
    assert_eq!(lost.last_heartbeat_time, Some(Time(at(50))), "that is worth a write, and exact");
    let heard = Heard { since: at(-10_000), last: Some(at(50)) };
    assert_eq!(said(&plan(&lost, Some(1), &gone(), Known::default(), heard, at(80)), "Ready").unwrap().0, "Unknown");
}

#[test]
fn case_19_a_key_that_waits_is_said_and_changes_nothing_else() {
    let request = |decision| KeyRequest {
        name: "edge-agent-1".into(),
        key: "sha256:1".into(),
        since: at(0),
        from: "192.0.2.1".into(),
        decision,
    };
    let of = |old: &ClusterStatus, decision, seconds| {
        let known = Known { key_request: Some(request(decision)), ..Known::default() };
        planned(old, &well("v1.34.2"), known, seconds)
    };
    let text = |status: &ClusterStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == "AgentKeyApproved");
        found.map(|found| (found.status.clone(), found.reason.clone(), found.message.clone()))
    };
    let waits = of(&ClusterStatus::default(), Decision::Pending, 1);
    assert!(is_ready(&waits));
    let (status, reason, message) = text(&waits).unwrap();
    assert_eq!((&*status, &*reason), ("False", "ApprovalPending"));
    for part in ["sha256:1", "192.0.2.1", "ac adm certificate approve edge-agent-1", "certificate deny edge-agent-1"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let denied = of(&waits, Decision::Denied("not ours".into()), 2);
    assert!(text(&denied).is_some_and(|said| said.1 == "ApprovalDenied" && said.2.contains("not ours")));
    assert_eq!(text(&of(&waits, Decision::Approved, 2)).unwrap().0, "True");
    assert_eq!(text(&next(&waits, &well("v1.34.2"), 3)), None, "nobody waits any more");
}

#[test]
fn a_hub_that_has_just_started_has_missed_nothing_yet() {
    let first = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    let heard = Heard { since: at(600), last: None };
    let soon = plan(&first, Some(1), &gone(), Known::default(), heard, at(602));
    assert_eq!(said(&soon, "Ready").unwrap().0, "True", "its tunnel may be on its way");
    assert_eq!(soon.last_heartbeat_time, first.last_heartbeat_time, "nothing was heard");
    let later = plan(&soon, Some(1), &gone(), Known::default(), heard, at(630));
    assert_eq!(said(&later, "Ready").unwrap().0, "Unknown");
    // What was unknown before stays so.
    let again = Heard { since: at(700), last: None };
    assert_eq!(said(&plan(&later, Some(1), &gone(), Known::default(), again, at(701)), "Ready").unwrap().0, "Unknown");
    // And what was never heard of at all has nothing to wait for.
    let never = plan(&ClusterStatus::default(), Some(1), &gone(), Known::default(), again, at(701));
    assert_eq!(said(&never, "Ready").unwrap().0, "Unknown");
}

/// A cluster that has so many CPUs for its Pods.
fn has(cpu: &str) -> Observed {
    let list: tunnel_protocol::ResourceList = [("cpu".to_owned(), cpu.to_owned())].into();
    let resources = tunnel_protocol::Resources { capacity: list.clone(), allocatable: list.clone(), allocated: list };
    let mut observed = well("v1.34.2");
    observed.told_mut().unwrap().survey = Some(Survey { resources: Some(resources), components: None });
    observed
}

#[test]
fn amounts_that_move_are_written_with_the_heartbeat() {
    let first = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    let counted = next(&first, &has("4"), 10);
    assert!(is_due(&first, &counted, 0.0), "the first count is news");
    assert!(!is_due(&counted, &next(&counted, &has("5"), 20), 0.0));
    let later = next(&counted, &has("5"), 71);
    assert!(is_due(&counted, &later, 0.0));
    assert_eq!(later.resource.unwrap().allocated["cpu"], "5");
}

#[test]
fn a_silent_cluster_keeps_what_was_counted_and_its_components_are_unknown() {
    let mut observed = has("4");
    let component = tunnel_protocol::ComponentHealth { name: "coredns".into(), healthy: true, message: None };
    let components = tunnel_protocol::Components { named: vec![component], message: None };
    observed.told_mut().unwrap().survey.as_mut().unwrap().components = Some(components);
    let before = next(&ClusterStatus::default(), &observed, 0);
    let of = |status: &ClusterStatus| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == "ComponentsHealthy");
        condition.map(|condition| (condition.status.clone(), condition.reason.clone()))
    };
    assert_eq!(of(&before), Some(("True".into(), "AllAvailable".into())));
    let silent = next(&before, &gone(), 31);
    assert_eq!(of(&silent), Some(("Unknown".into(), "HeartbeatLost".into())));
    assert_eq!((&silent.resource, &silent.components), (&before.resource, &before.components));
}

#[test]
fn an_agent_says_what_it_lacks_while_the_hub_s_authority_is_replaced_and_no_longer() {
    use std::sync::Arc;
    use std::time::SystemTime;

    use lib_tls::{Authorities, Authority, Step};

    use super::authority::Rotation;
    use crate::authority::{Wanted, written};

    let first = Authorities::alone(Arc::new(Authority::generate("hub", SystemTime::now()).unwrap()));
    let introduced = first.after(Step::Introduce, SystemTime::now()).unwrap();
    let switched = introduced.after(Step::Switch, SystemTime::now()).unwrap();
    let said = |now: &Authorities, trusts: &Authorities, issuer: &Authorities| {
        let mut observed = well("v1.34.2");
        observed.told_mut().unwrap().trust = Some(AgentTrust {
            authorities: written(&trusts.pins()),
            issuer: Some(issuer.signing().pin().to_string()),
            message: None,
        });
        let rotation = Rotation { wanted: Wanted::of(now), is_under_way: now.other().is_some() };
        let known = Known { rotation: Some(rotation), ..Known::default() };
        let status = planned(&ClusterStatus::default(), &observed, known, 0);
        assert!(is_ready(&status), "it is as well as it was");
        assert_eq!(status.agent_trust.unwrap().authorities, written(&trusts.pins()));
        let found = status.conditions.into_iter().find(|condition| condition.type_ == "AuthorityTrusted");
        found.map(|condition| format!("{} {}", condition.status, condition.reason))
    };
    assert_eq!(said(&first, &first, &first), None);
    assert_eq!(said(&introduced, &first, &first).as_deref(), Some("False NotTaken"));
    assert_eq!(said(&introduced, &introduced, &first).as_deref(), Some("True Taken"));
    assert_eq!(said(&switched, &switched, &first).as_deref(), Some("False CertificateOfOther"));
    assert_eq!(said(&switched, &switched, &switched).as_deref(), Some("True Taken"));
}
