//! One object as it is stored: bytes, and the few facts that lists and watches select by.

use std::ops::Range;

use api_meta::{Map, Object, Value};
use bytes::Bytes;
use serde::Deserialize;
use store_core::{Key, KeyValue};

/// One state of one object. Cheap to share, never changed.
pub struct Entry {
    key: Key,
    /// Length of the collection's prefix within `key`.
    prefix: usize,
    value: Bytes,
    revision: u64,
    /// Where things are in the value.
    places: Places,
    labels: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Labelled {
    #[serde(default)]
    metadata: LabelledMeta,
}

#[derive(Default, Deserialize)]
struct LabelledMeta {
    #[serde(default)]
    labels: Option<Map<String, Value>>,
}

impl Entry {
    pub(crate) fn new(kv: &KeyValue, prefix: usize) -> Self {
        let labels = serde_json::from_slice::<Labelled>(&kv.value).ok().and_then(|l| l.metadata.labels);
        Self {
            key: kv.key.clone(),
            prefix,
            value: kv.value.clone(),
            revision: kv.mod_revision.0,
            places: Places::of(&kv.value),
            labels,
        }
    }

    /// `namespace/name`, or `name`.
    pub fn relative_key(&self) -> &str {
        &self.key[self.prefix..]
    }

    pub fn namespace(&self) -> &str {
        self.relative_key().rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub fn name(&self) -> &str {
        let relative = self.relative_key();
        relative.rsplit_once('/').map_or(relative, |(_, name)| name)
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.labels.as_ref()
    }

    /// Bytes this entry keeps alive.
    pub fn size(&self) -> usize {
        self.value.len()
    }

    /// Appends the object as clients see it, with its own revision as `resourceVersion`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_at(self.revision, out);
    }

    /// As [`Self::write_to`], without `apiVersion` and `kind`: an item of a list of a built-in kind.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        let mut spans: Vec<_> = self.places.types.iter().flatten().cloned().collect();
        spans.sort_by_key(|span| span.start);
        self.write(&spans, self.revision, out);
    }

    /// As [`Self::write_to`], as of another revision: what a deletion reports.
    pub fn write_at(&self, revision: u64, out: &mut Vec<u8>) {
        self.write(&[], revision, out);
    }

    fn write(&self, without: &[Range<usize>], revision: u64, out: &mut Vec<u8>) {
        let Some(at) = self.places.metadata else {
            out.extend_from_slice(&self.value);
            return;
        };
        let mut from = 0;
        for span in without {
            out.extend_from_slice(&self.value[from..span.start]);
            from = span.end;
        }
        out.extend_from_slice(&self.value[from..at]);
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(revision.to_string().as_bytes());
        out.push(b'"');
        if self.value[at..].iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(&self.value[at..]);
    }

    /// The object, decoded.
    ///
    /// # Errors
    ///
    /// Stored bytes that are not a JSON object: something other than an API server wrote them.
    pub fn object(&self) -> Result<Object, serde_json::Error> {
        self.object_at(self.revision)
    }

    pub fn object_at(&self, revision: u64) -> Result<Object, serde_json::Error> {
        let mut object: Object = serde_json::from_slice(&self.value)?;
        object.set_meta_str("resourceVersion", &revision.to_string());
        Ok(object)
    }
}

/// The bytes of an object for the store: without the version, which is the store's to give.
pub(crate) fn encode(object: &Object) -> Bytes {
    let mut object = object.clone();
    if object.metadata().is_some_and(|m| m.contains_key("resourceVersion")) {
        object.metadata_mut().remove("resourceVersion");
    }
    // Maps of JSON values always serialise.
    serde_json::to_vec(&object).unwrap_or_default().into()
}

/// What is found in the bytes of an object by one scan: strings and nesting are followed, nothing is decoded.
#[derive(Default)]
struct Places {
    /// Just inside the braces of the top-level `metadata`, where the version is put on the way out.
    metadata: Option<usize>,
    /// `apiVersion` and `kind` with the comma after each, where they stand before `metadata`.
    types: [Option<Range<usize>>; 2],
}

impl Places {
    fn of(json: &[u8]) -> Self {
        let mut places = Self::default();
        places.metadata = places.scan(json);
        places
    }

    fn scan(&mut self, json: &[u8]) -> Option<usize> {
        let rest = |from: usize| json[from..].iter().position(|b| !b.is_ascii_whitespace()).map(|n| from + n);
        let (mut depth, mut at) = (0usize, 0usize);
        while at < json.len() {
            match json[at] {
                b'"' => {
                    let start = at;
                    at = string_end(json, at)?;
                    let colon = rest(at)?;
                    if depth != 1 || json[colon] != b':' {
                        continue;
                    }
                    let value = rest(colon + 1)?;
                    match &json[start + 1..at - 1] {
                        b"metadata" => return (json[value] == b'{').then_some(value + 1),
                        name @ (b"apiVersion" | b"kind") if json[value] == b'"' => {
                            at = string_end(json, value)?;
                            let comma = rest(at)?;
                            if json[comma] == b',' {
                                self.types[usize::from(name == b"kind")] = Some(start..comma + 1);
                            }
                        }
                        _ => at = value,
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Just past the closing quote of the string that opens at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use store_core::Revision;

    use super::*;

    fn entry(json: &str) -> Entry {
        let kv = KeyValue {
            key: "/registry/configmaps/ns/a".into(),
            value: Bytes::copy_from_slice(json.as_bytes()),
            create_revision: Revision(3),
            mod_revision: Revision(7),
            version: 2,
        };
        Entry::new(&kv, "/registry/configmaps/".len())
    }

    #[track_caller]
    fn check(json: &str, expect: &str) {
        let mut out = Vec::new();
        entry(json).write_to(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn puts_the_version_into_the_metadata() {
        check(r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":{"resourceVersion":"7","name":"a"}}"#);
        check(r#"{"metadata":{}}"#, r#"{"metadata":{"resourceVersion":"7"}}"#);
    }

    #[test]
    fn items_carry_no_type() {
        let check = |json: &str, expect: &str| {
            let mut out = Vec::new();
            entry(json).write_item(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        };
        check(
            r#"{"apiVersion":"v1","data":{"kind":"x"},"kind":"K","metadata":{"name":"a"},"spec":{}}"#,
            r#"{"data":{"kind":"x"},"metadata":{"resourceVersion":"7","name":"a"},"spec":{}}"#,
        );
        check(
            r#"{"kind":"K", "metadata":{},"apiVersion":"v1"}"#,
            r#"{ "metadata":{"resourceVersion":"7"},"apiVersion":"v1"}"#,
        );
    }

    #[test]
    fn is_not_fooled_by_metadata_elsewhere() {
        check(
            r#"{"data":{"metadata":{}},"kind":"\"metadata\":{","metadata":{"name":"a"}}"#,
            r#"{"data":{"metadata":{}},"kind":"\"metadata\":{","metadata":{"resourceVersion":"7","name":"a"}}"#,
        );
        check(r#"{"x":"metadata","metadata" : { }}"#, r#"{"x":"metadata","metadata" : {"resourceVersion":"7" }}"#);
    }

    #[test]
    fn knows_its_name_and_labels() {
        let entry = entry(r#"{"metadata":{"labels":{"a":"b"}}}"#);
        assert_eq!((entry.namespace(), entry.name()), ("ns", "a"));
        assert_eq!(entry.labels().unwrap()["a"], "b");
        assert_eq!(entry.object().unwrap().resource_version(), "7");
    }
}
