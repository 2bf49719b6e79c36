use serde_json::json;

use super::*;

fn whole() -> Book {
    let mut book = Book { shared_roles: Some(BTreeMap::new()), ..Book::default() };
    for kind in Written::ALL {
        book.whole(kind, &HashSet::new());
    }
    book
}

#[test]
fn nothing_is_sure_until_all_is_listed_and_while_any_is_lost() {
    let mut book = Book { shared_roles: Some(BTreeMap::new()), ..Book::default() };
    for kind in Written::ALL {
        assert!(!book.is_whole());
        book.whole(kind, &HashSet::new());
    }
    assert!(book.is_whole());
    book.lost(Written::User);
    assert!(!book.is_whole());
    book.whole(Written::User, &HashSet::new());
    assert!(book.is_whole());
    book.shared_roles = None;
    assert!(!book.is_whole());
}

#[test]
fn who_is_meant_by_a_label_may_come_later() {
    let mut book = whole();
    let md5 = "1c3a6ac3d0a6f0a1a8f2ff0f3dc5b7d0";
    let labels = json!({
        "auth.cpaas.io/role.name": "r", "auth.cpaas.io/role.level": "platform", "auth.cpaas.io/user.email": md5,
    });
    let binding = json!({"metadata": {"name": "b", "labels": labels}, "spec": {}});
    book.put(Written::UserBinding, binding).unwrap();
    let id = (BindingKind::User, "b".to_owned());
    assert!(book.bindings[&id].read.is_err());
    let user = json!({"metadata": {"name": md5}, "spec": {"email": "ann@example.org"}});
    assert_eq!(book.put(Written::User, user).unwrap(), [About::Binding(id.clone())]);
    assert!(book.bindings[&id].read.is_ok());
    book.remove(Written::User, &(String::new(), md5.into()));
    assert!(book.bindings[&id].read.is_err());
}

#[test]
fn what_is_only_a_status_is_no_other_edition() {
    let mut book = whole();
    let binding = |phase: &str| {
        json!({
            "metadata": {"name": "b"}, "status": {"phase": phase},
            "spec": {"subjects": [{"kind": "User", "name": "a@b.c"}], "roleRef": "r", "scope": "platform"},
        })
    };
    book.put(Written::UserBinding, binding("Pending")).unwrap();
    let edition = book.edition;
    book.put(Written::UserBinding, binding("Synced")).unwrap();
    assert_eq!(book.edition, edition);
    book.whole(Written::UserBinding, &HashSet::from([(String::new(), "b".into())]));
    assert_eq!((book.edition, book.bindings.len()), (edition, 1));
    // What is not in the list is gone.
    book.whole(Written::UserBinding, &HashSet::new());
    assert!(book.bindings.is_empty() && book.edition > edition);
}

#[test]
fn clusters_are_those_of_the_platforms_namespace() {
    let mut book = whole();
    for (namespace, known) in [("default", 0), ("cpaas-system", 1)] {
        let cluster = json!({"metadata": {"name": "eu", "namespace": namespace, "uid": "u"}, "spec": {}});
        book.put(Written::Cluster, cluster).unwrap();
        assert_eq!(book.members.len(), known);
    }
    book.remove(Written::Cluster, &("default".into(), "eu".into()));
    assert!(book.has_cluster("eu") && book.has_cluster("global") && !book.has_cluster("us"));
    assert_eq!(book.clusters().collect::<Vec<_>>(), ["eu", "global"]);
}

#[test]
fn what_is_written_is_there_for_questions() {
    let mut book = whole();
    let md5 = "1c3a6ac3d0a6f0a1a8f2ff0f3dc5b7d0";
    let labels = json!({
        "auth.cpaas.io/role.name": "r", "auth.cpaas.io/role.level": "platform", "auth.cpaas.io/user.email": md5,
    });
    let binding = json!({"metadata": {"name": "b", "labels": labels, "managedFields": [{}]}, "spec": {}});
    book.put(Written::UserBinding, binding).unwrap();
    let id = (BindingKind::User, "b".to_owned());
    let before = book.hub.clone();
    assert!(before.bindings[&id].says.is_err() && before.bindings[&id].object["metadata"]["managedFields"].is_null());
    book.put(Written::User, json!({"metadata": {"name": md5}, "spec": {"email": "ann@example.org"}})).unwrap();
    assert!(book.hub.bindings[&id].says.is_ok() && book.hub.people.len() == 1);
    assert!(before.bindings[&id].says.is_err() && before.people.is_empty());

    let project = |gone: serde_json::Value| json!({"metadata": {"name": "shop", "uid": "u", "deletionTimestamp": gone}, "spec": {"clusters": [], "x": 1}});
    let is_there =
        |book: &Book| (book.hub.projects.contains_key("shop"), book.hub.catalog.projects.contains_key("shop"));
    book.put(Written::Project, project(json!(null))).unwrap();
    assert_eq!((is_there(&book), &book.hub.projects["shop"]["spec"]["x"]), ((true, true), &json!(1)));
    book.put(Written::Project, project(json!("2026-01-01T00:00:00Z"))).unwrap();
    assert_eq!(is_there(&book), (true, false));
    for (kind, name) in [(Written::Project, "shop"), (Written::UserBinding, "b"), (Written::User, md5)] {
        book.remove(kind, &(String::new(), name.into()));
    }
    assert!(!is_there(&book).0 && book.hub.bindings.is_empty() && book.hub.people.is_empty());
}
