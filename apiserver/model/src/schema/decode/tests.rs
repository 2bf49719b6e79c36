use api_meta::json;

use super::*;

fn gvk(group: &str, version: &str, kind: &str) -> GroupVersionKind {
    GroupVersionKind::new(group, version, kind)
}

fn read(kind: &str, body: &str, format: Format, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let gvk = gvk("", "v1", kind);
    let schema = builtin("", "v1", kind).unwrap();
    decode(body.as_bytes(), format, &gvk, &schema, validation)
}

fn json(kind: &str, body: &str) -> Result<Decoded, DecodeError> {
    read(kind, body, Format::Json, FieldValidation::Warn)
}

#[track_caller]
fn check(kind: &str, body: &str, expect: Value) {
    assert_eq!(json(kind, body).map(|d| d.object.to_value()), Ok(expect));
}

#[track_caller]
fn check_error(kind: &str, body: &str, expect: &str) {
    assert_eq!(json(kind, body).map(|d| d.object).unwrap_err().to_string(), expect);
}

/// The text after "cannot be handled as a ...: ".
#[track_caller]
fn check_why(kind: &str, body: &str, expect: &str) {
    assert_eq!(json(kind, body).map(|d| d.object).unwrap_err().why(), expect);
}

#[track_caller]
fn check_strict(kind: &str, body: &str, expect: &[&str]) {
    assert_eq!(json(kind, body).unwrap().warnings, expect);
    assert_eq!(read(kind, body, Format::Json, FieldValidation::Ignore).unwrap().warnings, [""; 0]);
    let why = read(kind, body, Format::Json, FieldValidation::Strict).map(|d| d.object).unwrap_err().why();
    assert_eq!(why, format!("strict decoding error: {}", expect.join(", ")));
}

#[test]
fn objects() {
    let expect = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    check("ConfigMap", r#"{"metadata": {"name": "a"}, "data": {"k": "v"}}"#, expect.clone());
    check("ConfigMap", r#"{"metadata": {"name": "a", "labels": null}, "data": {"k": "v"}, "x": 1}"#, expect);
}

/// To Go, `null` in the place of an object says as much as `{}`.
#[test]
fn null_is_an_empty_object() {
    let empty = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": null}, "status": {}});
    for body in ["null", "{}"] {
        check("Pod", body, empty.clone());
    }
    let yaml = read("Pod", "# nothing\n", Format::Yaml, FieldValidation::Strict);
    assert_eq!(yaml.map(|decoded| decoded.object.to_value()), Ok(empty));
}

/// Or else every write of an object that was read would change it a little.
#[test]
fn fractions_are_read_as_they_were_written() {
    let any = Schema::any();
    let gvk = gvk("example.com", "v1", "Thing");
    for fraction in [1.000_000_001e20, 0.1 + 0.2, 5e-324, f64::MAX] {
        let body = json!({"spec": {"fraction": fraction}}).to_string();
        let read = decode(body.as_bytes(), Format::Json, &gvk, &any, FieldValidation::Strict).unwrap();
        assert_eq!(read.object["spec"]["fraction"], json!(fraction));
    }
}

#[test]
fn yaml_objects() {
    let body = "metadata:\n  name: a\ndata: {k: 'y', empty: }\n";
    let object = read("ConfigMap", body, Format::Yaml, FieldValidation::Strict).unwrap().object;
    assert_eq!(object["data"], json!({"k": "y", "empty": ""}));
}

#[test]
fn values_are_as_go_writes_them() {
    let pod = json(
        "Pod",
        r#"{"metadata": {"labels": {}}, "spec": {"hostNetwork": false, "containers": [{"name": "c",
        "resources": {"limits": {"cpu": "1000m", "memory": 1024}}, "ports": [{"containerPort": 80}]}, null]}}"#,
    );
    assert_eq!(
        pod.unwrap().object.to_value(),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {}, "spec": {"containers": [
            {"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1024"}}, "ports": [{"containerPort": 80}]},
            {"name": "", "resources": {}},
        ]}})
    );
    let secret = json("Secret", "{\"data\": {\"k\": \"YW\\nI=\"}}").unwrap().object;
    assert_eq!(secret["data"], json!({"k": "YWI="}));
    let event = json("Event", r#"{"firstTimestamp": "2001-01-01T02:00:00+02:00"}"#).unwrap().object;
    assert_eq!(event["firstTimestamp"], "2001-01-01T00:00:00Z");
}

#[test]
fn bodies_that_are_no_objects() {
    let text = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
    for (body, why) in [
        ("", "unexpected end of JSON input (<empty>)"),
        (
            r#"{"kind":"ConfigMap","apiVersion":"v1","#,
            r#"unexpected end of JSON input ({"kind":"ConfigMap","apiVersio ...)"#,
        ),
        (
            "[]",
            r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)"#,
        ),
        ("hello", "invalid character 'h' looking for beginning of value (68656c6c6f)"),
        (r#"{"kind": 5}"#, r#"json: cannot unmarshal number into Go struct field .kind of type string ({"kind": 5})"#),
    ] {
        check_error("ConfigMap", body, &format!("{text}{why}"));
    }
    let body = "apiVersion: v1\n  kind: [";
    let error = read("ConfigMap", body, Format::Yaml, FieldValidation::Warn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the object provided is unrecognized (must be of type ConfigMap): yaml: line 2: mapping values are not allowed \
         in this context (61706956657273696f6e3a2076310a20206b696e643a205b)"
    );
}

#[test]
fn wrong_types() {
    check_error(
        "ConfigMap",
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": 1}}"#,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: \
         json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
    );
    let field = |what: &str| format!("json: cannot unmarshal {what}");
    for (kind, body, what) in [
        (
            "ConfigMap",
            r#"{"metadata": {"name": 5}}"#,
            "number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        (
            "ConfigMap",
            r#"{"metadata": {"labels": ["a"]}}"#,
            "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        ("ConfigMap", r#"{"data": "text"}"#, "string into Go struct field ConfigMap.data of type map[string]string"),
        ("ConfigMap", r#"{"data": {"k": {"x": 1}}}"#, "object into Go struct field ConfigMap.data of type string"),
        (
            "Pod",
            r#"{"spec": {"hostNetwork": "yes"}}"#,
            "string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        ("Pod", r#"{"spec": []}"#, "array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            "Pod",
            r#"{"spec": {"containers": {}}}"#,
            "object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "Pod",
            r#"{"spec": {"containers": [{"imagePullPolicy": 1}]}}"#,
            "number into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            "Pod",
            r#"{"spec": {"priority": 3000000000}}"#,
            "number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            "Pod",
            r#"{"spec": {"terminationGracePeriodSeconds": 1.5}}"#,
            "number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            "Service",
            r#"{"spec": {"ports": [{"targetPort": true}]}}"#,
            "bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        ("Secret", r#"{"data": {"k": 1}}"#, "number into Go struct field Secret.data of type []uint8"),
        (
            "Pod",
            r#"{"metadata": {"creationTimestamp": 1}}"#,
            "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
    ] {
        check_why(kind, body, &field(what));
    }
    let text = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    check_why("Pod", r#"{"spec": {"containers": [{"resources": {"requests": {"cpu": "two"}}}]}}"#, text);
    check_why("ConfigMap", r#"{"binaryData": {"k": "%%%"}}"#, "illegal base64 data at input byte 0");
}

#[test]
fn a_bare_y_in_yaml_is_a_boolean() {
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\n";
    let error = read("ConfigMap", body, Format::Yaml, FieldValidation::Warn).map(|d| d.object).unwrap_err();
    assert_eq!(error.why(), "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.name of type string");
}

#[test]
fn other_kinds() {
    check_error(
        "ConfigMap",
        r#"{"apiVersion": "v1", "kind": "Secret", "data": 5}"#,
        "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
    );
    check_error(
        "ConfigMap",
        r#"{"apiVersion": "v2", "kind": "ConfigMap"}"#,
        "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \
         \"v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
    );
    let schema = builtin("autoscaling", "v1", "Scale").unwrap();
    let body = br#"{"apiVersion": "apps/v1", "kind": "Deployment"}"#;
    let scale = gvk("autoscaling", "v1", "Scale");
    assert_eq!(
        decode(body, Format::Json, &scale, &schema, FieldValidation::Warn).map(|d| d.object).unwrap_err().to_string(),
        "Deployment in version \"v1\" cannot be handled as a Scale: \
         converting (v1.Deployment) to (autoscaling.Scale): unknown conversion"
    );
    let schema = builtin("autoscaling", "v1", "HorizontalPodAutoscaler").unwrap();
    let body = br#"{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}"#;
    let scaler = gvk("autoscaling", "v1", "HorizontalPodAutoscaler");
    assert_eq!(
        decode(body, Format::Json, &scaler, &schema, FieldValidation::Warn).map(|d| d.object).unwrap_err().to_string(),
        "the API version in the data (autoscaling/v2) does not match the expected API version (autoscaling/v1)"
    );
}

#[test]
fn unknown_and_doubled_fields() {
    check_strict("ConfigMap", r#"{"spec": {"a": 1}}"#, &["unknown field \"spec\""]);
    check_strict("ConfigMap", r#"{"colour": 1, "taste": 2}"#, &["unknown field \"colour\"", "unknown field \"taste\""]);
    check_strict(
        "ConfigMap",
        r#"{"metadata": {"nome": "x", "labels": {"a": "b"}}}"#,
        &["unknown field \"metadata.nome\""],
    );
    check_strict("ConfigMap", r#"{"Data": {"k": "v"}}"#, &["unknown field \"Data\""]);
    check_strict("ConfigMap", r#"{"data": {"k": "1", "k": "2"}}"#, &["duplicate field \"data.k\""]);
    check_strict("ConfigMap", r#"{"data": {}, "data": null}"#, &["duplicate field \"data\""]);
    check_strict(
        "Pod",
        r#"{"spec": {"containers": [{"name": "a"}, {"nam": "b"}]}}"#,
        &["unknown field \"spec.containers[1].nam\""],
    );
    let body = "metadata: {name: yam}\ndata: {k: a}\ndata: {k: b}\n";
    let error = read("ConfigMap", body, Format::Yaml, FieldValidation::Strict).map(|d| d.object).unwrap_err();
    assert_eq!(
        error.why(),
        "strict decoding error: yaml: unmarshal errors:\n  line 3: key \"data\" already set in map"
    );
}

fn widget() -> Schema {
    use std::sync::Arc;

    use crate::schema::Type;

    let count = Arc::new(Schema::of(Type::Integer));
    let inner = Schema { properties: [("a".into(), Arc::clone(&count))].into(), ..Schema::of(Type::Object) };
    let object = Schema { embedded_resource: true, ..Schema::of(Type::Object) };
    let spec = Schema {
        properties: [("count".into(), count), ("inner".into(), Arc::new(inner)), ("object".into(), Arc::new(object))]
            .into(),
        ..Schema::of(Type::Object)
    };
    Schema { properties: [("spec".into(), Arc::new(spec))].into(), ..Schema::of(Type::Object) }
}

fn read_widget(body: &str, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    decode(body.as_bytes(), Format::Json, &gvk("example.com", "v1", "Widget"), &widget(), validation)
}

#[test]
fn custom_resources_are_pruned_and_not_typed() {
    let body = r#"{"metadata": {"name": "e", "x": 1}, "extra": 1, "spec": {"what": 1, "inner": {"b": 2, "a": "text"},
        "count": 1.0, "object": {"kind": "X", "metadata": {"name": "n", "y": 1}}}}"#;
    let decoded = read_widget(body, FieldValidation::Warn).unwrap();
    assert_eq!(
        decoded.object.to_value(),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "e"}, "spec": {
            "inner": {"a": "text"}, "count": 1, "object": {"kind": "X", "metadata": {"name": "n"}}}})
    );
    assert_eq!(
        decoded.warnings,
        [
            "unknown field \"extra\"",
            "unknown field \"metadata.x\"",
            "unknown field \"spec.inner.b\"",
            "unknown field \"spec.object.metadata.y\"",
            "unknown field \"spec.what\"",
        ]
    );
    assert!(read_widget(body, FieldValidation::Ignore).unwrap().warnings.is_empty());
}

#[test]
fn custom_resources_of_a_wrong_shape() {
    let why = |body: &str| read_widget(body, FieldValidation::Strict).map(|d| d.object).unwrap_err().why();
    assert_eq!(
        why(r#"{"metadata": {"labels": {"a": 1}}}"#),
        "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    );
    assert_eq!(why(r#"{"spec": {"count": 1, "count": 2}}"#), "strict decoding error: duplicate field \"spec.count\"");
    assert_eq!(
        why(r#"{"apiVersion": "example.com/v2"}"#),
        "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)"
    );
}

/// Threat 17: deep nesting is an error, never a stack overflow. Test threads have small stacks.
#[test]
fn deep_nesting_is_refused() {
    for deep in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"data\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"spec\":{}1{}}}", "{\"spec\":".repeat(100_000), "}".repeat(100_000)),
    ] {
        for kind in ["ConfigMap", "Pod"] {
            assert!(matches!(json(kind, &deep), Err(DecodeError::Unrecognized { .. })));
        }
        assert!(read_widget(&deep, FieldValidation::Warn).is_err());
    }
    let allowed = format!("{{\"spec\":{}1{}}}", "{\"x\":".repeat(100), "}".repeat(100));
    assert!(read_widget(&allowed, FieldValidation::Warn).is_ok());
}

/// Threat 17: what is wrong is told, but not without end.
#[test]
fn the_number_of_warnings_is_limited() {
    let fields: Vec<_> = (0..1000).map(|i| format!("\"f{i}\": 1")).collect();
    assert_eq!(json("ConfigMap", &format!("{{{}}}", fields.join(","))).unwrap().warnings.len(), 100);
}
