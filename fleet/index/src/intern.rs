//! What repeats, kept once: texts, and sets of texts. Both count who uses them, and forget what nobody does.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::word::{Mask, Signature, Words};

/// A number for a text or a set. It is used again when what it stood for is forgotten.
pub(crate) type Id = u32;

/// The set without members, which is never forgotten.
pub(crate) const EMPTY: Id = 0;

/// Texts, one behind the other.
#[derive(Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each is, and how many use it; nobody: the number is free.
    spans: Vec<Span>,
    free: Vec<Id>,
    numbers: HashTable<Id>,
    hasher: DefaultHashBuilder,
    garbage: usize,
}

#[derive(Clone, Copy)]
struct Span {
    at: u32,
    len: u32,
    uses: u32,
    signature: Signature,
}

impl Texts {
    /// How many numbers there are, free ones included: the size of a table by number.
    pub(crate) fn numbers(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn get(&self, id: Id) -> &str {
        let span = self.spans[id as usize];
        // Only whole texts are put in.
        std::str::from_utf8(bytes_of(&self.bytes, span)).unwrap_or_default()
    }

    pub(crate) fn find(&self, text: &str) -> Option<Id> {
        let hash = self.hasher.hash_one(text.as_bytes());
        self.numbers.find(hash, |&id| bytes_of(&self.bytes, self.spans[id as usize]) == text.as_bytes()).copied()
    }

    /// The numbers that are in use, with their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &str)> {
        (0..).zip(&self.spans).filter(|(_, span)| span.uses > 0).map(|(id, _)| (id, self.get(id)))
    }

    /// By number: which words are in the text.
    pub(crate) fn which(&self, words: &Words) -> Vec<Mask> {
        let in_text = |span: &Span| words.in_text(bytes_of(&self.bytes, *span), span.signature);
        self.spans.iter().map(|span| if span.uses > 0 { in_text(span) } else { 0 }).collect()
    }

    /// One more user of a text.
    pub(crate) fn take(&mut self, text: &str) -> Id {
        if let Some(id) = self.find(text) {
            self.spans[id as usize].uses += 1;
            return id;
        }
        let (at, len) = (self.bytes.len(), text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        let span = Span { at: number(at), len: number(len), uses: 1, signature: Signature::of(text) };
        let id = match self.free.pop() {
            Some(id) => {
                self.spans[id as usize] = span;
                id
            }
            None => {
                self.spans.push(span);
                number(self.spans.len() - 1)
            }
        };
        let Self { bytes, spans, hasher, .. } = self;
        let rehash = |&id: &Id| hasher.hash_one(bytes_of(bytes, spans[id as usize]));
        self.numbers.insert_unique(hasher.hash_one(text.as_bytes()), id, rehash);
        id
    }

    /// One user less.
    pub(crate) fn drop(&mut self, id: Id) {
        let span = &mut self.spans[id as usize];
        span.uses -= 1;
        if span.uses > 0 {
            return;
        }
        let span = *span;
        let hash = self.hasher.hash_one(bytes_of(&self.bytes, span));
        if let Ok(entry) = self.numbers.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        self.free.push(id);
        self.garbage += span.len as usize;
        if self.garbage > 4096 && self.garbage > self.bytes.len() / 2 {
            self.tidy();
        }
    }

    /// Closes the gaps.
    fn tidy(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.garbage);
        for span in self.spans.iter_mut().filter(|span| span.uses > 0) {
            let at = number(bytes.len());
            bytes.extend_from_slice(bytes_of(&self.bytes, *span));
            span.at = at;
        }
        (self.bytes, self.garbage) = (bytes, 0);
    }
}

fn bytes_of(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.at as usize..span.at as usize + span.len as usize]
}

/// Four gigabytes of distinct texts are more than a hub has memory for.
fn number(size: usize) -> u32 {
    u32::try_from(size).expect("the index holds less than 4 GiB of distinct texts")
}

/// Sets of texts.
pub(crate) struct Sets {
    pub(crate) texts: Texts,
    sets: Vec<Set>,
    free: Vec<Id>,
    numbers: HashTable<Id>,
    hasher: DefaultHashBuilder,
}

struct Set {
    /// In order, each once.
    members: Box<[Id]>,
    uses: u32,
}

impl Default for Sets {
    fn default() -> Self {
        let empty = Set { members: Box::default(), uses: 1 };
        let hasher = DefaultHashBuilder::default();
        Self { texts: Texts::default(), sets: vec![empty], free: Vec::new(), numbers: HashTable::new(), hasher }
    }
}

impl Sets {
    pub(crate) fn texts_of(&self, id: Id) -> impl Iterator<Item = &str> {
        self.sets[id as usize].members.iter().map(|&text| self.texts.get(text))
    }

    /// One more user of a set.
    pub(crate) fn take<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Id {
        let mut members: Vec<Id> = texts.into_iter().map(|text| self.texts.take(text)).collect();
        if members.is_empty() {
            return EMPTY;
        }
        members.sort_unstable();
        members.dedup_by(|a, b| {
            let is_twice = a == b;
            if is_twice {
                self.texts.drop(*a);
            }
            is_twice
        });
        let hash = self.hasher.hash_one(&*members);
        if let Some(&id) = self.numbers.find(hash, |&id| *self.sets[id as usize].members == *members) {
            self.sets[id as usize].uses += 1;
            // The set holds its texts already.
            members.into_iter().for_each(|text| self.texts.drop(text));
            return id;
        }
        let set = Set { members: members.into(), uses: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.sets[id as usize] = set;
                id
            }
            None => {
                self.sets.push(set);
                number(self.sets.len() - 1)
            }
        };
        let Self { sets, hasher, .. } = self;
        self.numbers.insert_unique(hash, id, |&id| hasher.hash_one(&*sets[id as usize].members));
        id
    }

    /// One user less.
    pub(crate) fn drop(&mut self, id: Id) {
        if id == EMPTY {
            return;
        }
        let set = &mut self.sets[id as usize];
        set.uses -= 1;
        if set.uses > 0 {
            return;
        }
        let members = std::mem::take(&mut set.members);
        if let Ok(entry) = self.numbers.find_entry(self.hasher.hash_one(&*members), |&other| other == id) {
            entry.remove();
        }
        self.free.push(id);
        members.iter().for_each(|&text| self.texts.drop(text));
    }

    /// For each number, whether the set has a text that is wanted.
    pub(crate) fn with_any(&self, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
        let mut texts = vec![false; self.texts.numbers()];
        for (id, text) in self.texts.iter() {
            texts[id as usize] = wanted(text);
        }
        self.sets.iter().map(|set| set.members.iter().any(|&text| texts[text as usize])).collect()
    }

    /// By number: which words are in any text of the set.
    pub(crate) fn which(&self, words: &Words) -> Vec<Mask> {
        let texts = self.texts.which(words);
        self.sets.iter().map(|set| set.members.iter().fold(0, |mask, &text| mask | texts[text as usize])).collect()
    }

    /// For each number, whether the set as a whole is wanted. Each set is asked about once.
    pub(crate) fn that(&self, wanted: impl Fn(&Self, Id) -> bool) -> Vec<bool> {
        (0..).zip(&self.sets).map(|(id, set)| set.uses > 0 && wanted(self, id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let mut sets = Sets::default();
        let one = sets.take(["a=1", "b=2", "a=1"]);
        let other = sets.take(["b=2", "a=1"]);
        assert_eq!(one, other);
        assert_eq!(sets.texts_of(one).collect::<BTreeSet<_>>(), BTreeSet::from(["a=1", "b=2"]));
        sets.drop(one);
        assert_eq!(sets.texts.iter().count(), 2);
        sets.drop(other);
        assert_eq!(sets.texts.iter().count(), 0);
        assert_eq!(sets.take(["c"]), one, "the number is free again");
        assert_eq!(sets.take([]), EMPTY);
    }

    proptest! {
        #[test]
        fn texts_keep_what_is_used(steps in prop::collection::vec((0..40u8, any::<bool>()), 1..400)) {
            let mut texts = Texts::default();
            let mut held: Vec<(Id, String)> = Vec::new();
            for (name, takes) in steps {
                // Long, so that gaps are closed within the test.
                let text = format!("{name}").repeat(90);
                if takes {
                    held.push((texts.take(&text), text));
                } else if let Some(place) = held.iter().position(|(_, other)| *other == text) {
                    texts.drop(held.swap_remove(place).0);
                }
                for (id, text) in &held {
                    prop_assert_eq!(texts.get(*id), text);
                    prop_assert_eq!(texts.find(text), Some(*id));
                }
            }
            let distinct: BTreeSet<_> = held.iter().map(|(id, _)| id).collect();
            prop_assert_eq!(texts.iter().count(), distinct.len());
        }
    }
}
