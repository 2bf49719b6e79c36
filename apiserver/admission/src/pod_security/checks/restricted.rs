//! What a Pod must say and leave out so that it is as confined as Kubernetes can have it.

use std::collections::BTreeSet;

use api_meta::Value;

use super::Violation;
use super::baseline::{self, adding, is_confined};
use super::pod::{Pod, at, containers, name, plural, quoted, security, setters};

pub(super) fn privilege_escalation_1_8(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.containers_that(|c| security(c, &["allowPrivilegeEscalation"]) != Some(&Value::Bool(false)));
    (!names.is_empty()).then(|| {
        let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names));
        Violation::new("allowPrivilegeEscalation != false", detail)
    })
}

/// Since 1.25 what Windows does not have is not asked of it.
fn unless_windows(pod: &Pod<'_>, check: super::CheckPod) -> Option<Violation> {
    if pod.is_windows() { None } else { check(pod) }
}

pub(super) fn privilege_escalation_1_25(pod: &Pod<'_>) -> Option<Violation> {
    unless_windows(pod, privilege_escalation_1_8)
}

pub(super) fn capabilities_1_22(pod: &Pod<'_>) -> Option<Violation> {
    let drops_all = |container: &Value| {
        let dropped = security(container, &["capabilities", "drop"]).and_then(Value::as_array);
        dropped.is_some_and(|list| list.iter().any(|name| name == "ALL"))
    };
    let missing = pod.containers_that(|container| !drops_all(container));
    let (adding, bad) = adding(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !missing.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&missing)));
    }
    if !adding.is_empty() {
        let list = quoted(&bad);
        details.push(format!("{} must not include {list} in securityContext.capabilities.add", containers(&adding)));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

pub(super) fn capabilities_1_25(pod: &Pod<'_>) -> Option<Violation> {
    unless_windows(pod, capabilities_1_22)
}

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

const RESTRICTED_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

pub(super) fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let is = |volume: &Value, kinds: &[&'static str]| kinds.iter().find(|kind| at(volume, &[kind]).is_some()).copied();
    let (mut names, mut kinds) = (Vec::new(), BTreeSet::new());
    for volume in pod.list("volumes").filter(|volume| is(volume, &VOLUMES).is_none()) {
        names.push(name(volume));
        kinds.insert(is(volume, &RESTRICTED_VOLUMES).unwrap_or("unknown"));
    }
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {} {}",
            plural("volume", "volumes", names.len()),
            quoted(&names),
            plural("uses", "use", names.len()),
            plural("restricted volume type", "restricted volume types", kinds.len()),
            quoted(&kinds)
        );
        Violation::new("restricted volume types", detail)
    })
}

pub(super) fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
    let of_pod = flag(pod.security(&["runAsNonRoot"]));
    let explicit = pod.containers_that(|c| flag(security(c, &["runAsNonRoot"])) == Some(false));
    if let Some(who) = setters(of_pod == Some(false), &explicit) {
        return Some(Violation::new(REASON, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let silent = pod.containers_that(|c| of_pod != Some(true) && flag(security(c, &["runAsNonRoot"])).is_none());
    (!silent.is_empty()).then(|| {
        let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
        Violation::new(REASON, detail)
    })
}

pub(super) fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let is_root = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let names = pod.containers_that(|container| is_root(security(container, &["runAsUser"])));
    let who = setters(is_root(pod.security(&["runAsUser"])), &names)?;
    Some(Violation::new("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

pub(super) fn seccomp_profile_1_19(pod: &Pod<'_>) -> Option<Violation> {
    if let Some(violation) = baseline::seccomp_profile(pod) {
        return Some(violation);
    }
    let of_pod = pod.security(&["seccompProfile"]).is_some_and(is_confined);
    let silent = pod.containers_that(|container| !of_pod && security(container, &["seccompProfile"]).is_none());
    (!silent.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&silent)
        );
        Violation::new("seccompProfile", detail)
    })
}

pub(super) fn seccomp_profile_1_25(pod: &Pod<'_>) -> Option<Violation> {
    unless_windows(pod, seccomp_profile_1_19)
}
