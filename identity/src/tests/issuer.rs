//! The platform as an OpenID provider, as clients and attackers meet it.

use api_types::auth::{Group, GroupSpec};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::support::*;
use crate::Session;

const LOOPBACK: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier-1";

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// What the command line asks for, with some of it changed; an empty value takes it away.
fn request(changes: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut pairs = vec![
        ("client_id", "ac"),
        ("redirect_uri", LOOPBACK),
        ("response_type", "code"),
        ("scope", "openid email groups profile offline_access"),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("/dex/auth?{query}")
}

impl Fixture {
    async fn get(&self, target: &str) -> (u16, String) {
        let ((code, _), headers) = self.send("GET", target, None, &[], Bytes::new()).await;
        let location = headers.get("location").map(|value| value.to_str().unwrap().to_owned());
        (code, location.unwrap_or_default())
    }

    /// Begins, and says yes as somebody; where the browser is sent.
    async fn agreed(&self, session: &Session, changes: &[(&str, &str)]) -> Url {
        let (code, page) = self.get(&request(changes)).await;
        assert_eq!(code, 303);
        let flow = param(&Url::parse(&page).unwrap(), "flow").unwrap();
        let (code, said) = self.ask("POST", &format!("/auth/v1/flows/{flow}/approve"), Some(session), json!({})).await;
        assert_eq!(code, 200, "{said}");
        Url::parse(said["redirectURL"].as_str().unwrap()).unwrap()
    }

    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "ac"),
            ("redirect_uri", LOOPBACK),
            ("code_verifier", VERIFIER),
            ("code", code),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        self.form("/dex/token", &[], &pairs).await
    }

    async fn tokens(&self, session: &Session) -> Value {
        let code = param(&self.agreed(session, &[]).await, "code").unwrap();
        let (status, tokens) = self.redeem(&code, &[]).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let pairs = [("grant_type", "refresh_token"), ("client_id", "ac"), ("refresh_token", token)];
        self.form("/dex/token", &[], &pairs).await
    }

    async fn rotate(&self, wanted: Value) -> (u16, Value) {
        let admin = self.administrator().await.session;
        self.ask("POST", "/auth/v1/keys/rotate", Some(&admin), wanted).await
    }

    async fn ann(&self) -> Session {
        self.user("ann@corp.io").await;
        self.login("ann@corp.io", PASSWORD).await.unwrap().session
    }

    /// A client with a secret, as an administrator registers it.
    async fn register(&self, id: &str, more: Value) {
        let secret = json!({"metadata": {"name": format!("client-{id}")}, "stringData": {"secret": format!("{id}-secret-of-some-length")}});
        self.secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("dex.coreos.com", "v1", "OAuth2Client"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "cpaas-system", &kind);
        let mut object = json!({
            "apiVersion": "dex.coreos.com/v1", "kind": "OAuth2Client", "metadata": {"name": id}, "id": id,
            "secretRef": {"name": format!("client-{id}"), "key": "secret"}, "redirectURIs": ["https://app.test/cb"],
        });
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        until(|| self.identity.inner.index.client(id).is_some()).await;
    }
}

fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn error(said: &(u16, Value)) -> &str {
    said.1["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_code_becomes_tokens_that_say_who() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let groups: Api<Group> = Api::all(fixture.client.clone());
    let spec = GroupSpec { users: vec!["ann@corp.io".into()], ..GroupSpec::default() };
    groups.create(&PostParams::default(), &Group::new("dev", spec)).await.unwrap();
    until(|| {
        fixture
            .identity
            .inner
            .index
            .sessions(None, jiff::Timestamp::now())
            .iter()
            .any(|grant| !grant.user.groups.is_empty())
    })
    .await;
    let back = fixture.agreed(&session, &[]).await;
    assert_eq!(param(&back, "state").as_deref(), Some("s1"));
    assert_eq!(param(&back, "iss").as_deref(), Some("https://acp.test/dex"));
    let (status, tokens) = fixture.redeem(&param(&back, "code").unwrap(), &[]).await;
    assert_eq!(status, 200, "{tokens}");
    let id = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!((&id["aud"], &id["nonce"], &id["email"]), (&json!("ac"), &json!("n1"), &json!("ann@corp.io")));
    assert_eq!((&id["groups"], &id["iss"]), (&json!(["cpaas:users", "dev"]), &json!("https://acp.test/dex")));
    let access = tokens["access_token"].as_str().unwrap();
    let (who, _) = fixture.identity.authenticate(&bearer_text(access)).unwrap().unwrap();
    assert_eq!(who.user().name.as_str(), "ann@corp.io");
    let ((status, info), _) = fixture
        .send("GET", "/dex/userinfo", None, &[("authorization", &format!("Bearer {access}"))], Bytes::new())
        .await;
    assert_eq!((status, &info["sub"], &info["groups"]), (200, &id["sub"], &json!(["cpaas:users", "dev"])));
    // An ID token says who somebody is to a client. It is no key to anything.
    assert!(fixture.identity.authenticate(&bearer_text(tokens["id_token"].as_str().unwrap())).is_err());
}

#[tokio::test]
async fn case_32_a_code_is_good_once_and_for_whoever_asked() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let code = param(&fixture.agreed(&session, &[]).await, "code").unwrap();
    for changes in [
        [("code_verifier", "another-verifier-another-verifier-another-1")],
        [("code_verifier", "short")],
        [("redirect_uri", "http://127.0.0.1:7778/callback")],
        [("client_id", "alauda-auth")],
    ] {
        assert_eq!(error(&fixture.redeem(&code, &changes).await), "invalid_grant", "{changes:?}");
    }
    let tokens = fixture.redeem(&code, &[]).await.1;
    let access = tokens["access_token"].as_str().unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_ok());
    // Whoever comes with it again has stolen it, or was stolen from: nobody keeps what it gave.
    assert_eq!(error(&fixture.redeem(&code, &[]).await), "invalid_grant");
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    assert_eq!(error(&fixture.refresh(tokens["refresh_token"].as_str().unwrap()).await), "invalid_grant");
}

#[tokio::test]
async fn case_32_requests_that_are_not_whole_get_no_code() {
    let fixture = Fixture::new().await;
    for (name, value, expected) in [
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("scope", "email", "invalid_scope"),
        ("prompt", "none", "login_required"),
        ("request", "x", "request_not_supported"),
        ("max_age", "soon", "invalid_request"),
    ] {
        let (status, location) = fixture.get(&request(&[(name, value)])).await;
        let location = Url::parse(&location).unwrap();
        assert_eq!((status, param(&location, "error").as_deref()), (303, Some(expected)), "{name}={value}");
        assert!(location.as_str().starts_with(LOOPBACK));
        assert_eq!(param(&location, "state").as_deref(), Some("s1"));
    }
}

#[tokio::test]
async fn case_34_nobody_is_sent_where_it_is_not_registered() {
    let fixture = Fixture::new().await;
    for (name, value) in [
        ("redirect_uri", "https://evil.test/callback"),
        ("redirect_uri", "http://127.0.0.1:7777/other"),
        ("redirect_uri", "//evil"),
        ("redirect_uri", ""),
        ("client_id", "nobody"),
        ("client_id", ""),
    ] {
        let (status, location) = fixture.get(&request(&[(name, value)])).await;
        assert_eq!((status, location.as_str()), (400, ""), "{name}={value}");
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.test", request(&[]));
    assert_eq!(fixture.get(&twice).await, (400, String::new()));
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_second_use_ends_all() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let first = fixture.tokens(&session).await;
    let old = first["refresh_token"].as_str().unwrap();
    let (status, second) = fixture.refresh(old).await;
    assert_eq!(status, 200, "{second}");
    let new = second["refresh_token"].as_str().unwrap();
    assert_ne!(old, new);
    let (status, third) = fixture.refresh(new).await;
    assert_eq!(status, 200);
    for forged in ["", "x", &format!("{old}x"), &old.replacen('.', "0.", 1), &new.replace(".1.", ".2.")] {
        assert_ne!(fixture.refresh(forged).await.0, 200, "{forged}");
    }
    let access = third["access_token"].as_str().unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_ok(), "a made-up token ends nothing");
    assert_eq!(error(&fixture.refresh(old).await), "invalid_grant");
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    assert_eq!(error(&fixture.refresh(third["refresh_token"].as_str().unwrap()).await), "invalid_grant");
}

#[tokio::test]
async fn two_who_refresh_at_once_do_not_both_live_on() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let tokens = fixture.tokens(&session).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let all = futures::future::join_all((0..4).map(|_| fixture.refresh(refresh))).await;
    let given: Vec<_> = all.iter().filter_map(|(_, said)| said["refresh_token"].as_str()).collect();
    assert!(!given.is_empty(), "{all:?}");
    // Each has another one, of which only the last is good: the session ends with whoever comes second at the latest.
    assert_eq!(given.iter().collect::<std::collections::HashSet<_>>().len(), given.len());
    let mut last = None;
    for token in &given {
        last = Some(fixture.refresh(token).await);
    }
    if given.len() > 1 {
        assert_eq!(error(&fixture.refresh(given[0]).await), "invalid_grant", "{last:?}");
        assert!(fixture.identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).is_err());
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_asked_for_again() {
    let mut fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let old = fixture.tokens(&session).await["refresh_token"].as_str().unwrap().to_owned();
    // A disk that is full uses nothing up.
    fixture.record.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(fixture.refresh(&old).await.0, 503);
    fixture.record.full.store(false, std::sync::atomic::Ordering::Relaxed);
    let (status, lost) = fixture.refresh(&old).await;
    assert_eq!(status, 200, "{lost}");
    // The hub was started anew, or it is another replica.
    fixture.identity = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let (status, second) = fixture.refresh(&old).await;
    assert_eq!(status, 200, "{second}");
    let (status, third) = fixture.refresh(second["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200, "{third}");
    let access = third["access_token"].as_str().unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_ok());
    // The successor was used: now whoever has the old one has stolen it, or was stolen from.
    assert_eq!(error(&fixture.refresh(&old).await), "invalid_grant");
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    assert_eq!(error(&fixture.refresh(third["refresh_token"].as_str().unwrap()).await), "invalid_grant");
}

#[tokio::test]
async fn a_successor_that_was_replaced_ends_the_session() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let old = fixture.tokens(&session).await["refresh_token"].as_str().unwrap().to_owned();
    let of_one = fixture.refresh(&old).await.1;
    let (status, of_other) = fixture.refresh(&old).await;
    assert_eq!(status, 200, "{of_other}");
    assert_eq!(error(&fixture.refresh(of_one["refresh_token"].as_str().unwrap()).await), "invalid_grant");
    assert!(fixture.identity.authenticate(&bearer_text(of_other["access_token"].as_str().unwrap())).is_err());
    assert_eq!(error(&fixture.refresh(of_other["refresh_token"].as_str().unwrap()).await), "invalid_grant");
}

#[tokio::test]
async fn case_40_tokens_end_with_the_user_and_the_session() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let tokens = fixture.tokens(&session).await;
    let access = tokens["access_token"].as_str().unwrap();
    let (held, _) = fixture.identity.authenticate(&bearer_text(access)).unwrap().unwrap();
    let user = fixture.identity.inner.index.user("ann@corp.io").unwrap();
    fixture.change(&user, json!({"is_disabled": true})).await;
    timeout(SOON, held.ended()).await.unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    assert_eq!(error(&fixture.refresh(tokens["refresh_token"].as_str().unwrap()).await), "invalid_grant");
}

#[tokio::test]
async fn revoked_tokens_end_their_session() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    for kind in ["access_token", "refresh_token"] {
        let tokens = fixture.tokens(&session).await;
        let token = tokens[kind].as_str().unwrap();
        let revoke = [("client_id", "ac"), ("token", token)];
        // Another client cannot, and is told nothing.
        let other = [("client_id", "alauda-auth"), ("token", token)];
        assert_eq!(fixture.form("/dex/token/revoke", &[], &other).await.0, 200);
        assert!(fixture.identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).is_ok());
        assert_eq!(fixture.form("/dex/token/revoke", &[], &revoke).await.0, 200);
        assert!(fixture.identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).is_err());
    }
}

#[tokio::test]
async fn a_client_with_a_secret_proves_it() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    fixture.register("grafana", json!({})).await;
    let app = [("client_id", "grafana"), ("redirect_uri", "https://app.test/cb"), ("scope", "openid email")];
    let redeem = async |extra: &[(&str, &str)], headers: &[(&str, &str)]| {
        let code = param(&fixture.agreed(&session, &app).await, "code").unwrap();
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("redirect_uri", "https://app.test/cb"),
            ("code_verifier", VERIFIER),
            ("code", &*code),
        ];
        pairs.extend(extra);
        fixture.form("/dex/token", headers, &pairs).await
    };
    let basic = |id: &str, secret: &str| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
    };
    let right = "grafana-secret-of-some-length";
    let posted = redeem(&[("client_id", "grafana"), ("client_secret", right)], &[]).await;
    assert_eq!(posted.0, 200, "{}", posted.1);
    assert_eq!(redeem(&[], &[("authorization", &basic("grafana", right))]).await.0, 200);
    for (extra, header) in [
        (vec![("client_id", "grafana")], None),
        (vec![("client_id", "grafana"), ("client_secret", "wrong")], None),
        (vec![("client_id", "grafana"), ("client_secret", "")], None),
        (vec![], Some(basic("grafana", "wrong"))),
        (vec![("client_secret", right)], Some(basic("grafana", right))),
        (vec![("client_id", "ac")], Some(basic("grafana", right))),
        (vec![], Some("Bearer x".to_owned())),
    ] {
        let headers: Vec<(&str, &str)> = header.iter().map(|value| ("authorization", value.as_str())).collect();
        let said = redeem(&extra, &headers).await;
        assert_eq!((said.0, error(&said)), (401, "invalid_client"), "{extra:?} {header:?}");
    }
    // Its tokens are for it. The platform takes them only if the person has allowed that.
    let access = posted.1["access_token"].as_str().unwrap();
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    let introspect = [("token", access), ("client_id", "grafana"), ("client_secret", right)];
    let (_, said) = fixture.form("/dex/token/introspect", &[], &introspect).await;
    assert_eq!((&said["active"], &said["username"]), (&json!(true), &json!("ann@corp.io")));
    // It asked for no access while the person is away: it ends with the person's session.
    assert!(posted.1["refresh_token"].is_null());
    fixture.identity.logout(&session).await.unwrap();
    let (_, said) = fixture.form("/dex/token/introspect", &[], &introspect).await;
    assert_eq!(said, json!({"active": false}));
}

#[tokio::test]
async fn case_35_a_device_is_let_in_by_whoever_sees_its_code() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let challenge = challenge(VERIFIER);
    let ask = [
        ("client_id", "ac"),
        ("scope", "openid offline_access"),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
    ];
    assert_eq!(error(&fixture.form("/dex/device/code", &[], &ask[..2]).await), "invalid_request");
    let (_, started) = fixture.form("/dex/device/code", &[], &ask).await;
    let (device, shown) = (started["device_code"].as_str().unwrap(), started["user_code"].as_str().unwrap());
    let poll = async |verifier: &str| {
        // The pace is tested beside the code; here every question is the first.
        fixture.identity.inner.issuer.polls.forget();
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", "ac"),
            ("device_code", device),
            ("code_verifier", verifier),
        ];
        fixture.form("/dex/token", &[], &pairs).await
    };
    assert_eq!(error(&poll(VERIFIER).await), "authorization_pending");
    let (code, _) =
        fixture.ask("POST", "/auth/v1/flows/device", Some(&session), json!({"userCode": "BBBB-BBBB"})).await;
    assert_eq!(code, 404);
    let typed = json!({"userCode": shown.to_lowercase().replace('-', " ")});
    let (code, said) = fixture.ask("POST", "/auth/v1/flows/device", Some(&session), typed).await;
    assert_eq!(code, 200, "{said}");
    let flow = said["flow"].as_str().unwrap();
    let (_, said) = fixture.ask("GET", &format!("/auth/v1/flows/{flow}"), None, Value::Null).await;
    assert_eq!(
        (&said["userCode"], &said["address"], &said["device"]),
        (&json!(shown), &json!("10.0.0.1"), &json!(true))
    );
    let (code, _) = fixture.ask("POST", &format!("/auth/v1/flows/{flow}/approve"), Some(&session), json!({})).await;
    assert_eq!(code, 200);
    // The token is bound to whoever began.
    assert_eq!(error(&poll("another-verifier-another-verifier-another-1").await), "invalid_grant");
    let (status, tokens) = poll(VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(fixture.identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).is_ok());
    assert_eq!(error(&poll(VERIFIER).await), "expired_token");
    let (code, _) = fixture.ask("POST", &format!("/auth/v1/flows/{flow}/approve"), Some(&session), json!({})).await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_device_may_be_refused() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let challenge = challenge(VERIFIER);
    let ask =
        [("client_id", "ac"), ("scope", "openid"), ("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let (_, started) = fixture.form("/dex/device/code", &[], &ask).await;
    let typed = json!({"userCode": started["user_code"]});
    let (_, said) = fixture.ask("POST", "/auth/v1/flows/device", Some(&session), typed).await;
    let path = format!("/auth/v1/flows/{}/deny", said["flow"].as_str().unwrap());
    assert_eq!(fixture.ask("POST", &path, Some(&session), json!({})).await.0, 200);
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "ac"),
        ("device_code", started["device_code"].as_str().unwrap()),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(error(&fixture.form("/dex/token", &[], &pairs).await), "access_denied");
}

#[tokio::test]
async fn a_workload_acts_as_the_user_that_it_was_given() {
    let fixture = Fixture::new().await;
    fixture.user("ci@corp.io").await;
    let workloads = json!([{"namespace": "default", "serviceAccount": "deployer", "user": "ci@corp.io"}]);
    fixture.register("ci", json!({"workloads": workloads})).await;
    let token = async |account: &str, audience: &str| {
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(fixture.client.clone(), "default");
        let object = json!({"metadata": {"name": account}});
        let _ = accounts.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await;
        let request = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
        let made = accounts
            .create_token_request(account, &PostParams::default(), &serde_json::from_value(request).unwrap())
            .await
            .unwrap();
        made.status.unwrap().token
    };
    let exchange = async |subject: &str| {
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_id", "ci"),
            ("client_secret", "ci-secret-of-some-length"),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        fixture.form("/dex/token", &[], &pairs).await
    };
    let (status, said) = exchange(&token("deployer", "https://acp.test/dex").await).await;
    assert_eq!(status, 200, "{said}");
    let (who, _) =
        fixture.identity.authenticate(&bearer_text(said["access_token"].as_str().unwrap())).unwrap().unwrap();
    assert_eq!(who.user().name.as_str(), "ci@corp.io");
    // One that is meant for the cluster, one of another workload, one of nobody.
    assert_eq!(
        error(&exchange(&token("deployer", "https://kubernetes.default.svc.cluster.local").await).await),
        "invalid_grant"
    );
    assert_eq!(error(&exchange(&token("other", "https://acp.test/dex").await).await), "invalid_grant");
    assert_eq!(error(&exchange("a.b.c").await), "invalid_grant");
}

#[tokio::test]
async fn an_exchanged_token_is_narrower() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    fixture.register("shop", json!({"trustedPeers": ["ac"]})).await;
    let access = fixture.tokens(&session).await["access_token"].as_str().unwrap().to_owned();
    let exchange = async |audience: &str| {
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_id", "ac"),
            ("subject_token", &*access),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", audience),
            ("scope", "email"),
        ];
        fixture.form("/dex/token", &[], &pairs).await
    };
    let (status, said) = exchange("shop").await;
    assert_eq!(status, 200, "{said}");
    let narrow = claims(said["access_token"].as_str().unwrap());
    assert_eq!(
        (&narrow["aud"], &narrow["scope"], &narrow["groups"]),
        (&json!(["shop"]), &json!("email"), &Value::Null)
    );
    assert!(fixture.identity.authenticate(&bearer_text(said["access_token"].as_str().unwrap())).is_err());
    // A client that is called like the platform is none.
    fixture.register("acp", json!({"trustedPeers": ["ac"]})).await;
    for audience in ["acp", "alauda-auth", "nobody"] {
        assert_eq!(error(&exchange(audience).await), "invalid_target", "{audience}");
    }
    let (status, _) = fixture.get(&request(&[("client_id", "acp"), ("redirect_uri", "https://app.test/cb")])).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_client_signs_the_person_out() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let tokens = fixture.tokens(&session).await;
    let (access, id) = (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
    let (status, to) =
        fixture.get(&format!("/dex/logout?id_token_hint={id}&post_logout_redirect_uri=https%3A%2F%2Fevil.test")).await;
    assert_eq!((status, to.as_str()), (303, "https://acp.test/signed-out"));
    assert!(fixture.identity.authenticate(&bearer_text(access)).is_err());
    let (status, to) = fixture.get("/dex/logout?id_token_hint=a.b.c").await;
    assert_eq!((status, to.as_str()), (303, "https://acp.test/signed-out"));
}

#[tokio::test]
async fn case_44_credentials_in_an_address_are_refused() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let code = param(&fixture.agreed(&session, &[]).await, "code").unwrap();
    let target = format!("/dex/token?code={code}");
    let said = fixture.form(&target, &[], &[("grant_type", "authorization_code"), ("client_id", "ac")]).await;
    assert_eq!(error(&said), "invalid_request");
    let access = fixture.tokens(&session).await["access_token"].as_str().unwrap().to_owned();
    let ((status, _), _) =
        fixture.send("GET", &format!("/dex/userinfo?access_token={access}"), None, &[], Bytes::new()).await;
    assert_eq!(status, 401);
    let (status, _) =
        fixture.ask("POST", "/auth/v1/sessions?password=x", None, json!({"username": "a", "password": "b"})).await;
    assert_eq!(status, 400);
    let events = json!(*fixture.record.events.lock().unwrap()).to_string();
    assert!(!events.contains(&code) && !events.contains(&access));
}

#[tokio::test]
async fn keys_that_are_rotated_away_verify_nothing() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let tokens = fixture.tokens(&session).await;
    let access = bearer_text(tokens["access_token"].as_str().unwrap());
    let (ours, theirs) = (&fixture.identity.inner.issuer, &replica.inner.issuer);
    assert!(replica.authenticate(&access).is_ok());
    let (code, keys) = fixture.rotate(json!({})).await;
    // The next one is there for all to see, and signs nothing yet.
    assert_eq!((code, keys["items"].as_array().unwrap().len()), (200, 2), "{keys}");
    assert_eq!(ours.keys().document["keys"].as_array().unwrap().len(), 2);
    let now = jiff::Timestamp::now();
    let signs = |at| ours.keys().signing(at).key_id().to_owned();
    assert_ne!(signs(now), signs(now + jiff::SignedDuration::from_hours(25)));
    assert_eq!(fixture.rotate(json!({})).await.1, keys, "one that waits is enough");
    theirs.renew(&fixture.client, now).await.unwrap();
    assert_eq!(theirs.keys().document, ours.keys().document);
    assert!(fixture.identity.authenticate(&access).is_ok() && replica.authenticate(&access).is_ok());

    let before = ours.keys().document.clone();
    let (code, keys) = fixture.rotate(json!({"revoke": true})).await;
    assert_eq!((code, keys["items"].as_array().unwrap().len()), (200, 1), "{keys}");
    assert!(fixture.identity.authenticate(&access).is_err());
    theirs.renew(&fixture.client, now).await.unwrap();
    assert!(replica.authenticate(&access).is_err());
    assert!(!before["keys"].as_array().unwrap().contains(&ours.keys().document["keys"][0]));
    // Nobody has to sign in again: a session of the door needs no key, and a client refreshes.
    assert!(session.holds(now));
    assert_eq!(fixture.refresh(tokens["refresh_token"].as_str().unwrap()).await.0, 200);
    let events = json!(*fixture.record.events.lock().unwrap()).to_string();
    assert!(events.contains("\"verb\":\"rotate\"") && events.contains("\"verb\":\"revoke\""), "{events}");
}

#[tokio::test]
async fn keys_that_are_deleted_are_made_anew() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let tokens = fixture.tokens(&session).await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    fixture.secrets.delete(crate::keys::NAME, &kube::api::DeleteParams::default()).await.unwrap();
    let now = jiff::Timestamp::now();
    for identity in [&fixture.identity, &replica] {
        identity.inner.issuer.renew(&fixture.client, now).await.unwrap();
        assert!(identity.authenticate(&bearer_text(tokens["access_token"].as_str().unwrap())).is_err());
    }
    assert_eq!(fixture.identity.inner.issuer.keys().document, replica.inner.issuer.keys().document);
    // What was sealed is opened by nobody either.
    assert_eq!(fixture.refresh(tokens["refresh_token"].as_str().unwrap()).await.1["error"], "invalid_grant");
    assert!(session.holds(now));
}

#[tokio::test]
async fn keys_are_rotated_by_administrators() {
    let fixture = Fixture::new().await;
    let ann = fixture.ann().await;
    let before = fixture.identity.inner.issuer.keys().document.clone();
    let path = "/auth/v1/keys/rotate";
    assert_eq!(fixture.ask("POST", path, None, json!({})).await.0, 401);
    let nobody = fixture.cluster.user("ann@corp.io");
    assert_eq!(fixture.ask_as(nobody, "POST", path, Some(&ann), json!({"revoke": true})).await.0, 403);
    let admin = fixture.administrator().await.session;
    assert_eq!(fixture.ask("GET", path, Some(&admin), Value::Null).await.0, 405);
    assert_eq!(fixture.ask("POST", path, Some(&admin), json!({"revoked": true})).await.0, 400);
    assert_eq!(fixture.identity.inner.issuer.keys().document, before);
}

#[tokio::test]
async fn two_who_rotate_at_once_leave_keys_that_both_know() {
    let fixture = Fixture::new().await;
    let replica = start(&fixture.client, &fixture.record, &fixture.drain).await;
    let (ours, theirs) = (&fixture.identity.inner.issuer, &replica.inner.issuer);
    let now = jiff::Timestamp::now();
    let both = tokio::join!(ours.rotate(&fixture.client, now, true), theirs.rotate(&fixture.client, now, true));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    for issuer in [ours, theirs] {
        issuer.renew(&fixture.client, now).await.unwrap();
    }
    assert_eq!(ours.keys().document, theirs.keys().document);
    assert_eq!(ours.keys().document["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn max_age_asks_again() {
    let fixture = Fixture::new().await;
    let session = fixture.ann().await;
    let (_, page) = fixture.get(&request(&[("prompt", "login")])).await;
    let flow = param(&Url::parse(&page).unwrap(), "flow").unwrap();
    let path = format!("/auth/v1/flows/{flow}/approve");
    let (code, said) = fixture.ask("POST", &path, Some(&session), json!({})).await;
    assert_eq!((code, said["reason"].as_str()), (401, Some("SignInAgain")));
    let again = fixture.login("ann@corp.io", PASSWORD).await.unwrap().session;
    assert_eq!(fixture.ask("POST", &path, Some(&again), json!({})).await.0, 200);
}
