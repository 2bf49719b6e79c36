//! Where an upgrade is kept: a Secret of the hub's cluster, which all replicas follow.
//!
//! Nothing in it is secret. But whoever may write it decides what runs in every member, so it is as well kept as the hub's
//! authority, and the hub's controllers need no more rights than they have.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use lib_telemetry::chain;

use super::UpgradeError;
use super::plan::Upgrade;
use crate::NAMESPACE;
use crate::error::Error;

/// What it is called. Whoever may update it may upgrade agents.
pub const UPGRADE_SECRET: &str = "acp-agent-upgrade";

const KEY: &str = "upgrade.json";

/// An upgrade, in a version.
pub(super) struct Kept {
    pub(super) upgrade: Upgrade,
    pub(super) version: Option<String>,
}

fn read(secret: &Secret) -> Result<Kept, UpgradeError> {
    let json = secret.data.as_ref().and_then(|data| data.get(KEY)).ok_or(UpgradeError::Damaged(None))?;
    let upgrade = serde_json::from_slice(&json.0).map_err(|error| UpgradeError::Damaged(Some(error)))?;
    Ok(Kept { upgrade, version: secret.resource_version() })
}

/// The last one, if there was one.
pub(super) async fn load(api: &Api<Secret>) -> Result<Option<Kept>, Error> {
    let found = api.get_opt(UPGRADE_SECRET).await.map_err(Error::hub("read the upgrade of agents"))?;
    Ok(found.map(|secret| read(&secret)).transpose()?)
}

/// Replaces the version that was loaded, or makes the first one, in one step.
pub(super) async fn save(api: &Api<Secret>, upgrade: &Upgrade, version: Option<String>) -> Result<(), Error> {
    let json = serde_json::to_vec(upgrade).map_err(|error| UpgradeError::Damaged(Some(error)))?;
    let is_first = version.is_none();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(UPGRADE_SECRET.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            resource_version: version,
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some([(KEY.to_owned(), ByteString(json))].into()),
        ..Secret::default()
    };
    let params = PostParams::default();
    let saved = match is_first {
        true => api.create(&params, &secret).await,
        false => api.replace(UPGRADE_SECRET, &params, &secret).await,
    };
    match saved {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(UpgradeError::Changed.into()),
        Err(error) => Err(Error::hub("keep the upgrade of agents")(error)),
    }
}

/// Says whenever it may have changed.
pub(super) fn changes(api: Api<Secret>) -> BoxStream<'static, ()> {
    let only = watcher::Config::default().fields(&format!("metadata.name={UPGRADE_SECRET}"));
    let events = watcher(api, only).default_backoff();
    let changes = events.map(|event| {
        if let Err(error) = event {
            tracing::warn!(error = %chain(&error), "could not follow the Secret of the upgrade of agents");
        }
    });
    changes.boxed()
}
