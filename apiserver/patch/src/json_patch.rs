//! JSON patch (RFC 6902), as `evanphx/json-patch` does it.
//!
//! The crate `json-patch` follows the RFC; upstream's library is laxer, and
//! clients have come to depend on it: `replace` of a missing key adds it, a
//! missing key passes a `test` for null, negative indices count from the end
//! of a list, and a path needs no slash at its start.

use api_meta::{Status, Value};

/// One step of a patch, as far as it could be read: what is missing shows only when the step runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub op: Option<String>,
    pub path: Option<String>,
    pub from: Option<String>,
    pub value: Value,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonPatch {
    pub steps: Vec<Step>,
    /// One text for each field that no step has; strict validation refuses the patch for it.
    pub unknown_fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unexpected operation {0:?}")]
    UnknownOperation(String),
    #[error("{op} has no {field}")]
    MissingField { op: &'static str, field: &'static str },
    #[error("{op} does not apply: {path:?} is not there")]
    MissingPath { op: &'static str, path: String },
    #[error("{path:?} is no index of the list")]
    BadIndex { path: String },
    #[error("the value at {path:?} is another")]
    TestFailed { path: String },
    #[error("only an object or a list can replace the whole document")]
    ScalarDocument,
    #[error("the patch would copy more than {COPY_LIMIT} bytes")]
    TooMuchCopied,
    #[error("{path:?} would nest the document deeper than {MAX_DEPTH} levels")]
    TooDeep { path: String },
}

/// Every failure reads the same to a client; the log may say more.
impl From<Error> for Status {
    fn from(_: Error) -> Self {
        crate::rejected()
    }
}

/// How much `copy` may add in all: few steps that copy a document into itself double it each time.
pub const COPY_LIMIT: usize = 3 << 20;

/// How deep a patch may nest a document. The decoder of stored objects stops at 128, and what recurses over a
/// document relies on a bound.
pub const MAX_DEPTH: usize = 120;

/// Runs the steps in order. On failure the document is in between: throw it away.
pub fn json_patch(document: &mut Value, patch: JsonPatch) -> Result<(), Error> {
    let mut copied = 0;
    for step in patch.steps {
        run(document, step, &mut copied)?;
    }
    Ok(())
}

fn run(document: &mut Value, step: Step, copied: &mut usize) -> Result<(), Error> {
    let Step { op, path, from, value } = step;
    let op = match op.as_deref() {
        Some("add") => "add",
        Some("remove") => "remove",
        Some("replace") => "replace",
        Some("move") => "move",
        Some("copy") => "copy",
        Some("test") => "test",
        other => return Err(Error::UnknownOperation(other.unwrap_or("unknown").to_owned())),
    };
    let path = path.ok_or(Error::MissingField { op, field: "path" })?;
    let source = || from.ok_or(Error::MissingField { op, field: "from" });
    match op {
        "add" => Target::find(document, &path, op)?.add(value),
        "remove" => Target::find(document, &path, op)?.remove().map(drop),
        "replace" if path.is_empty() => {
            if !value.is_object() && !value.is_array() {
                return Err(Error::ScalarDocument);
            }
            *document = value;
            Ok(())
        }
        "replace" => Target::find(document, &path, op)?.replace(value),
        "move" => {
            let moved = Target::find(document, &source()?, op)?.remove()?;
            Target::find(document, &path, op)?.add(moved)
        }
        "copy" => {
            let value = Target::find(document, &source()?, op)?.get()?.cloned().unwrap_or_default();
            *copied += size(&value);
            if *copied > COPY_LIMIT {
                return Err(Error::TooMuchCopied);
            }
            Target::find(document, &path, op)?.add(value)
        }
        _ => {
            let holds = if path.is_empty() {
                *document == value
            } else {
                Target::find(document, &path, op)?.get()?.unwrap_or(&Value::Null) == &value
            };
            if holds { Ok(()) } else { Err(Error::TestFailed { path }) }
        }
    }
}

/// About as many bytes as the value has as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(k, v)| k.len() + size(v) + 4).sum::<usize>(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A place in the document: the object or list that holds it, and the last part of its path.
struct Target<'a> {
    parent: &'a mut Value,
    key: String,
    path: &'a str,
    op: &'static str,
    /// How many objects and lists are around the place.
    depth: usize,
}

impl<'a> Target<'a> {
    fn find(document: &'a mut Value, path: &'a str, op: &'static str) -> Result<Self, Error> {
        let missing = || Error::MissingPath { op, path: path.to_owned() };
        // What stands before the first slash is not looked at.
        let (parents, key) = path.rsplit_once('/').ok_or_else(missing)?;
        let mut parent = document;
        let mut depth = 1;
        for part in parents.split('/').skip(1) {
            let part = unescape(part);
            depth += 1;
            parent = match parent {
                Value::Object(fields) => fields.get_mut(&part).ok_or_else(missing)?,
                Value::Array(items) => {
                    let index = index(&part, items.len()).ok_or_else(missing)?;
                    items.get_mut(index).ok_or_else(missing)?
                }
                _ => return Err(missing()),
            };
        }
        match parent {
            Value::Object(_) | Value::Array(_) => Ok(Self { parent, key: unescape(key), path, op, depth }),
            _ => Err(missing()),
        }
    }

    fn bad_index(&self) -> Error {
        Error::BadIndex { path: self.path.to_owned() }
    }

    /// `None` for a key that an object does not have; a list has no such leniency.
    fn get(&self) -> Result<Option<&Value>, Error> {
        match &*self.parent {
            Value::Array(items) => {
                let found = index(&self.key, items.len()).and_then(|i| items.get(i));
                found.map(Some).ok_or_else(|| self.bad_index())
            }
            other => Ok(other.get(&self.key)),
        }
    }

    fn check_depth(&self, value: &Value) -> Result<(), Error> {
        let fits = self.depth + depth(value) <= MAX_DEPTH;
        if fits { Ok(()) } else { Err(Error::TooDeep { path: self.path.to_owned() }) }
    }

    fn add(self, value: Value) -> Result<(), Error> {
        self.check_depth(&value)?;
        let error = self.bad_index();
        match self.parent {
            Value::Object(fields) => {
                fields.insert(self.key, value);
            }
            Value::Array(items) if self.key == "-" => items.push(value),
            Value::Array(items) => {
                // The list as it will be counts: -1 appends.
                let index = index(&self.key, items.len() + 1).ok_or(error)?;
                items.insert(index, value);
            }
            _ => return Err(error),
        }
        Ok(())
    }

    fn remove(self) -> Result<Value, Error> {
        let missing = Error::MissingPath { op: self.op, path: self.path.to_owned() };
        match self.parent {
            Value::Object(fields) => fields.remove(&self.key).ok_or(missing),
            Value::Array(items) => {
                let index = index(&self.key, items.len()).ok_or(missing)?;
                Ok(items.remove(index))
            }
            _ => Err(missing),
        }
    }

    fn replace(self, value: Value) -> Result<(), Error> {
        self.check_depth(&value)?;
        let missing = Error::MissingPath { op: self.op, path: self.path.to_owned() };
        match self.parent {
            Value::Object(fields) => {
                fields.insert(self.key, value);
            }
            Value::Array(items) => {
                let index = index(&self.key, items.len()).ok_or(missing)?;
                items[index] = value;
            }
            _ => return Err(missing),
        }
        Ok(())
    }
}

/// The index below `len` that a part of a path names; negative ones count from the end.
fn index(part: &str, len: usize) -> Option<usize> {
    let number: i64 = part.parse().ok()?;
    let index = if number < 0 {
        len.checked_sub(usize::try_from(number.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(number).ok()?
    };
    (index < len).then_some(index)
}

fn unescape(part: &str) -> String {
    if part.contains('~') { part.replace("~1", "/").replace("~0", "~") } else { part.to_owned() }
}

#[cfg(test)]
mod tests;
