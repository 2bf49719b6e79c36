use api_types::tenancy::PROJECT;

use super::*;
use crate::projects::PROJECT_UID;

fn lost() -> Failure {
    Failure::Deadline
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn whole() -> State {
    let mut state = State::new(at(0));
    state.set_version("v1.34.0");
    for kind in Followed::ALL {
        assert_ne!(state.standing(), Standing::Current);
        state.whole(kind, &HashSet::new());
    }
    assert_eq!(state.standing(), Standing::Current);
    state
}

#[test]
fn what_is_lost_stays_and_says_since_when() {
    let mut state = whole();
    let shared = Shared::default();
    let role =
        json!({"metadata": {"name": "view"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    assert_eq!(state.put(Followed::ClusterRole, role, &shared), (true, false));
    assert!(state.lost(Followed::ClusterRole, &lost(), at(5)));
    assert!(!state.lost(Followed::ClusterRole, &lost(), at(9)));
    state.lost(Followed::Role, &lost(), at(7));
    assert!(matches!(state.standing(), Standing::Stale { since, .. } if since == at(5)));
    assert_eq!(state.policy.roles().count(), 1);
    state.whole(Followed::ClusterRole, &HashSet::new());
    state.whole(Followed::Role, &HashSet::new());
    assert_eq!(state.standing(), Standing::Current);
    assert_eq!(state.policy.roles().count(), 0);
}

#[test]
fn a_kind_that_a_cluster_does_not_know_has_no_objects() {
    let mut state = whole();
    let unknown = Failure::Refused { code: StatusCode::NOT_FOUND, message: String::new() };
    state.lost(Followed::Policy, &unknown, at(1));
    assert_eq!(state.standing(), Standing::Current);
    // Nor has one whose rights for the hub are older than the kind.
    let refused = Failure::Refused { code: StatusCode::FORBIDDEN, message: String::new() };
    state.lost(Followed::Ratio, &refused, at(1));
    assert_eq!(state.standing(), Standing::Current);
    state.lost(Followed::ProjectQuota, &refused, at(1));
    assert_ne!(state.standing(), Standing::Current);
    state.whole(Followed::ProjectQuota, &HashSet::new());
    state.lost(Followed::ClusterRole, &unknown, at(1));
    assert_ne!(state.standing(), Standing::Current);
}

#[test]
fn readers_keep_what_they_saw() {
    let (mut state, shared) = (whole(), Shared::default());
    let before = state.policy.clone();
    let binding = json!({
        "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "ann"}],
    });
    state.put(Followed::ClusterRoleBinding, binding, &shared);
    assert_eq!((before.bindings().count(), state.policy.bindings().count()), (0, 1));
}

#[test]
fn of_what_is_nobodys_concern_nothing_is_kept() {
    let (mut state, shared) = (whole(), Shared::default());
    let role = |name: &str, labels: Value, manager: &str| {
        json!({
            "metadata": {
                "name": name, "labels": labels, "uid": "u", "resourceVersion": "1",
                "managedFields": [{"manager": manager, "operation": "Apply"}],
            },
            "rules": [],
        })
    };
    for object in [
        role("somebodys", json!({}), "kubectl"),
        role("cpaas:taken", json!({}), "kubectl"),
        role("cpaas:ours", json!({MANAGED: "true"}), FIELD_MANAGER),
        role("unmarked", json!({}), FIELD_MANAGER),
    ] {
        state.put(Followed::ClusterRole, object, &shared);
    }
    let kept: Vec<&str> = state.observed.keys().map(|key| &*key.name).collect();
    assert_eq!(kept, ["cpaas:ours", "cpaas:taken", "unmarked"]);
    let taken = &state.observed.values().nth(1).unwrap();
    assert_eq!(***taken, json!({"metadata": {"name": "cpaas:taken"}}));
    // What is the same in another cluster is the same.
    let mut other = whole();
    other.put(Followed::ClusterRole, role("cpaas:ours", json!({MANAGED: "true"}), FIELD_MANAGER), &shared);
    assert!(Arc::ptr_eq(other.observed.values().next().unwrap(), state.observed.values().next().unwrap()));
}

#[test]
fn a_namespace_that_changes_hands_concerns_both() {
    let (mut state, shared) = (whole(), Shared::default());
    let namespace = |project: &str| json!({"metadata": {"name": "n", "labels": {PROJECT: project}}});
    state.put(Followed::Namespace, namespace("shop"), &shared);
    state.take_dirty();
    state.put(Followed::Namespace, namespace("bank"), &shared);
    assert_eq!(state.take_dirty().projects, ["bank", "n", "shop"].map(str::to_owned).into());
    assert!(!state.put(Followed::Namespace, namespace("bank"), &shared).0);
    state.remove(Followed::Namespace, &(String::new(), "n".into()));
    assert_eq!(state.take_dirty().projects, ["bank", "n"].map(str::to_owned).into());
}

#[test]
fn definitions_say_which_groups_there_are() {
    let (mut state, shared) = (whole(), Shared::default());
    let definition = |name: &str| json!({"metadata": {"name": name}});
    assert_eq!(state.put(Followed::Definition, definition("a.x.io"), &shared), (true, true));
    assert_eq!(state.put(Followed::Definition, definition("a.x.io"), &shared), (false, false));
    state.put(Followed::Definition, definition("b.x.io"), &shared);
    assert_eq!(state.groups(), BTreeSet::from(["x.io"]));
    assert!(state.take_dirty().definitions);
}

#[test]
fn what_there_is_for_questions_is_made_once() {
    let (shared, eu) = (Shared::default(), "eu".parse().unwrap());
    let mut state = State::new(at(0));
    for kind in Followed::ALL.into_iter().filter(|kind| kind.is_asked_for()) {
        assert!(state.make_known(&eu, &shared).is_none());
        state.whole(kind, &HashSet::new());
    }
    // Questions need nothing else of it, not even its version.
    assert_ne!(state.standing(), Standing::Current);
    let empty = state.make_known(&eu, &shared).unwrap();
    assert!(Arc::ptr_eq(&empty, &state.known().unwrap()));
    state.put(Followed::Definition, json!({"metadata": {"name": "a.x.io"}}), &shared);
    assert!(Arc::ptr_eq(&empty, &state.make_known(&eu, &shared).unwrap()));

    let long = "x".repeat(LONGEST_ANNOTATION + 1);
    let namespace = json!({"metadata": {
        "name": "shop", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {PROJECT: "shop"},
        "annotations": {PROJECT_UID: "uid-shop", "long": long},
    }});
    state.put(Followed::Namespace, namespace.clone(), &shared);
    let known = state.make_known(&eu, &shared).unwrap();
    assert_eq!((known.version, known.project_of("shop")), (empty.version, Some("shop")));
    assert!(
        known.cluster.namespaces.has_own(
            &crate::projects::Project::read(
                &serde_json::from_value(json!({
                    "metadata": {"name": "shop", "uid": "uid-shop"}, "spec": {"clusters": []},
                }))
                .unwrap()
            )
            .unwrap()
        )
    );
    let seen = &known.namespaces["shop"];
    assert_eq!((&*seen.uid, &*seen.phase, seen.annotations.len()), ("u", "Active", 1));
    assert!(seen.created.is_some() && empty.namespaces.is_empty());

    let role = json!({"metadata": {"name": "lent", "labels": {"a": "b"}}, "rules": []});
    state.put(Followed::ClusterRole, role, &shared);
    let other = state.make_known(&eu, &shared).unwrap();
    assert!(other.version > known.version);
    assert_eq!(other.role_labels["lent"]["a"], "b");
    // A cluster that comes under the same name has another policy.
    let mut namesake = whole();
    assert!(namesake.make_known(&eu, &shared).unwrap().version > other.version);

    state.lost(Followed::Definition, &lost(), at(5));
    assert_eq!(state.make_known(&eu, &shared).unwrap().stale_since, None);
    state.lost(Followed::Role, &lost(), at(7));
    assert_eq!(state.make_known(&eu, &shared).unwrap().stale_since, Some(at(7)));
    state.whole(Followed::Role, &HashSet::new());
    assert_eq!(state.make_known(&eu, &shared).unwrap().stale_since, None);
}

#[test]
fn what_people_note_on_a_namespace_wakes_nobody() {
    let (mut state, shared) = (whole(), Shared::default());
    let eu = "eu".parse().unwrap();
    let namespace = |note: &str| json!({"metadata": {"name": "n", "annotations": {"note": note}}});
    assert!(state.put(Followed::Namespace, namespace("a"), &shared).0);
    state.take_dirty();
    let before = state.make_known(&eu, &shared).unwrap();
    assert!(!state.put(Followed::Namespace, namespace("b"), &shared).0);
    assert_eq!(state.take_dirty(), Dirty::default());
    assert_eq!(before.namespaces["n"].annotations["note"], "a");
    assert_eq!(state.make_known(&eu, &shared).unwrap().namespaces["n"].annotations["note"], "b");
}

#[test]
fn a_quota_that_goes_concerns_its_project() {
    let (mut state, shared) = (whole(), Shared::default());
    state.put(Followed::ProjectQuota, json!({"metadata": {"name": "shop"}}), &shared);
    state.take_dirty();
    assert!(state.remove(Followed::ProjectQuota, &(String::new(), "shop".into())));
    assert_eq!(state.take_dirty().projects, ["shop".to_owned()].into());
}
