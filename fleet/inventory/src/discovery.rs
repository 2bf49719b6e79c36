//! Which kinds a cluster serves that can be listed and watched.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use lib_telemetry::chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tunnel_protocol::inventory::Kind;

use crate::ask::{Error, Reader};

/// One document for all groups, where there is one (KEP-3352); else a list of groups.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// The largest document.
const DOCUMENT: usize = 16 * 1024 * 1024;
/// Groups and versions that are asked for one by one, and how many at once.
const MOST_VERSIONS: usize = 2048;
const AT_ONCE: usize = 4;
/// Followed kinds. Each holds a watch open.
const MOST_KINDS: usize = 2048;

/// What changes all the time and nobody looks for, or is another view of what is listed already.
const LEFT_OUT: [(&str, &str); 6] = [
    ("", "events"),
    ("", "endpoints"),
    ("", "componentstatuses"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
];

/// A kind that is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Served {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) kind: String,
}

impl Served {
    /// The collection, over all namespaces.
    pub(crate) fn path(&self) -> String {
        let Self { group, version, resource, .. } = self;
        match group.as_str() {
            "" => format!("/api/{version}/{resource}"),
            group => format!("/apis/{group}/{version}/{resource}"),
        }
    }

    pub(crate) fn numbered(&self, number: u16) -> Kind {
        let Self { group, version, resource, kind } = self.clone();
        Kind { number, group, version, resource, kind }
    }

    /// Whether its objects are kinds, or the servers of kinds.
    pub(crate) fn defines_kinds(&self) -> bool {
        matches!(
            (&*self.group, &*self.resource),
            ("apiextensions.k8s.io", "customresourcedefinitions") | ("apiregistration.k8s.io", "apiservices")
        )
    }
}

/// What discovery says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) kinds: BTreeSet<Served>,
    /// Groups whose server does not say now what it serves.
    pub(crate) silent: BTreeSet<String>,
}

impl Reader {
    pub(crate) async fn discover(&self) -> Result<Discovered, Error> {
        let mut found = Groups::default();
        for root in ["/api", "/apis"] {
            let document: Root = self.document(root).await?;
            let groups = match document {
                Root { items: Some(items), .. } => {
                    items.into_iter().for_each(|group| found.aggregated(group));
                    continue;
                }
                Root { versions: Some(versions), .. } => vec![Group {
                    name: String::new(),
                    versions: versions.into_iter().map(|version| GroupVersion { version }).collect(),
                    preferred_version: None,
                }],
                Root { groups, .. } => groups.unwrap_or_default(),
            };
            self.one_by_one(root, groups, &mut found).await?;
        }
        Ok(found.finish())
    }

    async fn one_by_one(&self, root: &str, groups: Vec<Group>, found: &mut Groups) -> Result<(), Error> {
        let asked: Vec<(String, String)> = groups.into_iter().flat_map(Group::by_preference).collect();
        if asked.len() > MOST_VERSIONS {
            return Err(Error::Endless("the number of versions"));
        }
        let answers =
            asked.into_iter().filter(|(group, version)| is_word(version) && (group.is_empty() || is_word(group)));
        let answers = answers.map(|(group, version)| async move {
            let path = if group.is_empty() { format!("{root}/{version}") } else { format!("{root}/{group}/{version}") };
            (self.document::<ResourceList>(&path).await, group, version)
        });
        let mut answers = stream::iter(answers).buffered(AT_ONCE);
        while let Some((answer, group, version)) = answers.next().await {
            match answer {
                Ok(list) => {
                    let resources = list.resources.into_iter().map(|r| (r.name, r.kind, r.verbs));
                    resources.for_each(|resource| found.resource(&group, &version, resource));
                }
                Err(error) => {
                    tracing::debug!(group, version, error = %chain(&error), "a group does not say what it serves");
                    found.silent.insert(group);
                }
            }
        }
        Ok(())
    }

    async fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.get(path, ACCEPT, DOCUMENT).await?)?)
    }
}

/// Resources by group, each in the first version that has it.
#[derive(Default)]
struct Groups {
    kinds: BTreeMap<(String, String), Served>,
    silent: BTreeSet<String>,
}

impl Groups {
    fn aggregated(&mut self, group: AggregatedGroup) {
        let name = group.metadata.name;
        for version in group.versions {
            if version.freshness.as_deref() == Some("Stale") {
                self.silent.insert(name.clone());
            }
            for AggregatedResource { resource, response_kind, verbs } in version.resources {
                let kind = response_kind.map(|kind| kind.kind).unwrap_or_default();
                self.resource(&name, &version.version, (resource, kind, verbs));
            }
        }
    }

    fn resource(&mut self, group: &str, version: &str, (resource, kind, verbs): (String, String, Vec<String>)) {
        let has = |wanted: &str| verbs.iter().any(|verb| verb == wanted);
        // What goes into a path is made of words, whatever the cluster says.
        let is_plain = (group.is_empty() || is_word(group)) && is_word(version) && is_word(&resource) && is_kind(&kind);
        if !is_plain || !has("list") || !has("watch") || LEFT_OUT.contains(&(group, &*resource)) {
            return;
        }
        let served = || Served { group: group.into(), version: version.into(), resource: resource.clone(), kind };
        self.kinds.entry((group.to_owned(), resource.clone())).or_insert_with(served);
    }

    fn finish(self) -> Discovered {
        let Self { kinds, silent } = self;
        if kinds.len() > MOST_KINDS {
            tracing::warn!(
                kinds = kinds.len(),
                "the cluster has more kinds than {MOST_KINDS}; the rest is not followed"
            );
        }
        Discovered { kinds: kinds.into_values().take(MOST_KINDS).collect(), silent }
    }
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

fn is_kind(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[derive(Deserialize)]
struct Root {
    items: Option<Vec<AggregatedGroup>>,
    versions: Option<Vec<String>>,
    groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: Name,
    #[serde(default)]
    versions: Vec<AggregatedVersion>,
}

#[derive(Default, Deserialize)]
struct Name {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    version: String,
    #[serde(default)]
    resources: Vec<AggregatedResource>,
    freshness: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

impl Group {
    fn by_preference(self) -> Vec<(String, String)> {
        let mut versions: Vec<String> =
            self.preferred_version.into_iter().chain(self.versions).map(|v| v.version).collect();
        let mut seen = BTreeSet::new();
        versions.retain(|version| seen.insert(version.clone()));
        versions.into_iter().map(|version| (self.name.clone(), version)).collect()
    }
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    verbs: Vec<String>,
}
