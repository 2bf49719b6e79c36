use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity_saml::{Config, Form, KeyPair, Outgoing, Replay, ServiceProvider};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use super::peer;

pub(crate) const CONNECTOR: &str = "corp";
pub(crate) const ENTITY: &str = "https://acp.example.com/dex";
pub(crate) const CONSUMER: &str = "https://acp.example.com/dex/callback/saml";
pub(crate) const LOGOUT: &str = "https://acp.example.com/dex/logout/saml";

/// One that is there: making one takes a second.
fn key() -> KeyPair {
    let der = |name: &str| {
        let path = format!("{}/tests/recorded/{name}", env!("CARGO_MANIFEST_DIR"));
        let pem = std::fs::read_to_string(path).unwrap();
        STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
    };
    KeyPair::new(&der("sp.key"), &der("sp.pem")).unwrap()
}

/// A provider that is running; it ends with its standard input.
pub(crate) struct Idp {
    child: Child,
    pub(crate) url: String,
}

/// What a browser sees.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Idp {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let mut command = peer::script("serve");
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 can be run");
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// We, with what the provider says of itself, and registered there.
    pub(crate) fn register(&self, changes: Value) -> ServiceProvider {
        self.register_with(key(), changes)
    }

    pub(crate) fn register_with(&self, key: KeyPair, changes: Value) -> ServiceProvider {
        let metadata = self.get("/metadata");
        let mut config = json!({
            "entityIssuer": ENTITY,
            "idpMetadata": metadata.body,
            "redirectURI": CONSUMER,
            "logoutURI": LOGOUT,
            "usernameAttr": "urn:mace:dir:attribute-def:uid",
            "emailAttr": "urn:mace:dir:attribute-def:mail",
            "groupsAttr": "groups",
        });
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        let provider = ServiceProvider::new(Config::parse(CONNECTOR, &config).unwrap(), key);
        self.know(&provider.metadata());
        provider
    }

    /// Takes our metadata.
    pub(crate) fn know(&self, metadata: &str) {
        let page = self.request("POST", &format!("{}/sp", self.url), None, metadata);
        assert_eq!(page.status, 204, "{}", page.body);
    }

    /// Fields in place of metadata, so that messages go by POST.
    pub(crate) fn register_by_post(&self, changes: Value) -> ServiceProvider {
        let metadata = self.get("/metadata").body;
        let certificate = metadata.split_once("X509Certificate>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let mut fields = json!({
            "idpMetadata": null,
            "requestBinding": "post",
            "ssoIssuer": format!("{}/metadata", self.url),
            "ssoURL": format!("{}/sso", self.url),
            "sloURL": format!("{}/slo", self.url),
            "certificates": [certificate],
        });
        for (field, value) in changes.as_object().unwrap() {
            fields[field] = value.clone();
        }
        self.register(fields)
    }

    pub(crate) fn behave(&self, changes: Value) {
        let page = self.request("POST", &format!("{}/behaviour", self.url), None, &changes.to_string());
        assert_eq!(page.status, 204, "{}", page.body);
    }

    pub(crate) fn get(&self, path: &str) -> Page {
        self.request("GET", &format!("{}{path}", self.url), None, "")
    }

    /// Goes where it is sent, as somebody.
    pub(crate) fn follow(&self, outgoing: &Outgoing, account: Option<&str>) -> Page {
        match outgoing {
            Outgoing::Redirect(url) => self.request("GET", url.as_str(), account, ""),
            Outgoing::Post(Form { action, fields }) => {
                let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let body: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
                self.request("POST", action.as_str(), account, &body.join("&"))
            }
        }
    }

    fn request(&self, method: &str, url: &str, account: Option<&str>, body: &str) -> Page {
        let url = Url::parse(url).unwrap();
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let account = account.map(|account| format!("Authorization: Basic {}\r\n", STANDARD.encode(account)));
        let head = format!(
            "{method} {}{query} HTTP/1.0\r\n{}Content-Length: {}\r\n\r\n",
            url.path(),
            account.unwrap_or_default(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).map(str::to_owned);
        Page { status, location, body: body.to_owned() }
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Page {
    /// A field of the form on it.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"').unwrap().0.replace("&amp;", "&"))
    }

    #[track_caller]
    pub(crate) fn response(&self) -> String {
        self.field("SAMLResponse").unwrap_or_else(|| panic!("{} {}", self.status, self.body))
    }

    /// The query that the browser is sent to us with.
    #[track_caller]
    pub(crate) fn query(&self) -> String {
        let location = self.location.as_deref().unwrap_or_else(|| panic!("{} {}", self.status, self.body));
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, LOGOUT);
        query.to_owned()
    }
}

#[derive(Default)]
pub(crate) struct Seen(HashSet<String>);

impl Replay for Seen {
    fn first_time(&mut self, issuer: &str, id: &str, _until: Timestamp) -> bool {
        self.0.insert(format!("{issuer} {id}"))
    }
}
