//! Security contexts of containers and Pods.

use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Value};

use crate::fields::{Fields, FieldsExt};
use crate::validate::{one_of, wrong_struct};

const ID_RANGE: &str = "must be between 0 and 2147483647, inclusive";
const SYSCTL: &str = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

fn ids(errors: &mut FieldErrors, context: &Fields, path: &FieldPath, keys: &[&str]) {
    for key in keys {
        if let Some(id) = context.int(key).filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
            errors.invalid(&path.child(key), id, ID_RANGE);
        }
    }
}

pub(super) fn validate_container(errors: &mut FieldErrors, context: &Fields, path: &FieldPath) {
    ids(errors, context, path, &["runAsUser", "runAsGroup"]);
    seccomp(errors, context, path);
    if context.value("allowPrivilegeEscalation") == &Value::Bool(false) {
        let both = |errors: &mut FieldErrors, other: &str| {
            let message = format!("cannot set `allowPrivilegeEscalation` to false and {other}");
            wrong_struct(errors, FieldErrorKind::Invalid, path, &as_go(context), &message);
        };
        if context.flag("privileged") {
            both(errors, "`privileged` to true");
        }
        let adds_admin = context.fields("capabilities").is_some_and(|c| c.texts("add").any(|c| c == "CAP_SYS_ADMIN"));
        if adds_admin {
            both(errors, "`capabilities.Add` CAP_SYS_ADMIN");
        }
    }
}

pub(super) fn validate_pod(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let Some(context) = spec.fields("securityContext") else { return };
    ids(errors, context, path, &["fsGroup", "runAsUser", "runAsGroup"]);
    for (index, group) in context.items("supplementalGroups").iter().enumerate() {
        if let Some(id) = group.as_i64().filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
            errors.invalid(&path.child("supplementalGroups").index(index), id, ID_RANGE);
        }
    }
    sysctls(errors, context, &path.child("sysctls"));
    seccomp(errors, context, path);
}

fn sysctls(errors: &mut FieldErrors, context: &Fields, path: &FieldPath) {
    let mut names = Vec::new();
    for (index, sysctl) in context.each("sysctls") {
        let (name, path) = (sysctl.text("name"), path.index(index).child("name"));
        match name {
            "" => errors.required(&path, ""),
            name if !is_sysctl(name) => errors.invalid(&path, name, SYSCTL),
            name if names.contains(&name) => errors.duplicate(&path, name),
            name => names.push(name),
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |text: &str| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(|&b| alphanumeric(b))
            && bytes.last().is_some_and(|&b| alphanumeric(b))
            && bytes.iter().all(|&b| alphanumeric(b) || b"-_".contains(&b))
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

fn seccomp(errors: &mut FieldErrors, context: &Fields, path: &FieldPath) {
    let Some(profile) = context.fields("seccompProfile") else { return };
    let path = path.child("seccompProfile");
    one_of(errors, profile, "type", &path, &["Localhost", "RuntimeDefault", "Unconfined"]);
    let local = profile.text("type") == "Localhost";
    match profile.text("localhostProfile") {
        "" if local => {
            errors.required(&path.child("localhostProfile"), "must be set when seccomp type is Localhost");
        }
        file if local => super::container::descending_path(errors, file, &path.child("localhostProfile")),
        "" => {}
        file => errors.invalid(&path.child("localhostProfile"), file, "can only be set when seccomp type is Localhost"),
    }
}

/// Error texts show upstream's internal struct, all of its fields by their Go names.
fn as_go(context: &Fields) -> Vec<(&'static str, Value)> {
    const FIELDS: [(&str, &str); 12] = [
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ];
    FIELDS.iter().map(|(go, key)| (*go, context.value(key).clone())).collect()
}
