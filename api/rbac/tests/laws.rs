//! What must hold of every policy, beside an evaluation that is as simple as can be.

#![expect(clippy::unwrap_used, reason = "what a test makes up is there")]

use std::collections::BTreeMap;

use api_meta::{Object, Value, json};
use api_rbac::{
    Attributes, Interner, Kind, Namespaces, Policy, PolicyRule, Resource, SubjectKind, Target, User, lacking,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const VERBS: &[&str] = &["get", "list", "*"];
const GROUPS: &[&str] = &["", "apps", "*"];
const RESOURCES: &[&str] = &["pods", "pods/log", "pods/*", "*/log", "nodes", "nodes/log", "*"];
const NAMES: &[&str] = &["a", "b"];
const URLS: &[&str] = &["/a", "/a/*", "/a*", "/a/b", "/a/b/*", "*", "/b**"];
const NAMESPACES: &[&str] = &["x", "y"];
const ROLES: usize = 30;
const BINDINGS: usize = 40;

fn some(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(of, least..=of.len().min(3))
}

fn rule() -> impl Strategy<Value = Value> {
    let fields = (some(VERBS, 1), some(GROUPS, 0), some(RESOURCES, 0), some(NAMES, 0), some(URLS, 0), 0..4);
    fields.prop_map(|(verbs, groups, resources, names, urls, shape)| match shape {
        0 => json!({"verbs": verbs, "nonResourceURLs": urls}),
        1 => json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}),
        2 => json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "nonResourceURLs": urls}),
        _ => json!({"verbs": verbs, "apiGroups": groups, "resources": resources}),
    })
}

fn read(rules: &[Value]) -> Vec<PolicyRule> {
    rules.iter().map(|rule| PolicyRule::read(rule).unwrap()).collect()
}

/// What rules can tell apart, and something that no rule names.
fn attributes() -> Vec<Attributes<'static>> {
    let mut all = Vec::new();
    for verb in ["get", "watch"] {
        for path in ["/a", "/a/b", "/ab", "/b", "/c", "/a/b/c"] {
            all.push(Attributes::path(verb, path));
        }
        for (group, resource, subresource) in [
            ("", "pods", ""),
            ("", "pods", "log"),
            ("apps", "pods", "log"),
            ("", "pods", "exec"),
            ("apps", "nodes", ""),
            ("batch", "nodes", "log"),
            ("batch", "jobs", ""),
        ] {
            for name in ["", "a", "c"] {
                for namespace in ["", "x", "z"] {
                    all.push(Attributes::resource(verb, Resource { group, resource, subresource, namespace, name }));
                }
            }
        }
    }
    all
}

fn has(list: &Value, wanted: &str) -> bool {
    list.as_array().into_iter().flatten().any(|item| item == wanted || item == "*")
}

/// Upstream's `RuleAllows`, line by line.
fn says(rule: &Value, asked: &Attributes<'_>) -> bool {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    has(&rule["verbs"], asked.verb)
        && match asked.target {
            Target::Path(path) => rule["nonResourceURLs"].as_array().into_iter().flatten().map(text).any(|url| {
                url == path || url == "*" || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
            }),
            Target::Resource(asked) => {
                let names = rule["resourceNames"].as_array().cloned().unwrap_or_default();
                has(&rule["apiGroups"], asked.group)
                    && (names.is_empty() || names.iter().any(|name| name == asked.name))
                    && rule["resources"].as_array().into_iter().flatten().map(text).any(|resource| {
                        let sub = asked.subresource;
                        let whole = if sub.is_empty() {
                            asked.resource.to_owned()
                        } else {
                            format!("{}/{sub}", asked.resource)
                        };
                        resource == "*" || resource == whole || (!sub.is_empty() && resource == format!("*/{sub}"))
                    })
            }
        }
}

/// All objects there are, in the order in which reasons are told.
type World = BTreeMap<(Kind, String, String), Value>;

#[derive(Clone, Debug)]
enum Step {
    Insert(Kind, String, String, Value),
    Remove(Kind, String, String),
}

fn subject() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"kind": "User", "name": "ann"}),
        json!({"kind": "User", "name": "bob"}),
        json!({"kind": "User", "name": "system:serviceaccount:x:robot"}),
        json!({"kind": "Group", "name": "staff"}),
        json!({"kind": "Group", "name": "guests"}),
        json!({"kind": "ServiceAccount", "name": "robot", "namespace": "x"}),
        json!({"kind": "ServiceAccount", "name": "robot", "namespace": "y"}),
    ])
}

fn object() -> impl Strategy<Value = (Kind, String, String, Value)> {
    let kind = select(vec![
        Kind::Role,
        Kind::ClusterRole,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
        Kind::ClusterRoleBinding,
    ]);
    // Now and then a role has so many rules that they are looked up.
    let rules = prop_oneof![4 => prop::collection::vec(rule(), 0..4), 1 => prop::collection::vec(rule(), 10..30)];
    let subjects = prop::collection::vec(subject(), 0..6);
    (kind, select(NAMESPACES), 0..BINDINGS, 0..ROLES, any::<bool>(), subjects, rules).prop_map(
        |(kind, namespace, binding, role, local, subjects, rules)| {
            let namespace = if kind.is_namespaced() { namespace } else { "" };
            let (name, mut object) = match kind {
                Kind::Role | Kind::ClusterRole => (format!("r{role}"), json!({"rules": rules})),
                Kind::RoleBinding | Kind::ClusterRoleBinding => {
                    let of = if local && kind.is_namespaced() { "Role" } else { "ClusterRole" };
                    let role = json!({"kind": of, "name": format!("r{role}")});
                    (format!("b{binding}"), json!({"roleRef": role, "subjects": subjects}))
                }
            };
            object["metadata"] = json!({"name": name, "namespace": namespace});
            (kind, namespace.to_owned(), name, object)
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (object(), 0..5).prop_map(|((kind, namespace, name, object), what)| match what {
        0 => Step::Remove(kind, namespace, name),
        _ => Step::Insert(kind, namespace, name, object),
    });
    prop::collection::vec(step, 0..160)
}

fn world(steps: &[Step]) -> (World, Policy) {
    let (interner, mut world, mut policy) = (Interner::default(), World::new(), Policy::default());
    for step in steps {
        match step.clone() {
            Step::Insert(kind, namespace, name, object) => {
                policy.insert(kind, &Object::try_from(object.clone()).unwrap(), &interner);
                world.insert((kind, namespace, name), object);
            }
            Step::Remove(kind, namespace, name) => {
                let there = policy.remove(kind, &namespace, &name);
                assert_eq!(there, world.remove(&(kind, namespace, name)).is_some());
            }
        }
    }
    (world, policy)
}

fn users() -> Vec<(&'static str, Vec<String>)> {
    let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    vec![
        ("ann", groups(&["staff"])),
        ("bob", groups(&["guests", "staff", "guests"])),
        ("eve", groups(&[])),
        ("system:serviceaccount:x:robot", groups(&["guests"])),
    ]
}

/// Binding, subject and rule.
type Told = (String, String, String);

fn is(subject: &Value, user: User<'_>) -> bool {
    let name = subject["name"].as_str().unwrap();
    match subject["kind"].as_str().unwrap() {
        "User" => name == user.name,
        "Group" => user.groups.iter().any(|group| group == name),
        _ => format!("system:serviceaccount:{}:{name}", subject["namespace"].as_str().unwrap()) == user.name,
    }
}

fn who(subject: &Value) -> String {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    format!("{} {}/{}", text("kind"), text("namespace"), text("name"))
}

/// Every reason there is, by walking all there is. `None` asks for everybody.
fn naive(world: &World, user: Option<User<'_>>, asked: &Attributes<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    for place in [(Kind::ClusterRoleBinding, ""), (Kind::RoleBinding, asked.namespace())] {
        for ((kind, namespace, name), binding) in world {
            if (*kind, namespace.as_str()) != place {
                continue;
            }
            let role = match binding["roleRef"]["kind"].as_str().unwrap() {
                "Role" => (Kind::Role, namespace.clone()),
                _ => (Kind::ClusterRole, String::new()),
            };
            let role = (role.0, role.1, binding["roleRef"]["name"].as_str().unwrap().to_owned());
            let Some(role) = world.get(&role) else { continue };
            let mut subjects: Vec<&Value> = Vec::new();
            for subject in binding["subjects"].as_array().unwrap() {
                if user.is_none_or(|user| is(subject, user)) && !subjects.contains(&subject) {
                    subjects.push(subject);
                }
            }
            if subjects.is_empty() {
                continue;
            }
            for rule in role["rules"].as_array().unwrap().iter().filter(|rule| says(rule, asked)) {
                let rule = PolicyRule::read(rule).unwrap().to_string();
                told.extend(subjects.iter().map(|subject| (format!("{namespace}/{name}"), who(subject), rule.clone())));
            }
        }
    }
    told
}

fn told(grant: &api_rbac::Grant<'_>) -> Told {
    let (binding, subject) = (grant.binding, grant.subject);
    assert!(subject.kind == SubjectKind::ServiceAccount || subject.namespace.is_empty());
    (
        format!("{}/{}", binding.namespace, binding.name),
        format!("{} {}/{}", subject.kind, subject.namespace, subject.name),
        grant.rule.to_string(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_rule_allows_what_upstream_does(rule in rule()) {
        let read = PolicyRule::read(&rule).unwrap();
        for asked in attributes() {
            prop_assert_eq!(read.allows(&asked), says(&rule, &asked), "{:?}", asked);
        }
    }

    #[test]
    fn a_rule_is_read_as_it_is_written(rule in rule()) {
        let read = PolicyRule::read(&rule).unwrap();
        let written = api_meta::json!(read);
        prop_assert_eq!(PolicyRule::read(&written), Some(read));
    }

    /// Who covers a rule may do all that it allows, and what is lacking makes up for the rest.
    #[test]
    fn coverage_is_what_requests_see(
        owned in prop::collection::vec(rule(), 0..20),
        wanted in prop::collection::vec(rule(), 0..4),
    ) {
        let (owned, wanted) = (read(&owned), read(&wanted));
        let missing = lacking(&owned, &wanted).unwrap();
        let allow = |rules: &[PolicyRule], asked: &Attributes<'_>| rules.iter().any(|rule| rule.allows(asked));
        for asked in attributes() {
            if allow(&wanted, &asked) {
                prop_assert!(allow(&owned, &asked) || allow(&missing, &asked), "{:?}", asked);
            }
            if allow(&missing, &asked) {
                prop_assert!(allow(&wanted, &asked), "{:?}", asked);
            }
        }
        let both: Vec<PolicyRule> = owned.into_iter().chain(missing).collect();
        prop_assert_eq!(lacking(&both, &wanted), Ok(vec![]));
        prop_assert_eq!(lacking(&wanted, &wanted), Ok(vec![]));
    }

    #[test]
    fn reasons_are_all_there_are_and_in_order(steps in steps()) {
        let (world, policy) = world(&steps);
        for (name, groups) in users() {
            let user = User { name, groups: &groups };
            for asked in attributes() {
                let grants: Vec<Told> = policy.grants(user, &asked).iter().map(told).collect();
                prop_assert_eq!(policy.allows(user, &asked).as_ref().map(told), grants.first().cloned());
                prop_assert_eq!(grants, naive(&world, Some(user), &asked), "{} {:?}", name, asked);
            }
        }
    }

    #[test]
    fn changed_is_as_if_made_anew(steps in steps()) {
        let (world, policy) = world(&steps);
        let (interner, mut anew) = (Interner::default(), Policy::default());
        for ((kind, _, _), object) in world.into_iter().rev() {
            anew.insert(kind, &Object::try_from(object).unwrap(), &interner);
        }
        prop_assert_eq!(policy, anew);
    }

    #[test]
    fn many_questions_are_answered_as_one(steps in steps()) {
        let (_, policy) = world(&steps);
        for (name, groups) in users() {
            let user = User { name, groups: &groups };
            let rights = policy.rights(user);
            for asked in attributes() {
                prop_assert_eq!(rights.allows(&asked), policy.allows(user, &asked), "{} {:?}", name, asked);
            }
        }
    }

    #[test]
    fn namespaces_are_those_in_which_a_question_is_allowed(steps in steps()) {
        let (_, policy) = world(&steps);
        for (name, groups) in users() {
            let user = User { name, groups: &groups };
            let rights = policy.rights(user);
            for (group, resource, subresource) in [("", "pods", ""), ("apps", "pods", "log"), ("batch", "jobs", "")] {
                let may = |namespace: &str| {
                    let asked = Resource { group, resource, subresource, namespace, name: "" };
                    policy.allows(user, &Attributes::resource("list", asked)).is_some()
                };
                let path = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
                let found = rights.namespaces_where("list", group, &path);
                prop_assert_eq!(found == Namespaces::All, may(""));
                for namespace in ["x", "y", "z"] {
                    prop_assert_eq!(found.contains(namespace), may(namespace), "{} {}", name, namespace);
                }
            }
        }
    }

    #[test]
    fn who_can_is_everybody_who_can(steps in steps()) {
        let (world, policy) = world(&steps);
        for asked in attributes() {
            let who_can = policy.who_can(&asked);
            let mut grants: Vec<Told> = who_can.values().flatten().map(told).collect();
            let mut expect = naive(&world, None, &asked);
            grants.sort();
            expect.sort();
            prop_assert_eq!(grants, expect);
            for (subject, grants) in who_can {
                prop_assert!(grants.iter().all(|grant| grant.subject == subject));
            }
        }
    }
}
