use std::collections::BTreeSet;

use api_meta::Object;

use super::*;

fn widgets() -> Vec<Resource> {
    let schema = json!({"type": "object", "description": "A widget.", "properties": {"spec": {
    "type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1, "description": "How big."},
        "port": {"x-kubernetes-int-or-string": true},
        "color": {"type": "string", "enum": ["red"], "nullable": true},
    }}}});
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"scale": {
            "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
    });
    let names = json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let definition = Object::try_from(json!({"metadata": {"name": "widgets.example.com"}, "spec": spec})).unwrap();
    apiserver_crd::resources(&definition).unwrap()
}

fn resources() -> Vec<Resource> {
    let mut resources = apiserver_builtin::resources();
    resources.extend(widgets());
    resources
}

fn get(path: &str) -> Value {
    let documents = Documents::new("v1.34.0");
    let document = documents.get(path, 1, resources, &["version"]).unwrap_or_else(|| panic!("no document {path}"));
    serde_json::from_slice(&document.bytes).unwrap()
}

/// Every `$ref` leads to a schema of the same document.
fn check_references(value: &Value, schemas: &Value, prefix: &str) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                let name = name.strip_prefix(prefix).unwrap_or_else(|| panic!("{name}"));
                assert!(schemas.get(name).is_some(), "{name} is missing");
            }
            fields.values().for_each(|value| check_references(value, schemas, prefix));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, schemas, prefix)),
        _ => {}
    }
}

/// What a 1.34 server names, without paths of authentication keys.
#[test]
fn the_index_names_groups_and_versions() {
    let index = get("v3");
    let ours: BTreeSet<&str> = index["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in
        ["api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "apis/autoscaling/v2", "version", "apis/policy/v1"]
    {
        assert!(ours.contains(path), "{path}");
    }
    assert!(ours.contains("apis/example.com/v1") && !ours.contains("apis/example.com"));
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let hash = url.strip_prefix("/openapi/v3/apis/apps/v1?hash=").unwrap();
    let documents = Documents::new("v1.34.0");
    assert_eq!(documents.get("v3/apis/apps/v1", 1, resources, &[]).unwrap().hash, hash);
}

#[test]
fn unknown_paths_have_no_document() {
    let documents = Documents::new("v1.34.0");
    for path in ["v3/apis/nothing.example.org/v1", "v4", "", "v3/"] {
        assert!(documents.get(path, 1, resources, &["version"]).is_none(), "{path}");
    }
    assert!(documents.get("v3/version", 1, resources, &["version"]).is_some());
}

#[test]
fn every_group_version_is_whole() {
    let all = resources();
    let paths: BTreeSet<String> = all.iter().map(group_version_path).collect();
    for path in paths {
        let document = get(&format!("v3/{path}"));
        let schemas = &document["components"]["schemas"];
        assert!(!schemas.as_object().unwrap().is_empty(), "{path}");
        check_references(&document, schemas, "#/components/schemas/");
        let mut ids = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values().filter(|o| o.is_object()) {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{id} twice in {path}");
            }
        }
    }
}

/// What kubectl looks at before it patches: the media types of PATCH, and whether the server validates fields.
#[test]
fn patches_say_what_they_take() {
    let types = |document: &Value, path: &str| -> Vec<String> {
        let patch = &document["paths"][path]["patch"];
        assert_eq!(patch["x-kubernetes-action"], "patch");
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"));
        assert!(parameters.iter().any(|p| p["name"] == "dryRun"));
        patch["requestBody"]["content"].as_object().unwrap().keys().cloned().collect()
    };
    let apps = get("v3/apis/apps/v1");
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    assert!(types(&apps, path).contains(&"application/strategic-merge-patch+json".to_owned()));
    assert_eq!(
        apps["paths"][path]["patch"]["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    let example = get("v3/apis/example.com/v1");
    let path = "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}";
    let custom = types(&example, path);
    assert!(!custom.contains(&"application/strategic-merge-patch+json".to_owned()) && custom.len() == 3);
}

#[test]
fn operation_names_are_upstreams() {
    let apps = get("v3/apis/apps/v1");
    let id = |path: &str, method: &str| apps["paths"][path][method]["operationId"].clone();
    let all = "/apis/apps/v1/namespaces/{namespace}/deployments";
    assert_eq!(id(all, "post"), "createAppsV1NamespacedDeployment");
    assert_eq!(id(all, "get"), "listAppsV1NamespacedDeployment");
    assert_eq!(id(all, "delete"), "deleteAppsV1CollectionNamespacedDeployment");
    assert_eq!(id("/apis/apps/v1/deployments", "get"), "listAppsV1DeploymentForAllNamespaces");
    assert_eq!(id(&format!("{all}/{{name}}/scale"), "put"), "replaceAppsV1NamespacedDeploymentScale");
    let rbac = get("v3/apis/rbac.authorization.k8s.io/v1");
    let read = &rbac["paths"]["/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"]["get"];
    assert_eq!(read["operationId"], "readRbacAuthorizationV1ClusterRole");
    assert_eq!(read["tags"], json!(["rbacAuthorization_v1"]));
}

#[test]
fn schemas_are_upstreams() {
    let core = get("v3/api/v1");
    let schemas = &core["components"]["schemas"];
    let pod = &schemas["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
    assert_eq!(pod["properties"]["spec"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
    assert!(pod["properties"]["spec"]["description"].as_str().unwrap().starts_with("Specification"));
    assert_eq!(schemas["io.k8s.api.core.v1.PodList"]["required"], json!(["items"]));
    let ports = &schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    let amount = &schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"];
    assert_eq!(amount["oneOf"], json!([{"type": "string"}, {"type": "number"}]));
}

#[test]
fn a_field_named_ref_is_no_reference() {
    let document = get("v3/apis/apiextensions.k8s.io/v1");
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    let fields = &document["components"]["schemas"][name]["properties"];
    assert_eq!(fields["$ref"], json!({"type": "string"}));
    assert_eq!(fields["allOf"]["type"], "array");
}

#[test]
fn custom_resources_are_described() {
    let document = get("v3/apis/example.com/v1");
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(widget["description"], "A widget.");
    assert_eq!(widget["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
    let spec = &widget["properties"]["spec"];
    assert_eq!(
        spec["properties"],
        json!({
            "size": {"type": "integer", "minimum": 1, "description": "How big."},
            "port": {"x-kubernetes-int-or-string": true},
            "color": {"type": "string", "enum": ["red"], "nullable": true},
        })
    );
    assert_eq!(spec["required"], json!(["size"]));
    let metadata = &widget["properties"]["metadata"]["allOf"][0]["$ref"];
    assert_eq!(metadata, "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
}

#[test]
fn version_2_has_everything() {
    let document = get("v2");
    assert_eq!((&document["swagger"], &document["info"]["title"]), (&json!("2.0"), &json!("Kubernetes")));
    check_references(&document, &document["definitions"], "#/definitions/");
    assert!(document["definitions"]["com.example.v1.Widget"].is_object());
    let body = &document["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"]["parameters"][0];
    assert_eq!(body["schema"]["$ref"], "#/definitions/io.k8s.api.core.v1.ConfigMap");
    let color = &document["definitions"]["com.example.v1.Widget"]["properties"]["spec"]["properties"]["color"];
    assert_eq!(color, &json!({"type": "string", "enum": ["red"]}));
    let metadata = &document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["metadata"];
    assert_eq!(metadata["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
}

#[test]
fn documents_are_kept_until_resources_change() {
    let documents = Documents::new("v1.34.0");
    let built = std::cell::Cell::new(0);
    let count = || {
        built.set(built.get() + 1);
        widgets()
    };
    for generation in [1, 1, 2] {
        assert!(documents.get("v3/apis/example.com/v1", generation, count, &[]).is_some());
    }
    assert_eq!(built.get(), 2);
}

#[test]
fn hashes_follow_the_schema() {
    let documents = Documents::new("v1.34.0");
    let hash = |generation, resources: Vec<Resource>| {
        documents.get("v3/apis/example.com/v1", generation, || resources, &[]).unwrap().hash
    };
    let mut changed = widgets();
    let mut schema = (*changed[0].schema).clone();
    schema.description = Some("Another.".into());
    changed[0].schema = Arc::new(schema);
    assert_eq!(hash(1, widgets()), hash(2, widgets()));
    assert_ne!(hash(3, widgets()), hash(4, changed));
}
