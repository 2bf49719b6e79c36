//! A certified client of the issuer, `tests/peers/openid-client`, told what to do; and the person who uses it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::streams::{PASSWORD, add_user};
use crate::support::{Answer, Door, JSON, eventually};

/// Where whatever starts node has to be done.
const PATIENCE: Duration = Duration::from_secs(60);
const APP: &str = "https://app.test/cb";
/// As a command line does it: on a port that nobody has registered.
const LOOPBACK: &str = "http://127.0.0.1:7777/callback";

/// What the library is.
pub(crate) struct Client {
    /// What it has discovered.
    pub(crate) discovered: Value,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Both end with the test.
    _child: Child,
    _folder: TempDir,
}

impl Client {
    /// The command line's client, which can keep no secret.
    pub(crate) async fn of_command_line(door: &Door) -> Self {
        Self::start(door, json!({"clientId": "ac", "authentication": "none", "redirectUri": LOOPBACK})).await
    }

    /// A registered client that shows its secret in this way: `basic` or `post`.
    pub(crate) async fn with_secret(door: &Door, id: &str, authentication: &str) -> Self {
        let made = json!({"clientId": id, "secret": secret(id), "authentication": authentication, "redirectUri": APP});
        Self::start(door, made).await
    }

    pub(crate) async fn start(door: &Door, mut made: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, door.authority.certificate_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/openid-client/client.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(modules())
            .env("NODE_EXTRA_CA_CERTS", &authority)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is a node");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        let mut client = Self { discovered: Value::Null, input, output, _child: child, _folder: folder };
        made["issuer"] = format!("https://{}/dex", door.address).into();
        client.discovered = client.tell(made).await;
        client
    }

    /// What came of it, or what the library threw.
    pub(crate) async fn tell(&mut self, wish: Value) -> Value {
        self.input.write_all(format!("{wish}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it answers in time").unwrap().expect("it goes on running");
        serde_json::from_str(&line).unwrap()
    }

    /// The same where the library is to be content.
    #[track_caller]
    pub(crate) fn ok(&mut self, wish: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.tell(wish.clone()).await;
            assert!(answer.get("error").is_none(), "{caller}: {wish}: {answer}");
            answer
        }
    }

    /// Sends the person to the door and back: `{tokens, claims}`.
    pub(crate) async fn sign_in(&mut self, person: &Person<'_>, scope: &str) -> Value {
        let url = self.ok(json!({"authorize": {"scope": scope}})).await["url"].as_str().unwrap().to_owned();
        let back = person.says("approve", &url).await;
        self.ok(json!({"callback": back})).await
    }
}

/// Somebody in front of a browser.
pub(crate) struct Person<'a> {
    door: &'a Door,
    /// The name of the user's object.
    pub(crate) object: String,
    bearer: String,
}

impl<'a> Person<'a> {
    /// A new user, who is signed in.
    pub(crate) async fn new(door: &'a Door, email: &str, groups: &[&str]) -> Self {
        let object = add_user(door, json!({"email": email, "displayName": "Ann Example", "groups": groups})).await;
        let bearer = door.sign_in_with(email, PASSWORD).await.expect("the user signs in");
        Self { door, object, bearer }
    }

    /// What the console does when the person says yes (`approve`) or no (`deny`) to what a client has asked for; where the
    /// browser goes then.
    pub(crate) async fn says(&self, word: &str, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let asked = self.door.ask("GET", &format!("{}?{}", url.path(), url.query().unwrap()), &[], "").await;
        assert_eq!(asked.code, 303, "{asked:?}");
        let page = Url::parse(asked.location.as_deref().unwrap()).unwrap();
        assert_eq!((page.origin(), page.path()), (url.origin(), "/sign-in"), "{page}");
        let (_, flow) = page.query_pairs().find(|(name, _)| name == "flow").expect("the console is told what to ask");
        let said = self.post(&format!("/auth/v1/flows/{flow}/{word}"), &json!({})).await;
        said.json()["redirectURL"].as_str().unwrap_or_else(|| panic!("{said:?}")).to_owned()
    }

    /// Types the code that a device shows, and says yes.
    pub(crate) async fn types(&self, code: &str) {
        let typed = self.post("/auth/v1/flows/device", &json!({"userCode": code})).await.json();
        let flow = typed["flow"].as_str().unwrap().to_owned();
        assert_eq!(self.post(&format!("/auth/v1/flows/{flow}/approve"), &json!({})).await.code, 200);
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.door.ask("POST", path, &[JSON, ("authorization", &self.bearer)], &body.to_string()).await
    }
}

pub(crate) fn secret(id: &str) -> String {
    // What has to be encoded before it goes into a header (RFC 6749 section 2.3.1).
    format!("{id}:secret of+some%length/")
}

/// A client with a secret, as an administrator registers it.
pub(crate) async fn register(door: &Door, id: &str, more: Value) {
    let api = |gvk: GroupVersionKind| -> Api<DynamicObject> {
        Api::namespaced_with(door.cluster.admin(), "cpaas-system", &ApiResource::from_gvk(&gvk))
    };
    let kept = json!({"metadata": {"name": format!("client-{id}")}, "stringData": {"secret": secret(id)}});
    let kept = serde_json::from_value(kept).unwrap();
    api(GroupVersionKind::gvk("", "v1", "Secret")).create(&PostParams::default(), &kept).await.unwrap();
    let mut client = json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "OAuth2Client", "metadata": {"name": id}, "id": id,
        "secretRef": {"name": format!("client-{id}"), "key": "secret"}, "redirectURIs": [APP],
    });
    for (key, value) in more.as_object().unwrap() {
        client[key] = value.clone();
    }
    let client = serde_json::from_value(client).unwrap();
    let clients = api(GroupVersionKind::gvk("dex.coreos.com", "v1", "OAuth2Client"));
    clients.create(&PostParams::default(), &client).await.unwrap();
    eventually("the client is known", || async {
        door.ask("GET", &format!("/dex/auth?client_id={id}&redirect_uri={APP}"), &[], "").await.code == 303
    })
    .await;
}

/// Where `cargo xtask tools` puts what `tests/peers/openid-provider/package.json` names: below `ACP_TEST_TOOLS`, or below
/// the target folder.
fn modules() -> PathBuf {
    let program = env::current_exe().unwrap();
    let target = || program.ancestors().nth(3).expect("tests lie in TARGET/PROFILE/deps").join("tools");
    let folder = env::var_os("ACP_TEST_TOOLS").map_or_else(target, PathBuf::from).join("openid");
    assert!(folder.is_dir(), "there is no {}; `cargo xtask tools` fetches it", folder.display());
    folder
}
