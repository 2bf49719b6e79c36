use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;
use crate::book::Written;
use crate::mirror::Followed;

fn global() -> ClusterName {
    ClusterName::global()
}

fn eu() -> ClusterName {
    "eu".parse().unwrap()
}

fn project(name: &str, clusters: &[&str], recorded: bool) -> Value {
    let spec: Vec<_> = clusters.iter().map(|name| json!({"name": name, "quota": {"pods": "1"}})).collect();
    let finalizers = if recorded { vec![crate::report::FINALIZER] } else { Vec::new() };
    json!({
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "finalizers": finalizers},
        "spec": {"clusters": spec}, "status": {"clusters": clusters},
    })
}

fn template(name: &str, level: &str, verb: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"auth.cpaas.io/roletemplate.level": level}},
        "spec": {"customRules": [{"apiGroups": ["auth.alauda.io"], "resources": ["projects"], "verbs": [verb]}]},
    })
}

fn binding(name: &str, template: &str, scope: &str, constraint: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "subjects": [{"kind": "User", "name": "ann@example.org"}], "roleRef": template, "scope": scope,
            "constraint": constraint,
        },
    })
}

fn namespace(name: &str, project: Option<&str>, owner: Option<&str>) -> Value {
    let mut object = json!({"metadata": {"name": name, "labels": {}, "annotations": {}}});
    if let Some(project) = project {
        object["metadata"]["labels"]["cpaas.io/project"] = json!(project);
    }
    if let Some(owner) = owner {
        object["metadata"]["annotations"][crate::projects::PROJECT_UID] = json!(format!("uid-of-{owner}"));
    }
    object
}

fn cluster(name: &str, ratio: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "cpaas-system"}, "spec": {"properties": {"oversoldRatio": ratio}},
    })
}

/// What there is, and who keeps up with it.
struct Scene {
    book: Book,
    state: State,
    shared: Shared,
    desired: Desired,
}

impl Scene {
    fn new(name: ClusterName) -> Self {
        let mut state = State::new(jiff::Timestamp::UNIX_EPOCH);
        state.set_version("v1.34.0");
        let mut book = Book::default();
        book.shared_roles = Some(BTreeMap::new());
        let mut scene = Self { book, state, shared: Shared::default(), desired: Desired::new(name) };
        scene.has(namespace("kube-system", None, None));
        for template in crate::roles::shipped_templates() {
            scene.says(Written::RoleTemplate, serde_json::to_value(&template).unwrap());
        }
        scene.update();
        scene
    }

    fn says(&mut self, kind: Written, object: Value) {
        self.book.put(kind, object).unwrap();
    }

    fn has(&mut self, object: Value) {
        self.state.put(Followed::Namespace, object, &self.shared);
    }

    fn update(&mut self) -> Changed {
        let dirty = self.state.take_dirty();
        self.desired.update(&self.book, &self.state, dirty, &self.shared)
    }

    fn wanted(&self) -> BTreeMap<Key, Value> {
        let all = self.desired.wanted.iter();
        all.map(|(key, (_, object))| (key.clone(), object.body().clone())).collect()
    }

    /// What somebody wants who sees all of it for the first time.
    fn afresh(&self) -> BTreeMap<Key, Value> {
        let mut desired = Desired::new(self.desired.name.clone());
        let projects = self.state.namespaces.keys().cloned().collect();
        let dirty = Dirty { projects, definitions: true, ..Dirty::default() };
        desired.update(&self.book, &self.state, dirty, &self.shared);
        desired.wanted.into_iter().map(|(key, (_, object))| (key, object.body().clone())).collect()
    }
}

#[test]
fn a_binding_costs_its_own_work() {
    let mut scene = Scene::new(eu());
    for n in 0..10 {
        let name = format!("b{n}");
        scene.says(Written::UserBinding, binding(&name, "platform-auditor-system", "platform", json!([])));
    }
    scene.update();
    scene.says(Written::UserBinding, binding("one", "platform-auditor-system", "platform", json!([])));
    let changed = scene.update();
    let keys: Vec<String> = changed.keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["ClusterRoleBinding cpaas:one:cluster"]);
    assert!(scene.update().keys.is_empty());
    scene.book.remove(Written::UserBinding, &(String::new(), "one".into()));
    assert_eq!(scene.update().keys, changed.keys);
    assert!(!scene.desired.wanted.contains_key(changed.keys.first().unwrap()));
}

#[test]
fn a_project_is_not_begun_before_it_is_known_where_to_clean_up() {
    let mut scene = Scene::new(eu());
    let own = Key { kind: Kind::Namespace, namespace: None, name: "shop".into() };
    scene.says(Written::Project, project("shop", &["eu"], false));
    scene.update();
    assert!(!scene.desired.wanted.contains_key(&own));
    scene.says(Written::Project, project("shop", &["eu"], true));
    scene.update();
    assert!(scene.desired.wanted.contains_key(&own));
}

#[test]
fn a_cluster_has_the_ratio_that_is_said_of_it() {
    let mut scene = Scene::new(eu());
    let key = Key { kind: Kind::Ratio, namespace: Some("cpaas-system".into()), name: "cluster".into() };
    let says = |scene: &mut Scene, name: &str, ratio: Value| {
        scene.says(Written::Cluster, cluster(name, ratio));
        let changed = scene.update().keys;
        let is_news = changed.contains(&key);
        assert_eq!(scene.wanted(), scene.afresh());
        (is_news, scene.desired.wanted.get(&key).map(|(_, object)| object.body()["spec"].clone()))
    };
    assert_eq!(says(&mut scene, "us", json!({"cpu": "2"})), (false, None));
    assert_eq!(says(&mut scene, "eu", json!({})), (false, None));
    let both = Some(json!({"cpu": 2, "memory": 1.25}));
    assert_eq!(says(&mut scene, "eu", json!({"cpu": "2", "memory": "1.250"})), (true, both.clone()));
    assert_eq!(says(&mut scene, "eu", json!({"cpu": "2.0", "memory": "1.25"})), (false, both));
    assert_eq!(says(&mut scene, "eu", json!({"cpu": "0"})), (true, Some(json!({"cpu": 0}))));
    // Which no definition lets pass.
    assert_eq!(says(&mut scene, "eu", json!({"cpu": "many"})), (true, None));
    assert_eq!(says(&mut scene, "eu", json!({"memory": "3"})), (true, Some(json!({"memory": 3}))));
    scene.book.remove(Written::Cluster, &("cpaas-system".into(), "eu".into()));
    assert!(scene.update().keys.contains(&key) && !scene.desired.wanted.contains_key(&key));
}

#[test]
fn a_role_of_a_project_lasts_as_long_as_it_is_given() {
    let mut scene = Scene::new(global());
    scene.says(Written::Project, project("shop", &[], true));
    scene.has(namespace("shop", Some("shop"), Some("shop")));
    let shop = json!([{"project": "shop"}]);
    for name in ["one", "two"] {
        scene.says(Written::UserBinding, binding(name, "project-admin-system", "project", shop.clone()));
    }
    scene.update();
    let role = Key { kind: Kind::ClusterRole, namespace: None, name: "cpaas:project:shop:project-admin-system".into() };
    for (name, stays) in [("one", true), ("two", false)] {
        assert!(scene.desired.wanted.contains_key(&role));
        scene.book.remove(Written::UserBinding, &(String::new(), name.into()));
        scene.update();
        assert_eq!(scene.desired.wanted.contains_key(&role), stays, "without {name}");
    }
}

#[test]
fn clusters_without_policies_give_less() {
    let mut scene = Scene::new(eu());
    let all = scene.desired.keys(&Source::Base).len();
    scene.state.set_version("v1.29.9");
    scene.update();
    assert!(scene.desired.keys(&Source::Guard).is_empty());
    assert!(scene.desired.keys(&Source::Base).len() < all);
    assert_eq!(scene.wanted(), scene.afresh());
}

#[derive(Clone, Debug)]
enum Step {
    Says(Written, Value),
    Unsays(Written, &'static str),
    Has(Value),
    Lacks(&'static str),
    Version(&'static str),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let projects = || select(&["shop", "bank"][..]);
    let maybe = || proptest::option::of(projects());
    let names = || select(&["shop", "bank", "x", "y", "cpaas-system"][..]);
    const CLUSTERS: [&[&str]; 4] = [&["eu"], &["us"], &["eu", "us"], &[]];
    let clusters = select(&CLUSTERS[..]);
    let bindings = || select(&["a", "b", "c"][..]);
    let constraint = (projects(), names()).prop_flat_map(|(project, namespace)| {
        select(vec![
            ("platform", "platform-auditor-system", json!([])),
            ("cluster", "cluster-admin-system", json!([{"cluster": "eu"}])),
            ("project", "project-admin-system", json!([{"project": project}])),
            ("project", "own", json!([{"project": project, "cluster": "eu"}])),
            (
                "namespace",
                "namespace-admin-system",
                json!([{"project": project, "cluster": "eu", "namespace": namespace}]),
            ),
        ])
    });
    prop_oneof![
        (projects(), clusters, any::<bool>())
            .prop_map(|(name, clusters, recorded)| Step::Says(Written::Project, project(name, clusters, recorded))),
        projects().prop_map(|name| Step::Unsays(Written::Project, name)),
        (bindings(), constraint).prop_map(|(name, (scope, template, constraint))| {
            Step::Says(Written::UserBinding, binding(name, template, scope, constraint))
        }),
        bindings().prop_map(|name| Step::Unsays(Written::UserBinding, name)),
        select(&["get", "update"][..])
            .prop_map(|verb| Step::Says(Written::RoleTemplate, template("own", "project", verb))),
        (select(&["eu", "global"][..]), select(&["0", "2", "x"][..]))
            .prop_map(|(name, ratio)| Step::Says(Written::Cluster, cluster(name, json!({"cpu": ratio})))),
        Just(Step::Unsays(Written::RoleTemplate, "own")),
        (names(), maybe(), maybe()).prop_map(|(name, project, owner)| Step::Has(namespace(name, project, owner))),
        names().prop_map(Step::Lacks),
        select(&["v1.29.0", "v1.34.0"][..]).prop_map(Step::Version),
        Just(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_kept_up_wants_the_same_as_who_comes_new(on_hub: bool, steps in prop::collection::vec(step(), 1..40)) {
        let mut scene = Scene::new(if on_hub { global() } else { eu() });
        for step in steps {
            match step {
                Step::Says(kind, object) => scene.says(kind, object),
                Step::Unsays(kind, name) => drop(scene.book.remove(kind, &(String::new(), name.into()))),
                Step::Has(object) => scene.has(object),
                Step::Lacks(name) => drop(scene.state.remove(Followed::Namespace, &(String::new(), name.into()))),
                Step::Version(version) => drop(scene.state.set_version(version)),
                Step::Look => {
                    let before = scene.wanted();
                    let changed = scene.update().keys;
                    let now = scene.wanted();
                    prop_assert_eq!(&now, &scene.afresh());
                    // Whatever is wanted otherwise than before is looked at.
                    let keys: BTreeSet<&Key> = before.keys().chain(now.keys()).collect();
                    for key in keys {
                        prop_assert!(before.get(key) == now.get(key) || changed.contains(key), "{}", key);
                    }
                }
            }
        }
        scene.update();
        prop_assert_eq!(scene.wanted(), scene.afresh());
    }
}
