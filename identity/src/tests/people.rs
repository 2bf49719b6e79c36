//! Signing in and out, passwords, second factors, tokens.

use api_types::auth::{AccessTokenInfo, SecondFactorPolicy, SecurityPolicy, SecurityPolicySpec, UserSpec};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::support::*;
use crate::{FIRST_ADMINISTRATOR, LoginError, Presented, Token, objects};

#[tokio::test]
async fn the_first_administrator_signs_in_and_out() {
    let fixture = Fixture::new().await;
    let Fixture { identity, password, secrets, .. } = &fixture;
    assert!(password.len() >= 22, "at least 128 bits");
    assert!(identity.propose_first_administrator().unwrap().is_none());
    assert!(!identity.create_first_administrator("of a replica that came later").await.unwrap());
    let login = fixture.administrator().await;
    let (session, presented) = identity.authenticate(&bearer(&login.token)).unwrap().unwrap();
    assert_eq!(presented, Presented::Bearer);
    assert_eq!(session.user().groups[0].as_str(), "cpaas:platform-admins");
    // Neither the token nor the password is anywhere.
    let stored = secrets.list(&ListParams::default()).await.unwrap();
    for data in stored.items.iter().flat_map(|secret| secret.data.iter().flatten()) {
        let text = String::from_utf8_lossy(&data.1.0).into_owned();
        assert!(!text.contains(&login.token.reveal()) && !text.contains(password), "{}", data.0);
    }
    identity.logout(&session).await.unwrap();
    assert!(identity.authenticate(&bearer(&login.token)).is_err());
    session.ended().await;
}

#[tokio::test]
async fn sessions_outlive_the_process() {
    let fixture = Fixture::new().await;
    let login = fixture.administrator().await;
    let next = start(&fixture.client, &fixture.record, &fixture.drain).await;
    assert!(next.propose_first_administrator().unwrap().is_none());
    assert!(next.authenticate(&bearer(&login.token)).unwrap().is_some());
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_look_the_same() {
    let fixture = Fixture::new().await;
    let tries = [(FIRST_ADMINISTRATOR, "wrong"), ("nobody", &*fixture.password), ("system:admin", "x"), ("", "")];
    for (name, password) in tries {
        let error = fixture.login(name, password).await.unwrap_err();
        assert!(matches!(error, LoginError::Wrong), "{name}: {error}");
    }
}

#[tokio::test]
async fn case_33_tokens_that_are_not_exactly_ours_are_refused() {
    let fixture = Fixture::new().await;
    let stranger = Token::generate().unwrap();
    assert!(fixture.identity.authenticate(&bearer(&stranger)).is_err());
    assert!(fixture.identity.authenticate(&http::HeaderMap::new()).unwrap().is_none());
}

#[tokio::test]
async fn names_and_emails_sign_in() {
    let fixture = Fixture::new().await;
    fixture
        .user_of(UserSpec { email: "ann@corp.io".into(), username: "Ann".into(), valid: true, ..UserSpec::default() })
        .await;
    for name in ["ann@corp.io", "ANN@corp.io", "ann", "Ann", " ann "] {
        let login = fixture.login(name, PASSWORD).await.unwrap();
        assert_eq!(login.session.user().name.as_str(), "ann@corp.io");
    }
}

#[tokio::test]
async fn a_session_is_listed_as_what_its_client_says_to_be() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let body = json!({"username": "ann@corp.io", "password": PASSWORD}).to_string();
    for (agent, client) in [("ac/1.2.3", "ac"), ("ac", "api"), ("Mac/1", "api"), ("curl/8 ac/1", "api"), ("", "api")] {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let (said, _) = fixture.send("POST", "/auth/v1/sessions", None, &headers, body.clone().into()).await;
        assert_eq!((said.0, said.1["client"].as_str()), (200, Some(client)), "{agent:?}");
    }
}

#[tokio::test]
async fn case_43_guessing_locks_the_guesser_and_the_owner_gets_in() {
    let fixture = Fixture::new().await;
    let mut locked = 0;
    for _ in 0..15 {
        let refused = fixture.login(FIRST_ADMINISTRATOR, "guess").await.unwrap_err();
        locked += u32::from(matches!(refused, LoginError::Throttled(throttled) if throttled.locked));
    }
    assert_eq!(locked, 10);
    let elsewhere = "10.0.0.2".parse().unwrap();
    fixture.login_with(elsewhere, FIRST_ADMINISTRATOR, &fixture.password, None).await.unwrap();
    // People see it, and an administrator ends it.
    let administrator = fixture.login_with(elsewhere, FIRST_ADMINISTRATOR, &fixture.password, None).await.unwrap();
    let name = objects::user_object(UserSpec { email: FIRST_ADMINISTRATOR.into(), ..UserSpec::default() }).name_any();
    let user = objects::users(&fixture.client).get(&name).await.unwrap();
    assert!(user.status.unwrap().locked_until.is_some());
    let path = format!("/auth/v1/users/{name}/unlock");
    let (code, _) = fixture.ask("POST", &path, Some(&administrator.session), Value::Null).await;
    assert_eq!(code, 200);
    let still = fixture.login(FIRST_ADMINISTRATOR, &fixture.password).await;
    // The address failed with ten different guesses within a minute, which is another matter.
    assert!(!matches!(still, Err(LoginError::Throttled(throttled)) if throttled.locked));
}

#[tokio::test]
async fn case_43_a_lock_holds_at_all_replicas_and_after_a_restart_for_where_it_came_from() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let names = ["ann@corp.io", "nobody@corp.io"];
    let mut other = 1;
    for name in names {
        for _ in 0..5 {
            assert!(matches!(fixture.login(name, "guess").await, Err(LoginError::Wrong)));
        }
    }
    let login = async |identity: &crate::Identity, from: std::net::IpAddr, name: &str| {
        let given = crate::Given { username: name, password: PASSWORD, provider: None, code: None };
        identity.login(&origin(from), "api", &given).await
    };
    let next = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let last_locked = crate::locks::Lock::new(PEER, "local/nobody@corp.io");
    until(|| replica.inner.index.locked(&last_locked, Timestamp::now()).is_some()).await;
    for identity in [&replica, &next] {
        // A name of nobody's is locked as well, or it would be known for one.
        for name in names {
            let refused = login(identity, PEER, name).await.unwrap_err();
            assert!(
                matches!(&refused, LoginError::Throttled(lock) if lock.locked && lock.retry_after.as_secs() > 1000)
            );
        }
        // Whoever comes from elsewhere is let in, and takes no lock away.
        other += 1;
        login(identity, format!("10.0.0.{other}").parse().unwrap(), "ann@corp.io").await.unwrap();
        assert!(login(identity, PEER, "Ann@corp.io").await.is_err());
    }
    let admin = fixture.login_with("10.0.0.9".parse().unwrap(), FIRST_ADMINISTRATOR, &fixture.password, None).await;
    let path = format!("/auth/v1/users/{}/unlock", user.name_any());
    assert_eq!(fixture.ask("POST", &path, Some(&admin.unwrap().session), Value::Null).await.0, 200);
    let last = start(&fixture.client, &fixture.record, &fixture.drain).await;
    login(&last, PEER, "ann@corp.io").await.unwrap();
    assert!(matches!(login(&last, PEER, names[1]).await, Err(LoginError::Throttled(lock)) if lock.locked));
}

#[tokio::test]
async fn a_new_password_ends_what_began_with_the_old_one() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let change = |old: &str, new: &str| json!({"username": "ann@corp.io", "password": old, "newPassword": new});
    let (code, said) = fixture.ask("POST", "/auth/v1/password", None, change(PASSWORD, "short")).await;
    assert_eq!((code, said["causes"].as_array().unwrap().len()), (422, 3));
    let (code, _) = fixture.ask("POST", "/auth/v1/password", None, change("wrong", "better-horse8")).await;
    assert_eq!(code, 401);
    let (code, _) = fixture.ask("POST", "/auth/v1/password", None, change(PASSWORD, "better-horse8")).await;
    assert_eq!(code, 204);
    login.session.ended().await;
    assert!(fixture.identity.authenticate(&bearer(&login.token)).is_err());
    assert!(fixture.login("ann@corp.io", PASSWORD).await.is_err());
    fixture.login("ann@corp.io", "better-horse8").await.unwrap();
    // The last ones do not come again.
    let (code, said) = fixture.ask("POST", "/auth/v1/password", None, change("better-horse8", PASSWORD)).await;
    assert_eq!(code, 422, "{said}");
}

#[tokio::test]
async fn an_administrator_makes_a_user_who_changes_the_password_first() {
    let fixture = Fixture::new().await;
    let administrator = fixture.administrator().await.session;
    let body = json!({"email": "Bob@corp.io", "displayName": "Bob", "groups": ["dev"]});
    let (code, user) = fixture.ask("POST", "/auth/v1/users", Some(&administrator), body.clone()).await;
    assert_eq!(code, 201, "{user}");
    let first = user["password"].as_str().unwrap().to_owned();
    assert_eq!(user["metadata"]["labels"]["auth.cpaas.io/user.state"], "active");
    assert_eq!(fixture.ask("POST", "/auth/v1/users", Some(&administrator), body).await.0, 409);
    assert!(matches!(fixture.login("bob@corp.io", &first).await, Err(LoginError::PasswordChangeRequired)));
    assert!(matches!(fixture.login("bob@corp.io", "wrong").await, Err(LoginError::Wrong)));
    let change = json!({"username": "bob@corp.io", "password": first, "newPassword": "my-own-word9"});
    assert_eq!(fixture.ask("POST", "/auth/v1/password", None, change).await.0, 204);
    let login = fixture.login("bob@corp.io", "my-own-word9").await.unwrap();
    assert_eq!(login.session.user().groups.len(), 2, "their own and everybody's");
    let (code, said) =
        fixture.ask("POST", "/auth/v1/users/bob@corp.io/password", Some(&administrator), Value::Null).await;
    assert_eq!(code, 200);
    let again = said["password"].as_str().unwrap();
    login.session.ended().await;
    assert!(matches!(fixture.login("bob@corp.io", again).await, Err(LoginError::PasswordChangeRequired)));
}

#[tokio::test]
async fn bad_users_are_refused_by_field() {
    let fixture = Fixture::new().await;
    let administrator = fixture.administrator().await.session;
    for (body, field) in [
        (json!({"email": "nobody"}), "email"),
        (json!({"email": "a@b@c.io"}), "email"),
        (json!({"email": "system:x@c.io"}), "email"),
        (json!({"email": "c@c.io", "username": ""}), "username"),
        (json!({"email": "c@c.io", "password": "short"}), "password"),
        (json!({"email": "c@c.io", "username": "a\u{0}"}), "username"),
        (json!({"email": "c@c.io", "displayName": "\u{1b}]0;x\u{7}"}), "displayName"),
        (json!({"email": "c@c.io", "mobile": "1\n2"}), "mobile"),
        (json!({"email": "c@c.io", "mail": "\u{7f}"}), "mail"),
        (json!({"email": "c@c.io", "groups": ["dev", "o\u{9b}ps"]}), "groups[1]"),
    ] {
        let (code, said) = fixture.ask("POST", "/auth/v1/users", Some(&administrator), body.clone()).await;
        assert_eq!((code, said["causes"][0][0].as_str()), (422, Some(field)), "{body} {said}");
    }
    let path = "/auth/v1/users/admin@cpaas.io";
    let body = json!({"spec": {"extra": {"room": ["\u{1b}c"]}}});
    let (code, said) = fixture.ask("PATCH", path, Some(&administrator), body).await;
    assert_eq!((code, said["causes"][0][0].as_str()), (422, Some("spec.extra.room[0]")), "{said}");
    let path = format!("/auth/v1/users/{}", crate::user::object_name(FIRST_ADMINISTRATOR));
    let (code, said) = fixture.ask("PATCH", &path, Some(&administrator), json!({"account": "Ann\u{0}"})).await;
    assert_eq!((code, said["causes"][0][0].as_str()), (422, Some("spec.account")), "{said}");
    // Nothing was half made.
    assert_eq!(objects::users(&fixture.client).list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_password_in_a_user_object_is_refused() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let patch = Patch::Merge(json!({"spec": {"password": "x"}}));
    let refused = objects::users(&fixture.client).patch(&user.name_any(), &PatchParams::default(), &patch).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("passwords are not kept in a User"), "{message}");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_good_once() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let login = fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let session = Some(&login.session);
    let (_, said) = fixture.ask("POST", "/auth/v1/totp", session, json!({})).await;
    let secret = said["secret"].as_str().unwrap().to_owned();
    // It does not count before it was shown to work.
    fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    assert_eq!(fixture.ask("PUT", "/auth/v1/totp", session, json!({"code": "000000"})).await.0, 401);
    let at = |second| code(&secret, second);
    let now = Timestamp::now().as_second();
    // A code of the step before, so that one of this step is left.
    assert_eq!(fixture.ask("PUT", "/auth/v1/totp", session, json!({"code": at(now - 30)})).await.0, 204);
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::SecondFactorRequired)));
    assert!(matches!(fixture.login("ann@corp.io", "wrong").await, Err(LoginError::Wrong)));
    let code = at(Timestamp::now().as_second());
    let with = fixture.login_with(PEER, "ann@corp.io", PASSWORD, Some(&code)).await.unwrap();
    let again = fixture.login_with(PEER, "ann@corp.io", PASSWORD, Some(&code)).await;
    assert!(matches!(again, Err(LoginError::WrongCode)), "{again:?}");
    let (_, said) = fixture.ask("GET", "/auth/v1/sessions/current", Some(&with.session), Value::Null).await;
    assert_eq!(said["secondFactor"], true);
    // Taking it away takes the password.
    let remove = |password: &str| json!({"password": password});
    assert_eq!(fixture.ask("DELETE", "/auth/v1/totp", session, remove("wrong")).await.0, 401);
    assert_eq!(fixture.ask("DELETE", "/auth/v1/totp", session, remove(PASSWORD)).await.0, 204);
    fixture.login("ann@corp.io", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_second_factor_that_everybody_needs_is_set_up_before_the_first_sign_in() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let spec = SecurityPolicySpec { second_factor: SecondFactorPolicy::Required, ..SecurityPolicySpec::default() };
    let policies: Api<SecurityPolicy> = Api::all(fixture.client.clone());
    policies.create(&PostParams::default(), &SecurityPolicy::new("platform", spec)).await.unwrap();
    until(|| fixture.identity.inner.index.policy().second_factor == SecondFactorPolicy::Required).await;
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::SecondFactorSetupRequired)));
    let ask = async |step: &str, password: &str, code: Option<String>| {
        let mut body = json!({"username": "ann@corp.io", "password": password});
        if let Some(code) = code {
            body["code"] = code.into();
        }
        let (status, said) = fixture.ask("POST", &format!("/auth/v1/totp/{step}"), None, body).await;
        (status, said["reason"].as_str().unwrap_or_default().to_owned(), said)
    };
    let refused = |status: u16, reason: &str| (status, reason.to_owned());
    let (status, reason, _) = ask("enrol", "wrong", None).await;
    assert_eq!((status, reason), refused(401, "Unauthorized"));
    let secret = ask("enrol", PASSWORD, None).await.2["secret"].as_str().unwrap().to_owned();
    let now = Timestamp::now().as_second();
    let (status, reason, _) = ask("confirm", PASSWORD, Some(code(&secret, now - 3600))).await;
    assert_eq!((status, reason), refused(401, "WrongCode"));
    assert_eq!(ask("confirm", PASSWORD, Some(code(&secret, now - 30))).await.0, 204);
    let (status, reason, _) = ask("enrol", PASSWORD, None).await;
    assert_eq!((status, reason), refused(409, "AlreadyExists"));
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::SecondFactorRequired)));
    let shown = code(&secret, Timestamp::now().as_second());
    fixture.login_with(PEER, "ann@corp.io", PASSWORD, Some(&shown)).await.unwrap();
    // Each attempt is on record: a password is tried here as well as anywhere.
    let events = fixture.record.events.lock().unwrap().clone();
    let of_factors = events.iter().filter(|event| event["objectRef"]["subresource"] == "totp");
    let seen: Vec<_> = of_factors
        .map(|event| (event["verb"].as_str().unwrap(), event["responseStatus"]["code"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("create", 401), ("create", 200), ("update", 401), ("update", 200), ("create", 409)]);
    assert!(!json!(events).to_string().contains(&secret));
    // Whoever may not sign in sets nothing up.
    fixture.change(&user, json!({"is_disabled": true})).await;
    until(|| fixture.identity.inner.index.user("ann@corp.io").is_some_and(|user| user.spec.is_disabled == Some(true)))
        .await;
    assert_eq!(ask("enrol", PASSWORD, None).await.1, "UserDisabled");
}

#[tokio::test]
async fn a_second_factor_is_taken_away_by_whom_it_is_of_whatever_others_are_called() {
    let fixture = Fixture::new().await;
    let named =
        |email: &str| UserSpec { email: email.into(), username: "ann".into(), valid: true, ..Default::default() };
    fixture.user_of(named("ann@corp.io")).await;
    fixture.user_of(named("ann@other.io")).await;
    let session = fixture.login("ann@corp.io", PASSWORD).await.unwrap().session;
    let (_, said) = fixture.ask("POST", "/auth/v1/totp", Some(&session), json!({})).await;
    let shown = code(said["secret"].as_str().unwrap(), Timestamp::now().as_second());
    assert_eq!(fixture.ask("PUT", "/auth/v1/totp", Some(&session), json!({"code": shown})).await.0, 204);
    let (status, said) = fixture.ask("GET", "/auth/v1/totp", Some(&session), Value::Null).await;
    assert_eq!((status, said), (200, json!({"enabled": true})));
    let body = json!({"password": PASSWORD});
    assert_eq!(fixture.ask("DELETE", "/auth/v1/totp", Some(&session), body).await.0, 204);
}

#[tokio::test]
async fn all_that_tries_a_password_is_on_record() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let given = |password: &str| json!({"username": "ann@corp.io", "password": password, "code": "000000"});
    let last = |fixture: &Fixture| fixture.record.events.lock().unwrap().last().cloned().unwrap();
    for (path, password, verb, code) in [
        ("/auth/v1/totp/enrol", "wrong", "create", 401),
        ("/auth/v1/totp/confirm", "wrong", "update", 401),
        ("/auth/v1/totp/enrol", PASSWORD, "create", 200),
        ("/auth/v1/totp/confirm", PASSWORD, "update", 401),
    ] {
        assert_eq!(fixture.ask("POST", path, None, given(password)).await.0, code, "{path}");
        let event = last(&fixture);
        assert_eq!((&event["verb"], &event["user"]["username"]), (&json!(verb), &json!("ann@corp.io")), "{path}");
        assert_eq!(event["responseStatus"]["code"], code, "{path}");
    }
    // So is the moment from which on a second factor counts, or would.
    let session = fixture.login("ann@corp.io", PASSWORD).await.unwrap().session;
    assert_eq!(fixture.ask("PUT", "/auth/v1/totp", Some(&session), json!({"code": "000000"})).await.0, 401);
    assert_eq!(
        (&last(&fixture)["verb"], &last(&fixture)["objectRef"]["subresource"]),
        (&json!("update"), &json!("totp"))
    );
}

#[tokio::test]
async fn api_tokens_are_shown_once_and_end() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let session = fixture.login("ann@corp.io", PASSWORD).await.unwrap().session;
    let make = json!({"description": "ci", "expiration": 3600, "scope": {"readOnly": true}});
    let (code, made) = fixture.ask("POST", "/auth/v1/accesstoken", Some(&session), make.clone()).await;
    assert_eq!(code, 200, "{made}");
    let text = made["token"].as_str().unwrap();
    let (program, _) = fixture.identity.authenticate(&bearer_text(text)).unwrap().unwrap();
    assert_eq!(program.scope().unwrap().read_only, Some(true));
    // It does not make others, and is not a person.
    assert_eq!(fixture.ask("POST", "/auth/v1/accesstoken", Some(&program), make).await.0, 403);
    assert_eq!(fixture.ask("POST", "/auth/v1/totp", Some(&program), json!({})).await.0, 403);
    let (_, listed) = fixture.ask("GET", "/auth/v1/accesstoken", Some(&session), Value::Null).await;
    assert_eq!(listed["items"][0]["description"], "ci");
    assert!(!listed.to_string().contains(text));
    let path = format!("/auth/v1/accesstoken/{}", made["id"].as_str().unwrap());
    assert_eq!(fixture.ask("DELETE", &path, Some(&session), Value::Null).await.0, 204);
    assert!(fixture.identity.authenticate(&bearer_text(text)).is_err());
    assert_eq!(fixture.ask("DELETE", &path, Some(&session), Value::Null).await.0, 404);
    // Whoever deletes the record that people see deletes the token.
    let make = json!({"description": "ci", "expiration": 3600});
    let (_, made) = fixture.ask("POST", "/auth/v1/accesstoken", Some(&session), make).await;
    let (program, _) = fixture.identity.authenticate(&bearer_text(made["token"].as_str().unwrap())).unwrap().unwrap();
    let records: Api<AccessTokenInfo> = Api::namespaced(fixture.client.clone(), "cpaas-system");
    let name = made["id"].as_str().unwrap();
    assert_eq!(records.get(name).await.unwrap().spec.description, "ci");
    records.delete(name, &DeleteParams::default()).await.unwrap();
    tokio::time::timeout(SOON, program.ended()).await.unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(made["token"].as_str().unwrap())).is_err());
}

#[tokio::test]
async fn case_75_who_is_not_on_record_does_not_sign_in() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    fixture.login("ann@corp.io", PASSWORD).await.unwrap();
    let events = fixture.record.events.lock().unwrap().clone();
    let last = events.last().unwrap();
    assert_eq!((last["verb"].as_str(), last["responseStatus"]["code"].as_u64()), (Some("login"), Some(200)));
    assert_eq!(last["sourceIPs"][0], "10.0.0.1");
    assert!(!json!(events).to_string().contains(PASSWORD));
    fixture.record.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::NoRecord)));
}
