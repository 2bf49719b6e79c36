//! Helm, which installs with server-side apply, waits by watching, and keeps its releases in Secrets.

use e2e::{Session, kubectls, tool};

use crate::{Cluster, material};

#[tokio::test]
async fn helm() {
    let cluster = Cluster::start().await;
    std::os::unix::fs::symlink(material("chart"), cluster.home.join("chart")).expect("a link can be made");
    let programs = [tool("helm-4"), kubectls()[0].clone()];
    let mut session = Session::new(&cluster.home, &programs, &cluster.server.kubeconfig());
    session.play(&[material("helm.txt")]).await;
}
