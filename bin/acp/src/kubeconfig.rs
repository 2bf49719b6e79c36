//! Kubeconfigs: of operators, as the options of a command name them, and the administrator's, which each start writes.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, anyhow};
use apiserver_access::MASTERS;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lib_tls::{Authority, Leaf, Subject};

/// What the current context of a kubeconfig says. Errors name the file, and quote nothing of it.
pub(crate) async fn access(path: &Path) -> anyhow::Result<kube::Config> {
    let file = path.display();
    let read = Kubeconfig::read_from(path).map_err(|error| {
        // Behind the first line stands a piece of the file, and the file holds secrets.
        let error = format!("{:#}", anyhow::Error::from(error));
        anyhow!("could not read the kubeconfig {file}: {}", error.lines().next().unwrap_or_default())
    })?;
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("could not use the kubeconfig {file}"))
}

/// Writes a kubeconfig for the administrator, with a client certificate. On a full disk, that of the last start will do:
/// a server that is needed to make room has to start.
pub(crate) fn write_admin(authority: &Authority, cluster: &str, server: &str, path: &Path) -> anyhow::Result<()> {
    let subject = Subject::new("kubernetes-admin", [MASTERS]);
    let credential =
        authority.issue(&Leaf::Client(subject)).context("could not issue the administrator's certificate")?;
    let kubeconfig = lib_tls::Kubeconfig {
        cluster,
        user: "kubernetes-admin",
        server,
        authority_pem: authority.certificate_pem(),
        credential: &credential,
    };
    match kubeconfig.write(path) {
        Err(lib_tls::Error::Write { source, .. }) if source.kind() == ErrorKind::StorageFull && path.exists() => {
            eprintln!("note: the disk is full; {} is that of the last start", path.display());
            Ok(())
        }
        written => written.with_context(|| format!("could not write {}", path.display())),
    }
}
