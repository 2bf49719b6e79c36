//! A system of several tiers on simulated nodes, as its operator sees it with kubectl.
//!
//! What is applied and what has to be seen is in `tests/e2e/system`.

use std::path::PathBuf;

use e2e::{ApiServer, Session, binary, tool};

const NODES: usize = 4;

fn material(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "system", name].iter().collect()
}

async fn plays(transcripts: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("a folder can be made");
    std::fs::copy(material("market.yaml"), home.join("market.yaml")).expect("the manifests can be copied");
    let server = ApiServer::start(&folder.path().join("server"), "127.0.0.1:0", NODES).await;
    let mut session = Session::new(
        &home,
        &[tool("kubectl-1.37"), binary("acp").parent().expect("a binary lies in a folder").to_owned()],
        &server.kubeconfig(),
    );
    let paths: Vec<PathBuf> = transcripts.iter().map(|name| material(&format!("{name}.txt"))).collect();
    session.play(&paths).await;
}

#[tokio::test]
async fn it_settles_and_changes() {
    plays(&["settling", "changing", "moving"]).await;
}

#[tokio::test]
async fn it_suffers_and_heals() {
    plays(&["settling", "suffering"]).await;
}
