//! The administrator's kubeconfig, which each start writes.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use apiserver_access::MASTERS;
use lib_tls::{Authorities, Leaf, Subject};

/// Writes a kubeconfig for the administrator, with a client certificate. On a full disk, that of the last start will do:
/// a server that is needed to make room has to start.
pub(crate) fn write_admin(authorities: &Authorities, cluster: &str, server: &str, path: &Path) -> anyhow::Result<()> {
    let subject = Subject::new("kubernetes-admin", [MASTERS]);
    let issued = authorities.signing().issue(&Leaf::Client(subject));
    let credential = issued.context("could not issue the administrator's certificate")?;
    let kubeconfig = lib_tls::Kubeconfig {
        cluster,
        user: "kubernetes-admin",
        server,
        authority_pem: &authorities.bundle_pem(),
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
