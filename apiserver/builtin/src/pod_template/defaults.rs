//! Defaults of a Pod's spec that templates have as well (upstream: `SetDefaults_PodSpec` and what it holds).

use api_meta::json;

use super::image::is_latest;
use super::volumes::default_volume;
use crate::fields::{Fields, FieldsExt, canonical_amounts, canonical_resources};

pub(crate) fn default_spec(spec: &mut Fields) {
    spec.or_text("dnsPolicy", "ClusterFirst");
    spec.or_text("restartPolicy", "Always");
    spec.or_set("securityContext", json!({}));
    spec.or_set("terminationGracePeriodSeconds", 30);
    spec.or_text("schedulerName", "default-scheduler");
    same_service_account(spec);
    for list in ["initContainers", "containers"] {
        spec.each_mut(list).for_each(container);
    }
    spec.each_mut("ephemeralContainers").for_each(container);
    spec.each_mut("volumes").for_each(default_volume);
    canonical_amounts(spec.fields_mut("overhead"));
    if let Some(resources) = spec.fields_mut("resources") {
        canonical_resources(resources);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always shown.
pub(crate) fn same_service_account(spec: &mut Fields) {
    let name = match spec.text("serviceAccountName") {
        "" => spec.text("serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    if !name.is_empty() {
        spec.set("serviceAccount", name.as_str());
        spec.set("serviceAccountName", name);
    }
}

fn container(container: &mut Fields) {
    let policy = if is_latest(container.text("image")) { "Always" } else { "IfNotPresent" };
    container.or_text("imagePullPolicy", policy);
    container.or_text("terminationMessagePath", "/dev/termination-log");
    container.or_text("terminationMessagePolicy", "File");
    canonical_resources(container.made("resources"));
    for port in container.each_mut("ports") {
        port.or_text("protocol", "TCP");
    }
    for variable in container.each_mut("env") {
        if let Some(from) = variable.fields_mut("valueFrom") {
            default_references(from);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.fields_mut(name) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = container.fields_mut("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(get) = lifecycle.fields_mut(hook).and_then(|hook| hook.fields_mut("httpGet")) {
                http_get(get);
            }
        }
    }
}

fn default_probe(probe: &mut Fields) {
    probe.or_int("timeoutSeconds", 1);
    probe.or_int("periodSeconds", 10);
    probe.or_int("successThreshold", 1);
    probe.or_int("failureThreshold", 3);
    if let Some(get) = probe.fields_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.fields_mut("grpc") {
        grpc.or_set("service", "");
    }
}

fn http_get(get: &mut Fields) {
    get.or_text("path", "/");
    get.or_text("scheme", "HTTP");
}

/// References to the Pod's own fields and resources, in variables and in volumes.
pub(super) fn default_references(holder: &mut Fields) {
    if let Some(field) = holder.fields_mut("fieldRef") {
        field.or_text("apiVersion", "v1");
    }
    if let Some(resource) = holder.fields_mut("resourceFieldRef") {
        resource.or_set("divisor", "0");
        if let Ok(divisor) = api_meta::Quantity::from_value(resource.value("divisor")) {
            resource.set("divisor", divisor.to_string());
        }
    }
}
