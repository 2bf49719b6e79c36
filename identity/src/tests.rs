//! Identity on a real API server.

use std::net::IpAddr;

use harness::TestCluster;
use http::header::AUTHORIZATION;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

struct Fixture {
    identity: Identity,
    password: String,
    secrets: Api<Secret>,
    drain: Drain,
}

async fn first_administrator(identity: &Identity) -> String {
    let password = identity.propose_first_administrator().unwrap().unwrap();
    assert!(identity.create_first_administrator(&password).await.unwrap());
    password
}

async fn fixture() -> Fixture {
    let cluster = TestCluster::start().await;
    let drain = Drain::new();
    let identity = Identity::start(cluster.admin(), Config::default(), &drain).await.unwrap();
    let password = first_administrator(&identity).await;
    Fixture { identity, password, secrets: secrets::api(&cluster.admin()), drain }
}

fn bearer(token: &Token) -> HeaderMap {
    [(AUTHORIZATION, format!("Bearer {}", token.reveal()).parse().unwrap())].into_iter().collect()
}

#[tokio::test]
async fn the_first_administrator_signs_in_and_out() {
    let Fixture { identity, password, secrets, .. } = fixture().await;
    assert!(password.len() >= 22, "at least 128 bits");
    assert!(identity.propose_first_administrator().unwrap().is_none());
    assert!(!identity.create_first_administrator("of a replica that came later").await.unwrap());
    let login = identity.login(PEER, FIRST_ADMINISTRATOR, &password).await.unwrap();
    let (session, presented) = identity.authenticate(&bearer(&login.token)).unwrap().unwrap();
    assert_eq!(presented, Presented::Bearer);
    assert_eq!(session.user.groups[0].as_str(), "cpaas:platform-admins");
    // Neither the token nor the password is anywhere.
    let stored = secrets.list(&ListParams::default()).await.unwrap();
    for data in stored.items.iter().flat_map(|secret| secret.data.iter().flatten()) {
        let text = String::from_utf8_lossy(&data.1.0).into_owned();
        assert!(!text.contains(&login.token.reveal()) && !text.contains(&password), "{}", data.0);
    }
    identity.logout(&session).await.unwrap();
    assert!(identity.authenticate(&bearer(&login.token)).is_err());
    identity.ended(&session).await;
}

#[tokio::test]
async fn sessions_outlive_the_process() {
    let cluster = TestCluster::start().await;
    let drain = Drain::new();
    let identity = Identity::start(cluster.admin(), Config::default(), &drain).await.unwrap();
    let password = first_administrator(&identity).await;
    let login = identity.login(PEER, FIRST_ADMINISTRATOR, &password).await.unwrap();
    let next = Identity::start(cluster.admin(), Config::default(), &drain).await.unwrap();
    assert!(next.propose_first_administrator().unwrap().is_none());
    assert!(next.authenticate(&bearer(&login.token)).unwrap().is_some());
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_look_the_same() {
    let Fixture { identity, password, .. } = fixture().await;
    let wrong = identity.login(PEER, FIRST_ADMINISTRATOR, "wrong").await.unwrap_err();
    let unknown = identity.login(PEER, "nobody", &password).await.unwrap_err();
    let reserved = identity.login(PEER, "system:admin", &password).await.unwrap_err();
    let empty = identity.login(PEER, "", "").await.unwrap_err();
    for error in [&wrong, &unknown, &reserved, &empty] {
        assert!(matches!(error, LoginError::Wrong), "{error}");
    }
}

#[tokio::test]
async fn case_33_tokens_that_are_not_exactly_ours_are_refused() {
    let Fixture { identity, .. } = fixture().await;
    let stranger = Token::generate().unwrap();
    assert!(identity.authenticate(&bearer(&stranger)).is_err());
    assert!(identity.authenticate(&HeaderMap::new()).unwrap().is_none());
}

#[tokio::test]
async fn case_40_a_disabled_user_is_out() {
    let Fixture { identity, password, secrets, drain } = fixture().await;
    let login = identity.login(PEER, FIRST_ADMINISTRATOR, &password).await.unwrap();
    let users = secrets.list(&ListParams::default().labels(secrets::USER_LABEL)).await.unwrap();
    let name = users.items[0].metadata.name.clone().unwrap();
    let disable = json!({"stringData": {"disabled": "true"}, "data": {"disabled": "dHJ1ZQ=="}});
    secrets.patch(&name, &PatchParams::default(), &Patch::Merge(&disable)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), identity.ended(&login.session)).await.unwrap();
    assert!(identity.authenticate(&bearer(&login.token)).is_err());
    assert!(matches!(identity.login(PEER, FIRST_ADMINISTRATOR, &password).await, Err(LoginError::Wrong)));
    let _ = drain.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn case_43_guessing_is_throttled_and_the_owner_gets_in() {
    let Fixture { identity, password, .. } = fixture().await;
    let mut throttled = 0;
    for _ in 0..15 {
        throttled += u32::from(matches!(
            identity.login(PEER, FIRST_ADMINISTRATOR, "guess").await,
            Err(LoginError::Throttled(_))
        ));
    }
    assert_eq!(throttled, 5);
    let elsewhere = "10.0.0.2".parse().unwrap();
    identity.login(elsewhere, FIRST_ADMINISTRATOR, &password).await.unwrap();
}

/// However somebody takes a session's Secret away or breaks it, the session is over.
#[tokio::test]
async fn a_session_goes_with_its_secret() {
    let Fixture { identity, password, secrets, .. } = fixture().await;
    let only = ListParams::default().labels(secrets::SESSION_LABEL);
    for damage in [false, true] {
        let login = identity.login(PEER, FIRST_ADMINISTRATOR, &password).await.unwrap();
        let name = secrets.list(&only).await.unwrap().items[0].metadata.name.clone().unwrap();
        if damage {
            let broken = json!({"stringData": {"token": "none"}});
            secrets.patch(&name, &PatchParams::default(), &Patch::Merge(&broken)).await.unwrap();
            tokio::time::timeout(Duration::from_secs(10), identity.ended(&login.session)).await.unwrap();
        }
        secrets.delete(&name, &DeleteParams::default()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), identity.ended(&login.session)).await.unwrap();
        assert!(identity.authenticate(&bearer(&login.token)).is_err());
    }
}

#[tokio::test]
async fn a_session_lasts_as_long_as_configured() {
    let cluster = TestCluster::start().await;
    let drain = Drain::new();
    let config = Config { session: Duration::from_millis(300) };
    let identity = Identity::start(cluster.admin(), config, &drain).await.unwrap();
    let password = first_administrator(&identity).await;
    let login = identity.login(PEER, FIRST_ADMINISTRATOR, &password).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), identity.ended(&login.session)).await.unwrap();
    assert!(login.session.expires <= Timestamp::now());
    assert!(identity.authenticate(&bearer(&login.token)).is_err());
}
