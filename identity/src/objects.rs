//! What is kept, and where: kinds that people may look at, and Secrets for what nobody may.
//!
//! Every read is total: an object that is not ours, or that says what nobody may be, is nobody.

use std::collections::BTreeMap;

use api_types::PLATFORM_NAMESPACE;
use api_types::auth::{self, User as UserObject, UserSpec};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::{Client, Resource, ResourceExt};
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::session::Stored;
use crate::standing::is_local;
use crate::user::object_name;
use crate::{Error, user};

/// Label of Secrets with a user's password and second factor.
pub(crate) const CREDENTIALS_LABEL: &str = "auth.cpaas.io/credentials";
/// Label of Secrets with a session.
pub(crate) const SESSION_LABEL: &str = "auth.cpaas.io/session";
/// The key under which such a Secret holds what it is for, as JSON.
const KEY: &str = "value";
/// How often a change that met another is tried again.
pub(crate) const RACES: usize = 10;

/// A user's password and second factor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credentials {
    pub(crate) email: String,
    /// The argon2id hash, in PHC form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Hashes of earlier ones, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<String>,
    /// When it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<Timestamp>,
    /// Whether somebody else chose it.
    #[serde(default)]
    pub(crate) must_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) totp: Option<SecondFactor>,
    /// The object's version, for a change that nobody else's change gets lost in.
    #[serde(skip)]
    pub(crate) version: Option<String>,
}

/// A second factor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecondFactor {
    /// In base 32. A code cannot be checked without it.
    pub(crate) secret: String,
    /// Whether the person has shown that the app knows it.
    pub(crate) confirmed: bool,
    /// The last step whose code was used.
    pub(crate) last_step: u64,
}

impl Credentials {
    /// Changes with the password, and says nothing about it.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let hash = digest(&SHA256, self.password.as_ref()?.as_bytes());
        Some(hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The secret of a second factor that counts.
    pub(crate) fn second_factor(&self) -> Option<&SecondFactor> {
        self.totp.as_ref().filter(|totp| totp.confirmed)
    }
}

pub(crate) fn secrets(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), PLATFORM_NAMESPACE)
}

pub(crate) fn users(client: &Client) -> Api<UserObject> {
    Api::all(client.clone())
}

/// Whoever has installed the hub has made it already, and then its controllers may look at it and no more.
pub(crate) async fn ensure_namespace(client: &Client) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(PLATFORM_NAMESPACE).await.map_err(Error::hub("look for the platform's namespace"))?.is_some()
    {
        return Ok(());
    }
    let metadata = ObjectMeta { name: Some(PLATFORM_NAMESPACE.into()), ..Default::default() };
    match namespaces.create(&PostParams::default(), &Namespace { metadata, ..Default::default() }).await {
        Err(error) if !is(&error, 409) => Err(Error::hub("make the platform's namespace")(error)),
        _ => Ok(()),
    }
}

/// A user's object, under the name and with the labels that are published.
pub(crate) fn user_object(spec: UserSpec) -> UserObject {
    let mut object = UserObject::new(&object_name(&spec.email), spec);
    object.metadata.labels = Some(labels(&object.spec));
    object
}

/// The published labels of a user.
pub(crate) fn labels(spec: &UserSpec) -> BTreeMap<String, String> {
    let state = match spec.state {
        Some(auth::Activity::Inactive) => "inactive",
        _ => "active",
    };
    let connector = spec.connector_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(auth::LOCAL);
    let kind = if is_local(spec) { auth::LOCAL } else { &spec.connector_type };
    let pairs = [
        (auth::USER_EMAIL, object_name(&spec.email)),
        (auth::USER_NAME, label_value(&spec.username)),
        (auth::USER_STATE, state.to_owned()),
        (auth::USER_VALID, spec.valid.to_string()),
        (auth::USER_CONNECTOR_ID, label_value(connector)),
        (auth::USER_CONNECTOR_TYPE, label_value(kind)),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// A name as a label can hold it; what it cannot hold is left out.
fn label_value(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let cut: String = plain.chars().take(63).collect();
    cut.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// A `User` that names somebody who may be: nobody of the system's, and under the name that its e-mail gives it.
pub(crate) fn usable(object: &UserObject) -> bool {
    let name = user::email(&object.spec.email);
    name.is_some_and(|name| name.as_str() == object.spec.email && object.name_any() == object_name(name.as_str()))
}

fn credentials_name(email: &str) -> String {
    format!("credentials-{}", object_name(email))
}

/// What the names of Secrets with sessions begin with.
pub(crate) const SESSION_PREFIX: &str = "session-";

pub(crate) fn session_name(id: &str) -> String {
    format!("{SESSION_PREFIX}{id}")
}

pub(crate) fn read_credentials(secret: &Secret) -> Option<Credentials> {
    let mut credentials: Credentials = read(secret)?;
    // The Secret's name is derived from the user's: two Secrets cannot speak of the same user.
    if secret.metadata.name.as_deref() != Some(&*credentials_name(&credentials.email)) {
        return None;
    }
    credentials.version = secret.resource_version();
    Some(credentials)
}

pub(crate) fn read_session(secret: &Secret) -> Option<Stored> {
    let stored: Stored = read(secret)?;
    (secret.metadata.name.as_deref() == Some(&*session_name(&stored.id()))).then_some(stored)
}

/// The credentials as they are now stored, or `None` if somebody else was faster.
pub(crate) async fn put_credentials(
    client: &Client,
    owner: &UserObject,
    credentials: &Credentials,
) -> Result<Option<Credentials>, Error> {
    let mut secret = secret(&credentials_name(&credentials.email), CREDENTIALS_LABEL, credentials)?;
    // They go with the user.
    secret.metadata.owner_references = owner.owner_ref(&()).map(|owner| vec![owner]);
    let api = secrets(client);
    let written = match &credentials.version {
        None => api.create(&PostParams::default(), &secret).await,
        Some(version) => {
            secret.metadata.resource_version = Some(version.clone());
            api.replace(&credentials_name(&credentials.email), &PostParams::default(), &secret).await
        }
    };
    match written {
        Ok(stored) => Ok(read_credentials(&stored)),
        Err(error) if is(&error, 409) || is(&error, 404) => Ok(None),
        Err(error) => Err(Error::hub("store a password")(error)),
    }
}

/// False if there is a session of that identifier already.
pub(crate) async fn create_session(client: &Client, stored: &Stored) -> Result<bool, Error> {
    let secret = secret(&session_name(&stored.id()), SESSION_LABEL, stored)?;
    match secrets(client).create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(true),
        Err(error) if is(&error, 409) => Ok(false),
        Err(error) => Err(Error::hub("store a session")(error)),
    }
}

/// A session as it is stored at that moment.
pub(crate) async fn stored_session(client: &Client, id: &str) -> Result<Option<Stored>, Error> {
    let present = secrets(client).get_opt(&session_name(id)).await.map_err(Error::hub("read a session"))?;
    Ok(present.as_ref().and_then(read_session))
}

/// Changes a session as it is at that moment, whoever else changes it. `None` if it is gone, or `change` says no.
pub(crate) async fn change_session(
    client: &Client,
    id: &str,
    change: impl Fn(&mut Stored) -> bool,
) -> Result<Option<Stored>, Error> {
    let (api, name) = (secrets(client), session_name(id));
    for _ in 0..RACES {
        let Some(present) = api.get_opt(&name).await.map_err(Error::hub("read a session"))? else { return Ok(None) };
        let Some(mut stored) = read_session(&present) else { return Ok(None) };
        if !change(&mut stored) {
            return Ok(None);
        }
        let mut secret = secret(&name, SESSION_LABEL, &stored)?;
        secret.metadata.resource_version = present.resource_version();
        match api.replace(&name, &PostParams::default(), &secret).await {
            Ok(_) => return Ok(Some(stored)),
            Err(error) if is(&error, 409) => {}
            Err(error) if is(&error, 404) => return Ok(None),
            Err(error) => return Err(Error::hub("store a session")(error)),
        }
    }
    Ok(None)
}

pub(crate) async fn delete_session(client: &Client, id: &str) -> Result<(), Error> {
    match secrets(client).delete(&session_name(id), &DeleteParams::default()).await {
        Err(error) if !is(&error, 404) => Err(Error::hub("delete a session")(error)),
        _ => Ok(()),
    }
}

/// A Secret of the platform that holds one value.
pub(crate) fn secret<T: Serialize>(name: &str, label: &str, value: &T) -> Result<Secret, Error> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(PLATFORM_NAMESPACE.into()),
        labels: Some(BTreeMap::from([(label.to_owned(), "true".to_owned())])),
        ..Default::default()
    };
    let data = BTreeMap::from([(KEY.to_owned(), ByteString(serde_json::to_vec(value).map_err(Error::Encode)?))]);
    Ok(Secret { metadata, data: Some(data), type_: Some("Opaque".into()), ..Default::default() })
}

pub(crate) fn read<T: DeserializeOwned>(secret: &Secret) -> Option<T> {
    serde_json::from_slice(&secret.data.as_ref()?.get(KEY)?.0).ok()
}

/// An object's version as a number: of two of an object the greater is the later one.
pub(crate) fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

pub(crate) fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email: &str) -> UserObject {
        user_object(UserSpec { email: email.into(), username: email.into(), valid: true, ..UserSpec::default() })
    }

    #[test]
    fn case_05_reserved_names_are_nobody() {
        assert!(usable(&user("ann@corp.io")));
        for name in ["system:admin", "system:admin@x", "acp:hub:fleet", "", " ", "Ann@corp.io", "zoë@corp.io"] {
            assert!(!usable(&user(name)), "{name}");
        }
        let mut stray = user("ann@corp.io");
        stray.metadata.name = Some("ann".into());
        assert!(!usable(&stray));
    }

    #[test]
    fn credentials_under_another_name_are_nobodys() {
        let credentials = Credentials { email: "ann@corp.io".into(), ..Credentials::default() };
        let own = secret(&credentials_name("ann@corp.io"), CREDENTIALS_LABEL, &credentials).unwrap();
        assert!(read_credentials(&own).is_some());
        let stray = secret(&credentials_name("bob@corp.io"), CREDENTIALS_LABEL, &credentials).unwrap();
        assert!(read_credentials(&stray).is_none());
    }

    #[test]
    fn labels_hold_what_they_can() {
        let labels = labels(&user("ann+x@corp.io").spec);
        assert_eq!(labels[auth::USER_NAME], "ann_x_corp.io");
        assert_eq!(labels[auth::USER_CONNECTOR_ID], "local");
        assert_eq!(labels[auth::USER_EMAIL], object_name("ann+x@corp.io"));
    }
}
