//! OpenAPI: what clients explain and validate by.
//!
//! Version 3 is an index and one document for each group version; kubectl
//! reads those for `explain`, for patches and to learn what the server can
//! check. Version 2 is one large document with everything.
//!
//! Nobody reads most of these documents, so each is built when it is first
//! asked for, from the schemas of k8s-openapi and of the custom resources, and
//! [`Documents`] forgets those that were not asked for lately. A document's
//! hash is that of what it is made from; the index needs no document for it.

mod operations;
mod protobuf;
mod schemas;
mod v2;
mod v3;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api_meta::{Value, json};
use apiserver_model::Resource;
use sha2::{Digest, Sha256};

/// How long a document is kept after it was asked for last.
const KEEP: Duration = Duration::from_secs(120);
/// How many bytes of documents are kept; the least recently used go first.
const MAX_BYTES: usize = 12 << 20;

/// A document as it is sent.
#[derive(Clone, Debug)]
pub struct Document {
    pub bytes: Arc<[u8]>,
    /// Changes when the document does; without quotes.
    pub hash: String,
}

/// The documents of one server.
pub struct Documents {
    /// The server's version as documents state it: `v1.34.0`.
    version: String,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What the documents were made for.
    generation: u64,
    documents: HashMap<String, (Document, Instant)>,
}

impl Documents {
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into(), kept: Mutex::default() }
    }

    /// The document at `/openapi/<path>`, as JSON: `v2`, `v3`, `v3/api/v1`, `v3/apis/apps/v1`; `None` where there is none.
    ///
    /// `generation` changes whenever `resources` do. `extra` are paths outside of groups that the index names, such as
    /// `version`.
    pub fn get(
        &self,
        path: &str,
        generation: u64,
        resources: impl FnOnce() -> Vec<Resource>,
        extra: &[&str],
    ) -> Option<Document> {
        self.find(path, generation, |this| this.build(path, &resources(), extra))
    }

    /// The document at `/openapi/v2` as protobuf.
    pub fn v2_protobuf(&self, generation: u64, resources: impl FnOnce() -> Vec<Resource>) -> Option<Document> {
        // No path of a URL, so nobody gets it by asking for that.
        self.find("v2 as protobuf", generation, |this| {
            let resources = resources();
            let bytes = protobuf::document(&v2::document(&resources, &this.version)).into();
            Some(Document { bytes, hash: this.hash(resources.iter()) })
        })
    }

    fn find(&self, path: &str, generation: u64, build: impl FnOnce(&Self) -> Option<Document>) -> Option<Document> {
        let now = Instant::now();
        {
            let mut kept = self.lock(generation, now);
            if let Some((document, used)) = kept.documents.get_mut(path) {
                *used = now;
                return Some(document.clone());
            }
        }
        // Two who ask at the same time build the same document twice; nobody waits for a lock meanwhile.
        let document = build(self)?;
        let mut kept = self.lock(generation, now);
        kept.documents.insert(path.to_owned(), (document.clone(), now));
        kept.shrink();
        Some(document)
    }

    /// Forgets what was not asked for lately.
    pub fn sweep(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.documents.retain(|_, (_, used)| now.duration_since(*used) < KEEP);
    }

    fn lock(&self, generation: u64, now: Instant) -> std::sync::MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.generation != generation {
            *kept = Kept { generation, documents: HashMap::new() };
        }
        kept.documents.retain(|_, (_, used)| now.duration_since(*used) < KEEP);
        kept
    }

    fn build(&self, path: &str, resources: &[Resource], extra: &[&str]) -> Option<Document> {
        let (value, hash) = match path {
            "v2" => (v2::document(resources, &self.version), self.hash(resources.iter())),
            "v3" => {
                let index = self.index(resources, extra);
                let hash = hex(&Sha256::digest(index.to_string()));
                (index, hash)
            }
            _ => {
                let path = path.strip_prefix("v3/")?;
                let members = members(path, resources);
                if members.is_empty() && !is_root(path, resources, extra) {
                    return None;
                }
                let hash = self.hash(members.iter().copied());
                (v3::document(path, &members, &self.version), hash)
            }
        };
        Some(Document { bytes: value.to_string().into_bytes().into(), hash })
    }

    fn index(&self, resources: &[Resource], extra: &[&str]) -> Value {
        let mut paths = BTreeMap::new();
        for path in roots(resources, extra).into_iter().chain(resources.iter().map(group_version_path)) {
            let hash = self.hash(members(&path, resources).into_iter());
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.entry(path).or_insert_with(|| json!({"serverRelativeURL": url}));
        }
        json!({"paths": paths})
    }

    /// The hash of what documents about these resources are made from.
    fn hash<'r>(&self, resources: impl Iterator<Item = &'r Resource>) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.version);
        for resource in resources {
            digest.update(format!("{:?}", resource.info));
            if resource.schema.is_structural() {
                digest.update(format!("{:?}", resource.schema));
            }
        }
        hex(&digest.finalize())
    }
}

impl Kept {
    fn shrink(&mut self) {
        let mut total: usize = self.documents.values().map(|(d, _)| d.bytes.len()).sum();
        // The document asked for now stays, however large.
        while total > MAX_BYTES && self.documents.len() > 1 {
            let oldest = self.documents.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            let Some((document, _)) = oldest.and_then(|path| self.documents.remove(&path)) else { return };
            total -= document.bytes.len();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `api/v1`, `apis/apps/v1`
fn group_version_path(resource: &Resource) -> String {
    let info = &resource.info;
    if info.group.is_empty() {
        format!("api/{}", info.version)
    } else {
        format!("apis/{}/{}", info.group, info.version)
    }
}

fn members<'r>(path: &str, resources: &'r [Resource]) -> Vec<&'r Resource> {
    resources.iter().filter(|r| group_version_path(r) == path).collect()
}

/// Paths of discovery and of other things outside of groups. Groups of custom resources have none of their own.
fn roots(resources: &[Resource], extra: &[&str]) -> Vec<String> {
    let groups = resources.iter().filter(|r| !r.info.group.is_empty() && !r.schema.is_structural());
    ["api", "apis"]
        .into_iter()
        .chain(extra.iter().copied())
        .map(str::to_owned)
        .chain(groups.map(|r| format!("apis/{}", r.info.group)))
        .collect()
}

fn is_root(path: &str, resources: &[Resource], extra: &[&str]) -> bool {
    roots(resources, extra).iter().any(|root| root == path)
}

#[cfg(test)]
mod tests;
