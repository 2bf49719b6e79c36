//! What of the cluster's a Pod refers to.

use api_meta::{Object, Value};

/// What of the cluster's a Pod reaches, if anything.
pub(crate) fn reached(pod: &Object) -> Option<&'static str> {
    if pod.str_at(&["spec", "serviceAccountName"]).is_some_and(|name| !name.is_empty()) {
        return Some("a service account");
    }
    let list = |holder: &Value, key: &str| holder.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let spec = pod.get("spec").cloned().unwrap_or_default();
    let containers: Vec<Value> =
        ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|key| list(&spec, key)).collect();
    let volumes = list(&spec, "volumes");
    let sources: Vec<Value> =
        volumes.iter().filter_map(|v| v.get("projected")).flat_map(|projected| list(projected, "sources")).collect();
    let in_environment = |from: &str, one: &str| {
        containers.iter().any(|container| {
            list(container, "envFrom").iter().any(|env| env.get(from).is_some())
                || list(container, "env").iter().any(|env| env.get("valueFrom").is_some_and(|v| v.get(one).is_some()))
        })
    };
    let has = |holders: &[Value], key: &str| holders.iter().any(|holder| holder.get(key).is_some());
    let secrets = has(&volumes, "secret")
        || has(&sources, "secret")
        || in_environment("secretRef", "secretKeyRef")
        || !list(&spec, "imagePullSecrets").is_empty()
        || volumes.iter().any(names_a_secret);
    let maps =
        has(&volumes, "configMap") || has(&sources, "configMap") || in_environment("configMapRef", "configMapKeyRef");
    [
        (secrets, "secrets"),
        (maps, "configmaps"),
        (has(&sources, "clusterTrustBundle"), "clustertrustbundles"),
        (has(&volumes, "persistentVolumeClaim"), "persistentvolumeclaims"),
    ]
    .into_iter()
    .find_map(|(reaches, what)| reaches.then_some(what))
}

/// Drivers of volumes have credentials in Secrets.
fn names_a_secret(volume: &Value) -> bool {
    let sources = volume.as_object().into_iter().flatten().map(|(_, source)| source);
    sources
        .into_iter()
        .any(|source| ["secretRef", "nodePublishSecretRef", "secretName"].iter().any(|key| source.get(key).is_some()))
}

/// Whether a volume of the Pod brings a token of its account.
pub(crate) fn projects_token(pod: &Object) -> bool {
    let volumes = pod.at(&["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    let sources = volumes.filter_map(|v| v.get("projected")?.get("sources")?.as_array()).flatten();
    sources.into_iter().any(|source| source.get("serviceAccountToken").is_some())
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, expect: Option<&str>) {
        let pod = Object::try_from(json!({"spec": spec})).unwrap();
        assert_eq!(reached(&pod), expect, "{spec}");
    }

    #[test]
    fn what_pods_reach() {
        check(json!({"volumes": [{"emptyDir": {}}, {"hostPath": {}}]}), None);
        check(json!({"serviceAccountName": "default"}), Some("a service account"));
        check(json!({"volumes": [{"secret": {}}]}), Some("secrets"));
        check(json!({"volumes": [{"csi": {"nodePublishSecretRef": {"name": "s"}}}]}), Some("secrets"));
        check(json!({"imagePullSecrets": [{"name": "s"}]}), Some("secrets"));
        let env = json!([{"name": "a", "valueFrom": {"secretKeyRef": {}}}]);
        check(json!({"initContainers": [{"env": env}]}), Some("secrets"));
        check(json!({"containers": [{"envFrom": [{"configMapRef": {}}]}]}), Some("configmaps"));
        check(json!({"volumes": [{"projected": {"sources": [{"configMap": {}}]}}]}), Some("configmaps"));
        check(json!({"volumes": [{"persistentVolumeClaim": {}}]}), Some("persistentvolumeclaims"));
    }
}
