//! The oldest and the newest kubectl, by the same transcripts.

use e2e::{Session, tool};

use crate::{Cluster, material};

/// In this order: some read what others have made.
const TRANSCRIPTS: [&str; 7] = ["creating", "reading", "changing", "workloads", "pods", "nodes", "access"];

async fn plays(kubectl: &str) {
    let cluster = Cluster::start().await;
    let mut session = Session::new(&cluster.home, &[tool(kubectl)], &cluster.server.kubeconfig());
    session.play(&TRANSCRIPTS.map(|name| material(&format!("kubectl/{name}.txt")))).await;
}

#[tokio::test]
async fn kubectl_1_31() {
    plays("kubectl-1.31").await;
}

#[tokio::test]
async fn kubectl_1_37() {
    plays("kubectl-1.37").await;
}
