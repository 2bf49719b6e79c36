//! Tables, and every interleaving that can be thought of.

#![expect(clippy::cloned_ref_to_slice_refs, reason = "a list of one reads as the lists of two beside it")]

mod interleavings;

use std::collections::BTreeMap;

use api_types::tenancy::ProjectQuotaStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn later(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn amounts(value: &Value) -> Amounts {
    Amounts::of(Some(value))
}

fn holding(namespace: &str, name: &str, hard: &Value) -> Holding {
    let uid = format!("{namespace}-{name}");
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Holding { namespace, name, uid, version: "1".into(), hard: amounts(hard), scoped: false }
}

fn project(hard: &Value, holdings: &[Holding], reservations: Vec<Reservation>, now: Timestamp) -> Book {
    let namespaces = ["shop", "a", "b"].map(|name| (name.to_owned(), Namespace::default()));
    Book::open("shop", amounts(hard), namespaces.into(), holdings.to_vec(), reservations, now)
}

fn create(new: Holding) -> Change {
    Change::Write { new, old: None }
}

fn update(old: &Holding, hard: &Value) -> Change {
    Change::Write { new: Holding { hard: amounts(hard), ..old.clone() }, old: Some(old.clone()) }
}

/// The amounts that are used by it afterwards, or the refusal.
#[track_caller]
fn check(hard: &Value, holdings: &[Holding], change: &Change, expect: Result<Value, &str>) {
    let mut book = project(hard, holdings, Vec::new(), NOW);
    match (book.reserve(change, later(90)), expect) {
        (Ok(_), Ok(used)) => assert_eq!(book.used(), amounts(&used)),
        (Err(refused), Err(text)) => {
            let message = refused.to_string();
            assert!(message.contains(text), "{message}");
            // Nothing was noted.
            assert_eq!(book.used(), project(hard, holdings, Vec::new(), NOW).used());
        }
        (got, expect) => panic!("{got:?} instead of {expect:?}"),
    }
}

#[test]
fn sums_are_exact() {
    let gold = "gold.storageclass.storage.k8s.io/requests.storage";
    let limits = json!({"requests.cpu": "2", gold: "1Ti", "count/widgets.example.com": 5, "example.com/gpu": "1"});
    let had = holding(
        "a",
        "q",
        &json!({"requests.cpu": "1500m", gold: "512Gi", "count/widgets.example.com": "2",
        "example.com/gpu": 0, "pods": "900"}),
    );
    let with = |cpu: &str, storage: &str, widgets: i64| {
        holding(
            "b",
            "q",
            &json!({"requests.cpu": cpu, gold: storage, "count/widgets.example.com": widgets, "example.com/gpu": "1"}),
        )
    };
    let all = json!({"requests.cpu": "2", gold: "1024Gi", "count/widgets.example.com": "5", "example.com/gpu": "1"});
    check(&limits, &[had.clone()], &create(with("0.5", "0.5Ti", 3)), Ok(all));
    for (new, key) in
        [(with("501m", "1", 0), "requests.cpu"), (with("0", "513Gi", 0), gold), (with("0", "0", 4), "count/widgets")]
    {
        check(&limits, &[had.clone()], &create(new), Err(key));
    }
    check(
        &limits,
        &[had],
        &create(with("500000001n", "0", 0)),
        Err("500000001n more asked for, 500m left (1500m of 2"),
    );
}

#[test]
fn what_is_not_named_has_no_bound() {
    let huge = holding("a", "q", &json!({"pods": "1000000", "requests.cpu": "0"}));
    check(&json!({"requests.cpu": "0"}), &[], &create(huge.clone()), Ok(json!({"requests.cpu": "0"})));
    check(&json!({}), &[], &create(huge), Ok(json!({})));
    check(&json!({}), &[], &create(holding("a", "q", &json!({}))), Ok(json!({})));
}

#[test]
fn a_change_costs_what_it_grows_by() {
    let limits = json!({"pods": "10"});
    let (a, b) = (holding("a", "q", &json!({"pods": 4})), holding("b", "q", &json!({"pods": 4})));
    let both = [a.clone(), b];
    check(&limits, &both, &update(&a, &json!({"pods": 6})), Ok(json!({"pods": "10"})));
    check(&limits, &both, &update(&a, &json!({"pods": 7})), Err("pods: 3 more asked for, 2 left (8 of 10"));
    // Less is used when it is less, not before.
    check(&limits, &both, &update(&a, &json!({"pods": 1})), Ok(json!({"pods": "8"})));
}

#[test]
fn while_it_is_exceeded_nothing_grows_and_all_else_passes() {
    let limits = json!({"pods": "5", "secrets": 9});
    let a = holding("a", "q", &json!({"pods": 4, "secrets": 1}));
    let both = [a.clone(), holding("b", "q", &json!({"pods": 4, "secrets": 1}))];
    let book = project(&limits, &both, Vec::new(), NOW);
    assert_eq!(book.exceeded(), ["pods"]);
    check(
        &limits,
        &both,
        &update(&a, &json!({"pods": 5, "secrets": 1})),
        Err("pods: 1 more asked for, 0 left (8 of 5"),
    );
    check(&limits, &both, &update(&a, &json!({"pods": 4, "secrets": 2})), Ok(json!({"pods": "8", "secrets": "3"})));
    check(&limits, &both, &update(&a, &json!({"pods": 3, "secrets": 1})), Ok(json!({"pods": "8", "secrets": "2"})));
    check(&limits, &both, &update(&a, &json!({"pods": 4, "secrets": 1})), Ok(json!({"pods": "8", "secrets": "2"})));
}

#[test]
fn a_namespaces_quota_bounds_what_the_project_is_bounded_in() {
    let limits = json!({"pods": "10", "requests.cpu": "4"});
    let full = holding("a", "q", &json!({"pods": 4, "requests.cpu": "1"}));
    let lacking = holding("b", "q", &json!({"pods": 1}));
    let text = "spec.hard of ResourceQuota b/q does not name requests.cpu, in which project shop is bounded in this cluster: \
                3 of 4 is left";
    check(&limits, &[full.clone()], &create(lacking.clone()), Err(text));
    // In vain: it bounds some Pods only.
    let scoped = Holding { scoped: true, ..holding("b", "s", &json!({"pods": 1, "requests.cpu": "1"})) };
    check(&limits, &[], &create(scoped), Err("does not name pods"));
    // One beside it has the key.
    let second = holding("a", "more", &json!({"count/secrets": 3}));
    check(&limits, &[full.clone()], &create(second), Ok(json!({"pods": "4", "requests.cpu": "1"})));
    check(&limits, &[full.clone()], &update(&full, &json!({"pods": 4})), Err("does not name requests.cpu"));
    // From before the project was bounded in it: it may stay so, and get better.
    let used = json!({"pods": "1", "requests.cpu": "0"});
    check(&limits, &[lacking.clone()], &update(&lacking, &json!({"pods": 1, "secrets": 1})), Ok(used));
    check(&limits, &[lacking.clone()], &update(&lacking, &json!({})), Err("does not name pods"));
    check(
        &limits,
        &[lacking.clone()],
        &update(&lacking, &json!({"requests.cpu": "5", "pods": 1})),
        Err("requests.cpu: 5 more"),
    );
}

#[test]
fn what_bounds_a_namespace_does_not_go_before_it() {
    let limits = json!({"pods": "10"});
    let (first, second) = (holding("a", "q", &json!({"pods": 4})), holding("a", "r", &json!({"pods": 1})));
    let gone = Change::Remove(first.clone());
    check(&limits, &[first.clone()], &gone, Err("is what bounds pods in the namespace"));
    check(&limits, &[first.clone(), second], &gone, Ok(json!({"pods": "5"})));
    check(&json!({"secrets": 1}), &[first.clone()], &gone, Ok(json!({"secrets": "0"})));
    let terminating = BTreeMap::from([("a".to_owned(), Namespace { terminating: true })]);
    let mut book = Book::open("shop", amounts(&limits), terminating, [first], Vec::new(), NOW);
    assert_eq!(book.reserve(&gone, later(90)), Ok(false));
}

fn join(holdings: Vec<Holding>, under_way: Vec<Reservation>) -> Change {
    Change::Join { namespace: "new".into(), holdings, under_way }
}

#[test]
fn a_namespace_brings_its_quotas_along() {
    let limits = json!({"pods": "10"});
    let had = [holding("a", "q", &json!({"pods": 4}))];
    let brings = |pods: i64| {
        join(vec![holding("new", "q", &json!({"pods": pods})), holding("new", "r", &json!({"pods": 1}))], vec![])
    };
    check(&limits, &had, &brings(5), Ok(json!({"pods": "10"})));
    check(&limits, &had, &brings(6), Err("pods: 7 more asked for, 6 left (4 of 10"));
    check(
        &limits,
        &had,
        &join(vec![holding("new", "q", &json!({"secrets": 1}))], vec![]),
        Err("ResourceQuota new/q does not name pods"),
    );
    check(&limits, &had, &join(vec![], vec![]), Ok(json!({"pods": "4"})));
}

#[test]
fn what_is_under_way_in_a_namespace_comes_along_as_well() {
    let limits = json!({"pods": "10"});
    let stored = holding("new", "q", &json!({"pods": 2}));
    let grows = Reservation {
        namespace: "new".into(),
        name: "q".into(),
        awaited: Awaited::Update { uid: "new-q".into(), version: "1".into() },
        hard: amounts(&json!({"pods": 9, "secrets": 1})),
        until: later(60),
    };
    let change = join(vec![stored.clone()], vec![grows]);
    let mut book = project(&limits, &[], Vec::new(), NOW);
    assert_eq!(book.reserve(&change, later(90)), Ok(true));
    assert_eq!(book.used(), amounts(&json!({"pods": 9})));
    // The label is there, the growth is not yet.
    let kept: Vec<Reservation> = book.reservations().to_vec();
    let reopened = |holding: Holding, now| {
        let namespaces = BTreeMap::from([("new".to_owned(), Namespace::default())]);
        Book::open("shop", amounts(&limits), namespaces, [holding], kept.clone(), now)
    };
    assert_eq!(reopened(stored.clone(), later(1)).used(), amounts(&json!({"pods": 9})));
    let other = Holding { version: "2".into(), hard: amounts(&json!({"pods": 3})), ..stored.clone() };
    assert_eq!(reopened(other, later(1)).used(), amounts(&json!({"pods": 3})));
    assert_eq!(reopened(stored, later(61)).used(), amounts(&json!({"pods": 2})));
}

#[test]
fn reservations_end_when_the_write_is_seen_or_cannot_come() {
    let limits = json!({"pods": "10"});
    let new = holding("a", "q", &json!({"pods": 4}));
    let reserved = |change: &Change, holdings: &[Holding]| {
        let mut book = project(&limits, holdings, Vec::new(), NOW);
        assert_eq!(book.reserve(change, later(90)), Ok(true));
        let written: Vec<_> = book.reservations().iter().map(Reservation::write).collect();
        let read: Vec<_> = written.iter().map(|r| Reservation::read(r).unwrap()).collect();
        assert_eq!(read, book.reservations());
        read
    };
    let open = |reservations: &[Reservation], holdings: &[Holding], seconds| {
        project(&limits, holdings, reservations.to_vec(), later(seconds)).reservations().len()
    };
    let creation = reserved(&create(new.clone()), &[]);
    assert_eq!(open(&creation, &[], 89), 1);
    assert_eq!(open(&creation, &[], 90), 0);
    assert_eq!(open(&creation, &[new.clone()], 1), 0);
    assert_eq!(open(&creation, &[Holding { uid: "other".into(), ..new.clone() }], 1), 1);
    let nameless = reserved(&create(Holding { uid: String::new(), ..new.clone() }), &[]);
    assert_eq!(open(&nameless, &[new.clone()], 89), 1);
    let change = reserved(&update(&new, &json!({"pods": 5})), &[new.clone()]);
    assert_eq!(open(&change, &[new.clone()], 1), 1);
    assert_eq!(open(&change, &[Holding { version: "2".into(), ..new.clone() }], 1), 0);
    assert_eq!(open(&change, &[], 1), 0);
}

#[test]
fn tries_of_one_creation_are_one() {
    let limits = json!({"pods": "10"});
    let mut book = project(&limits, &[], Vec::new(), NOW);
    for (pods, uid) in [(4, "1"), (6, "2"), (5, "3"), (6, "4")] {
        let new = Holding { uid: uid.into(), ..holding("a", "q", &json!({"pods": pods})) };
        assert_eq!(book.reserve(&create(new), later(90)), Ok(true));
    }
    assert_eq!((book.used(), book.reservations().len()), (amounts(&json!({"pods": 6})), 1));
}

#[test]
fn a_creation_is_counted_although_there_is_one_of_its_name() {
    let stored = holding("a", "q", &json!({"pods": 5}));
    let mut book = project(&json!({"pods": "10"}), std::slice::from_ref(&stored), Vec::new(), NOW);
    // By the time it comes, that one may be gone, and what it had given to others.
    let new = Holding { uid: "another".into(), ..holding("a", "q", &json!({"pods": 3})) };
    assert_eq!(book.reserve(&create(new), later(90)), Ok(true));
    // A change comes over what is counted, or not at all.
    assert_eq!(book.reserve(&update(&stored, &json!({"pods": 3})), later(90)), Ok(false));
    let before = Holding { version: "0".into(), ..stored };
    assert_eq!(book.reserve(&update(&before, &json!({"pods": 3})), later(90)), Ok(true));
}

#[test]
fn what_came_before_its_namespace_left_is_no_longer_awaited() {
    let gone = Holding { uid: "1".into(), ..holding("elsewhere", "q", &json!({"pods": 5})) };
    let reservation = |awaited| Reservation {
        namespace: "elsewhere".into(),
        name: "q".into(),
        awaited,
        hard: amounts(&json!({"pods": 5})),
        until: later(90),
    };
    let came = [Awaited::Creation { uid: Some("1".into()) }, Awaited::Update { uid: "1".into(), version: "0".into() }];
    let may_come = [
        Awaited::Creation { uid: Some("2".into()) },
        Awaited::Creation { uid: None },
        Awaited::Update { uid: "1".into(), version: "1".into() },
    ];
    for (awaited, used) in came.map(|a| (a, 0)).into_iter().chain(may_come.map(|a| (a, 5))) {
        let book = project(&json!({"pods": "10"}), std::slice::from_ref(&gone), vec![reservation(awaited)], NOW);
        assert_eq!(book.used(), amounts(&json!({"pods": used})));
    }
}

#[test]
fn no_more_is_kept_in_mind_than_fits() {
    let mut book = project(&json!({"pods": "1000"}), &[], Vec::new(), NOW);
    for n in 0..MAX_RESERVATIONS {
        assert_eq!(book.reserve(&create(holding("a", &format!("q{n}"), &json!({"pods": 1}))), later(90)), Ok(true));
    }
    let refused = book.reserve(&create(holding("b", "q", &json!({"pods": 1}))), later(90)).unwrap_err();
    assert!(refused.to_string().contains("try again"), "{refused}");
}

#[test]
fn the_status_says_how_it_stands() {
    let held = [holding("a", "q", &json!({"pods": 4}))];
    let old = ProjectQuotaStatus::default();
    let well = status(&project(&json!({"pods": "9"}), &held, Vec::new(), NOW), &old, Some(1), NOW);
    let said = |status: &ProjectQuotaStatus| {
        status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect::<Vec<_>>()
    };
    assert_eq!(said(&well), ["Exceeded=False WithinQuota", "Unbounded=True NamespacesWithoutQuota"]);
    assert!(well.conditions[1].message.contains("b: pods."), "{}", well.conditions[1].message);
    let tight = status(&project(&json!({"pods": "3"}), &held, Vec::new(), NOW), &well, Some(2), later(5));
    assert_eq!(said(&tight)[0], "Exceeded=True Exceeded");
    assert!(tight.conditions[0].message.contains("pods: 4 of 3"), "{}", tight.conditions[0].message);
    assert_eq!(
        (tight.conditions[0].last_transition_time.0, tight.conditions[1].last_transition_time.0),
        (later(5), NOW)
    );
    assert_eq!(serde_json::to_value(&tight).unwrap()["used"], json!({"pods": "4"}));
    assert_eq!(tight.observed_generation, Some(2));
}

#[test]
fn amounts_that_cannot_be_counted_are_named() {
    let written = json!({"requests.cpu": "1e1.5"});
    let error = read_amounts(&serde_json::from_value(written).unwrap()).unwrap_err();
    assert!(error.to_string().contains("requests.cpu is \"1e1.5\""), "{error}");
}
