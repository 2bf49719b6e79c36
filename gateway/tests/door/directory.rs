//! People whom a directory knows, at a real OpenLDAP.

use api_types::auth::User;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::PASSWORD;
use crate::providers::connectors;
use crate::slapd::{READER, READER_PASSWORD, Setup, Slapd};
use crate::support::{Answer, Door, JSON, eventually};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=org";

pub(crate) async fn corp(slapd: &Slapd) -> Door {
    let door = Door::open().await;
    let secret = json!({"metadata": {"name": "connector-corp"}, "stringData": {"password": READER_PASSWORD}});
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(door.cluster.admin(), "cpaas-system");
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let config = json!({
        "host": slapd.ldaps(), "rootCAData": slapd.authority(), "bindDN": READER,
        "bindPW": {"secretKeyRef": {"name": "connector-corp", "key": "password"}},
        "userSearch": {
            "baseDN": "ou=people,dc=example,dc=org", "filter": "(objectClass=inetOrgPerson)", "username": "uid",
            "idAttr": "entryUUID", "emailAttr": "mail", "nameAttr": "cn",
        },
        "groupSearch": {
            "baseDN": "ou=groups,dc=example,dc=org", "filter": "(objectClass=groupOfNames)", "userAttr": "DN",
            "groupAttr": "member", "nameAttr": "cn", "recursive": true,
        },
    });
    let object = json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": "corp"},
        "id": "corp", "name": "Corp", "type": "ldap", "spec": {"config": config},
    });
    connectors(&door).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    eventually("the directory is offered", async || {
        door.ask("GET", "/auth/v1/providers", &[], "").await.text.contains("\"corp\"")
    })
    .await;
    door
}

async fn sign_in(door: &Door, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password, "idp": "corp"}).to_string();
    door.ask("POST", "/auth/v1/sessions", &[JSON], &body).await
}

async fn sync(door: &Door) -> Value {
    let administrator = door.administrator().await;
    let headers = [JSON, ("authorization", &*administrator)];
    let answer = door.ask("POST", "/auth/v1/connectors/corp/sync", &headers, "{}").await;
    assert_eq!(answer.code, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn people_of_a_directory_sign_in_with_their_groups() {
    let setup =
        Setup::ann().person("bob", "").group("dev", &[ANN]).group("staff", &["cn=dev,ou=groups,dc=example,dc=org"]);
    let slapd = setup.start();
    let door = corp(&slapd).await;
    let said = sign_in(&door, "ann", PASSWORD).await;
    assert_eq!(said.code, 200, "{said:?}");
    let said = said.json();
    assert_eq!(
        (&said["username"], &said["groups"]),
        (&json!("ann@example.org"), &json!(["cpaas:users", "dev", "staff"]))
    );
    assert_eq!(said["provider"]["type"], "ldap");
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("ann", ""), ("*", PASSWORD), ("a*", PASSWORD)] {
        assert_eq!(sign_in(&door, name, password).await.code, 401, "{name}");
    }
    // The local provider knows nobody of the directory.
    let local = json!({"username": "ann", "password": PASSWORD}).to_string();
    assert_eq!(door.ask("POST", "/auth/v1/sessions", &[JSON], &local).await.code, 401);
}

#[tokio::test]
async fn case_40_whoever_vanishes_from_a_directory_is_invalid_and_out() {
    let slapd = Setup::ann().person("bob", "").start();
    let door = corp(&slapd).await;
    assert_eq!(sync(&door).await["users"], 2);
    let users: Api<User> = Api::all(door.cluster.admin());
    let of_corp = ListParams::default().labels("auth.cpaas.io/user.connector_id=corp");
    assert_eq!(users.list(&of_corp).await.unwrap().items.len(), 2);
    let token = sign_in(&door, "ann", PASSWORD).await.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let current = async || door.ask("GET", "/auth/v1/sessions/current", &[("authorization", &bearer)], "").await.code;
    assert_eq!(current().await, 200);
    // To the platform whoever is no longer found is gone.
    let narrowed = json!({"spec": {"config": {"userSearch": {"filter": "(uid=bob)"}}}});
    connectors(&door).patch("corp", &PatchParams::default(), &Patch::Merge(narrowed)).await.unwrap();
    eventually("the directory is looked through as it is now", async || sync(&door).await["users"] == 1).await;
    assert_eq!(current().await, 401);
    assert_eq!(sign_in(&door, "ann", PASSWORD).await.code, 401);
    let name = users.list(&of_corp).await.unwrap().items;
    assert_eq!(name.iter().filter(|user| user.spec.valid).count(), 1);
    eventually("the Connector says so", async || {
        connectors(&door).get("corp").await.unwrap().data["status"].to_string().contains("\"Synced\"")
    })
    .await;
}

#[tokio::test]
async fn a_directory_with_a_schedule_is_looked_through_by_itself() {
    let slapd = Setup::ann().start();
    let door = corp(&slapd).await;
    let patch = async |spec: Value| {
        let patch = Patch::Merge(json!({"spec": spec}));
        connectors(&door).patch("corp", &PatchParams::default(), &patch).await.unwrap();
    };
    let status = async || connectors(&door).get("corp").await.unwrap().data["status"].to_string();
    patch(json!({"sync": {"schedule": "every night"}})).await;
    eventually("the Connector says what is wrong", async || status().await.contains("spec.sync.schedule")).await;
    patch(json!({"sync": {"schedule": "0 2 * * *"}, "config": {"userSearch": {"scope": "up"}}})).await;
    // A field is named once.
    eventually("the Connector names the field", async || {
        let said = status().await;
        said.contains("spec.config.userSearch.scope") && !said.contains("spec.config.spec")
    })
    .await;
    patch(json!({"config": {"userSearch": {"scope": "sub"}}})).await;
    let users: Api<User> = Api::all(door.cluster.admin());
    eventually("ann is a user before she has signed in", async || {
        users.list(&ListParams::default()).await.unwrap().items.iter().any(|user| user.spec.email == "ann@example.org")
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_is_away_is_told_as_that_and_makes_nobody_vanish() {
    let slapd = Setup::ann().start();
    let door = corp(&slapd).await;
    assert_eq!(sync(&door).await["users"], 1);
    drop(slapd);
    let said = sign_in(&door, "ann", PASSWORD).await;
    assert_eq!((said.code, said.json()["reason"].as_str()), (503, Some("ProviderUnavailable")));
    let administrator = door.administrator().await;
    let headers = [JSON, ("authorization", &*administrator)];
    assert_eq!(door.ask("POST", "/auth/v1/connectors/corp/sync", &headers, "{}").await.code, 503);
    let users: Api<User> = Api::all(door.cluster.admin());
    assert!(users.list(&ListParams::default()).await.unwrap().items.iter().all(|user| user.spec.valid));
}
