//! `Service`.
//!
//! The cluster has one family of addresses, IPv4. Which address and ports a
//! Service gets is the registry's to decide; [`needs`] says what it must find.

mod row;
mod validation;

use api_meta::validation::NameRule;
use api_meta::{FieldErrors, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill, selected};
use crate::table::{self, part};

pub(crate) struct Services;

impl Strategy for Services {
    fn name_rule(&self) -> NameRule {
        NameRule::Dns1035Label
    }

    fn default(&self, object: &mut Object) {
        fill(object.made("status"), json!({"loadBalancer": {}}));
        let spec = object.made("spec");
        default_spec(spec);
        if spec.text("type") == "LoadBalancer" {
            let balancer = object.made("status").made("loadBalancer");
            for ingress in balancer.each_mut("ingress") {
                if !ingress.text("ip").is_empty() {
                    ingress.or_set("ipMode", "VIP");
                }
            }
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"loadBalancer": {}}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set("status", json!({"loadBalancer": {}}));
        let spec = object.made("spec");
        let address = spec.value("clusterIP").clone();
        if address.as_str().is_some_and(|a| !a.is_empty()) && spec.items("clusterIPs").is_empty() {
            spec.set("clusterIPs", json!([address]));
        }
        default_families(spec);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        new.set("status", old.value("status").clone());
        let Some(old) = old.value("spec").as_object() else { return };
        if old.text("type") == "LoadBalancer" && part(new, "spec").text("type") != "LoadBalancer" {
            new.made("status").set("loadBalancer", json!({}));
        }
        let spec = new.made("spec");
        keep_allocated(spec, old);
        same_addresses(spec, old);
        drop_what_the_type_lost(spec, old);
        default_families(spec);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("services")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        row::row(object, now)
    }

    fn selectable_fields(&self) -> &[&str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        selected(object, self.selectable_fields(), field)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_update(new, old)
    }

    fn check_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let unavailable = validation::unavailable_families(new);
        if !unavailable.is_empty() {
            return unavailable;
        }
        let mut errors = self.validate(new);
        errors.extend(self.validate_update(new, old));
        errors
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        let spec = part(object, "spec");
        let mut all = Vec::new();
        if !spec.text("externalName").is_empty() && spec.text("type") != "ExternalName" {
            all.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
        }
        if spec.text("clusterIP") == "None" {
            let ignored = [
                ("spec.loadBalancerIP", !spec.text("loadBalancerIP").is_empty()),
                ("spec.externalIPs", !spec.items("externalIPs").is_empty()),
                ("spec.SessionAffinity", !matches!(spec.text("sessionAffinity"), "" | "None")),
            ];
            let ignored = ignored.iter().filter(|(_, set)| *set);
            all.extend(ignored.map(|(field, _)| format!("{field} is ignored for headless services")));
        }
        all
    }
}

/// What the registry must allocate for a Service before it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// An address for `spec.clusterIP` and `spec.clusterIPs`.
    pub cluster_ip: bool,
    /// Places in `spec.ports` that need a `nodePort`.
    pub node_ports: Vec<usize>,
    pub health_check_node_port: bool,
}

/// What a Service lacks. Values that its writer chose are not in it: the registry reserves them as they are.
pub fn needs(service: &Object) -> Needs {
    let Some(spec) = service.value("spec").as_object() else { return Needs::default() };
    let unnumbered = spec.each("ports").filter(|(_, port)| port.int("nodePort").unwrap_or_default() == 0);
    Needs {
        cluster_ip: needs_cluster_ip(spec) && spec.text("clusterIP").is_empty(),
        node_ports: if needs_node_ports(spec) { unnumbered.map(|(i, _)| i).collect() } else { Vec::new() },
        health_check_node_port: needs_health_check_port(spec)
            && spec.int("healthCheckNodePort").unwrap_or_default() == 0,
    }
}

pub(crate) fn needs_cluster_ip(spec: &Fields) -> bool {
    matches!(spec.text("type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

pub(crate) fn needs_node_ports(spec: &Fields) -> bool {
    match spec.text("type") {
        "NodePort" => true,
        "LoadBalancer" => spec.value("allocateLoadBalancerNodePorts") != &Value::Bool(false),
        _ => false,
    }
}

pub(crate) fn needs_health_check_port(spec: &Fields) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

/// Reachable from outside the cluster.
fn is_external(spec: &Fields) -> bool {
    matches!(spec.text("type"), "NodePort" | "LoadBalancer")
        || (spec.text("type") == "ClusterIP" && !spec.items("externalIPs").is_empty())
}

fn default_spec(spec: &mut Fields) {
    spec.or_text("sessionAffinity", "None");
    match spec.text("sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let config = spec.value("sessionAffinityConfig");
            if config["clientIP"]["timeoutSeconds"].is_null() {
                spec.set("sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
            }
        }
        _ => {}
    }
    spec.or_text("type", "ClusterIP");
    for port in spec.each_mut("ports") {
        port.or_text("protocol", "TCP");
        let target = port.value("targetPort");
        if target.is_null() || target == 0 || target == "" {
            let number = port.value("port").clone();
            port.set("targetPort", number);
        }
    }
    if is_external(spec) {
        spec.or_text("externalTrafficPolicy", "Cluster");
    }
    if needs_cluster_ip(spec) {
        spec.or_set("internalTrafficPolicy", "Cluster");
    }
    if spec.text("type") == "LoadBalancer" {
        spec.or_set("allocateLoadBalancerNodePorts", true);
    }
}

/// Families of a cluster with IPv4 alone; a headless Service without selector may name any address.
fn default_families(spec: &mut Fields) {
    if !needs_cluster_ip(spec) {
        return;
    }
    let anywhere =
        spec.text("clusterIP") == "None" && spec.fields("selector").is_none_or(|selector| selector.is_empty());
    if anywhere {
        spec.or_set("ipFamilyPolicy", "RequireDualStack");
        if spec.items("ipFamilies").is_empty() {
            let both = spec.text("ipFamilyPolicy") != "SingleStack";
            spec.set("ipFamilies", if both { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
        }
    } else {
        spec.or_set("ipFamilyPolicy", "SingleStack");
        if spec.items("ipFamilies").is_empty() {
            spec.set("ipFamilies", json!(["IPv4"]));
        }
    }
}

/// An update need not repeat what the server chose.
fn keep_allocated(new: &mut Fields, old: &Fields) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if new.text("clusterIP").is_empty() && old.says("clusterIP") {
            new.set("clusterIP", old.value("clusterIP").clone());
        }
        if new.items("clusterIPs").is_empty()
            && new.text("clusterIP") == old.text("clusterIP")
            && old.says("clusterIPs")
        {
            new.set("clusterIPs", old.value("clusterIPs").clone());
        }
        for family in ["ipFamilies", "ipFamilyPolicy"] {
            if old.says(family) {
                new.or_set(family, old.value(family).clone());
            }
        }
    }
    if needs_node_ports(old) && needs_node_ports(new) {
        keep_node_ports(new, old);
    }
    if needs_health_check_port(old) && needs_health_check_port(new) {
        new.or_int("healthCheckNodePort", old.int("healthCheckNodePort").unwrap_or_default());
    }
}

fn keep_node_ports(new: &mut Fields, old: &Fields) {
    let numbers = |spec: &Fields| -> Vec<i64> {
        spec.each("ports").filter_map(|(_, p)| p.int("nodePort")).filter(|&n| n != 0).collect()
    };
    let mut taken = numbers(old);
    let written = numbers(new);
    taken.retain(|number| written.contains(number));
    for port in new.each_mut("ports") {
        let before = old.each("ports").find(|(_, p)| p.text("name") == port.text("name"));
        let number = before.and_then(|(_, p)| p.int("nodePort")).unwrap_or_default();
        if port.int("nodePort").unwrap_or_default() == 0 && number != 0 && !taken.contains(&number) {
            port.set("nodePort", number);
            taken.push(number);
        }
    }
}

/// `clusterIPs` follows a change of `clusterIP` that did not touch it.
fn same_addresses(new: &mut Fields, old: &Fields) {
    if new.text("clusterIP") == old.text("clusterIP") || new.value("clusterIPs") != old.value("clusterIPs") {
        return;
    }
    match new.text("clusterIP").to_owned() {
        none if none.is_empty() => {
            new.remove("clusterIPs");
        }
        address => new.set("clusterIPs", json!([address])),
    }
}

/// A change of type clears what only the old type had, unless the writer changed it as well.
fn drop_what_the_type_lost(new: &mut Fields, old: &Fields) {
    let drop = |new: &mut Fields, keys: &[&str]| {
        for key in keys {
            if new.value(key) == old.value(key) {
                new.remove(*key);
            }
        }
    };
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        drop(new, &["clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy"]);
    }
    if needs_node_ports(old) && !needs_node_ports(new) {
        let before: Vec<_> = old.each("ports").map(|(_, p)| p.value("nodePort").clone()).collect();
        for (port, before) in new.each_mut("ports").zip(before) {
            if port.value("nodePort") == &before {
                port.remove("nodePort");
            }
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        drop(new, &["healthCheckNodePort"]);
    }
    if old.text("type") == "LoadBalancer" && new.text("type") != "LoadBalancer" {
        drop(new, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if is_external(old) && !is_external(new) {
        drop(new, &["externalTrafficPolicy"]);
    }
}
