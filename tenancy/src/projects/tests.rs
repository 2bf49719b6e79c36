use api_types::tenancy::{ProjectCluster, ProjectConditionType, ProjectPhase, ProjectSpec, ProjectStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::*;
use crate::bindings::Namespaces;

fn crd(clusters: &[&str]) -> api_types::tenancy::Project {
    let clusters = clusters.iter().map(|name| ProjectCluster {
        name: (*name).to_owned(),
        quota: [("pods".to_owned(), Quantity("5".into()))].into(),
        ..Default::default()
    });
    let spec = ProjectSpec { clusters: clusters.collect(), ..Default::default() };
    let mut project = api_types::tenancy::Project::new("shop", spec);
    project.metadata.uid = Some("uid-1".into());
    project
}

fn project(clusters: &[&str]) -> Project {
    Project::read(&crd(clusters)).unwrap()
}

fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

fn present(uid: Option<&str>) -> Found {
    Found::Present { mark: ProjectNamespace { uid: uid.map(str::to_owned) }, terminating: false }
}

#[test]
fn a_namespace_and_a_quota_in_each_cluster() {
    let mut written = crd(&["eu"]);
    written.metadata.annotations = Some([(DISPLAY_NAME.to_owned(), "Web shop".to_owned())].into());
    let project = Project::read(&written).unwrap();
    for found in [Found::Absent, present(Some("uid-1"))] {
        let objects = plan(&project, &cluster("eu"), &found).unwrap();
        let [namespace, quota] = &objects[..] else { panic!("{objects:?}") };
        assert_eq!(namespace.body()["metadata"]["labels"][PROJECT], "shop");
        assert_eq!(
            namespace.body()["metadata"]["annotations"],
            json!({PROJECT_UID: "uid-1", DISPLAY_NAME: "Web shop"})
        );
        assert_eq!((quota.key().kind, &*quota.key().name), (Kind::ProjectQuota, "shop"));
        assert_eq!(quota.body()["spec"], json!({"hard": {"pods": "5"}}));
    }
    // On the hub its namespace is always, and a quota only where it is one of the clusters.
    assert_eq!(plan(&project, &cluster("global"), &Found::Absent).unwrap().len(), 1);
    assert_eq!(plan(&self::project(&["global"]), &cluster("global"), &Found::Absent).unwrap().len(), 2);
    assert!(plan(&project, &cluster("us"), &Found::Absent).unwrap().is_empty());
    written.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let terminating = Project::read(&written).unwrap();
    assert!(plan(&terminating, &cluster("eu"), &Found::Absent).unwrap().is_empty());
    assert!(terminating.clusters().next().is_none() && !terminating.is_in("eu"));
}

#[test]
fn case_49_a_namespace_that_is_there_is_not_taken_over() {
    let project = project(&["eu"]);
    for mark in [None, Some("uid-0"), Some("")] {
        let refused = plan(&project, &cluster("eu"), &present(mark)).unwrap_err();
        assert_eq!(refused, Refused::Foreign { name: "shop".into(), uid: "uid-1".into() });
        assert!(refused.to_string().contains("auth.cpaas.io/project-uid=uid-1"), "{refused}");
    }
    let going = Found::Present { mark: ProjectNamespace { uid: Some("uid-1".into()) }, terminating: true };
    assert_eq!(plan(&project, &cluster("eu"), &going).unwrap_err(), Refused::Terminating("shop".into()));
}

#[test]
fn projects_that_cannot_be() {
    for name in ["default", "kube-system", "kube-x", "a.b", "cpaas-system"] {
        let mut written = crd(&[]);
        written.metadata.name = Some(name.to_owned());
        assert_eq!(Project::read(&written), Err(InvalidProject::Name(name.to_owned())));
    }
    assert_eq!(Project::read(&crd(&["eu", "eu"])), Err(InvalidProject::Twice("eu".into())));
    let mut written = crd(&["eu"]);
    written.spec.clusters[0].quota.insert("gpu".into(), Quantity("1".into()));
    assert!(matches!(Project::read(&written), Err(InvalidProject::QuotaKey { .. })));
    written = crd(&["eu"]);
    written.metadata.uid = None;
    assert_eq!(Project::read(&written), Err(InvalidProject::NoUid("shop".into())));
}

#[test]
fn the_role_in_what_lies_in_no_namespace() {
    let rules = |rules: Value| -> Vec<PolicyRule> { serde_json::from_value(rules).unwrap() };
    let check = |given: Value, expect: Value| {
        let role = project_role(&project(&["eu"]), "project-admin-system", &rules(given));
        assert_eq!(role.key().name, "cpaas:project:shop:project-admin-system");
        assert_eq!(role.body()["rules"], expect);
    };
    let of = |resource: &str, verbs: Value| json!({"apiGroups": ["auth.alauda.io"], "resources": [resource], "resourceNames": ["shop"], "verbs": verbs});
    check(json!([]), json!([]));
    check(
        json!([{"apiGroups": ["auth.alauda.io"], "resources": ["projects"], "verbs": ["get", "update", "create", "deletecollection"]},
               {"apiGroups": ["auth.alauda.io"], "resources": ["projectquotas", "projects"], "verbs": ["get"]}]),
        json!([of("projects", json!(["get", "update"])), of("projectquotas", json!(["get"]))]),
    );
    check(
        json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
        json!([of("projects", json!(["*"])), of("projectquotas", json!(["*"]))]),
    );
    // Of other groups, of parts, and of other projects nothing follows.
    check(
        json!([{"apiGroups": ["x"], "resources": ["projects"], "verbs": ["get"]},
               {"apiGroups": ["auth.alauda.io"], "resources": ["projects/status"], "verbs": ["get"]},
               {"apiGroups": ["auth.alauda.io"], "resources": ["projects"], "resourceNames": ["bank"], "verbs": ["get"]}]),
        json!([]),
    );
}

#[test]
fn leaving_a_cluster() {
    let mine = [
        ("shop", "shop", Some("uid-1")),
        ("shop-a", "shop", None),
        ("bank", "bank", Some("uid-2")),
        ("bank-a", "bank", None),
    ];
    let here = Namespaces::collect(mine);
    let mut written = crd(&[]);
    let retained = leave(&Project::read(&written).unwrap(), &here, true);
    let released: Vec<_> = retained
        .iter()
        .filter_map(|step| match step {
            Leaving::Release { namespace, patch } => {
                Some((namespace.as_str(), patch["metadata"]["labels"][PROJECT].is_null()))
            }
            Leaving::Delete(_) => None,
        })
        .collect();
    assert_eq!(released, [("shop-a", true), ("shop", true)]);
    assert!(
        matches!(retained.last(), Some(Leaving::Delete(key)) if key.kind == Kind::ProjectQuota && key.name == "shop")
    );

    written.spec.cluster_delete_policy = Some(ClusterDeletePolicy::Delete);
    let project = Project::read(&written).unwrap();
    let deleted = leave(&project, &here, false);
    let key = |step: &Leaving| match step {
        Leaving::Delete(key) => key.to_string(),
        Leaving::Release { .. } => panic!("{step:?}"),
    };
    let keys: Vec<_> = deleted.iter().map(key).collect();
    assert_eq!(keys, ["Namespace shop-a", "Namespace shop"]);

    // What an earlier project of that name has left is not this one's to delete.
    let other = Namespaces::collect([("shop", "shop", Some("uid-0")), ("shop-a", "shop", None)]);
    assert!(leave(&project, &other, false).is_empty());
    assert!(leave(&project, &Namespaces::default(), false).is_empty());
    // Whatever a label says, what is Kubernetes' is nobody's.
    let stolen = Namespaces::collect([
        ("shop", "shop", Some("uid-1")),
        ("kube-system", "shop", None),
        ("cpaas-system", "shop", None),
    ]);
    assert_eq!(leave(&project, &stolen, false).len(), 1);
}

fn stand(project: &Project, old: &ProjectStatus, seen: &[(&str, Outcome)], at: i64) -> ProjectStatus {
    let seen = seen.iter().map(|(cluster, outcome)| {
        ((*cluster).to_owned(), Seen { namespace: outcome.clone(), quota: outcome.clone(), unguarded: false })
    });
    let now = Timestamp::from_second(at).unwrap();
    status(project, Some(3), old, &seen.collect(), |cluster| cluster == "gone", now)
}

#[test]
fn a_cluster_out_of_reach_takes_nothing_from_the_others() {
    let project = project(&["eu", "us"]);
    let old = ProjectStatus::default();
    let (done, away) = (Outcome::Done, Outcome::Unreachable("no connection for 5 minutes".into()));
    type Row<'a> = (&'a [(&'a str, Outcome)], ProjectPhase, &'a str, &'a str);
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        (&[], ProjectPhase::Pending, "Unknown", "Waiting"),
        (&[("eu", done.clone())], ProjectPhase::Pending, "Unknown", "Waiting"),
        (&[("eu", done.clone()), ("us", done.clone())], ProjectPhase::Active, "True", "Done"),
        (&[("eu", done.clone()), ("us", away.clone())], ProjectPhase::Degraded, "Unknown", "Unreachable"),
        (&[("eu", Outcome::Failed("x".into())), ("us", away)], ProjectPhase::Degraded, "False", "Failed"),
        // A cluster that is not the project's is nobody's concern.
        (&[("eu", done.clone()), ("us", done), ("mars", Outcome::Failed("x".into()))], ProjectPhase::Active, "True", "Done"),
    ];
    for (seen, phase, status, reason) in table {
        let next = stand(&project, &old, seen, 10);
        assert_eq!(next.phase, Some(*phase), "{seen:?}");
        for condition in &next.conditions {
            assert_eq!((&*condition.status, condition.reason.as_deref()), (*status, Some(*reason)), "{seen:?}");
        }
        let kinds: Vec<_> = next.conditions.iter().map(|condition| condition.type_).collect();
        assert_eq!(kinds, [ProjectConditionType::ProjectNameSpace, ProjectConditionType::Quota]);
        assert_eq!((next.clusters, next.observed_generation), (vec!["eu".into(), "us".into()], Some(3)));
    }
    let next = stand(&project, &old, &[("eu", Outcome::Done), ("us", Outcome::Failed("taken".into()))], 10);
    let detail = next.conditions[0].detail.clone().unwrap();
    assert_eq!(
        (detail.success_clusters, detail.failed_clusters),
        ([("eu".into(), true)].into(), [("us".into(), "taken".into())].into())
    );
    // The time is that of the change.
    let later = stand(&project, &next, &[("us", Outcome::Failed("taken again".into()))], 20);
    assert_eq!(later.conditions[0].last_transition_time, next.conditions[0].last_transition_time);
    let well = stand(&project, &later, &[("eu", Outcome::Done), ("us", Outcome::Done)], 30);
    assert_ne!(well.conditions[0].last_transition_time, next.conditions[0].last_transition_time);
}

#[test]
fn what_is_left_behind_is_remembered() {
    let old = ProjectStatus { clusters: ["eu", "gone", "us"].map(str::to_owned).to_vec(), ..Default::default() };
    let next = stand(&project(&["eu"]), &old, &[("eu", Outcome::Done)], 10);
    assert_eq!(
        (next.phase, next.clusters.as_slice()),
        (Some(ProjectPhase::Pending), &["eu".to_owned(), "us".to_owned()][..])
    );
    assert_eq!(next.reason.as_deref(), Some("Leaving us"));
    let mut written = crd(&["eu"]);
    written.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let going = stand(&Project::read(&written).unwrap(), &next, &[], 20);
    assert_eq!(
        (going.phase, going.reason.as_deref()),
        (Some(ProjectPhase::Terminating), Some("Leaving eu, global, us"))
    );
    assert!(going.conditions.iter().all(|condition| condition.status == "True"));
}

#[test]
fn what_a_project_says_of_the_hub_and_of_old_clusters() {
    let project = project(&["eu"]);
    let now = Timestamp::from_second(10).unwrap();
    let stand = |seen: &[(&str, Seen)]| {
        let seen = seen.iter().map(|(cluster, seen)| ((*cluster).to_owned(), seen.clone())).collect();
        status(&project, None, &ProjectStatus::default(), &seen, |_| false, now)
    };
    let done = Seen { namespace: Outcome::Done, quota: Outcome::Done, unguarded: false };
    let taken = Seen { namespace: Outcome::Failed("taken".into()), ..Seen::default() };
    let well = stand(&[("eu", done.clone()), ("global", done.clone())]);
    assert_eq!(well.phase, Some(ProjectPhase::Active));
    assert_eq!(well.conditions[0].detail.as_ref().unwrap().success_clusters.len(), 1);
    let foreign = stand(&[("eu", done.clone()), ("global", taken)]);
    assert_eq!(
        (foreign.phase, foreign.reason.as_deref()),
        (Some(ProjectPhase::Degraded), Some("Not as wanted in global"))
    );
    assert_eq!((&*foreign.conditions[0].status, &*foreign.conditions[1].status), ("False", "True"));
    let old = stand(&[("eu", Seen { unguarded: true, ..done })]);
    assert_eq!(old.phase, Some(ProjectPhase::Active));
    assert!(old.conditions[0].message.as_ref().unwrap().contains("In eu administrators"), "{old:?}");
    assert_eq!(old.conditions[1].message, None);
}
