//! What a store holds and reports: keys, values, revisions, events.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use bytes::Bytes;

/// A point in the store's history. Every change takes the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Before any state; what an absent key has instead of a revision.
    pub const ZERO: Self = Self(0);
    /// Where a store without any change stands.
    pub const FIRST: Self = Self(1);

    /// The revision that the change after this one takes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key: text, ordered bytewise, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

// Sound for maps: `str` hashes and orders exactly as the `Arc<str>` inside.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A key's value and where it stands in history.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The value; empty when only keys were asked for, and in the event of a deletion.
    pub value: Bytes,
    /// The change that created the key (again); zero in the event of a deletion.
    pub create_revision: Revision,
    /// The change that wrote this value.
    pub mod_revision: Revision,
    /// How often the key was written since it was created: 1 after creation, zero in the event of a deletion.
    pub version: u64,
}

// Values may be secrets, so they are never printed.
impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .field("create_revision", &self.create_revision)
            .field("mod_revision", &self.mod_revision)
            .field("version", &self.version)
            .finish()
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was created or replaced.
    Put,
    /// It was deleted.
    Delete,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The key after the change. After a deletion it holds only the key and the deletion's `mod_revision`.
    pub kv: KeyValue,
    /// The key before the change, when it existed.
    pub prev: Option<KeyValue>,
}

impl Event {
    /// Whether the key did not exist before.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.kv.create_revision == self.kv.mod_revision
    }

    /// About how much memory the event holds on to.
    #[must_use]
    pub fn weight(&self) -> usize {
        let prev = self.prev.as_ref().map_or(0, |prev| prev.value.len());
        size_of::<Self>() + self.kv.key.len() + self.kv.value.len() + prev
    }
}
