//! One person tries all that the tables say.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::{Door, Kubectl, Outcome, kubectls};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::people::{Members, Person};
use crate::table::{CLUSTER_WIDE, CLUSTERS, GUARDED, NAMESPACED, PLACES, PLATFORM, ROLES, lines, names, names_cluster};

/// Everything that is not as the tables say.
pub(crate) async fn all(person: Person, members: Members) -> Vec<String> {
    let tries = Tries { person: &person, members: &members };
    let mut wrong = Vec::new();
    for (number, cluster) in CLUSTERS.into_iter().enumerate() {
        let kubectl = Kubectl::new(&kubectls()[0], Path::new(&person.kubeconfigs[number]));
        wrong.extend(tries.in_namespaces(cluster, &kubectl).await);
        wrong.extend(tries.in_cluster(cluster, &kubectl).await);
        wrong.extend(tries.guarded(cluster, &kubectl).await);
        wrong.extend(tries.asked(cluster).await);
    }
    wrong.extend(tries.platform().await);
    wrong
}

struct Tries<'a> {
    person: &'a Person,
    members: &'a Members,
}

impl Tries<'_> {
    fn expects(&self, cells: &[&str; ROLES.len()], place: (&str, &str)) -> bool {
        self.person.role.is_some_and(|role| names(cells[role], place))
    }

    fn expects_cluster(&self, cells: &[&str; ROLES.len()], cluster: &str) -> bool {
        self.person.role.is_some_and(|role| names_cluster(cells[role], cluster))
    }

    fn compare(&self, by: &str, what: &str, place: &str, got: bool, expected: bool) -> Option<String> {
        let say = |allowed: bool| if allowed { "may" } else { "may not" };
        let email = &self.person.email;
        (got != expected)
            .then(|| format!("{email} {} {what} in {place} by {by}; the table: {}", say(got), say(expected)))
    }

    async fn in_namespaces(&self, cluster: &str, kubectl: &Kubectl) -> Vec<String> {
        let mut wrong = Vec::new();
        let all = lines(NAMESPACED);
        let places: Vec<_> = PLACES.into_iter().filter(|place| place.0 == cluster).collect();
        for place in &places {
            let listed = all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("list ")?, cells)));
            let listed: Vec<_> = listed.collect();
            let resources: Vec<_> = listed.iter().map(|(resource, _)| *resource).collect();
            let refused = list(kubectl, &resources, Some(place.1)).await;
            for (resource, cells) in listed {
                let got = !refused.contains(resource);
                let what = format!("list {resource}");
                wrong.extend(self.compare("kubectl", &what, place.1, got, self.expects(cells, *place)));
            }
        }
        let creates = all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("create ")?, cells)));
        let creates: Vec<_> =
            creates.flat_map(|(resource, cells)| places.iter().map(move |p| (resource, *p, cells))).collect();
        let objects = creates.iter().enumerate().map(|(n, (resource, place, _))| manifest(resource, n, Some(place.1)));
        let made = create(kubectl, objects.collect()).await;
        for (number, (resource, place, cells)) in creates.into_iter().enumerate() {
            let (what, got) = (format!("create {resource}"), made.contains(&number));
            wrong.extend(self.compare("kubectl", &what, place.1, got, self.expects(cells, place)));
        }
        for (what, cells) in all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("may ")?, cells))) {
            for place in &places {
                let got = may(kubectl, what, Some(place.1)).await;
                wrong.extend(self.compare("kubectl auth can-i", what, place.1, got, self.expects(cells, *place)));
            }
        }
        wrong
    }

    async fn in_cluster(&self, cluster: &str, kubectl: &Kubectl) -> Vec<String> {
        let mut wrong = Vec::new();
        let all = lines(CLUSTER_WIDE);
        let listed = all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("list ")?, cells)));
        let listed: Vec<_> = listed.collect();
        let resources: Vec<_> = listed.iter().map(|(resource, _)| *resource).collect();
        let refused = list(kubectl, &resources, None).await;
        for (resource, cells) in listed {
            let (what, got) = (format!("list {resource}"), !refused.contains(resource));
            wrong.extend(self.compare("kubectl", &what, cluster, got, self.expects_cluster(cells, cluster)));
        }
        let creates = all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("create ")?, cells)));
        let creates: Vec<_> = creates.collect();
        let objects = creates.iter().enumerate().map(|(n, (resource, _))| manifest(resource, n, None));
        let made = create(kubectl, objects.collect()).await;
        for (number, (resource, cells)) in creates.into_iter().enumerate() {
            let (what, got) = (format!("create {resource}"), made.contains(&number));
            wrong.extend(self.compare("kubectl", &what, cluster, got, self.expects_cluster(cells, cluster)));
        }
        for (what, cells) in all.iter().filter_map(|(what, cells)| Some((what.strip_prefix("may ")?, cells))) {
            let got = may(kubectl, what, None).await;
            wrong.extend(self.compare("kubectl auth can-i", what, cluster, got, self.expects_cluster(cells, cluster)));
        }
        wrong
    }

    /// Namespaces in which people work.
    async fn guarded(&self, cluster: &str, kubectl: &Kubectl) -> Vec<String> {
        let working = PLACES.into_iter().filter(|(at, namespace)| *at == cluster && namespace.contains('-'));
        let places: Vec<_> = working.collect();
        let mut wrong = Vec::new();
        if places.is_empty() {
            return wrong;
        }
        for (what, cells) in lines(GUARDED) {
            for place in &places {
                let another =
                    if place.1.starts_with("bank") { "cpaas.io/project=shop" } else { "cpaas.io/project=bank" };
                let label = match what {
                    "delete" => None,
                    "take out of its project" => Some("cpaas.io/project-"),
                    "put into another project" => Some(another),
                    "loosen Pod Security" => Some("pod-security.kubernetes.io/enforce=privileged"),
                    "exempt from quota" => Some("cpaas.io/quota-exempt=true"),
                    other => {
                        Some(other.strip_prefix("label ").unwrap_or_else(|| panic!("nobody knows how to {other}")))
                    }
                };
                let dry = "--dry-run=server";
                let outcome = match label {
                    Some(label) => kubectl.run(&["label", "namespace", place.1, dry, "--overwrite", label]).await,
                    None => kubectl.run(&["delete", "namespace", place.1, dry, "--wait=false"]).await,
                };
                let got = allowed(&outcome);
                wrong.extend(self.compare(
                    "kubectl",
                    &format!("{what} the namespace"),
                    place.1,
                    got,
                    self.expects(&cells, *place),
                ));
            }
        }
        wrong
    }

    /// The same at the platform's API, all of a cluster at once.
    async fn asked(&self, cluster: &str) -> Vec<String> {
        let (mut items, mut expected) = (Vec::new(), Vec::new());
        for (what, cells) in lines(NAMESPACED) {
            for place in PLACES.into_iter().filter(|place| place.0 == cluster) {
                items.push(question(what, Some(place.1)));
                expected.push((what, place.1, self.expects(&cells, place)));
            }
        }
        for (what, cells) in lines(CLUSTER_WIDE) {
            items.push(question(what, None));
            expected.push((what, cluster, self.expects_cluster(&cells, cluster)));
        }
        let body = json!({"cluster": self.members.name(cluster), "items": items});
        let answer = self.person.door.post("/auth/v1/rights", body).await.ok();
        let answers = answer["items"].as_array().unwrap();
        assert_eq!(answers.len(), expected.len());
        let compared = answers.iter().zip(expected).filter_map(|(answer, (what, place, expected))| {
            self.compare("/auth/v1/rights", what, place, answer["allowed"].as_bool().unwrap(), expected)
        });
        compared.collect()
    }

    async fn platform(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (what, cells) in lines(PLATFORM) {
            // Who has no role sees nothing, and is told what those are told who may not.
            let expected = match self.person.role {
                Some(role) => cells[role],
                None if what.starts_with("see") => "404",
                None => "403",
            };
            if what == "see the clusters" {
                let expected = self.person.role.map_or("", |role| cells[role]);
                let got = self.clusters().await;
                if got != expected {
                    wrong.push(format!("{} sees the clusters {got:?}; the table: {expected:?}", self.person.email));
                }
                continue;
            }
            let got = self.try_platform(what).await.as_u16().to_string();
            if got != expected {
                wrong.push(format!("{} is answered {got} to {what}; the table: {expected}", self.person.email));
            }
        }
        wrong
    }

    /// Where they may go, by the names of the tables. Of those that registered one, without that.
    async fn clusters(&self) -> String {
        let list = self.person.door.get("/auth/v1/clusters").await.ok();
        let seen: Vec<&str> =
            list["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
        let named = CLUSTERS.into_iter().filter(|cluster| seen.contains(&self.members.name(cluster)));
        named.collect::<Vec<_>>().join(" ")
    }

    async fn try_platform(&self, what: &str) -> StatusCode {
        let door: &Door = &self.person.door;
        let (east, west) = (self.members.name("east"), self.members.name("west"));
        let may_list_secrets = |cluster: &str, namespace: &str| {
            format!("/auth/v1/who-can?cluster={cluster}&verb=list&resource=secrets&namespace={namespace}")
        };
        let give = async |role: &str, scope: &str, constraint: Value| {
            let spec = json!({
                "subjects": [{"kind": "User", "name": "somebody@example.com"}], "roleRef": role, "scope": scope,
                "constraint": constraint,
            });
            let body = json!({"metadata": {"name": "given"}, "spec": spec});
            door.send(Method::POST, "/auth/v2/userbindings?dryRun=All", Some(body)).await
        };
        let in_namespace = |project: &str, cluster: &str, namespace: &str| json!([{"project": project, "cluster": cluster, "namespace": namespace}]);
        let developer = "namespace-developer-system";
        let answer = match what {
            "see project bank" => door.get("/auth/v1/projects/bank").await,
            "see project shop" => door.get("/auth/v1/projects/shop").await,
            "give developer in bank-a" => give(developer, "namespace", in_namespace("bank", east, "bank-a")).await,
            "give developer in shop-a" => give(developer, "namespace", in_namespace("shop", west, "shop-a")).await,
            "give project administrator of bank" => {
                give("project-admin-system", "project", json!([{"project": "bank"}])).await
            }
            "give cluster administrator of east" => {
                give("cluster-admin-system", "cluster", json!([{"cluster": east}])).await
            }
            "give platform auditor" => give("platform-auditor-system", "platform", json!([])).await,
            "ask who may list secrets in bank-a" => door.get(&may_list_secrets(east, "bank-a")).await,
            "ask who may list secrets in shop-a" => door.get(&may_list_secrets(west, "shop-a")).await,
            "list users" => door.get("/auth/v1/users").await,
            "register a cluster" => {
                let name = self.person.email.replace(['@', '.'], "-");
                door.post("/platform/fleet.cpaas.io/v1/registrations", json!({"name": name})).await
            }
            other => panic!("nobody knows how to {other}"),
        };
        answer.status
    }
}

/// One of the questions of `/auth/v1/rights`.
fn question(what: &str, namespace: Option<&str>) -> Value {
    let (verb, resource) = what.trim_start_matches("may ").split_once(' ').unwrap();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let mut item = json!({"verb": verb, "group": group, "resource": resource, "subresource": subresource});
    if let Some(namespace) = namespace {
        item["namespace"] = namespace.into();
    }
    item
}

/// The resources of which the cluster refuses a list.
async fn list(kubectl: &Kubectl, resources: &[&str], namespace: Option<&str>) -> BTreeSet<String> {
    let resources_text = resources.join(",");
    let mut arguments = vec!["get", &resources_text, "-o", "name"];
    arguments.extend(namespace.into_iter().flat_map(|namespace| ["-n", namespace]));
    let outcome = kubectl.run(&arguments).await;
    let refused = outcome.err.lines().filter(|line| !line.contains("No resources found")).map(|line| {
        let said = line.strip_prefix("Error from server (Forbidden): ").and_then(|said| said.split(' ').next());
        said.unwrap_or_else(|| panic!("{arguments:?}: {line}")).to_owned()
    });
    let refused: BTreeSet<String> = refused.collect();
    assert_eq!(outcome.success, refused.is_empty(), "{outcome:?}");
    assert!(refused.iter().all(|one| resources.contains(&one.as_str())), "{refused:?}");
    refused
}

/// Which of the objects the cluster would create.
async fn create(kubectl: &Kubectl, objects: Vec<Value>) -> BTreeSet<usize> {
    let count = objects.len();
    if count == 0 {
        return BTreeSet::new();
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let outcome = kubectl.run_with(&["create", "--dry-run=server", "--validate=false", "-f", "-"], &list).await;
    let number = |line: &str| line.split(['/', ' ']).nth(1)?.strip_prefix("try-")?.parse::<usize>().ok();
    let made = outcome.out.lines().map(|line| number(line).unwrap_or_else(|| panic!("{line}")));
    let made: BTreeSet<usize> = made.collect();
    let refused = outcome.err.lines().filter(|line| line.starts_with("Error from server (Forbidden)")).count();
    assert_eq!((made.len() + refused, outcome.err.lines().count()), (count, refused), "{outcome:?}");
    made
}

async fn may(kubectl: &Kubectl, what: &str, namespace: Option<&str>) -> bool {
    let (verb, resource) = what.split_once(' ').unwrap();
    let mut arguments = vec!["auth", "can-i", verb, resource];
    arguments.extend(namespace.into_iter().flat_map(|namespace| ["-n", namespace]));
    let outcome = kubectl.run(&arguments).await;
    let word = outcome.out.trim();
    assert!(word.starts_with("yes") || word.starts_with("no"), "{outcome:?}");
    word.starts_with("yes")
}

#[track_caller]
fn allowed(outcome: &Outcome) -> bool {
    assert!(outcome.success || outcome.err.contains("(Forbidden)"), "{outcome:?}");
    outcome.success
}

/// An object that gives no right and harms nothing.
fn manifest(resource: &str, number: usize, namespace: Option<&str>) -> Value {
    let (kind, version, rest) = match resource {
        "configmaps" => ("ConfigMap", "v1", json!({})),
        "secrets" => ("Secret", "v1", json!({})),
        "serviceaccounts" => ("ServiceAccount", "v1", json!({})),
        "resourcequotas" => ("ResourceQuota", "v1", json!({"spec": {"hard": {"pods": "1"}}})),
        "limitranges" => {
            let limit = json!({"type": "Container", "default": {"cpu": "1"}});
            ("LimitRange", "v1", json!({"spec": {"limits": [limit]}}))
        }
        "roles.rbac.authorization.k8s.io" => ("Role", "rbac.authorization.k8s.io/v1", json!({"rules": []})),
        "clusterroles.rbac.authorization.k8s.io" => {
            ("ClusterRole", "rbac.authorization.k8s.io/v1", json!({"rules": []}))
        }
        "networkpolicies.networking.k8s.io" => {
            ("NetworkPolicy", "networking.k8s.io/v1", json!({"spec": {"podSelector": {}}}))
        }
        "persistentvolumes" => {
            let spec =
                json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}});
            ("PersistentVolume", "v1", json!({"spec": spec}))
        }
        "deployments.apps" => {
            let labels = json!({"app": "try"});
            let template =
                json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
            ("Deployment", "apps/v1", json!({"spec": {"selector": {"matchLabels": labels}, "template": template}}))
        }
        other => panic!("nobody knows how to create {other}"),
    };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": format!("try-{number}")}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}
