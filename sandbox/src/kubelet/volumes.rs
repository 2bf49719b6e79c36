//! A container's environment and files: plain values, field references, ConfigMaps, Secrets and projected volumes.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Container, KeyToPath, ObjectFieldSelector, Pod, Secret, ServiceAccount, Volume},
};
use kube::{
    Client,
    api::{Api, PostParams},
};

use crate::{
    error::Error,
    meta::{name, namespace, uid},
};

use super::{hostname, node_name};

#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    pub(super) env: BTreeMap<String, String>,
    pub(super) files: BTreeMap<String, Bytes>,
}

type Data = BTreeMap<String, Bytes>;

pub(super) async fn resolve(client: &Client, pod: &Pod, container: &Container) -> Result<Resolved, Error> {
    let reader = Reader { client, pod };
    let mut resolved = Resolved { env: defaults(pod), files: BTreeMap::new() };
    reader.environment(container, &mut resolved.env).await?;
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for mount in container.volume_mounts.iter().flatten() {
        let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else { continue };
        for (path, bytes) in reader.volume(volume).await? {
            let base = mount.mount_path.trim_end_matches('/');
            match mount.sub_path.as_deref().filter(|sub| !sub.is_empty()) {
                Some(sub) if sub == path => resolved.files.insert(base.to_owned(), bytes),
                Some(_) => None,
                None => resolved.files.insert(format!("{base}/{path}"), bytes),
            };
        }
    }
    Ok(resolved)
}

/// What every container has, whatever its spec says.
fn defaults(pod: &Pod) -> BTreeMap<String, String> {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOSTNAME", hostname(pod)),
        ("HOME", "/root".to_owned()),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The values that need no look at other objects, for the simulated shell.
pub(super) fn plain_environment(pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let mut env = defaults(pod);
    for variable in container.env.iter().flatten() {
        let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let value = variable.value.clone().or_else(|| field.map(|field| self::field(pod, field)));
        env.insert(variable.name.clone(), value.unwrap_or_default());
    }
    env
}

struct Reader<'a> {
    client: &'a Client,
    pod: &'a Pod,
}

impl Reader<'_> {
    async fn environment(&self, container: &Container, env: &mut BTreeMap<String, String>) -> Result<(), Error> {
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let data = if let Some(map) = &source.config_map_ref {
                self.config_map(&map.name, map.optional).await?
            } else if let Some(secret) = &source.secret_ref {
                self.secret(&secret.name, secret.optional).await?
            } else {
                Data::new()
            };
            env.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), text(&value))));
        }
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                None => Some(expand(variable.value.as_deref().unwrap_or_default(), env)),
                Some(from) => {
                    if let Some(field) = &from.field_ref {
                        Some(self::field(self.pod, field))
                    } else if let Some(key) = &from.config_map_key_ref {
                        self.key(
                            self.config_map(&key.name, key.optional).await?,
                            &key.key,
                            key.optional,
                            "a ConfigMap",
                        )?
                    } else if let Some(key) = &from.secret_key_ref {
                        self.key(self.secret(&key.name, key.optional).await?, &key.key, key.optional, "a Secret")?
                    } else {
                        None
                    }
                }
            };
            if let Some(value) = value {
                env.insert(variable.name.clone(), value);
            }
        }
        Ok(())
    }

    fn key(&self, data: Data, key: &str, optional: Option<bool>, what: &'static str) -> Result<Option<String>, Error> {
        match data.get(key) {
            Some(value) => Ok(Some(text(value))),
            None if optional == Some(true) => Ok(None),
            None => Err(Error::Invalid { what, why: format!("couldn't find key {key}") }),
        }
    }

    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Data, Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace(self.pod));
        let found = api.get_opt(name).await.map_err(|error| Error::api("read a container's ConfigMap", error))?;
        let Some(map) = found else { return missing(optional, "a ConfigMap", name) };
        let plain = map.data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value)));
        let binary = map.binary_data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0)));
        Ok(plain.chain(binary).collect())
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<Data, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace(self.pod));
        let found = api.get_opt(name).await.map_err(|error| Error::api("read a container's Secret", error))?;
        let Some(secret) = found else { return missing(optional, "a Secret", name) };
        Ok(secret.data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0))).collect())
    }

    async fn volume(&self, volume: &Volume) -> Result<Data, Error> {
        if let Some(source) = &volume.config_map {
            return Ok(select(self.config_map(&source.name, source.optional).await?, source.items.as_deref()));
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            return Ok(select(self.secret(name, source.optional).await?, source.items.as_deref()));
        }
        let mut all = Data::new();
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(map) = &source.config_map {
                all.extend(select(self.config_map(&map.name, map.optional).await?, map.items.as_deref()));
            }
            if let Some(secret) = &source.secret {
                all.extend(select(self.secret(&secret.name, secret.optional).await?, secret.items.as_deref()));
            }
            if let Some(token) = &source.service_account_token {
                let value = self.token(token.audience.as_deref(), token.expiration_seconds).await?;
                all.insert(token.path.clone(), value);
            }
            for item in source.downward_api.iter().flat_map(|downward| downward.items.iter().flatten()) {
                if let Some(field) = &item.field_ref {
                    all.insert(item.path.clone(), self::field(self.pod, field).into());
                }
            }
        }
        for item in volume.downward_api.iter().flat_map(|downward| downward.items.iter().flatten()) {
            if let Some(field) = &item.field_ref {
                all.insert(item.path.clone(), self::field(self.pod, field).into());
            }
        }
        Ok(all)
    }

    /// A token bound to the pod, as a kubelet asks for it.
    async fn token(&self, audience: Option<&str>, seconds: Option<i64>) -> Result<Bytes, Error> {
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace(self.pod));
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.map(str::to_owned).into_iter().collect(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(name(self.pod).to_owned()),
                    uid: Some(uid(self.pod).to_owned()),
                }),
                expiration_seconds: seconds,
            },
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let answer = api
            .create_token_request(account, &params, &request)
            .await
            .map_err(|error| Error::api("ask for a service account token", error))?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default().into())
    }
}

fn missing(optional: Option<bool>, what: &'static str, name: &str) -> Result<Data, Error> {
    match optional {
        Some(true) => Ok(Data::new()),
        _ => Err(Error::Invalid { what, why: format!("{name:?} not found") }),
    }
}

fn select(mut data: Data, items: Option<&[KeyToPath]>) -> Data {
    match items {
        None | Some([]) => data,
        Some(items) => items.iter().filter_map(|item| Some((item.path.clone(), data.remove(&item.key)?))).collect(),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `$(NAME)` in a value or in a word of a command, as the kubelet expands it; unknown names stay, `$$` is a plain sign.
pub(super) fn expand(value: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|tail| tail.split_once(')')) {
            match env.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

fn field(pod: &Pod, field: &ObjectFieldSelector) -> String {
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let keyed = |prefix: &str, map: Option<&BTreeMap<String, String>>| {
        let key = field.field_path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.and_then(|map| map.get(key)).cloned().unwrap_or_default())
    };
    match field.field_path.as_str() {
        "metadata.name" => name(pod).to_owned(),
        "metadata.namespace" => namespace(pod).to_owned(),
        "metadata.uid" => uid(pod).to_owned(),
        "spec.nodeName" => node_name(pod).to_owned(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.podIP" | "status.podIPs" => status.and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => status.and_then(|status| status.host_ip.clone()).unwrap_or_default(),
        _ => keyed("metadata.labels", pod.metadata.labels.as_ref())
            .or_else(|| keyed("metadata.annotations", pod.metadata.annotations.as_ref()))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expect: &str) {
        let env = [("A".to_owned(), "1".to_owned())].into();
        assert_eq!(expand(value, &env), expect);
    }

    #[test]
    fn references_are_expanded() {
        check("x$(A)y", "x1y");
        check("$(B) $$(A) $", "$(B) $(A) $");
        check("$(A", "$(A");
    }

    #[test]
    fn fields_are_read() {
        let pod: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "labels": {"app": "demo"}}})).unwrap();
        let of = |path: &str| field(&pod, &ObjectFieldSelector { api_version: None, field_path: path.to_owned() });
        assert_eq!((of("metadata.name").as_str(), of("metadata.labels['app']").as_str()), ("p", "demo"));
    }
}
