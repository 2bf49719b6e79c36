//! Clusters in the test's own process: a real API server on a store in memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use apiserver_access::{MASTERS, User};
use apiserver_server::{ApiServer, Config, Running};
use lib_tls::{Authority, ClientVerification, Kubeconfig, Leaf, Subject, server_config};

/// An API server of the test's own.
pub struct TestCluster {
    pub server: Running,
}

impl TestCluster {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let store = Arc::new(store_memory::MemoryStore::new(store_memory::Options::default()));
        let server = ApiServer::new(store, config).start().await.expect("a fresh server starts");
        Self { server }
    }

    /// A client of an administrator.
    pub fn admin(&self) -> kube::Client {
        self.server.client(User::new("admin", [MASTERS]))
    }

    /// A client of somebody without rights of their own.
    pub fn user(&self, name: &str) -> kube::Client {
        self.server.client(User::new(name, [""; 0]))
    }

    /// Serves on a loopback port; the kubeconfig of an administrator lies in a folder that goes with the value.
    pub async fn listen(&self) -> Listening {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let authority = Authority::load_or_create(folder.path(), "test").expect("an authority can be made");
        let hosts = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let credential = authority.issue(&Leaf::Server(hosts)).expect("a server certificate can be issued");
        let trust = ClientVerification::Optional(authority.certificate_pem().to_owned());
        let tls = server_config(&credential, &trust, &[b"h2", b"http/1.1"]).expect("the configuration is complete");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = self.server.serve(listener, Arc::new(tls)).expect("the listener has an address");
        let admin = authority
            .issue(&Leaf::Client(Subject::new("admin", [MASTERS])))
            .expect("a client certificate can be issued");
        let kubeconfig = folder.path().join("admin.kubeconfig");
        Kubeconfig {
            cluster: "test",
            user: "admin",
            server: &format!("https://{address}"),
            authority_pem: authority.certificate_pem(),
            credential: &admin,
        }
        .write(&kubeconfig)
        .expect("the kubeconfig can be written");
        Listening { address, kubeconfig, _folder: folder }
    }
}

/// A server that can be reached over TLS.
pub struct Listening {
    pub address: SocketAddr,
    pub kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}
