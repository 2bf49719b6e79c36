//! The one document of OpenAPI 2.0 ("Swagger").

use api_meta::{Map, Value, json};
use apiserver_model::Resource;

use super::operations::{self, Content, Operation, PRODUCES, STREAMS};
use super::schemas::{self, Dialect, Names};

pub(super) fn document(resources: &[Resource], version: &str) -> Value {
    let resources: Vec<&Resource> = resources.iter().collect();
    let names = Names(&resources);
    let mut paths = Map::new();
    for resource in &resources {
        for operation in operations::of(resource) {
            let item = paths.entry(operation.path.clone()).or_insert_with(|| path_item(&operation));
            item[operation.method] = write(&operation, &names);
        }
    }
    let paths = Value::Object(paths);
    let used = schemas::reachable(schemas::definitions(&resources, Dialect::V2), &paths, Dialect::V2);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "definitions": used,
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
        }},
        "security": [{"BearerToken": []}],
    })
}

fn path_item(operation: &Operation) -> Value {
    let of_path = operations::path_parameters(&operation.path, &operation.kind.kind).into_iter().map(|(name, text)| {
        json!({"name": name, "in": "path", "description": text, "required": true, "type": "string", "uniqueItems": true})
    });
    let pretty = query("pretty", "string", "If 'true', then the output is pretty printed.");
    json!({"parameters": of_path.chain([pretty]).collect::<Vec<_>>()})
}

fn query(name: &str, type_: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "type": type_, "uniqueItems": true})
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
    match name {
        Some(name) => json!({"$ref": format!("{}{name}", Dialect::V2.prefix())}),
        None => json!({"type": "object"}),
    }
}

fn write(operation: &Operation, names: &Names<'_>) -> Value {
    let answer = schema(&operation.answer, names);
    let mut responses = Map::new();
    for code in &operation.answers {
        let text = match code {
            200 => "OK",
            201 => "Created",
            _ => "Accepted",
        };
        responses.insert(code.to_string(), json!({"description": text, "schema": answer}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    let mut produces = PRODUCES.to_vec();
    if matches!(operation.answer, Content::ListOf(_)) {
        produces.extend(STREAMS);
    }
    let body = operation.body.as_ref().map(|body| {
        let mut parameter = json!({"name": "body", "in": "body", "schema": schema(body, names)});
        if *body != Content::DeleteOptions {
            parameter["required"] = true.into();
        }
        parameter
    });
    let queries = operation.parameters.iter().map(|p| query(p.name, p.type_, p.description));
    json!({
        "consumes": operation.consumes,
        "description": operation.description,
        "operationId": operation.id,
        "parameters": body.into_iter().chain(queries).collect::<Vec<_>>(),
        "produces": produces,
        "responses": responses,
        "schemes": ["https"],
        "tags": [operation.tag],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": schemas::group_version_kind(&operation.kind),
    })
}
