//! The checks of the Pod Security Standards, each as some version of Kubernetes brought it.

mod baseline;
mod pod;
mod restricted;

use api_meta::{Map, Value};

use self::pod::Pod;
use super::policy::{LATEST, Level, Standard};

/// Why a Pod does not meet a standard: in a word, and in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: String,
    pub(super) detail: String,
}

impl Violation {
    fn new(reason: &str, detail: String) -> Self {
        Self { reason: reason.to_owned(), detail }
    }
}

type CheckPod = fn(&Pod<'_>) -> Option<Violation>;

struct Check {
    id: &'static str,
    level: Level,
    /// From which minor version on what is checked; in order.
    versions: &'static [(u32, CheckPod)],
    /// The check of a lower level that this one includes.
    overrides: Option<&'static str>,
}

const fn baseline(id: &'static str, versions: &'static [(u32, CheckPod)]) -> Check {
    Check { id, level: Level::Baseline, versions, overrides: None }
}

const fn restricted(id: &'static str, versions: &'static [(u32, CheckPod)], overrides: Option<&'static str>) -> Check {
    Check { id, level: Level::Restricted, versions, overrides }
}

/// In the order in which violations are told.
const CHECKS: &[Check] = &[
    baseline("appArmorProfile", &[(0, baseline::app_armor_profile)]),
    baseline("capabilities_baseline", &[(0, baseline::capabilities)]),
    baseline("hostNamespaces", &[(0, baseline::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, baseline::host_path_volumes)]),
    baseline("hostPorts", &[(0, baseline::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, baseline::host_probes_and_lifecycle)]),
    baseline("privileged", &[(0, baseline::privileged)]),
    baseline("procMount", &[(0, baseline::proc_mount)]),
    baseline("seLinuxOptions", &[(0, baseline::se_linux_options_1_0), (31, baseline::se_linux_options_1_31)]),
    baseline("seccompProfile_baseline", &[(0, baseline::seccomp_annotations), (19, baseline::seccomp_profile)]),
    baseline(
        "sysctls",
        &[
            (0, baseline::sysctls_1_0),
            (27, baseline::sysctls_1_27),
            (29, baseline::sysctls_1_29),
            (32, baseline::sysctls_1_32),
        ],
    ),
    baseline("windowsHostProcess", &[(0, baseline::windows_host_process)]),
    restricted(
        "allowPrivilegeEscalation",
        &[(8, restricted::privilege_escalation_1_8), (25, restricted::privilege_escalation_1_25)],
        None,
    ),
    restricted(
        "capabilities_restricted",
        &[(22, restricted::capabilities_1_22), (25, restricted::capabilities_1_25)],
        Some("capabilities_baseline"),
    ),
    restricted("restrictedVolumes", &[(0, restricted::volumes)], Some("hostPathVolumes")),
    restricted("runAsNonRoot", &[(0, restricted::run_as_non_root)], None),
    restricted("runAsUser", &[(23, restricted::run_as_user)], None),
    restricted(
        "seccompProfile_restricted",
        &[(19, restricted::seccomp_profile_1_19), (25, restricted::seccomp_profile_1_25)],
        Some("seccompProfile_baseline"),
    ),
];

/// Everything in which a Pod falls short of a standard.
pub(super) fn evaluate(
    standard: Standard,
    annotations: Option<&Map<String, Value>>,
    spec: Option<&Map<String, Value>>,
) -> Vec<Violation> {
    let pod = Pod { annotations, spec };
    let minor = standard.minor.unwrap_or(LATEST).min(LATEST);
    let applies = |check: &&Check| check.level <= standard.level && check.versions[0].0 <= minor;
    let overridden: Vec<&str> = CHECKS.iter().filter(applies).filter_map(|check| check.overrides).collect();
    CHECKS
        .iter()
        .filter(applies)
        .filter(|check| !overridden.contains(&check.id))
        .filter_map(|check| {
            let (_, run) = check.versions.iter().rev().find(|(since, _)| *since <= minor)?;
            run(&pod)
        })
        .collect()
}

/// As a refusal tells them.
pub(super) fn details(violations: &[Violation]) -> String {
    let texts: Vec<String> = violations
        .iter()
        .map(|v| if v.detail.is_empty() { v.reason.clone() } else { format!("{} ({})", v.reason, v.detail) })
        .collect();
    texts.join(", ")
}

/// As a summary of many Pods tells them.
pub(super) fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|v| v.reason.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
