//! A cluster with two projects, and people of each level in it.

use std::collections::BTreeMap;

use api_types::tenancy::{GroupBinding, RoleScope, UserBinding};
use apiserver_access::User;
use harness::TestCluster;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tenancy::bindings::{Binding, Catalog, Cluster, Namespaces};
use tenancy::projects::{self, Found, Project};
use tenancy::roles::{self, Template, role_name};
use tenancy::{Object, guard};

use crate::support::{self, apply, create};

/// The projects and the templates that come with the platform.
pub(crate) fn catalog() -> Catalog {
    let project = |name: &str| {
        let project = json!({
            "metadata": {"name": name, "uid": format!("uid-of-{name}")},
            "spec": {"clusters": [{"name": "eu", "quota": {"pods": "10"}}]},
        });
        Project::read(&serde_json::from_value(project).unwrap()).unwrap()
    };
    let templates = roles::shipped_templates().into_iter().map(|template| Template::read(&template).unwrap());
    Catalog {
        templates: templates.map(|template| (template.name().to_owned(), template)).collect(),
        projects: ["shop", "bank"].map(|name| (name.to_owned(), project(name))).into(),
    }
}

pub(crate) fn binding(name: &str, user: &str, role: &str, scope: &str, constraint: Value) -> Binding {
    let spec = json!({"subjects": [{"kind": "User", "name": user}], "roleRef": role, "scope": scope, "constraint": constraint});
    let binding = json!({"metadata": {"name": name}, "spec": spec});
    Binding::of_user(&serde_json::from_value::<UserBinding>(binding).unwrap(), &|_| None).unwrap()
}

pub(crate) fn group_binding(name: &str, group: &str, role: &str, constraint: Value) -> Binding {
    let spec = json!({"subjects": [{"kind": "Group", "name": group}], "roleRef": role, "scope": "project", "constraint": constraint});
    let binding = json!({"metadata": {"name": name}, "spec": spec});
    Binding::of_group(&serde_json::from_value::<GroupBinding>(binding).unwrap()).unwrap()
}

/// The cluster `eu` with its namespaces.
pub(crate) fn eu() -> Cluster {
    Cluster {
        name: "eu".parse().unwrap(),
        namespaces: Namespaces::collect([
            ("shop", "shop", Some("uid-of-shop")),
            ("shop-a", "shop", None),
            ("shop-b", "shop", None),
            ("bank", "bank", Some("uid-of-bank")),
            ("bank-a", "bank", None),
        ]),
        shared: [RoleScope::SystemNs, RoleScope::KubePublic].into(),
    }
}

/// Somebody of each level.
pub(crate) fn bindings() -> Vec<Binding> {
    let shop = json!([{"project": "shop"}]);
    let shop_a = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    vec![
        binding("aud", "aud@example.org", "platform-auditor-system", "platform", json!([])),
        binding("ops", "ops@example.org", "cluster-admin-system", "cluster", json!([{"cluster": "eu"}])),
        binding("pam", "pam@example.org", "project-admin-system", "project", shop),
        binding("nat", "nat@example.org", "namespace-admin-system", "namespace", shop_a.clone()),
        binding("dev", "dev@example.org", "namespace-developer-system", "namespace", shop_a),
        binding("bob", "bob@example.org", "project-admin-system", "project", json!([{"project": "bank"}])),
        group_binding("pam", "shop-owners", "project-admin-system", json!([{"project": "shop"}])),
    ]
}

/// All that the platform writes in `eu`.
pub(crate) fn plan() -> Vec<Object> {
    let catalog = catalog();
    let eu = eu();
    let mut objects = guard::policies(true);
    for project in catalog.projects.values() {
        objects.extend(projects::plan(project, &eu.name, &Found::Absent).unwrap());
    }
    let base = roles::base_roles(true);
    let native: Vec<_> = base.iter().map(|role| serde_json::from_value(role.body().clone()).unwrap()).collect();
    for template in catalog.templates.values() {
        objects.extend(template.cluster_roles());
    }
    objects.extend(base);
    let mut bound = BTreeMap::new();
    for binding in bindings() {
        for project in binding.projects() {
            bound.insert((project.to_owned(), binding.template().to_owned()), ());
        }
        objects.extend(binding.plan(&catalog, &eu));
    }
    for (project, template) in bound.keys() {
        let rules = catalog.templates[template].rules(RoleScope::ProjectNs, &native);
        objects.push(projects::project_role(&catalog.projects[project], template, &rules));
    }
    objects.sort_by(|a, b| a.key().cmp(b.key()));
    objects
}

/// The hub's identity, if RBAC let it do anything.
pub(crate) fn platform(cluster: &TestCluster) -> Client {
    cluster.server.client(User::new(guard::TENANCY_USER, ["system:masters"]))
}

/// A cluster with all of it. Its roles are added up here, as the cluster's controllers would.
pub(crate) struct Tenants {
    pub(crate) cluster: TestCluster,
    pub(crate) admin: Client,
}

impl Tenants {
    pub(crate) async fn start() -> Self {
        let cluster = support::cluster().await;
        let admin = cluster.admin();
        let objects = plan();
        for (name, project) in [("shop-a", "shop"), ("shop-b", "shop"), ("bank-a", "bank")] {
            create(&admin, &namespace(name, json!({"cpaas.io/project": project}))).await.unwrap();
        }
        for name in ["cpaas-system", "free"] {
            create(&admin, &namespace(name, json!({}))).await.unwrap();
        }
        let native: Vec<k8s_openapi::api::rbac::v1::ClusterRole> =
            roles::base_roles(true).iter().map(|role| serde_json::from_value(role.body().clone()).unwrap()).collect();
        let platform = platform(&cluster);
        for object in &objects {
            apply(&platform, object.body()).await.unwrap_or_else(|error| panic!("{}: {error}", object.key()));
        }
        for template in catalog().templates.values() {
            for scope in template.scopes() {
                let rules = template.rules(scope, &native);
                let patch = json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": {"name": role_name(template.name(), scope)}, "rules": rules,
                });
                let merge = kube::api::Patch::Merge(&patch);
                let roles = support::api_of(&admin, &patch);
                roles.patch(&role_name(template.name(), scope), &Default::default(), &merge).await.unwrap();
            }
        }
        Self { cluster, admin }
    }

    /// Somebody who came through the door.
    pub(crate) fn person(&self, name: &str) -> Client {
        let groups = ["system:authenticated", api_types::tenancy::USERS];
        self.cluster.server.client(User::new(format!("{name}@example.org"), groups))
    }

    /// Gives a native role of one rule in a namespace.
    pub(crate) async fn grant(&self, namespace: &str, name: &str, subject: Value, rule: Value) {
        let metadata = json!({"name": name, "namespace": namespace});
        let version = "rbac.authorization.k8s.io/v1";
        let role = json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": [rule]});
        let binding = json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata, "subjects": [subject],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        });
        create(&self.admin, &role).await.unwrap();
        create(&self.admin, &binding).await.unwrap();
    }

    /// Makes a namespace what it was.
    pub(crate) async fn reset(&self, name: &str, project: &str) {
        let wanted = namespace(name, json!({}));
        let api = support::api_of(&self.admin, &wanted);
        let mut there = api.get(name).await.unwrap();
        there.labels_mut().retain(|key, _| key == "kubernetes.io/metadata.name");
        there.labels_mut().insert("cpaas.io/project".into(), project.into());
        there.annotations_mut().clear();
        there.metadata.managed_fields = None;
        api.replace(name, &Default::default(), &there).await.unwrap();
    }
}

pub(crate) fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}
