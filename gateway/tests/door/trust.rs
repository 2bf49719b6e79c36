//! A Kubernetes API server that trusts the issuer, by upstream's structured authentication configuration.

use std::sync::Arc;

use apiserver_endpoints::body;
use apiserver_jwt::{Authentication, Configuration};
use apiserver_server::{Config, Service};
use harness::TestCluster;
use http::Request;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::{Client, Person, register};
use crate::clusters::administrator;
use crate::support::{Door, JSON, eventually};

const SCOPE: &str = "openid email groups";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What `docs/how-to/trust-the-platform-as-an-issuer.md` says to write.
fn configuration(door: &Door) -> String {
    let authority = door.authority.certificate_pem().trim_end().replace('\n', "\n        ");
    format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer:
      url: https://{}/dex
      audiences: [edge]
      certificateAuthority: |
        {authority}
    claimMappings:
      username: {{claim: email, prefix: ''}}
      groups: {{claim: groups, prefix: ''}}
",
        door.address
    )
}

/// A cluster in whose namespace `default` the group `dev` may look at ConfigMaps.
async fn edge(door: &Door) -> (TestCluster, Service) {
    let configuration = Configuration::parse(&configuration(door), &[]).unwrap();
    let authenticators: Vec<Arc<dyn apiserver_access::Authenticator>> =
        vec![Arc::new(Authentication::new(configuration))];
    let cluster = TestCluster::with(Config { authenticators, ..Config::default() }).await;
    let (roles, bindings) = (Api::namespaced(cluster.admin(), "default"), Api::namespaced(cluster.admin(), "default"));
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "dev"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
    }))
    .unwrap();
    roles.create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "dev"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dev"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}],
    }))
    .unwrap();
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    let service = cluster.server.service();
    (cluster, service)
}

async fn ask(service: &Service, path: &str, token: &str) -> (u16, Value) {
    let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(body::empty()).unwrap();
    let response = service.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn id_token(client: &mut Client, person: &Person<'_>) -> String {
    client.sign_in(person, SCOPE).await["tokens"]["id_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_cluster_that_trusts_the_issuer_knows_people_and_groups() {
    let door = Door::open().await;
    let (_cluster, edge) = edge(&door).await;
    register(&door, "edge", json!({})).await;
    let ann = Person::new(&door, "ann@corp.io", &["dev"]).await;
    let bob = Person::new(&door, "bob@corp.io", &["ops"]).await;
    let mut client = Client::with_secret(&door, "edge", "basic").await;
    let token = id_token(&mut client, &ann).await;
    assert_eq!(ask(&edge, MAPS, &token).await.0, 200);
    let (code, refused) = ask(&edge, "/api/v1/namespaces/kube-system/configmaps", &token).await;
    assert!(code == 403 && refused["message"].as_str().unwrap().contains("\"ann@corp.io\""), "{refused}");
    assert_eq!(ask(&edge, MAPS, &id_token(&mut client, &bob).await).await.0, 403);
    // What is for others is nothing here, and neither is an access token.
    let mut other = Client::of_command_line(&door).await;
    let signed = other.sign_in(&ann, SCOPE).await;
    for token in ["id_token", "access_token"] {
        assert_eq!(ask(&edge, MAPS, signed["tokens"][token].as_str().unwrap()).await.0, 401, "{token}");
    }
}

#[tokio::test]
async fn a_cluster_that_trusts_the_issuer_forgets_people_in_time() {
    let door = Door::open().await;
    let (_cluster, edge) = edge(&door).await;
    register(&door, "edge", json!({})).await;
    let admin = administrator(&door).await;
    let ann = Person::new(&door, "ann@corp.io", &["dev"]).await;
    let mut client = Client::with_secret(&door, "edge", "basic").await;
    // A token ends with the time in which its user may be here, which is shorter to wait for than ten minutes.
    let end = Timestamp::now() + SignedDuration::from_secs(8);
    let change = json!({"expired": {"end": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}}).to_string();
    let path = format!("/auth/v1/users/{}", ann.object);
    let changed = door.ask("PATCH", &path, &[JSON, ("authorization", &admin)], &change).await;
    assert_eq!(changed.code, 200, "{changed:?}");
    let token = id_token(&mut client, &ann).await;
    assert_eq!(ask(&edge, MAPS, &token).await.0, 200);
    eventually("the token is over", || async { ask(&edge, MAPS, &token).await.0 == 401 }).await;
}

#[tokio::test]
async fn a_cluster_that_trusts_the_issuer_sees_keys_go() {
    let door = Door::open().await;
    let (_cluster, edge) = edge(&door).await;
    register(&door, "edge", json!({})).await;
    let admin = administrator(&door).await;
    let ann = Person::new(&door, "ann@corp.io", &["dev"]).await;
    let mut client = Client::with_secret(&door, "edge", "basic").await;
    let old = id_token(&mut client, &ann).await;
    assert_eq!(ask(&edge, MAPS, &old).await.0, 200);
    let rotate =
        async |body: &str| door.ask("POST", "/auth/v1/keys/rotate", &[JSON, ("authorization", &admin)], body).await;
    let keys = async || door.ask("GET", "/dex/keys", &[], "").await.json()["keys"].clone();

    assert_eq!(rotate("").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(keys().await.as_array().unwrap().len(), 2);
    assert_eq!(ask(&edge, MAPS, &old).await.0, 200);
    assert_eq!(rotate(r#"{"revoke": true}"#).await.code, 200);
    assert_eq!(keys().await.as_array().unwrap().len(), 1);
    // The library looks at keys once a minute at most; another process of the same client has not looked yet.
    let mut client = Client::with_secret(&door, "edge", "basic").await;
    // The first token of the new key makes the cluster fetch the keys again, and then the old one is gone there too.
    let new = id_token(&mut client, &ann).await;
    eventually("the new key is known", || async { ask(&edge, MAPS, &new).await.0 == 200 }).await;
    assert_eq!(ask(&edge, MAPS, &old).await.0, 401);

    // Whoever cannot ask the door deletes what the keys are kept in.
    let (before, secrets) = (keys().await, Api::<Secret>::namespaced(door.cluster.admin(), "cpaas-system"));
    secrets.delete("acp-identity-keys", &DeleteParams::default()).await.unwrap();
    eventually("there are other keys", || async { keys().await != before }).await;
    let mut client = Client::with_secret(&door, "edge", "basic").await;
    id_token(&mut client, &ann).await;
}
