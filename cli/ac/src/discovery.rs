//! Which resources a server has, and which of them a person means by `po`, `deploy.apps` or `all`.
//!
//! One aggregated request for each of `/api` and `/apis`; older servers are asked group by group. The answer is kept
//! on disk for ten minutes and thrown away early when a name is not in it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::{Ask, Endpoint};
use crate::kubeconfig::write_private;
use crate::output::table::harmless;
use crate::text::Text;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9";
const FRESH: Duration = Duration::from_secs(600);

/// One resource in one version of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The group; empty for core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural in the path.
    pub plural: String,
    /// The singular.
    pub singular: String,
    /// The kind.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories such as `all`.
    pub categories: Vec<String>,
    /// What can be done.
    pub verbs: Vec<String>,
}

impl Resource {
    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `deployments.apps`, or `pods`.
    pub fn qualified(&self) -> String {
        self.with_group(&self.plural)
    }

    /// `deployment.apps`, or `pod`: the prefix of names in output.
    pub fn printed(&self) -> String {
        let singular = if self.singular.is_empty() { self.kind.to_lowercase() } else { self.singular.clone() };
        self.with_group(&singular)
    }

    fn with_group(&self, name: &str) -> String {
        if self.group.is_empty() { name.to_owned() } else { format!("{name}.{}", self.group) }
    }

    /// The path of the collection, in a namespace when there are such and one is given.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{}", crate::http::segment(namespace), self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.path(namespace), crate::http::segment(name))
    }
}

/// All resources of a server, groups and versions in the server's order of preference.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Groups that did not answer.
    pub unavailable: Vec<String>,
}

impl Catalogue {
    /// The resource a person means: plural, singular, short name or kind, with an optional version and group.
    pub fn find(&self, name: &str) -> Option<&Resource> {
        let lower = name.to_lowercase();
        let (word, rest) = lower.split_once('.').map_or((lower.as_str(), None), |(word, rest)| (word, Some(rest)));
        let matches_group = |resource: &&Resource| match rest {
            None => true,
            Some(rest) => {
                rest == resource.group
                    || rest.split_once('.').is_some_and(|(v, g)| v == resource.version && g == resource.group)
                    || (resource.group.is_empty() && rest == resource.version)
                    || (!rest.is_empty() && resource.group.starts_with(&format!("{rest}.")))
            }
        };
        let exact = |resource: &&Resource| {
            word == resource.plural || word == resource.singular || word == resource.kind.to_lowercase()
        };
        let candidates = || self.resources.iter().filter(matches_group);
        candidates().find(exact).or_else(|| candidates().find(|r| r.short_names.iter().any(|short| short == word)))
    }

    /// The resource of a kind as objects name it.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.kind == kind && r.api_version() == api_version)
    }

    /// Preferred, listable members of a category.
    pub fn category(&self, name: &str) -> Vec<&Resource> {
        let mut found: Vec<&Resource> = Vec::new();
        for resource in self.resources.iter().filter(|r| r.categories.iter().any(|category| category == name)) {
            let listable = resource.verbs.iter().any(|verb| verb == "list");
            if listable && !found.iter().any(|known| known.qualified() == resource.qualified()) {
                found.push(resource);
            }
        }
        found
    }

    /// Each resource once, in its preferred version.
    pub fn preferred(&self) -> Vec<&Resource> {
        let mut found: Vec<&Resource> = Vec::new();
        for resource in &self.resources {
            if !found.iter().any(|known| known.group == resource.group && known.plural == resource.plural) {
                found.push(resource);
            }
        }
        found
    }
}

/// A server's catalogue with its place on disk.
pub struct Discovery {
    endpoint: Endpoint,
    cache: Option<PathBuf>,
    catalogue: Catalogue,
    fresh: bool,
}

impl Discovery {
    /// Reads the cache, or asks the server.
    pub async fn open(env: &Environment, endpoint: &Endpoint, server: &str) -> Result<Self> {
        let cache = cache_path(env, server);
        if let Some(catalogue) = cache.as_ref().and_then(read_fresh) {
            return Ok(Self { endpoint: endpoint.clone(), cache, catalogue, fresh: false });
        }
        let mut discovery = Self { endpoint: endpoint.clone(), cache, catalogue: Catalogue::default(), fresh: false };
        discovery.refresh().await?;
        Ok(discovery)
    }

    /// Asks the server and keeps the answer.
    pub async fn refresh(&mut self) -> Result<()> {
        self.catalogue = fetch(&self.endpoint).await?;
        self.fresh = true;
        if let (Some(path), Ok(text)) = (&self.cache, serde_json::to_vec(&self.catalogue)) {
            // A cache that cannot be written costs time, not correctness.
            let _ = write_private(path, &text);
        }
        Ok(())
    }

    /// Forgets that the answer is new, after something that may have changed it.
    pub fn expire(&mut self) {
        self.fresh = false;
    }

    /// What the server has.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The resource a person means; asks again before giving up.
    pub async fn find(&mut self, name: &str) -> Result<Resource> {
        if self.catalogue.find(name).is_none() && !self.fresh {
            self.refresh().await?;
        }
        self.catalogue
            .find(name)
            .cloned()
            .ok_or_else(|| Error::told(Text::NoSuchResourceType { name: name.to_owned() }))
    }

    /// Every resource meant by a word, which may be a category.
    pub async fn find_all(&mut self, name: &str) -> Result<Vec<Resource>> {
        if self.catalogue.find(name).is_none() {
            let members: Vec<Resource> = self.catalogue.category(name).into_iter().cloned().collect();
            if !members.is_empty() {
                return Ok(members);
            }
        }
        Ok(vec![self.find(name).await?])
    }

    /// The resource of an object; asks again before giving up.
    pub async fn of_kind(&mut self, api_version: &str, kind: &str) -> Result<Resource> {
        if self.catalogue.of_kind(api_version, kind).is_none() && !self.fresh {
            self.refresh().await?;
        }
        self.catalogue
            .of_kind(api_version, kind)
            .cloned()
            .ok_or_else(|| Error::told(Text::NoSuchKind { kind: kind.to_owned(), api_version: api_version.to_owned() }))
    }
}

/// Where a server's catalogue is kept.
pub fn cache_path(env: &Environment, server: &str) -> Option<PathBuf> {
    let name = percent_encoding::utf8_percent_encode(server.trim_end_matches('/'), percent_encoding::NON_ALPHANUMERIC);
    Some(env.cache_dir()?.join("discovery").join(format!("{name}.json")))
}

fn read_fresh(path: &PathBuf) -> Option<Catalogue> {
    let age = SystemTime::now().duration_since(path.metadata().ok()?.modified().ok()?).ok()?;
    (age < FRESH).then(|| read_cached(path)).flatten()
}

/// What was known about a server, however old.
pub fn read_cached(path: &PathBuf) -> Option<Catalogue> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn fetch(endpoint: &Endpoint) -> Result<Catalogue> {
    let (core, groups) = futures::future::join(
        endpoint.send(&Ask::get("/api").accept(AGGREGATED)),
        endpoint.send(&Ask::get("/apis").accept(AGGREGATED)),
    )
    .await;
    let (core, groups) = (core?.json()?, groups?.json()?);
    let mut catalogue = Catalogue::default();
    for answer in [core, groups] {
        if answer["kind"] == "APIGroupDiscoveryList" {
            aggregated(&answer, &mut catalogue);
        } else {
            one_by_one(endpoint, &answer, &mut catalogue).await?;
        }
    }
    Ok(catalogue)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(harmless)).collect()
}

/// A word of a server's. It is printed before names, so it is made harmless once, here.
fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default())
}

fn aggregated(answer: &Value, catalogue: &mut Catalogue) {
    for group in answer["items"].as_array().into_iter().flatten() {
        let name = text(&group["metadata"]["name"]);
        for version in group["versions"].as_array().into_iter().flatten() {
            if version["freshness"] == "Stale" {
                catalogue.unavailable.push(format!("{name}/{}", text(&version["version"])));
            }
            catalogue.resources.extend(version["resources"].as_array().into_iter().flatten().map(|resource| {
                Resource {
                    group: name.clone(),
                    version: text(&version["version"]),
                    plural: text(&resource["resource"]),
                    singular: text(&resource["singularResource"]),
                    kind: text(&resource["responseKind"]["kind"]),
                    namespaced: resource["scope"] == "Namespaced",
                    short_names: strings(&resource["shortNames"]),
                    categories: strings(&resource["categories"]),
                    verbs: strings(&resource["verbs"]),
                }
            }));
        }
    }
}

/// The way of servers before aggregated discovery: `APIVersions` or `APIGroupList`, then each version.
async fn one_by_one(endpoint: &Endpoint, answer: &Value, catalogue: &mut Catalogue) -> Result<()> {
    let mut versions: Vec<(String, String)> =
        strings(&answer["versions"]).into_iter().map(|version| (String::new(), version)).collect();
    for group in answer["groups"].as_array().into_iter().flatten() {
        let preferred = text(&group["preferredVersion"]["version"]);
        let mut of_group: Vec<String> =
            group["versions"].as_array().into_iter().flatten().map(|version| text(&version["version"])).collect();
        of_group.sort_by_key(|version| *version != preferred);
        versions.extend(of_group.into_iter().map(|version| (text(&group["name"]), version)));
    }
    let asked = futures::future::join_all(versions.iter().map(|(group, version)| {
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        endpoint.get(path)
    }));
    for ((group, version), answer) in versions.iter().zip(asked.await) {
        match answer {
            Ok(answer) => listed(group, version, &answer, catalogue),
            // One broken extension server must not hide the others.
            Err(Error::Api(_)) => catalogue.unavailable.push(format!("{group}/{version}")),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn listed(group: &str, version: &str, answer: &Value, catalogue: &mut Catalogue) {
    for resource in answer["resources"].as_array().into_iter().flatten() {
        let plural = text(&resource["name"]);
        if plural.contains('/') {
            continue;
        }
        catalogue.resources.push(Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural,
            singular: text(&resource["singularName"]),
            kind: text(&resource["kind"]),
            namespaced: resource["namespaced"].as_bool().unwrap_or(false),
            short_names: strings(&resource["shortNames"]),
            categories: strings(&resource["categories"]),
            verbs: strings(&resource["verbs"]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let resource = |group: &str, version: &str, plural: &str, kind: &str, short: &[&str]| Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            namespaced: true,
            short_names: short.iter().map(|s| (*s).to_owned()).collect(),
            categories: if kind == "Event" { vec![] } else { vec!["all".to_owned()] },
            verbs: vec!["list".to_owned()],
        };
        Catalogue {
            resources: vec![
                resource("", "v1", "pods", "Pod", &["po"]),
                resource("", "v1", "events", "Event", &["ev"]),
                resource("apps", "v1", "deployments", "Deployment", &["deploy"]),
                resource("apps", "v1beta1", "deployments", "Deployment", &["deploy"]),
                resource("events.k8s.io", "v1", "events", "Event", &["ev"]),
            ],
            unavailable: vec![],
        }
    }

    #[track_caller]
    fn check(word: &str, expect: Option<&str>) {
        let catalogue = catalogue();
        let found = catalogue.find(word).map(|r| format!("{}/{}", r.api_version(), r.plural));
        assert_eq!(found.as_deref(), expect, "{word}");
    }

    #[test]
    fn words_for_a_resource() {
        check("po", Some("v1/pods"));
        check("Pod", Some("v1/pods"));
        check("deploy", Some("apps/v1/deployments"));
        check("deployments.apps", Some("apps/v1/deployments"));
        check("deployments.v1beta1.apps", Some("apps/v1beta1/deployments"));
        check("pods.v1", Some("v1/pods"));
        check("events", Some("v1/events"));
        check("ev.events.k8s.io", Some("events.k8s.io/v1/events"));
        check("event.events", Some("events.k8s.io/v1/events"));
        check("nonsense", None);
        check("pods.apps", None);
    }

    #[test]
    fn a_category_lists_each_resource_once() {
        let catalogue = catalogue();
        let all: Vec<_> = catalogue.category("all").into_iter().map(Resource::qualified).collect();
        assert_eq!(all, ["pods", "deployments.apps"]);
    }
}
