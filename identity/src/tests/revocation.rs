//! However somebody is to be gone, they are gone at once.

use api_types::auth::{
    DisableUser, DisableUserSpec, Group, GroupSpec, SecurityPolicy, SecurityPolicySpec, SessionPolicy, User,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::support::*;
use crate::{Identity, Login, LoginError, objects};

async fn over(fixture: &Fixture, login: &Login) {
    timeout(SOON, login.session.ended()).await.expect("its streams are closed");
    assert!(fixture.identity.authenticate(&bearer(&login.token)).is_err());
}

#[tokio::test]
async fn case_40_a_disabled_user_is_out_and_is_told_so_with_the_right_password_only() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    fixture.change(&user, json!({"is_disabled": true})).await;
    over(&fixture, &login).await;
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::Barred(_))));
    assert!(matches!(fixture.login("ann@corp.io", "wrong").await, Err(LoginError::Wrong)));
    // Enabled again, what was over stays over; a new sign-in works.
    fixture.change(&user, json!({"is_disabled": false})).await;
    until(|| fixture.identity.inner.index.user("ann@corp.io").is_some_and(|user| user.spec.is_disabled == Some(false)))
        .await;
    assert!(fixture.identity.authenticate(&bearer(&login.token)).is_err());
    let again = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    assert!(fixture.identity.authenticate(&bearer(&again.token)).is_ok());
}

#[tokio::test]
async fn case_40_what_ended_with_disabling_stays_over_everywhere_when_enabling_follows_at_once() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let admin = fixture.administrator().await.session;
    for by_the_door in [true, false] {
        let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
        let make = json!({"description": "ci", "expiration": 3600});
        let (code, made) = fixture.ask("POST", "/auth/v1/accesstoken", Some(&login.session), make).await;
        assert_eq!(code, 200, "{made}");
        let tokens = [login.token.reveal(), made["token"].as_str().unwrap().to_owned()];
        let out = |identity: &Identity| tokens.iter().all(|text| identity.authenticate(&bearer_text(text)).is_err());
        let all_in = |identity: &Identity| tokens.iter().all(|text| identity.authenticate(&bearer_text(text)).is_ok());
        until(|| all_in(&replica)).await;
        for (verb, disabled) in [("disable", true), ("enable", false)] {
            if by_the_door {
                let path = format!("/auth/v1/users/{}/{verb}", user.name_any());
                assert_eq!(fixture.ask("POST", &path, Some(&admin), json!({})).await.0, 200);
            } else {
                fixture.change(&user, json!({"is_disabled": disabled})).await;
            }
        }
        let version = |user: &User| objects::number(user.resource_version().as_deref()).unwrap();
        let now = version(&objects::users(&fixture.client).get(&user.name_any()).await.unwrap());
        for identity in [&fixture.identity, &replica] {
            until(|| version(&identity.inner.index.user("ann@corp.io").unwrap()) >= now).await;
            assert!(out(identity), "by the door: {by_the_door}");
        }
        if !by_the_door {
            // Nothing of it is in the object: what saw it has to have deleted what ended.
            let stored = async || {
                fixture.secrets.list(&ListParams::default().labels(objects::SESSION_LABEL)).await.unwrap().items.len()
            };
            let gone = timeout(SOON, async {
                // The administrator's stays.
                while stored().await > 1 {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            });
            gone.await.expect("what ended is deleted");
        }
        assert!(out(&start(&fixture.client, &fixture.record, &fixture.drain).await), "after a restart");
        let again = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
        until(|| replica.authenticate(&bearer(&again.token)).is_ok()).await;
        fixture.identity.logout(&again.session).await.unwrap();
    }
}

#[tokio::test]
async fn case_40_a_deleted_user_is_out_and_a_new_one_of_the_name_is_another() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    objects::users(&fixture.client).delete(&user.name_any(), &DeleteParams::default()).await.unwrap();
    over(&fixture, &login).await;
    until(|| fixture.identity.inner.index.user("ann@corp.io").is_none()).await;
    let again = objects::user_object(user.spec.clone());
    objects::users(&fixture.client).create(&PostParams::default(), &again).await.unwrap();
    until(|| fixture.identity.inner.index.user("ann@corp.io").is_some()).await;
    assert!(fixture.identity.authenticate(&bearer(&login.token)).is_err());
}

#[tokio::test]
async fn case_40_whoever_leaves_a_group_has_it_no_more_and_streams_end() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let groups: Api<Group> = Api::all(fixture.client.clone());
    let spec = GroupSpec { users: vec!["ann@corp.io".into()], ..GroupSpec::default() };
    groups.create(&PostParams::default(), &Group::new("dev", spec.clone())).await.unwrap();
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let names = || {
        let (session, _) = fixture.identity.authenticate(&bearer(&login.token)).unwrap().unwrap();
        session.user().groups.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    until(|| names() == ["cpaas:users", "dev"]).await;
    let (before, _) = fixture.identity.authenticate(&bearer(&login.token)).unwrap().unwrap();
    // Whoever gains goes on.
    groups.create(&PostParams::default(), &Group::new("ops", spec)).await.unwrap();
    until(|| names() == ["cpaas:users", "dev", "ops"]).await;
    assert!(before.holds(jiff::Timestamp::now()));
    groups.delete("ops", &DeleteParams::default()).await.unwrap();
    timeout(SOON, before.ended()).await.unwrap();
    until(|| names() == ["cpaas:users", "dev"]).await;
}

#[tokio::test]
async fn case_40_sessions_end_by_their_secret() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let only = ListParams::default().labels(objects::SESSION_LABEL);
    for damage in [false, true] {
        let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
        let name = fixture.secrets.list(&only).await.unwrap().items[0].name_any();
        if damage {
            let broken = json!({"stringData": {"value": "none"}});
            fixture.secrets.patch(&name, &PatchParams::default(), &Patch::Merge(&broken)).await.unwrap();
            timeout(SOON, login.session.ended()).await.unwrap();
        }
        fixture.secrets.delete(&name, &DeleteParams::default()).await.unwrap();
        over(&fixture, &login).await;
    }
}

#[tokio::test]
async fn case_40_owners_and_administrators_end_sessions() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let first = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let second = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let (_, listed) = fixture.ask("GET", "/auth/v1/sessions", Some(&first.session), Value::Null).await;
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items.iter().filter(|one| one["current"] == true).count(), 1);
    let (code, _) = fixture.ask("DELETE", "/auth/v1/sessions", Some(&first.session), Value::Null).await;
    assert_eq!(code, 204);
    over(&fixture, &second).await;
    assert!(first.session.holds(jiff::Timestamp::now()));
    let administrator = fixture.administrator().await.session;
    let path = format!("/auth/v1/sessions/{}", first.session.id());
    assert_eq!(fixture.ask("DELETE", &path, Some(&administrator), Value::Null).await.0, 204);
    over(&fixture, &first).await;
}

#[tokio::test]
async fn published_records_disable_users_and_tokens() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let api: Api<DisableUser> = Api::all(fixture.client.clone());
    let spec = DisableUserSpec { expiration: "2999-01-01T00:00:00Z".into(), user: user.name_any() };
    api.create(&PostParams::default(), &DisableUser::new("x", spec)).await.unwrap();
    over(&fixture, &login).await;
    api.delete("x", &DeleteParams::default()).await.unwrap();
    let index = &fixture.identity.inner.index;
    until(|| index.standing(&user, jiff::Timestamp::now()).is_ok()).await;
    assert!(fixture.identity.authenticate(&bearer(&login.token)).is_err());
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let tokens: Api<api_types::auth::DisableToken> = Api::all(fixture.client.clone());
    let spec = api_types::auth::DisableTokenSpec {
        expiration: "2999-01-01T00:00:00Z".into(),
        token_md5: crate::user::md5_hex(login.token.reveal().as_bytes()),
    };
    tokens.create(&PostParams::default(), &api_types::auth::DisableToken::new("x", spec)).await.unwrap();
    until(|| fixture.identity.authenticate(&bearer(&login.token)).is_err()).await;
}

#[tokio::test]
async fn the_policy_bounds_sessions() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    fixture.user("bob@corp.io").await;
    let api: Api<SecurityPolicy> = Api::all(fixture.client.clone());
    let sessions = SessionPolicy { max_online_users: 1, single_per_client: true, ..SessionPolicy::default() };
    let spec = SecurityPolicySpec { sessions, ..SecurityPolicySpec::default() };
    api.create(&PostParams::default(), &SecurityPolicy::new("platform", spec)).await.unwrap();
    until(|| fixture.identity.inner.index.policy().sessions.max_online_users == 1).await;
    let first = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    assert!(matches!(fixture.login("bob@corp.io", PASSWORD).await, Err(LoginError::TooManyOnline)));
    // Administrators are let in whatever the number, and somebody who is here already.
    fixture.administrator().await;
    let second = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    over(&fixture, &first).await;
    assert!(second.session.holds(jiff::Timestamp::now()));
    let other = SecurityPolicy::new("other", SecurityPolicySpec::default());
    assert!(api.create(&PostParams::default(), &other).await.is_err());
}

#[tokio::test]
async fn case_40_what_cannot_be_deleted_is_deleted_as_soon_as_it_can_be() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    // Another replica, to which the hub's API says no, as a full disk or a network would.
    let roles: Api<ClusterRole> = Api::all(fixture.client.clone());
    let role = |verbs: Value| {
        let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]);
        serde_json::from_value(json!({"metadata": {"name": "replica"}, "rules": rules})).unwrap()
    };
    let reads_and_writes = json!(["get", "list", "watch", "create", "update", "patch"]);
    roles.create(&PostParams::default(), &role(reads_and_writes)).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(fixture.client.clone());
    let binding = json!({
        "metadata": {"name": "replica"}, "subjects": [{"kind": "User", "name": "replica"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "replica"},
    });
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    let other = start(&fixture.cluster.user("replica"), &fixture.record, &fixture.drain).await;
    let (session, _) = other.authenticate(&bearer(&login.token)).unwrap().unwrap();
    other.logout(&session).await.unwrap_err();
    assert!(other.authenticate(&bearer(&login.token)).is_err());
    fixture.identity.authenticate(&bearer(&login.token)).unwrap();
    let all = Patch::Merge(json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}));
    roles.patch("replica", &PatchParams::default(), &all).await.unwrap();
    over(&fixture, &login).await;
}
