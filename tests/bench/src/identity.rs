//! What a request's token costs, and how many people sign in and clients refresh in a second.
//!
//! Identity runs in this process, over an API server in this process that keeps everything in memory: what is measured is
//! ours and not the disk's. Passwords are hashed before the clock runs.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use harness::TestCluster;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Request, Response};
use identity::api::{Ask, Caller, answer};
use identity::audit::{Lost, Sink};
use identity::{Given, Identity, Login, Origin, Presented, Session};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt as _};
use lib_drain::Drain;
use lib_jose::SigningKey;
use ring::digest::{SHA256, digest};
use ring::rsa::PublicKeyComponents;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::measure::shown;

const AT_ONCE: usize = 16;
const SIGN_INS: usize = 4_000;
const REFRESHES: usize = 4_000;
const VERIFIED: u32 = 50_000;
const BARE: u32 = 20_000;
const SIGNED: u32 = 500;

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier-1";
const PASSWORD: &str = "correct-horse-7";

pub(crate) async fn run() -> anyhow::Result<()> {
    let bench = Arc::new(Bench::start().await?);
    let mut people = Vec::new();
    for number in 0..AT_ONCE {
        people.push(bench.person(&format!("person-{number}@example.com")).await?);
    }
    let written = bench.writes().await?;
    let signing = signing()?;

    let started = Instant::now();
    let mut workers = JoinSet::new();
    for person in &people {
        let (bench, session) = (bench.clone(), person.session.clone());
        workers.spawn(async move {
            let mut last = Value::Null;
            for _ in 0..SIGN_INS / AT_ONCE {
                last = bench.sign_in(&session).await?;
            }
            anyhow::Ok(last)
        });
    }
    let tokens = all(workers).await?;
    rate("sign-ins (promised 200/s)", SIGN_INS, started.elapsed(), written, signing * 2);

    let mut workers = JoinSet::new();
    let started = Instant::now();
    for tokens in tokens.clone() {
        let bench = bench.clone();
        workers.spawn(async move {
            let mut tokens = tokens;
            for _ in 0..REFRESHES / AT_ONCE {
                tokens = bench.refresh(&tokens).await?;
            }
            anyhow::Ok(tokens)
        });
    }
    let tokens = all(workers).await?;
    rate("refreshes", REFRESHES, started.elapsed(), written, signing * 2);

    let access = text(&tokens[0], "access_token")?;
    let bare = bench.bare(access).await?;
    let opaque = people[0].token.reveal();
    println!("with {} sessions in the index, one thread:", SIGN_INS + AT_ONCE);
    for (what, token) in [("signed access token (promised 60 us)", access), ("opaque token", opaque.as_str())] {
        let headers = bearer(token)?;
        let took = each(VERIFIED, || bench.identity.authenticate(&headers).is_ok_and(|found| found.is_some()))?;
        let ratio = took.as_secs_f64() / bare.as_secs_f64();
        println!(
            "  {what:<40} {:>7.2} us, x{ratio:.2} of a bare RS256 verification ({:.2} us)",
            micros(took),
            micros(bare)
        );
    }
    let _ = bench.drain.drain(Duration::from_secs(10)).await;
    Ok(())
}

fn rate(what: &str, count: usize, took: Duration, written: f64, signatures: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!(
        "{what:<28} {rate:>7.0}/s, {AT_ONCE} at once; the API server takes {written:.0} Secrets/s, x{:.2}; two signatures {}",
        written / rate,
        shown(signatures)
    );
}

struct Bench {
    identity: Identity,
    client: Client,
    drain: Drain,
    _cluster: TestCluster,
}

/// The audit record is somebody else's figure.
struct Nowhere;

#[async_trait::async_trait]
impl Sink for Nowhere {
    async fn record(&self, _: Value) -> Result<(), Lost> {
        Ok(())
    }
}

impl Bench {
    async fn start() -> anyhow::Result<Self> {
        let cluster = TestCluster::start().await;
        let client = cluster.admin();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in api_types::crds() {
            let name = definition.name_any();
            definitions.create(&PostParams::default(), &definition).await?;
            await_condition(definitions.clone(), &name, conditions::is_crd_established()).await?;
        }
        let (drain, audit) = (Drain::new(), Arc::new(Nowhere));
        let config = identity::Config {
            session: None,
            address: "https://acp.test".into(),
            audit,
            providers: Arc::new(|_| true),
            ask_providers: SignedDuration::from_mins(5),
        };
        let identity = Identity::start(client.clone(), config, &drain).await?;
        Ok(Self { identity, client, drain, _cluster: cluster })
    }

    async fn person(&self, email: &str) -> anyhow::Result<Login> {
        let administrator = Caller { session: None, name: "admin".into(), client: self.client.clone() };
        let made = self.ask("POST", "/auth/v1/users", Some(administrator), JSON, &json!({"email": email})).await?;
        let password = body(&made)?["password"].clone();
        let change = json!({"username": email, "password": password, "newPassword": PASSWORD});
        self.ask("POST", "/auth/v1/password", None, JSON, &change).await?;
        let given = Given { username: email, password: PASSWORD, provider: None, code: None };
        Ok(self.identity.login(&origin(), "api", &given).await?)
    }

    /// What a client's sign-in is to us: the authorization request, the person's word, and a code for two signed tokens.
    async fn sign_in(&self, session: &Session) -> anyhow::Result<Value> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let query = form(&[
            ("client_id", "ac"),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid profile email groups offline_access"),
            ("state", "s"),
            ("nonce", "n"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let sent = self.ask("GET", &format!("/dex/auth?{query}"), None, JSON, &Value::Null).await?;
        let page = Url::parse(sent.headers().get(LOCATION).context("the browser is sent on")?.to_str()?)?;
        let path = format!("/auth/v1/flows/{}/approve", parameter(&page, "flow")?);
        let caller = Caller {
            session: Some((session.clone(), Presented::Bearer)),
            name: session.user().name.to_string(),
            client: self.client.clone(),
        };
        let said = body(&self.ask("POST", &path, Some(caller), JSON, &json!({})).await?)?;
        let code = parameter(&Url::parse(text(&said, "redirectURL")?)?, "code")?;
        self.redeem(&[
            ("grant_type", "authorization_code"),
            ("client_id", "ac"),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("code", &code),
        ])
        .await
    }

    async fn refresh(&self, tokens: &Value) -> anyhow::Result<Value> {
        let token = text(tokens, "refresh_token")?;
        self.redeem(&[("grant_type", "refresh_token"), ("client_id", "ac"), ("refresh_token", token)]).await
    }

    async fn redeem(&self, pairs: &[(&str, &str)]) -> anyhow::Result<Value> {
        body(&self.ask("POST", "/dex/token", None, FORM, &form(pairs).into()).await?)
    }

    async fn ask(
        &self,
        method: &str,
        target: &str,
        caller: Option<Caller>,
        kind: &str,
        sent: &Value,
    ) -> anyhow::Result<Response<Bytes>> {
        let parts = Request::builder().method(method).uri(target).header(CONTENT_TYPE, kind).body(())?.into_parts().0;
        let path = parts.uri.path().to_owned();
        let body = sent.as_str().map_or_else(|| sent.to_string(), str::to_owned).into();
        let ask = Ask { parts: &parts, path: &path, body, origin: origin(), caller, console: false };
        let response = answer(&self.identity, ask).await;
        let response = response.map_err(|refused| anyhow::anyhow!("{path}: {}", refused.message))?;
        ensure!(response.status().as_u16() < 400, "{path}: {}: {:?}", response.status(), response.body());
        Ok(response)
    }

    /// How many Secrets of a session's size the API server takes in a second, from as many at once.
    async fn writes(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for worker in 0..AT_ONCE {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), "default");
            workers.spawn(async move {
                for number in 0..SIGN_INS / AT_ONCE {
                    let name = format!("written-{worker}-{number}");
                    let secret = json!({"metadata": {"name": name}, "stringData": {"value": "x".repeat(700)}});
                    api.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
                }
                anyhow::Ok(())
            });
        }
        all(workers).await?;
        Ok(SIGN_INS as f64 / started.elapsed().as_secs_f64())
    }

    /// One verification of this token's signature, and nothing else.
    async fn bare(&self, token: &str) -> anyhow::Result<Duration> {
        let keys = body(&self.ask("GET", "/dex/keys", None, JSON, &Value::Null).await?)?;
        let part = |name: &str| URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], name)?).context("a key is in base64url");
        let key = PublicKeyComponents { n: part("n")?, e: part("e")? };
        let (message, signature) = token.rsplit_once('.').context("a token has three parts")?;
        let signature = URL_SAFE_NO_PAD.decode(signature)?;
        each(BARE, || key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).is_ok())
    }
}

/// One signature with a key that is there.
fn signing() -> anyhow::Result<Duration> {
    let key = SigningKey::generate()?;
    let claims = json!({"sub": "x"}).as_object().cloned().unwrap_or_default();
    each(SIGNED, || !key.sign("JWT", &claims).is_empty())
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn origin() -> Origin {
    Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), user_agent: None }
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn bearer(token: &str) -> anyhow::Result<HeaderMap> {
    Ok([(AUTHORIZATION, format!("Bearer {token}").parse()?)].into_iter().collect())
}

fn body(response: &Response<Bytes>) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(response.body())?)
}

fn parameter(url: &Url, name: &str) -> anyhow::Result<String> {
    let found = url.query_pairs().find(|(key, _)| key == name);
    Ok(found.with_context(|| format!("{url} has no {name}"))?.1.into_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("there is no {name}"))
}

async fn all<T: 'static>(mut workers: JoinSet<anyhow::Result<T>>) -> anyhow::Result<Vec<T>> {
    let mut done = Vec::new();
    while let Some(worker) = workers.join_next().await {
        done.push(worker.context("a worker broke")??);
    }
    Ok(done)
}

/// How long one takes, of many one after the other that all have to succeed.
fn each(count: u32, mut one: impl FnMut() -> bool) -> anyhow::Result<Duration> {
    let started = Instant::now();
    for _ in 0..count {
        ensure!(black_box(one()), "one of them failed");
    }
    Ok(started.elapsed() / count)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
