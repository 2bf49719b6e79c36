use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn well(version: &str) -> Observed {
    let nodes = Some(NodeCount { total: 3, ready: 2 });
    Observed::Well { link: Link::Tunnel, version: version.into(), nodes }
}

fn gone() -> Observed {
    Observed::Lost { reason: "TunnelClosed", message: "The agent is not connected.".into() }
}

fn waiting() -> Observed {
    Observed::Waiting { reason: "WaitingForAgent", message: "No agent has connected yet.".into() }
}

fn next(old: &ClusterStatus, observed: &Observed, seconds: i64) -> ClusterStatus {
    plan(old, Some(1), observed, at(seconds))
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
    assert!(!is_due(&first, &next(&first, &well("v1.34.2"), 9)));
    assert!(is_due(&first, &next(&first, &well("v1.34.2"), 10)));
    assert!(is_due(&first, &next(&first, &well("v1.34.3"), 1)));
    let pending = next(&ClusterStatus::default(), &waiting(), 0);
    assert!(!is_due(&pending, &next(&pending, &waiting(), 500)));
}

#[test]
fn conditions_of_others_stay() {
    let mut status = next(&ClusterStatus::default(), &well("v1.34.2"), 0);
    status.conditions.push(Condition { type_: "Backup".into(), ..status.conditions[0].clone() });
    let status = next(&status, &gone(), 50);
    assert_eq!(status.conditions.last().unwrap().type_, "Backup");
    assert_eq!(status.conditions[0].type_, "Ready");
}
