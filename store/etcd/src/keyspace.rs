//! Which keys of etcd are the store's, and how they are called there.
//!
//! Inside, keys are always upstream's: `/registry/...`. Outside they may lie under another prefix, as with upstream's
//! `--etcd-prefix`. The translation keeps the order of keys, so that pages and ranges mean the same on both sides.

use store_core::{Error, Key, Span};

/// A part of etcd's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    inside: String,
    outside: String,
}

/// Every key is at least this, for etcd and for us.
const FIRST: &[u8] = &[0];

impl Keyspace {
    /// All keys, under their own names.
    #[must_use]
    pub fn whole() -> Self {
        Self { inside: String::new(), outside: String::new() }
    }

    /// What the store calls `/inside/...` and etcd `/outside/...`. Nothing else is seen.
    #[must_use]
    pub fn mounted(inside: &str, outside: &str) -> Self {
        let folder = |path: &str| format!("/{}/", path.trim_matches('/'));
        // Upstream takes `--etcd-prefix=/` for the root.
        let root = |path: String| if path == "//" { "/".to_owned() } else { path };
        Self { inside: root(folder(inside)), outside: root(folder(outside)) }
    }

    /// All that is the store's, as etcd asks for a range.
    pub(crate) fn all(&self) -> (Vec<u8>, Vec<u8>) {
        self.outer(&Span::all(), None).unwrap_or_else(|| (FIRST.to_vec(), FIRST.to_vec()))
    }

    /// Everything that etcd has.
    pub(crate) fn everything() -> (Vec<u8>, Vec<u8>) {
        (FIRST.to_vec(), FIRST.to_vec())
    }

    /// A key that may be asked for by whoever may ask for anything.
    pub(crate) fn probe(&self) -> Vec<u8> {
        if self.outside.is_empty() { FIRST.to_vec() } else { self.outside.clone().into_bytes() }
    }

    /// etcd's name of a key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key that is not under the prefix.
    pub(crate) fn outer_key(&self, key: &str) -> Result<Vec<u8>, Error> {
        match key.strip_prefix(&self.inside) {
            Some(rest) => Ok([&self.outside, rest].concat().into_bytes()),
            None => Err(Error::Invalid { key: key.to_owned(), reason: "the key is not in this store's part of etcd" }),
        }
    }

    /// Our name of a key; `None` when it is not ours, or not text: nobody wrote such a key through a store.
    pub(crate) fn inner_key(&self, key: &[u8]) -> Option<Key> {
        let rest = key.strip_prefix(self.outside.as_bytes())?;
        match std::str::from_utf8(rest) {
            Ok(rest) => Some(Key::from([&self.inside, rest].concat())),
            Err(_) => {
                tracing::warn!(key = %key.escape_ascii(), "a key in etcd is not text, and is passed over");
                None
            }
        }
    }

    /// A span behind a key, as etcd asks for a range; `None` when nothing of ours can be in it.
    pub(crate) fn outer(&self, span: &Span, after: Option<&str>) -> Option<(Vec<u8>, Vec<u8>)> {
        let ours = Span::prefix(self.inside.as_str());
        let start = span.start().max(ours.start());
        let start = match after {
            // A key and a zero byte is the next greater key.
            Some(after) if after >= start => [after.as_bytes(), FIRST].concat(),
            _ => start.as_bytes().to_vec(),
        };
        let end = match (span.end(), ours.end()) {
            (Some(asked), Some(last)) => Some(asked.min(last)),
            (asked, last) => asked.or(last),
        };
        if end.is_some_and(|end| end.as_bytes() <= start.as_slice()) {
            return None;
        }
        let end = match end {
            // An end of a single zero byte is etcd's word for none.
            None => FIRST.to_vec(),
            Some(end) => match end.strip_prefix(&self.inside) {
                Some(rest) => [&self.outside, rest].concat().into_bytes(),
                None => Span::prefix(self.outside.as_str()).end().map_or(FIRST, str::as_bytes).to_vec(),
            },
        };
        let start = match start.strip_prefix(self.inside.as_bytes()) {
            Some(rest) => [self.outside.as_bytes(), rest].concat(),
            // Behind a key that is greater than all of ours: the end was before it.
            None => return None,
        };
        Some((if start.is_empty() { FIRST.to_vec() } else { start }, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved() -> Keyspace {
        Keyspace::mounted("/registry", "/some/where/")
    }

    #[track_caller]
    fn check(keyspace: &Keyspace, span: &Span, after: Option<&str>, expect: Option<(&str, &str)>) {
        let found = keyspace.outer(span, after);
        let expect = expect.map(|(start, end)| (start.as_bytes().to_vec(), end.as_bytes().to_vec()));
        assert_eq!(found, expect);
    }

    #[test]
    fn keys_are_renamed_both_ways() {
        let outer = moved().outer_key("/registry/pods/a").unwrap();
        assert_eq!(outer, b"/some/where/pods/a");
        assert_eq!(moved().inner_key(&outer).unwrap().as_str(), "/registry/pods/a");
        assert!(matches!(moved().outer_key("/registry"), Err(Error::Invalid { .. })));
        assert!(matches!(moved().outer_key("/registry0/a"), Err(Error::Invalid { .. })));
    }

    #[test]
    fn foreign_keys_are_not_seen() {
        for key in [&b"/some/where"[..], b"/registry/pods/a", b"/some/where0", b"/some/where/\xff"] {
            assert_eq!(moved().inner_key(key), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn spans_are_cut_to_what_is_ours() {
        check(&moved(), &Span::all(), None, Some(("/some/where/", "/some/where0")));
        check(&moved(), &Span::prefix("/"), None, Some(("/some/where/", "/some/where0")));
        check(&moved(), &Span::prefix("/registry/pods/"), None, Some(("/some/where/pods/", "/some/where/pods0")));
        check(&moved(), &Span::between("/a", "/registry/b"), None, Some(("/some/where/", "/some/where/b")));
        check(&moved(), &Span::between("/registry/b", "/z"), None, Some(("/some/where/b", "/some/where0")));
        check(&moved(), &Span::prefix("/other/"), None, None);
        check(&moved(), &Span::between("/registry/b", "/registry/a"), None, None);
    }

    #[test]
    fn spans_go_on_behind_a_key() {
        let pods = Span::prefix("/registry/pods/");
        check(&moved(), &pods, Some("/registry/pods/a"), Some(("/some/where/pods/a\0", "/some/where/pods0")));
        check(&moved(), &pods, Some("/a"), Some(("/some/where/pods/", "/some/where/pods0")));
        check(&moved(), &pods, Some("/z"), None);
    }

    #[test]
    fn the_whole_keeps_names() {
        let whole = Keyspace::whole();
        check(&whole, &Span::all(), None, Some(("\0", "\0")));
        check(&whole, &Span::prefix("/a/"), None, Some(("/a/", "/a0")));
        check(&whole, &Span::all(), Some("/a"), Some(("/a\0", "\0")));
        assert_eq!(whole.outer_key("/a").unwrap(), b"/a");
    }

    #[test]
    fn the_root_can_be_mounted() {
        assert_eq!(Keyspace::mounted("/registry", "/").outer_key("/registry/pods/a").unwrap(), b"/pods/a");
    }
}
