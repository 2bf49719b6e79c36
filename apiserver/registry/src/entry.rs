//! One object as it is stored: bytes, and the few facts that lists and watches select by.

use std::ops::Range;
use std::sync::OnceLock;

use api_meta::{Map, Object, Status, Value};
use bytes::Bytes;
use serde::Deserialize;
use store_core::{Key, KeyValue};

use crate::Served;
use crate::foreign::Fault;
use crate::list::decoded;

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
    /// Why this is no object at all.
    fault: Option<Fault>,
    selectable: OnceLock<Selectable>,
}

/// The fields that selectors may name, in the version that was asked first.
struct Selectable {
    version: String,
    values: Vec<(String, Option<String>)>,
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
        let places = Places::of(&kv.value);
        // Reading the labels goes over all of it, so it finds whatever is wrong.
        let labelled = Fault::text(&kv.value)
            .and_then(|text| serde_json::from_str::<Labelled>(text).map_err(|error| Fault::of(&error)));
        let (labels, fault) = match labelled {
            Err(fault) => (None, Some(fault)),
            Ok(_) if places.metadata.is_none() => (None, Some(Fault::NoObject)),
            Ok(labelled) => (labelled.metadata.labels, None),
        };
        Self {
            key: kv.key.clone(),
            prefix,
            value: kv.value.clone(),
            revision: kv.mod_revision.0,
            places,
            labels,
            fault,
            selectable: OnceLock::new(),
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

    /// The value of a selectable field. The object is decoded for the first who asks: a cluster has many watchers
    /// who each select by the same few fields.
    ///
    /// # Errors
    ///
    /// As [`Self::object`].
    pub(crate) fn field(&self, served: &Served, name: &str) -> Result<Option<String>, Status> {
        let strategy = &served.resource.strategy;
        if self.selectable.get().is_none() {
            let object = decoded(served, self)?;
            let values =
                strategy.selectable().into_iter().map(|f| (f.to_owned(), strategy.field(&object, f))).collect();
            // Whoever is faster says the same.
            let _ = self.selectable.set(Selectable { version: served.info().version.clone(), values });
        }
        let known = self.selectable.get().filter(|known| known.version == served.info().version);
        match known.and_then(|known| known.values.iter().find(|(field, _)| field == name)) {
            Some((_, value)) => Ok(value.clone()),
            None => Ok(strategy.field(&decoded(served, self)?, name)),
        }
    }

    /// Whether it is an object.
    ///
    /// # Errors
    ///
    /// 500 that names the key and says what is there instead.
    pub fn check(&self) -> Result<(), Status> {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(undecodable(&self.key, &fault)),
        }
    }

    /// Why it is no object.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
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
        self.write(true, self.revision, |part| out.extend_from_slice(part));
    }

    /// How many bytes [`Self::write_to`] appends, or [`Self::write_item`].
    pub fn written_size(&self, is_item: bool) -> usize {
        let mut size = 0;
        self.write(is_item, self.revision, |part| size += part.len());
        size
    }

    /// As [`Self::write_to`], as of another revision: what a deletion reports.
    pub fn write_at(&self, revision: u64, out: &mut Vec<u8>) {
        self.write(false, revision, |part| out.extend_from_slice(part));
    }

    fn write(&self, without_type: bool, revision: u64, mut put: impl FnMut(&[u8])) {
        let Some(at) = self.places.metadata else { return put(&self.value) };
        let mut from = 0;
        if without_type {
            for span in self.places.types.iter().flatten() {
                put(&self.value[from..span.start]);
                from = span.end;
            }
        }
        put(&self.value[from..at]);
        put(b"\"resourceVersion\":\"");
        put(revision.to_string().as_bytes());
        put(b"\"");
        if self.value[at..].iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'}') {
            put(b",");
        }
        put(&self.value[at..]);
    }

    /// The object, decoded.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn object(&self) -> Result<Object, Status> {
        self.object_at(self.revision)
    }

    /// As [`Self::object`], as of another revision.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn object_at(&self, revision: u64) -> Result<Object, Status> {
        self.check()?;
        let decoded = serde_json::from_slice(&self.value);
        let mut object: Object = decoded.map_err(|error| undecodable(&self.key, &Fault::of(&error)))?;
        object.set_meta_str("resourceVersion", &revision.to_string());
        Ok(object)
    }
}

fn undecodable(key: &str, fault: &Fault) -> Status {
    Status::internal(format!("the object stored at {key:?} cannot be read: {fault}"))
}

/// How deep an object may nest when it is stored, with all that the server puts into it.
///
/// serde_json, here and in clients, reads 128 levels; lists, watches and tables put an object a few levels deeper. What
/// goes beyond could be stored and never be read again, nor deleted.
const MAX_DEPTH: usize = 120;

/// The bytes of an object for the store: without the version, which is the store's to give.
///
/// # Errors
///
/// 400 for an object that nests too deep to be read again.
pub(crate) fn encode(mut object: Object) -> Result<Bytes, Status> {
    if object.metadata().is_some_and(|m| m.contains_key("resourceVersion")) {
        object.metadata_mut().remove("resourceVersion");
    }
    if object.values().map(depth).max() >= Some(MAX_DEPTH) {
        return Err(Status::bad_request(format!(
            "{} {:?} with its managed fields nests deeper than {MAX_DEPTH} levels, which no client could read back",
            object.kind(),
            object.name()
        )));
    }
    let bytes = serde_json::to_vec(&object).map_err(Status::internal)?;
    // Kept for as long as the object is: without the room to grow that writing left.
    Ok(Bytes::from(bytes.into_boxed_slice()))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// What is found in the bytes of an object by one scan: strings and nesting are followed, nothing is decoded.
#[derive(Default)]
struct Places {
    /// Just inside the braces of the top-level `metadata`, where the version is put on the way out.
    metadata: Option<usize>,
    /// `apiVersion` and `kind` with the comma after each, where they stand before `metadata`, in their order there.
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
                        b"apiVersion" | b"kind" if json[value] == b'"' => {
                            at = string_end(json, value)?;
                            let comma = rest(at)?;
                            if json[comma] == b','
                                && let Some(free) = self.types.iter_mut().find(|place| place.is_none())
                            {
                                *free = Some(start..comma + 1);
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
    use proptest::prelude::*;
    use store_core::Revision;

    use super::*;

    fn key_value() -> KeyValue {
        KeyValue {
            key: "/registry/configmaps/ns/a".into(),
            value: Bytes::new(),
            create_revision: Revision(3),
            mod_revision: Revision(7),
            version: 2,
        }
    }

    fn entry(json: &str) -> Entry {
        let kv = KeyValue { value: Bytes::copy_from_slice(json.as_bytes()), ..key_value() };
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

    #[track_caller]
    fn check_fault(value: &[u8], expect: Option<Fault>) {
        let kv = KeyValue { value: Bytes::copy_from_slice(value), ..key_value() };
        assert_eq!(Entry::new(&kv, 0).fault(), expect);
    }

    #[test]
    fn what_is_no_object_is_told_apart() {
        check_fault(br#" {"kind":"K","metadata":{}} "#, None);
        check_fault(b"k8s\0\n\x0c\n\x02v1", Some(Fault::Protobuf));
        check_fault(b"k8s:enc:aescbc:v1:key1:\xff\x00", Some(Fault::Encrypted));
        check_fault(b"hello", Some(Fault::Syntax { line: 1, column: 1 }));
        check_fault(b"{\"metadata\":{}}\n}", Some(Fault::Syntax { line: 2, column: 1 }));
        check_fault(b"{\"metadata\":{\"name\":\"\xff\"}}", Some(Fault::NoText));
        check_fault(b"", Some(Fault::CutShort));
        check_fault(br#"{"metadata":{"#, Some(Fault::CutShort));
        for other in ["[]", "null", "7", r#""text""#, "{}", r#"{"metadata":[]}"#, r#"{"metadata":{"labels":7}}"#] {
            check_fault(other.as_bytes(), Some(Fault::NoObject));
        }
        check_fault("[".repeat(100_000).as_bytes(), Some(Fault::NoObject));
        check_fault(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes(), Some(Fault::CutShort));
    }

    proptest! {
        /// Whatever is stored, it is told to be no object, or it is written as one that has its revision.
        #[test]
        fn any_bytes_are_an_object_or_a_fault(value in stored()) {
            let kv = KeyValue { value: value.clone().into(), ..key_value() };
            let entry = Entry::new(&kv, "/registry/configmaps/".len());
            let mut out = Vec::new();
            entry.write_item(&mut out);
            out.clear();
            entry.write_to(&mut out);
            match (entry.fault(), entry.object()) {
                (None, Ok(object)) => {
                    let written: Value = serde_json::from_slice(&out).unwrap();
                    prop_assert_eq!(&written["metadata"]["resourceVersion"], "7");
                    prop_assert_eq!(object.resource_version(), "7");
                }
                (Some(_), Err(status)) => {
                    prop_assert_eq!(status.code, 500);
                    prop_assert!(status.message.contains("/registry/configmaps/ns/a"), "{}", status.message);
                }
                (fault, object) => prop_assert!(false, "{fault:?}, {object:?}"),
            }
        }
    }

    /// An object, with some of its bytes exchanged, cut off or repeated; and bytes of no origin.
    fn stored() -> impl Strategy<Value = Vec<u8>> {
        let whole = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"a":"\"b"}},"data":{"x":"\u00e9"}}"#;
        let changed =
            (0..whole.len(), any::<u8>(), 0..whole.len(), any::<bool>()).prop_map(move |(at, byte, cut, twice)| {
                let mut value = whole.as_bytes().to_vec();
                value[at] = byte;
                if cut % 3 == 0 {
                    value.truncate(cut);
                }
                if twice {
                    value.extend_from_within(..);
                }
                value
            });
        prop_oneof![changed, prop::collection::vec(any::<u8>(), 0..40)]
    }

    #[test]
    fn what_is_stored_can_be_read_in_a_list() {
        let nested = |levels: usize| {
            let value = (0..levels - 1).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
            Object::from(Map::from_iter([("x".to_owned(), value)]))
        };
        assert_eq!(encode(nested(MAX_DEPTH + 1)).unwrap_err().code, 400);
        let stored = encode(nested(MAX_DEPTH)).unwrap();
        let listed = format!(r#"{{"rows":[{{"object":{}}}]}}"#, str::from_utf8(&stored).unwrap());
        serde_json::from_str::<Value>(&listed).unwrap();
    }

    #[test]
    fn knows_its_name_and_labels() {
        let entry = entry(r#"{"metadata":{"labels":{"a":"b"}}}"#);
        assert_eq!((entry.namespace(), entry.name()), ("ns", "a"));
        assert_eq!(entry.labels().unwrap()["a"], "b");
        assert_eq!(entry.object().unwrap().resource_version(), "7");
    }
}
