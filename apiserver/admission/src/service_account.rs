//! A Pod runs as some service account, and finds its token, CA and namespace where clients look for them.

use api_meta::{Object, Status, Value, json};
use apiserver_registry::Registry;
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;
use crate::pod_references::{projects_token, reached};

pub(crate) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "pods")
    }

    /// A mirror Pod shows what a node runs by itself: it gets nothing from the cluster.
    async fn validate(&self, attributes: &Attributes<'_>, pod: &Object) -> Result<(), Status> {
        if pod.annotation("kubernetes.io/config.mirror").is_none() {
            return Ok(());
        }
        match reached(pod) {
            Some("a service account") => {
                Err(attributes.forbidden(pod, "a mirror pod may not reference service accounts"))
            }
            Some("secrets") => Err(attributes.forbidden(pod, "a mirror pod may not reference secrets")),
            _ if projects_token(pod) => {
                Err(attributes.forbidden(pod, "a mirror pod may not use service account token volume projections"))
            }
            _ => Ok(()),
        }
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        service_account(attributes.registry, object)
    }
}

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn service_account(registry: &Registry, pod: &mut Object) -> Result<(), Status> {
    if pod.annotation("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    if pod.str_at(&["spec", "serviceAccountName"]).is_none_or(str::is_empty) {
        *pod.at_mut(&["spec", "serviceAccountName"]) = "default".into();
    }
    let name = pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().to_owned();
    *pod.at_mut(&["spec", "serviceAccount"]) = name.as_str().into();
    let accounts = registry.catalog().find("", "v1", "serviceaccounts").ok_or_else(Status::no_such_resource)?;
    let namespace = pod.namespace().to_owned();
    let account = registry.get_cached(&accounts, &namespace, &name).map_err(|_| {
        let pods = api_meta::GroupResource::new("", "pods");
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Status::forbidden(&pods, pod.name(), why)
    })?;
    let wants = |o: &Object, path: &[&str]| o.at(path).and_then(Value::as_bool);
    let mounts = wants(pod, &["spec", "automountServiceAccountToken"])
        .or_else(|| wants(&account.object, &["automountServiceAccountToken"]))
        .unwrap_or(true);
    if mounts {
        mount_token(pod);
    }
    if pod.at(&["spec", "imagePullSecrets"]).is_none()
        && let Some(secrets) = account.object.get("imagePullSecrets")
    {
        *pod.at_mut(&["spec", "imagePullSecrets"]) = secrets.clone();
    }
    Ok(())
}

fn mount_token(pod: &mut Object) {
    let volumes = pod.at(&["spec", "volumes"]).and_then(Value::as_array);
    let existing = volumes.into_iter().flatten().find_map(|v| {
        let name = v.get("name")?.as_str()?;
        name.starts_with("kube-api-access-").then(|| name.to_owned())
    });
    let volume = existing.clone().unwrap_or_else(|| {
        let random = pod.uid().to_owned() + pod.name() + &jiff::Timestamp::now().as_nanosecond().to_string();
        format!("kube-api-access-{}", suffix(&random))
    });
    let mut used = false;
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod.at_mut(&["spec", list]).as_array_mut() else {
            if pod.at(&["spec", list]).is_some_and(Value::is_null) {
                pod.remove_at(&["spec", list]);
            }
            continue;
        };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().any(|m| m.get("mountPath").and_then(Value::as_str) == Some(TOKEN_PATH)) {
                continue;
            }
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH}));
            used = true;
        }
    }
    if !used || existing.is_some() {
        return;
    }
    let volumes = pod.at_mut(&["spec", "volumes"]);
    if !volumes.is_array() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}

fn suffix(seed: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (0..5)
        .map(|_| {
            let c = ALPHABET[(hash % ALPHABET.len() as u64) as usize];
            hash /= ALPHABET.len() as u64;
            char::from(c)
        })
        .collect()
}
