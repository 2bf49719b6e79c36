//! The official client libraries: each runs a script of ours that stops at the first thing that is wrong.

use std::path::Path;
use std::process::Stdio;

use e2e::{PATIENCE, tool};
use tokio::process::Command;

use crate::{Cluster, material};

/// Runs it to its end; its user has `cluster`'s kubeconfig.
async fn succeeds(cluster: &Cluster, command: &mut Command) {
    let home = &cluster.home;
    command.current_dir(home).env("HOME", home).env("KUBECONFIG", cluster.server.kubeconfig());
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(2 * PATIENCE, run).await.expect("the script ends").expect("it can be started");
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}

#[tokio::test]
async fn python() {
    let cluster = Cluster::start().await;
    let mut python = Command::new("python3");
    // Where the packages lie is not ours to write to.
    python.arg(material("python/client.py")).env("PYTHONPATH", tool("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    succeeds(&cluster, &mut python).await;
}

#[tokio::test]
async fn javascript() {
    let cluster = Cluster::start().await;
    // Node looks for modules beside the script, wherever that really lies.
    std::fs::copy(material("javascript/client.js"), cluster.home.join("client.js")).expect("a file can be copied");
    std::fs::copy(material("javascript/package.json"), cluster.home.join("package.json"))
        .expect("a file can be copied");
    let modules = tool("javascript").join("node_modules");
    std::os::unix::fs::symlink(modules, cluster.home.join("node_modules")).expect("a link can be made");
    succeeds(&cluster, Command::new("node").arg(Path::new("client.js"))).await;
}
