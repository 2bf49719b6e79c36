//! What a project may have in each of its clusters, while many people give to its namespaces at once.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use e2e::{Answer, Door, PATIENCE, Platform, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PROJECT: &str = "/kubernetes/global/apis/auth.alauda.io/v1/projects/shop";
/// Pods that the project may have in each cluster.
const LIMIT: u64 = 10;
/// People who create at once, in each cluster.
const CREATORS: usize = 8;
/// What each of them asks for.
const EACH: u64 = 3;

fn quotas(cluster: &str, namespace: &str) -> String {
    format!("/kubernetes/{cluster}/api/v1/namespaces/{namespace}/resourcequotas")
}

fn quota(name: &str, pods: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name},
        "spec": {"hard": {"pods": pods.to_string()}},
    })
}

/// What the project's namespaces have in a cluster.
async fn given(admin: &Door, cluster: &str) -> u64 {
    let list = admin.get(&format!("/kubernetes/{cluster}/api/v1/resourcequotas")).await.ok();
    let of_project = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["metadata"]["namespace"].as_str().unwrap().starts_with("shop-"));
    of_project.map(|item| item["spec"]["hard"]["pods"].as_str().unwrap().parse::<u64>().unwrap()).sum()
}

async fn set_limit(admin: &Door, clusters: &[String], pods: u64) {
    let clusters: Vec<Value> =
        clusters.iter().map(|name| json!({"name": name, "quota": {"pods": pods.to_string()}})).collect();
    let project = admin.get(PROJECT).await.ok();
    let mut changed = project.clone();
    changed["spec"]["clusters"] = clusters.into();
    admin.send(Method::PUT, PROJECT, Some(changed)).await.ok();
}

/// Waits until the cluster knows of the bound, and gives what it says of it.
async fn bound(admin: &Door, cluster: &str, pods: u64, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/kubernetes/{cluster}/apis/auth.alauda.io/v1/projectquotas/shop");
    eventually(&format!("{cluster} to know of the bound"), PATIENCE, || async {
        let answer = admin.get(&path).await;
        let known = answer.body["status"]["hard"]["pods"] == *pods.to_string() && holds(&answer.body["status"]);
        if known { Ok(answer.body) } else { Err(answer.text) }
    })
    .await
}

fn exceeded(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Exceeded" && one["status"] == "True")
}

#[tokio::test]
async fn creators_in_two_members_and_the_hub_never_exceed_it() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder.path(), &["--members", "2", "--nodes", "1"]).await;
    let admin = platform.admin().await;
    let clusters = eventually("all clusters", PATIENCE, || async {
        let clusters = platform.clusters(&admin).await;
        if clusters.len() == 3 { Ok(clusters) } else { Err(clusters) }
    })
    .await;
    for cluster in &clusters {
        platform.condition(&admin, cluster, "QuotaEnforced", "True", PATIENCE).await;
        platform.condition(&admin, cluster, "RatioApplied", "True", PATIENCE).await;
    }
    let places: Vec<Value> =
        clusters.iter().map(|name| json!({"name": name, "quota": {"pods": LIMIT.to_string()}})).collect();
    let project = json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "Project", "metadata": {"name": "shop"}, "spec": {"clusters": places},
    });
    admin.post("/kubernetes/global/apis/auth.alauda.io/v1/projects", project).await.ok();
    for cluster in &clusters {
        bound(&admin, cluster, LIMIT, |_| true).await;
        for namespace in ["shop-a", "shop-b"] {
            let labels = json!({"cpaas.io/project": "shop"});
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
            admin.post(&format!("/kubernetes/{cluster}/api/v1/namespaces"), object).await.ok();
        }
    }
    let mut racing = JoinSet::new();
    for cluster in &clusters {
        for number in 0..CREATORS {
            let (admin, path) = (admin.clone(), quotas(cluster, ["shop-a", "shop-b"][number % 2]));
            let cluster = cluster.clone();
            racing.spawn(async move { (cluster, admin.post(&path, quota(&format!("q{number}"), EACH)).await) });
        }
    }
    let mut passed = Vec::new();
    while let Some(raced) = racing.join_next().await {
        let (cluster, answer): (String, Answer) = raced.unwrap();
        match answer.status.is_success() {
            true => passed.push(cluster),
            false => answer.refused(StatusCode::FORBIDDEN, "pods"),
        }
    }
    for cluster in &clusters {
        let count = passed.iter().filter(|one| *one == cluster).count() as u64;
        assert_eq!((count, given(&admin, cluster).await), (LIMIT / EACH, LIMIT / EACH * EACH), "in {cluster}");
    }

    // Loosening holds at once.
    let path = quotas(&clusters[0], "shop-a");
    admin.post(&path, quota("more", EACH)).await.refused(StatusCode::FORBIDDEN, "1 left");
    set_limit(&admin, &clusters, 2 * LIMIT).await;
    for cluster in &clusters {
        bound(&admin, cluster, 2 * LIMIT, |_| true).await;
    }
    admin.post(&path, quota("more", EACH)).await.ok();

    // Tightening takes nothing away; what is given shrinks only, until it fits.
    set_limit(&admin, &clusters, EACH).await;
    for cluster in &clusters {
        bound(&admin, cluster, EACH, exceeded).await;
    }
    assert_eq!(given(&admin, &clusters[0]).await, LIMIT / EACH * EACH + EACH);
    admin.post(&path, quota("again", 1)).await.refused(StatusCode::FORBIDDEN, "pods");
    let more = format!("{path}/more");
    let grown = admin.get(&more).await.ok();
    let change = |pods: u64| {
        let mut changed = grown.clone();
        changed["spec"]["hard"]["pods"] = pods.to_string().into();
        // Its status may have been counted again since.
        changed["metadata"]["resourceVersion"].take();
        changed
    };
    admin.send(Method::PUT, &more, Some(change(EACH + 1))).await.refused(StatusCode::FORBIDDEN, "pods");
    admin.send(Method::PUT, &more, Some(change(EACH - 1))).await.ok();
}
