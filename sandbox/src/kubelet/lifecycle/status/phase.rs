//! Sums up the states of a pod's containers in one word (upstream: `getPhase`).

use k8s_openapi::api::core::v1::{ContainerStatus, PodSpec, PodStatus};

use crate::kubelet::behaviour::is_sidecar;

use super::{has_started, last_end};

/// `over` says that nothing will be started again.
pub(super) fn of(spec: &PodSpec, status: &PodStatus, over: bool) -> &'static str {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let mains = || status.container_statuses.iter().flatten();
    let inits = || spec.init_containers.iter().flatten().filter_map(|init| Some((init, find(status, &init.name)?)));
    let plain = || inits().filter(|(init, _)| !is_sidecar(init)).map(|(_, status)| status);
    let sidecars = || inits().filter(|(init, _)| is_sidecar(init)).map(|(_, status)| status);
    let initialized = mains().any(has_started);

    if over && !initialized && plain().any(|init| code(init).is_some_and(|code| code != 0)) {
        return "Failed";
    }
    let initializing = plain().any(|init| code(init) != Some(0)) || sidecars().any(|s| s.started != Some(true));
    let waiting = mains().any(|main| !has_started(main));
    if !over && (initializing && !initialized || waiting) {
        return "Pending";
    }
    if mains().chain(sidecars()).any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some())) {
        return "Running";
    }
    let succeeded = mains().all(|main| code(main) == Some(0));
    match (over, policy, succeeded) {
        (true, _, true) | (false, "OnFailure" | "Never", true) => "Succeeded",
        (true, _, false) | (false, "Never", false) => "Failed",
        _ => "Running",
    }
}

fn find<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    status.init_container_statuses.iter().flatten().find(|status| status.name == name)
}

/// How a container that does not run has ended.
fn code(status: &ContainerStatus) -> Option<i32> {
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        return None;
    }
    let ended = state.and_then(|state| state.terminated.as_ref()).or_else(|| last_end(status));
    ended.map(|ended| ended.exit_code)
}
