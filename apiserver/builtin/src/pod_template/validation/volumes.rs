//! Volumes of Pods, and the sources that PersistentVolumes share with them.

use std::collections::BTreeSet;

use api_meta::validation::is_config_key;
use api_meta::{FieldErrors, FieldPath};

use super::container::{descending_path, field_reference};
use crate::fields::{Fields, FieldsExt};
use crate::persistent_volume_claim::validate_claim_spec;
use crate::table::part;
use crate::validate::{each_wrong, label, one_of_if_any, subdomain};

/// In the order in which upstream looks at them.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Returns the names that mounts may use.
pub(super) fn validate(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (index, volume) in spec.each("volumes") {
        let path = path.index(index);
        let mut wrong = FieldErrors::new();
        validate_source(&mut wrong, volume, &SOURCES, &path);
        let name = volume.text("name");
        match name {
            "" => wrong.required(&path.child("name"), ""),
            name => label(&mut wrong, &path.child("name"), name),
        }
        if names.contains(name) {
            wrong.duplicate(&path.child("name"), name);
        }
        if wrong.is_empty() {
            names.insert(name.to_owned());
        } else {
            errors.extend(wrong);
        }
    }
    names
}

/// Exactly one source, and what that source needs.
pub(crate) fn validate_source(errors: &mut FieldErrors, volume: &Fields, sources: &[&str], path: &FieldPath) {
    let mut count = 0;
    for kind in sources {
        let Some(source) = volume.fields(kind) else { continue };
        if count > 0 {
            errors.forbidden(&path.child(kind), "may not specify more than 1 volume type");
            continue;
        }
        count += 1;
        one_source(errors, kind, source, &path.child(kind));
    }
    if count == 0 {
        errors.required(path, "must specify a volume type");
    }
}

fn need(errors: &mut FieldErrors, source: &Fields, path: &FieldPath, keys: &[&str]) {
    for key in keys {
        if source.text(key).is_empty() {
            errors.required(&path.child(key), "");
        }
    }
}

fn one_source(errors: &mut FieldErrors, kind: &str, source: &Fields, path: &FieldPath) {
    match kind {
        "hostPath" => {
            need(errors, source, path, &["path"]);
            if source.text("path").split('/').any(|part| part == "..") {
                errors.invalid(&path.child("path"), source.text("path"), "must not contain '..'");
            }
            one_of_if_any(errors, source, "type", path, &HOST_PATH_TYPES);
        }
        "secret" => {
            need(errors, source, path, &["secretName"]);
            files(errors, source, path);
        }
        "configMap" => {
            need(errors, source, path, &["name"]);
            files(errors, source, path);
        }
        "nfs" => {
            need(errors, source, path, &["server", "path"]);
            if !source.text("path").is_empty() && !source.text("path").starts_with('/') {
                errors.invalid(&path.child("path"), source.text("path"), "must be an absolute path");
            }
        }
        "iscsi" => need(errors, source, path, &["targetPortal", "iqn"]),
        "persistentVolumeClaim" => need(errors, source, path, &["claimName"]),
        "rbd" => need(errors, source, path, &["image"]),
        "csi" => need(errors, source, path, &["driver"]),
        "downwardAPI" => {
            mode(errors, source, "defaultMode", path);
            downward_files(errors, source, path);
        }
        "projected" => projected(errors, source, path),
        "ephemeral" => match source.fields("volumeClaimTemplate") {
            None => errors.required(&path.child("volumeClaimTemplate"), ""),
            Some(template) => {
                validate_claim_spec(errors, part(template, "spec"), &path.children(&["volumeClaimTemplate", "spec"]));
            }
        },
        _ => {}
    }
}

fn mode(errors: &mut FieldErrors, fields: &Fields, key: &str, path: &FieldPath) {
    if let Some(mode) = fields.int(key).filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(&path.child(key), mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// Keys of an object that become files.
fn files(errors: &mut FieldErrors, source: &Fields, path: &FieldPath) {
    mode(errors, source, "defaultMode", path);
    for (index, item) in source.each("items") {
        let path = path.child("items").index(index);
        match item.text("key") {
            "" => errors.required(&path.child("key"), ""),
            key => each_wrong(errors, &path.child("key"), key, is_config_key(key)),
        }
        file_path(errors, item, &path);
        mode(errors, item, "mode", &path);
    }
}

fn file_path(errors: &mut FieldErrors, item: &Fields, path: &FieldPath) {
    match item.text("path") {
        "" => errors.required(&path.child("path"), ""),
        text => {
            descending_path(errors, text, &path.child("path"));
            if text.starts_with("..") && !text.starts_with("../") && text != ".." {
                errors.invalid(&path.child("path"), text, "must not start with '..'");
            }
        }
    }
}

fn downward_files(errors: &mut FieldErrors, source: &Fields, path: &FieldPath) {
    for (index, item) in source.each("items") {
        let path = path.child("items").index(index);
        file_path(errors, item, &path);
        match (item.fields("fieldRef"), item.fields("resourceFieldRef")) {
            (Some(reference), resource) => {
                field_reference(errors, reference, &FILES, &path.child("fieldRef"));
                if resource.is_some() {
                    errors.invalid(
                        &path,
                        "resource",
                        "fieldRef and resourceFieldRef can not be specified simultaneously",
                    );
                }
            }
            (None, Some(_)) => {}
            (None, None) => errors.required(&path, "one of fieldRef and resourceFieldRef is required"),
        }
        mode(errors, item, "mode", &path);
    }
}

fn projected(errors: &mut FieldErrors, volume: &Fields, path: &FieldPath) {
    mode(errors, volume, "defaultMode", path);
    for (index, source) in volume.each("sources") {
        let path = path.child("sources").index(index);
        let mut count = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let Some(fields) = source.fields(kind) else { continue };
            let path = path.child(kind);
            count += 1;
            if count > 1 {
                errors.forbidden(&path, "may not specify more than 1 volume type");
                continue;
            }
            match kind {
                "secret" | "configMap" => {
                    need(errors, fields, &path, &["name"]);
                    files(errors, fields, &path);
                }
                "downwardAPI" => downward_files(errors, fields, &path),
                "serviceAccountToken" => token(errors, fields, &path),
                _ => {}
            }
        }
        if count == 0 {
            errors.required(&path, "must specify a volume type");
        }
    }
}

fn token(errors: &mut FieldErrors, source: &Fields, path: &FieldPath) {
    let seconds = source.int("expirationSeconds").unwrap_or_default();
    if seconds < 600 {
        errors.invalid(&path.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(
            &path.child("expirationSeconds"),
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    need(errors, source, path, &["path"]);
}

/// The name of a class of storage.
pub(crate) fn class_name(errors: &mut FieldErrors, fields: &Fields, path: &FieldPath) {
    if !fields.text("storageClassName").is_empty() {
        subdomain(errors, &path.child("storageClassName"), fields.text("storageClassName"));
    }
}
