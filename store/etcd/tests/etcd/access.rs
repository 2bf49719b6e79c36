//! Whom the store trusts, who it is, and what it says when either is wrong.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::SystemTime;

use lib_tls::{Authority, Credential, Leaf, Subject};
use store_core::{Error, Store};
use store_etcd::{Config, EtcdStore, Keyspace, Login};
use tempfile::TempDir;

use crate::put;
use etcd::Etcd;

/// An authority, and an etcd that it vouches for and that lets only its clients in.
struct Secured {
    authority: Authority,
    etcd: Etcd,
    _files: TempDir,
}

impl Secured {
    fn start() -> Self {
        let authority = Authority::generate("etcd authority", SystemTime::now()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let server = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
        let write = |name: &str, content: &str| -> PathBuf {
            let path = files.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (cert, key) = (write("server.crt", server.chain_pem()), write("server.key", server.key_pem()));
        let ca = write("ca.crt", authority.certificate_pem());
        let etcd = Etcd::secure(&[
            &format!("--cert-file={}", cert.display()),
            &format!("--key-file={}", key.display()),
            &format!("--trusted-ca-file={}", ca.display()),
            "--client-cert-auth",
        ]);
        Self { authority, etcd, _files: files }
    }

    fn client(&self) -> Credential {
        self.authority.issue(&Leaf::Client(Subject::new("apiserver", [""; 0]))).unwrap()
    }

    fn config(&self) -> Config {
        Config {
            authority: Some(self.authority.certificate_pem().to_owned()),
            credential: Some(self.client()),
            ..Config::new([self.etcd.endpoint.as_str()])
        }
    }
}

/// The error and its causes, as people see it.
async fn refusal(config: Config) -> String {
    match EtcdStore::open(config).await {
        Ok(_) => panic!("it should not have been possible to open the store"),
        Err(error) => {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text:?} should say {word:?}");
    }
}

#[tokio::test]
async fn both_ends_show_certificates() {
    let secured = Secured::start();
    let store = EtcdStore::open(secured.config()).await.unwrap();
    let revision = put(&store, "/a", "1").await;
    assert_eq!(store.get("/a", None).await.unwrap().unwrap().mod_revision, revision);
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_etcd_that_another_authority_vouches_for_is_not_trusted() {
    let secured = Secured::start();
    let other = Authority::generate("another authority", SystemTime::now()).unwrap();
    let config = Config { authority: Some(other.certificate_pem().to_owned()), ..secured.config() };
    says(&refusal(config).await, &[&secured.etcd.endpoint, "invalid peer certificate", "UnknownIssuer"]);
}

#[tokio::test]
async fn a_missing_client_certificate_is_told() {
    let secured = Secured::start();
    let config = Config { credential: None, ..secured.config() };
    says(&refusal(config).await, &[&secured.etcd.endpoint, "it may ask for a client certificate, and none is given"]);
}

#[tokio::test]
async fn every_endpoint_that_cannot_be_reached_is_named() {
    // Taken and let go: nobody listens there now.
    let free = || format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let endpoints = [free(), free()];
    let told = refusal(Config::new(endpoints.clone())).await;
    says(&told, &["no etcd endpoint can be reached", &endpoints[0], &endpoints[1], "Connection refused"]);
}

#[tokio::test]
async fn what_is_not_etcd_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    says(&refusal(Config::new([endpoint.as_str()])).await, &[&endpoint, "could not speak etcd's protocol"]);
}

/// An etcd with users: `root`, and `limited`, who may use `/registry/` only. Passwords are as the names.
fn with_users() -> Etcd {
    let etcd = Etcd::plain();
    for user in ["root", "limited"] {
        etcd.ctl(None, &["user", "add", &format!("{user}:{user}")]);
    }
    etcd.ctl(None, &["role", "add", "registry"]);
    etcd.ctl(None, &["role", "grant-permission", "registry", "readwrite", "/registry/", "--prefix"]);
    etcd.ctl(None, &["user", "grant-role", "limited", "registry"]);
    etcd.ctl(None, &["user", "grant-role", "root", "root"]);
    etcd.ctl(None, &["auth", "enable"]);
    etcd
}

fn login(etcd: &Etcd, user: &str, password: &str) -> Config {
    let login = Login { user: user.into(), password: password.into() };
    Config { login: Some(login), ..Config::new([etcd.endpoint.as_str()]) }
}

#[tokio::test]
async fn a_user_logs_in_and_again_when_the_token_is_stale() {
    let etcd = with_users();
    let store = EtcdStore::open(login(&etcd, "root", "root")).await.unwrap();
    put(&store, "/a", "1").await;
    // Any change of users makes all tokens stale; reads and writes both notice.
    etcd.ctl(Some("root:root"), &["role", "add", "another"]);
    put(&store, "/a", "2").await;
    etcd.ctl(Some("root:root"), &["role", "add", "yet-another"]);
    assert_eq!(store.get("/a", None).await.unwrap().unwrap().value, "2");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let etcd = with_users();
    let told = refusal(login(&etcd, "root", "sesame")).await;
    says(&told, &["etcd refuses the password of its user \"root\""]);
    assert!(!told.contains("sesame"));
    says(&refusal(Config::new([etcd.endpoint.as_str()])).await, &["etcd asks for a user, and none is given"]);
}

#[tokio::test]
async fn a_user_who_may_not_is_told() {
    let etcd = with_users();
    says(&refusal(login(&etcd, "limited", "limited")).await, &["does not allow its user \"limited\""]);
}

/// Where progress reports can be relied on, a user needs no more than the store's own keys.
#[tokio::test]
async fn a_user_may_be_limited_to_the_stores_keys() {
    let etcd = with_users();
    let limited = |in_order| Config {
        keyspace: Keyspace::mounted("/registry", "/registry"),
        progress_in_order: Some(in_order),
        ..login(&etcd, "limited", "limited")
    };
    let store = EtcdStore::open(limited(true)).await.unwrap();
    let revision = put(&store, "/registry/a", "1").await;
    assert_eq!(store.get("/registry/a", None).await.unwrap().unwrap().mod_revision, revision);
    assert!(matches!(store.get("/elsewhere", None).await, Err(Error::Invalid { .. })));
    says(&refusal(limited(false)).await, &["permission denied", "all keys"]);
}
