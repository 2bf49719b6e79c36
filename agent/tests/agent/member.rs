//! A member that is a real API server, in this process.

use std::sync::Arc;

use agent::{ClusterApi, CredentialStore, KeptAddress, SecretStore, StoreError, Told};
use apiserver_access::{MASTERS, User};
use apiserver_server::{ApiServer, Running};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tunnel_hub::Room;
use tunnel_protocol::Target;

use crate::support::*;

async fn member() -> Running {
    let store = Arc::new(store_memory::MemoryStore::new(store_memory::Options::default()));
    ApiServer::new(store, apiserver_server::Config::default()).start().await.unwrap()
}

/// The agent's own identity. In a member it has the one right to impersonate, and a few to look around.
fn agent_user() -> User {
    User::new("system:serviceaccount:cpaas-system:acp-agent", [MASTERS])
}

async fn ask(hub: &Hub, user: &str, groups: &[&str], method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path).header("impersonate-user", user);
    for group in groups {
        request = request.header("impersonate-group", *group);
    }
    let request =
        request.header("content-type", "application/json").body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let response =
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap();
    let status = response.status();
    let body: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn users_have_their_own_rights_and_not_the_agents() {
    let member = member().await;
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, ClusterApi::in_process(member.service_as(agent_user()))).await;
    let path = "/api/v1/namespaces";
    let shop = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}"#;
    let (code, text) = ask(&hub, "jane", &[], Method::POST, path, shop).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{text}");
    assert!(text.contains("jane"), "{text}");
    let (code, text) = ask(&hub, "root", &[MASTERS], Method::POST, path, shop).await;
    assert_eq!(code, StatusCode::CREATED, "{text}");
    let (code, text) = ask(&hub, "root", &[MASTERS], Method::GET, "/api/v1/namespaces/shop", "").await;
    assert!(code == StatusCode::OK && text.contains("\"name\":\"shop\""), "{text}");
}

#[tokio::test]
async fn a_secret_keeps_the_credential() {
    let member = member().await;
    let client = member.client(agent_user());
    let (namespace, name) = SecretStore::DEFAULT;
    let object = Namespace {
        metadata: ObjectMeta { name: Some(namespace.into()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
    let member_client = client.clone();
    let store = SecretStore::new(client, namespace, name);
    assert!(store.load().await.unwrap().is_none());
    let hub = Hub::start(&[]).await;
    for told in ["one", "another"] {
        let credential = hub.authority.issue(&lib_tls::Leaf::Client(subject())).unwrap();
        store.save(&credential).await.unwrap();
        let kept = store.load().await.unwrap().unwrap();
        assert_eq!((kept.chain_pem(), kept.key_pem()), (credential.chain_pem(), credential.key_pem()));
        // Whom the hub has told to trust lies beside it, and outlives it.
        let told = Told { certificates: told.to_owned(), given: "sha256:00".to_owned() };
        store.save_told(&told).await.unwrap();
        store.save(&credential).await.unwrap();
        assert_eq!(store.load_told().await.unwrap(), Some(told));
    }
    // So does where the hub is.
    assert_eq!(store.load_address().await.unwrap(), None);
    for url in [Some("https://hub.branch:8443"), None, Some("https://hub")] {
        let kept = KeptAddress { url: url.map(|url| url.parse().unwrap()), given: "hub:443".to_owned() };
        store.save_address(&kept).await.unwrap();
        assert_eq!(store.load_address().await.unwrap(), Some(kept));
    }
    assert_eq!(store.load_told().await.unwrap().unwrap().certificates, "another");
    let damaged = json!({"data": {"hub.url": k8s_openapi::ByteString(b"hub".to_vec())}});
    let secrets: Api<Secret> = Api::namespaced(member_client, namespace);
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(&damaged)).await.unwrap();
    assert!(matches!(store.load_address().await, Err(StoreError::Damaged(None))));
}
