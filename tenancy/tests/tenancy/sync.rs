//! What people write on the hub is so in every cluster.

use std::time::{Duration, Instant};

use apiserver_access::User;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, Patch, PostParams};
use serde_json::json;
use tenancy::Standing;

use crate::support::{api_of, create};
use crate::world::{Reached, World, binding, eventually, project};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// Longer than anybody waits who is about to say something.
const SILENCE: Duration = Duration::from_secs(5);

async fn may(client: &Client, verb: &str, resource: &str, namespace: &str) -> bool {
    let attributes = ResourceAttributes {
        verb: Some(verb.into()),
        resource: Some(resource.into()),
        namespace: Some(namespace.into()),
        ..Default::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
    answer.status.is_some_and(|status| status.allowed)
}

fn person(place: &Reached, name: &str) -> Client {
    place.cluster.server.client(User::new(name, ["system:authenticated", api_types::tenancy::USERS]))
}

async fn namespace(place: &Reached, name: &str, project: &str) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"cpaas.io/project": project}},
    });
    create(&place.admin(), &namespace).await.unwrap();
}

/// Waits until nothing is written any more.
async fn settled(world: &World) {
    eventually("all templates are everywhere", async || {
        let header = json!({"apiVersion": "auth.alauda.io/v1beta1", "kind": "RoleTemplate", "metadata": {}});
        let all = api_of(&world.hub.admin(), &header).list(&Default::default()).await.unwrap().items;
        all.len() == 6 && all.iter().all(|template| template.data["status"]["phase"] == "Synced")
    })
    .await;
}

#[tokio::test]
async fn a_binding_is_in_every_cluster_it_says_and_goes_for_good() {
    let world = World::start(&["eu", "us"]).await;
    world.write(project("shop", &["eu", "us"])).await;
    world
        .write(binding("pam", "pam@example.org", "project-admin-system", "project", json!([{"project": "shop"}])))
        .await;
    world.write(binding("aud", "aud@example.org", "platform-auditor-system", "platform", json!([]))).await;
    for binding in ["pam", "aud"] {
        eventually("the binding is told to be everywhere", async || {
            world.phase("UserBinding", binding).await == "Synced"
        })
        .await;
    }
    settled(&world).await;
    for place in world.all() {
        place.aggregate().await;
        eventually("the auditor sees all", async || {
            may(&person(place, "aud@example.org"), "list", "pods", "default").await
        })
        .await;
    }
    let eu = world.member("eu");
    namespace(eu, "shop-a", "shop").await;
    eventually("the project's administrator is in its namespaces", async || {
        may(&person(eu, "pam@example.org"), "list", "pods", "shop-a").await
    })
    .await;
    assert!(!may(&person(eu, "pam@example.org"), "list", "pods", "default").await);
    let status = world.status("UserBinding", "aud").await;
    assert_eq!(status["syncedClusters"], json!(["eu", "us", "global"]), "{status}");
    assert_eq!(status["bindingsCreated"], json!({"clusterRoleBindings": 3, "roleBindings": 0}), "{status}");

    // Out of the project, and in again.
    let label = |project| json!({"metadata": {"labels": {"cpaas.io/project": project}}});
    let header = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {}});
    let namespaces = api_of(&eu.admin(), &header);
    for (project, is_in) in [(None, false), (Some("shop"), true)] {
        namespaces.patch("shop-a", &Default::default(), &Patch::Merge(label(project))).await.unwrap();
        eventually("the rights follow the label", async || {
            may(&person(eu, "pam@example.org"), "list", "pods", "shop-a").await == is_in
        })
        .await;
    }

    for name in ["pam", "aud"] {
        world.remove("UserBinding", name).await;
    }
    for place in world.all() {
        eventually("nothing is left", async || place.bindings().await.is_empty()).await;
        assert!(!may(&person(place, "aud@example.org"), "list", "pods", "default").await);
    }
}

#[tokio::test]
async fn case_41_a_binding_that_was_removed_while_a_cluster_was_away_does_not_come_back() {
    let mut world = World::start(&["eu", "us"]).await;
    for name in ["a", "b"] {
        world.write(binding(name, "ann@example.org", "platform-auditor-system", "platform", json!([]))).await;
        eventually("it is everywhere", async || world.phase("UserBinding", name).await == "Synced").await;
    }
    settled(&world).await;
    let eu = world.member("eu").clone();
    eu.cut();
    world.remove("UserBinding", "a").await;
    world.write(binding("c", "cem@example.org", "platform-auditor-system", "platform", json!([]))).await;
    // The others do not wait.
    let us = world.member("us").clone();
    eventually("the others are as wanted", async || us.bindings().await == ["/cpaas:b:cluster", "/cpaas:c:cluster"])
        .await;
    eventually("it is told who is away", async || {
        world.status("UserBinding", "c").await["failedClusters"] == json!(["eu"])
    })
    .await;
    assert_eq!(eu.bindings().await, ["/cpaas:a:cluster", "/cpaas:b:cluster"]);
    eu.take_writes();
    eu.mend();
    world.tenancy.wake(&"eu".parse().unwrap());
    eventually("it is caught up", async || eu.bindings().await == ["/cpaas:b:cluster", "/cpaas:c:cluster"]).await;
    eventually("that is told", async || world.phase("UserBinding", "c").await == "Synced").await;
    let mut writes = eu.take_writes();
    writes.sort();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert!(writes[0].starts_with("DELETE ") && writes[0].contains("cpaas%3Aa%3Acluster"), "{writes:?}");

    // Another hub finds all as wanted, and writes nothing.
    for place in world.all() {
        place.take_writes();
    }
    world.restart().await;
    world.write(binding("d", "dan@example.org", "cluster-admin-system", "cluster", json!([{"cluster": "us"}]))).await;
    eventually("the new hub works", async || world.phase("UserBinding", "d").await == "Synced").await;
    assert_eq!(eu.take_writes(), [""; 0]);
    let writes = us.take_writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    let to_hub = world.hub.take_writes();
    assert!(to_hub.iter().all(|write| write.contains("/userbindings/d/status")), "{to_hub:?}");
}

#[tokio::test]
async fn hubs_beside_each_other_do_not_talk_for_ever_whatever_they_see() {
    let world = World::start(&["eu", "us"]).await;
    world.write(project("shop", &["eu", "us"])).await;
    let auditor = |name: &str| binding(name, "aud@example.org", "platform-auditor-system", "platform", json!([]));
    world.write(auditor("a")).await;
    eventually("it is everywhere", async || {
        world.phase("UserBinding", "a").await == "Synced" && world.phase("Project", "shop").await == "Active"
    })
    .await;
    settled(&world).await;
    world.hub.take_writes();
    // One that sees the same, and one that has no way to a member.
    let (_same, _one) = world.beside(&[]);
    let (_less, other) = world.beside(&["eu"]);
    let (us, eu) = ("us".parse().unwrap(), "eu".parse().unwrap());
    eventually("it knows what it can", async || {
        let reached = other.mirror().policy(&us).is_some_and(|known| known.standing == Standing::Current);
        let known = other.mirror().policy(&eu);
        reached
            && known
                .is_some_and(|known| matches!(known.standing, Standing::Unknown(why) if !why.contains("being read")))
    })
    .await;
    world.write(auditor("b")).await;
    // Whoever reaches all has the last word, and then nobody has anything more to say.
    let (mut told, mut last) = (0, Instant::now());
    eventually("nothing more is told", async || {
        let writes = world.hub.take_writes().iter().filter(|write| write.contains("/status")).count();
        if writes > 0 {
            (told, last) = (told + writes, Instant::now());
        }
        told > 0 && last.elapsed() > SILENCE
    })
    .await;
    for (kind, name, phase) in
        [("UserBinding", "a", "Synced"), ("UserBinding", "b", "Synced"), ("Project", "shop", "Active")]
    {
        assert_eq!(world.phase(kind, name).await, phase, "{name}");
    }
    settled(&world).await;
}

#[tokio::test]
async fn what_somebody_changed_is_put_right() {
    let world = World::start(&["eu"]).await;
    world.write(project("shop", &["eu"])).await;
    world
        .write(binding("pam", "pam@example.org", "project-admin-system", "project", json!([{"project": "shop"}])))
        .await;
    eventually("it is there", async || world.phase("UserBinding", "pam").await == "Synced").await;
    let eu = world.member("eu");
    let header = json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"namespace": "shop"}});
    let bindings = api_of(&eu.admin(), &header);
    let name = "cpaas:pam:project-ns";
    let eve =
        json!({"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve@example.org"}]});
    bindings.patch(name, &Default::default(), &Patch::Merge(eve)).await.unwrap();
    eventually("the binding is put right", async || {
        bindings.get(name).await.is_ok_and(|binding| binding.data["subjects"][0]["name"] == "pam@example.org")
    })
    .await;
    bindings.delete(name, &Default::default()).await.unwrap();
    eventually("the binding is there again", async || bindings.get_opt(name).await.unwrap().is_some()).await;
    let header =
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {}});
    let policies = api_of(&eu.admin(), &header);
    policies.delete("cpaas-namespaces", &Default::default()).await.unwrap();
    eventually("the policy is there again", async || policies.get_opt("cpaas-namespaces").await.unwrap().is_some())
        .await;
}

#[tokio::test]
async fn a_project_comes_and_leaves() {
    let world = World::start(&["eu", "us"]).await;
    world.write(project("shop", &["eu", "us"])).await;
    eventually("it is everywhere", async || world.phase("Project", "shop").await == "Active").await;
    let (eu, us) = (world.member("eu"), world.member("us"));
    for place in [eu, us] {
        assert!(place.get("v1", "Namespace", None, "shop").await.is_some());
        let quota = place.get("auth.alauda.io/v1", "ProjectQuota", None, "shop").await.unwrap();
        assert_eq!(quota.data["spec"]["hard"]["pods"], "10");
    }
    assert!(world.hub.get("v1", "Namespace", None, "shop").await.is_some());
    namespace(us, "shop-a", "shop").await;
    // Out of one cluster: what runs there stays, and is nobody's.
    let only_eu = json!({"spec": {"clusters": [{"name": "eu", "quota": {"pods": "20"}}]}});
    world.patch("Project", "shop", only_eu).await;
    eventually("it has left", async || {
        world.status("Project", "shop").await["clusters"] == json!(["eu"])
            && world.phase("Project", "shop").await == "Active"
    })
    .await;
    for name in ["shop", "shop-a"] {
        let namespace = us.get("v1", "Namespace", None, name).await.unwrap();
        assert!(!namespace.metadata.labels.unwrap_or_default().contains_key("cpaas.io/project"), "{name}");
    }
    assert!(us.get("auth.alauda.io/v1", "ProjectQuota", None, "shop").await.is_none());
    eventually("the quota is the new one", async || {
        let quota = eu.get("auth.alauda.io/v1", "ProjectQuota", None, "shop").await.unwrap();
        quota.data["spec"]["hard"]["pods"] == "20"
    })
    .await;
    // It waits for a cluster that is away.
    eu.cut();
    eventually("it is told who is away", async || world.phase("Project", "shop").await == "Degraded").await;
    world.remove("Project", "shop").await;
    eventually("it is leaving", async || world.status("Project", "shop").await["clusters"] == json!(["eu"])).await;
    eu.mend();
    world.tenancy.wake(&"eu".parse().unwrap());
    eventually("it is gone", async || world.hub.get("auth.alauda.io/v1", "Project", None, "shop").await.is_none())
        .await;
    let left = eu.get("v1", "Namespace", None, "shop").await.unwrap();
    assert!(!left.metadata.labels.unwrap_or_default().contains_key("cpaas.io/project"));
}

#[tokio::test]
async fn a_hub_that_does_not_see_its_own_lists_takes_nothing_away() {
    let mut world = World::start(&["eu"]).await;
    world.write(binding("a", "ann@example.org", "platform-auditor-system", "platform", json!([]))).await;
    eventually("it is everywhere", async || world.phase("UserBinding", "a").await == "Synced").await;
    settled(&world).await;
    let eu = world.member("eu").clone();
    eu.take_writes();
    world.hub.cut();
    let (hub, cluster) = ("global".parse().unwrap(), "eu".parse().unwrap());
    eventually("the hub is known to be away", async || {
        world.tenancy.mirror().policy(&hub).is_some_and(|known| known.standing != Standing::Current)
    })
    .await;
    let header = json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {}});
    let bindings = api_of(&eu.admin(), &header);
    bindings.patch("cpaas:a:cluster", &Default::default(), &Patch::Merge(json!({"subjects": []}))).await.unwrap();
    eventually("the change is seen", async || {
        let known = world.tenancy.mirror().policy(&cluster).unwrap();
        known.policy.binding("", "cpaas:a:cluster").is_some_and(|one| one.subjects.is_empty())
    })
    .await;
    // Even one that begins so.
    world.restart().await;
    assert_eq!(eu.take_writes(), [""; 0]);
    world.hub.mend();
    eventually("it is put right", async || {
        bindings
            .get("cpaas:a:cluster")
            .await
            .is_ok_and(|binding| binding.data["subjects"][0]["name"] == "ann@example.org")
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_is_removed_keeps_what_it_has_and_is_forgotten() {
    let world = World::start(&["eu", "us"]).await;
    world.write(binding("a", "ann@example.org", "platform-auditor-system", "platform", json!([]))).await;
    eventually("it is everywhere", async || world.phase("UserBinding", "a").await == "Synced").await;
    let header =
        json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata": {"namespace": "cpaas-system"}});
    let clusters = api_of(&world.hub.admin(), &header);
    let confirmed = Patch::Merge(json!({"metadata": {"annotations": {"fleet.cpaas.io/confirm-removal": "us"}}}));
    clusters.patch("us", &Default::default(), &confirmed).await.unwrap();
    clusters.delete("us", &Default::default()).await.unwrap();
    eventually("it is not told of any more", async || {
        world.status("UserBinding", "a").await["syncedClusters"] == json!(["eu", "global"])
    })
    .await;
    assert!(world.tenancy.mirror().policy(&"us".parse().unwrap()).is_none());
    assert_eq!(world.member("us").bindings().await, ["/cpaas:a:cluster"]);
}

const RATIO: &str = "resource.alauda.io/v1";

async fn set_ratio(world: &World, cluster: &str, ratio: serde_json::Value) {
    let header =
        json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata": {"namespace": "cpaas-system"}});
    let patch = json!({"spec": {"properties": {"oversoldRatio": ratio}}});
    api_of(&world.hub.admin(), &header).patch(cluster, &Default::default(), &Patch::Merge(patch)).await.unwrap();
}

async fn ratio(place: &Reached) -> Option<serde_json::Value> {
    let found = place.get(RATIO, "NamespaceResourceRatio", Some("cpaas-system"), "cluster").await;
    found.map(|found| found.data["spec"].clone())
}

/// Waits until this is told of whether the member has its ratio.
async fn told_of_eu(world: &World, holds: impl Fn(Option<&Result<(), String>>) -> bool) -> Option<Result<(), String>> {
    let mut told = world.tenancy.ratios();
    let told = tokio::time::timeout(crate::world::SOON, told.wait_for(|told| holds(told.get("eu")))).await;
    told.unwrap().unwrap().get("eu").cloned()
}

fn ratio_of(namespace: &str, name: &str, spec: serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": RATIO, "kind": "NamespaceResourceRatio",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

#[tokio::test]
async fn the_ratio_of_a_cluster_is_handed_down_and_put_right() {
    let world = World::start(&["eu", "us"]).await;
    world.write(crate::world::cluster("global")).await;
    let (eu, us) = (world.member("eu"), world.member("us"));
    set_ratio(&world, "eu", json!({"cpu": "2", "memory": "1.5"})).await;
    set_ratio(&world, "global", json!({"memory": "4"})).await;
    eventually("the member has it", async || ratio(eu).await == Some(json!({"cpu": 2, "memory": 1.5}))).await;
    eventually("the hub has its own", async || ratio(&world.hub).await == Some(json!({"memory": 4}))).await;
    settled(&world).await;
    assert_eq!(ratio(us).await, None);
    // One of a namespace is no concern of the hub's, whatever it is called.
    let own = ratio_of("default", "cluster", json!({"cpu": 9}));
    create(&eu.admin(), &own).await.unwrap();
    // Somebody changes it, adds to it, takes the label away, or all of it.
    let ratios = api_of(&eu.admin(), &ratio_of("cpaas-system", "", json!({})));
    for patch in [
        json!({"spec": {"cpu": 7}}),
        json!({"spec": {"memory": null}}),
        json!({"metadata": {"labels": {"auth.cpaas.io/managed": null}}}),
    ] {
        let before = ratios.get("cluster").await.unwrap();
        let changed = ratios.patch("cluster", &Default::default(), &Patch::Merge(patch)).await.unwrap();
        assert_ne!(before.metadata.resource_version, changed.metadata.resource_version);
        eventually("it is put right", async || {
            let there = ratios.get("cluster").await.unwrap();
            let marked = there.metadata.labels.clone().unwrap_or_default().contains_key("auth.cpaas.io/managed");
            marked && there.data["spec"] == json!({"cpu": 2, "memory": 1.5})
        })
        .await;
    }
    ratios.delete("cluster", &Default::default()).await.unwrap();
    eventually("it is there again", async || ratio(eu).await.is_some()).await;
    // Less, and then nothing.
    set_ratio(&world, "eu", json!({"memory": null})).await;
    eventually("only CPU is left", async || ratio(eu).await == Some(json!({"cpu": 2}))).await;
    set_ratio(&world, "eu", json!(null)).await;
    eventually("it is gone", async || ratio(eu).await.is_none()).await;
    assert_eq!(api_of(&eu.admin(), &own).get("cluster").await.unwrap().data["spec"], json!({"cpu": 9}));
    assert_eq!(ratio(&world.hub).await, Some(json!({"memory": 4})));
}

#[tokio::test]
async fn a_ratio_that_somebody_wrote_in_the_cluster_is_theirs() {
    let world = World::start(&["eu"]).await;
    let eu = world.member("eu");
    settled(&world).await;
    let theirs = ratio_of("cpaas-system", "cluster", json!({"cpu": 3}));
    create(&eu.admin(), &theirs).await.unwrap();
    eu.take_writes();
    set_ratio(&world, "eu", json!({"cpu": "2"})).await;
    world.write(binding("a", "ann@example.org", "platform-auditor-system", "platform", json!([]))).await;
    eventually("what was said later is done", async || world.phase("UserBinding", "a").await == "Synced").await;
    let written = eu.take_writes();
    assert!(!written.is_empty() && !written.iter().any(|write| write.contains("ratios")), "{written:?}");
    assert_eq!(ratio(eu).await, Some(json!({"cpu": 3})));
    let why = told_of_eu(&world, |has| has.is_some_and(Result::is_err)).await.unwrap().unwrap_err();
    assert!(why.contains("cpaas-system/cluster") && why.contains("auth.cpaas.io/managed=true"), "{why}");
    // Without it there is the hub's; with the label it becomes the hub's.
    let ratios = api_of(&eu.admin(), &theirs);
    ratios.delete("cluster", &Default::default()).await.unwrap();
    eventually("the hub's takes its place", async || ratio(eu).await == Some(json!({"cpu": 2}))).await;
    told_of_eu(&world, |has| has == Some(&Ok(()))).await;
    set_ratio(&world, "eu", json!(null)).await;
    eventually("it is gone", async || ratio(eu).await.is_none()).await;
    told_of_eu(&world, |has| has.is_none()).await;
    create(&eu.admin(), &theirs).await.unwrap();
    set_ratio(&world, "eu", json!({"cpu": "2"})).await;
    let label = json!({"metadata": {"labels": {"auth.cpaas.io/managed": "true"}}});
    ratios.patch("cluster", &Default::default(), &Patch::Merge(label)).await.unwrap();
    eventually("it was handed over", async || ratio(eu).await == Some(json!({"cpu": 2}))).await;
}

#[tokio::test]
async fn a_member_that_knows_no_right_to_its_ratio_has_all_else() {
    let world = World::start(&["eu"]).await;
    let eu = world.member("eu");
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(eu.admin());
    let mut role = roles.get(tenancy::guard::TENANCY_USER).await.unwrap();
    role.rules.as_mut().unwrap().retain(|rule| rule.api_groups != Some(vec!["resource.alauda.io".to_owned()]));
    role.metadata.managed_fields = None;
    roles.replace(tenancy::guard::TENANCY_USER, &Default::default(), &role).await.unwrap();
    set_ratio(&world, "eu", json!({"cpu": "2"})).await;
    world.write(binding("a", "ann@example.org", "platform-auditor-system", "platform", json!([]))).await;
    eventually("it is everywhere", async || world.phase("UserBinding", "a").await == "Synced").await;
    assert_eq!(ratio(eu).await, None);
    let refused = |has: &Result<(), String>| has.as_ref().is_err_and(|why| why.contains("403"));
    told_of_eu(&world, |has| has.is_some_and(refused)).await;
    // The manifest is applied again.
    for object in tenancy::guard::identity(false) {
        crate::support::apply(&eu.admin(), &object).await.unwrap();
    }
    eventually("now it has it", async || ratio(eu).await == Some(json!({"cpu": 2}))).await;
    told_of_eu(&world, |has| has == Some(&Ok(()))).await;
}
