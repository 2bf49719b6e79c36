//! Questions and transactions, and their answers.

use bytes::Bytes;

use crate::{Error, Key, KeyValue, Revision};

/// The most operations in one branch of a transaction.
pub const MAX_TXN_OPS: usize = 1024;
/// The longest key.
pub const MAX_KEY_BYTES: usize = 4 << 10;
/// The largest value: a request body of an API server (3 MiB) and room for what the server adds.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// A half-open interval of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    start: String,
    end: Option<String>,
}

impl Span {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self { start: String::new(), end: None }
    }

    /// The keys from `start` up to, but not including, `end`.
    pub fn between(start: impl Into<String>, end: impl Into<String>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys that begin with `prefix`: for `/a/` this holds `/a/b`, but neither `/a` nor `/a0`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self { start, end }
    }

    /// The first key that may be in the span.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// The first key behind the span; `None` when it has no end.
    #[must_use]
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Whether the key lies in the span.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        key >= self.start.as_str() && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether no key can lie in the span.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_deref().is_some_and(|end| end <= self.start.as_str())
    }
}

/// The least text that is greater than every text with this prefix.
///
/// UTF-8 orders bytewise exactly as its characters order by code point, so stepping the last character suffices.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars = prefix.chars().collect::<Vec<_>>();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(last as u32 + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// How much of each key a range returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Keys and values.
    #[default]
    Values,
    /// Keys and revisions; values are left empty.
    KeysOnly,
    /// No items, only their number.
    CountOnly,
}

/// A question for the keys in a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub span: Span,
    /// Only keys behind this one: the last key of the page before.
    pub after: Option<String>,
    /// At most so many items; zero for all.
    pub limit: usize,
    /// At which revision; the current one when `None`.
    pub at: Option<Revision>,
    /// How much of each.
    pub content: Content,
}

impl Range {
    /// All keys of the span with their values, now.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self { span, after: None, limit: 0, at: None, content: Content::Values }
    }

    /// All keys that begin with `prefix`, now.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self::new(Span::prefix(prefix))
    }

    /// At most so many items.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Only keys behind this one.
    #[must_use]
    pub fn after(self, key: impl Into<String>) -> Self {
        Self { after: Some(key.into()), ..self }
    }

    /// At this revision.
    #[must_use]
    pub fn at(self, revision: Revision) -> Self {
        Self { at: Some(revision), ..self }
    }

    /// Without values.
    #[must_use]
    pub fn keys_only(self) -> Self {
        Self { content: Content::KeysOnly, ..self }
    }

    /// Without items.
    #[must_use]
    pub fn count_only(self) -> Self {
        Self { content: Content::CountOnly, limit: 0, ..self }
    }
}

/// The answer to a [`Range`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What was found, in bytewise order of the keys.
    pub items: Vec<KeyValue>,
    /// The state that the page shows.
    pub revision: Revision,
    /// Whether there are keys in the range behind the last item.
    pub more: bool,
    /// How many keys of the range are not among the items: those behind the last item, and all of them when only a
    /// count was asked for.
    pub remaining: u64,
}

/// What must hold of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It exists, in any version.
    Present,
    /// It exists and was last written by this change.
    ModRevision(Revision),
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key looked at.
    pub key: Key,
    /// What must hold of it.
    pub expect: Expect,
}

impl Compare {
    /// The key does not exist.
    pub fn absent(key: impl Into<Key>) -> Self {
        Self { key: key.into(), expect: Expect::Absent }
    }

    /// The key exists.
    pub fn present(key: impl Into<Key>) -> Self {
        Self { key: key.into(), expect: Expect::Present }
    }

    /// The key exists and was last written by this change.
    pub fn unchanged(key: impl Into<Key>, mod_revision: Revision) -> Self {
        Self { key: key.into(), expect: Expect::ModRevision(mod_revision) }
    }

    /// Whether the condition holds for a key whose last write (`None` when it does not exist) was this change.
    #[must_use]
    pub fn holds(&self, mod_revision: Option<Revision>) -> bool {
        match self.expect {
            Expect::Absent => mod_revision.is_none(),
            Expect::Present => mod_revision.is_some(),
            Expect::ModRevision(expected) => mod_revision == Some(expected),
        }
    }
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Write the key.
    Put {
        /// The key.
        key: Key,
        /// Its value from now on.
        value: Bytes,
    },
    /// Delete the key, if it exists.
    Delete {
        /// The key.
        key: Key,
    },
}

impl Op {
    /// Write the key.
    pub fn put(key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into() }
    }

    /// Delete the key, if it exists.
    pub fn delete(key: impl Into<Key>) -> Self {
        Self::Delete { key: key.into() }
    }

    /// The key that is changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

// Values may be secrets, so they are never printed.
impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Delete { key } => write!(f, "Delete({key:?})"),
        }
    }
}

/// Conditions, and what to do when all of them hold and when one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `success`; none means success.
    pub compare: Vec<Compare>,
    /// Applied when all conditions hold.
    pub success: Vec<Op>,
    /// Applied when one does not.
    pub failure: Vec<Op>,
}

impl Txn {
    /// Only when this holds, ...
    #[must_use]
    pub fn when(compare: Compare) -> Self {
        Self { compare: vec![compare], ..Self::default() }
    }

    /// ... and this, ...
    #[must_use]
    pub fn and(mut self, compare: Compare) -> Self {
        self.compare.push(compare);
        self
    }

    /// ... do this, ...
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.success.push(op);
        self
    }

    /// ... and do this otherwise.
    #[must_use]
    pub fn or_else(mut self, op: Op) -> Self {
        self.failure.push(op);
        self
    }

    /// Checks the rules that hold for every backend.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for keys or values out of bounds, too many operations, or two changes of one key.
    pub fn check(&self) -> Result<(), Error> {
        for compare in &self.compare {
            check_key(&compare.key)?;
        }
        if self.compare.len() > MAX_TXN_OPS {
            return Err(invalid(&self.compare[0].key, "too many conditions in one transaction"));
        }
        check_branch(&self.success)?;
        check_branch(&self.failure)
    }
}

fn check_branch(ops: &[Op]) -> Result<(), Error> {
    if ops.len() > MAX_TXN_OPS {
        return Err(invalid(ops[0].key(), "too many changes in one transaction"));
    }
    for op in ops {
        check_key(op.key())?;
        if matches!(op, Op::Put { value, .. } if value.len() > MAX_VALUE_BYTES) {
            return Err(invalid(op.key(), "the value is too large"));
        }
    }
    let mut keys = ops.iter().map(Op::key).collect::<Vec<_>>();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(pair[0], "the key is changed twice in one transaction")),
        None => Ok(()),
    }
}

fn check_key(key: &Key) -> Result<(), Error> {
    match key.len() {
        0 => Err(invalid(key, "the key is empty")),
        length if length > MAX_KEY_BYTES => Err(invalid(key, "the key is too long")),
        _ => Ok(()),
    }
}

fn invalid(key: &Key, reason: &'static str) -> Error {
    Error::Invalid { key: key.to_string(), reason }
}

/// How a transaction went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOutcome {
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The store's revision after the transaction: that of its changes, if it made any.
    pub revision: Revision,
    /// When a condition failed: the compared keys as they were, in the order of the conditions. The caller can decide
    /// again without another read. Empty on success.
    pub current: Vec<Option<KeyValue>>,
}

/// How a compare-and-swap of one key went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Done, by the change with this revision.
    Done(Revision),
    /// Not done: this is how the key stands instead.
    Conflict(Option<KeyValue>),
}

impl From<TxnOutcome> for Swap {
    fn from(outcome: TxnOutcome) -> Self {
        if outcome.succeeded {
            Self::Done(outcome.revision)
        } else {
            Self::Conflict(outcome.current.into_iter().next().flatten())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_prefix(prefix: &str, end: Option<&str>) {
        assert_eq!(Span::prefix(prefix).end(), end);
    }

    #[test]
    fn a_prefix_ends_before_the_next_sibling() {
        check_prefix("/a/", Some("/a0"));
    }

    #[test]
    fn an_empty_prefix_has_no_end() {
        check_prefix("", None);
    }

    #[test]
    fn the_last_character_carries() {
        check_prefix("a\u{10FFFF}", Some("b"));
        check_prefix("\u{10FFFF}", None);
    }

    #[test]
    fn surrogates_are_stepped_over() {
        check_prefix("x\u{D7FF}", Some("x\u{E000}"));
    }

    #[track_caller]
    fn check_txn(txn: Txn, expect: Option<&str>) {
        let reason = match txn.check() {
            Ok(()) => None,
            Err(Error::Invalid { reason, .. }) => Some(reason),
            Err(other) => panic!("unexpected {other}"),
        };
        assert_eq!(reason, expect);
    }

    #[test]
    fn one_key_may_be_changed_in_both_branches() {
        check_txn(Txn::default().then(Op::put("a", "1")).or_else(Op::delete("a")), None);
    }

    #[test]
    fn one_key_may_not_be_changed_twice() {
        let txn = Txn::default().then(Op::put("a", "1")).then(Op::put("b", "1")).then(Op::delete("a"));
        check_txn(txn, Some("the key is changed twice in one transaction"));
    }

    #[test]
    fn limits() {
        check_txn(Txn::default().then(Op::put("", "1")), Some("the key is empty"));
        check_txn(Txn::default().then(Op::put("k".repeat(MAX_KEY_BYTES + 1), "1")), Some("the key is too long"));
        check_txn(Txn::default().then(Op::put("k", vec![0; MAX_VALUE_BYTES + 1])), Some("the value is too large"));
        check_txn(Txn::default().then(Op::put("k", vec![0; MAX_VALUE_BYTES])), None);
    }
}
