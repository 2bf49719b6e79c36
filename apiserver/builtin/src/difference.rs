//! What changed, for the texts that say that nothing may.

use std::collections::BTreeSet;

use api_meta::Value;

use crate::fields::Fields;

/// One line for each value that differs, by its path.
pub(crate) fn difference(old: &Fields, new: &Fields) -> String {
    let mut lines = Vec::new();
    compare_fields("", old, new, &mut lines);
    lines.join("\n")
}

fn compare_fields(path: &str, old: &Fields, new: &Fields, lines: &mut Vec<String>) {
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => compare(&path, old, new, lines),
            (old, new) => {
                lines.extend(old.map(|old| format!("- {path}: {old}")));
                lines.extend(new.map(|new| format!("+ {path}: {new}")));
            }
        }
    }
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => compare_fields(path, old, new, lines),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, lines);
            }
        }
        (old, new) if old == new => {}
        (old, new) => lines.extend([format!("- {path}: {old}"), format!("+ {path}: {new}")]),
    }
}
