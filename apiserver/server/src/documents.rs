//! `/version`, discovery, OpenAPI, the index of paths: documents about the server itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use api_meta::{Status, Value, json};
use apiserver_discovery::{Group, aggregated, groups, legacy, openapi};
use apiserver_endpoints::{Body, Info, body};
use apiserver_model::ResourceInfo;
use apiserver_registry::Registry;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::chain::plain;
use crate::health::Health;
use crate::version::KubernetesVersion;

pub(crate) struct Documents {
    pub(crate) version: KubernetesVersion,
    pub(crate) address: Mutex<Option<SocketAddr>>,
    pub(crate) open_id: Value,
    pub(crate) keys: Value,
    groups: Mutex<Option<(u64, Arc<Vec<Group>>)>>,
    open_api: openapi::Documents,
}

impl Documents {
    pub(crate) fn new(version: KubernetesVersion, open_id: Value, keys: Value) -> Self {
        let open_api = openapi::Documents::new(version.to_string());
        Self { version, address: Mutex::default(), open_id, keys, groups: Mutex::default(), open_api }
    }

    pub(crate) fn answer(
        &self,
        registry: &Registry,
        method: &Method,
        info: &Info,
        headers: &HeaderMap,
        health: &Health,
    ) -> Result<Response<Body>, Status> {
        let path = info.path.trim_end_matches('/');
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let known = self.document(registry, &segments, headers, health)?;
        match known {
            None => Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n".into())),
            Some(_) if method != Method::GET => Err(Status::method_not_allowed()),
            Some(response) => Ok(response),
        }
    }

    fn document(
        &self,
        registry: &Registry,
        segments: &[&str],
        headers: &HeaderMap,
        health: &Health,
    ) -> Result<Option<Response<Body>>, Status> {
        let groups = || self.groups(registry);
        let find = |name: &str| groups().iter().position(|g| g.name == name);
        Ok(Some(match segments {
            ["version"] => json_answer(&self.version.info()),
            [".well-known", "openid-configuration"] => json_answer(&self.open_id),
            ["openid", "v1", "jwks"] => json_answer(&self.keys),
            ["api"] => self.root(headers, &groups(), true)?,
            ["apis"] => self.root(headers, &groups(), false)?,
            ["api", version] => resources(&groups(), "", version)?,
            ["apis", name] => match find(name) {
                Some(index) => json_answer(&legacy::group(&groups()[index])),
                None => return Ok(None),
            },
            ["apis", name, version] => resources(&groups(), name, version)?,
            ["openapi", rest @ ..] => return crate::openapi::answer(&self.open_api, registry, rest, headers),
            [""] => json_answer(&index(&groups(), health)),
            _ => return Ok(None),
        }))
    }

    /// `/api` and `/apis` come as one aggregated document to those who ask for it.
    fn root(&self, headers: &HeaderMap, groups: &[Group], core: bool) -> Result<Response<Body>, Status> {
        let accepted = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
        for clause in accepted.split(',').map(str::trim) {
            let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
            let plain_json = ["application/json", "*/*", "application/*"].contains(&parts[0]);
            if parts.contains(&"as=APIGroupDiscoveryList") {
                if parts[0] == "application/json" && parts.contains(&"v=v2") && parts.contains(&"g=apidiscovery.k8s.io")
                {
                    let list = aggregated::group_discovery_list(groups, core);
                    return Ok(typed_answer(&list, aggregated::CONTENT_TYPE));
                }
            } else if plain_json {
                let document = if core { legacy::api_versions(&self.address()) } else { legacy::group_list(groups) };
                return Ok(json_answer(&document));
            }
        }
        Err(Status::not_acceptable("application/json, application/yaml, application/vnd.kubernetes.protobuf"))
    }

    fn address(&self) -> String {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        address.map(|a| a.to_string()).unwrap_or_default()
    }

    /// The groups served, made anew only when the catalogue changed.
    fn groups(&self, registry: &Registry) -> Arc<Vec<Group>> {
        let generation = registry.catalog().generation();
        let mut kept = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((made_for, groups)) if *made_for == generation => groups.clone(),
            _ => {
                let infos: Vec<Arc<ResourceInfo>> =
                    registry.catalog().all().iter().map(|s| s.resource.info.clone()).collect();
                let groups = Arc::new(groups(&infos));
                *kept = Some((generation, groups.clone()));
                groups
            }
        }
    }
}

fn resources(groups: &[Group], name: &str, version: &str) -> Result<Response<Body>, Status> {
    let found = groups.iter().filter(|g| g.name == name).flat_map(|g| &g.versions).find(|(v, _)| v == version);
    let (_, list) = found.ok_or_else(Status::no_such_resource)?;
    let group_version = if name.is_empty() { version.to_owned() } else { format!("{name}/{version}") };
    Ok(json_answer(&legacy::resource_list(&group_version, list)))
}

fn index(groups: &[Group], health: &Health) -> Value {
    let mut paths =
        vec!["/.well-known/openid-configuration".to_owned(), "/api".into(), "/apis".into(), "/apis/".into()];
    for group in groups {
        let root = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        if !group.name.is_empty() {
            paths.push(root.clone());
        }
        paths.extend(group.versions.iter().map(|(v, _)| format!("{root}/{v}")));
    }
    const OTHERS: [&str; 7] =
        ["/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"];
    paths.extend(OTHERS.map(str::to_owned));
    paths.extend(health.paths());
    paths.sort();
    json!({"paths": paths})
}

pub(crate) fn json_answer(value: &Value) -> Response<Body> {
    typed_answer(value, "application/json")
}

fn typed_answer(value: &Value, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
