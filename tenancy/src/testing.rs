//! A fleet for tests: `global`, `eu` and `us`; the projects `shop` (in eu and us) and `bank` (in eu); somebody of each level.
//!
//! Clusters have what the platform's own plans say, so that a test holds what really follows from a binding.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_rbac::{Interner, Policy};
use api_types::tenancy::{GroupBinding, RoleScope, UserBinding};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::ResourceExt;
use serde_json::{Value, from_value, json};

use crate::bindings::{Binding, BindingKind, Cluster, Namespaces};
use crate::projects::{self, Project};
use crate::rights::Person;
use crate::roles::{self, Template, role_name};
use crate::view::{Bound, Fixed, HubObjects, Known, Namespace};

/// Namespaces by cluster: name and project.
pub(crate) const NAMESPACES: [(&str, &[(&str, &str)]); 3] = [
    ("global", &[("shop", "shop"), ("bank", "bank")]),
    ("eu", &[("shop", "shop"), ("shop-a", "shop"), ("shop-b", "shop"), ("bank", "bank"), ("bank-a", "bank")]),
    ("us", &[("shop", "shop"), ("shop-us", "shop")]),
];

pub(crate) struct Fleet {
    pub(crate) view: Arc<Fixed>,
    hub: HubObjects,
    /// Native objects besides what follows from the hub's, by cluster.
    native: BTreeMap<String, Vec<Value>>,
    version: u64,
}

impl Fleet {
    /// With somebody of each level.
    pub(crate) fn new() -> Self {
        let mut fleet = Self::empty();
        for (name, role, scope, constraint) in [
            ("root", "platform-admin-system", "platform", json!([])),
            ("aud", "platform-auditor-system", "platform", json!([])),
            ("ops", "cluster-admin-system", "cluster", json!([{"cluster": "eu"}])),
            ("pam", "project-admin-system", "project", json!([{"project": "shop"}])),
            ("eve", "project-admin-system", "project", json!([{"project": "shop", "cluster": "eu"}])),
            ("bob", "project-admin-system", "project", json!([{"project": "bank"}])),
            (
                "nat",
                "namespace-admin-system",
                "namespace",
                json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]),
            ),
            (
                "dev",
                "namespace-developer-system",
                "namespace",
                json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]),
            ),
        ] {
            fleet.bind(name, json!([user(name)]), role, scope, constraint);
        }
        fleet.build();
        fleet
    }

    fn empty() -> Self {
        let mut hub = HubObjects::default();
        for (name, clusters) in [("shop", &["eu", "us"][..]), ("bank", &["eu"])] {
            let clusters: Vec<_> = clusters.iter().map(|name| json!({"name": name, "quota": {}})).collect();
            let object = json!({
                "apiVersion": "auth.alauda.io/v1", "kind": "Project",
                "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"clusters": clusters}, "status": {"phase": "Active"},
            });
            hub.catalog.projects.insert(name.into(), Project::read(&from_value(object.clone()).unwrap()).unwrap());
            hub.projects.insert(name.into(), Arc::new(object));
        }
        for template in roles::shipped_templates() {
            hub.catalog.templates.insert(template.name_any(), Template::read(&template).unwrap());
        }
        Self { view: Arc::default(), hub, native: BTreeMap::new(), version: 0 }
    }

    pub(crate) fn bind(&mut self, name: &str, subjects: Value, role: &str, scope: &str, constraint: Value) {
        let object = user_binding(name, subjects, role, scope, constraint);
        let says = Binding::of_user(&from_value(object.clone()).unwrap(), &|_| None);
        self.hub.bindings.insert((BindingKind::User, name.to_owned()), Arc::new(Bound { object, says }));
    }

    pub(crate) fn template(&mut self, template: Value) {
        let template = Template::read(&from_value(template).unwrap()).unwrap();
        self.hub.catalog.templates.insert(template.name().to_owned(), template);
    }

    /// A native object in a cluster.
    pub(crate) fn add(&mut self, cluster: &str, object: Value) {
        self.native.entry(cluster.to_owned()).or_default().push(object);
    }

    /// Has every cluster hold what follows.
    pub(crate) fn build(&mut self) {
        self.version += 1;
        self.view.set_hub(self.hub.clone());
        for (name, namespaces) in NAMESPACES {
            self.view.set_cluster(name, Some(self.known(name, namespaces)));
        }
    }

    fn known(&self, name: &str, namespaces: &[(&str, &str)]) -> Known {
        let catalog = &self.hub.catalog;
        let uids: Vec<String> = namespaces.iter().map(|(_, project)| format!("uid-{project}")).collect();
        let marked = namespaces
            .iter()
            .zip(&uids)
            .map(|((namespace, project), uid)| (*namespace, *project, (namespace == project).then_some(&**uid)));
        let cluster = Cluster {
            name: name.parse().unwrap(),
            namespaces: Namespaces::collect(marked),
            shared: [RoleScope::SystemNs, RoleScope::KubePublic].into(),
        };
        let mut objects: Vec<Value> = roles::base_roles(true).iter().map(|role| role.body().clone()).collect();
        objects.extend(self.native.get(name).into_iter().flatten().cloned());
        objects.extend(
            catalog
                .templates
                .values()
                .flat_map(|one| one.cluster_roles())
                .filter(|role| role.body().get("rules").is_some())
                .map(|role| role.body().clone()),
        );
        let lending: Vec<ClusterRole> = objects
            .iter()
            .filter(|object| object["kind"] == "ClusterRole")
            .map(|object| from_value(object.clone()).unwrap())
            .collect();
        for template in catalog.templates.values() {
            for scope in template.scopes() {
                let rules = template.rules(scope, &lending);
                objects.push(json!({"kind": "ClusterRole", "metadata": {"name": role_name(template.name(), scope)}, "rules": rules}));
            }
        }
        for bound in self.hub.bindings.values() {
            let Ok(binding) = &bound.says else { continue };
            objects.extend(binding.plan(catalog, &cluster).iter().map(|object| object.body().clone()));
            for project in binding.projects() {
                let (Some(project), Some(template)) =
                    (catalog.projects.get(project), catalog.templates.get(binding.template()))
                else {
                    continue;
                };
                let rules = template.rules(RoleScope::ProjectNs, &lending);
                objects.push(projects::project_role(project, template.name(), &rules).body().clone());
            }
        }
        let (interner, mut policy) = (Interner::default(), Policy::default());
        let mut role_labels = BTreeMap::new();
        for object in objects {
            let object = api_meta::Object::try_from(object).unwrap();
            let kind = api_rbac::Kind::of(&object).unwrap();
            if kind == api_rbac::Kind::ClusterRole {
                let labels = object.get("metadata").and_then(|metadata| from_value(metadata["labels"].clone()).ok());
                role_labels.insert(object.name().to_owned(), Arc::new(labels.unwrap_or_default()));
            }
            policy.insert(kind, &object, &interner);
        }
        let labelled = |(namespace, project): &(&str, &str)| {
            let labels = [("cpaas.io/project".to_owned(), (*project).to_owned())].into();
            (
                (*namespace).to_owned(),
                Namespace { uid: format!("uid-{namespace}"), labels, phase: "Active".into(), ..Namespace::default() },
            )
        };
        Known {
            policy: Arc::new(policy),
            version: self.version,
            role_labels: Arc::new(role_labels),
            cluster: Arc::new(cluster),
            namespaces: Arc::new(namespaces.iter().map(labelled).collect()),
            stale_since: None,
        }
    }

    /// Nothing is known of a cluster any more.
    pub(crate) fn lose(&self, cluster: &str) {
        self.view.set_cluster(cluster, None);
    }
}

pub(crate) fn email(name: &str) -> String {
    format!("{name}@example.org")
}

pub(crate) fn user(name: &str) -> Value {
    json!({"kind": "User", "name": email(name)})
}

pub(crate) fn person(name: &str) -> Arc<Person> {
    Arc::new(Person::authenticated(email(name), [api_types::tenancy::USERS.to_owned()]))
}

pub(crate) fn user_binding(name: &str, subjects: Value, role: &str, scope: &str, constraint: Value) -> Value {
    json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": name},
        "spec": {"subjects": subjects, "roleRef": role, "scope": scope, "constraint": constraint},
    })
}

pub(crate) fn read(object: Value) -> Binding {
    match object["kind"] == "GroupBinding" {
        true => Binding::of_group(&from_value::<GroupBinding>(object).unwrap()).unwrap(),
        false => Binding::of_user(&from_value::<UserBinding>(object).unwrap(), &|_| None).unwrap(),
    }
}
