//! Clients of others, as their users install them, against the embedded API server.
//!
//! What each has to see is in `tests/e2e/clients`: transcripts for what people type, scripts for libraries.

mod helm;
mod kubectl;
mod libraries;

use std::path::PathBuf;

use e2e::ApiServer;

/// What the clients are given to do.
fn material(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "clients", name].iter().collect()
}

/// A cluster with two simulated nodes, and a folder for whoever works with it.
struct Cluster {
    server: ApiServer,
    home: PathBuf,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a folder can be made");
        let server = ApiServer::start(&folder.path().join("server"), "127.0.0.1:0", 2).await;
        Self { server, home, _folder: folder }
    }
}
