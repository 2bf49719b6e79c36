//! What is given, and what is left when a part of it is taken.

use super::*;

const ANN: &str = "ann@example.com";

fn role(places: &[Value]) -> Role<'static> {
    Role { name: "project-admin-system", scope: "project", places: places.to_vec() }
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn known(name: &str, subjects: &[Value], places: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "spec": {"roleRef": "project-admin-system", "scope": "project",
        "subjects": subjects, "constraint": places}})
}

fn shop() -> Value {
    json!({"project": "shop"})
}

fn bank() -> Value {
    json!({"project": "bank", "cluster": "east"})
}

/// Subjects and places.
type Given = (Value, Value);

/// Who is given what anew, and which bindings go.
#[track_caller]
fn check(existing: &[Value], leaving: &[Value], expect: Option<(&[Given], &[&str])>) {
    let plan = to_remove(&role(leaving), Whom::User, ANN, existing);
    let plan = plan.map(|plan| {
        let made =
            plan.create.iter().map(|made| (made["spec"]["subjects"].clone(), made["spec"]["constraint"].clone()));
        let gone = plan.delete.iter().map(|gone| text(&gone["metadata"]["name"]));
        (made.collect::<Vec<_>>(), gone.collect::<Vec<_>>())
    });
    let expect = expect.map(|(made, gone)| (made.to_vec(), gone.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(plan, expect);
}

#[test]
fn a_binding_is_named_by_what_it_says() {
    let made = to_add(&role(&[shop()]), Whom::User, ANN);
    assert_eq!(made[0]["spec"]["subjects"], json!([user(ANN)]));
    assert_eq!(made, to_add(&role(&[shop()]), Whom::User, ANN));
    let name = |made: &[Value]| text(&made[0]["metadata"]["name"]);
    assert!(name(&made).starts_with("project-admin-system-") && name(&made).len() == 37, "{}", name(&made));
    assert_ne!(name(&made), name(&to_add(&role(&[shop()]), Whom::Group, ANN)));
    assert_ne!(name(&made), name(&to_add(&role(&[bank()]), Whom::User, ANN)));
    let two = to_add(&role(&[shop(), bank()]), Whom::User, ANN);
    assert_eq!(two.len(), 2, "each place can be taken alone");
    assert!(to_add(&role(&[]), Whom::User, ANN)[0]["spec"]["constraint"].is_null());
}

#[test]
fn a_binding_of_one_person_in_one_place_goes() {
    check(&[known("a", &[user(ANN)], &[shop()])], &[shop()], Some((&[], &["a"])));
    let twice = [known("a", &[user(ANN)], &[shop()]), known("b", &[user(ANN)], &[shop()])];
    check(&twice, &[shop()], Some((&[], &["a", "b"])));
}

#[test]
fn others_keep_what_they_have_and_so_do_other_places() {
    let (ann, bob) = (user(ANN), user("bob@example.com"));
    check(
        &[known("a", &[ann.clone(), bob.clone()], &[shop(), bank()])],
        &[shop()],
        Some((&[(json!([bob]), json!([shop(), bank()])), (json!([ann]), json!([bank()]))], &["a"])),
    );
}

#[test]
fn what_was_not_given_is_not_taken() {
    let ann = [user(ANN)];
    check(&[], &[shop()], None);
    check(&[known("a", &[user("bob@example.com")], &[shop()])], &[shop()], None);
    check(&[known("a", &[json!({"kind": "Group", "name": ANN})], &[shop()])], &[shop()], None);
    check(&[known("a", &ann, &[bank()])], &[shop()], None);
    // All clusters of a project are another thing than one of them.
    check(&[known("a", &ann, &[shop()])], &[json!({"project": "shop", "cluster": "east"})], None);
    let mut other = known("a", &ann, &[shop()]);
    other["spec"]["roleRef"] = "project-auditor".into();
    check(&[other], &[shop()], None);
}

#[test]
fn the_published_labels_say_the_same() {
    let binding = |md5: &str| {
        json!({"metadata": {"name": "a", "labels": {"auth.cpaas.io/role.name": "project-admin-system",
            "auth.cpaas.io/role.level": "project", "auth.cpaas.io/user.email": md5, "cpaas.io/project": "shop",
            "cpaas.io/cluster": ""}}, "spec": {}})
    };
    check(&[binding(&md5(ANN))], &[shop()], Some((&[], &["a"])));
    check(&[binding(&md5("bob@example.com"))], &[shop()], None);
}

#[test]
fn rules_look_as_kubectl_lists_them() {
    let rules = json!([{"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"]},
        {"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]);
    assert_eq!(
        rules_table(&rules),
        "Resources          Non-Resource URLs   Resource Names   Verbs\n\
         deployments.apps   []                  []               [get list]\n\
         \u{20}                  [/healthz]          []               [get]\n"
    );
}
