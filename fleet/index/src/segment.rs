//! The objects of one kind in one cluster.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::intern::Id;
use crate::word::Signature;

/// An object. What it does not hold itself it names by number.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The beginning of the name, so that most comparisons need nothing else.
    pub(crate) prefix: u64,
    /// Of the name.
    pub(crate) signature: Signature,
    name_at: u32,
    name_len: u16,
    /// Met since the current listing of its kind began.
    is_met: bool,
    pub(crate) namespace: Id,
    /// Seconds since 1970.
    pub(crate) created: u32,
    pub(crate) labels: Id,
    pub(crate) images: Id,
    weight: u32,
}

/// What a row uses, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) namespace: Id,
    pub(crate) labels: Id,
    pub(crate) images: Id,
    /// Bytes of all that it says, as if it shared nothing.
    pub(crate) weight: u32,
}

#[derive(Default)]
pub(crate) struct Segment {
    rows: Vec<Row>,
    names: Vec<u8>,
    garbage: usize,
    /// Rows by namespace and name.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Segment {
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn name(&self, row: &Row) -> &[u8] {
        name_of(&self.names, row)
    }

    /// Puts an object, and gives the uses of the one whose place it takes.
    pub(crate) fn put(&mut self, name: &str, len: u16, uses: Uses, created: u32) -> Option<Uses> {
        let Uses { namespace, labels, images, weight } = uses;
        let hash = self.hash(namespace, name.as_bytes());
        if let Some(place) = self.place(hash, namespace, name.as_bytes()) {
            let row = &mut self.rows[place as usize];
            let old = row.uses();
            *row = Row { created, labels, images, weight, is_met: true, ..*row };
            return Some(old);
        }
        let name_at = u32::try_from(self.names.len()).expect("names of one kind in one cluster fill less than 4 GiB");
        self.names.extend_from_slice(name.as_bytes());
        let prefix = prefix(name.as_bytes());
        let signature = Signature::of(name);
        let name_len = len;
        self.rows.push(Row {
            prefix,
            signature,
            name_at,
            name_len,
            is_met: true,
            namespace,
            created,
            labels,
            images,
            weight,
        });
        let place = u32::try_from(self.rows.len() - 1).expect("there are fewer rows than bytes of names");
        let Self { rows, names, places, hasher, .. } = self;
        places.insert_unique(hash, place, |&place| hash_of(hasher, names, &rows[place as usize]));
        None
    }

    /// Removes an object, and gives its uses.
    pub(crate) fn remove(&mut self, namespace: Id, name: &[u8]) -> Option<Uses> {
        let place = self.place(self.hash(namespace, name), namespace, name)?;
        Some(self.remove_at(place as usize))
    }

    fn remove_at(&mut self, place: usize) -> Uses {
        let last = self.rows.len() - 1;
        let row = self.rows[place];
        self.forget(&row, place);
        if place != last {
            let moved = self.rows[last];
            self.forget(&moved, last);
        }
        self.rows.swap_remove(place);
        if let Some(moved) = self.rows.get(place).copied() {
            let Self { rows, names, places, hasher, .. } = self;
            // It fits: places are the numbers of rows.
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let hash = hash_of(hasher, names, &moved);
            places.insert_unique(hash, place, |&place| hash_of(hasher, names, &rows[place as usize]));
        }
        self.garbage += usize::from(row.name_len);
        if self.garbage > 4096 && self.garbage > self.names.len() / 2 {
            self.tidy();
        }
        row.uses()
    }

    /// A listing of this kind begins.
    pub(crate) fn begin(&mut self) {
        self.rows.iter_mut().for_each(|row| row.is_met = false);
    }

    /// The listing is over: gives the uses of what it did not meet, which is gone.
    pub(crate) fn finish(&mut self) -> Vec<Uses> {
        let mut gone = Vec::new();
        let mut place = 0;
        while place < self.rows.len() {
            match self.rows[place].is_met {
                true => place += 1,
                false => gone.push(self.remove_at(place)),
            }
        }
        gone
    }

    fn forget(&mut self, row: &Row, place: usize) {
        let hash = hash_of(&self.hasher, &self.names, row);
        if let Ok(entry) = self.places.find_entry(hash, |&other| other as usize == place) {
            entry.remove();
        }
    }

    fn place(&self, hash: u64, namespace: Id, name: &[u8]) -> Option<u32> {
        let is_it = |&place: &u32| {
            let row = &self.rows[place as usize];
            row.namespace == namespace && self.name(row) == name
        };
        self.places.find(hash, is_it).copied()
    }

    fn hash(&self, namespace: Id, name: &[u8]) -> u64 {
        self.hasher.hash_one((namespace, name))
    }

    /// Closes the gaps between the names.
    fn tidy(&mut self) {
        let mut names = Vec::with_capacity(self.names.len() - self.garbage);
        for row in &mut self.rows {
            let at = names.len();
            names.extend_from_slice(name_of(&self.names, row));
            // It is less than before.
            row.name_at = u32::try_from(at).unwrap_or(u32::MAX);
        }
        (self.names, self.garbage) = (names, 0);
    }
}

impl Row {
    pub(crate) fn uses(&self) -> Uses {
        Uses { namespace: self.namespace, labels: self.labels, images: self.images, weight: self.weight }
    }
}

fn name_of<'a>(names: &'a [u8], row: &Row) -> &'a [u8] {
    &names[row.name_at as usize..row.name_at as usize + usize::from(row.name_len)]
}

fn hash_of(hasher: &DefaultHashBuilder, names: &[u8], row: &Row) -> u64 {
    hasher.hash_one((row.namespace, name_of(names, row)))
}

/// The first eight bytes, in the order of names.
pub(crate) fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}
