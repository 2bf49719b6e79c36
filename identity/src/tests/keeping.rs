//! What the platform does with Connectors and users by itself.

use api_types::auth::{USER_STATE, User, UserSpec, UserState};
use api_types::dex::Connector;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::support::*;
use crate::providers::Vouched;
use crate::{LoginError, objects};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn directory(name: &str, password: &str) -> Value {
    json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": name}, "id": "corp", "name": "Corp",
        "type": "ldap", "spec": {"config": {
            "host": "ldap.corp.io:636", "bindDN": "cn=acp,dc=corp", "bindPW": password, "rootCAData": "",
            "userSearch": {"baseDN": "ou=people,dc=corp"},
        }},
    })
}

struct Connectors {
    fixture: Fixture,
    api: Api<Connector>,
}

impl Connectors {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let api = Api::namespaced(fixture.client.clone(), "cpaas-system");
        Self { fixture, api }
    }

    /// Creates or changes, as kubectl does.
    async fn apply(&self, name: &str, password: &str) {
        let mut object = directory(name, password);
        let manifest = object.to_string();
        object["metadata"]["annotations"] = json!({LAST_APPLIED: manifest});
        match self.api.get_opt(name).await.unwrap() {
            None => {
                drop(self.api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap())
            }
            Some(_) => {
                self.api.patch(name, &PatchParams::default(), &Patch::Merge(object)).await.unwrap();
            }
        }
    }

    /// Waits until the secret is where it belongs.
    async fn moved(&self, name: &str, password: &str) -> (Connector, Secret) {
        let waited = tokio::time::timeout(SOON, async {
            loop {
                let connector = self.api.get(name).await.unwrap();
                let secret = self.fixture.secrets.get_opt("connector-corp").await.unwrap();
                let known =
                    secret.as_ref().and_then(|secret| secret.data.as_ref()?.get("bindPW").map(|text| text.0.clone()));
                if !json!(connector).to_string().contains(password) && known.as_deref() == Some(password.as_bytes()) {
                    return (connector, secret.unwrap());
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        waited.await.expect("the secret is moved in time")
    }
}

#[tokio::test]
async fn case_53_a_password_in_a_connector_is_moved_to_a_secret() {
    let connectors = Connectors::new().await;
    connectors.apply("corp", "hunter2-hunter2").await;
    let (connector, secret) = connectors.moved("corp", "hunter2-hunter2").await;
    let reference = json!({"secretKeyRef": {"name": "connector-corp", "key": "bindPW"}});
    assert_eq!(connector.spec.config["bindPW"], reference);
    assert_eq!(connector.spec.config["bindDN"], "cn=acp,dc=corp");
    assert!(!connector.annotations().contains_key(LAST_APPLIED));
    assert_eq!(secret.owner_references()[0].name, "corp");
    let resolved = connectors.fixture.identity.inner.resolve(&connector.spec.config).await.unwrap().unwrap();
    assert_eq!(resolved["bindPW"], "hunter2-hunter2");
    // Somebody writes another one, and what else is in the Secret stays.
    let more = Patch::Merge(json!({"stringData": {"more": "1"}}));
    connectors.fixture.secrets.patch("connector-corp", &PatchParams::default(), &more).await.unwrap();
    connectors.apply("corp", "hunter3-hunter3").await;
    connectors.fixture.identity.inner.put_away(&connector).await.unwrap();
    let (connector, secret) = connectors.moved("corp", "hunter3-hunter3").await;
    assert_eq!(connector.spec.config["bindPW"], reference);
    assert!(secret.data.unwrap().contains_key("more"));
}

#[tokio::test]
async fn replicas_that_move_a_secret_at_once_move_the_newest() {
    let connectors = Connectors::new().await;
    let replica = start(&connectors.fixture.client, &connectors.fixture.record, &connectors.fixture.drain).await;
    for n in 0..5 {
        connectors.apply("corp", &format!("hunter-{n}")).await;
        let present = connectors.api.get("corp").await.unwrap();
        let newer = format!("newer-{n}");
        let (ours, theirs) = (&connectors.fixture.identity.inner, &replica.inner);
        let moved = tokio::join!(ours.put_away(&present), connectors.apply("corp", &newer), theirs.put_away(&present));
        assert!(moved.0.is_ok() && moved.2.is_ok(), "{moved:?}");
        // The next tick.
        ours.put_away(&present).await.unwrap();
        connectors.moved("corp", &newer).await;
    }
}

#[tokio::test]
async fn connectors_of_one_id_keep_their_secrets_apart() {
    let connectors = Connectors::new().await;
    connectors.fixture.drain.token().cancel();
    connectors.apply("corp", "hunter2-hunter2").await;
    connectors.apply("other", "hunter3-hunter3").await;
    let next = start(&connectors.fixture.client, &connectors.fixture.record, &lib_drain::Drain::new()).await;
    next.inner.put_secrets_away().await;
    assert!(connectors.fixture.secrets.get_opt("connector-corp").await.unwrap().is_none());
    assert_eq!(connectors.api.get("other").await.unwrap().spec.config["bindPW"], "hunter3-hunter3");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_holds_up_nothing_else() {
    let Connectors { fixture, api } = Connectors::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for name in ["corp", "other", "third"] {
        let mut object = directory(name, "hunter2-hunter2");
        object["id"] = name.into();
        let people = json!({"baseDN": "dc=corp", "username": "uid"});
        let config = json!({"host": silent.local_addr().unwrap(), "insecureNoSSL": true, "userSearch": people});
        object["spec"] = json!({"config": config, "sync": {"schedule": "0 2 * * *"}});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let _held = tokio::time::timeout(SOON, silent.accept()).await.expect("a directory is looked through").unwrap();
    // Another replica takes the keys away that somebody else has.
    let now = jiff::Timestamp::now();
    let others = crate::keys::rotate(&fixture.client, now, true).await.unwrap();
    until(|| fixture.identity.inner.issuer.keys().document == others.document).await;
    let all = api.list(&ListParams::default()).await.unwrap();
    let waits = |one: &Connector| one.status.as_ref().is_none_or(|status| status.last_sync_time.is_none());
    assert!(all.iter().any(waits), "it was not waited for");
}

#[tokio::test]
async fn what_is_said_of_a_provider_takes_nothing_else_away() {
    let connectors = Connectors::new().await;
    connectors.apply("corp", "hunter2-hunter2").await;
    let before = connectors.api.get("corp").await.unwrap();
    let inner = &connectors.fixture.identity.inner;
    let now = jiff::Timestamp::now();
    // Of what was read before either was written, as it is when a new directory is looked through at once.
    inner.tell(&before, "Ready", ("True", "Usable", "It can be used."), json!({}), now).await.unwrap();
    inner.tell(&before, "Synced", ("True", "Synced", "3 people."), json!({"users": 3}), now).await.unwrap();
    let status = connectors.api.get("corp").await.unwrap().status.unwrap();
    let mut kinds: Vec<_> = status.conditions.iter().map(|one| one.type_.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!((kinds, status.users), (vec!["Ready", "Synced"], Some(3)));
}

#[tokio::test]
async fn whoever_was_only_found_in_a_directory_has_not_signed_in() {
    let connectors = Connectors::new().await;
    connectors.apply("corp", "hunter2-hunter2").await;
    let connector = connectors.api.get("corp").await.unwrap();
    let email = Some("ann@corp.io".to_owned());
    let found = Vouched { subject: "1".into(), email, username: "ann".into(), ..Vouched::default() };
    let user = connectors.fixture.identity.inner.admit(&connector, &found).await.unwrap();
    assert_eq!(user.spec.last_login_time, None);
}

#[tokio::test]
async fn a_trial_says_as_whom_an_account_would_sign_in_as_the_sign_in_does() {
    let connectors = Connectors::new().await;
    connectors.apply("corp", "hunter2-hunter2").await;
    let connector = connectors.api.get("corp").await.unwrap();
    let fixture = &connectors.fixture;
    let inner = &fixture.identity.inner;
    fixture.user("bob@corp.io").await;
    let account = |subject: &str, email: Option<&str>| Vouched {
        subject: subject.into(),
        email: email.map(str::to_owned),
        username: subject.into(),
        ..Vouched::default()
    };
    let trial = |account: &Vouched| inner.would_admit(&connector, account, jiff::Timestamp::now());
    // Each as the sign-in has it afterwards.
    for (who, expected) in [
        (account("1", Some("ann@corp.io")), Ok("a new user ann@corp.io is made when the account signs in")),
        (account("1", Some("ann@corp.io")), Ok("the account signs in as the user ann@corp.io")),
        (account("2", Some("bob@corp.io")), Err("NotLinked")),
        (account("3", None), Err("MissingEmail")),
        (account("3", Some("zoë@corp.io")), Err("MissingEmail")),
    ] {
        let said = trial(&who);
        let said = said.as_deref().map_err(LoginError::reason);
        assert_eq!(said, expected, "{who:?}");
        let done = inner.admit(&connector, &who).await;
        assert_eq!(done.as_ref().map(drop).map_err(LoginError::reason), expected.map(drop), "{who:?}");
    }
    let ann = inner.index.user("ann@corp.io").unwrap();
    fixture.change(&ann, json!({"is_disabled": true})).await;
    until(|| inner.index.user("ann@corp.io").is_some_and(|user| user.spec.is_disabled == Some(true))).await;
    assert_eq!(trial(&account("1", None)).map_err(|error| error.reason()), Err("UserDisabled"));
}

#[tokio::test]
async fn how_a_user_stands_is_written_down_when_the_change_is_seen() {
    let fixture = Fixture::new().await;
    let users = objects::users(&fixture.client);
    // As kubectl makes it.
    let spec = UserSpec { email: "ann@corp.io".into(), username: "ann".into(), valid: true, ..UserSpec::default() };
    let mut object = objects::user_object(spec);
    object.metadata.labels = None;
    let user = users.create(&PostParams::default(), &object).await.unwrap();
    let is_in = async |state: UserState| {
        let is = move |user: Option<&User>| {
            user.and_then(|user| user.status.as_ref()).is_some_and(|status| status.state == Some(state))
        };
        let name = user.name_any();
        let waited = await_condition(users.clone(), &name, is);
        tokio::time::timeout(SOON, waited).await.expect("it is written down in time").unwrap().unwrap()
    };
    let began = std::time::Instant::now();
    assert_eq!(is_in(UserState::Normal).await.labels()[USER_STATE], "active");
    // Each of these changes would have to wait for a tick of its own.
    for disabled in [true, false, true, false, true, false] {
        fixture.change(&user, json!({"is_disabled": disabled})).await;
        is_in(if disabled { UserState::Disabled } else { UserState::Normal }).await;
    }
    assert!(began.elapsed() < crate::TICK * 3, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_user_who_is_unlocked_is_unlocked_at_all_replicas() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let given = |password| crate::Given { username: "ann@corp.io", password, provider: None, code: None };
    let from = origin(PEER);
    for _ in 0..5 {
        assert!(matches!(replica.login(&from, "api", &given("guess")).await, Err(LoginError::Wrong)));
    }
    let locked = async || {
        let done = replica.login(&from, "api", &given(PASSWORD)).await;
        matches!(done, Err(LoginError::Throttled(throttled)) if throttled.locked)
    };
    assert!(locked().await);
    let elsewhere = "10.0.0.2".parse().unwrap();
    let admin = fixture.login_with(elsewhere, crate::FIRST_ADMINISTRATOR, &fixture.password, None).await.unwrap();
    let path = format!("/auth/v1/users/{}/unlock", user.name_any());
    assert_eq!(fixture.ask("POST", &path, Some(&admin.session), Value::Null).await.0, 200);
    let waited = tokio::time::timeout(SOON, async {
        while locked().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("the other replica forgets too");
    // Once: who fails again is locked again, whatever an administrator said before.
    for _ in 0..5 {
        let _ = replica.login(&from, "api", &given("guess")).await;
    }
    let mut known = std::collections::HashMap::from([("ann@corp.io".to_owned(), jiff::Timestamp::now())]);
    replica.inner.follow_unlocking(&mut known);
    assert!(locked().await);
    assert!(
        objects::users(&fixture.client)
            .get(&user.name_any())
            .await
            .unwrap()
            .annotations()
            .contains_key(crate::index::UNLOCKED)
    );
}
