use api_types::tenancy::{GroupBinding, UserBinding};
use proptest::prelude::*;
use serde_json::from_value;

use super::*;
use crate::roles::shipped_templates;

const ANN: &str = "ann@example.org";

fn catalog(projects: &[(&str, &[&str])]) -> Catalog {
    let project = |(name, clusters): &(&str, &[&str])| {
        let clusters: Vec<_> = clusters.iter().map(|name| json!({"name": name})).collect();
        let written = json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {"clusters": clusters}});
        let project = Project::read(&from_value(written).unwrap()).unwrap();
        ((*name).to_owned(), project)
    };
    let templates = shipped_templates().into_iter().map(|template| Template::read(&template).unwrap());
    Catalog {
        templates: templates.map(|template| (template.name().to_owned(), template)).collect(),
        projects: projects.iter().map(project).collect(),
    }
}

fn shop_and_bank() -> Catalog {
    catalog(&[("shop", &["eu", "us"]), ("bank", &["eu"])])
}

fn cluster(name: &str, namespaces: &[(&str, &str)]) -> Cluster {
    let uids: BTreeMap<&str, String> =
        namespaces.iter().map(|(_, project)| (*project, format!("uid-{project}"))).collect();
    let all = namespaces.iter().map(|(name, project)| {
        let own = name == project;
        (*name, *project, own.then(|| uids[project].as_str()))
    });
    Cluster { name: name.parse().unwrap(), namespaces: Namespaces::collect(all), shared: shared() }
}

fn shared() -> BTreeSet<RoleScope> {
    [RoleScope::SystemNs, RoleScope::KubePublic].into()
}

fn eu() -> Cluster {
    cluster("eu", &[("shop", "shop"), ("shop-a", "shop"), ("shop-b", "shop"), ("bank", "bank"), ("bank-a", "bank")])
}

fn user(spec: Value) -> Result<Binding, InvalidBinding> {
    let binding: UserBinding = from_value(json!({"metadata": {"name": "b"}, "spec": spec})).unwrap();
    Binding::of_user(&binding, &|_| None)
}

fn ann(role: &str, scope: &str, constraint: Value) -> Binding {
    let subjects = json!([{"kind": "User", "name": ANN}]);
    user(json!({"subjects": subjects, "roleRef": role, "scope": scope, "constraint": constraint})).unwrap()
}

/// What it is in a cluster: `scope role` for the whole of it, `namespace: scope role` in a namespace.
fn places(binding: &Binding, catalog: &Catalog, cluster: &Cluster) -> Vec<String> {
    let objects = binding.plan(catalog, cluster);
    let place = |object: &Object| {
        let role = object.body()["roleRef"]["name"].as_str().unwrap().trim_start_matches("cpaas:").to_owned();
        match &object.key().namespace {
            Some(namespace) => format!("{namespace}: {role}"),
            None => role,
        }
    };
    objects.iter().map(place).collect()
}

#[track_caller]
fn check(binding: &Binding, cluster: &Cluster, expect: &[&str]) {
    assert_eq!(places(binding, &shop_and_bank(), cluster), expect);
}

#[test]
fn a_role_of_the_platform_is_everywhere() {
    let binding = ann("platform-auditor-system", "platform", json!([]));
    for name in ["global", "eu", "mars"] {
        check(&binding, &cluster(name, &[]), &["platform-auditor-system:cluster"]);
    }
    assert_eq!(binding.reach(&shop_and_bank()), Reach::All);
}

#[test]
fn a_role_of_a_project_waits_for_the_projects_own_namespace() {
    let binding = ann("project-admin-system", "project", json!([{"project": "shop", "cluster": "eu"}]));
    let waits = |cluster: &Cluster| binding.waits(&shop_and_bank(), cluster);
    assert!(waits(&cluster("eu", &[("bank", "bank")])));
    assert!(!waits(&eu()));
    // Where it is not meant, and where the project is not.
    assert!(!waits(&cluster("us", &[])) && !waits(&cluster("global", &[])));
    assert!(!ann("platform-auditor-system", "platform", json!([])).waits(&shop_and_bank(), &cluster("eu", &[])));
}

#[test]
fn a_role_of_a_cluster_is_there_and_never_on_the_hub() {
    let binding = ann("cluster-admin-system", "cluster", json!([{"cluster": "eu"}]));
    check(&binding, &eu(), &["cluster-admin-system:cluster"]);
    check(&binding, &cluster("us", &[]), &[]);
    check(&binding, &cluster("global", &[]), &[]);
}

#[test]
fn a_role_of_a_project_is_in_its_clusters_and_namespaces() {
    let all = ann("project-admin-system", "project", json!([{"project": "shop"}]));
    let role = "project-admin-system";
    let in_eu = [
        format!("{role}:cluster"),
        "project:shop:project-admin-system".into(),
        format!("cpaas-system: {role}:system-ns"),
        format!("kube-public: {role}:kube-public"),
        format!("shop: {role}:project-ns"),
        format!("shop-a: {role}:business-ns"),
        format!("shop-b: {role}:business-ns"),
    ];
    check(&all, &eu(), &in_eu.each_ref().map(String::as_str));
    let bare = Cluster { shared: BTreeSet::new(), ..eu() };
    assert_eq!(
        places(&all, &shop_and_bank(), &bare).len(),
        in_eu.len() - 2,
        "nothing where there is no such namespace"
    );
    // On the hub: the project itself, and its namespace.
    let hub = cluster("global", &[("shop", "shop"), ("shop-x", "shop")]);
    check(&all, &hub, &["project:shop:project-admin-system", "shop: project-admin-system:project-ns"]);
    check(&all, &cluster("mars", &[("shop", "shop"), ("shop-a", "shop")]), &[]);
    // Narrowed to a cluster; and to one that is none of the project's.
    let narrow = ann(role, "project", json!([{"project": "shop", "cluster": "us"}]));
    check(&narrow, &eu(), &[]);
    assert_eq!(places(&narrow, &shop_and_bank(), &cluster("us", &[("shop", "shop"), ("shop-a", "shop")])).len(), 6);
    check(
        &ann(role, "project", json!([{"project": "bank", "cluster": "us"}])),
        &cluster("us", &[("bank", "bank"), ("bank-a", "bank")]),
        &[],
    );
    // Of two projects each has its own.
    let both = ann(role, "project", json!([{"project": "shop"}, {"project": "bank"}]));
    assert_eq!(places(&both, &shop_and_bank(), &eu()).len(), in_eu.len() + 3);
    assert_eq!(both.projects(), ["bank", "shop"].into());
    assert_eq!(narrow.reach(&shop_and_bank()), Reach::These(["global", "us"].map(str::to_owned).into()));
}

#[test]
fn a_role_of_a_namespace_is_there_while_it_belongs_to_the_project() {
    let role = "namespace-developer-system";
    let place = |project: &str, cluster: &str, namespace: &str| json!([{"project": project, "cluster": cluster, "namespace": namespace}]);
    let binding = ann(role, "namespace", place("shop", "eu", "shop-a"));
    check(
        &binding,
        &eu(),
        &[
            "namespace-developer-system:cluster",
            "project:shop:namespace-developer-system",
            "cpaas-system: namespace-developer-system:system-ns",
            "kube-public: namespace-developer-system:kube-public",
            "shop: namespace-developer-system:project-ns",
            "shop-a: namespace-developer-system:business-ns",
        ],
    );
    check(&binding, &cluster("us", &[("shop", "shop"), ("shop-a", "shop")]), &[]);
    check(&binding, &cluster("global", &[("shop", "shop")]), &["project:shop:namespace-developer-system"]);
    // It went to another project, or out of all.
    check(&binding, &cluster("eu", &[("shop", "shop"), ("bank", "bank"), ("shop-a", "bank")]), &[]);
    check(&binding, &cluster("eu", &[("shop", "shop")]), &[]);
}

#[test]
fn case_46_a_binding_does_not_leave_its_project() {
    let role = "namespace-admin-system";
    let place = |project: &str, namespace: &str| json!([{"project": project, "cluster": "eu", "namespace": namespace}]);
    // A namespace of another project, its own namespace, one of Kubernetes', one that is not there.
    for namespace in ["bank-a", "bank", "shop", "kube-system", "cpaas-system", "default", "nowhere"] {
        check(&ann(role, "namespace", place("shop", namespace)), &eu(), &[]);
    }
    // A label on what is Kubernetes' or the platform's makes it no project's.
    let stolen =
        cluster("eu", &[("shop", "shop"), ("kube-system", "shop"), ("cpaas-system", "shop"), ("default", "shop")]);
    check(&ann(role, "namespace", place("shop", "kube-system")), &stolen, &[]);
    let project = ann("project-admin-system", "project", json!([{"project": "shop"}]));
    assert!(places(&project, &shop_and_bank(), &stolen).iter().all(|place| !place.contains("business-ns")));
    // A template of another level gives nothing, however the binding calls itself.
    for (role, scope, constraint) in [
        ("cluster-admin-system", "namespace", place("shop", "shop-a")),
        ("platform-admin-system", "project", json!([{"project": "shop"}])),
        ("namespace-admin-system", "cluster", json!([{"cluster": "eu"}])),
    ] {
        let binding = ann(role, scope, constraint);
        check(&binding, &eu(), &[]);
        let findings = binding.findings(&shop_and_bank());
        assert!(findings[0].is_fatal() && findings[0].reason() == "ScopeNotOfTemplate", "{findings:?}");
    }
}

#[test]
fn case_49_a_project_has_no_rights_where_an_earlier_one_of_its_name_was() {
    let left = Namespaces::collect([("shop", "shop", Some("uid-of-an-earlier-one")), ("shop-a", "shop", None)]);
    let eu = Cluster { name: "eu".parse().unwrap(), namespaces: left, shared: shared() };
    let binding = ann("project-admin-system", "project", json!([{"project": "shop"}]));
    assert!(places(&binding, &shop_and_bank(), &eu).iter().all(|place| !place.starts_with("shop")));
    let place = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    check(&ann("namespace-admin-system", "namespace", place), &eu, &[]);
}

#[test]
fn what_is_said_of_a_binding_that_cannot_be_given() {
    let catalog = shop_and_bank();
    let reasons = |binding: &Binding| -> Vec<&str> { binding.findings(&catalog).iter().map(Finding::reason).collect() };
    let project = |constraint: Value| ann("project-admin-system", "project", constraint);
    assert_eq!(reasons(&project(json!([{"project": "shop"}]))), [""; 0]);
    assert_eq!(reasons(&ann("nothing", "platform", json!([]))), ["RoleTemplateNotFound"]);
    assert_eq!(reasons(&project(json!([{"project": "gone"}, {"project": "shop"}]))), ["ProjectNotFound"]);
    assert_eq!(reasons(&project(json!([{"project": "bank", "cluster": "us"}]))), ["ClusterNotOfProject"]);
    assert_eq!(
        project(json!([{"project": "bank", "cluster": "us"}])).findings(&catalog)[0].to_string(),
        "cluster \"us\" is not one of project \"bank\": add it to the project's spec.clusters first"
    );
    // Of a project that is gone nothing is left; the other stays.
    let partly = project(json!([{"project": "gone"}, {"project": "bank"}]));
    assert!(places(&partly, &catalog, &eu()).contains(&"bank-a: project-admin-system:business-ns".to_owned()));
}

#[test]
fn native_bindings_say_where_they_come_from() {
    let catalog = shop_and_bank();
    let subjects = json!([{"kind": "Group", "name": "dev"}]);
    let spec = json!({"subjects": subjects, "roleRef": "namespace-admin-system", "scope": "namespace",
                      "constraint": [{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]});
    let named = |kind: BindingKind| {
        let written = json!({"metadata": {"name": "b"}, "spec": spec});
        let binding = match kind {
            BindingKind::User => Binding::of_user(&from_value(written).unwrap(), &|_| None),
            BindingKind::Group => Binding::of_group(&from_value::<GroupBinding>(written).unwrap()),
        };
        let objects = binding.unwrap().plan(&catalog, &eu());
        objects.into_iter().find(|object| object.key().namespace.as_deref() == Some("shop-a")).unwrap()
    };
    let native = named(BindingKind::Group);
    assert_eq!(
        *native.body(),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {
                "name": "cpaas:b:group:business-ns", "namespace": "shop-a",
                "labels": {"app.kubernetes.io/managed-by": "acp", "auth.cpaas.io/managed": "true", "auth.cpaas.io/role.relative": "namespace-admin-system"},
                "annotations": {"auth.cpaas.io/binding": "b", "auth.cpaas.io/binding-kind": "GroupBinding"},
            },
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cpaas:namespace-admin-system:business-ns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}],
        })
    );
    assert_eq!(named(BindingKind::User).key().name, "cpaas:b:business-ns");
}

fn labelled(labels: Value, email: Option<&str>, known: &[(&str, &str)]) -> Result<Binding, InvalidBinding> {
    let annotations = email.map_or(json!({}), |email| json!({"auth.cpaas.io/user.email": email}));
    let metadata = json!({"name": "b", "labels": labels, "annotations": annotations});
    let binding: UserBinding = from_value(json!({"metadata": metadata, "spec": {}})).unwrap();
    let people = |md5: &str| known.iter().find(|(known, _)| *known == md5).map(|(_, email)| (*email).to_owned());
    Binding::of_user(&binding, &people)
}

#[test]
fn the_published_label_form_is_read() {
    let md5 = "8b5a6a28fc840441be692d74a81ccd1a";
    let labels = |level: &str, role: &str, place: [&str; 3]| {
        json!({
            "auth.cpaas.io/role.level": level, "auth.cpaas.io/role.name": role, "auth.cpaas.io/user.email": md5,
            "auth.cpaas.io/role.display-name": "", "cpaas.io/project": place[0], "cpaas.io/cluster": place[1], "cpaas.io/namespace": place[2],
        })
    };
    let namespace = || labels("namespace", "namespace-admin-system", ["shop", "eu", "shop-a"]);
    let expect = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    let expect = ann("namespace-admin-system", "namespace", expect);
    assert_eq!(labelled(namespace(), Some(ANN), &[]), Ok(expect.clone()));
    assert_eq!(labelled(namespace(), None, &[(md5, ANN)]), Ok(expect));
    // The MD5 is that of what was written.
    let mixed = json!({"auth.cpaas.io/role.level": "platform", "auth.cpaas.io/role.name": "platform-auditor-system", "auth.cpaas.io/user.email": "58dac630e153d42c878db1de4b13c782"});
    assert_eq!(
        labelled(mixed, Some("Ann@Example.org"), &[]),
        Ok(ann("platform-auditor-system", "platform", json!([])))
    );
    let platform = labelled(labels("platform", "platform-auditor-system", [""; 3]), Some(ANN), &[]);
    assert_eq!(platform, Ok(ann("platform-auditor-system", "platform", json!([]))));
    let cluster = labelled(labels("cluster", "cluster-admin-system", ["", "eu", ""]), Some(ANN), &[]);
    assert_eq!(cluster, Ok(ann("cluster-admin-system", "cluster", json!([{"cluster": "eu"}]))));
    let project = labelled(labels("project", "project-admin-system", ["shop", "", ""]), Some(ANN), &[]);
    assert_eq!(project, Ok(ann("project-admin-system", "project", json!([{"project": "shop"}]))));

    let reason = |result: Result<Binding, InvalidBinding>| result.unwrap_err().reason();
    assert_eq!(reason(labelled(json!({}), Some(ANN), &[])), "Empty");
    assert_eq!(reason(labelled(namespace(), None, &[])), "UserNotFound");
    assert_eq!(reason(labelled(namespace(), Some("eve@example.org"), &[])), "EmailMismatch");
    assert_eq!(reason(labelled(labels("galaxy", "r", [""; 3]), Some(ANN), &[])), "ScopeUnknown");
    assert_eq!(reason(labelled(labels("cluster", "r", ["", "global", ""]), Some(ANN), &[])), "ClusterNotAllowed");
    assert_eq!(reason(labelled(labels("project", "r", ["shop", "eu", "shop-a"]), Some(ANN), &[])), "ConstraintInvalid");
    assert_eq!(reason(labelled(labels("namespace", "r", ["shop", "", "shop-a"]), Some(ANN), &[])), "ConstraintInvalid");
    let mut nameless = namespace();
    nameless["auth.cpaas.io/user.email"] = json!("");
    assert_eq!(reason(labelled(nameless, Some(ANN), &[])), "Incomplete");
}

#[test]
fn case_45_who_cannot_be_bound() {
    let spec = |kind: &str, name: &str| json!({"subjects": [{"kind": kind, "name": name}], "roleRef": "r", "scope": "platform"});
    for (kind, name) in [
        ("Group", "system:masters"),
        ("Group", "SYSTEM:masters"),
        ("Group", "cpaas:users"),
        ("Group", "cpaas:platform-admins"),
        ("User", "acp:hub:tenancy"),
        ("User", "system:kube-controller-manager"),
        ("User", ""),
        ("User", " x"),
        ("User", "Ann@example.org"),
        ("User", "cpaas:x"),
        ("User", "x\r\ny"),
    ] {
        let refused = user(spec(kind, name)).unwrap_err();
        assert_eq!(refused.reason(), "SubjectInvalid", "{kind} {name}");
    }
    let written = json!({"metadata": {"name": "b"}, "spec": spec("User", ANN)});
    let refused = Binding::of_group(&from_value::<GroupBinding>(written).unwrap()).unwrap_err();
    assert_eq!(refused, InvalidBinding::UserInGroupBinding(ANN.into()));
    for half in [
        json!({"roleRef": "r", "scope": "platform"}),
        json!({"subjects": [{"kind": "User", "name": ANN}], "scope": "platform"}),
        json!({"subjects": [{"kind": "User", "name": ANN}], "roleRef": "r"}),
    ] {
        assert_eq!(user(half).unwrap_err().reason(), "Incomplete");
    }
}

/// A small world: three projects, three clusters, namespaces that belong to any of them or to none, some of them with
/// names of Kubernetes'.
#[derive(Clone, Debug)]
struct World {
    catalog: Vec<(String, Vec<String>)>,
    namespaces: Vec<(String, String, bool)>,
    cluster: String,
    role: String,
    scope: String,
    constraint: Vec<(String, String, String)>,
}

const PROJECTS: [&str; 3] = ["shop", "bank", "shop-a"];
const CLUSTERS: [&str; 3] = ["global", "eu", "us"];
const NAMES: [&str; 7] = ["shop", "bank", "shop-a", "shop-b", "bank-a", "kube-system", "cpaas-system"];
const ROLES: [(&str, &str); 5] = [
    ("platform-auditor-system", "platform"),
    ("cluster-admin-system", "cluster"),
    ("project-admin-system", "project"),
    ("namespace-admin-system", "namespace"),
    ("namespace-developer-system", "namespace"),
];

fn world() -> impl Strategy<Value = World> {
    let pick = |from: &'static [&'static str]| proptest::sample::select(from).prop_map(str::to_owned);
    let project = (pick(&PROJECTS), proptest::collection::vec(pick(&CLUSTERS), 0..3));
    let namespace = (pick(&NAMES), pick(&PROJECTS), any::<bool>());
    let place = (pick(&PROJECTS), pick(&CLUSTERS), pick(&NAMES));
    (
        proptest::collection::vec(project, 0..4),
        proptest::collection::vec(namespace, 0..10),
        pick(&CLUSTERS),
        proptest::sample::select(&ROLES[..]),
        proptest::collection::vec(place, 1..4),
    )
        .prop_map(|(catalog, namespaces, cluster, (role, scope), constraint)| World {
            catalog,
            namespaces,
            cluster,
            role: role.to_owned(),
            scope: scope.to_owned(),
            constraint,
        })
}

impl World {
    fn catalog(&self) -> Catalog {
        let projects: BTreeMap<&str, BTreeSet<&str>> = self
            .catalog
            .iter()
            .map(|(name, clusters)| (name.as_str(), clusters.iter().map(String::as_str).collect()))
            .collect();
        let projects: Vec<(&str, Vec<&str>)> =
            projects.into_iter().map(|(name, clusters)| (name, clusters.into_iter().collect())).collect();
        catalog(&projects.iter().map(|(name, clusters)| (*name, &clusters[..])).collect::<Vec<_>>())
    }

    /// Each name once, as in a cluster.
    fn namespaces(&self) -> BTreeMap<&str, (&str, bool)> {
        self.namespaces.iter().map(|(name, project, ours)| (name.as_str(), (project.as_str(), *ours))).collect()
    }

    fn cluster(&self) -> Cluster {
        let uids: BTreeMap<&str, String> = PROJECTS.iter().map(|name| (*name, format!("uid-{name}"))).collect();
        let all = self.namespaces();
        let all = all.iter().map(|(name, (project, ours))| (*name, *project, ours.then(|| uids[project].as_str())));
        Cluster { name: self.cluster.parse().unwrap(), namespaces: Namespaces::collect(all), shared: shared() }
    }

    fn binding(&self) -> Option<Binding> {
        let constraint = self.constraint.iter().map(|(project, cluster, namespace)| match &*self.scope {
            "cluster" => json!({"cluster": cluster}),
            // Some are narrowed to a cluster.
            "project" if namespace.len() % 2 == 0 => json!({"project": project}),
            "project" => json!({"project": project, "cluster": cluster}),
            _ => json!({"project": project, "cluster": cluster, "namespace": namespace}),
        });
        let constraint: Vec<_> = if self.scope == "platform" { Vec::new() } else { constraint.collect() };
        let subjects = json!([{"kind": "User", "name": ANN}]);
        user(json!({"subjects": subjects, "roleRef": self.role, "scope": self.scope, "constraint": constraint})).ok()
    }
}

proptest! {
    #[test]
    fn a_plan_is_the_same_whenever_it_is_made(world in world()) {
        let Some(binding) = world.binding() else { return Ok(()) };
        let plan = binding.plan(&world.catalog(), &world.cluster());
        let mut turned = world.clone();
        turned.catalog = turned.catalog().projects.values().rev().map(|p| (p.name().to_owned(), p.clusters().map(str::to_owned).collect())).collect();
        turned.constraint.reverse();
        prop_assert_eq!(&plan, &turned.binding().unwrap().plan(&turned.catalog(), &turned.cluster()));
        let keys: BTreeSet<_> = plan.iter().map(Object::key).collect();
        prop_assert_eq!(keys.len(), plan.len());
    }

    #[test]
    fn a_plan_stays_within_the_constraint(world in world()) {
        let Some(binding) = world.binding() else { return Ok(()) };
        let (catalog, namespaces) = (world.catalog(), world.namespaces());
        let objects = binding.plan(&catalog, &world.cluster());
        if !objects.is_empty() {
            prop_assert!(binding.reach(&catalog).contains(&world.cluster));
        }
        // What the constraint names, said once more and in other words.
        let named = |project: &str, namespace: Option<&str>| world.constraint.iter().any(|(p, c, n)| {
            let narrowed = world.scope == "namespace" || n.len() % 2 == 1;
            p == project && (!narrowed || *c == world.cluster) && (world.scope == "project" || namespace.is_none_or(|namespace| n == namespace))
        });
        let is_in = |project: &str| catalog.projects.get(project).is_some_and(|project| project.is_in(&world.cluster));
        for object in &objects {
            let role = object.body()["roleRef"]["name"].as_str().unwrap();
            let scope = role.rsplit(':').next().unwrap();
            let hub = world.cluster == "global";
            match (&*world.scope, object.key().namespace.as_deref()) {
                ("platform", None) => prop_assert_eq!(scope, "cluster"),
                ("cluster", None) => prop_assert!(!hub && world.constraint.iter().any(|(_, c, _)| *c == world.cluster)),
                ("project" | "namespace", None) if scope == "cluster" => prop_assert!(PROJECTS.iter().any(|p| is_in(p) && named(p, None))),
                ("project" | "namespace", None) => {
                    let project = role.split(':').nth(2).unwrap();
                    prop_assert!(world.constraint.iter().any(|(p, _, _)| p == project) && catalog.projects.contains_key(project));
                    prop_assert!(hub || (is_in(project) && named(project, None)));
                }
                ("project" | "namespace", Some("cpaas-system")) => prop_assert_eq!(scope, "system-ns"),
                ("project" | "namespace", Some("kube-public")) => prop_assert_eq!(scope, "kube-public"),
                ("project" | "namespace", Some(namespace)) => {
                    let (project, _) = namespaces[namespace];
                    let own = namespaces.get(project);
                    prop_assert_eq!(own, Some(&(project, true)), "{} is of this very project", namespace);
                    prop_assert_eq!(namespace == project, scope == "project-ns");
                    if namespace == project {
                        prop_assert!(hub || (is_in(project) && named(project, None)));
                        prop_assert!(world.constraint.iter().any(|(p, _, _)| p == project));
                    } else {
                        prop_assert!(is_in(project) && named(project, Some(namespace)));
                        prop_assert!(!namespace.starts_with("kube-") && namespace != "cpaas-system");
                    }
                }
                other => prop_assert!(false, "{other:?} {role}"),
            }
        }
    }
}
