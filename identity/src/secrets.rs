//! Users and sessions as Secrets. Every read is total: a Secret that is not ours is nobody.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use lib_names::{GroupName, UserName};
use ring::digest::{SHA256, digest};

use crate::Error;
use crate::session::Stored;
use crate::token::TokenHash;
use crate::user::{Record, User};

pub(crate) const NAMESPACE: &str = "cpaas-system";
pub(crate) const USER_LABEL: &str = "auth.cpaas.io/local-user";
pub(crate) const SESSION_LABEL: &str = "auth.cpaas.io/session";

pub(crate) fn api(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Whoever has installed the hub has made it already, and then its controllers may look at it and no more.
pub(crate) async fn ensure_namespace(client: &Client) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(NAMESPACE).await.map_err(Error::hub("look for the platform's namespace"))?.is_some() {
        return Ok(());
    }
    let metadata = ObjectMeta { name: Some(NAMESPACE.into()), ..Default::default() };
    match namespaces.create(&PostParams::default(), &Namespace { metadata, ..Default::default() }).await {
        Err(error) if !is(&error, 409) => Err(Error::hub("make the platform's namespace")(error)),
        _ => Ok(()),
    }
}

/// The stored user, or `None` if there is one of that name already.
pub(crate) async fn create_user(client: &Client, user: &User, password: &str) -> Result<Option<Record>, Error> {
    let groups: Vec<&str> = user.groups.iter().map(GroupName::as_str).collect();
    let data = [("username", user.name.as_str()), ("password", password), ("groups", &groups.join("\n"))];
    match api(client).create(&PostParams::default(), &secret(&user_secret(user.name.as_str()), USER_LABEL, &data)).await
    {
        Ok(stored) => Ok(read_user(&stored)),
        Err(error) if is(&error, 409) => Ok(None),
        Err(error) => Err(Error::hub("store a user")(error)),
    }
}

pub(crate) async fn create_session(
    client: &Client,
    hash: &TokenHash,
    record: &Record,
    expires: Timestamp,
) -> Result<Stored, Error> {
    let stored = Stored {
        hash: *hash,
        username: record.user.name.to_string(),
        user_uid: record.user.uid.clone(),
        password: record.fingerprint(),
        expires,
    };
    let (hex, expires) = (hash.hex(), expires.to_string());
    let data = [
        ("token", hex.as_str()),
        ("username", &stored.username),
        ("userUID", &stored.user_uid),
        ("password", &stored.password),
        ("expires", &expires),
    ];
    let secret = secret(&session_secret(hash), SESSION_LABEL, &data);
    api(client).create(&PostParams::default(), &secret).await.map_err(Error::hub("store a session"))?;
    Ok(stored)
}

pub(crate) async fn delete_session(client: &Client, hash: &TokenHash) -> Result<(), Error> {
    match api(client).delete(&session_secret(hash), &DeleteParams::default()).await {
        Err(error) if !is(&error, 404) => Err(Error::hub("delete a session")(error)),
        _ => Ok(()),
    }
}

/// `None` for a Secret that does not describe a user, or one whose name or groups nobody may have.
pub(crate) fn read_user(secret: &Secret) -> Option<Record> {
    let name: UserName = text(secret, "username")?.parse().ok()?;
    // The Secret's name is derived from the user's: two Secrets cannot describe the same user.
    if secret.metadata.name.as_deref() != Some(&*user_secret(name.as_str())) {
        return None;
    }
    let groups = text(secret, "groups").unwrap_or_default();
    let groups: Vec<GroupName> =
        groups.lines().filter(|line| !line.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
    let user = User { name, groups, uid: secret.uid().unwrap_or_default() };
    // Only "false", or nothing, lets somebody in.
    let disabled = !matches!(text(secret, "disabled").as_deref(), None | Some("false"));
    Some(Record { user, password: text(secret, "password")?, disabled })
}

pub(crate) fn read_session(secret: &Secret) -> Option<Stored> {
    let hash = TokenHash::from_hex(&text(secret, "token")?)?;
    if secret.metadata.name.as_deref() != Some(&*session_secret(&hash)) {
        return None;
    }
    Some(Stored {
        hash,
        username: text(secret, "username")?,
        user_uid: text(secret, "userUID")?,
        password: text(secret, "password")?,
        expires: text(secret, "expires")?.parse().ok()?,
    })
}

fn user_secret(name: &str) -> String {
    let hash = digest(&SHA256, name.as_bytes());
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("local-user-{hex}")
}

/// Half of the hash: enough to be unique, and not what authenticates.
pub(crate) fn session_secret(hash: &TokenHash) -> String {
    format!("session-{}", &hash.hex()[..32])
}

fn secret(name: &str, label: &str, data: &[(&str, &str)]) -> Secret {
    let labels = BTreeMap::from([(label.to_owned(), "true".to_owned())]);
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.into()),
        labels: Some(labels),
        ..Default::default()
    };
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret { metadata, data: Some(data.collect()), type_: Some("Opaque".into()), ..Default::default() }
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &str) -> Option<Record> {
        read_user(&secret(&user_secret(name), USER_LABEL, &[("username", name), ("groups", groups), ("password", "x")]))
    }

    #[test]
    fn case_05_reserved_names_and_groups_are_nobody() {
        assert!(user("ann", "cpaas:platform-admins\ndev").is_some());
        for (name, groups) in [
            ("system:admin", ""),
            ("SYSTEM:admin", ""),
            ("acp:hub:fleet", ""),
            ("ann", "system:masters"),
            ("ann", "dev\nsystem:masters"),
            ("ann", "acp:agents"),
        ] {
            assert!(user(name, groups).is_none(), "{name} {groups}");
        }
    }

    #[test]
    fn case_04_an_empty_identity_is_nobody() {
        assert!(user("", "").is_none());
        assert!(user(" ", "").is_none());
    }

    #[test]
    fn a_secret_under_another_name_is_nobody() {
        let stray = secret("local-user-x", USER_LABEL, &[("username", "ann"), ("groups", ""), ("password", "x")]);
        assert!(read_user(&stray).is_none());
    }
}
