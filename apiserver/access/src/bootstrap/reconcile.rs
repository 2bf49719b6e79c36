//! How an older cluster's roles and bindings come to allow what this version ships (upstream:
//! `pkg/registry/rbac/reconciliation`).
//!
//! Nothing is taken away: what somebody has added stays, and who wants an object left alone annotates it with
//! `rbac.authorization.kubernetes.io/autoupdate: "false"`.

use api_meta::{Object, Value};
use api_rbac::{lacking, rules_of};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What is to become of an object that is there already.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciled {
    /// It does all that it should.
    Stays,
    /// It is to be replaced by this.
    Update(Object),
    /// It binds another role, which cannot be changed: it is deleted and made anew.
    Recreate,
}

/// Compares an object with the one that is shipped under its name.
pub fn reconciled(there: &Object, shipped: &Object) -> Reconciled {
    if there.annotation(AUTOUPDATE) == Some("false") {
        return Reconciled::Stays;
    }
    if there.get("roleRef") != shipped.get("roleRef") {
        return Reconciled::Recreate;
    }
    let mut new = there.clone();
    for part in ["labels", "annotations"] {
        for (key, value) in shipped.at(&["metadata", part]).and_then(Value::as_object).into_iter().flatten() {
            if new.at(&["metadata", part, key]).is_none() {
                *new.at_mut(&["metadata", part, key]) = value.clone();
            }
        }
    }
    extend(
        &mut new,
        &["aggregationRule", "clusterRoleSelectors"],
        missing(there, shipped, &["aggregationRule", "clusterRoleSelectors"]),
    );
    extend(&mut new, &["subjects"], missing(there, shipped, &["subjects"]));
    extend(&mut new, &["rules"], missing_rules(there, shipped));
    if new == *there { Reconciled::Stays } else { Reconciled::Update(new) }
}

fn list<'a>(object: &'a Object, path: &[&str]) -> &'a [Value] {
    object.at(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn missing(there: &Object, shipped: &Object, path: &[&str]) -> Vec<Value> {
    list(shipped, path).iter().filter(|item| !list(there, path).contains(item)).cloned().collect()
}

fn missing_rules(there: &Object, shipped: &Object) -> Vec<Value> {
    let wanted = rules_of(shipped);
    // Ours never say too much to be compared.
    let missing = lacking(&rules_of(there), &wanted).unwrap_or(wanted);
    missing.iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect()
}

fn extend(object: &mut Object, path: &[&str], more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    let all = list(object, path).iter().cloned().chain(more).collect();
    *object.at_mut(path) = all;
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    fn role(rules: Value) -> Object {
        object(
            json!({"kind": "ClusterRole", "metadata": {"name": "r", "annotations": {AUTOUPDATE: "true"}}, "rules": rules}),
        )
    }

    #[track_caller]
    fn check(there: &Object, shipped: &Object, path: &[&str], expect: Value) {
        match reconciled(there, shipped) {
            Reconciled::Update(new) => assert_eq!(new.at(path), Some(&expect)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_rules_are_added_and_others_stay() {
        let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]});
        let wanted = role(json!([{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}]));
        check(
            &role(json!([pods])),
            &wanted,
            &["rules"],
            json!([pods,
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["nodes"]},
                {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]),
        );
        let all = role(json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]));
        assert_eq!(reconciled(&all, &wanted), Reconciled::Stays);
        assert_eq!(reconciled(&role(Value::Null), &role(Value::Null)), Reconciled::Stays);
    }

    #[test]
    fn who_wants_to_be_left_alone_is() {
        let mut alone = role(json!([]));
        *alone.at_mut(&["metadata", "annotations", AUTOUPDATE]) = "false".into();
        let wanted = role(json!([{"nonResourceURLs": ["/version"], "verbs": ["get"]}]));
        assert_eq!(reconciled(&alone, &wanted), Reconciled::Stays);
    }

    #[test]
    fn labels_and_selectors_are_added_and_values_stay() {
        let there = object(json!({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": "mine"}}}));
        let selectors = json!([{"matchLabels": {"x": "true"}}]);
        let wanted = object(json!({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": "1", "b": "2"}},
            "aggregationRule": {"clusterRoleSelectors": selectors}}));
        check(&there, &wanted, &["metadata", "labels"], json!({"a": "mine", "b": "2"}));
        check(&there, &wanted, &["aggregationRule", "clusterRoleSelectors"], selectors);
    }

    #[test]
    fn bindings_get_subjects_and_are_made_anew_for_another_role() {
        let binding = |role: &str, subjects: Value| {
            object(
                json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"name": role}, "subjects": subjects}),
            )
        };
        let (mine, ours) = (json!({"kind": "User", "name": "me"}), json!({"kind": "Group", "name": "all"}));
        check(&binding("r", json!([mine])), &binding("r", json!([ours])), &["subjects"], json!([mine, ours]));
        assert_eq!(reconciled(&binding("s", json!([])), &binding("r", json!([]))), Reconciled::Recreate);
    }
}
