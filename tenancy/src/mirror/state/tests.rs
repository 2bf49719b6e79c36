use super::*;

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
