//! The published login API, as scripts use it and as others would like to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use rsa::pkcs8::DecodePublicKey;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::support::*;
use crate::{LoginError, objects};

const SCOPE: &str = "openid profile offline_access email groups ext";
const CALLBACK: &str = "https://acp.test/dex/callback";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A script, with its jar.
#[derive(Clone, Default)]
struct Script {
    cookie: Option<String>,
}

impl Script {
    async fn send(&mut self, fixture: &Fixture, method: &str, target: &str, body: Value) -> (u16, Value) {
        let body: Bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let mut headers = vec![JSON];
        let cookie = self.cookie.clone();
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        let (said, headers) = fixture.send(method, target, None, &headers, body).await;
        if let Some(set) = headers.get("set-cookie").map(|value| value.to_str().unwrap()) {
            assert!(set.contains("; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age="), "{set}");
            let pair = set.split(';').next().unwrap();
            self.cookie = (!set.ends_with("Max-Age=0")).then(|| pair.to_owned());
        }
        said
    }

    async fn get(&mut self, fixture: &Fixture, target: &str) -> (u16, Value) {
        self.send(fixture, "GET", target, Value::Null).await
    }

    /// The first two steps; what the second said.
    async fn begin(&mut self, fixture: &Fixture) -> String {
        let (code, said) = self.get(fixture, &login(&[])).await;
        assert_eq!(code, 200, "{said}");
        let query = said["auth_url"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
        let (code, said) = self.get(fixture, &format!("/dex/api/v1/authorize?{query}")).await;
        assert_eq!(code, 200, "{said}");
        said["req"].as_str().unwrap().to_owned()
    }

    async fn submit(&mut self, fixture: &Fixture, req: &str, idp: &str, body: Value) -> (u16, Value) {
        self.send(fixture, "POST", &format!("/dex/api/v1/authorize/{idp}?req={req}"), body).await
    }

    /// All but the last step; the address with the code.
    async fn sign_in(&mut self, fixture: &Fixture, account: &str, password: &str) -> (u16, Value) {
        let req = self.begin(fixture).await;
        let password = encrypted(fixture, password).await;
        self.submit(fixture, &req, "local", json!({"account": account, "password": password})).await
    }

    async fn redeem(&mut self, fixture: &Fixture, said: &Value) -> (u16, Value) {
        let url = Url::parse(said["redirect_url"].as_str().unwrap()).unwrap();
        self.get(fixture, &format!("/console-platform/api/v1/token/callback?{}", url.query().unwrap())).await
    }

    async fn tokens(&mut self, fixture: &Fixture, account: &str, password: &str) -> Value {
        let (code, said) = self.sign_in(fixture, account, password).await;
        assert_eq!(code, 200, "{said}");
        let (code, tokens) = self.redeem(fixture, &said).await;
        assert_eq!(code, 200, "{tokens}");
        tokens
    }
}

/// The first step, with some of it changed; an empty value takes it away.
fn login(changes: &[(&str, &str)]) -> String {
    let mut pairs =
        vec![("client_id", "alauda-auth"), ("redirect_uri", CALLBACK), ("response_type", "code"), ("scope", SCOPE)];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("/console-platform/api/v1/token/login?{query}")
}

async fn pubkey(fixture: &Fixture) -> Value {
    let (code, said) = fixture.ask("GET", "/dex/pubkey", None, Value::Null).await;
    assert_eq!(code, 200, "{said}");
    said
}

fn encrypt(pubkey: &Value, text: &str) -> String {
    let pem = pubkey["pubkey"].as_str().unwrap();
    let key = rsa::PublicKey::from_public_key_pem(pem).unwrap();
    STANDARD.encode(key.pkcs1v15_encrypt(text.as_bytes()).unwrap())
}

async fn encrypted(fixture: &Fixture, password: &str) -> String {
    let pubkey = pubkey(fixture).await;
    encrypt(&pubkey, &json!({"ts": pubkey["ts"], "password": password}).to_string())
}

fn message(said: &(u16, Value)) -> (u16, &str) {
    (said.0, said.1["message"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_script_gets_a_token_that_dies_with_its_session() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let mut script = Script::default();
    let (_, said) = script.get(&fixture, &login(&[])).await;
    let auth = Url::parse(said["auth_url"].as_str().unwrap()).unwrap();
    let asked = |name: &str| auth.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(asked("state").as_deref(), said["state"].as_str());
    assert_eq!((asked("scope").as_deref(), asked("client_id").as_deref()), (Some(SCOPE), Some("alauda-auth")));
    assert!(said["logout_url"].as_str().unwrap().starts_with("https://acp.test/dex/logout?"), "{said}");
    let (_, began) = script.get(&fixture, &format!("/dex/api/v1/authorize?{}", auth.query().unwrap())).await;
    let key = pubkey(&fixture).await;
    assert_eq!(STANDARD.encode(key["pubkey"].as_str().unwrap()), key["pubkey_encode"].as_str().unwrap());
    assert!((Timestamp::now().as_second() - key["ts"].as_str().unwrap().parse::<i64>().unwrap()).abs() < 60);
    assert_eq!(fixture.ask("GET", "/auth/v1/pubkey", None, Value::Null).await.1["pubkey"], key["pubkey"]);
    let password = encrypt(&key, &json!({"ts": key["ts"], "password": PASSWORD}).to_string());
    let body = json!({"account": "ann@corp.io", "password": password});
    let (code, gave) = script.submit(&fixture, began["req"].as_str().unwrap(), "local", body).await;
    assert_eq!(code, 200, "{gave}");
    let back = Url::parse(gave["redirect_url"].as_str().unwrap()).unwrap();
    assert!(back.as_str().starts_with("https://acp.test/dex/callback?code="), "{back}");
    assert!(back.query_pairs().any(|(key, value)| key == "state" && value == said["state"].as_str().unwrap()));
    let (code, tokens) = script.redeem(&fixture, &gave).await;
    assert_eq!((code, &script.cookie), (200, &None), "{tokens}");
    assert_eq!((&tokens["token_type"], &tokens["token_storage"]), (&json!("bearer"), &json!("local")));
    let at = |field: &str| tokens[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(!tokens["issued_at"].as_str().unwrap().contains('.'), "{tokens}");
    assert_eq!(at("expire_at").duration_since(at("issued_at")).as_hours(), 12);

    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    let (session, _) = fixture.identity.authenticate(&access).unwrap().unwrap();
    assert_eq!((session.user().name.as_str(), session.scope()), ("ann@corp.io", None));
    let pairs = [("grant_type", "refresh_token"), ("client_id", "alauda-auth")];
    let refresh = ("refresh_token", tokens["refresh_token"].as_str().unwrap());
    let (code, again) = fixture.form("/dex/token", &[], &[pairs[0], pairs[1], refresh]).await;
    assert_eq!(code, 200, "{again}");
    // The session is seen, and its owner ends it.
    let (_, listed) = fixture.ask("GET", "/auth/v1/sessions", Some(&session), Value::Null).await;
    let listed = listed["items"].as_array().unwrap();
    let own = listed.iter().find(|one| one["current"] == true).unwrap();
    assert_eq!(own["client"], "alauda-auth");
    let path = format!("/auth/v1/sessions/{}", session.id());
    assert_eq!(fixture.ask("DELETE", &path, Some(&session), Value::Null).await.0, 204);
    timeout(SOON, session.ended()).await.unwrap();
    for token in [&tokens, &again] {
        assert!(fixture.identity.authenticate(&bearer_text(token["access_token"].as_str().unwrap())).is_err());
    }
    // Nothing of a secret is on record.
    let events = json!(*fixture.record.events.lock().unwrap()).to_string();
    assert!(events.contains("\"verb\":\"login\"") && events.contains("\"verb\":\"exchange\""), "{events}");
    assert!(!events.contains(PASSWORD) && !events.contains(&password));
}

#[tokio::test]
async fn case_40_a_scripts_token_ends_with_the_password_and_the_user() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    let tokens = Script::default().tokens(&fixture, "ann@corp.io", PASSWORD).await;
    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    fixture.identity.inner.set_password(&user, "better-horse8", false).await.unwrap();
    assert!(fixture.identity.authenticate(&access).is_err());
    let tokens = Script::default().tokens(&fixture, "ann@corp.io", "better-horse8").await;
    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    assert!(fixture.identity.authenticate(&access).is_ok());
    fixture.change(&user, json!({"is_disabled": true})).await;
    until(|| fixture.identity.authenticate(&access).is_err()).await;
    let (code, said) = Script::default().sign_in(&fixture, "ann@corp.io", "better-horse8").await;
    assert_eq!((code, said["reason"].as_str()), (403, Some("UserDisabled")));
}

#[tokio::test]
async fn what_is_asked_for_has_to_be_what_is_published() {
    let fixture = Fixture::new().await;
    let mut script = Script::default();
    for (change, says) in [
        (("client_id", ""), "client_id has to be \"alauda-auth\""),
        (("client_id", "ac"), "client_id has to be \"alauda-auth\""),
        (("redirect_uri", ""), "redirect_uri has to be \"https://acp.test/dex/callback\""),
        (("redirect_uri", "https://evil.test/dex/callback"), "redirect_uri has to be"),
        (("redirect_uri", "https://acp.test/dex/callback/"), "redirect_uri has to be"),
        (("response_type", "token"), "response_type has to be code"),
        (("scope", "profile"), "scope has to contain openid"),
        (("scope", &format!("openid {}", "x".repeat(1024))), "scope is at most 1024 bytes"),
    ] {
        let said = script.get(&fixture, &login(&[change])).await;
        assert!(message(&said).1.contains(says), "{change:?} {said:?}");
        assert_eq!(said.0, 400);
    }
    let twice = format!("{}&client_id=alauda-auth", login(&[]));
    assert_eq!(message(&script.get(&fixture, &twice).await), (400, "client_id is given more than once"));
    // The second step takes nothing else either, and wants all that the first gave.
    let second = |changes: &[(&str, &str)]| {
        login(changes).replace("/console-platform/api/v1/token/login", "/dex/api/v1/authorize")
    };
    for (target, says) in [
        (second(&[]), "state is missing"),
        (second(&[("state", "s"), ("redirect_uri", "https://evil.test/")]), "redirect_uri has to be"),
        (second(&[("state", "s"), ("client_id", "ac")]), "client_id has to be"),
        (second(&[("state", &"s".repeat(1025))]), "at most 1024 bytes"),
    ] {
        let said = script.get(&fixture, &target).await;
        assert!(message(&said).1.contains(says), "{target} {said:?}");
        assert_eq!((said.0, &script.cookie), (400, &None));
    }
    for (method, target) in [
        ("POST", login(&[])),
        ("POST", "/dex/pubkey".into()),
        ("POST", second(&[])),
        ("GET", "/dex/api/v1/authorize/local".into()),
        ("HEAD", "/console-platform/api/v1/token/callback".into()),
    ] {
        assert_eq!(script.send(&fixture, method, &target, Value::Null).await.0, 405, "{method} {target}");
    }
    for target in ["/console-platform/api/v1/token/other", "/dex/api/v1/authorize/local/x"] {
        assert_eq!(script.get(&fixture, target).await.0, 404, "{target}");
    }
}

#[tokio::test]
async fn case_32_a_sign_in_is_finished_by_who_began_it_and_once() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    const INVALID: (u16, &str) = (400, "invalid authentication session");
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    let body = json!({"account": "ann@corp.io", "password": encrypted(&fixture, PASSWORD).await});
    // No cookie, another's, one that was changed, one that is for something else.
    let mut stranger = Script::default();
    assert_eq!(message(&stranger.submit(&fixture, &req, "local", body.clone()).await), INVALID);
    let others = stranger.begin(&fixture).await;
    let said = stranger.submit(&fixture, &req, "local", body.clone()).await;
    assert!(said.0 == 400 && message(&said).1.contains("req has to be"), "{said:?}");
    let said = script.submit(&fixture, &others, "local", body.clone()).await;
    assert!(said.0 == 400 && message(&said).1.contains("req has to be"), "{said:?}");
    let mut broken = Script { cookie: script.cookie.clone().map(|cookie| cookie + "A") };
    assert_eq!(message(&broken.submit(&fixture, &req, "local", body.clone()).await), INVALID);

    let (code, gave) = script.submit(&fixture, &req, "local", body).await;
    assert_eq!(code, 200, "{gave}");
    assert_eq!(message(&Script::default().redeem(&fixture, &gave).await), INVALID);
    let said = stranger.redeem(&fixture, &gave).await;
    assert!(said.0 == 400 && message(&said).1.contains("state has to be"), "{said:?}");
    // Whoever saw the address begins with the same state, and has another verifier for all that.
    let state = Url::parse(gave["redirect_url"].as_str().unwrap()).unwrap();
    let state = state.query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    let target = login(&[("state", &state)]).replace("/console-platform/api/v1/token/login", "/dex/api/v1/authorize");
    assert_eq!(stranger.get(&fixture, &target).await.0, 200);
    let said = stranger.redeem(&fixture, &gave).await;
    assert!(said.0 == 400 && message(&said).1.contains("another client's"), "{said:?}");

    let mut copy = script.clone();
    let (code, tokens) = script.redeem(&fixture, &gave).await;
    assert_eq!(code, 200, "{tokens}");
    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    assert!(fixture.identity.authenticate(&access).is_ok());
    assert_eq!(message(&script.redeem(&fixture, &gave).await), INVALID);
    // Whoever has the cookie too has what another has used, so neither keeps it.
    assert_eq!(copy.redeem(&fixture, &gave).await.0, 400);
    assert!(fixture.identity.authenticate(&access).is_err());
}

#[tokio::test]
async fn bodies_that_are_something_else_are_refused() {
    let fixture = Fixture::new().await;
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    for body in [
        json!({"account": "ann@corp.io", "password": "x", "more": 1}),
        json!({"account": "ann@corp.io"}),
        json!({"password": "x"}),
        json!({"account": "", "password": "x"}),
        json!({"account": "ann@corp.io", "password": ""}),
        json!({"account": "a".repeat(257), "password": "x"}),
        json!({"account": "ann@corp.io", "password": "x".repeat(1025)}),
        json!([]),
    ] {
        assert_eq!(script.submit(&fixture, &req, "local", body.clone()).await.0, 400, "{body}");
    }
    let cookie = script.cookie.clone().unwrap();
    let headers = [("content-type", "text/plain"), ("cookie", &*cookie)];
    let target = format!("/dex/api/v1/authorize/local?req={req}");
    let ((code, _), _) = fixture.send("POST", &target, None, &headers, "{}".into()).await;
    assert_eq!(code, 415, "a page of another origin can send this one");
    let password = encrypted(&fixture, PASSWORD).await;
    let body = json!({"account": "ann@corp.io", "password": password});
    let (code, said) = script.submit(&fixture, &req, "nowhere", body).await;
    assert_eq!((code, said["reason"].as_str()), (404, Some("NotFound")), "{said}");
}

#[tokio::test]
async fn whatever_is_wrong_looks_like_a_wrong_password() {
    let fixture = Fixture::new().await;
    let names: Vec<String> = (0..9).map(|n| format!("user{n}@corp.io")).collect();
    for name in &names {
        fixture.user(name).await;
    }
    let key = pubkey(&fixture).await;
    let of = |ts: &str, password: &str| encrypt(&key, &json!({"ts": ts, "password": password}).to_string());
    let ts = key["ts"].as_str().unwrap();
    let (old, ahead) = (ts.parse::<i64>().unwrap() - 301, ts.parse::<i64>().unwrap() + 3600);
    let mut shorter = STANDARD.decode(of(ts, PASSWORD)).unwrap();
    shorter.pop();
    let wrong = [
        of(ts, "wrong"),
        of(&old.to_string(), PASSWORD),
        of(&ahead.to_string(), PASSWORD),
        encrypt(&key, PASSWORD),
        STANDARD.encode([0x42; 256]),
        STANDARD.encode(shorter),
        PASSWORD.to_owned(),
        of(ts, ""),
    ];
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    let mut answers = Vec::new();
    for (name, password) in names.iter().zip(wrong) {
        let body = json!({"account": name, "password": password});
        answers.push(script.submit(&fixture, &req, "local", body).await);
    }
    let body = json!({"account": "nobody@corp.io", "password": of(ts, PASSWORD)});
    answers.push(script.submit(&fixture, &req, "local", body).await);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!((answer.0, answer.1["reason"].as_str()), (401, Some("Unauthorized")));
    }
    // Each of them counts as one.
    let events = fixture.record.events.lock().unwrap().clone();
    let refused = events.iter().filter(|event| event["verb"] == "login" && event["responseStatus"]["code"] == 401);
    assert_eq!(refused.count(), answers.len());
}

#[tokio::test]
async fn case_43_guesses_lock_whatever_they_are_made_of() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    for n in 0..5 {
        let password = if n % 2 == 0 { encrypted(&fixture, "guess").await } else { "AAAA".to_owned() };
        let (code, _) =
            script.submit(&fixture, &req, "local", json!({"account": "ann@corp.io", "password": password})).await;
        assert_eq!(code, 401);
    }
    let password = encrypted(&fixture, PASSWORD).await;
    let (code, said) =
        script.submit(&fixture, &req, "local", json!({"account": "ann@corp.io", "password": password})).await;
    assert_eq!((code, said["reason"].as_str()), (429, Some("Locked")), "{said}");
    // It is one lock for all ways in.
    assert!(matches!(fixture.login("ann@corp.io", PASSWORD).await, Err(LoginError::Throttled(_))));
}

#[tokio::test]
async fn a_ciphertext_is_good_once_at_all_replicas() {
    let mut fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let password = encrypted(&fixture, PASSWORD).await;
    // They open what was encrypted to the key of the other.
    let body = json!({"account": "ann@corp.io", "password": password});
    let first = std::mem::replace(&mut fixture.identity, replica);
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    let (code, gave) = script.submit(&fixture, &req, "local", body.clone()).await;
    assert_eq!(code, 200, "{gave}");
    let here = pubkey(&fixture).await;
    for identity in [None, Some(first)] {
        if let Some(identity) = identity {
            fixture.identity = identity;
        }
        assert_eq!(pubkey(&fixture).await["pubkey"], here["pubkey"]);
        let mut thief = Script::default();
        let req = thief.begin(&fixture).await;
        let (code, said) = thief.submit(&fixture, &req, "local", body.clone()).await;
        assert_eq!((code, said["reason"].as_str()), (401, Some("Unauthorized")), "{said}");
        // The same bytes in another writing are the same.
        let spaced = json!({"account": "ann@corp.io", "password": format!("{password}\n")});
        assert_eq!(thief.submit(&fixture, &req, "local", spaced).await.0, 401);
    }
    // The code is good at the other replica, once it knows of the sign-in.
    until(|| fixture.identity.inner.index.sessions(Some("ann@corp.io"), Timestamp::now()).len() == 1).await;
    let (code, tokens) = script.redeem(&fixture, &gave).await;
    assert_eq!(code, 200, "{tokens}");
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let (before, password) = (pubkey(&fixture).await, encrypted(&fixture, PASSWORD).await);
    fixture.identity.inner.issuer.rotate(&fixture.client, Timestamp::now(), false).await.unwrap();
    assert_eq!(pubkey(&fixture).await["pubkey"], before["pubkey"]);
    fixture.identity.inner.issuer.rotate(&fixture.client, Timestamp::now(), true).await.unwrap();
    assert_ne!(pubkey(&fixture).await["pubkey"], before["pubkey"]);
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    let body = json!({"account": "ann@corp.io", "password": password});
    assert_eq!(script.submit(&fixture, &req, "local", body).await.0, 401);
    script.tokens(&fixture, "ann@corp.io", PASSWORD).await;
}

#[tokio::test]
async fn a_second_factor_is_asked_of_scripts_too() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let session = fixture.login("ann@corp.io", PASSWORD).await.unwrap().session;
    let (_, said) = fixture.ask("POST", "/auth/v1/totp", Some(&session), json!({})).await;
    let secret = said["secret"].as_str().unwrap().to_owned();
    let at = |second| code(&secret, second);
    let now = Timestamp::now().as_second();
    assert_eq!(fixture.ask("PUT", "/auth/v1/totp", Some(&session), json!({"code": at(now - 30)})).await.0, 204);
    let mut script = Script::default();
    let req = script.begin(&fixture).await;
    let password = encrypted(&fixture, PASSWORD).await;
    let mut submit = async |code: Option<String>| {
        let mut body = json!({"account": "ann@corp.io", "password": password});
        if let Some(code) = code {
            body["code"] = code.into();
        }
        script.submit(&fixture, &req, "local", body).await
    };
    // The same ciphertext is sent again with the code: it has made no session yet.
    let (code, said) = submit(None).await;
    assert_eq!((code, said["reason"].as_str()), (401, Some("SecondFactorRequired")));
    let (code, said) = submit(Some(at(now - 3600))).await;
    assert_eq!((code, said["reason"].as_str()), (401, Some("WrongCode")));
    let (code, gave) = submit(Some(at(Timestamp::now().as_second()))).await;
    assert_eq!(code, 200, "{gave}");
    let (_, tokens) = script.redeem(&fixture, &gave).await;
    let (who, _) =
        fixture.identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).unwrap().unwrap();
    let (_, said) = fixture.ask("GET", "/auth/v1/sessions/current", Some(&who), Value::Null).await;
    assert_eq!(said["secondFactor"], true);
}

#[tokio::test]
async fn a_password_that_has_to_be_changed_gets_no_token() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ann@corp.io").await;
    fixture.identity.inner.set_password(&user, "of-an-admin9", true).await.unwrap();
    let (code, said) = Script::default().sign_in(&fixture, "ann@corp.io", "of-an-admin9").await;
    assert_eq!((code, said["reason"].as_str()), (403, Some("PasswordChangeRequired")));
    let (code, said) = Script::default().sign_in(&fixture, "ann@corp.io", "wrong").await;
    assert_eq!((code, said["reason"].as_str()), (401, Some("Unauthorized")));
}

#[tokio::test]
async fn without_offline_access_there_is_nothing_to_refresh() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    let mut script = Script::default();
    let (_, said) = script.get(&fixture, &login(&[("scope", "openid email")])).await;
    let query = said["auth_url"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    let (_, began) = script.get(&fixture, &format!("/dex/api/v1/authorize?{query}")).await;
    let body = json!({"account": "ann@corp.io", "password": encrypted(&fixture, PASSWORD).await});
    let (_, gave) = script.submit(&fixture, began["req"].as_str().unwrap(), "local", body).await;
    let (code, tokens) = script.redeem(&fixture, &gave).await;
    assert_eq!((code, &tokens["refresh_token"]), (200, &Value::Null));
    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    let (session, _) = fixture.identity.authenticate(&access).unwrap().unwrap();
    assert!(session.expires().duration_since(Timestamp::now()).as_hours() >= 11);
    // Both sessions, the one of the sign-in and the one of the tokens, end together.
    let secrets = fixture.secrets.list(&ListParams::default().labels(objects::SESSION_LABEL)).await.unwrap();
    let parent = secrets.items.iter().map(ResourceExt::name_any).find(|name| !name.ends_with(&session.id())).unwrap();
    let path = format!("/auth/v1/sessions/{}", parent.strip_prefix("session-").unwrap());
    assert_eq!(fixture.ask("DELETE", &path, Some(&session), Value::Null).await.0, 204);
    until(|| fixture.identity.authenticate(&access).is_err()).await;
}

#[tokio::test]
async fn case_75_a_script_that_is_not_on_record_gets_no_token() {
    let fixture = Fixture::new().await;
    fixture.user("ann@corp.io").await;
    fixture.record.full.store(true, std::sync::atomic::Ordering::Relaxed);
    let (code, said) = Script::default().sign_in(&fixture, "ann@corp.io", PASSWORD).await;
    assert_eq!((code, said.get("redirect_url")), (503, None), "{said}");
}
