//! Defaults of volumes, those of Pods and those of PersistentVolumes.

use api_meta::json;

use super::defaults::default_references;
use super::image::is_latest;
use crate::fields::{Fields, FieldsExt};
use crate::persistent_volume_claim::default_claim_spec;

/// 0644: the mode of files made from objects.
const FILE_MODE: i64 = 0o644;

pub(crate) fn default_volume(volume: &mut Fields) {
    let says_nothing = volume.iter().all(|(key, value)| key == "name" || value.is_null());
    if says_nothing {
        volume.set("emptyDir", json!({}));
    }
    if let Some(size) = volume.fields_mut("emptyDir")
        && let Ok(limit) = api_meta::Quantity::from_value(size.value("sizeLimit"))
    {
        size.set("sizeLimit", limit.to_string());
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.fields_mut(kind) {
            source.or_set("defaultMode", FILE_MODE);
            source.each_mut("items").for_each(default_references);
        }
    }
    for source in volume.fields_mut("projected").into_iter().flat_map(|p| p.each_mut("sources")) {
        if let Some(token) = source.fields_mut("serviceAccountToken") {
            token.or_set("expirationSeconds", 3600);
        }
        if let Some(downward) = source.fields_mut("downwardAPI") {
            downward.each_mut("items").for_each(default_references);
        }
    }
    if let Some(template) = volume.fields_mut("ephemeral").and_then(|e| e.fields_mut("volumeClaimTemplate")) {
        template.made("metadata");
        default_claim_spec(template.made("spec"));
    }
    if let Some(image) = volume.fields_mut("image") {
        let policy = if is_latest(image.text("reference")) { "Always" } else { "IfNotPresent" };
        image.or_text("pullPolicy", policy);
    }
    default_source(volume);
}

/// The sources that Pods and PersistentVolumes share.
pub(crate) fn default_source(volume: &mut Fields) {
    if let Some(path) = volume.fields_mut("hostPath") {
        path.or_set("type", "");
    }
    if let Some(iscsi) = volume.fields_mut("iscsi") {
        iscsi.or_text("iscsiInterface", "default");
    }
    if let Some(rbd) = volume.fields_mut("rbd") {
        rbd.or_text("pool", "rbd");
        rbd.or_text("user", "admin");
        rbd.or_text("keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = volume.fields_mut("azureDisk") {
        disk.or_set("cachingMode", "ReadWrite");
        disk.or_set("kind", "Shared");
        disk.or_set("fsType", "ext4");
        disk.or_set("readOnly", false);
    }
    if let Some(scale) = volume.fields_mut("scaleIO") {
        scale.or_text("storageMode", "ThinProvisioned");
        scale.or_text("fsType", "xfs");
    }
}
