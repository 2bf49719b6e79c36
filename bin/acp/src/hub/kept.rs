//! What the hub keeps besides the platform's objects: in its data directory, or in Secrets of its cluster if it has none.
//!
//! Without a directory a hub leaves nothing behind where it ran, and several of them are one: they have one authority.

use std::path::PathBuf;
use std::sync::Arc;

use agent::{CredentialStore, DirectoryStore, SecretStore};
use anyhow::Context;
use fleet::{AuthorityStore, Keeper, NAMESPACE, SecretAuthorities};
use identity::Identity;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use lib_tls::write_private;

use super::authority::DirectoryAuthorities;
use crate::audit::AuditLog;

/// In the data directory: the first administrator's first password.
const PASSWORD_FILE: &str = "initial-admin-password";
/// Without one: the Secret that holds it begins with this, and has this label.
const PASSWORD_SECRET: &str = "acp-initial-admin-password-";
const PASSWORD_LABEL: (&str, &str) = ("app.kubernetes.io/component", "initial-admin-password");
const ADMISSION_SECRET: &str = "acp-hub-admission";
const AUTHORITY: &str = "acp hub authority";

pub(super) enum Kept {
    /// Here.
    Directory(PathBuf),
    /// In the hub's own cluster, by its controllers.
    Cluster(Client),
}

/// What a person is told of the first administrator's password.
pub(super) enum Password {
    /// It was made now, and stands in this file.
    New(String, PathBuf),
    /// It was made now, and stands in this Secret. Whoever reads the output of a Pod need not be allowed to read it.
    Secret(String),
    /// It was written to this file once.
    File(PathBuf),
    /// Another replica or an earlier start has made it.
    Elsewhere,
}

impl Password {
    pub(super) fn text(&self) -> String {
        match self {
            Self::New(password, file) => format!("{password}  (also in {}; it is not shown again)", file.display()),
            Self::Secret(name) => format!("in the Secret {NAMESPACE}/{name}"),
            Self::File(file) => format!("as set; the first one was written to {}", file.display()),
            Self::Elsewhere => "as set".to_owned(),
        }
    }
}

impl Kept {
    pub(super) async fn authorities(&self) -> anyhow::Result<Keeper> {
        let store: Arc<dyn AuthorityStore> = match self {
            Self::Directory(dir) => Arc::new(DirectoryAuthorities::new(dir.join("pki"), AUTHORITY)),
            Self::Cluster(client) => Arc::new(SecretAuthorities::new(client.clone(), AUTHORITY)),
        };
        Keeper::open(store).await.context("could not load the hub's certificate authority")
    }

    pub(super) fn audit(&self) -> anyhow::Result<AuditLog> {
        match self {
            Self::Directory(dir) => AuditLog::open(dir.join("audit/identity.log")),
            Self::Cluster(_) => AuditLog::stdout(),
        }
    }

    /// The authority of the hub's own admission webhooks.
    pub(super) fn admission(&self) -> Arc<dyn CredentialStore> {
        match self {
            Self::Directory(dir) => Arc::new(DirectoryStore::new(dir.join("admission"))),
            Self::Cluster(client) => Arc::new(SecretStore::new(client.clone(), NAMESPACE, ADMISSION_SECRET)),
        }
    }

    /// Makes the first administrator where there is none, whose password is kept before.
    pub(super) async fn first_administrator(&self, identity: &Identity) -> anyhow::Result<Password> {
        let proposed = identity.propose_first_administrator().context("could not make up a password")?;
        match self {
            Self::Directory(dir) => in_file(identity, proposed, dir.join(PASSWORD_FILE)).await,
            Self::Cluster(client) => match proposed {
                Some(password) => in_secret(identity, password, client).await,
                None => Ok(Password::Elsewhere),
            },
        }
    }
}

async fn in_file(identity: &Identity, proposed: Option<String>, file: PathBuf) -> anyhow::Result<Password> {
    let Some(password) = proposed else { return Ok(as_set(file)) };
    write_private(&file, format!("{password}\n").as_bytes())
        .with_context(|| format!("could not write {}", file.display()))?;
    if create(identity, &password).await? {
        return Ok(Password::New(password, file));
    }
    std::fs::remove_file(&file).with_context(|| format!("could not remove {}", file.display()))?;
    Ok(Password::Elsewhere)
}

/// Only a file that is there is named: the password is in that of the replica that has made it.
fn as_set(file: PathBuf) -> Password {
    if file.exists() { Password::File(file) } else { Password::Elsewhere }
}

/// Each replica has a Secret of its own: none can write over the one that counts, and whoever was not first takes its own
/// away. An administrator who was deleted and is made anew has a new password.
async fn in_secret(identity: &Identity, password: String, client: &Client) -> anyhow::Result<Password> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let (label, value) = PASSWORD_LABEL;
    let secret = Secret {
        metadata: ObjectMeta {
            generate_name: Some(PASSWORD_SECRET.into()),
            labels: Some([(label.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        },
        string_data: Some([("password".to_owned(), password.clone())].into()),
        ..Secret::default()
    };
    let made = secrets.create(&PostParams::default(), &secret).await;
    let name = made.context("could not keep the first administrator's password")?.name_any();
    if create(identity, &password).await? {
        return Ok(Password::Secret(name));
    }
    let removed = secrets.delete(&name, &DeleteParams::default()).await;
    removed.with_context(|| format!("could not remove the Secret {NAMESPACE}/{name}, whose password is nobody's"))?;
    Ok(Password::Elsewhere)
}

async fn create(identity: &Identity, password: &str) -> anyhow::Result<bool> {
    identity.create_first_administrator(password).await.context("could not make the first administrator")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_file_that_is_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(PASSWORD_FILE);
        // Another replica was first.
        assert_eq!(as_set(file.clone()).text(), "as set");
        write_private(&file, b"secret\n").unwrap();
        assert_eq!(as_set(file.clone()).text(), format!("as set; the first one was written to {}", file.display()));
        assert!(Password::New("secret".into(), file).text().starts_with("secret  (also in "));
    }

    #[test]
    fn case_84_the_output_of_a_pod_names_the_secret_and_tells_nothing_of_it() {
        assert_eq!(Password::Secret("acp-x".into()).text(), "in the Secret cpaas-system/acp-x");
    }
}
