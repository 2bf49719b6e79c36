use super::{tracking::Tracked, *};
use crate::pods::tests::pod as a_pod;
use serde_json::{Value, json};

const START: &str = "2024-01-01T00:00:00Z";
const NOW: &str = "2024-01-01T00:01:00Z";

fn job(extra: Value) -> Job {
    let mut spec = json!({"completions": 1, "parallelism": 1, "backoffLimit": 6,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}}});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "spec": spec,
        "status": {"startTime": START}}))
    .unwrap()
}

fn indexed(extra: Value) -> Job {
    let mut spec = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    job(spec)
}

fn tracked(name: &str, phase: &str) -> Pod {
    let mut pod = a_pod(name, phase, false);
    pod.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    pod
}

fn children(phases: &[&str]) -> Vec<Arc<Pod>> {
    phases.iter().enumerate().map(|(i, phase)| Arc::new(tracked(&format!("p{i}"), phase))).collect()
}

/// A pod of an index which had failed so often before.
fn of_index(at: i32, phase: &str, failures: i32) -> Arc<Pod> {
    let mut pod = tracked(&format!("p{at}-{failures}"), phase);
    pod.metadata.annotations = Some(
        [("batch.kubernetes.io/job-completion-index", at), ("batch.kubernetes.io/job-index-failure-count", failures)]
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .into(),
    );
    Arc::new(pod)
}

fn leaving(pod: &Pod) -> Arc<Pod> {
    let mut pod = pod.clone();
    pod.metadata.deletion_timestamp = Some(crate::meta::now());
    Arc::new(pod)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn planned(job: &Job, pods: &[Arc<Pod>]) -> Plan {
    Scene::new(job, job.spec.as_ref().unwrap(), pods, &Backoff::default(), at(NOW)).plan()
}

/// One whole reconcile in a world where writes work and pods that are stopped end at once. Returns the uids of the
/// pods that were let go.
fn step(job: &mut Job, pods: &[Arc<Pod>]) -> Vec<String> {
    let scene = Scene::new(job, job.spec.as_ref().unwrap(), pods, &Backoff::default(), at(NOW));
    let plan = scene.plan();
    let Tracked { mut status, release, .. } = scene.track(plan.status, plan.verdict.as_ref());
    let released: Vec<String> = release.iter().map(|pod| uid(&**pod).to_owned()).collect();
    let held = pods.iter().map(|pod| uid(&**pod)).filter(|uid| !released.iter().any(|gone| gone == uid));
    take_in(&mut status, &held.collect());
    let stopped: Vec<&str> = plan.stop.iter().chain(&plan.discard).map(|pod| uid(&**pod)).collect();
    let left: Vec<_> = pods.iter().filter(|pod| !stopped.contains(&uid(&***pod))).cloned().collect();
    report(&mut status, &left);
    if let Some(verdict) = &plan.verdict {
        finish(&mut status, verdict, at(NOW));
    }
    job.status = Some(status);
    released
}

fn said(job: &Job) -> Vec<(&str, &str)> {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap_or_default())).collect()
}

fn reason(plan: &Plan) -> Option<&str> {
    plan.verdict.as_ref().map(|verdict| verdict.reason.as_str())
}

#[test]
fn pods_are_created_within_parallelism() {
    let plan = planned(&job(json!({"completions": 5, "parallelism": 2})), &children(&["Running", "Succeeded"]));
    assert_eq!(plan.create.len(), 1);
    assert!(is_tracked(&plan.create[0]));
}

#[test]
fn what_ended_is_listed_then_let_go_then_counted() {
    let job = job(json!({"completions": 5, "parallelism": 2}));
    let pods = children(&["Succeeded", "Failed", "Running"]);
    let scene = Scene::new(&job, job.spec.as_ref().unwrap(), &pods, &Backoff::default(), at(NOW));
    let Tracked { mut status, release, partial } = scene.track(scene.plan().status, None);
    let uncounted = status.uncounted_terminated_pods.clone().unwrap();
    let listed = |uid: &str| Some(vec![uid.to_owned()]);
    assert_eq!((uncounted.succeeded, uncounted.failed), (listed("uid-p0"), listed("uid-p1")));
    assert_eq!((status.succeeded, status.failed, partial), (None, None, false));
    assert_eq!(release.iter().map(|pod| uid(&**pod)).collect::<Vec<_>>(), ["uid-p0", "uid-p1"]);

    take_in(&mut status, &["uid-p1", "uid-p2"].into());
    assert_eq!((status.succeeded, status.failed), (Some(1), None));
    assert_eq!(status.uncounted_terminated_pods.unwrap().failed, listed("uid-p1"));
}

#[test]
fn no_pod_is_counted_twice() {
    let mut job = job(json!({"completions": 5, "parallelism": 2}));
    assert_eq!(step(&mut job, &children(&["Succeeded"])), ["uid-p0"]);
    assert!(step(&mut job, &[Arc::new(a_pod("p0", "Succeeded", false))]).is_empty());
    assert_eq!(job.status.as_ref().unwrap().succeeded, Some(1));
    assert!(step(&mut job, &[]).is_empty());
    assert_eq!(job.status.as_ref().unwrap().succeeded, Some(1), "that the pod is gone does not undo its work");
}

#[test]
fn success_is_reported() {
    let mut job = job(json!({}));
    step(&mut job, &children(&["Succeeded"]));
    assert_eq!(said(&job), [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]);
    let status = job.status.unwrap();
    assert!(status.completion_time.is_some());
    assert_eq!((status.succeeded, status.active, status.terminating), (Some(1), None, Some(0)));
}

#[test]
fn failures_count_towards_the_limit() {
    let mut job = job(json!({"backoffLimit": 1}));
    step(&mut job, &children(&["Failed", "Failed"]));
    assert_eq!(said(&job), [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]);
    let message = job.status.as_ref().unwrap().conditions.as_ref().unwrap()[1].message.as_deref();
    assert_eq!(message, Some("Job has reached the specified backoff limit"));
    assert_eq!(job.status.unwrap().failed, Some(2));
}

#[test]
fn the_end_waits_for_the_last_pod() {
    let mut failing = job(json!({"activeDeadlineSeconds": 30}));
    let going = leaving(&tracked("p0", "Running"));
    let scene = Scene::new(
        &failing,
        failing.spec.as_ref().unwrap(),
        std::slice::from_ref(&going),
        &Backoff::default(),
        at(NOW),
    );
    let plan = scene.plan();
    let mut status = scene.track(plan.status, plan.verdict.as_ref()).status;
    take_in(&mut status, &HashSet::new());
    report(&mut status, std::slice::from_ref(&going));
    assert!(!finish(&mut status, plan.verdict.as_ref().unwrap(), at(NOW)));
    failing.status = Some(status);
    assert_eq!(said(&failing), [("FailureTarget", "DeadlineExceeded")]);
    step(&mut failing, &[]);
    assert_eq!(said(&failing), [("FailureTarget", "DeadlineExceeded"), ("Failed", "DeadlineExceeded")]);
    assert_eq!(failing.status.unwrap().failed, Some(1), "a pod that was stopped failed");
}

#[test]
fn a_failed_pod_is_replaced_after_a_while() {
    let mut failed = tracked("p", "Failed");
    failed.status.as_mut().unwrap().container_statuses = serde_json::from_value(json!([{"name": "main", "image": "",
        "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 1, "finishedAt": "2024-01-01T00:00:55Z"}}}]))
    .unwrap();
    let waiting = planned(&job(json!({})), &[Arc::new(failed.clone())]);
    assert_eq!((waiting.create.len(), waiting.again), (0, Some(Duration::from_secs(5))));
    let job = job(json!({}));
    let pods = [Arc::new(failed)];
    let later = Scene::new(&job, job.spec.as_ref().unwrap(), &pods, &Backoff::default(), at("2024-01-01T00:01:05Z"));
    assert_eq!(later.plan().create.len(), 1);
}

#[test]
fn a_deadline_ends_it() {
    let plan = planned(&job(json!({"activeDeadlineSeconds": 30})), &children(&["Running"]));
    assert_eq!((reason(&plan), plan.stop.len()), (Some("DeadlineExceeded"), 1));
    let plan = planned(&job(json!({"activeDeadlineSeconds": i64::MAX})), &children(&["Running"]));
    assert!(reason(&plan).is_none() && plan.again > Some(Duration::from_secs(1 << 40)));
}

#[test]
fn restarts_in_place_count_where_pods_are_not_replaced() {
    let again = json!({"restartPolicy": "OnFailure", "containers": [{"name": "main"}]});
    let job = job(json!({"backoffLimit": 3, "template": {"spec": again}}));
    let with = |restarts: i32| {
        let mut pod = tracked("p", "Running");
        pod.status.as_mut().unwrap().container_statuses = serde_json::from_value(json!([{"name": "main", "image": "",
            "imageID": "", "ready": true, "restartCount": restarts}]))
        .unwrap();
        [Arc::new(pod)]
    };
    assert_eq!(reason(&planned(&job, &with(2))), None);
    assert_eq!(reason(&planned(&job, &with(3))), Some("BackoffLimitExceeded"));
}

#[test]
fn a_suspended_job_discards_its_pods_and_begins_anew() {
    let mut job = job(json!({"suspend": true}));
    let plan = planned(&job, &children(&["Running"]));
    assert_eq!((plan.discard.len(), plan.switch), (1, Some(Switch::Suspended)));
    step(&mut job, &children(&["Running"]));
    assert_eq!(said(&job), [("Suspended", "JobSuspended")]);
    assert_eq!(job.status.as_ref().unwrap().failed, None);
    assert_eq!(planned(&job, &[]).switch, None);

    job.spec.as_mut().unwrap().suspend = Some(false);
    let resumed = planned(&job, &[]);
    assert_eq!((resumed.create.len(), resumed.switch), (1, Some(Switch::Resumed)));
    step(&mut job, &[]);
    assert_eq!(said(&job), [("Suspended", "JobResumed")]);
    assert_eq!(job.status.unwrap().start_time.unwrap().0, at(NOW));
}

#[test]
fn a_deleted_pod_is_replaced_at_once_or_when_it_has_ended() {
    let pods = [leaving(&tracked("p0", "Running"))];
    assert_eq!(planned(&job(json!({})), &pods).create.len(), 1);
    let mut early = job(json!({}));
    step(&mut early, &pods);
    assert_eq!(early.status.as_ref().unwrap().failed, Some(1));
    let mut patient = job(json!({"podReplacementPolicy": "Failed"}));
    assert!(step(&mut patient, &pods).is_empty());
    assert_eq!(patient.status.as_ref().unwrap().failed, None);
    assert_eq!(planned(&patient, &pods).create.len(), 0);
    assert_eq!(planned(&patient, &[]).create.len(), 1);
}

#[test]
fn rules_ignore_failures_or_fail_the_job() {
    let rule = |action: &str| {
        json!({"podFailurePolicy": {"rules": [{"action": action,
            "onPodConditions": [{"type": "Ready", "status": "False"}]}]}, "backoffLimit": 0})
    };
    let mut ignoring = job(rule("Ignore"));
    assert_eq!(step(&mut ignoring, &children(&["Failed"])), ["uid-p0"]);
    assert_eq!((said(&ignoring), ignoring.status.as_ref().unwrap().failed), (vec![], None));
    let mut failing = job(rule("FailJob"));
    step(&mut failing, &children(&["Failed"]));
    assert_eq!(said(&failing), [("FailureTarget", "PodFailurePolicy"), ("Failed", "PodFailurePolicy")]);
}

#[test]
fn indexes_are_filled_from_the_lowest() {
    let job = indexed(json!({"parallelism": 2}));
    let plan = planned(&job, &[]);
    assert_eq!(plan.create.iter().filter_map(index).collect::<Vec<_>>(), [0, 1]);
    let pods = [of_index(0, "Succeeded", 0), of_index(1, "Running", 0)];
    assert_eq!(planned(&job, &pods).create.iter().filter_map(index).collect::<Vec<_>>(), [2]);
}

#[test]
fn completed_indexes_are_remembered_without_their_pods() {
    let mut job = indexed(json!({}));
    step(&mut job, &[of_index(0, "Succeeded", 0), of_index(2, "Succeeded", 0)]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.succeeded), (Some("0,2"), Some(2)));
    assert_eq!(planned(&job, &[]).create.iter().filter_map(index).collect::<Vec<_>>(), [1]);
}

#[test]
fn of_pods_with_one_index_one_stays() {
    let pods = [of_index(0, "Running", 0), of_index(0, "Pending", 1), of_index(7, "Running", 0)];
    let plan = planned(&indexed(json!({})), &pods);
    assert_eq!(plan.discard.iter().map(|pod| uid(&**pod)).collect::<Vec<_>>(), ["uid-p7-0", "uid-p0-1"]);
    assert!(plan.create.is_empty());
}

#[test]
fn each_index_has_its_own_limit() {
    let mut job = indexed(json!({"backoffLimitPerIndex": 1, "completions": 2, "backoffLimit": i32::MAX}));
    // The first failure is within the limit: the pod stays until its replacement knows of it.
    let first = [of_index(0, "Failed", 0), of_index(1, "Succeeded", 0)];
    assert_eq!(step(&mut job, &first), ["uid-p1-0"]);
    let plan = planned(&job, &first);
    assert_eq!(plan.create.iter().map(template::failures).collect::<Vec<_>>(), [(1, 0)]);
    assert_eq!(step(&mut job, &[first[0].clone(), of_index(0, "Running", 1)]), ["uid-p0-0"]);
    assert_eq!(job.status.as_ref().unwrap().failed_indexes.as_deref(), Some(""));

    step(&mut job, &[of_index(0, "Failed", 1)]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.failed_indexes.as_deref(), status.completed_indexes.as_deref()), (Some("0"), Some("1")));
    assert_eq!(said(&job), [("FailureTarget", "FailedIndexes"), ("Failed", "FailedIndexes")]);
}

#[test]
fn too_many_failed_indexes_end_it() {
    let job = indexed(json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 0, "backoffLimit": i32::MAX}));
    let plan = planned(&job, &[of_index(0, "Failed", 0), of_index(1, "Running", 0)]);
    assert_eq!((reason(&plan), plan.stop.len()), (Some("MaxFailedIndexesExceeded"), 1));
}

#[test]
fn success_may_come_before_all_indexes_have() {
    let mut job = indexed(json!({"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}));
    let pods = [of_index(0, "Succeeded", 0), of_index(1, "Running", 0)];
    assert_eq!(step(&mut job, &pods), ["uid-p0-0", "uid-p1-0"]);
    assert_eq!(said(&job), [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]);
    assert_eq!(job.status.unwrap().failed, None, "a pod that is not needed any more did not fail");
}

#[test]
fn a_job_that_goes_away_lets_its_pods_go() {
    let mut job = job(json!({}));
    job.metadata.deletion_timestamp = Some(crate::meta::now());
    assert!(planned(&job, &[]).create.is_empty());
    assert_eq!(step(&mut job, &children(&["Running"])), ["uid-p0"]);
}

#[test]
fn finished_jobs_expire() {
    let mut job = job(json!({"ttlSecondsAfterFinished": 60}));
    assert_eq!(expires_in(&job, at(NOW)), None);
    step(&mut job, &children(&["Succeeded"]));
    assert_eq!(expires_in(&job, at("2024-01-01T00:01:30Z")), Some(Duration::from_secs(30)));
}

#[test]
fn other_controllers_are_left_their_jobs() {
    assert!(!is_managed_elsewhere(&job(json!({"managedBy": "kubernetes.io/job-controller"}))));
    assert!(is_managed_elsewhere(&job(json!({"managedBy": "example.com/queue"}))));
}

#[test]
fn what_pods_say_of_themselves_does_not_overflow() {
    let limits = json!({"backoffLimitPerIndex": i32::MAX, "backoffLimit": i32::MAX});
    let mut lost = indexed(limits);
    let pods = [of_index(0, "Failed", i32::MAX - 1), of_index(1, "Failed", i32::MAX), of_index(i32::MAX, "Running", 0)];
    let plan = planned(&lost, &pods);
    assert_eq!(plan.discard.iter().map(|pod| uid(&**pod)).collect::<Vec<_>>(), [uid(&*pods[2])]);
    let counted = json!({"failed": i32::MAX, "uncountedTerminatedPods": {"failed": ["gone"]}});
    lost.status = Some(serde_json::from_value(counted).unwrap());
    assert!(step(&mut lost, &pods[..2]).contains(&uid(&*pods[1]).to_owned()));
    assert_eq!(lost.status.unwrap().failed, Some(i32::MAX));
    let mut restarting = tracked("p", "Running");
    let containers = [0, 1].map(
        |at| json!({"name": format!("c{at}"), "image": "a", "imageID": "", "ready": true, "restartCount": i32::MAX}),
    );
    restarting.status.as_mut().unwrap().container_statuses = serde_json::from_value(json!(containers)).unwrap();
    let mut in_place = job(json!({}));
    in_place.spec.as_mut().unwrap().template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".to_owned());
    assert_eq!(reason(&planned(&in_place, &[Arc::new(restarting)])), Some("BackoffLimitExceeded"));
}
