//! The rows of all clusters, and how they change.

use std::collections::{BTreeMap, HashMap};

use crate::intern::{Id, Sets, Texts};
use crate::segment::{Segment, Uses};

/// The longest name, in bytes: those of Kubernetes' objects are shorter, but for RBAC's.
const LONGEST: usize = 1024;

/// A kind of objects, as a cluster serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The API group; empty for the first one.
    pub group: Box<str>,
    /// The plural in paths.
    pub resource: Box<str>,
    /// The version that the cluster prefers.
    pub version: Box<str>,
    /// The name of the type.
    pub kind: Box<str>,
}

impl Kind {
    /// Whether objects of this kind are namespaces, which count as in themselves: whoever may see what is in one may be
    /// allowed to see it, and nobody else.
    pub(crate) fn is_namespaces(&self) -> bool {
        self.group.is_empty() && &*self.resource == "namespaces"
    }
}

/// What the index keeps of an object.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Empty for objects of the whole cluster.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// When it was created: seconds since 1970.
    pub created: u32,
    /// Its labels.
    pub labels: &'a [(&'a str, &'a str)],
    /// The images that its containers run, or would.
    pub images: &'a [&'a str],
}

/// A name that no object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is longer than {LONGEST} bytes")]
pub struct TooLong;

/// A kind's number.
pub(crate) type KindId = u16;

/// The objects of all clusters.
#[derive(Default)]
pub struct Index {
    pub(crate) kinds: Vec<Kind>,
    numbers: HashMap<Kind, KindId>,
    pub(crate) namespaces: Texts,
    /// Each is `key=value`.
    pub(crate) labels: Sets,
    pub(crate) images: Sets,
    pub(crate) clusters: BTreeMap<Box<str>, BTreeMap<KindId, Segment>>,
}

impl Index {
    /// An object is there, as it is now.
    ///
    /// # Errors
    /// When it has a name that no object can have; the index stays as it was.
    pub fn put(&mut self, cluster: &str, kind: &Kind, entry: &Entry<'_>) -> Result<(), TooLong> {
        let len = u16::try_from(entry.name.len()).ok().filter(|&len| usize::from(len) <= LONGEST).ok_or(TooLong)?;
        let namespace = if kind.is_namespaces() { entry.name } else { entry.namespace };
        let mut pair = String::new();
        let pairs: Vec<Box<str>> = entry
            .labels
            .iter()
            .map(|(key, value)| {
                pair.clear();
                pair.extend([key, "=", value]);
                pair.as_str().into()
            })
            .collect();
        let uses = Uses {
            namespace: self.namespaces.take(namespace),
            labels: self.labels.take(pairs.iter().map(|pair| &**pair)),
            images: self.images.take(entry.images.iter().copied()),
        };
        let old = self.segment(cluster, kind).put(entry.name, len, uses, entry.created);
        self.release(old);
        Ok(())
    }

    /// An object is gone.
    pub fn remove(&mut self, cluster: &str, kind: &Kind, namespace: &str, name: &str) {
        let namespace = if kind.is_namespaces() { name } else { namespace };
        let Some(namespace) = self.namespaces.find(namespace) else { return };
        let Some(&kind) = self.numbers.get(kind) else { return };
        let segment = self.clusters.get_mut(cluster).and_then(|segments| segments.get_mut(&kind));
        let old = segment.and_then(|segment| segment.remove(namespace, name.as_bytes()));
        self.release(old);
    }

    /// All objects of a kind will be put anew. What was there stays until [`Index::finish`].
    pub fn begin(&mut self, cluster: &str, kind: &Kind) {
        self.segment(cluster, kind).begin();
    }

    /// All objects of a kind have been put: what was not is gone.
    pub fn finish(&mut self, cluster: &str, kind: &Kind) {
        let gone = self.segment(cluster, kind).finish();
        self.release(gone);
    }

    /// A cluster serves these kinds, and no others any more.
    pub fn retain(&mut self, cluster: &str, is_served: impl Fn(&Kind) -> bool) {
        let Self { clusters, kinds, .. } = self;
        let Some(segments) = clusters.get_mut(cluster) else { return };
        let gone: Vec<Uses> = segments
            .extract_if(.., |kind, _| !is_served(&kinds[usize::from(*kind)]))
            .flat_map(|(_, segment)| segment.rows().iter().map(crate::segment::Row::uses).collect::<Vec<_>>())
            .collect();
        self.release(gone);
    }

    /// A cluster is gone.
    pub fn forget(&mut self, cluster: &str) {
        self.retain(cluster, |_| false);
        self.clusters.remove(cluster);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.clusters.values().flat_map(BTreeMap::values).map(|segment| segment.rows().len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn segment(&mut self, cluster: &str, kind: &Kind) -> &mut Segment {
        let number = match self.numbers.get(kind) {
            Some(&number) => number,
            None => {
                let number = KindId::try_from(self.kinds.len()).expect("a fleet has fewer than 65,536 kinds");
                self.kinds.push(kind.clone());
                self.numbers.insert(kind.clone(), number);
                number
            }
        };
        if !self.clusters.contains_key(cluster) {
            self.clusters.insert(cluster.into(), BTreeMap::new());
        }
        let segments = self.clusters.get_mut(cluster).expect("it was just put");
        segments.entry(number).or_default()
    }

    fn release(&mut self, uses: impl IntoIterator<Item = Uses>) {
        for Uses { namespace, labels, images } in uses {
            self.namespaces.drop(namespace);
            self.labels.drop(labels);
            self.images.drop(images);
        }
    }
}

/// The value of a label in a set of pairs.
pub(crate) fn label<'a>(sets: &'a Sets, id: Id, key: &str) -> Option<&'a str> {
    sets.texts_of(id).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}
