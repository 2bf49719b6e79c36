//! Who owns what: the entries of `metadata.managedFields`.

use std::collections::BTreeMap;

use api_meta::{Map, Value, format_seconds, parse_time};
use jiff::Timestamp;

use super::set::{InvalidSet, Set};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    pub name: String,
    pub operation: Operation,
    /// Empty for appliers: one manager applies one configuration, whatever its version.
    pub api_version: String,
    pub subresource: String,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let name = if name.is_empty() { "unknown" } else { name };
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            name: name.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) set: Set,
    pub(super) api_version: String,
    /// When it last changed; as it was written, if it was not changed here.
    pub(super) time: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Owned>);

/// Why an entry of `managedFields` cannot be used. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    #[error("managed fields are not a list of objects")]
    NotAList,
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    NoVersion,
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    #[error("invalid fieldsType {fields_type:?} in managed fields entry {index}")]
    FieldsType { fields_type: String, index: usize },
    #[error("error decoding set: {0}")]
    Set(InvalidSet),
}

/// The value of `metadata.managedFields`, and whether it asks for a reset: an empty list, or one empty entry.
pub(super) fn asks_for_reset(entries: Option<&Value>) -> bool {
    let Some(Value::Array(entries)) = entries else { return false };
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    match &entries[..] {
        [] => true,
        [Value::Object(entry)] => entry.values().all(empty),
        _ => false,
    }
}

impl Managers {
    pub(super) fn decode(entries: Option<&Value>) -> Result<Self, InvalidEntry> {
        let entries = match entries {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(InvalidEntry::NotAList),
        };
        let mut managers = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let Value::Object(entry) = entry else { return Err(InvalidEntry::NotAList) };
            let (manager, owned) = decode_entry(entry, index)?;
            managers.insert(manager, owned);
        }
        Ok(Self(managers))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` when there is no entry: then there is no field.
    pub(super) fn encode(self) -> Option<Value> {
        if self.0.is_empty() {
            return None;
        }
        let seconds = |owned: &Owned| owned.time.as_deref().map_or(0, unix_seconds);
        let mut entries: Vec<_> =
            self.0.into_iter().map(|(manager, owned)| (seconds(&owned), manager, owned)).collect();
        entries.sort_by(|(a_time, a, a_owned), (b_time, b, b_owned)| {
            let key = |time: i64, manager: &Manager| (manager.operation, time);
            let names = || {
                (&a.name, &a_owned.api_version, &a.subresource).cmp(&(&b.name, &b_owned.api_version, &b.subresource))
            };
            key(*a_time, a).cmp(&key(*b_time, b)).then_with(names)
        });
        Some(Value::Array(entries.into_iter().map(|(_, manager, owned)| encode_entry(manager, owned)).collect()))
    }

    /// Drops those that own nothing any more.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, owned| !owned.set.is_empty());
    }

    /// Merges the oldest updaters of one version into one entry until at most `max` updaters are left.
    pub(super) fn cap_updaters(&mut self, max: usize) {
        const BUCKET: &str = "ancient-changes";
        let mut updaters: Vec<_> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (owned.time.as_deref().map_or(0, unix_seconds), manager.clone()))
            .collect();
        let mut left = updaters.len();
        if left <= max {
            return;
        }
        updaters.sort();
        let mut firsts: BTreeMap<String, Manager> = BTreeMap::new();
        for (_, manager) in updaters {
            if left <= max {
                break;
            }
            let Some(version) = self.0.get(&manager).map(|owned| owned.api_version.clone()) else { continue };
            let Some(first) = firsts.get(&version) else {
                // There is something to merge only from the second of a version on.
                firsts.insert(version, manager);
                continue;
            };
            let bucket = Manager::new(BUCKET, Operation::Update, &version, "");
            if !self.0.contains_key(&bucket)
                && let Some(owned) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), owned);
            }
            if manager != bucket
                && let Some(owned) = self.0.remove(&manager)
                && let Some(bucket) = self.0.get_mut(&bucket)
            {
                bucket.set.union_with(owned.set);
                // The later of the two.
                bucket.time = owned.time;
                left -= 1;
            }
        }
    }
}

pub(super) fn unix_seconds(time: &str) -> i64 {
    parse_time(time).map_or(0, Timestamp::as_second)
}

pub(super) fn time_of(now: Timestamp) -> Option<String> {
    Some(format_seconds(now))
}

fn decode_entry(entry: &Map<String, Value>, index: usize) -> Result<(Manager, Owned), InvalidEntry> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(InvalidEntry::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(InvalidEntry::NoVersion);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(InvalidEntry::NoFieldsType(index)),
        other => return Err(InvalidEntry::FieldsType { fields_type: other.to_owned(), index }),
    }
    let set = Set::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null)).map_err(InvalidEntry::Set)?;
    let manager =
        Manager { name: text("manager").to_owned(), ..Manager::new("", operation, api_version, text("subresource")) };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Ok((manager, Owned { set, api_version: api_version.to_owned(), time }))
}

fn encode_entry(manager: Manager, owned: Owned) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            entry.insert(key.into(), value.into());
        }
    };
    put("manager", manager.name);
    put("operation", manager.operation.as_str().to_owned());
    put("apiVersion", owned.api_version);
    put("time", owned.time.unwrap_or_default());
    put("subresource", manager.subresource);
    put("fieldsType", "FieldsV1".to_owned());
    entry.insert("fieldsV1".into(), owned.set.to_json());
    Value::Object(entry)
}
