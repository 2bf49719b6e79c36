use api_meta::json;

use super::*;

#[track_caller]
fn check_at(standard: Standard, pod: Value, expect: &str) {
    let annotations = pod.get("annotations").and_then(Value::as_object);
    let violations = evaluate(standard, annotations, pod.get("spec").and_then(Value::as_object));
    assert_eq!(details(&violations), expect);
}

/// One container with this security context.
fn container(security: Value) -> Value {
    json!({"spec": {"containers": [{"name": "a", "securityContext": security}]}})
}

#[track_caller]
fn baseline(pod: Value, expect: &str) {
    check_at(Standard { level: Level::Baseline, minor: None }, pod, expect);
}

/// A spec that meets the strictest standard but for what is put over it.
fn confined(over: Value) -> Value {
    let mut spec = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    });
    for (key, value) in over.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"spec": spec})
}

#[track_caller]
fn restricted(over: Value, expect: &str) {
    check_at(Standard { level: Level::Restricted, minor: None }, confined(over), expect);
}

#[test]
fn privileged_allows_everything() {
    let pod = container(json!({"privileged": true}));
    check_at(Standard { level: Level::Privileged, minor: None }, pod, "");
}

#[test]
fn baseline_allows_an_ordinary_pod() {
    baseline(container(json!({})), "");
    baseline(json!({}), "");
}

#[test]
fn privileged_containers() {
    baseline(
        container(json!({"privileged": true})),
        "privileged (container \"a\" must not set securityContext.privileged=true)",
    );
    let many = json!({"spec": {
        "initContainers": [{"name": "i", "securityContext": {"privileged": true}}],
        "containers": [{"name": "a"}],
        "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": true}}]}});
    baseline(many, "privileged (containers \"i\", \"e\" must not set securityContext.privileged=true)");
}

#[test]
fn capabilities() {
    baseline(
        container(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}})),
        "non-default capabilities (container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
         securityContext.capabilities.add)",
    );
}

#[test]
fn host_namespaces() {
    baseline(
        json!({"spec": {"hostPID": true, "hostNetwork": true, "hostIPC": false}}),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
}

#[test]
fn host_paths_and_ports() {
    baseline(
        json!({"spec": {
            "volumes": [{"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}],
            "containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 9}, {"containerPort": 1}]}]}}),
        "hostPath volumes (volume \"h\"), hostPort (container \"a\" uses hostPorts 80, 9)",
    );
}

#[test]
fn hosts_of_probes() {
    let probe = |host: &str| json!({"httpGet": {"host": host, "port": 1}});
    let spec = json!({"containers": [
        {"name": "a", "livenessProbe": probe("b.example"), "lifecycle": {"preStop": {"tcpSocket": {"host": "a.example"}}}},
        {"name": "b", "readinessProbe": probe("")}]});
    baseline(
        json!({"spec": spec}),
        "probe or lifecycle host (container \"a\" uses probe or lifecycle hosts \"a.example\", \"b.example\")",
    );
    check_at(Standard { level: Level::Baseline, minor: Some(33) }, json!({"spec": spec}), "");
}

#[test]
fn proc_mounts() {
    baseline(
        container(json!({"procMount": "Unmasked"})),
        "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
    );
}

#[test]
fn se_linux() {
    let pod = json!({"spec": {"securityContext": {"seLinuxOptions": {"user": "u"}},
        "containers": [{"name": "a", "securityContext": {"seLinuxOptions": {"type": "odd", "role": "r"}}}]}});
    baseline(
        pod,
        "seLinuxOptions (pod and container \"a\" set forbidden securityContext.seLinuxOptions: type \"odd\"; user may \
         not be set; role may not be set)",
    );
    let engine = || container(json!({"seLinuxOptions": {"type": "container_engine_t"}}));
    baseline(engine(), "");
    let before =
        "seLinuxOptions (container \"a\" set forbidden securityContext.seLinuxOptions: type \"container_engine_t\")";
    check_at(Standard { level: Level::Baseline, minor: Some(30) }, engine(), before);
}

#[test]
fn seccomp() {
    let open =
        json!({"spec": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}, "containers": [{"name": "a"}]}});
    baseline(open, "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")");
    let annotated = json!({"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}});
    baseline(annotated.clone(), "");
    let before = "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    check_at(Standard { level: Level::Baseline, minor: Some(18) }, annotated, before);
}

#[test]
fn app_armor() {
    let pod = json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"},
        "spec": {"containers": [{"name": "a", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}]}});
    baseline(
        pod,
        "forbidden AppArmor profiles (container \"a\" and annotation must not set AppArmor profile type to \
         \"Unconfined\", \"container.apparmor.security.beta.kubernetes.io/a=\"unconfined\"\")",
    );
    baseline(container(json!({"appArmorProfile": {"type": "RuntimeDefault"}})), "");
}

#[test]
fn sysctls() {
    let set = |name: &str| json!({"spec": {"securityContext": {"sysctls": [{"name": name}]}}});
    baseline(set("kernel.msgmax"), "forbidden sysctls (kernel.msgmax)");
    baseline(set("net.ipv4.tcp_rmem"), "");
    let before = Standard { level: Level::Baseline, minor: Some(31) };
    check_at(before, set("net.ipv4.tcp_rmem"), "forbidden sysctls (net.ipv4.tcp_rmem)");
}

#[test]
fn windows_host_processes() {
    let host = json!({"windowsOptions": {"hostProcess": true}});
    baseline(
        json!({"spec": {"securityContext": host, "containers": [{"name": "a", "securityContext": host}]}}),
        "hostProcess (pod and container \"a\" must not set securityContext.windowsOptions.hostProcess=true)",
    );
}

#[test]
fn restricted_asks_for_everything_at_once() {
    let standard = Standard { level: Level::Restricted, minor: None };
    check_at(
        standard,
        container(json!({})),
        "allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true), seccompProfile (pod \
         or container \"a\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
    );
    restricted(json!({}), "");
}

#[test]
fn restricted_takes_the_place_of_weaker_checks() {
    let adds = json!([{"name": "a", "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}}}]);
    restricted(
        json!({"containers": adds}),
        "unrestricted capabilities (container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)",
    );
    restricted(
        json!({"volumes": [{"name": "h", "hostPath": {}}, {"name": "o", "odd": {}}, {"name": "c", "configMap": {}}]}),
        "restricted volume types (volumes \"h\", \"o\" use restricted volume types \"hostPath\", \"unknown\")",
    );
}

#[test]
fn roots() {
    restricted(
        json!({"securityContext": {"runAsNonRoot": false, "runAsUser": 0, "seccompProfile": {"type": "Localhost"}}}),
        "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set \
         runAsUser=0)",
    );
}

#[test]
fn windows_has_less_to_say() {
    let windows =
        json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]});
    restricted(windows.clone(), "");
    let before = Standard { level: Level::Restricted, minor: Some(24) };
    check_at(
        before,
        confined(windows),
        "allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         seccompProfile (pod or container \"a\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")",
    );
}

#[test]
fn a_version_of_the_future_is_the_latest() {
    let far = Standard { level: Level::Baseline, minor: Some(99) };
    check_at(far, json!({"spec": {"hostIPC": true}}), "host namespaces (hostIPC=true)");
}
