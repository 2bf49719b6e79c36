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

impl Entry<'_> {
    /// What it takes to keep, if it shares nothing with others: its texts, and what each costs besides.
    fn weight(&self) -> u32 {
        let texts = self.labels.iter().flat_map(|(key, value)| [key.len(), value.len()]);
        let images = self.images.iter().map(|image| image.len());
        let texts = texts.chain(images).map(|len| len + 16).sum::<usize>();
        u32::try_from(texts + self.namespace.len() + self.name.len() + 64).unwrap_or(u32::MAX)
    }
}

/// Why something is not kept. Clusters are somebody else's, and none may fill the hub's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No object has such a name.
    #[error("the name is longer than {LONGEST} bytes")]
    Name,
    /// The cluster's objects say too much, or those of all clusters together.
    #[error("the objects of the cluster, or of all, hold more than there is room for")]
    Full,
    /// There are too many kinds in all clusters.
    #[error("all clusters together have more than {} kinds", KindId::MAX)]
    Kinds,
}

/// A kind's number.
pub(crate) type KindId = u16;

/// Bytes that the objects of clusters may say, as if they shared nothing.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one cluster.
    pub cluster: u64,
    /// Of all together; texts are numbered in four bytes.
    pub all: u64,
}

impl Default for Limits {
    /// Ten times what the largest clusters hold.
    fn default() -> Self {
        Self { cluster: 512 << 20, all: 3 << 30 }
    }
}

/// The objects of all clusters.
#[derive(Default)]
pub struct Index {
    limits: Limits,
    pub(crate) kinds: Vec<Kind>,
    /// In how many clusters each kind is; in none: the number is free.
    holders: Vec<u32>,
    free: Vec<KindId>,
    pub(crate) numbers: HashMap<Kind, KindId>,
    pub(crate) namespaces: Texts,
    /// Each is `key=value`.
    pub(crate) labels: Sets,
    pub(crate) images: Sets,
    pub(crate) clusters: BTreeMap<Box<str>, BTreeMap<KindId, Segment>>,
    weights: HashMap<Box<str>, u64>,
    pub(crate) weight: u64,
}

impl Index {
    /// Without objects, and with room for as many as these.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// An object is there, as it is now.
    ///
    /// # Errors
    /// When it has a name that no object can have, or there is no room; the index stays as it was.
    pub fn put(&mut self, cluster: &str, kind: &Kind, entry: &Entry<'_>) -> Result<(), Refused> {
        let len =
            u16::try_from(entry.name.len()).ok().filter(|&len| usize::from(len) <= LONGEST).ok_or(Refused::Name)?;
        let weight = entry.weight();
        let held = self.weights.get(cluster).copied().unwrap_or_default();
        if held + u64::from(weight) > self.limits.cluster || self.weight + u64::from(weight) > self.limits.all {
            return Err(Refused::Full);
        }
        let kind_id = self.segment(cluster, kind)?;
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
            weight,
        };
        let segment = self.clusters.get_mut(cluster).and_then(|segments| segments.get_mut(&kind_id));
        let old = segment.and_then(|segment| segment.put(entry.name, len, uses, entry.created));
        *self.weights.entry(cluster.into()).or_default() += u64::from(weight);
        self.weight += u64::from(weight);
        self.release(cluster, old);
        Ok(())
    }

    /// An object is gone.
    pub fn remove(&mut self, cluster: &str, kind: &Kind, namespace: &str, name: &str) {
        let namespace = if kind.is_namespaces() { name } else { namespace };
        let Some(namespace) = self.namespaces.find(namespace) else { return };
        let old = self.find(cluster, kind).and_then(|segment| segment.remove(namespace, name.as_bytes()));
        self.release(cluster, old);
    }

    /// All objects of a kind will be put anew. What was there stays until [`Index::finish`].
    ///
    /// # Errors
    /// When there are too many kinds; the index stays as it was.
    pub fn begin(&mut self, cluster: &str, kind: &Kind) -> Result<(), Refused> {
        self.segment(cluster, kind)?;
        if let Some(segment) = self.find(cluster, kind) {
            segment.begin();
        }
        Ok(())
    }

    /// All objects of a kind have been put: what was not is gone.
    pub fn finish(&mut self, cluster: &str, kind: &Kind) {
        let gone = self.find(cluster, kind).map(Segment::finish).unwrap_or_default();
        self.release(cluster, gone);
    }

    /// A cluster serves these kinds, and no others any more.
    pub fn retain(&mut self, cluster: &str, is_served: impl Fn(&Kind) -> bool) {
        let Self { clusters, kinds, .. } = self;
        let Some(segments) = clusters.get_mut(cluster) else { return };
        let gone: Vec<(KindId, Segment)> =
            segments.extract_if(.., |kind, _| !is_served(&kinds[usize::from(*kind)])).collect();
        for (kind, segment) in gone {
            self.release(cluster, segment.rows().iter().map(crate::segment::Row::uses));
            let holders = &mut self.holders[usize::from(kind)];
            *holders -= 1;
            if *holders == 0 {
                self.numbers.remove(&self.kinds[usize::from(kind)]);
                self.free.push(kind);
            }
        }
    }

    /// A cluster is gone.
    pub fn forget(&mut self, cluster: &str) {
        self.retain(cluster, |_| false);
        self.clusters.remove(cluster);
        self.weights.remove(cluster);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.clusters.values().flat_map(BTreeMap::values).map(|segment| segment.rows().len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&mut self, cluster: &str, kind: &Kind) -> Option<&mut Segment> {
        let number = self.numbers.get(kind)?;
        self.clusters.get_mut(cluster)?.get_mut(number)
    }

    /// The number of a kind, of which the cluster has a segment.
    fn segment(&mut self, cluster: &str, kind: &Kind) -> Result<KindId, Refused> {
        let number = match self.numbers.get(kind) {
            Some(&number) => number,
            None => self.number(kind)?,
        };
        if !self.clusters.contains_key(cluster) {
            self.clusters.insert(cluster.into(), BTreeMap::new());
        }
        if let Some(segments) = self.clusters.get_mut(cluster) {
            segments.entry(number).or_insert_with(|| {
                self.holders[usize::from(number)] += 1;
                Segment::default()
            });
        }
        Ok(number)
    }

    fn number(&mut self, kind: &Kind) -> Result<KindId, Refused> {
        let number = match self.free.pop() {
            Some(number) => {
                self.kinds[usize::from(number)] = kind.clone();
                number
            }
            None => {
                let number = KindId::try_from(self.kinds.len()).map_err(|_| Refused::Kinds)?;
                self.kinds.push(kind.clone());
                self.holders.push(0);
                number
            }
        };
        self.numbers.insert(kind.clone(), number);
        Ok(number)
    }

    fn release(&mut self, cluster: &str, uses: impl IntoIterator<Item = Uses>) {
        let mut released = 0;
        for Uses { namespace, labels, images, weight } in uses {
            self.namespaces.drop(namespace);
            self.labels.drop(labels);
            self.images.drop(images);
            released += u64::from(weight);
        }
        self.weight -= released;
        if let Some(weight) = self.weights.get_mut(cluster) {
            *weight -= released;
        }
    }
}

/// The value of a label in a set of pairs.
pub(crate) fn label<'a>(sets: &'a Sets, id: Id, key: &str) -> Option<&'a str> {
    sets.texts_of(id).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}
