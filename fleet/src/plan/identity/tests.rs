use super::super::{CONDITIONS, Heard, Known, Link, Observed, Told, plan};
use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

const HEARD: Heard = Heard { since: Timestamp::UNIX_EPOCH, last: None };

fn cluster(name: &str) -> Cluster {
    let mut cluster = Cluster::new(name, Default::default());
    cluster.metadata.uid = Some(format!("object-{name}"));
    cluster
}

/// The cluster after it has shown this uid.
fn shown(mut cluster: Cluster, uid: &str, others: &[Cluster], seconds: i64) -> Cluster {
    let mut noted = Noted::default();
    others.iter().chain([&cluster]).for_each(|cluster| noted.note(cluster));
    let claim = noted.claim(uid.into(), &cluster);
    let old = cluster.status.clone().unwrap_or_default();
    let another = is_another_now(&old, Some(&claim));
    let told = Told { identity: claim, ..Told::default() };
    let seen = Observed::Well {
        link: Link::Tunnel,
        version: "v1.34.2".into(),
        nodes: None,
        follows: None,
        webhooks: (None, None),
        told,
    };
    let status = plan(&old, None, &seen, Known::default(), HEARD, at(seconds));
    assert_eq!(is_another(&status), another);
    cluster.status = Some(status);
    cluster
}

#[track_caller]
fn check(cluster: &Cluster, reason: &str, ready: &str) {
    let status = cluster.status.as_ref().unwrap();
    let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    assert_eq!((&*of(KIND).reason, &*of("Ready").status), (reason, ready), "{status:?}");
    assert_eq!(is_another(status), reason == CHANGED);
    assert_eq!(is_another(status), reason == CHANGED);
    assert!(CONDITIONS.contains(&KIND));
}

fn noted(cluster: &Cluster) -> &str {
    &cluster.status.as_ref().unwrap().identity.as_ref().unwrap().uid
}

#[test]
fn a_cluster_is_noted_at_first_sight_and_stays_itself() {
    let first = shown(cluster("a"), "u1", &[], 0);
    check(&first, "SameAsBefore", "True");
    let again = shown(first.clone(), "u1", &[], 50);
    check(&again, "SameAsBefore", "True");
    assert_eq!(again.status.unwrap().identity, first.status.unwrap().identity);
}

#[test]
fn case_29_another_cluster_under_a_known_name_gets_no_requests() {
    let first = shown(cluster("a"), "u1", &[], 0);
    let other = shown(first, "u2", &[], 10);
    check(&other, CHANGED, "False");
    assert_eq!(noted(&other), "u1");
    // It does not become right by waiting, by saying nothing, or by being away.
    let other = shown(other, "u2", &[], 500);
    check(&other, CHANGED, "False");
    for seen in [
        Observed::Well {
            link: Link::Tunnel,
            version: "v1.34.2".into(),
            nodes: None,
            follows: None,
            webhooks: (None, None),
            told: Told::default(),
        },
        Observed::Sick { link: Link::Tunnel, message: "ill".into(), told: Told::default() },
        Observed::Lost { reason: "TunnelClosed", message: "gone".into() },
    ] {
        let status = plan(other.status.as_ref().unwrap(), None, &seen, Known::default(), HEARD, at(600));
        assert!(is_another(&status), "{seen:?}: {status:?}");
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_ne!(ready.status, "True", "{seen:?}");
    }
    // The right one comes back.
    check(&shown(other, "u1", &[], 700), "SameAsBefore", "True");
}

#[test]
fn case_29_an_administrator_says_that_a_cluster_was_rebuilt() {
    let first = shown(cluster("a"), "u1", &[], 0);
    let mut other = shown(first, "u2", &[], 10);
    other.annotations_mut().insert(ACCEPTED_UID.into(), "u3".into());
    let mut other = shown(other, "u2", &[], 20);
    check(&other, CHANGED, "False");
    other.annotations_mut().insert(ACCEPTED_UID.into(), "u2".into());
    let rebuilt = shown(other, "u2", &[], 30);
    check(&rebuilt, "SameAsBefore", "True");
    assert_eq!(noted(&rebuilt), "u2");
    // The old one is another now.
    check(&shown(rebuilt, "u1", &[], 40), CHANGED, "False");
}

#[test]
fn case_29_a_claim_of_somebody_elses_uid_touches_the_other_one_in_nothing() {
    let honest = shown(cluster("honest"), "u1", &[], 0);
    // Older as an object, and even first by name: what counts is who was seen first.
    let liar = shown(cluster("a-liar"), "u1", std::slice::from_ref(&honest), 10);
    check(&liar, "SameClusterAs", "True");
    let message = &liar.status.as_ref().unwrap().conditions.iter().find(|c| c.type_ == KIND).unwrap().message;
    assert!(message.contains("known as honest"), "{message}");
    let honest = shown(honest, "u1", std::slice::from_ref(&liar), 20);
    check(&honest, "SameAsBefore", "True");
    // Whoever was itself first and claims to be another one later is not itself any more.
    let turned = shown(shown(cluster("turned"), "u9", &[], 0), "u1", std::slice::from_ref(&honest), 30);
    check(&turned, CHANGED, "False");
    let message = &turned.status.as_ref().unwrap().conditions.iter().find(|c| c.type_ == KIND).unwrap().message;
    assert!(message.contains("that of cluster honest"), "{message}");
    // A twin remains when the first one has gone.
    check(&shown(liar, "u1", &[], 40), "SameAsBefore", "True");
}

#[test]
fn of_two_that_were_seen_at_once_one_is_warned() {
    let (a, b) = (shown(cluster("a"), "u1", &[], 0), shown(cluster("b"), "u1", &[], 0));
    check(&shown(a.clone(), "u1", std::slice::from_ref(&b), 10), "SameAsBefore", "True");
    check(&shown(b, "u1", std::slice::from_ref(&a), 10), "SameClusterAs", "True");
}
