//! The certified provider of `tests/peers/openid-provider`, told what to do.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity_oidc::{Config, Provider};
use lib_tls::{Authority, Credential, Leaf};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::browser::Browser;

pub(crate) const CALLBACK: &str = "https://us.example.com/dex/callback";
pub(crate) const GOODBYE: &str = "https://us.example.com/";

const SCRIPT: &str = "tests/peers/openid-provider/provider.mjs";

/// Where whatever starts node has to be done.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Peer {
    pub(crate) issuer: String,
    pub(crate) authority: Authority,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Ends with the test.
    _child: Child,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// `changes` are more of what it is made of.
    pub(crate) async fn start_with(changes: Value) -> Self {
        Self::start_for(Authority::generate("the provider's", SystemTime::now()).unwrap(), changes).await
    }

    pub(crate) async fn start_for(authority: Authority, changes: Value) -> Self {
        // Whichever crate's tests it is part of.
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join(SCRIPT))
            .find(|script| script.is_file());
        let script = script.expect("the script lies below the root");
        let mut child = Command::new("node")
            .arg(script)
            .arg(modules())
            .env("NODE_ENV", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is a node");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut peer =
            Self { issuer: String::new(), input, output: BufReader::new(output).lines(), _child: child, authority };
        let credential = peer.credential(SystemTime::now());
        let mut made = json!({
            "certificate": credential.chain_pem(),
            "key": credential.key_pem(),
            "authority": peer.authority.certificate_pem(),
            "clientId": "acp platform",
            "clientSecret": "a:b/c+d e%",
            "redirectUris": [CALLBACK],
            "postLogoutRedirectUris": [GOODBYE],
        });
        for (name, value) in changes.as_object().unwrap() {
            made[name] = value.clone();
        }
        peer.issuer = peer.tell(made).await["issuer"].as_str().unwrap().to_owned();
        peer
    }

    /// What it shows who it is with.
    fn credential(&self, issued: SystemTime) -> Credential {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.authority.issue_at(&Leaf::Server(names), issued).unwrap()
    }

    pub(crate) async fn tell(&mut self, wish: Value) -> Value {
        self.input.write_all(format!("{wish}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it answers in time").unwrap().expect("it goes on running");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) async fn show_certificate_of(&mut self, issued: SystemTime) {
        let credential = self.credential(issued);
        let credential = json!({"certificate": credential.chain_pem(), "key": credential.key_pem()});
        self.tell(json!({"credential": credential})).await;
    }

    /// A connector's configuration for it.
    pub(crate) fn config(&self, changes: &Value) -> Value {
        let mut config = json!({
            "issuer": self.issuer,
            "clientID": "acp platform",
            "clientSecret": "a:b/c+d e%",
            "redirectURI": CALLBACK,
            "rootCAData": STANDARD.encode(self.authority.certificate_pem()),
            "scopes": ["profile", "email", "phone", "groups"],
            "insecureEnableGroups": true,
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        config
    }

    pub(crate) fn provider(&self, changes: Value) -> Provider {
        provider(&self.config(&changes))
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.authority)
    }
}

pub(crate) fn provider(config: &Value) -> Provider {
    Provider::new("corp", Config::parse(config).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// Where `cargo xtask tools` puts what `package.json` names: below `ACP_TEST_TOOLS`, or below the target folder.
fn modules() -> PathBuf {
    let program = env::current_exe().unwrap();
    let target = || program.ancestors().nth(3).expect("tests lie in TARGET/PROFILE/deps").join("tools");
    let folder = env::var_os("ACP_TEST_TOOLS").map_or_else(target, PathBuf::from).join("openid");
    assert!(folder.is_dir(), "there is no {}; `cargo xtask tools` fetches it", folder.display());
    folder
}
