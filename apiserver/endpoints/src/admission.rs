//! Rules that look beyond the object: its namespace, its owner's rights, the defaults of the cluster.
//!
//! Each rule is one function, listed once below in the order in which it runs.

use std::sync::Arc;

use api_meta::{Details, Object, Status, Value, json};
use apiserver_access::{Authorizer, User};
use apiserver_model::Verb;
use apiserver_registry::{Registry, Served};

/// One write, as rules see it.
pub struct Write<'a> {
    pub call_user: &'a User,
    pub served: &'a Served,
    pub verb: Verb,
    pub subresource: &'a str,
    /// The state before; `None` for creations.
    pub old: Option<&'a Object>,
}

impl Write<'_> {
    fn is(&self, group: &str, kind: &str) -> bool {
        self.served.info().group == group && self.served.info().kind == kind
    }

    fn creates(&self) -> bool {
        self.verb == Verb::Create && self.subresource.is_empty()
    }
}

/// A rule from outside, such as the escalation check of RBAC.
pub trait Guard: Send + Sync + 'static {
    fn check(&self, authorizer: &dyn Authorizer, write: &Write<'_>, object: &Object) -> Result<(), Status>;
}

#[derive(Default)]
pub struct Admission {
    pub guards: Vec<Arc<dyn Guard>>,
}

/// Namespaces that a cluster cannot do without.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Admission {
    /// Rules that may change the object.
    pub async fn mutate(&self, registry: &Registry, write: &Write<'_>, object: &mut Object) -> Result<(), Status> {
        namespace_lives(registry, write, object).await?;
        if write.is("", "Pod") && write.creates() {
            service_account(registry, object)?;
            priority(registry, object)?;
            runtime_class(registry, object)?;
            tolerate_outages(object);
        }
        if write.is("certificates.k8s.io", "CertificateSigningRequest") && write.creates() {
            requester(write.call_user, object);
        }
        if write.is("", "PersistentVolumeClaim") && write.creates() {
            default_class(
                registry,
                object,
                "storage.k8s.io",
                "storageclasses",
                "storageclass.kubernetes.io/is-default-class",
                &["spec", "storageClassName"],
            );
        }
        if write.is("networking.k8s.io", "Ingress")
            && write.creates()
            && object.annotation("kubernetes.io/ingress.class").is_none()
        {
            default_class(
                registry,
                object,
                "networking.k8s.io",
                "ingressclasses",
                "ingressclass.kubernetes.io/is-default-class",
                &["spec", "ingressClassName"],
            );
        }
        Ok(())
    }

    /// Rules that only judge.
    pub async fn validate(
        &self,
        authorizer: &dyn Authorizer,
        _registry: &Registry,
        write: &Write<'_>,
        object: &Object,
    ) -> Result<(), Status> {
        if write.verb == Verb::Delete && write.is("", "Namespace") && IMMORTAL.contains(&object.name()) {
            return Err(Status::forbidden(
                &write.served.group_resource(),
                object.name(),
                "this namespace may not be deleted",
            ));
        }
        self.guards.iter().try_for_each(|guard| guard.check(authorizer, write, object))
    }
}

/// Nothing is created in a namespace that is missing or on its way out.
async fn namespace_lives(registry: &Registry, write: &Write<'_>, object: &Object) -> Result<(), Status> {
    if !write.creates() || !write.served.info().namespaced() {
        return Ok(());
    }
    // Reviews speak about a namespace; they need not exist in one.
    if write.served.collection.is_none() {
        return Ok(());
    }
    let namespaces = registry.catalog().find("", "v1", "namespaces").ok_or_else(Status::no_such_resource)?;
    let name = object.namespace();
    let found = match registry.get_cached(&namespaces, "", name) {
        Ok(found) => found,
        // Perhaps it was made a moment ago, through another server.
        Err(_) => registry.get(&namespaces, "", name).await?,
    };
    if found.object.deletion_timestamp().is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = Status::forbidden(&write.served.group_resource(), object.name(), why);
    let cause = api_meta::Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".into(),
    };
    if let Some(details) = &mut status.details {
        *details = Details { causes: vec![cause], ..details.clone() };
    }
    Err(status)
}

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A Pod runs as some service account, and finds its token, CA and namespace where clients look for them.
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

/// `priorityClassName` into a number.
fn priority(registry: &Registry, pod: &mut Object) -> Result<(), Status> {
    let classes =
        registry.catalog().find("scheduling.k8s.io", "v1", "priorityclasses").ok_or_else(Status::no_such_resource)?;
    let mut name = pod.str_at(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
    let (mut value, mut policy) = (0, "PreemptLowerPriority".to_owned());
    let class = if name.is_empty() {
        let all = classes.collection.iter().flat_map(|c| c.list("")).filter_map(|e| e.object().ok());
        all.filter(|c| c.get("globalDefault") == Some(&Value::Bool(true)))
            .min_by_key(|c| c.get("value").and_then(Value::as_i64))
    } else {
        let found = registry.get_cached(&classes, "", &name).map_err(|_| {
            let pods = api_meta::GroupResource::new("", "pods");
            Status::forbidden(&pods, pod.name(), format!("no PriorityClass with name {name} was found"))
        })?;
        Some(found.object)
    };
    if let Some(class) = class {
        value = class.get("value").and_then(Value::as_i64).unwrap_or_default();
        policy = class.str_at(&["preemptionPolicy"]).unwrap_or("PreemptLowerPriority").to_owned();
        name = class.name().to_owned();
    }
    if !name.is_empty() {
        *pod.at_mut(&["spec", "priorityClassName"]) = name.into();
    }
    let given = pod.at(&["spec", "priority"]).and_then(Value::as_i64);
    if let Some(given) = given.filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        );
        return Err(Status::forbidden(&api_meta::GroupResource::new("", "pods"), pod.name(), why));
    }
    *pod.at_mut(&["spec", "priority"]) = value.into();
    if pod.at(&["spec", "preemptionPolicy"]).is_none() {
        *pod.at_mut(&["spec", "preemptionPolicy"]) = policy.into();
    }
    Ok(())
}

/// A Pod costs what its runtime class says it costs (upstream: `RuntimeClass`).
fn runtime_class(registry: &Registry, pod: &mut Object) -> Result<(), Status> {
    let Some(name) = pod.str_at(&["spec", "runtimeClassName"]).filter(|n| !n.is_empty()) else { return Ok(()) };
    let classes =
        registry.catalog().find("node.k8s.io", "v1", "runtimeclasses").ok_or_else(Status::no_such_resource)?;
    let class = registry.get_cached(&classes, "", name).map_err(|_| {
        let pods = api_meta::GroupResource::new("", "pods");
        Status::forbidden(&pods, pod.name(), format!("pod rejected: RuntimeClass {name:?} not found"))
    })?;
    if let Some(overhead) = class.object.at(&["overhead", "podFixed"]) {
        *pod.at_mut(&["spec", "overhead"]) = overhead.clone();
    }
    Ok(())
}

/// A certificate is requested in the requester's own name, whatever the request says.
fn requester(user: &User, request: &mut Object) {
    *request.at_mut(&["spec", "username"]) = user.name.as_str().into();
    let groups = (!user.groups.is_empty()).then(|| user.groups.clone().into());
    let uid = (!user.uid.is_empty()).then(|| user.uid.as_str().into());
    let extra = (!user.extra.is_empty()).then(|| json!(user.extra));
    for (key, value) in [("groups", groups), ("uid", uid), ("extra", extra)] {
        match value {
            Some(value) => *request.at_mut(&["spec", key]) = value,
            None => {
                request.remove_at(&["spec", key]);
            }
        }
    }
}

/// Pods stay five minutes on a node that stops answering (upstream: `DefaultTolerationSeconds`).
fn tolerate_outages(pod: &mut Object) {
    let tolerations = pod.at_mut(&["spec", "tolerations"]);
    if !tolerations.is_array() {
        *tolerations = json!([]);
    }
    let Some(list) = tolerations.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covered = list.iter().any(|t| {
            let text = |name: &str| t.get(name).and_then(Value::as_str).unwrap_or_default();
            (text("key") == key || text("key").is_empty()) && ["", "NoExecute"].contains(&text("effect"))
        });
        if !covered {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

/// The class that the cluster marks as its default.
fn default_class(registry: &Registry, object: &mut Object, group: &str, plural: &str, annotation: &str, path: &[&str]) {
    if object.at(path).is_some() {
        return;
    }
    let Some(classes) = registry.catalog().find_any_version(group, plural) else { return };
    let newest = classes
        .collection
        .iter()
        .flat_map(|c| c.list(""))
        .filter_map(|entry| entry.object().ok())
        .filter(|class| class.annotation(annotation) == Some("true"))
        .max_by(|a, b| (a.creation_timestamp(), b.name()).cmp(&(b.creation_timestamp(), a.name())));
    if let Some(class) = newest {
        *object.at_mut(path) = class.name().into();
    }
}
