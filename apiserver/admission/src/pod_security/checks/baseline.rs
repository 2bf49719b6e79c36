//! What no Pod may do that is not trusted with its node.

use std::collections::BTreeSet;

use api_meta::Value;

use super::Violation;
use super::pod::{Pod, at, containers, name, plural, quoted, security, setters, text};

pub(super) fn app_armor_profile(pod: &Pod<'_>) -> Option<Violation> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut values = BTreeSet::new();
    let mut is_bad = |profile| is_unconfined(profile, &mut values);
    let of_pod = is_bad(pod.security(&["appArmorProfile"]));
    let names = pod.containers_that(|container| is_bad(security(container, &["appArmorProfile"])));
    let allowed = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let annotations = pod.annotations.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)));
    let forbidden: BTreeSet<String> = annotations
        .filter(|(key, value)| key.starts_with(PREFIX) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut who: Vec<String> = setters(of_pod, &names).into_iter().collect();
    if !forbidden.is_empty() {
        who.push(plural("annotation", "annotations", forbidden.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().map(str::to_owned).chain(forbidden).collect();
    Some(Violation::new(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values)),
    ))
}

pub(super) fn is_confined(profile: &Value) -> bool {
    ["RuntimeDefault", "Localhost"].contains(&text(profile, "type"))
}

/// Whether there is a profile and it does not confine; then its type is kept.
fn is_unconfined<'a>(profile: Option<&'a Value>, kinds: &mut BTreeSet<&'a str>) -> bool {
    let bad = profile.filter(|profile| !is_confined(profile));
    kinds.extend(bad.map(|profile| text(profile, "type")));
    bad.is_some()
}

const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add capabilities beside the allowed ones, and which those are.
pub(super) fn adding<'a>(pod: &Pod<'a>, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let mut bad = BTreeSet::new();
    let names = pod.containers_that(|container| {
        let list = security(container, &["capabilities", "add"]).and_then(Value::as_array).into_iter().flatten();
        let added: Vec<&str> = list.filter_map(Value::as_str).filter(|name| !allowed.contains(name)).collect();
        bad.extend(added.iter().copied());
        !added.is_empty()
    });
    (names, bad)
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let (names, bad) = adding(pod, &DEFAULT_CAPABILITIES);
    (!names.is_empty()).then(|| {
        let list = quoted(&bad);
        let detail = format!("{} must not include {list} in securityContext.capabilities.add", containers(&names));
        Violation::new("non-default capabilities", detail)
    })
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let is_shared = |field: &&str| pod.field(&[field]) == Some(&Value::Bool(true));
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(is_shared);
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}

pub(super) fn host_path_volumes(pod: &Pod<'_>) -> Option<Violation> {
    let names: Vec<&str> = pod.list("volumes").filter(|v| at(v, &["hostPath"]).is_some()).map(name).collect();
    (!names.is_empty()).then(|| {
        let detail = format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names));
        Violation::new("hostPath volumes", detail)
    })
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let mut ports = BTreeSet::new();
    let names = pod.containers_that(|container| {
        let all = at(container, &["ports"]).and_then(Value::as_array).into_iter().flatten();
        let taken = all.filter_map(|p| p.get("hostPort").and_then(Value::as_i64)).filter(|port| *port != 0);
        let taken: Vec<String> = taken.map(|port| port.to_string()).collect();
        let any = !taken.is_empty();
        ports.extend(taken);
        any
    });
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {}",
            containers(&names),
            plural("uses", "use", names.len()),
            plural("hostPort", "hostPorts", ports.len()),
            ports.into_iter().collect::<Vec<_>>().join(", ")
        );
        Violation::new("hostPort", detail)
    })
}

const HANDLERS: [&[&str]; 5] = [
    &["livenessProbe"],
    &["readinessProbe"],
    &["startupProbe"],
    &["lifecycle", "postStart"],
    &["lifecycle", "preStop"],
];

pub(super) fn host_probes_and_lifecycle(pod: &Pod<'_>) -> Option<Violation> {
    let mut hosts = BTreeSet::new();
    let names = pod.containers_that(|container| {
        let handlers = HANDLERS.iter().filter_map(|path| at(container, path));
        let actions = handlers.flat_map(|handler| [at(handler, &["httpGet"]), at(handler, &["tcpSocket"])]).flatten();
        let found: Vec<&str> = actions.map(|action| text(action, "host")).filter(|host| !host.is_empty()).collect();
        hosts.extend(found.iter().copied());
        !found.is_empty()
    });
    let names: Vec<&str> = BTreeSet::from_iter(names).into_iter().collect();
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {}",
            containers(&names),
            plural("uses", "use", names.len()),
            plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len()),
            quoted(&hosts)
        );
        Violation::new("probe or lifecycle host", detail)
    })
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.containers_that(|c| security(c, &["privileged"]) == Some(&Value::Bool(true)));
    (!names.is_empty()).then(|| {
        Violation::new("privileged", format!("{} must not set securityContext.privileged=true", containers(&names)))
    })
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = BTreeSet::new();
    let names = pod.containers_that(|container| {
        let kind = security(container, &["procMount"]).and_then(Value::as_str).filter(|kind| *kind != "Default");
        bad.extend(kind);
        kind.is_some()
    });
    (!names.is_empty()).then(|| {
        let detail = format!("{} must not set securityContext.procMount to {}", containers(&names), quoted(&bad));
        Violation::new("procMount", detail)
    })
}

pub(super) fn se_linux_options_1_0(pod: &Pod<'_>) -> Option<Violation> {
    se_linux_options(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

pub(super) fn se_linux_options_1_31(pod: &Pod<'_>) -> Option<Violation> {
    se_linux_options(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn se_linux_options(pod: &Pod<'_>, types: &[&str]) -> Option<Violation> {
    let (mut bad, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut is_bad = |options| {
        let Some(options) = options else { return false };
        let wrong = !types.contains(&text(options, "type"));
        let (sets_user, sets_role) = (!text(options, "user").is_empty(), !text(options, "role").is_empty());
        bad.extend(wrong.then(|| text(options, "type")));
        user |= sets_user;
        role |= sets_role;
        wrong || sets_user || sets_role
    };
    let of_pod = is_bad(pod.security(&["seLinuxOptions"]));
    let names = pod.containers_that(|container| is_bad(security(container, &["seLinuxOptions"])));
    let who = setters(of_pod, &names)?;
    let what = [
        (!bad.is_empty()).then(|| format!("{} {}", plural("type", "types", bad.len()), quoted(&bad))),
        user.then(|| "user may not be set".to_owned()),
        role.then(|| "role may not be set".to_owned()),
    ];
    let what: Vec<String> = what.into_iter().flatten().collect();
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; "));
    Some(Violation::new("seLinuxOptions", detail))
}

/// Before there was a field for it.
pub(super) fn seccomp_annotations(pod: &Pod<'_>) -> Option<Violation> {
    const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let allowed = |v: &str| ["runtime/default", "docker/default"].contains(&v) || v.starts_with("localhost/");
    let keys = std::iter::once(OF_POD.to_owned()).chain(pod.containers().map(|c| format!("{OF_CONTAINER}{}", name(c))));
    let forbidden: BTreeSet<String> = keys
        .filter_map(|key| pod.annotation(&key).filter(|value| !allowed(value)).map(|value| format!("{key}={value:?}")))
        .collect();
    (!forbidden.is_empty()).then(|| {
        let what = plural("annotation", "annotations", forbidden.len());
        let list = forbidden.into_iter().collect::<Vec<_>>().join(", ");
        Violation::new("seccompProfile", format!("forbidden {what} {list}"))
    })
}

/// Who sets another profile than those that confine.
pub(super) fn seccomp_profile(pod: &Pod<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let mut is_bad = |profile| is_unconfined(profile, &mut kinds);
    let of_pod = is_bad(pod.security(&["seccompProfile"]));
    let names = pod.containers_that(|container| is_bad(security(container, &["seccompProfile"])));
    let who = setters(of_pod, &names)?;
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds));
    Some(Violation::new("seccompProfile", detail))
}

/// The sysctls that touch nothing but the Pod, and the version that learnt of them.
const SAFE_SYSCTLS: [(u32, &str); 12] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

pub(super) fn sysctls_1_0(pod: &Pod<'_>) -> Option<Violation> {
    sysctls(pod, 0)
}

pub(super) fn sysctls_1_27(pod: &Pod<'_>) -> Option<Violation> {
    sysctls(pod, 27)
}

pub(super) fn sysctls_1_29(pod: &Pod<'_>) -> Option<Violation> {
    sysctls(pod, 29)
}

pub(super) fn sysctls_1_32(pod: &Pod<'_>) -> Option<Violation> {
    sysctls(pod, 32)
}

fn sysctls(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    let safe = |name: &str| SAFE_SYSCTLS.iter().any(|(since, known)| *since <= minor && *known == name);
    let set = pod.security(&["sysctls"]).and_then(Value::as_array).into_iter().flatten();
    let forbidden: Vec<&str> = set.map(name).filter(|name| !safe(name)).collect();
    (!forbidden.is_empty()).then(|| Violation::new("forbidden sysctls", forbidden.join(", ")))
}

pub(super) fn windows_host_process(pod: &Pod<'_>) -> Option<Violation> {
    const PATH: [&str; 2] = ["windowsOptions", "hostProcess"];
    let is_set = |value: Option<&Value>| value == Some(&Value::Bool(true));
    let names = pod.containers_that(|container| is_set(security(container, &PATH)));
    let who = setters(is_set(pod.security(&PATH)), &names)?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
