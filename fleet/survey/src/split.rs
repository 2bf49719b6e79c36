//! Takes a list apart while it arrives.
//!
//! An API server that answers a list from its cache sends all of it, whatever limit was asked for, and that can be a
//! gigabyte. So objects are found by their braces and handed on one by one; what surrounds them is kept, and is small.

use serde::Deserialize;

use crate::Error;

/// The largest object. None comes near it: it would not fit into etcd.
const ITEM: usize = 4 * 1024 * 1024;
/// The most around the objects.
const ENVELOPE: usize = 64 * 1024;
/// What objects stand behind, in a list.
const KEY: &[u8] = b"\"items\":[";

/// A list that has begun.
#[derive(Default)]
pub(crate) struct Splitter {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// How much of [`KEY`] was just read.
    matched: usize,
    in_items: bool,
    item: Vec<u8>,
    envelope: Vec<u8>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(rename = "continue", default)]
    next: String,
}

impl Splitter {
    /// Takes the next piece, and hands on each object that ends in it.
    pub(crate) fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        // Where what is not put away yet begins.
        let mut from = 0;
        for (at, byte) in piece.iter().enumerate() {
            let (before, was_in_items) = (self.depth, self.in_items);
            self.read(*byte)?;
            match (was_in_items, self.in_items, before, self.depth) {
                (false, true, ..) => {
                    append(&mut self.envelope, &piece[from..=at], ENVELOPE)?;
                    from = at + 1;
                }
                (true, true, 2, 3) | (true, false, ..) => from = at,
                (true, true, 3, 2) => {
                    append(&mut self.item, &piece[from..=at], ITEM)?;
                    take(&self.item)?;
                    self.item.clear();
                    from = at + 1;
                }
                _ => {}
            }
        }
        match (self.in_items, self.depth) {
            (true, 2) => Ok(()),
            (true, _) => append(&mut self.item, &piece[from..], ITEM),
            (false, _) => append(&mut self.envelope, &piece[from..], ENVELOPE),
        }
    }

    /// The list is over: where its next page begins, if there is one.
    pub(crate) fn finish(self) -> Result<Option<String>, Error> {
        let envelope: Envelope = serde_json::from_slice(&self.envelope)?;
        Ok(Some(envelope.metadata.next).filter(|next| !next.is_empty()))
    }

    fn read(&mut self, byte: u8) -> Result<(), Error> {
        if self.in_string {
            self.follow_key(byte, false);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        if self.in_items && self.depth == 2 && !matches!(byte, b',' | b'{' | b']') {
            return Err(Error::NoList);
        }
        self.follow_key(byte, byte == b'"');
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(Error::NoList)?,
            _ => {}
        }
        self.in_items = match self.in_items {
            true => self.depth >= 2,
            false => self.depth == 2 && self.matched == KEY.len(),
        };
        Ok(())
    }

    fn follow_key(&mut self, byte: u8, opens: bool) {
        self.matched = match self.depth {
            1 if opens => 1,
            1 if self.matched > 0 && KEY.get(self.matched) == Some(&byte) => self.matched + 1,
            _ => 0,
        };
    }
}

fn append(kept: &mut Vec<u8>, more: &[u8], limit: usize) -> Result<(), Error> {
    if kept.len() + more.len() > limit {
        return Err(Error::Endless(limit));
    }
    kept.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The objects of a list that arrives in pieces of that size, and what follows it.
    fn split(text: &[u8], size: usize) -> Result<(Vec<Value>, Option<String>), Error> {
        let (mut splitter, mut items) = (Splitter::default(), Vec::new());
        for piece in text.chunks(size.max(1)) {
            splitter.push(piece, |item| {
                items.push(serde_json::from_slice(item)?);
                Ok(())
            })?;
        }
        Ok((items, splitter.finish()?))
    }

    #[track_caller]
    fn check(list: &Value, items: &Value, next: Option<&str>) {
        let text = serde_json::to_vec(list).unwrap();
        let pretty = serde_json::to_vec_pretty(list).unwrap();
        for size in [1, 2, 7, text.len()] {
            for text in [&text, &pretty] {
                let (found, token) = split(text, size).unwrap();
                assert_eq!((json!(found), token.as_deref()), (items.clone(), next), "{list} by {size}");
            }
        }
    }

    #[test]
    fn objects_are_found_wherever_pieces_end() {
        let items = json!([{"a": "]}\\\"{["}, {"items": [{"deep": 1}]}, {}]);
        check(&json!({"kind": "items", "metadata": {"continue": "next"}, "items": items}), &items, Some("next"));
        check(&json!({"apiVersion": "v1", "items": items, "metadata": {"resourceVersion": "7"}}), &items, None);
    }

    #[test]
    fn lists_without_objects() {
        check(&json!({"items": [], "metadata": {}}), &json!([]), None);
        check(&json!({"items": null, "metadata": {}}), &json!([]), None);
        check(&json!({"a\"items": [1, {}], "other": {"items": [{}]}}), &json!([]), None);
    }

    #[track_caller]
    fn refused(text: &[u8]) {
        assert!(split(text, 5).is_err(), "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn what_is_no_list() {
        for text in
            ["", "]", "[]]", "{\"items\":[1]}", "{\"items\":[\"a\"]}", "{\"items\":[{}", "{\"items\":[{}]", "<html>"]
        {
            refused(text.as_bytes());
        }
    }

    #[test]
    fn case_28_nothing_endless_is_kept() {
        let endless = vec![b'x'; ITEM + 1];
        refused(&[b"{\"items\":[{\"a\":\"".as_slice(), &endless].concat());
        refused(&[b"{\"a\":\"".as_slice(), &endless].concat());
        let mut splitter = Splitter::default();
        splitter.push(b"{\"items\":[", |_| Ok(())).unwrap();
        for _ in 0..100_000 {
            splitter.push(b" , {\"a\": 1}\n", |_| Ok(())).unwrap();
        }
        assert!(splitter.envelope.len() + splitter.item.len() < 100);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), ".{0,8}".prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("items|.{0,4}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_list_is_taken_apart(
            items in prop::collection::vec(prop::collection::btree_map("items|.{0,4}", value(), 0..4), 0..4),
            other in value(),
            size in 1_usize..40,
        ) {
            let list = json!({"a": other, "items": items, "metadata": {"continue": "c"}, "z": other});
            let (found, next) = split(&serde_json::to_vec(&list).unwrap(), size).unwrap();
            prop_assert_eq!(json!(found), json!(items));
            prop_assert_eq!(next.as_deref(), Some("c"));
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>, size in 1_usize..40) {
            let _ = split(&bytes, size);
        }
    }
}
