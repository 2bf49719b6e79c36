use super::*;
use serde_json::json;

fn deployment(replicas: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "demo"}}, "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 1, "strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}}
    }))
    .unwrap()
}

fn image(deployment: &mut Deployment, image: &str) {
    let template = &mut deployment.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
}

/// A cluster of one Deployment in which pods become available at once.
struct World {
    deployment: Deployment,
    sets: Vec<Arc<ReplicaSet>>,
    log: Vec<String>,
    serial: i64,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        Self { deployment, sets: Vec::new(), log: Vec::new(), serial: 0 }
    }

    fn step(&mut self) -> Plan {
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        let observed = Observed::new(&self.deployment, self.sets.clone(), now, |_| false).unwrap();
        let plan = plan(&self.deployment, &observed).unwrap();
        if let Some(set) = &plan.create {
            self.serial += 1;
            let mut set = set.clone();
            set.metadata.uid = Some(format!("set-{}", self.serial));
            set.metadata.creation_timestamp =
                Some(serde_json::from_value(json!(format!("2024-01-01T00:00:0{}Z", self.serial))).unwrap());
            self.sets.push(Arc::new(set));
            self.log.extend(plan.created_message.clone());
        }
        for change in &plan.changes {
            let slot = self.sets.iter_mut().find(|set| uid(&***set) == uid(&*change.old)).unwrap();
            *slot = Arc::new(change.new.clone());
            self.log.extend(change.message.clone());
        }
        self.sets.retain(|set| !plan.delete.iter().any(|gone| uid(&**gone) == uid(&**set)));
        if let Some(annotated) = &plan.annotated {
            self.deployment.metadata.annotations = annotated.metadata.annotations.clone();
        }
        self.deployment.status = Some(plan.status.clone());
        plan
    }

    fn pods_run(&mut self) {
        for set in &mut self.sets {
            let mut running = (**set).clone();
            let count = replicas(set);
            running.status = Some(
                serde_json::from_value(json!({"replicas": count, "readyReplicas": count, "availableReplicas": count}))
                    .unwrap(),
            );
            *set = Arc::new(running);
        }
    }

    fn settle(&mut self) {
        for _ in 0..40 {
            self.step();
            self.pods_run();
        }
        self.step();
    }

    fn revisions(&self) -> Vec<(String, i32)> {
        self.sets.iter().map(|set| (revision(set).to_string(), replicas(set))).collect()
    }

    fn progressing(&self) -> (String, String, String) {
        let condition = status::find(self.deployment.status.as_ref().unwrap(), "Progressing").unwrap().clone();
        (condition.status, condition.reason.unwrap(), condition.message.unwrap())
    }
}

#[test]
fn a_new_deployment_gets_its_first_set() {
    let mut world = World::new(deployment(2));
    world.settle();
    let set = &world.sets[0];
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(name(&**set), format!("d-{hash}"));
    assert_eq!(
        serde_json::to_value(&set.metadata.annotations).unwrap(),
        json!({"deployment.kubernetes.io/desired-replicas": "2", "deployment.kubernetes.io/max-replicas": "3",
               "deployment.kubernetes.io/revision": "1"})
    );
    assert_eq!(set.spec.as_ref().unwrap().selector.match_labels.as_ref().unwrap()["pod-template-hash"], hash);
    let status = world.deployment.status.clone().unwrap();
    assert_eq!((status.replicas, status.unavailable_replicas), (Some(2), None));
    let available = status::find(&status, "Available").unwrap();
    assert_eq!(available.message.as_deref(), Some("Deployment has minimum availability."));
    let message = format!("ReplicaSet \"d-{hash}\" has successfully progressed.");
    assert_eq!(world.progressing(), ("True".to_owned(), "NewReplicaSetAvailable".to_owned(), message));
}

#[test]
fn a_rollout_keeps_within_surge_and_availability() {
    let mut world = World::new(deployment(4));
    world.settle();
    image(&mut world.deployment, "a:2");
    for _ in 0..20 {
        world.step();
        assert!(rollout::total(&world.sets) <= 5, "maxSurge");
        let available: i32 = world.sets.iter().map(|set| rollout::available(set).min(replicas(set))).sum();
        assert!(available >= 3, "maxUnavailable");
        world.pods_run();
    }
    assert_eq!(world.revisions(), [("1".to_owned(), 0), ("2".to_owned(), 4)]);
}

#[test]
fn rolling_back_moves_the_revision_on() {
    let mut world = World::new(deployment(3));
    world.settle();
    image(&mut world.deployment, "a:2");
    world.settle();
    image(&mut world.deployment, "a:1");
    world.settle();
    assert_eq!(world.revisions(), [("3".to_owned(), 3), ("2".to_owned(), 0)]);
    let history = world.sets[0].metadata.annotations.as_ref().unwrap();
    assert_eq!(history["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut world = World::new(deployment(3));
    world.settle();
    world.deployment.spec.as_mut().unwrap().paused = Some(true);
    image(&mut world.deployment, "a:2");
    world.deployment.spec.as_mut().unwrap().replicas = Some(0);
    world.settle();
    assert_eq!(world.revisions(), [("1".to_owned(), 0)]);
    let expected = ("Unknown".to_owned(), "DeploymentPaused".to_owned(), "Deployment is paused".to_owned());
    assert_eq!(world.progressing(), expected);
}

#[test]
fn scaling_says_so_once() {
    let mut world = World::new(deployment(2));
    world.settle();
    world.deployment.spec.as_mut().unwrap().replicas = Some(3);
    world.settle();
    let set = name(&*world.sets[0]).to_owned();
    assert_eq!(
        world.log,
        [format!("Scaled up replica set {set} from 0 to 2"), format!("Scaled up replica set {set} from 2 to 3")]
    );
    assert_eq!(sets::desired(&world.sets[0]), Some(3));
}

#[test]
fn history_beyond_the_limit_is_deleted() {
    let mut world = World::new(deployment(1));
    for version in 1..=4 {
        image(&mut world.deployment, &format!("a:{version}"));
        world.settle();
    }
    let mut revisions = world.revisions();
    revisions.sort();
    // An empty set is deleted only after it has reported; the world reports no generation.
    assert_eq!(revisions, [("3".to_owned(), 0), ("4".to_owned(), 1)]);
}

#[test]
fn history_counts_sets_that_still_have_pods() {
    let mut world = World::new(deployment(2));
    for version in 1..=3 {
        world.deployment.spec.as_mut().unwrap().revision_history_limit = None;
        image(&mut world.deployment, &format!("a:{version}"));
        world.settle();
    }
    let spec = world.deployment.spec.as_mut().unwrap();
    (spec.revision_history_limit, spec.paused) = (Some(1), Some(true));
    let held = world.sets.iter_mut().find(|set| revision(set) == 2).unwrap();
    let mut with_pods = (**held).clone();
    with_pods.spec.as_mut().unwrap().replicas = Some(1);
    *held = Arc::new(with_pods);
    let plan = world.step();
    assert_eq!(plan.delete.iter().map(|set| revision(set)).collect::<Vec<_>>(), [1]);
}

#[test]
fn that_the_new_set_could_not_be_made_is_said_once() {
    let (deployment, now) = (deployment(1), "2024-01-01T00:00:00Z".parse().unwrap());
    let failed = status::creation_failed(&deployment, "no", now).unwrap();
    let condition = status::find(failed.status.as_ref().unwrap(), "Progressing").unwrap();
    let said = (condition.status.as_str(), condition.reason.as_deref(), condition.message.as_deref());
    assert_eq!(said, ("False", Some("ReplicaSetCreateError"), Some("no")));
    assert_eq!(status::creation_failed(&failed, "no", now), None);
}

#[test]
fn recreate_waits_for_old_pods() {
    let mut world = World::new(deployment(2));
    world.settle();
    world.deployment.spec.as_mut().unwrap().strategy = serde_json::from_value(json!({"type": "Recreate"})).unwrap();
    image(&mut world.deployment, "a:2");
    let plan = world.step();
    assert!(plan.create.is_none());
    assert_eq!(world.revisions(), [("1".to_owned(), 0)]);
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    let waiting = Observed::new(&world.deployment, world.sets.clone(), now, |_| true).unwrap();
    assert!(super::plan(&world.deployment, &waiting).unwrap().create.is_none());
    world.settle();
    assert_eq!(world.revisions(), [("1".to_owned(), 0), ("2".to_owned(), 2)]);
}

#[test]
fn a_rollout_without_progress_times_out() {
    let mut world = World::new(deployment(1));
    world.step();
    world.step();
    let late = "2024-01-01T00:11:00Z".parse().unwrap();
    let observed = Observed::new(&world.deployment, world.sets.clone(), late, |_| false).unwrap();
    let plan = plan(&world.deployment, &observed).unwrap();
    let condition = status::find(&plan.status, "Progressing").unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_deref()), ("False", Some("ProgressDeadlineExceeded")));
}
