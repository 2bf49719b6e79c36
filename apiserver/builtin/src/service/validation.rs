//! What a Service may say and what may change (upstream: `ValidateService`).

use std::collections::BTreeSet;

use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Object, Value, json};

use super::{is_external, needs_cluster_ip, needs_health_check_port};
use crate::fields::{Fields, FieldsExt};
use crate::table::{int, part};
use crate::validate::{
    cidr, each_wrong, immutable, ip, is_port_number, label, labels, one_of, ordinary_ip, parse_ip, port, protocol,
    qualified, subdomain, unsupported, wrong_struct,
};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const SINGLE_STACK: &str = "this cluster is not configured for dual-stack services";

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let errors = &mut errors;
    let spec = part(object, "spec");
    let unavailable = unavailable_families(object);
    if !unavailable.is_empty() {
        return unavailable;
    }
    let headless = is_headless(spec);
    let type_ = spec.text("type");
    if spec.items("ports").is_empty() && !headless && type_ != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    by_type(errors, spec, headless, &path);
    ports(errors, spec, &path.child("ports"));
    labels(errors, spec.value("selector"), &path.child("selector"));
    affinity(errors, spec, &path);
    if needs_cluster_ip(spec) {
        addresses(errors, spec, headless, &path);
    }
    for (index, text) in spec.texts("externalIPs").enumerate() {
        let path = path.child("externalIPs").index(index);
        if ip(errors, text, &path).is_some() {
            ordinary_ip(errors, text, &path);
        }
    }
    one_of(errors, spec, "type", &path, &TYPES);
    node_ports(errors, spec, &path.child("ports"));
    unique_ports(errors, spec, &path.child("ports"));
    balancing(errors, spec, &path);
    traffic(errors, spec, &path);
    std::mem::take(errors)
}

fn is_headless(spec: &Fields) -> bool {
    spec.texts("clusterIPs").next() == Some("None")
}

/// What this cluster, which has addresses of one family, IPv4, cannot give. Upstream finds out while it allocates
/// addresses, which comes before everything else; only a headless Service without selector may name the other family.
pub(super) fn unavailable_families(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    if !needs_cluster_ip(spec) || (is_headless(spec) && part(spec, "selector").is_empty()) {
        return errors;
    }
    if spec.text("ipFamilyPolicy") == "RequireDualStack" {
        errors.invalid(&path.child("ipFamilyPolicy"), "RequireDualStack", SINGLE_STACK);
    }
    // An address of the wrong family is said of the address.
    let addressed = spec.texts("clusterIPs").any(|a| parse_ip(a).is_some());
    for (index, _) in spec.texts("ipFamilies").enumerate().filter(|(_, f)| *f == "IPv6") {
        if index > 0 || !addressed {
            errors.invalid(&path.child("ipFamilies").index(index), "IPv6", "not configured on this cluster");
        }
    }
    errors
}

fn by_type(errors: &mut FieldErrors, spec: &Fields, headless: bool, path: &FieldPath) {
    let type_ = spec.text("type");
    match type_ {
        "LoadBalancer" | "NodePort" => {
            if type_ == "LoadBalancer" {
                for (index, port) in spec.each("ports").filter(|(_, p)| int(p, "port") == 10250) {
                    errors.invalid(
                        &path.child("ports").index(index),
                        int(port, "port"),
                        "may not expose port 10250 externally since it is used by kubelet",
                    );
                }
            }
            if headless {
                errors.invalid(
                    &path.child("clusterIPs").index(0),
                    "None",
                    format!("may not be set to 'None' for {type_} services"),
                );
            }
        }
        "ExternalName" => {
            for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let set = !spec.items(key).is_empty() || !spec.text(key).is_empty();
                if set {
                    errors.forbidden(&path.child(key), "may not be set for ExternalName services");
                }
            }
            match spec.text("externalName").trim_end_matches('.') {
                "" => errors.required(&path.child("externalName"), ""),
                name => subdomain(errors, &path.child("externalName"), name),
            }
        }
        _ => {}
    }
}

fn ports(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let named = spec.items("ports").len() > 1;
    let mut names = BTreeSet::new();
    for (index, fields) in spec.each("ports") {
        let path = path.index(index);
        match fields.text("name") {
            "" if named => errors.required(&path.child("name"), ""),
            "" => {}
            name => {
                label(errors, &path.child("name"), name);
                if !names.insert(name) {
                    errors.duplicate(&path.child("name"), name);
                }
            }
        }
        let number = int(fields, "port");
        each_wrong(errors, &path.child("port"), number, is_port_number(number));
        protocol(errors, fields, &path);
        port(errors, fields.value("targetPort"), &path.child("targetPort"));
        if !fields.text("appProtocol").is_empty() {
            qualified(errors, &path.child("appProtocol"), fields.text("appProtocol"));
        }
    }
}

fn affinity(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    one_of(errors, spec, "sessionAffinity", path, &["ClientIP", "None"]);
    let config = spec.fields("sessionAffinityConfig");
    let config_path = path.child("sessionAffinityConfig");
    match spec.text("sessionAffinity") {
        "ClientIP" => {
            let seconds = config.map(|c| part(c, "clientIP")).and_then(|c| c.int("timeoutSeconds"));
            let path = config_path.children(&["clientIP", "timeoutSeconds"]);
            match seconds {
                Some(1..=86400) => {}
                Some(seconds) => errors.invalid(&path, seconds, "must be greater than 0 and less than 86400"),
                None => errors.required(&config_path, "when session affinity type is ClientIP"),
            }
        }
        "None" if config.is_some() => {
            errors.forbidden(&config_path, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn addresses(errors: &mut FieldErrors, spec: &Fields, headless: bool, path: &FieldPath) {
    families(errors, spec, path);
    let all: Vec<_> = spec.texts("clusterIPs").collect();
    let list = path.child("clusterIPs");
    let first = all.first().copied().unwrap_or_default();
    if spec.text("clusterIP") != first {
        if all.is_empty() {
            errors.required(&list, "");
        } else {
            errors.invalid(&list, spec.value("clusterIPs").clone(), "first value must match `clusterIP`");
        }
        return;
    }
    if headless && all.len() > 1 {
        errors.invalid(&list.index(0), "None", "'None' must be the first and only value");
        return;
    }
    for (index, text) in all.iter().enumerate() {
        let path = list.index(index);
        if *text == "None" && index == 0 {
            continue;
        }
        let Some(address) = ip(errors, text, &path) else { continue };
        let family = spec.texts("ipFamilies").nth(index);
        let wanted = match family {
            Some("IPv4") if address.is_ipv6() => "an IPv4",
            Some("IPv6") if address.is_ipv4() => "an IPv6",
            _ => continue,
        };
        errors.invalid(&path, *text, format!("expected {wanted} value as indicated by `ipFamilies[{index}]`"));
    }
    if all.len() > 2 {
        errors.invalid(&list, spec.value("clusterIPs").clone(), "may only hold up to 2 values");
    }
}

fn families(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for (index, family) in spec.texts("ipFamilies").enumerate() {
        let path = path.child("ipFamilies").index(index);
        if !["IPv4", "IPv6"].contains(&family) {
            unsupported(errors, &path, family, &["IPv4", "IPv6"]);
        }
        if !seen.insert(family) {
            errors.duplicate(&path, family);
        }
    }
    let policy = spec.text("ipFamilyPolicy");
    const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        unsupported(errors, &path.child("ipFamilyPolicy"), policy, &POLICIES);
    }
}

fn node_ports(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let mut taken = BTreeSet::new();
    for (index, port) in spec.each("ports") {
        let Some(number) = port.int("nodePort").filter(|&n| n != 0) else { continue };
        let path = path.index(index).child("nodePort");
        if spec.text("type") == "ClusterIP" {
            errors.forbidden(&path, "may not be used when `type` is 'ClusterIP'");
        } else if !taken.insert((number, port.text("protocol"))) {
            errors.duplicate(&path, number);
        }
    }
}

fn unique_ports(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for (index, port) in spec.each("ports") {
        let (protocol, number) = (port.text("protocol"), int(port, "port"));
        if !seen.insert((protocol, number)) {
            let shown = [
                ("Name", json!("")),
                ("Protocol", protocol.into()),
                ("AppProtocol", Value::Null),
                ("Port", number.into()),
                ("TargetPort", 0.into()),
                ("NodePort", 0.into()),
            ];
            wrong_struct(errors, FieldErrorKind::Duplicate, &path.index(index), &shown, "");
        }
    }
}

fn balancing(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    const ONLY_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
    let balancer = spec.text("type") == "LoadBalancer";
    let ranges = path.child("LoadBalancerSourceRanges");
    if !spec.items("loadBalancerSourceRanges").is_empty() && !balancer {
        errors.forbidden(&ranges, ONLY_BALANCERS);
    }
    for (index, text) in spec.texts("loadBalancerSourceRanges").enumerate() {
        cidr(errors, text.trim(), &ranges.index(index));
    }
    if spec.says("allocateLoadBalancerNodePorts") && !balancer {
        errors.forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY_BALANCERS);
    }
    if !spec.text("loadBalancerClass").is_empty() {
        if balancer {
            qualified(errors, &path.child("loadBalancerClass"), spec.text("loadBalancerClass"));
        } else {
            errors.forbidden(&path.child("loadBalancerClass"), ONLY_BALANCERS);
        }
    }
}

fn traffic(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    const POLICIES: [&str; 2] = ["Cluster", "Local"];
    let (outer, inner) = (spec.text("externalTrafficPolicy"), spec.text("internalTrafficPolicy"));
    let outer_path = path.child("externalTrafficPolicy");
    if !is_external(spec) {
        if !outer.is_empty() {
            errors.invalid(&outer_path, outer, "may only be set for externally-accessible services");
        }
    } else if outer.is_empty() {
        errors.required(&outer_path, "");
    } else if !POLICIES.contains(&outer) {
        unsupported(errors, &outer_path, outer, &POLICIES);
    }
    if let Some(number) = spec.int("healthCheckNodePort").filter(|&n| n != 0)
        && !needs_health_check_port(spec)
    {
        errors.invalid(
            &path.child("healthCheckNodePort"),
            number,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        );
    }
    if !inner.is_empty() && !POLICIES.contains(&inner) {
        unsupported(errors, &path.child("internalTrafficPolicy"), inner, &POLICIES);
    }
}

pub(super) fn validate_update(new: &Object, old: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        for (index, before) in old.texts("clusterIPs").enumerate().take(1) {
            if new.texts("clusterIPs").nth(index) != Some(before) {
                errors.invalid(
                    &path.child("clusterIPs").index(index),
                    new.value("clusterIPs").clone(),
                    "may not change once set",
                );
            }
        }
        let first = |spec: &Fields| spec.texts("ipFamilies").next().map(str::to_owned);
        if let (Some(before), Some(after)) = (first(old), first(new))
            && before != after
            && errors.is_empty()
            && new.texts("clusterIPs").next() == Some("None")
        {
            errors.invalid(&path.child("ipFamilies").index(0), after, "may not change once set");
        }
    }
    if old.text("type") == "LoadBalancer" && new.text("type") == "LoadBalancer" {
        immutable(
            &mut errors,
            new.value("loadBalancerClass"),
            old.value("loadBalancerClass"),
            &path.child("loadBalancerClass"),
        );
    }
    errors
}
