use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::bindings::BindingKind;
use crate::book::Written;
use crate::object::Kind;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn book(clusters: &[&str]) -> Book {
    let mut book = Book::default();
    book.shared_roles = Some(BTreeMap::new());
    for kind in Written::ALL {
        book.whole(kind, &HashSet::new());
    }
    for template in crate::roles::shipped_templates() {
        book.put(Written::RoleTemplate, serde_json::to_value(&template).unwrap()).unwrap();
    }
    for name in clusters {
        let cluster = json!({"metadata": {"name": name, "namespace": "cpaas-system", "uid": name}, "spec": {}});
        book.put(Written::Cluster, cluster).unwrap();
    }
    book
}

fn binding(role: &str, scope: &str, constraint: Value, status: Value) -> Value {
    json!({
        "metadata": {"name": "b", "generation": 1}, "status": status,
        "spec": {
            "subjects": [{"kind": "User", "name": "ann@example.org"}], "roleRef": role, "scope": scope,
            "constraint": constraint,
        },
    })
}

fn part(outcome: Outcome) -> InCluster {
    let part = BindingPart { outcome, cluster_role_bindings: 1, ..BindingPart::default() };
    InCluster { bindings: [((BindingKind::User, "b".to_owned()), part)].into(), ..InCluster::default() }
}

fn told(book: &mut Book, object: Value, clusters: Clusters, now: i64) -> BindingStatus {
    book.put(Written::UserBinding, object).unwrap();
    let id = (BindingKind::User, "b".to_owned());
    binding_status(&id, &book.bindings[&id], book, &clusters, at(now))
}

#[test]
fn a_binding_is_synced_when_it_is_everywhere_and_says_where_not() {
    let mut book = book(&["eu", "us"]);
    let object = |status: Value| binding("platform-auditor-system", "platform", json!([]), status);
    let names = ["eu", "us", "global"];
    let all = |us: InCluster| -> Clusters {
        let mut all: Clusters = names.map(|name| (name.to_owned(), part(Outcome::Done))).into();
        all.insert("us".into(), us);
        all
    };
    let status = told(&mut book, object(Value::Null), all(InCluster::default()), 1);
    assert_eq!(
        (status.phase, &*status.synced_clusters),
        (Some(BindingPhase::Pending), &["eu", "global"].map(String::from)[..])
    );
    let status = told(&mut book, object(json!(status)), all(part(Outcome::Done)), 2);
    assert_eq!((status.phase, status.bindings_created.unwrap().cluster_role_bindings), (Some(BindingPhase::Synced), 3));
    assert_eq!(status.last_reconcile_time, Some(Time(at(2))));
    // Told again it is the same, to the second.
    assert_eq!(told(&mut book, object(json!(status)), all(part(Outcome::Done)), 3), status);

    let mut refused = part(Outcome::Failed("no".into()));
    let key = Key { kind: Kind::ClusterRoleBinding, namespace: None, name: "cpaas:b:cluster".into() };
    let items = vec![Item { key, error: "no".into() }];
    refused.bindings.values_mut().for_each(|part| part.items.clone_from(&items));
    let failed = told(&mut book, object(json!(status)), all(refused), 4);
    assert_eq!((failed.phase, &*failed.failed_clusters), (Some(BindingPhase::Failed), &["us".to_owned()][..]));
    let details = failed.failure_details.unwrap();
    assert_eq!((details.failure_message.as_deref(), details.last_failure_time), (Some("us: no"), Some(Time(at(4)))));
    assert_eq!(details.affected_items[0].name.as_deref(), Some("cpaas:b:cluster"));

    let away = InCluster { away: Some("the cluster was not reached".into()), ..part(Outcome::Done) };
    let failed = told(&mut book, object(json!(status)), all(away), 5);
    assert_eq!(failed.failed_clusters, ["us"]);
}

#[test]
fn a_binding_that_gives_nothing_says_why() {
    let mut book = book(&["eu"]);
    let nowhere = binding("nothing", "platform", json!([]), Value::Null);
    let status = told(&mut book, nowhere, Clusters::new(), 1);
    assert_eq!(status.phase, Some(BindingPhase::Invalid));
    assert_eq!((&*status.conditions[0].reason, &*status.conditions[0].status), ("RoleTemplateNotFound", "False"));
    let hub = binding("cluster-admin-system", "cluster", json!([{"cluster": "global"}]), Value::Null);
    assert_eq!(told(&mut book, hub, Clusters::new(), 1).conditions[0].reason, "ClusterNotAllowed");
    let gone = binding("cluster-admin-system", "cluster", json!([{"cluster": "us"}]), Value::Null);
    let status = told(&mut book, gone, Clusters::new(), 1);
    assert_eq!((status.phase, &*status.failed_clusters), (Some(BindingPhase::Failed), &["us".to_owned()][..]));
    assert!(status.failure_details.unwrap().failure_message.unwrap().contains("there is no cluster \"us\""));
}

#[test]
fn a_template_says_where_its_roles_are() {
    let book = book(&["eu"]);
    let name = "cluster-admin-system";
    let with = |eu: Option<Outcome>| {
        let known =
            |outcome: Outcome| InCluster { templates: [(name.to_owned(), outcome)].into(), ..InCluster::default() };
        let mut clusters: Clusters = [("global".to_owned(), known(Outcome::Done))].into();
        clusters.extend(eu.map(|outcome| ("eu".to_owned(), known(outcome))));
        template_status(name, &book.templates[name], &book, &clusters, at(1))
    };
    assert_eq!(with(None).phase.as_deref(), Some("Pending"));
    let synced = with(Some(Outcome::Done));
    assert_eq!((synced.phase.as_deref(), synced.synced_clusters.len()), (Some("Synced"), 2));
    assert_eq!(synced.cluster_roles, ["cpaas:cluster-admin-system:cluster"]);
    let failed = with(Some(Outcome::Failed("x".repeat(40_000))));
    assert_eq!((failed.phase.as_deref(), &*failed.failed_clusters), (Some("Failed"), &["eu".to_owned()][..]));
    assert!(failed.conditions[1].message.len() <= 16 * 1024);
}

#[test]
fn a_project_is_recorded_when_it_waits_and_says_where() {
    let project = |finalizers: Value, clusters: Value| -> Project {
        let project =
            json!({"metadata": {"name": "p", "finalizers": finalizers}, "spec": {}, "status": {"clusters": clusters}});
        serde_json::from_value(project).unwrap()
    };
    let (hub, eu) = (ClusterName::global(), "eu".parse().unwrap());
    let waits = json!([FINALIZER]);
    assert!(is_recorded(&project(waits.clone(), json!([])), &hub));
    assert!(!is_recorded(&project(waits.clone(), json!([])), &eu));
    assert!(is_recorded(&project(waits, json!(["eu"])), &eu));
    assert!(!is_recorded(&project(json!(["other"]), json!(["eu"])), &eu));
}
