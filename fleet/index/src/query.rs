//! Questions: what is seen, what is wanted of it, and in which order.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use api_meta::LabelSelector;
use memchr::memmem::Finder;

use crate::index::{Index, Kind, KindId, label};
use crate::intern::Id;
use crate::segment::{Row, Segment, prefix};
use crate::word::{Mask, Words};

/// The label that says which project a namespace belongs to.
const PROJECT: &str = "cpaas.io/project";

/// What somebody may see of a kind in a cluster.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Nothing.
    Nothing,
    /// All objects.
    Everything,
    /// Those in these namespaces.
    Namespaces(Arc<HashSet<Box<str>>>),
}

/// Somebody's sight. Of namespaces themselves it is asked as of any other kind.
pub trait Sight {
    /// What of this kind in this cluster.
    fn reach(&self, cluster: &str, kind: &Kind) -> Reach;
}

/// The order of rows. What is equal goes by name, namespace, cluster and kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// By namespace.
    Namespace,
    /// By cluster.
    Cluster,
    /// By the name of the type.
    Kind,
    /// The oldest first.
    Created,
}

/// What is wanted. A part that is absent narrows nothing.
#[derive(Default)]
pub struct Query<'a> {
    /// Kinds.
    pub kinds: Option<&'a dyn Fn(&Kind) -> bool>,
    /// Clusters.
    pub clusters: Option<&'a dyn Fn(&str) -> bool>,
    /// Namespaces.
    pub namespaces: Option<&'a dyn Fn(&str) -> bool>,
    /// What is in the namespaces of a project, and those themselves.
    pub project: Option<&'a str>,
    /// By labels.
    pub selector: Option<&'a LabelSelector>,
    /// A part of the name of an image.
    pub image: Option<&'a str>,
    /// Words, each of which is in the name, the namespace, a label or an image. Capitals do not count.
    pub text: Option<&'a str>,
    /// The order.
    pub order: Order,
    /// The other way round.
    pub descending: bool,
    /// Only what comes after.
    pub after: Option<&'a Cursor>,
    /// How many rows, at most.
    pub limit: usize,
}

/// A place in an order: that of the last row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Seconds since 1970.
    pub created: u32,
    /// The name.
    pub name: String,
    /// The namespace; of a namespace, itself.
    pub namespace: String,
    /// The cluster.
    pub cluster: String,
    /// The kind.
    pub kind: Kind,
}

/// A row that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where it is.
    pub cluster: &'a str,
    /// What it is.
    pub kind: &'a Kind,
    /// Empty for objects of the whole cluster.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// When it was created: seconds since 1970.
    pub created: u32,
    /// Its labels.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its images.
    pub images: Vec<&'a str>,
}

impl Found<'_> {
    /// The row's place.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            created: self.created,
            name: self.name.to_owned(),
            namespace: if self.kind.is_namespaces() { self.name } else { self.namespace }.to_owned(),
            cluster: self.cluster.to_owned(),
            kind: self.kind.clone(),
        }
    }
}

/// How many rows of a kind in a cluster are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a> {
    /// Where.
    pub cluster: &'a str,
    /// What.
    pub kind: &'a Kind,
    /// How many.
    pub count: usize,
}

/// A page, and what there is besides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The rows of the page.
    pub found: Vec<Found<'a>>,
    /// How many rows there are on all pages.
    pub total: usize,
    /// Whether more come after these.
    pub more: bool,
    /// The same by cluster and kind; those without any are left out.
    pub counts: Vec<Count<'a>>,
}

impl Index {
    /// What somebody sees of what is wanted.
    pub fn query<'a>(&'a self, sight: &dyn Sight, query: &Query<'_>) -> Answer<'a> {
        let wanted = Wanted::new(self, query);
        let mut page = Page::new(self, query);
        let mut counts = Vec::new();
        for (cluster, segments) in &self.clusters {
            if query.clusters.is_some_and(|wanted| !wanted(cluster)) {
                continue;
            }
            let project = query.project.map(|project| self.namespaces_of(segments, project));
            for (&number, segment) in segments {
                let kind = &self.kinds[usize::from(number)];
                if segment.rows().is_empty() || query.kinds.is_some_and(|wanted| !wanted(kind)) {
                    continue;
                }
                let Some(reach) = self.numbers_of(&sight.reach(cluster, kind)) else { continue };
                page.enter(cluster, number, segment);
                let mut count = 0;
                for row in segment.rows() {
                    let is_in = |set: &Option<Vec<bool>>| set.as_ref().is_none_or(|set| set[row.namespace as usize]);
                    if is_in(&reach) && is_in(&project) && wanted.has(segment, row) {
                        count += 1;
                        page.offer(row);
                    }
                }
                if count > 0 {
                    counts.push(Count { cluster, kind, count });
                }
            }
        }
        let total = counts.iter().map(|count| count.count).sum();
        let (rows, more) = page.finish();
        let found = rows.into_iter().map(|(place, row)| self.found(&place, &row)).collect();
        Answer { found, total, more, counts }
    }

    fn found<'a>(&'a self, place: &Place<'a>, row: &Row) -> Found<'a> {
        let kind = &self.kinds[usize::from(place.kind)];
        Found {
            cluster: place.cluster,
            kind,
            namespace: if kind.is_namespaces() { "" } else { self.namespaces.get(row.namespace) },
            name: text_of(place.segment.name(row)),
            created: row.created,
            labels: self.labels.texts_of(row.labels).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect(),
            images: self.images.texts_of(row.images).collect(),
        }
    }

    /// By number; nothing at all is `None`, and everything `Some(None)`.
    fn numbers_of(&self, reach: &Reach) -> Option<Option<Vec<bool>>> {
        match reach {
            Reach::Nothing => None,
            Reach::Everything => Some(None),
            Reach::Namespaces(names) => {
                let mut numbers = vec![false; self.namespaces.numbers()];
                for id in names.iter().filter(|name| !name.is_empty()).filter_map(|name| self.namespaces.find(name)) {
                    numbers[id as usize] = true;
                }
                Some(Some(numbers))
            }
        }
    }

    /// The namespaces of a cluster that say so themselves.
    fn namespaces_of(&self, segments: &std::collections::BTreeMap<KindId, Segment>, project: &str) -> Vec<bool> {
        let mut numbers = vec![false; self.namespaces.numbers()];
        for (number, segment) in segments {
            if !self.kinds[usize::from(*number)].is_namespaces() {
                continue;
            }
            for row in segment.rows().iter().filter(|row| label(&self.labels, row.labels, PROJECT) == Some(project)) {
                numbers[row.namespace as usize] = true;
            }
        }
        numbers
    }
}

/// What is there once, answered once: by number of namespace, label set and image set.
struct Wanted {
    namespaces: Option<Vec<bool>>,
    labels: Option<Vec<bool>>,
    images: Option<Vec<bool>>,
    words: Vec<WordsIn>,
}

/// Words, and which of them are in what is there once.
struct WordsIn {
    words: Words,
    namespaces: Vec<Mask>,
    labels: Vec<Mask>,
    images: Vec<Mask>,
}

impl Wanted {
    fn new(index: &Index, query: &Query<'_>) -> Self {
        Self {
            namespaces: query.namespaces.map(|wanted| namespaces(index, wanted)),
            labels: query.selector.filter(|selector| !selector.is_everything()).map(|selector| {
                index.labels.that(|sets, id| selector.matches_with(|key| label(sets, id, key).map(str::to_owned)))
            }),
            images: query.image.map(|image| {
                let word = Finder::new(image);
                index.images.with_any(|text| word.find(text.as_bytes()).is_some())
            }),
            words: Words::of(query.text.unwrap_or_default())
                .into_iter()
                .map(|words| WordsIn {
                    namespaces: index.namespaces.which(&words),
                    labels: index.labels.which(&words),
                    images: index.images.which(&words),
                    words,
                })
                .collect(),
        }
    }

    fn has(&self, segment: &Segment, row: &Row) -> bool {
        let is_in = |set: &Option<Vec<bool>>, id: Id| set.as_ref().is_none_or(|set| set[id as usize]);
        is_in(&self.namespaces, row.namespace)
            && is_in(&self.labels, row.labels)
            && is_in(&self.images, row.images)
            && self.words.iter().all(|words| words.are_in(segment, row))
    }
}

impl WordsIn {
    fn are_in(&self, segment: &Segment, row: &Row) -> bool {
        let elsewhere = self.namespaces[row.namespace as usize]
            | self.labels[row.labels as usize]
            | self.images[row.images as usize];
        self.words.rest_is_in(elsewhere, segment.name(row), row.signature)
    }
}

fn namespaces(index: &Index, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
    let mut numbers = vec![false; index.namespaces.numbers()];
    for (id, name) in index.namespaces.iter() {
        numbers[id as usize] = wanted(name);
    }
    numbers
}

/// The segment that rows are from.
#[derive(Clone, Copy)]
struct Place<'a> {
    cluster: &'a str,
    /// The cluster's place among the clusters.
    rank: u32,
    kind: KindId,
    segment: &'a Segment,
}

/// A row that may be on the page.
#[derive(Clone, Copy)]
struct Candidate {
    /// What is compared first.
    first: u32,
    place: u32,
    row: Row,
}

/// The rows of a page, found without sorting the others.
struct Page<'a, 'q> {
    index: &'a Index,
    order: Order,
    descending: bool,
    limit: usize,
    ranks: Ranks,
    after: Option<After<'q>>,
    places: Vec<Place<'a>>,
    candidates: Vec<Candidate>,
    /// What comes after it is not on the page.
    last: Option<Candidate>,
}

impl<'a, 'q> Page<'a, 'q> {
    fn new(index: &'a Index, query: &Query<'q>) -> Self {
        Self {
            index,
            order: query.order,
            descending: query.descending,
            limit: query.limit,
            ranks: Ranks::new(index, query.order),
            after: query.after.map(|cursor| After::new(index, cursor)),
            places: Vec::new(),
            candidates: Vec::new(),
            last: None,
        }
    }

    /// The rows to come are from here.
    fn enter(&mut self, cluster: &'a str, kind: KindId, segment: &'a Segment) {
        let rank = self.places.last().map_or(0, |last| last.rank + u32::from(last.cluster != cluster));
        self.places.push(Place { cluster, rank, kind, segment });
        if let Some(after) = &mut self.after {
            after.enter(cluster, &self.index.kinds[usize::from(kind)]);
        }
    }

    fn offer(&mut self, row: &Row) {
        // Rows come from places that were entered.
        let number = self.places.len() - 1;
        let place = &self.places[number];
        if let Some(after) = &self.after
            && self.turned(after.compare(self.order, place.segment, row)).is_le()
        {
            return;
        }
        let place = u32::try_from(number).unwrap_or(u32::MAX);
        let candidate = Candidate { first: self.first(number, row), place, row: *row };
        if let Some(last) = &self.last
            && self.compare(&candidate, last).is_ge()
        {
            return;
        }
        self.candidates.push(candidate);
        if self.candidates.len() > 2 * self.limit + 1024 {
            self.cut();
        }
    }

    /// Keeps the page, and one more to know of it.
    fn cut(&mut self) {
        let mut candidates = std::mem::take(&mut self.candidates);
        if candidates.len() > self.limit {
            candidates.select_nth_unstable_by(self.limit, |a, b| self.compare(a, b));
            candidates.truncate(self.limit + 1);
            self.last = Some(candidates[self.limit]);
        }
        self.candidates = candidates;
    }

    /// The rows in their order, and whether there are more.
    fn finish(mut self) -> (Vec<(Place<'a>, Row)>, bool) {
        self.cut();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(|a, b| self.compare(a, b));
        let more = candidates.len() > self.limit;
        candidates.truncate(self.limit);
        (candidates.iter().map(|candidate| (self.places[candidate.place as usize], candidate.row)).collect(), more)
    }

    /// Clusters and kinds are the same for a whole segment.
    fn first(&self, place: usize, row: &Row) -> u32 {
        let place = &self.places[place];
        match self.order {
            Order::Name => 0,
            Order::Namespace => self.ranks.namespaces[row.namespace as usize],
            Order::Cluster => place.rank,
            Order::Kind => self.ranks.kinds[usize::from(place.kind)],
            Order::Created => row.created,
        }
    }

    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let at = |candidate: &Candidate| self.places[candidate.place as usize];
        let ordering = (a.first, a.row.prefix).cmp(&(b.first, b.row.prefix)).then_with(|| {
            let (in_a, in_b) = (at(a), at(b));
            let namespace = |row: &Row| self.index.namespaces.get(row.namespace);
            let kind = |place: &Place<'_>| self.ranks.kinds[usize::from(place.kind)];
            let names = in_a.segment.name(&a.row).cmp(in_b.segment.name(&b.row));
            names
                .then_with(|| namespace(&a.row).cmp(namespace(&b.row)))
                .then_with(|| in_a.rank.cmp(&in_b.rank))
                .then_with(|| kind(&in_a).cmp(&kind(&in_b)))
        });
        self.turned(ordering)
    }

    fn turned(&self, ordering: Ordering) -> Ordering {
        if self.descending { ordering.reverse() } else { ordering }
    }
}

/// Numbers in the order of what they stand for, so that rows are compared without looking anything up.
struct Ranks {
    /// Only when they come first.
    namespaces: Vec<u32>,
    kinds: Vec<u32>,
}

impl Ranks {
    fn new(index: &Index, order: Order) -> Self {
        let namespaces = match order {
            Order::Namespace => {
                let mut names: Vec<_> = index.namespaces.iter().collect();
                names.sort_unstable_by_key(|(_, name)| *name);
                ranks(index.namespaces.numbers(), names.iter().map(|(id, _)| *id as usize))
            }
            _ => Vec::new(),
        };
        let mut kinds: Vec<_> = index.kinds.iter().enumerate().collect();
        kinds.sort_unstable_by(|(_, a), (_, b)| by_kind(a, b));
        Self { namespaces, kinds: ranks(index.kinds.len(), kinds.iter().map(|(id, _)| *id)) }
    }
}

fn ranks(size: usize, in_order: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut ranks = vec![0; size];
    for (rank, id) in (0..).zip(in_order) {
        ranks[id] = rank;
    }
    ranks
}

/// As people look for them.
fn by_kind(a: &Kind, b: &Kind) -> Ordering {
    a.kind.cmp(&b.kind).then_with(|| a.cmp(b))
}

/// Where the page before ended. What is the same for many rows is compared once.
struct After<'q> {
    cursor: &'q Cursor,
    prefix: u64,
    namespaces: Vec<Ordering>,
    cluster: Ordering,
    kind: Ordering,
}

impl<'q> After<'q> {
    fn new(index: &Index, cursor: &'q Cursor) -> Self {
        let mut namespaces = vec![Ordering::Equal; index.namespaces.numbers()];
        for (id, name) in index.namespaces.iter() {
            namespaces[id as usize] = name.cmp(&cursor.namespace);
        }
        let prefix = prefix(cursor.name.as_bytes());
        Self { cursor, prefix, namespaces, cluster: Ordering::Equal, kind: Ordering::Equal }
    }

    fn enter(&mut self, cluster: &str, kind: &Kind) {
        self.cluster = cluster.cmp(&self.cursor.cluster);
        self.kind = by_kind(kind, &self.cursor.kind);
    }

    /// A row against the end of the page before.
    fn compare(&self, order: Order, segment: &Segment, row: &Row) -> Ordering {
        let namespace = self.namespaces[row.namespace as usize];
        let first = match order {
            Order::Name => Ordering::Equal,
            Order::Namespace => namespace,
            Order::Cluster => self.cluster,
            Order::Kind => self.kind,
            Order::Created => row.created.cmp(&self.cursor.created),
        };
        first
            .then_with(|| row.prefix.cmp(&self.prefix))
            .then_with(|| segment.name(row).cmp(self.cursor.name.as_bytes()))
            .then(namespace)
            .then(self.cluster)
            .then(self.kind)
    }
}

/// Names are put in as text.
fn text_of(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}
