use api_types::tenancy::ROLE_RELATIVE;
use proptest::prelude::*;

use super::*;
use crate::{guard, roles};

const RBAC: &str = "rbac.authorization.k8s.io";

fn binding(name: &str, namespace: &str, role: &str) -> Object {
    Object::new(Kind::RoleBinding, name)
        .in_namespace(namespace)
        .label(ROLE_RELATIVE, "t")
        .annotation("auth.cpaas.io/binding", "b")
        .with("roleRef", json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role}))
        .with("subjects", json!([{"kind": "User", "apiGroup": RBAC, "name": "ann@example.org"}]))
}

fn role() -> Object {
    Object::new(Kind::ClusterRole, "cpaas:base:x:cluster")
        .with("rules", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]))
}

/// As a cluster has it: with what the API server adds.
fn applied(object: &Object) -> (Key, Value) {
    let mut there = object.body().clone();
    let metadata = &mut there["metadata"];
    metadata["uid"] = json!("u");
    metadata["resourceVersion"] = json!("7");
    metadata["managedFields"] = json!([{"manager": FIELD_MANAGER, "operation": "Apply"}]);
    if object.body().get("aggregationRule").is_some() {
        there["rules"] = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    }
    (object.key().clone(), there)
}

fn observed(objects: &[Object]) -> BTreeMap<Key, Value> {
    objects.iter().map(applied).collect()
}

/// What is done when one object is wanted and somebody has patched what was applied.
#[track_caller]
fn after(wanted: &Object, edit: impl FnOnce(&mut Value)) -> Diff {
    let (key, mut there) = applied(wanted);
    edit(&mut there);
    diff([wanted], &[(key, there)].into())
}

#[test]
fn what_is_not_there_is_applied_and_what_is_not_wanted_goes() {
    let (a, b) = (binding("a", "shop-a", "r"), binding("b", "shop-a", "r"));
    let result = diff([&a, &role()], &observed(std::slice::from_ref(&b)));
    let expect = [Operation::Delete(b.key().clone()), Operation::Apply(role()), Operation::Apply(a)];
    assert_eq!(result.operations, expect, "rights go first, and roles come before what binds them");
}

#[test]
fn drift_is_seen_and_repaired() {
    let bound = binding("a", "shop-a", "r");
    let subjects = bound.body()["subjects"].clone();
    let repaired = |result: Diff, field: &str, value: Value| match &result.operations[..] {
        [Operation::Repair { patch, .. }] => {
            assert_eq!(*patch, json!([{"op": "add", "path": format!("/{field}"), "value": value}]));
        }
        other => panic!("{other:?}"),
    };
    let more =
        after(&bound, |there| there["subjects"].as_array_mut().unwrap().push(json!({"kind": "User", "name": "eve"})));
    repaired(more, "subjects", subjects.clone());
    repaired(after(&bound, |there| there["subjects"] = json!([])), "subjects", subjects);
    let rules = role().body()["rules"].clone();
    repaired(after(&role(), |there| there["rules"][0]["verbs"] = json!(["*"])), "rules", rules.clone());
    repaired(after(&role(), |there| there["rules"][0]["resourceNames"] = json!(["x"])), "rules", rules);
    // A role that was made to aggregate would get whatever the labels bring.
    let aggregates = json!({"clusterRoleSelectors": [{}]});
    repaired(after(&role(), |there| there["aggregationRule"] = aggregates.clone()), "aggregationRule", Value::Null);
    let wanted = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let aggregate = Object::new(Kind::ClusterRole, "cpaas:t:cluster").with("aggregationRule", wanted.clone());
    assert!(after(&aggregate, |_| ()).is_empty(), "the cluster fills in the rules");
    repaired(after(&aggregate, |there| there["aggregationRule"] = aggregates), "aggregationRule", wanted);
    // A condition that never holds would switch a policy off.
    let policy = &guard::policies(false)[0];
    let spec = policy.body()["spec"].clone();
    let off =
        after(policy, |there| there["spec"]["matchConditions"] = json!([{"name": "never", "expression": "false"}]));
    repaired(off, "spec", spec.clone());
    repaired(after(policy, |there| there["spec"]["failurePolicy"] = json!("Ignore")), "spec", spec);
}

#[test]
fn another_role_takes_another_binding() {
    let wanted = binding("a", "shop-a", "r");
    let result = after(&wanted, |there| there["roleRef"]["name"] = json!("cluster-admin"));
    assert_eq!(result.operations, [Operation::Replace(wanted)]);
}

#[test]
fn labels_and_annotations_are_kept_beside_those_of_others() {
    let wanted = binding("a", "shop-a", "r");
    let apply = Diff { operations: vec![Operation::Apply(wanted.clone())], foreign: vec![] };
    assert_eq!(after(&wanted, |there| there["metadata"]["labels"][ROLE_RELATIVE] = json!("other")), apply);
    assert_eq!(after(&wanted, |there| there["metadata"]["annotations"] = json!(null)), apply);
    assert!(after(&wanted, |there| there["metadata"]["labels"]["team"] = json!("x")).is_empty());
    // The mark itself was taken away: whoever wrote it is known.
    let bare = |there: &mut Value| drop(there["metadata"]["labels"].as_object_mut().unwrap().remove(MANAGED));
    assert_eq!(after(&wanted, bare), apply);
    assert_eq!(after(&wanted, |there| there["metadata"]["labels"][MANAGED] = json!("false")), apply);
}

#[test]
fn what_is_not_the_platforms_is_not_touched() {
    let object = binding("a", "shop-a", "r");
    let (key, mut there) = applied(&object);
    let metadata = there["metadata"].as_object_mut().unwrap();
    metadata.remove("labels");
    metadata.remove("managedFields");
    let observed: BTreeMap<_, _> = [(key.clone(), there)].into();
    assert!(diff([], &observed).is_empty());
    let result = diff([&object], &observed);
    assert_eq!((result.operations, result.foreign), (vec![], vec![key]));
    // Not even by a label, a namespace: what people run is in it.
    let namespace = Object::new(Kind::Namespace, "shop");
    assert!(diff([], &self::observed(&[namespace])).is_empty());
}

proptest! {
    #[test]
    fn nothing_is_to_be_done_when_all_was(kept in proptest::collection::vec(any::<bool>(), 64), had in proptest::collection::vec(any::<bool>(), 64)) {
        let mut all = guard::policies(true);
        all.extend(roles::base_roles(true));
        all.extend((0..20).map(|n| binding(&format!("b{}", n % 7), &format!("shop-{}", n / 7), "r")));
        let pick = |which: &[bool]| -> Vec<Object> { all.iter().zip(which.iter().cycle()).filter(|(_, keep)| **keep).map(|(object, _)| object.clone()).collect() };
        let (wanted, before) = (pick(&kept), pick(&had));
        let mut cluster = observed(&before);
        let first = diff(&wanted, &cluster);
        prop_assert_eq!(&first, &diff(wanted.iter().rev(), &cluster));
        for operation in first.operations {
            match operation {
                Operation::Apply(object) => cluster.extend([applied(&object)]),
                Operation::Delete(key) => prop_assert!(cluster.remove(&key).is_some()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(diff(&wanted, &cluster).is_empty());
        prop_assert_eq!(cluster.len(), wanted.len());
    }
}
