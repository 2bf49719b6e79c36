//! One document of OpenAPI 3.0.

use api_meta::{Map, Value, json};
use apiserver_model::Resource;

use super::operations::{self, Content, Operation, PRODUCES, STREAMS};
use super::schemas::{self, Dialect, Names};

/// The document of a group version, or of a path without resources.
pub(super) fn document(path: &str, resources: &[&Resource], version: &str) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        for operation in operations::of(resource) {
            let item = paths.entry(operation.path.clone()).or_insert_with(|| path_item(&operation));
            item[operation.method] = write(&operation, &Names(resources));
        }
    }
    if resources.is_empty() {
        let answer = json!({"200": {"description": "OK"}, "401": {"description": "Unauthorized"}});
        paths.insert(format!("/{path}/"), json!({"get": {"responses": answer}}));
    }
    let paths = Value::Object(paths);
    let used = match resources.is_empty() {
        true => Map::new(),
        false => schemas::reachable(schemas::definitions(resources, Dialect::V3), &paths, Dialect::V3),
    };
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }},
        },
    })
}

fn path_item(operation: &Operation) -> Value {
    let of_path = operations::path_parameters(&operation.path, &operation.kind.kind).into_iter().map(|(name, text)| {
        let schema = json!({"type": "string", "uniqueItems": true});
        json!({"name": name, "in": "path", "description": text, "required": true, "schema": schema})
    });
    let pretty = query("pretty", "string", "If 'true', then the output is pretty printed.");
    json!({"parameters": of_path.chain([pretty]).collect::<Vec<_>>()})
}

fn query(name: &str, type_: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": type_, "uniqueItems": true}})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{}{name}", Dialect::V3.prefix())})
}

fn schema(content: &Content, names: &Names<'_>) -> Value {
    let name = match content {
        Content::Kind(kind) => names.kind(kind),
        Content::ListOf(kind) => names.list(kind),
        Content::Status => Some(schemas::status()),
        Content::DeleteOptions => Some(schemas::delete_options()),
        Content::Patch => Some(schemas::patch()),
        Content::Text => return json!({"type": "string"}),
    };
    name.map_or_else(|| json!({"type": "object"}), |name| reference(&name))
}

fn write(operation: &Operation, names: &Names<'_>) -> Value {
    let of_type = |types: &[&str], schema: &Value| -> Map<String, Value> {
        types.iter().map(|t| ((*t).to_owned(), json!({"schema": schema}))).collect()
    };
    let answer = schema(&operation.answer, names);
    let mut types = match operation.answer {
        Content::Text => vec!["*/*"],
        _ => PRODUCES.to_vec(),
    };
    if matches!(operation.answer, Content::ListOf(_)) {
        types.extend(STREAMS);
    }
    let mut responses = Map::new();
    for code in &operation.answers {
        let text = match code {
            200 => "OK",
            201 => "Created",
            _ => "Accepted",
        };
        responses.insert(code.to_string(), json!({"description": text, "content": of_type(&types, &answer)}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    let mut written = json!({
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": schemas::group_version_kind(&operation.kind),
    });
    if !operation.parameters.is_empty() {
        let parameters: Vec<_> = operation.parameters.iter().map(|p| query(p.name, p.type_, p.description)).collect();
        written["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        let required = *body != Content::DeleteOptions;
        written["requestBody"] = json!({"content": of_type(&operation.consumes, &schema(body, names))});
        if required {
            written["requestBody"]["required"] = true.into();
        }
    }
    written
}
