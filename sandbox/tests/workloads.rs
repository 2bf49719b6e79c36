//! Workloads become what they should on simulated nodes.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::Job,
    core::v1::{
        Endpoints, Event, Namespace, Node, PersistentVolumeClaim, Pod, ReplicationController, Service, ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use sandbox::{Clock, SandboxConfig};
use serde_json::{Value, json};
use support::{eventually, gone, start, start_with, template, until};

fn selector() -> serde_json::Value {
    json!({"matchLabels": {"app": "demo"}})
}

fn pod_runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_rolls_out_scales_restarts_rolls_back_and_goes() {
    let cluster = start().await;
    let api = cluster.api::<Deployment>();
    let spec = json!({"replicas": 2, "selector": selector(), "template": template(json!({}))});
    cluster.create::<Deployment>(json!({"metadata": {"name": "d"}, "spec": spec})).await;
    let done = |replicas: i32, generation: i64| {
        move |d: &Deployment| {
            let status = d.status.clone().unwrap_or_default();
            status.replicas == Some(replicas)
                && status.updated_replicas == Some(replicas)
                && status.available_replicas == Some(replicas)
                && status.observed_generation == Some(generation)
        }
    };
    let seen = eventually(&api, "d", done(2, 1)).await;
    assert_eq!(seen.annotations()["deployment.kubernetes.io/revision"], "1");
    assert_eq!(seen.metadata.generation, Some(1));
    eventually(&api, "d", |d| {
        let conditions = d.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"))
    })
    .await;

    api.patch("d", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    eventually(&api, "d", done(3, 2)).await;
    let restart = |value: serde_json::Value| {
        Patch::Merge(json!({"spec": {"template": {"metadata": {"annotations": {"x": value}}}}}))
    };
    api.patch("d", &PatchParams::default(), &restart(json!("y"))).await.unwrap();
    eventually(&api, "d", |d| d.annotations()["deployment.kubernetes.io/revision"] == "2" && done(3, 3)(d)).await;
    api.patch("d", &PatchParams::default(), &restart(json!(null))).await.unwrap();
    eventually(&api, "d", |d| d.annotations()["deployment.kubernetes.io/revision"] == "3" && done(3, 4)(d)).await;
    let sets: Vec<ReplicaSet> = cluster.list("app=demo").await;
    let mut revisions: Vec<_> = sets
        .iter()
        .map(|set| {
            let note = |key: &str| set.annotations().get(key).cloned().unwrap_or_default();
            (note("deployment.kubernetes.io/revision"), note("deployment.kubernetes.io/revision-history"))
        })
        .collect();
    revisions.sort();
    assert_eq!(revisions, [("2".to_owned(), String::new()), ("3".to_owned(), "1".to_owned())]);

    api.delete("d", &DeleteParams::background()).await.unwrap();
    until("sets and pods follow", || async {
        cluster.list::<ReplicaSet>("app=demo").await.is_empty() && cluster.list::<Pod>("app=demo").await.is_empty()
    })
    .await;
    let events: Vec<Event> = cluster.list("").await;
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("ScalingReplicaSet")));
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("Scheduled")));
    cluster.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_adopts_and_releases() {
    let cluster = start().await;
    let orphan =
        json!({"metadata": {"name": "orphan", "labels": {"app": "demo"}}, "spec": template(json!({}))["spec"]});
    cluster.create::<Pod>(orphan).await;
    let pods = cluster.api::<Pod>();
    // Controllers hear of each kind by itself: a set that is heard of before the pod would make two of its own, and
    // then have one too many. A pod that was scheduled was heard of.
    eventually(&pods, "orphan", pod_runs).await;
    let spec = json!({"replicas": 2, "selector": selector(), "template": template(json!({}))});
    cluster.create::<ReplicaSet>(json!({"metadata": {"name": "r"}, "spec": spec})).await;
    eventually(&pods, "orphan", |pod| !pod.owner_references().is_empty()).await;
    let sets = cluster.api::<ReplicaSet>();
    let ready = |set: &ReplicaSet| set.status.as_ref().is_some_and(|status| status.available_replicas == Some(2));
    let set = eventually(&sets, "r", ready).await;
    assert_eq!(
        serde_json::to_value(set.status).unwrap(),
        json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1})
    );
    let other = Patch::Merge(json!({"metadata": {"labels": {"app": "other"}}}));
    pods.patch("orphan", &PatchParams::default(), &other).await.unwrap();
    eventually(&pods, "orphan", |pod| pod.owner_references().is_empty()).await;
    until("it is replaced", || async { cluster.list::<Pod>("app=demo").await.len() == 2 }).await;
    sets.patch("r", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 0}}))).await.unwrap();
    until("none are left", || async { cluster.list::<Pod>("app=demo").await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_controller_keeps_its_number() {
    let cluster = start().await;
    let spec = json!({"replicas": 2, "selector": {"app": "demo"}, "template": template(json!({}))});
    cluster.create::<ReplicationController>(json!({"metadata": {"name": "rc"}, "spec": spec})).await;
    let controllers = cluster.api::<ReplicationController>();
    let ready = |rc: &ReplicationController| rc.status.as_ref().is_some_and(|s| s.available_replicas == Some(2));
    eventually(&controllers, "rc", ready).await;
    controllers.delete("rc", &DeleteParams::background()).await.unwrap();
    until("its pods follow", || async { cluster.list::<Pod>("app=demo").await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_comes_in_order_and_keeps_its_names() {
    let cluster = start().await;
    let spec = json!({"replicas": 3, "serviceName": "db", "selector": selector(), "template": template(json!({}))});
    cluster.create::<StatefulSet>(json!({"metadata": {"name": "db"}, "spec": spec})).await;
    let sets = cluster.api::<StatefulSet>();
    eventually(&sets, "db", |set| set.status.as_ref().is_some_and(|status| status.ready_replicas == Some(3))).await;
    let mut pods: Vec<Pod> = cluster.list("app=demo").await;
    pods.sort_by_key(ResourceExt::creation_timestamp);
    let mut names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
    names.sort();
    assert_eq!(names, ["db-0", "db-1", "db-2"]);
    let image = Patch::Strategic(
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.example/app:2"}]}}}}),
    );
    sets.patch("db", &PatchParams::default(), &image).await.unwrap();
    eventually(&sets, "db", |set| {
        let status = set.status.clone().unwrap_or_default();
        status.observed_generation == Some(2)
            && status.updated_replicas == Some(3)
            && status.ready_replicas == Some(3)
            && status.current_revision == status.update_revision
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_with_the_pods_or_the_set_that_take_them_along() {
    let config = SandboxConfig { nodes: 1, default_storage: true, ..SandboxConfig::default() };
    let cluster = start_with(config, None).await;
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({"replicas": 2, "serviceName": "db", "selector": selector(), "template": template(json!({})),
        "volumeClaimTemplates": [claim],
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"}});
    cluster.create::<StatefulSet>(json!({"metadata": {"name": "db"}, "spec": spec})).await;
    let (sets, claims) = (cluster.api::<StatefulSet>(), cluster.api::<PersistentVolumeClaim>());
    let ready = |n: i32| move |set: &StatefulSet| set.status.as_ref().is_some_and(|s| s.ready_replicas == Some(n));
    eventually(&sets, "db", ready(2)).await;
    let owner = |claim: &PersistentVolumeClaim| claim.owner_references().first().map(|owner| owner.kind.clone());
    let owned = |claim: &PersistentVolumeClaim| owner(claim).as_deref() == Some("StatefulSet");
    eventually(&claims, "data-db-1", owned).await;
    let scale = |n: i32| Patch::Merge(json!({"spec": {"replicas": n}}));
    sets.patch("db", &PatchParams::default(), &scale(1)).await.unwrap();
    gone(&claims, "data-db-1").await;
    sets.patch("db", &PatchParams::default(), &scale(2)).await.unwrap();
    eventually(&sets, "db", ready(2)).await;
    // A pod may be ready before its claim, which others write to as well, has its owner.
    for name in ["data-db-0", "data-db-1"] {
        eventually(&claims, name, owned).await;
    }
    sets.delete("db", &DeleteParams::background()).await.unwrap();
    for name in ["data-db-0", "data-db-1"] {
        gone(&claims, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_runs_on_every_node() {
    let cluster = start().await;
    let spec = json!({"selector": selector(), "template": template(json!({}))});
    cluster.create::<DaemonSet>(json!({"metadata": {"name": "d"}, "spec": spec})).await;
    let sets = cluster.api::<DaemonSet>();
    eventually(&sets, "d", |set| {
        set.status.as_ref().is_some_and(|s| s.number_ready == 2 && s.desired_number_scheduled == 2)
    })
    .await;
    let nodes: std::collections::BTreeSet<_> =
        cluster.list::<Pod>("app=demo").await.into_iter().filter_map(|pod| pod.spec?.node_name).collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["node-1", "node-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_with_surge_is_replaced() {
    let cluster = start().await;
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let spec = json!({"selector": selector(), "template": template(json!({})), "updateStrategy": strategy});
    cluster.create::<DaemonSet>(json!({"metadata": {"name": "d"}, "spec": spec})).await;
    let sets = cluster.api::<DaemonSet>();
    eventually(&sets, "d", |set| set.status.as_ref().is_some_and(|s| s.number_available == Some(2))).await;
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.example/app:2"}]}}}});
    sets.patch("d", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
    eventually(&sets, "d", |set| {
        let status = set.status.clone().unwrap_or_default();
        status.observed_generation == Some(2)
            && (status.updated_number_scheduled, status.number_available) == (Some(2), Some(2))
    })
    .await;
    until("old pods are gone", || async { cluster.list::<Pod>("app=demo").await.len() == 2 }).await;
    // What is no template makes a generation of the set, not of its template.
    let patch = Patch::Merge(json!({"spec": {"revisionHistoryLimit": 3}}));
    sets.patch("d", &PatchParams::default(), &patch).await.unwrap();
    eventually(&sets, "d", |set| set.status.as_ref().and_then(|status| status.observed_generation) == Some(3)).await;
    cluster.api::<Pod>().delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    until("the pods are made again", || async {
        let pods = cluster.list::<Pod>("app=demo,pod-template-generation=2").await;
        pods.len() == 2 && pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_none())
    })
    .await;
}

fn has(kind: &str) -> impl Fn(&Job) -> bool {
    move |job| {
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_completes_and_a_failing_one_fails() {
    let cluster = start().await;
    let job = |name: &str, script: &str| {
        json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "completions": 2, "parallelism": 2, "template":
            {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a", "command": ["sh", "-c", script]}]}}}})
    };
    cluster.create::<Job>(job("good", "echo done")).await;
    cluster.create::<Job>(job("bad", "exit 1")).await;
    let jobs = cluster.api::<Job>();
    let good = eventually(&jobs, "good", has("Complete")).await.status.unwrap();
    assert_eq!((good.succeeded, good.active), (Some(2), None));
    let bad = eventually(&jobs, "bad", has("Failed")).await.status.unwrap();
    assert!(bad.failed > Some(0));
    let pods = cluster.list::<Pod>("").await;
    assert!(pods.iter().all(|pod| pod.finalizers().is_empty()), "a pod that was counted is let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_indexed_job_tries_each_index_within_its_limit() {
    let clock = Clock::accelerated(60);
    let cluster = start_with(SandboxConfig { nodes: 1, clock, ..SandboxConfig::default() }, None).await;
    let job = json!({"metadata": {"name": "j"}, "spec": {"completionMode": "Indexed", "completions": 3,
        "parallelism": 3, "backoffLimitPerIndex": 1, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "a",
            "command": ["false"]}]}}}});
    cluster.create::<Job>(job).await;
    let status = eventually(&cluster.api::<Job>(), "j", has("Failed")).await.status.unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.failed_indexes.as_deref()), (None, Some("0-2")));
    assert_eq!((status.succeeded, status.failed), (None, Some(6)), "each is tried twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_index_of_a_job_does_its_own_part() {
    let cluster = start().await;
    let script = "echo part $JOB_COMPLETION_INDEX; [ $JOB_COMPLETION_INDEX = 1 ] && exit 3; echo well";
    let job = json!({"metadata": {"name": "j"}, "spec": {"completionMode": "Indexed", "completions": 3,
        "parallelism": 3, "backoffLimitPerIndex": 0, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "a", "command": ["sh", "-c", script]}]}}}});
    cluster.create::<Job>(job).await;
    let status = eventually(&cluster.api::<Job>(), "j", has("Failed")).await.status.unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.failed_indexes.as_deref()), (Some("0,2"), Some("1")));
    for pod in cluster.list::<Pod>("").await {
        let index = &pod.labels()["batch.kubernetes.io/job-completion-index"];
        let log = cluster.api::<Pod>().logs(&pod.name_any(), &LogParams::default()).await.unwrap();
        let told: Vec<&str> = log.lines().skip(1).collect();
        let part = format!("part {index}");
        assert_eq!(told, if index == "1" { vec![part.as_str()] } else { vec![part.as_str(), "well"] });
        let state = pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].state.as_ref().unwrap();
        assert_eq!(state.terminated.as_ref().unwrap().exit_code, if index == "1" { 3 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_deleted_job_go_though_nobody_counts_them() {
    let cluster = start().await;
    let pods = json!({"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "a"}]}});
    for (name, how) in [("b", DeleteParams::background()), ("f", DeleteParams::foreground())] {
        cluster.create::<Job>(json!({"metadata": {"name": name}, "spec": {"template": pods}})).await;
        let jobs = cluster.api::<Job>();
        let at_work = |job: &Job| job.status.as_ref().is_some_and(|status| status.ready == Some(1));
        eventually(&jobs, name, at_work).await;
        jobs.delete(name, &how).await.unwrap();
        gone(&jobs, name).await;
        until("its pods follow", || async { cluster.list::<Pod>("").await.is_empty() }).await;
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), "n");
    let job = serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": {"template": pods}})).unwrap();
    eventually(&Api::<ServiceAccount>::namespaced(cluster.client.clone(), "n"), "default", |_| true).await;
    jobs.create(&PostParams::default(), &job).await.unwrap();
    eventually(&jobs, "j", |job| job.status.as_ref().is_some_and(|status| status.active == Some(1))).await;
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    gone(&namespaces, "n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_that_a_job_leaves_behind_are_let_go_though_another_has_its_name() {
    let cluster = start().await;
    let pods = json!({"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "a"}]}});
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": pods}});
    let (jobs, all) = (cluster.api::<Job>(), cluster.api::<Pod>());
    let at_work = |job: &Job| job.status.as_ref().is_some_and(|status| status.ready == Some(1));
    cluster.create::<Job>(job.clone()).await;
    eventually(&jobs, "j", at_work).await;
    let left = cluster.list::<Pod>("").await.remove(0).name_any();
    jobs.delete("j", &DeleteParams::orphan()).await.unwrap();
    gone(&jobs, "j").await;
    cluster.create::<Job>(job).await;
    eventually(&jobs, "j", at_work).await;
    eventually(&all, &left, |pod| pod.finalizers().is_empty() && pod.owner_references().is_empty()).await;
    let own = cluster.list::<Pod>("").await.into_iter().find(|pod| pod.name_any() != left).unwrap();
    assert_eq!(own.finalizers(), ["batch.kubernetes.io/job-tracking"], "the other Job's are not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_pass_in_seconds() {
    let clock = Clock::accelerated(3600);
    let cluster = start_with(SandboxConfig { nodes: 1, clock, ..SandboxConfig::default() }, None).await;
    let job = |name: &str, seconds: u32, deadline: u32| {
        json!({"metadata": {"name": name}, "spec": {"activeDeadlineSeconds": deadline, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "a", "command": ["sleep", seconds.to_string()]}]}}}})
    };
    let began = std::time::Instant::now();
    cluster.create::<Job>(job("long", 3600, 7200)).await;
    cluster.create::<Job>(job("late", 3600, 1200)).await;
    let jobs = cluster.api::<Job>();
    let long = eventually(&jobs, "long", has("Complete")).await.status.unwrap();
    let took = long.completion_time.unwrap().0.duration_since(long.start_time.unwrap().0);
    assert!(took.as_secs() >= 3600 && u128::try_from(took.as_millis()).unwrap() > began.elapsed().as_millis());
    eventually(&jobs, "late", has("Failed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_have_endpoints() {
    let cluster = start().await;
    cluster
        .create::<Service>(json!({"metadata": {"name": "s", "labels": {"svc": "1"}},
        "spec": {"selector": {"app": "demo"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}}))
        .await;
    cluster
        .create::<Pod>(
            json!({"metadata": {"name": "p", "labels": {"app": "demo"}}, "spec": template(json!({}))["spec"]}),
        )
        .await;
    until("the slice has a ready address", || async {
        let slices: Vec<EndpointSlice> = cluster.list("kubernetes.io/service-name=s").await;
        slices
            .iter()
            .flat_map(|slice| &slice.endpoints)
            .any(|e| e.conditions.as_ref().is_some_and(|c| c.ready == Some(true)))
    })
    .await;
    let endpoints = cluster.api::<Endpoints>();
    eventually(&endpoints, "s", |e| e.subsets.iter().flatten().any(|subset| subset.addresses.is_some())).await;
    cluster.api::<Service>().delete("s", &DeleteParams::default()).await.unwrap();
    gone(&endpoints, "s").await;
    until("slices follow", || async { cluster.list::<EndpointSlice>("kubernetes.io/service-name=s").await.is_empty() })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_run_and_leave_and_wait_for_a_node() {
    let cluster = start().await;
    let pods = cluster.api::<Pod>();
    let mut spec = template(json!({}))["spec"].clone();
    spec["terminationGracePeriodSeconds"] = json!(1);
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let running = eventually(&pods, "p", pod_runs).await;
    assert!(running.status.unwrap().pod_ip.unwrap().starts_with("10.244."));
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    gone(&pods, "p").await;

    spec["nodeSelector"] = json!({"no": "node"});
    cluster.create::<Pod>(json!({"metadata": {"name": "u"}, "spec": spec})).await;
    let scheduled = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.clone().unwrap_or_default());
        conditions.into_iter().find(|condition| condition.type_ == "PodScheduled")
    };
    let waiting = eventually(&pods, "u", |pod| scheduled(pod).is_some_and(|c| c.status == "False")).await;
    assert_eq!(scheduled(&waiting).unwrap().reason.as_deref(), Some("Unschedulable"));
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {"no": "node"}}}));
    nodes.patch("node-2", &PatchParams::default(), &label).await.unwrap();
    eventually(&pods, "u", pod_runs).await;
    let all = nodes.list(&ListParams::default().labels("type=simulated")).await.unwrap();
    assert_eq!(all.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_grants_evictions_while_there_are_pods_to_spare() {
    let cluster = start().await;
    let spec = json!({"replicas": 2, "selector": selector(), "template": template(json!({}))});
    cluster.create::<ReplicaSet>(json!({"metadata": {"name": "r"}, "spec": spec})).await;
    let budget = json!({"minAvailable": 1, "selector": selector()});
    cluster.create::<PodDisruptionBudget>(json!({"metadata": {"name": "b"}, "spec": budget})).await;
    let budgets = cluster.api::<PodDisruptionBudget>();
    let allows = |n: i32| move |b: &PodDisruptionBudget| b.status.as_ref().is_some_and(|s| s.disruptions_allowed == n);
    eventually(&budgets, "b", allows(1)).await;
    let pods: Vec<Pod> = cluster.list("app=demo").await;
    let evicted = pods[0].name_any();
    cluster.api::<Pod>().evict(&evicted, &EvictParams::default()).await.unwrap();
    gone(&cluster.api::<Pod>(), &evicted).await;
    // Its replacement is healthy again.
    eventually(&budgets, "b", allows(1)).await;

    let spec = json!({"spec": {"minAvailable": 2}});
    budgets.patch("b", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
    eventually(&budgets, "b", allows(0)).await;
    let pods: Vec<Pod> = cluster.list("app=demo").await;
    let refused = cluster.api::<Pod>().evict(&pods[0].name_any(), &EvictParams::default()).await.unwrap_err();
    let kube::Error::Api(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.code, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_evicted_says_so() {
    let cluster = start().await;
    let pods = cluster.api::<Pod>();
    let held = json!({"name": "p", "finalizers": ["example.com/hold"]});
    cluster.create::<Pod>(json!({"metadata": held, "spec": template(json!({}))["spec"]})).await;
    eventually(&pods, "p", pod_runs).await;
    pods.evict("p", &EvictParams::default()).await.unwrap();
    let pod = pods.get("p").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());
    let conditions = pod.status.unwrap().conditions.unwrap();
    let told = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
    assert_eq!(told.reason.as_deref(), Some("EvictionByEvictionAPI"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_a_node_that_is_tainted() {
    let cluster = start().await;
    let tolerates = |seconds: Value| {
        let toleration =
            json!({"key": "hot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        json!({"tolerations": [toleration]})
    };
    let pods = [
        ("at-once", json!({})),
        ("later", tolerates(json!(1))),
        ("much-later", tolerates(json!(3600))),
        ("stays", tolerates(Value::Null)),
    ];
    for (name, spec) in pods {
        let mut spec = template(spec)["spec"].clone();
        spec["nodeName"] = json!("node-1");
        // What holds them shows what they were told.
        cluster
            .create::<Pod>(json!({"metadata": {"name": name, "finalizers": ["example.com/hold"]}, "spec": spec}))
            .await;
    }
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    eventually(&nodes, "node-1", |_| true).await;
    let taint = Patch::Merge(json!({"spec": {"taints": [{"key": "hot", "effect": "NoExecute"}]}}));
    let tainted = Timestamp::now();
    nodes.patch("node-1", &PatchParams::default(), &taint).await.unwrap();
    let pods = cluster.api::<Pod>();
    for (name, tolerated) in [("at-once", 0), ("later", 1)] {
        let pod = eventually(&pods, name, |pod| pod.metadata.deletion_timestamp.is_some()).await;
        let conditions = pod.status.unwrap().conditions.unwrap();
        let told = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
        assert_eq!(told.reason.as_deref(), Some("DeletionByTaintManager"));
        // A deletion is dated by the end of its grace period. How late it comes is up to the machine.
        let end = pod.metadata.deletion_timestamp.unwrap().0.as_second();
        let asked = end - pod.metadata.deletion_grace_period_seconds.unwrap();
        assert!(
            asked >= tainted.as_second() + tolerated,
            "{name} left {}s after {tainted}",
            asked - tainted.as_second()
        );
    }
    for name in ["much-later", "stays"] {
        assert_eq!(pods.get(name).await.unwrap().metadata.deletion_timestamp, None);
    }
}
