//! A sandbox cluster on a loopback port, for trying it with kubectl:
//!
//! `cargo run -p sandbox --example cluster -- 3` prints the path of an administrator's kubeconfig and runs until Ctrl-C.

#[path = "../tests/support/mod.rs"]
mod support;

use sandbox::SandboxConfig;

#[tokio::main]
async fn main() {
    let nodes = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let cluster = support::start_with(SandboxConfig { nodes, ..SandboxConfig::default() }, None).await;
    let listening = cluster.server.listen().await;
    println!("{}", listening.kubeconfig.display());
    // Without signals there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
    cluster.running.stop().await;
}
