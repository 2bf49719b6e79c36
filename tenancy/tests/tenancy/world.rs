//! A hub and its members, each an API server of its own, and the way between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver_access::User;
use futures::{FutureExt as _, StreamExt as _};
use harness::TestCluster;
use http::{Method, Request};
use http_body_util::{BodyStream, StreamBody};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch};
use lib_drain::Drain;
use lib_kubernetes::{Body, ClusterApi, boxed};
use serde_json::{Value, json};
use tenancy::guard::{TENANCY_USER, identity};
use tenancy::{Parts, Tenancy};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::{self, api_of, create};

/// Long enough for anything that is to happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A cluster, and what goes to it.
#[derive(Clone)]
pub(crate) struct Reached {
    pub(crate) cluster: Arc<TestCluster>,
    /// Whether requests arrive.
    is_there: watch::Sender<bool>,
    writes: Arc<Mutex<Vec<String>>>,
}

impl Reached {
    async fn start(is_hub: bool) -> Self {
        let cluster = if is_hub { support::cluster().await } else { TestCluster::start().await };
        for object in identity(is_hub) {
            create(&cluster.admin(), &object).await.unwrap();
        }
        for name in ["cpaas-system", "kube-public"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let _ = create(&cluster.admin(), &namespace).await;
        }
        Self { cluster: Arc::new(cluster), is_there: watch::Sender::new(true), writes: Arc::default() }
    }

    pub(crate) fn admin(&self) -> Client {
        self.cluster.admin()
    }

    /// The way to it for the hub.
    fn api(&self) -> ClusterApi {
        let nobody_else: [&str; 0] = [];
        let inner = ClusterApi::in_process(self.cluster.server.service_as(User::new(TENANCY_USER, nobody_else)));
        let this = self.clone();
        ClusterApi::from_fn(move |request: Request<Body>| {
            let (inner, this) = (inner.clone(), this.clone());
            async move {
                let mut is_there = this.is_there.subscribe();
                if !*is_there.borrow_and_update() {
                    return Err("it is away".into());
                }
                let path = request.uri().to_string();
                if request.method() != Method::GET && !path.contains("dryRun") {
                    this.writes.lock().unwrap().push(format!("{} {path}", request.method()));
                }
                let response = inner.send(request).await?;
                Ok(response.map(|body| {
                    let lost = async move { drop(is_there.wait_for(|is_there| !is_there).await) };
                    boxed(StreamBody::new(BodyStream::new(body).take_until(lost.boxed())))
                }))
            }
            .boxed()
        })
    }

    /// Lets nothing through, and ends what is on its way.
    pub(crate) fn cut(&self) {
        self.is_there.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_there.send_replace(true);
    }

    /// What was written since this was last asked.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }

    /// Adds up the roles, as a cluster's controllers would.
    pub(crate) async fn aggregate(&self) {
        let roles: Api<ClusterRole> = Api::all(self.admin());
        let all = roles.list(&ListParams::default()).await.unwrap().items;
        for role in all.iter().filter(|role| role.aggregation_rule.is_some()) {
            let selectors = role.aggregation_rule.iter().flat_map(|rule| rule.cluster_role_selectors.iter().flatten());
            let selectors: Vec<_> = selectors.collect();
            let lends = |other: &&ClusterRole| {
                let labels = other.metadata.labels.clone().unwrap_or_default();
                other.metadata.name != role.metadata.name
                    && selectors.iter().any(|selector| {
                        selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
                    })
            };
            let rules: Vec<_> = all.iter().filter(lends).flat_map(|role| role.rules.iter().flatten()).collect();
            let name = role.metadata.name.as_deref().unwrap();
            if name.starts_with("cpaas:") {
                roles.patch(name, &Default::default(), &Patch::Merge(json!({"rules": rules}))).await.unwrap();
            }
        }
    }

    pub(crate) async fn get(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<DynamicObject> {
        let header = json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}});
        api_of(&self.admin(), &header).get_opt(name).await.unwrap_or_default()
    }

    /// The names of all native bindings of the platform's, with their namespaces.
    pub(crate) async fn bindings(&self) -> Vec<String> {
        let mut names = Vec::new();
        for kind in ["ClusterRoleBinding", "RoleBinding"] {
            let header = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {}});
            for object in api_of(&self.admin(), &header).list(&ListParams::default()).await.unwrap() {
                let name = object.metadata.name.unwrap();
                if name.starts_with("cpaas:") {
                    names.push(format!("{}/{name}", object.metadata.namespace.unwrap_or_default()));
                }
            }
        }
        names.sort();
        names
    }
}

pub(crate) struct World {
    pub(crate) hub: Reached,
    pub(crate) members: BTreeMap<String, Reached>,
    pub(crate) tenancy: Tenancy,
    drain: Drain,
}

impl World {
    /// A hub with members of these names.
    pub(crate) async fn start(names: &[&str]) -> Self {
        let hub = Reached::start(true).await;
        let mut members = BTreeMap::new();
        for name in names {
            members.insert((*name).to_owned(), Reached::start(false).await);
            create(&hub.admin(), &cluster(name)).await.unwrap();
        }
        let (drain, tenancy) = run(&hub, &members);
        Self { hub, members, tenancy, drain }
    }

    /// Another hub in place of this one.
    pub(crate) async fn restart(&mut self) {
        let _ = self.drain.drain(SOON).await;
        (self.drain, self.tenancy) = run(&self.hub, &self.members);
    }

    /// One more hub beside this one, which has no way to some of the members.
    pub(crate) fn beside(&self, unreached: &[&str]) -> (Drain, Tenancy) {
        let reached = self.members.iter().filter(|(name, _)| !unreached.contains(&&***name));
        run(&self.hub, &reached.map(|(name, place)| (name.clone(), place.clone())).collect())
    }

    pub(crate) fn member(&self, name: &str) -> &Reached {
        &self.members[name]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Reached> {
        std::iter::once(&self.hub).chain(self.members.values())
    }

    pub(crate) async fn write(&self, object: Value) {
        create(&self.hub.admin(), &object).await.unwrap_or_else(|error| panic!("{object}: {error}"));
    }

    pub(crate) async fn remove(&self, kind: &str, name: &str) {
        let header = json!({"apiVersion": "auth.alauda.io/v1", "kind": kind, "metadata": {}});
        api_of(&self.hub.admin(), &header).delete(name, &Default::default()).await.unwrap();
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let header = json!({"apiVersion": "auth.alauda.io/v1", "kind": kind, "metadata": {}});
        let patch = Patch::Merge(patch);
        api_of(&self.hub.admin(), &header).patch(name, &Default::default(), &patch).await.unwrap();
    }

    pub(crate) async fn status(&self, kind: &str, name: &str) -> Value {
        let found = self.hub.get("auth.alauda.io/v1", kind, None, name).await;
        found.map(|object| object.data["status"].clone()).unwrap_or_default()
    }

    pub(crate) async fn phase(&self, kind: &str, name: &str) -> String {
        self.status(kind, name).await["phase"].as_str().unwrap_or_default().to_owned()
    }
}

fn run(hub: &Reached, members: &BTreeMap<String, Reached>) -> (Drain, Tenancy) {
    let drain = Drain::new();
    let ways = members.clone();
    let none = ClusterApi::from_fn(|_| async { Err("there is no such cluster".into()) }.boxed());
    let members = Arc::new(move |name: &lib_names::ClusterName| {
        ways.get(name.as_str()).map_or_else(|| none.clone(), Reached::api)
    });
    let tenancy = Tenancy::start(Parts { hub: hub.api(), members }, &drain);
    (drain, tenancy)
}

pub(crate) fn cluster(name: &str) -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": name, "namespace": "cpaas-system"}, "spec": {},
    })
}

pub(crate) fn project(name: &str, clusters: &[&str]) -> Value {
    let clusters: Vec<_> = clusters.iter().map(|name| json!({"name": name, "quota": {"pods": "10"}})).collect();
    json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "Project", "metadata": {"name": name},
        "spec": {"clusters": clusters},
    })
}

pub(crate) fn binding(name: &str, user: &str, role: &str, scope: &str, constraint: Value) -> Value {
    json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": name},
        "spec": {
            "subjects": [{"kind": "User", "name": user}], "roleRef": role, "scope": scope, "constraint": constraint,
        },
    })
}

/// Waits until a condition holds that nobody announces.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
