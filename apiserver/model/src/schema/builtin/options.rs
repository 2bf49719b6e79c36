//! Kinds that stand for query parameters. OpenAPI has no definition of them; discovery names some of them.

use std::sync::Arc;

use super::KindKey;
use crate::schema::{GoStruct, Schema, Type};

const META: &str = "meta.k8s.io";

/// Kind, fields; a field's type is told by its last character: `?` boolean, `#` integer, `*` list of strings,
/// `@` list of integers, nothing for a string.
const OPTIONS: [(&str, &str, &str); 12] = [
    (META, "CreateOptions", "dryRun* fieldManager fieldValidation"),
    (META, "UpdateOptions", "dryRun* fieldManager fieldValidation"),
    (META, "PatchOptions", "dryRun* fieldManager fieldValidation force?"),
    (META, "GetOptions", "resourceVersion"),
    (
        META,
        "ListOptions",
        "allowWatchBookmarks? continue fieldSelector labelSelector limit# resourceVersion resourceVersionMatch \
         sendInitialEvents? timeoutSeconds# watch?",
    ),
    ("", "PodLogOptions", "container follow? previous? sinceSeconds# sinceTime timestamps? tailLines# limitBytes#"),
    ("", "PodExecOptions", "command* container stderr? stdin? stdout? tty?"),
    ("", "PodAttachOptions", "container stderr? stdin? stdout? tty?"),
    ("", "PodPortForwardOptions", "ports@"),
    ("", "PodProxyOptions", "path"),
    ("", "ServiceProxyOptions", "path"),
    ("", "NodeProxyOptions", "path"),
];

pub(super) fn schemas() -> impl Iterator<Item = (KindKey, Arc<Schema>)> {
    OPTIONS.iter().map(|&(group, kind, fields)| ((group, "v1", kind), Arc::new(schema(kind, fields))))
}

fn schema(kind: &str, fields: &str) -> Schema {
    let string = Arc::new(Schema::of(Type::String));
    let integer = Arc::new(Schema { format: Some("int64".into()), ..Schema::of(Type::Integer) });
    let list = |items: &Arc<Schema>| Arc::new(Schema { items: Some(Arc::clone(items)), ..Schema::of(Type::Array) });
    let field = |word: &str| {
        let name = word.trim_end_matches(['?', '#', '*', '@']).to_owned();
        let schema = match word.as_bytes().last() {
            Some(b'?') => Arc::new(Schema::of(Type::Boolean)),
            Some(b'#') => Arc::clone(&integer),
            Some(b'*') => list(&string),
            Some(b'@') => list(&integer),
            _ => Arc::clone(&string),
        };
        (name, schema)
    };
    let words = ["apiVersion", "kind"].into_iter().chain(fields.split_whitespace());
    Schema {
        properties: words.map(field).collect(),
        type_name: Some(format!("v1.{kind}")),
        go: Some(Arc::new(GoStruct { name: kind.to_owned(), ..GoStruct::default() })),
        ..Schema::of(Type::Object)
    }
}
