//! Clusters that are not what they were, or claim to be another one.

use std::sync::{Arc, Mutex};

use agent::{ClusterApi, Token};
use bytes::Bytes;
use fleet::boxed;
use harness::TestCluster;
use http::Response;
use http_body_util::Full;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::{Value, json};

use crate::agents::{api_of, apply, join, register, run_agent_of};
use crate::clusters::{CLUSTERS, administrator, api, http, import, is_ready, liar_to_all, path_of};
use crate::support::{Door, SOON, eventually};

const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";

async fn object(door: &Door, bearer: &str, name: &str) -> Value {
    door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await.json()
}

async fn says(door: &Door, bearer: &str, name: &str, reason: &str) -> bool {
    let conditions = object(door, bearer, name).await["status"]["conditions"].clone();
    let mut all = conditions.as_array().into_iter().flatten();
    all.any(|one| one["type"] == "IdentityConfirmed" && one["reason"] == reason)
}

#[tokio::test]
async fn case_29_another_cluster_at_a_known_address_gets_no_requests() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let shown = Arc::new(Mutex::new("u1".to_owned()));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (uid, asked) = (shown.clone(), seen.clone());
    let (address, ca) = liar_to_all(move |head| {
        asked.lock().unwrap().push(path_of(head).to_owned());
        match path_of(head) {
            KUBE_SYSTEM => http("200 OK", &json!({"metadata": {"uid": *uid.lock().unwrap()}}).to_string()),
            path => api(path, "v1.34.0"),
        }
    })
    .await;
    let body = json!({"name": "moved", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the cluster is ready", || is_ready(&door, &bearer, "moved")).await;
    assert!(says(&door, &bearer, "moved", "SameAsBefore").await);
    assert_eq!(door.ask("GET", "/kubernetes/moved/secret-1", &[auth], "").await.code, 404, "its own answer");

    *shown.lock().unwrap() = "u2".into();
    eventually("it is noticed", || says(&door, &bearer, "moved", "ClusterChanged")).await;
    assert!(!is_ready(&door, &bearer, "moved").await);
    let refused = door.ask("GET", "/kubernetes/moved/secret-2", &[auth], "").await;
    refused.refused(503);
    assert!(refused.text.contains("another cluster answers under the name moved"), "{refused:?}");
    let paths = seen.lock().unwrap().clone();
    assert!(paths.contains(&"/secret-1".to_owned()) && !paths.contains(&"/secret-2".to_owned()), "{paths:?}");
    assert_eq!(object(&door, &bearer, "moved").await["status"]["identity"]["uid"], "u1");

    // Somebody knows that it was rebuilt.
    let patch = json!({"metadata": {"annotations": {"fleet.cpaas.io/cluster-uid": "u2"}}}).to_string();
    let merge = ("content-type", "application/merge-patch+json");
    assert_eq!(door.ask("PATCH", &format!("{CLUSTERS}/moved"), &[auth, merge], &patch).await.code, 200);
    eventually("it is ready again", || is_ready(&door, &bearer, "moved")).await;
    assert_eq!(door.ask("GET", "/kubernetes/moved/secret-3", &[auth], "").await.code, 404, "its own answer");
}

/// Whether what answers under a name has this object.
async fn has_map(door: &Door, bearer: &str, name: &str, map: &str) -> bool {
    let path = format!("/kubernetes/{name}/api/v1/namespaces/default/configmaps/{map}");
    door.ask("GET", &path, &[("authorization", bearer)], "").await.code == 200
}

#[tokio::test]
async fn case_29_an_agent_that_reports_somebody_elses_uid_gets_none_of_its_requests() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let honest = TestCluster::start().await;
    let uid = Api::<Namespace>::all(honest.admin()).get("kube-system").await.unwrap().uid().unwrap();
    let (agent, _folder) = join(&door, &bearer, "honest", &honest).await;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-honest", "namespace": "default"}});
    apply(&honest, map).await;

    let member = TestCluster::start().await;
    for object in fleet::member_objects() {
        apply(&member, object).await;
    }
    let (true_api, claimed) = (api_of(&member), uid.clone());
    let lying = ClusterApi::from_fn(move |request| {
        let (api, uid) = (true_api.clone(), claimed.clone());
        Box::pin(async move {
            if request.uri().path() != KUBE_SYSTEM {
                return api.send(request).await;
            }
            let object = json!({"metadata": {"uid": uid}}).to_string();
            Ok(Response::new(boxed(Full::new(Bytes::from(object)))))
        })
    });
    let registration = register(&door, &bearer, "a-liar").await;
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new(registration["token"].as_str().unwrap());
    let drain = run_agent_of(&door, "a-liar", lying, folder.path(), Some(token));
    eventually("the claim is seen", || says(&door, &bearer, "a-liar", "SameClusterAs")).await;

    // Who was there first stays what it was, and so does the way to it.
    eventually("the honest one is itself", || says(&door, &bearer, "honest", "SameAsBefore")).await;
    assert!(is_ready(&door, &bearer, "honest").await);
    assert!(has_map(&door, &bearer, "honest", "of-honest").await);
    eventually("the other one is its own", || async {
        let path = "/kubernetes/a-liar/api/v1/namespaces/default/configmaps";
        let list = door.ask("GET", path, &[("authorization", &bearer)], "").await;
        list.code == 200 && !list.text.contains("of-honest")
    })
    .await;
    // Nor does it come into what the honest one has when that is away.
    let _ = agent.drain(SOON).await;
    eventually("nobody answers in its place", || async {
        let path = "/kubernetes/honest/api/v1/namespaces/default/configmaps";
        door.ask("GET", path, &[("authorization", &bearer)], "").await.code == 503
    })
    .await;
    let _ = drain.drain(SOON).await;
}
