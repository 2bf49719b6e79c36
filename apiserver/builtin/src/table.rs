//! What `kubectl get` shows of the built-in kinds: columns from a file, and the words that many cells share.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use api_meta::{LabelSelector, Map, Object, Value};
use apiserver_model::{CREATED_DESCRIPTION, Column, NAME_DESCRIPTION, human_age};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};

pub(crate) const NONE: &str = "<none>";
pub(crate) const UNSET: &str = "<unset>";
pub(crate) const UNKNOWN: &str = "<unknown>";

/// One block a resource; each line a name, type, format, priority and description, between tabs.
static COLUMNS: LazyLock<BTreeMap<&'static str, Vec<Column>>> = LazyLock::new(|| {
    let blocks = include_str!("columns.txt").split("\n\n");
    blocks
        .filter_map(|block| block.split_once('\n'))
        .map(|(key, lines)| (key, lines.lines().map(column).collect()))
        .collect()
});

fn column(line: &str) -> Column {
    let mut parts = line.split('\t');
    let mut next = || parts.next().unwrap_or_default();
    let (name, type_, format, priority) = (next(), next(), next(), next());
    let description = match next() {
        "@name" => NAME_DESCRIPTION.to_owned(),
        "@age" => CREATED_DESCRIPTION.to_owned(),
        text => text.replace("\\n", "\n"),
    };
    Column::new(name, type_, format, &description, i32::from(priority == "1"))
}

/// The columns of a resource, named as `apps/deployments`, or `pods` in the core group.
pub(crate) fn columns(resource: &str) -> Vec<Column> {
    COLUMNS.get(resource).cloned().unwrap_or_else(Column::name_and_age)
}

pub(crate) fn age(object: &Object, now: Timestamp) -> Value {
    human_age(object.creation_timestamp(), now).into()
}

/// A part of an object, empty when missing.
pub(crate) fn part<'a>(fields: &'a Fields, key: &str) -> &'a Fields {
    static EMPTY: LazyLock<Fields> = LazyLock::new(Map::new);
    fields.fields(key).unwrap_or(&EMPTY)
}

pub(crate) fn int(fields: &Fields, key: &str) -> i64 {
    fields.int(key).unwrap_or_default()
}

/// The text of a field, or a word for its absence.
pub(crate) fn text_or(fields: &Fields, key: &str, missing: &str) -> Value {
    match fields.text(key) {
        "" => missing.into(),
        text => text.into(),
    }
}

pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { NONE.into() } else { text }
}

/// `a=2,x=1` (upstream: `labels.FormatLabels`).
pub(crate) fn labels(labels: Option<&Fields>) -> String {
    let pairs =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

/// A `metav1.LabelSelector` as one text.
pub(crate) fn selector(selector: &Value) -> String {
    or_none(LabelSelector::from_object(Some(selector)).to_string())
}

/// Names and images of a template's containers.
pub(crate) fn containers(template: &Fields) -> [Value; 2] {
    let all = part(template, "spec");
    let joined = |key: &str| all.each("containers").map(|(_, c)| c.text(key)).collect::<Vec<_>>().join(",");
    [joined("name").into(), joined("image").into()]
}

/// A yes or no that may be unsaid.
pub(crate) fn yes_no(value: &Value) -> Value {
    match value.as_bool() {
        None => UNSET.into(),
        Some(true) => "True".into(),
        Some(false) => "False".into(),
    }
}

/// An `IntOrString` or number as text.
pub(crate) fn number_or_text(value: &Value, missing: &str) -> Value {
    match value {
        Value::Null => missing.into(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

/// A few of many: `a,b,c + 2 more...`.
pub(crate) fn at_most(shown: &[String], max: usize, all: usize) -> String {
    let text = shown[..shown.len().min(max)].join(",");
    if all > max { format!("{text} + {} more...", all - max) } else { text }
}

/// `RWO,ROX`, in a fixed order, each once.
pub(crate) fn access_modes(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let named = SHORT.iter().filter(|(long, _)| modes.iter().any(|m| m == long));
    named.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The status of a condition, if it is there.
pub(crate) fn condition<'a>(status: &'a Fields, type_: &str) -> Option<&'a Fields> {
    status.each("conditions").map(|(_, c)| c).find(|c| c.text("type") == type_)
}

pub(crate) fn is_true(status: &Fields, type_: &str) -> bool {
    condition(status, type_).is_some_and(|c| c.text("status") == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_read() {
        assert_eq!(
            COLUMNS.len(),
            include_str!("columns.txt").lines().filter(|l| !l.is_empty() && !l.contains('\t')).count()
        );
        assert_eq!(columns("pods").len(), 9);
        assert_eq!(columns("pods")[8].priority, 1);
    }

    #[test]
    fn lists_are_cut() {
        let names: Vec<_> = ["a", "b", "c", "d"].map(String::from).into();
        assert_eq!(at_most(&names, 3, 5), "a,b,c + 2 more...");
        assert_eq!(at_most(&names[..2], 3, 2), "a,b");
    }
}
