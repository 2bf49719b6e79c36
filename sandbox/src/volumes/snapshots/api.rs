//! The kinds of `snapshot.storage.k8s.io/v1`, as far as they are read and written here.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
    },
};
use kube::{CustomResource, Resource, core::ClusterResourceScope};
use serde::{Deserialize, Serialize};

const GROUP: &str = "snapshot.storage.k8s.io";

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "snapshot.storage.k8s.io",
    version = "v1",
    kind = "VolumeSnapshot",
    namespaced,
    status = "VolumeSnapshotStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct VolumeSnapshotSpec {
    pub(in crate::volumes) source: SnapshotSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) volume_snapshot_class_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct SnapshotSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) persistent_volume_claim_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) volume_snapshot_content_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct VolumeSnapshotStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) bound_volume_snapshot_content_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) creation_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) error: Option<SnapshotError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) ready_to_use: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) restore_size: Option<Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(in crate::volumes) struct SnapshotError {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) time: Option<Time>,
}

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "snapshot.storage.k8s.io",
    version = "v1",
    kind = "VolumeSnapshotContent",
    status = "VolumeSnapshotContentStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct VolumeSnapshotContentSpec {
    pub(in crate::volumes) deletion_policy: String,
    pub(in crate::volumes) driver: String,
    pub(in crate::volumes) source: ContentSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) source_volume_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) volume_snapshot_class_name: Option<String>,
    pub(in crate::volumes) volume_snapshot_ref: ObjectReference,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct ContentSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) snapshot_handle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) volume_handle: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct VolumeSnapshotContentStatus {
    /// In nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) creation_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) error: Option<SnapshotError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) ready_to_use: Option<bool>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) restore_size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::volumes) snapshot_handle: Option<String>,
}

/// Unlike the others it has no `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::volumes) struct VolumeSnapshotClass {
    api_version: String,
    kind: String,
    pub(in crate::volumes) metadata: ObjectMeta,
    pub(in crate::volumes) deletion_policy: String,
    pub(in crate::volumes) driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<BTreeMap<String, String>>,
}

impl Resource for VolumeSnapshotClass {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "VolumeSnapshotClass".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "volumesnapshotclasses".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
