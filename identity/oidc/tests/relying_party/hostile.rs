//! A provider that means harm, or that somebody has got hold of: it has the right keys, and says what it likes.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use identity_oidc::{Config, Error, LogoutToken, Person, Provider, Reason};
use jiff::Timestamp;
use lib_jose::{Algorithm, SigningKey};
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::peer::CALLBACK;

/// What it answers at each path, and how often it was asked there.
#[derive(Default)]
struct Site {
    answers: Mutex<Map<String, Value>>,
    keys_asked: AtomicUsize,
}

struct Hostile {
    issuer: String,
    authority: Authority,
    key: SigningKey,
    site: Arc<Site>,
}

impl Hostile {
    async fn start() -> Self {
        let authority = Authority::generate("hostile", SystemTime::now()).unwrap();
        let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
        let tls =
            TlsAcceptor::from(Arc::new(server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("https://{}", listener.local_addr().unwrap());
        let (key, site) = (SigningKey::generate().unwrap(), Arc::new(Site::default()));
        let served = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, site) = (tls.clone(), served.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let handle = hyper::service::service_fn(move |request| {
                        let answer = site.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handle).await;
                });
            }
        });
        let hostile = Self { issuer, authority, key, site };
        let at = |path: &str| format!("{}{path}", hostile.issuer);
        hostile.says(
            "/.well-known/openid-configuration",
            json!({
                "issuer": hostile.issuer, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
                "jwks_uri": at("/keys"), "userinfo_endpoint": at("/me"),
            }),
        );
        hostile.says("/keys", json!({"keys": [hostile.key.public_jwk()]}));
        hostile
    }

    /// JSON, or with a text in its place that text as a page.
    fn says(&self, path: &str, answer: Value) {
        self.site.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn provider(&self, changes: &Value) -> Provider {
        let mut config = json!({
            "issuer": self.issuer,
            "clientID": "us",
            "clientSecret": "hush",
            "redirectURI": CALLBACK,
            "rootCAData": STANDARD.encode(self.authority.certificate_pem()),
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        Provider::new("corp", Config::parse(&config).unwrap()).unwrap()
    }

    /// An ID token that is right but for these claims; null takes one away.
    fn id_token(&self, typ: &str, nonce: &str, changes: &Value) -> String {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.issuer, "aud": "us", "sub": "ann", "exp": now + 60, "iat": now, "nonce": nonce,
            "email": "ann@example.com", "at_hash": Algorithm::Rs256.half_hash("access"),
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.key.sign(typ, claims.as_object().unwrap())
    }

    /// A sign-in at which the token endpoint answers `tokens` of the nonce.
    async fn sign_in(&self, changes: &Value, tokens: impl FnOnce(&str) -> Value) -> Result<Person, Error> {
        let provider = self.provider(changes);
        let (url, pending) = provider.begin(Timestamp::now(), CALLBACK).await?;
        let asked = |name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
        self.says("/token", tokens(&asked("nonce")));
        provider.finish(pending, &format!("code=c&state={}", asked("state")), Timestamp::now()).await
    }

    /// What comes of an ID token with these claims.
    async fn claims(&self, changes: Value) -> Result<Person, Error> {
        self.sign_in(&json!({}), |nonce| self.tokens(&self.id_token("JWT", nonce, &changes))).await
    }

    fn tokens(&self, id_token: &str) -> Value {
        json!({"token_type": "Bearer", "access_token": "access", "id_token": id_token})
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/keys" {
            self.keys_asked.fetch_add(1, Ordering::SeqCst);
        }
        let (status, body) = match self.answers.lock().unwrap().get(request.uri().path()) {
            Some(Value::String(page)) => (502, page.clone()),
            Some(answer) if answer.get("error").is_some() => (400, answer.to_string()),
            Some(answer) if answer.get("redirect").is_some() => (307, String::new()),
            Some(answer) => (200, answer.to_string()),
            None => (404, String::new()),
        };
        let response = Response::builder().status(status).header("location", "/elsewhere");
        response.body(Full::from(body)).unwrap()
    }
}

#[track_caller]
fn says(answer: Result<Person, Error>, why: &str) {
    let error = answer.expect_err(why);
    let told: Vec<String> = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
        .map(ToString::to_string)
        .collect();
    let told = told.join(": ");
    assert!(told.contains(why), "{told}");
    assert!(!told.contains('<') && !told.contains("hush"), "{told}");
}

#[tokio::test]
async fn case_31_an_id_token_is_for_us_and_for_this_sign_in() {
    let hostile = Hostile::start().await;
    assert_eq!(hostile.claims(json!({})).await.unwrap().subject, "ann");
    for (changes, why) in [
        (json!({"iss": "https://other"}), "another issuer"),
        (json!({"aud": "other"}), "another audience"),
        (json!({"aud": null}), "another audience"),
        (json!({"azp": "other"}), "another party"),
        (json!({"aud": ["us", "other"]}), "for others as well"),
        (json!({"exp": null}), "never ends"),
        (json!({"exp": 1}), "has expired"),
        (json!({"nbf": 9_999_999_999_u64}), "not valid yet"),
        (json!({"iat": null}), "when it was issued"),
        (json!({"iat": "now"}), "when it was issued"),
        (json!({"iat": 1}), "too long ago"),
        (json!({"iat": 9_999_999_999_u64}), "in the future"),
        (json!({"nonce": null}), "another sign-in"),
        (json!({"nonce": ""}), "another sign-in"),
        (json!({"nonce": ["x"]}), "another sign-in"),
        (json!({"at_hash": "x"}), "another access token"),
        (json!({"at_hash": 5}), "another access token"),
        (json!({"sub": null}), "of nobody"),
        (json!({"sub": ""}), "of nobody"),
        (json!({"sub": 7}), "of nobody"),
    ] {
        says(hostile.claims(changes).await, why);
    }
    let both = json!({"aud": ["us", "other"], "azp": "us"});
    assert!(hostile.claims(both).await.is_ok());
    assert!(hostile.claims(json!({"at_hash": null})).await.is_ok(), "it need not be there");
}

#[tokio::test]
async fn case_30_an_id_token_is_signed_by_the_providers_key() {
    let hostile = Hostile::start().await;
    let other = SigningKey::generate().unwrap();
    let claims = json!({"iss": hostile.issuer, "aud": "us", "exp": 9_999_999_999_u64});
    let forged = other.sign("JWT", claims.as_object().unwrap());
    says(hostile.sign_in(&json!({}), |_| hostile.tokens(&forged)).await, "not one of its issuer's");
    let unsigned = "eyJhbGciOiJub25lIn0.e30.";
    says(hostile.sign_in(&json!({}), |_| hostile.tokens(unsigned)).await, "algorithm is not accepted");
    // A token of another kind, signed by the right key.
    for typ in ["logout+jwt", "at+jwt"] {
        let plain = json!({});
        let answer = hostile.sign_in(&plain, |nonce| hostile.tokens(&hostile.id_token(typ, nonce, &plain))).await;
        says(answer, "of another type");
    }
}

#[tokio::test]
async fn what_a_token_endpoint_says_is_bounded_and_not_repeated() {
    let hostile = Hostile::start().await;
    let answers = [
        (json!("<script>alert('hush')</script>"), "answered 502"),
        (json!({"redirect": true}), "answered 307"),
        (json!({"error": "<b>hush</b>", "error_description": "<script>"}), "for a reason of its own"),
        (json!({"error": 5}), "answered 400"),
        (json!([]), "of another type than Bearer"),
        (json!({"token_type": "DPoP", "access_token": "a", "id_token": "b"}), "of another type than Bearer"),
        (json!({"token_type": "Bearer", "id_token": "b"}), "no access_token"),
        (json!({"token_type": "bearer", "access_token": "access"}), "no id_token"),
        (json!({"token_type": "Bearer", "access_token": "a".repeat(40_000), "id_token": "b"}), "longer than 32 KiB"),
        (json!({"token_type": "Bearer", "access_token": "a", "x": "y".repeat(2 << 20)}), "sent more than"),
        (json!({"token_type": "Bearer", "access_token": "a", "id_token": "<b>"}), "not a JSON Web Token"),
    ];
    for (answer, why) in answers {
        says(hostile.sign_in(&json!({}), |_| answer).await, why);
    }
}

#[tokio::test]
async fn userinfo_is_of_the_same_person_and_says_nothing_of_the_token() {
    let hostile = Hostile::start().await;
    let with = json!({"getUserInfo": true});
    let sign_in = async |said: Value| {
        hostile.says("/me", said);
        hostile.sign_in(&with, |nonce| hostile.tokens(&hostile.id_token("JWT", nonce, &json!({"sid": "s"})))).await
    };
    let ann = sign_in(json!({"sub": "ann", "email": "new@example.com", "sid": "forged", "iss": "x"})).await.unwrap();
    assert_eq!((&*ann.email, ann.session.as_deref()), ("new@example.com", Some("s")));
    says(sign_in(json!({"sub": "root", "email": "root@example.com"})).await, "another person's");
    says(sign_in(json!({"email": "root@example.com"})).await, "another person's");
    says(sign_in(json!(["ann"])).await, "no object");
    says(sign_in(json!("<html>")).await, "answered 502");
    // An access token that would be a header of its own.
    let answer = hostile.sign_in(&with, |nonce| {
        let id = hostile.id_token("JWT", nonce, &json!({"at_hash": null}));
        json!({"token_type": "Bearer", "access_token": "a\r\nCookie: b", "id_token": id})
    });
    says(answer.await, "cannot be sent");
}

#[tokio::test]
async fn a_refresh_may_bring_no_id_token() {
    let hostile = Hostile::start().await;
    let provider = hostile.provider(&json!({}));
    let old = identity_oidc::Secret::new("old");
    hostile.says("/token", json!({"token_type": "Bearer", "access_token": "access"}));
    hostile.says("/me", json!({"sub": "ann", "email": "ann@example.com", "sid": "unsigned"}));
    let ann = provider.refresh(&old, "ann", Timestamp::now()).await.unwrap();
    assert_eq!((&*ann.email, ann.id_token, ann.refresh_token), ("ann@example.com", None, Some(old.clone())));
    assert_eq!(ann.session, None);
    says(provider.refresh(&old, "bob", Timestamp::now()).await, "another person's");
}

#[tokio::test]
async fn case_32_a_logout_token_is_one_and_is_of_now() {
    let hostile = Hostile::start().await;
    let provider = hostile.provider(&json!({}));
    let verify = async |typ: &str, changes: Value| -> Result<LogoutToken, Error> {
        let mut all = json!({
            "nonce": null, "email": null, "at_hash": null, "sid": "s", "jti": "j",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        provider.verify_logout_token(&hostile.id_token(typ, "", &all), Timestamp::now()).await
    };
    let good = verify("logout+jwt", json!({})).await.unwrap();
    let expect = LogoutToken { subject: Some("ann".into()), session: Some("s".into()), id: "j".into() };
    assert_eq!(good, expect);
    assert_eq!(verify("JWT", json!({"sub": null})).await.unwrap().subject, None);
    assert_eq!(verify("JWT", json!({"sid": null})).await.unwrap().session, None);
    for changes in [
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": true}}),
        json!({"events": ["http://schemas.openid.net/event/backchannel-logout"]}),
        json!({"nonce": "n"}),
        json!({"sub": null, "sid": null}),
        json!({"sub": "", "sid": ""}),
        json!({"jti": null}),
        json!({"iat": 1}),
        json!({"exp": 1}),
        json!({"exp": null}),
        json!({"aud": "other"}),
        json!({"iss": "https://other"}),
    ] {
        assert!(verify("logout+jwt", changes.clone()).await.is_err(), "{changes}");
    }
    assert!(verify("at+jwt", json!({})).await.is_err());
}

/// Anybody may post logout tokens.
#[tokio::test]
async fn strangers_do_not_make_us_ask_for_keys() {
    let hostile = Hostile::start().await;
    let provider = hostile.provider(&json!({}));
    let now = Timestamp::now();
    let asked = || hostile.site.keys_asked.load(Ordering::SeqCst);
    let claims = |iss: &str| json!({"iss": iss, "aud": "us", "exp": now.as_second() + 60, "iat": now.as_second()});
    let stranger = SigningKey::generate().unwrap();
    let token = |iss: &str| stranger.sign("logout+jwt", claims(iss).as_object().unwrap());
    for text in ["", "x.y.z", &token("https://other")] {
        assert!(provider.verify_logout_token(text, now).await.is_err());
    }
    assert_eq!(asked(), 0, "it was wrong anyway");
    for _ in 0..50 {
        let error = provider.verify_logout_token(&token(&hostile.issuer), now).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ProviderRefused);
    }
    assert_eq!(asked(), 1);
}
