//! Identity over an API server in this process, and a client that asks it as the door does.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_types::auth::{User as UserObject, UserSpec};
use async_trait::async_trait;
use bytes::Bytes;
use harness::TestCluster;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use lib_drain::Drain;
use serde_json::{Value, json};

use crate::api::{self, Ask, Caller, Refused};
use crate::audit::{Lost, Sink};
use crate::objects;
use crate::{Config, FIRST_ADMINISTRATOR, Given, Identity, Login, LoginError, Origin, Presented, Session, Token};

pub(super) const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
pub(super) const SOON: Duration = Duration::from_secs(10);
pub(super) const PASSWORD: &str = "correct-horse7";

/// The audit record, kept in memory; it can be made to fail.
#[derive(Default)]
pub(super) struct Record {
    pub(super) events: Mutex<Vec<Value>>,
    pub(super) full: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Sink for Record {
    async fn record(&self, event: Value) -> Result<(), Lost> {
        if self.full.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Lost);
        }
        self.events.lock().unwrap().push(event);
        Ok(())
    }
}

pub(super) struct Fixture {
    pub(super) identity: Identity,
    pub(super) client: Client,
    pub(super) password: String,
    pub(super) secrets: Api<Secret>,
    pub(super) record: Arc<Record>,
    pub(super) drain: Drain,
    pub(super) cluster: TestCluster,
}

pub(super) async fn kinds(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in api_types::crds() {
        let name = crd.name_any();
        definitions.create(&PostParams::default(), &crd).await.unwrap();
        await_condition(definitions.clone(), &name, conditions::is_crd_established()).await.unwrap();
    }
}

pub(super) async fn start(client: &Client, record: &Arc<Record>, drain: &Drain) -> Identity {
    let config = Config {
        session: None,
        address: "https://acp.test".into(),
        audit: record.clone(),
        providers: Arc::new(|_| true),
        ask_providers: SignedDuration::from_mins(5),
    };
    Identity::start(client.clone(), config, drain).await.unwrap()
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let cluster = TestCluster::start().await;
        let client = cluster.admin();
        kinds(&client).await;
        let (drain, record) = (Drain::new(), Arc::new(Record::default()));
        let identity = start(&client, &record, &drain).await;
        let password = identity.propose_first_administrator().unwrap().unwrap();
        assert!(identity.create_first_administrator(&password).await.unwrap());
        Self { identity, secrets: objects::secrets(&client), client, password, record, drain, cluster }
    }

    pub(super) async fn login(&self, name: &str, password: &str) -> Result<Login, LoginError> {
        self.login_with(PEER, name, password, None).await
    }

    pub(super) async fn login_with(
        &self,
        address: IpAddr,
        name: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<Login, LoginError> {
        let given = Given { username: name, password, provider: None, code };
        self.identity.login(&origin(address), "api", &given).await
    }

    pub(super) async fn administrator(&self) -> Login {
        self.login(FIRST_ADMINISTRATOR, &self.password).await.unwrap()
    }

    /// A local user whose password is [`PASSWORD`].
    pub(super) async fn user(&self, email: &str) -> UserObject {
        self.user_of(UserSpec { email: email.into(), username: email.into(), valid: true, ..UserSpec::default() }).await
    }

    pub(super) async fn user_of(&self, spec: UserSpec) -> UserObject {
        let users = objects::users(&self.client);
        let user = users.create(&PostParams::default(), &objects::user_object(spec)).await.unwrap();
        self.identity.inner.index.put_user(user.clone());
        self.identity.inner.set_password(&user, PASSWORD, false).await.unwrap();
        user
    }

    pub(super) async fn change(&self, user: &UserObject, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        objects::users(&self.client).patch(&user.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks as the door does for somebody; the answer's code and JSON.
    pub(super) async fn ask(&self, method: &str, path: &str, session: Option<&Session>, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.send(method, path, session, &[("content-type", "application/json")], body).await.0
    }

    /// The same with the rights that this client has at the hub.
    pub(super) async fn ask_as(
        &self,
        client: Client,
        method: &str,
        path: &str,
        session: Option<&Session>,
        body: Value,
    ) -> (u16, Value) {
        let headers = [("content-type", "application/json")];
        self.send_as(client, method, path, session, &headers, body.to_string().into()).await.0
    }

    pub(super) async fn form(&self, path: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> (u16, Value) {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        self.send("POST", path, None, &all, body.into()).await.0
    }

    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        session: Option<&Session>,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> ((u16, Value), HeaderMap) {
        self.send_as(self.client.clone(), method, target, session, headers, body).await
    }

    async fn send_as(
        &self,
        client: Client,
        method: &str,
        target: &str,
        session: Option<&Session>,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> ((u16, Value), HeaderMap) {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let path = parts.uri.path().to_owned();
        let caller = session.map(|session| Caller {
            session: Some((session.clone(), Presented::Bearer)),
            name: session.user().name.to_string(),
            client,
        });
        let mut origin = origin(PEER);
        if let Some(agent) = parts.headers.get(USER_AGENT) {
            origin.user_agent = Some(agent.to_str().unwrap().to_owned());
        }
        let ask = Ask { parts: &parts, path: &path, body, origin, caller, console: false };
        match api::answer(&self.identity, ask).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
                ((parts.status.as_u16(), value), parts.headers)
            }
            Err(Refused { code, reason, message, causes, .. }) => {
                ((code, json!({"reason": reason, "message": message, "causes": causes})), HeaderMap::new())
            }
        }
    }
}

/// What an app shows for this secret at that second.
pub(super) fn code(secret: &str, second: i64) -> String {
    totp_rs::Builder::new()
        .with_secret(totp_rs::Secret::try_from_base32(secret).unwrap())
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .build_noncompliant()
        .generate(u64::try_from(second).unwrap())
        .to_string()
}

pub(super) fn origin(address: IpAddr) -> Origin {
    Origin { address, user_agent: Some("tests".into()) }
}

pub(super) fn bearer(token: &Token) -> HeaderMap {
    bearer_text(&token.reveal())
}

pub(super) fn bearer_text(token: &str) -> HeaderMap {
    let mut headers: HeaderMap = [(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())].into_iter().collect();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    headers
}

/// Waits until something holds; the index follows watches.
pub(super) async fn until(what: impl Fn() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it came to be in time");
}
