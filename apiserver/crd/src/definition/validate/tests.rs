use super::*;

/// A definition of one version with a schema, changed by a function.
fn definition(change: impl FnOnce(&mut Object)) -> Object {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let mut object = Object::try_from(json!({
        "metadata": {"name": "tries.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "tries", "singular": "try", "kind": "Try", "listKind": "TryList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
        "status": {"storedVersions": ["v1"]},
    }))
    .unwrap();
    change(&mut object);
    object
}

fn told(errors: &FieldErrors) -> Vec<String> {
    let mut told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    told.sort();
    told
}

#[track_caller]
fn check(change: impl FnOnce(&mut Object), expect: &[&str]) {
    assert_eq!(told(&validate(&definition(change))), expect);
}

/// Checks a schema; the paths of the errors follow `spec.validation.openAPIV3Schema`.
#[track_caller]
fn check_schema(schema: Value, expect: &[&str]) {
    let object = definition(|o| o.at_mut(&["spec"])["versions"][0]["schema"] = json!({"openAPIV3Schema": schema}));
    let expect: Vec<_> = expect.iter().map(|e| format!("spec.validation.openAPIV3Schema{e}")).collect();
    assert_eq!(told(&validate(&object)), expect);
}

fn spec_of(schema: Value) -> Value {
    json!({"type": "object", "properties": {"spec": schema}})
}

#[test]
fn a_good_definition() {
    check(|_| {}, &[]);
}

#[test]
fn schema_is_required() {
    check(
        |o| o.at_mut(&["spec"])["versions"][0]["schema"] = Value::Null,
        &["spec.versions[0].schema.openAPIV3Schema: Required value"],
    );
}

#[test]
fn the_name_follows_from_the_spec() {
    check(
        |o| o.set_meta_str("name", "other.example.com"),
        &["metadata.name: Invalid value: \"other.example.com\": must be spec.names.plural+\".\"+spec.group"],
    );
}

#[test]
fn one_storage_version() {
    let shown = |storage: bool, name: &str| {
        format!(
            "{{\"Name\":\"{name}\",\"Served\":true,\"Storage\":{storage},\"Deprecated\":false,\"DeprecationWarning\":null,\
             \"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}"
        )
    };
    let why = "must have exactly one version marked as storage version";
    check(
        |o| {
            let mut second = o["spec"]["versions"][0].clone();
            second["name"] = "v2".into();
            o.at_mut(&["spec", "versions"]).as_array_mut().unwrap().push(second);
        },
        &[
            &format!("spec.versions: Invalid value: [{},{}]: {why}", shown(true, "v1"), shown(true, "v2")),
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2",
        ],
    );
    check(
        |o| {
            o.at_mut(&["spec"])["versions"][0]["storage"] = false.into();
            *o.at_mut(&["status", "storedVersions"]) = Value::Null;
        },
        &[
            &format!("spec.versions: Invalid value: [{}]: {why}", shown(false, "v1")),
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ],
    );
}

#[test]
fn names_are_labels() {
    let label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    check(
        |o| {
            let names = o.at_mut(&["spec", "names"]);
            names["kind"] = "Try!".into();
            names["shortNames"] = json!(["UP"]);
            names["categories"] = json!(["c d"]);
        },
        &[
            &format!("spec.names.categories[0]: Invalid value: \"c d\": {label}"),
            &format!(
                "spec.names.kind: Invalid value: \"Try!\": may have mixed case, but should otherwise match: {label}"
            ),
            &format!("spec.names.shortNames[0]: Invalid value: \"UP\": {label}"),
        ],
    );
}

#[test]
fn scope_group_and_conversion() {
    check(
        |o| *o.at_mut(&["spec", "scope"]) = "Galaxy".into(),
        &["spec.scope: Unsupported value: \"Galaxy\": supported values: \"Cluster\", \"Namespaced\""],
    );
    check(
        |o| {
            *o.at_mut(&["spec", "group"]) = "nope.k8s.io".into();
            o.set_meta_str("name", "tries.nope.k8s.io");
        },
        &[
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \
           \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ],
    );
    check(
        |o| *o.at_mut(&["spec", "preserveUnknownFields"]) = true.into(),
        &[
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields \
           to true in spec.versions[*].schema instead",
        ],
    );
    check(
        |o| *o.at_mut(&["spec", "conversion"]) = json!({"strategy": "Webhook"}),
        &[
            "spec.conversion.conversionReviewVersions: Required value",
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ],
    );
}

#[test]
fn columns_subresources_and_selectable_fields() {
    check(
        |o| {
            o.at_mut(&["spec"])["versions"][0]["additionalPrinterColumns"] = json!([
                {"name": "", "type": "float", "jsonPath": "spec"},
                {"name": "B", "type": "string", "jsonPath": ".a[", "priority": -1},
            ]);
        },
        &[
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec\": must be a simple json path starting with .",
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Invalid value: \"float\": must be one of boolean,date,integer,number,string",
        ],
    );
    check(
        |o| {
            o.at_mut(&["spec"])["versions"][0]["subresources"] =
                json!({"scale": {"specReplicasPath": "spec.replicas", "statusReplicasPath": ".spec.x"}});
        },
        &[
            "spec.subresources.scale.specReplicasPath: Invalid value: \"spec.replicas\": \
             must be a simple json path starting with .",
            "spec.subresources.scale.statusReplicasPath: Invalid value: \".spec.x\": should be a json path under .status",
        ],
    );
    check(
        |o| {
            let version = &mut o.at_mut(&["spec"])["versions"][0];
            let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let spec = json!({"type": "object", "properties": {"a": {"type": "string"}, "o": open}});
            version["schema"] = json!({"openAPIV3Schema": spec_of(spec)});
            version["selectableFields"] =
                json!([{"jsonPath": ".spec.none"}, {"jsonPath": ".spec.o"}, {"jsonPath": ".metadata.name"}]);
        },
        &[
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec.none\": is an invalid path: does not refer to a valid field",
            "spec.selectableFields[1].jsonPath: Invalid value: \".spec.o\": must point to a field of type string, boolean or \
             integer. Enum string fields and strings with formats are allowed.",
            "spec.selectableFields[2].jsonPath: Invalid value: \".metadata.name\": is an invalid path: does not refer to a valid field",
        ],
    );
}

#[test]
fn types() {
    check_schema(json!({"type": "string"}), &[".type: Invalid value: \"string\": must be object at the root"]);
    check_schema(
        spec_of(json!({"properties": {"a": {}}})),
        &[
            ".properties[spec].properties[a].type: Required value: must not be empty for specified object fields",
            ".properties[spec].type: Required value: must not be empty for specified object fields",
        ],
    );
    check_schema(
        spec_of(json!({"type": "map"})),
        &[
            ".properties[spec].type: Unsupported value: \"map\": supported values: \"array\", \"boolean\", \"integer\", \
            \"number\", \"object\", \"string\"",
        ],
    );
    check_schema(spec_of(json!({"type": "array"})), &[".properties[spec].items: Required value: must be specified"]);
    check_schema(spec_of(json!({"type": "string", "x-kubernetes-int-or-string": true})), &[]);
}

#[test]
fn keywords() {
    check_schema(
        spec_of(json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"},
        })),
        &[
            ".properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ],
    );
    check_schema(spec_of(json!({"type": "object", "additionalProperties": false})), &[]);
    check_schema(
        spec_of(json!({
            "type": "object", "$ref": "#/x", "uniqueItems": true, "definitions": {"a": {"type": "string"}}, "dependencies": {},
        })),
        &[
            ".properties[spec].$ref: Forbidden: $ref is not supported",
            ".properties[spec].definitions: Forbidden: definitions is not supported",
            ".properties[spec].dependencies: Forbidden: dependencies is not supported",
            ".properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
    check_schema(
        spec_of(json!({"type": "string", "pattern": "["})),
        &[".properties[spec].pattern: Invalid value: \"[\": must be a valid regular expression, but isn't: \
            error parsing regexp: missing closing ]: `[`"],
    );
}

#[test]
fn structure_stands_outside_of_junctors() {
    check_schema(
        spec_of(json!({"type": "object", "anyOf": [
            {"type": "object", "properties": {"q": {"type": "string", "description": "d"}}},
        ]})),
        &[
            ".properties[spec].anyOf[0].properties[q].description: Forbidden: must be empty to be structural",
            ".properties[spec].anyOf[0].properties[q].type: Forbidden: must be empty to be structural",
            ".properties[spec].anyOf[0].type: Forbidden: must be empty to be structural",
        ],
    );
    check_schema(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {
            "name": {"type": "string", "maxLength": 5}, "labels": {"type": "object"},
        }}}}),
        &[".properties[metadata]: Forbidden: must not specify anything other than name and generateName, \
            but metadata is implicitly specified"],
    );
}

#[test]
fn defaults_fit() {
    check_schema(
        spec_of(json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": "x"}, "b": {"type": "string", "enum": ["p"], "default": "q"},
        }})),
        &[
            ".properties[spec].properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\"",
            ".properties[spec].properties[b].default: Unsupported value: \"q\": supported values: \"p\"",
        ],
    );
    check_schema(
        spec_of(json!({"type": "object", "default": {"zzz": 1}, "properties": {"a": {"type": "integer"}}})),
        &[".properties[spec].default: Invalid value: {\"zzz\":1}: must not have unknown fields"],
    );
}

#[test]
fn list_and_map_types() {
    let object = json!({"type": "object", "properties": {"k": {"type": "string"}}});
    let list = |kind: &str| json!({"type": "array", "x-kubernetes-list-type": kind, "items": object});
    check_schema(
        json!({"type": "object", "properties": {
            "a": list("map"), "b": list("set"), "d": {"type": "object", "x-kubernetes-list-type": "set"},
            "c": {"type": "array", "x-kubernetes-list-type": "odd", "items": {"type": "string"}},
        }}),
        &[
            ".properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
            ".properties[b].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with \
             x-kubernetes-list-type=set",
            ".properties[c].x-kubernetes-list-type: Unsupported value: \"odd\": supported values: \"atomic\", \"set\", \"map\"",
            ".properties[d].type: Invalid value: \"object\": must be array if x-kubernetes-list-type is specified",
        ],
    );
    let mut keyed = list("map");
    keyed["x-kubernetes-list-map-keys"] = json!(["k", "none"]);
    check_schema(
        json!({"type": "object", "properties": {"a": keyed}}),
        &[
            ".properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, \
             so it must have a default or be a required property",
            ".properties[a].x-kubernetes-list-map-keys: Invalid value: [\"k\",\"none\"]: entries must all be names of item properties",
        ],
    );
    check_schema(
        json!({"type": "object", "properties": {
            "a": {"type": "object", "x-kubernetes-map-type": "odd"}, "b": {"type": "string", "x-kubernetes-map-type": "atomic"},
        }}),
        &[
            ".properties[a].x-kubernetes-map-type: Unsupported value: \"odd\": supported values: \"atomic\", \"granular\"",
            ".properties[b].type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
        ],
    );
}

#[test]
fn validation_rules_have_a_form() {
    let rules = |rules: Value| {
        spec_of(json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-validations": rules}))
    };
    check_schema(
        rules(json!([{"rule": ""}, {"rule": "self.a > 1", "fieldPath": ".a"}])),
        &[".properties[spec].x-kubernetes-validations[0].rule: Required value: rule is not specified"],
    );
    check_schema(
        rules(json!([{"rule": "true", "reason": "Odd", "fieldPath": ".none", "message": "a\nb"}])),
        &[
            ".properties[spec].x-kubernetes-validations[0].fieldPath: Invalid value: \".none\": must be a valid path",
            ".properties[spec].x-kubernetes-validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks",
            ".properties[spec].x-kubernetes-validations[0].reason: Unsupported value: \"Odd\": supported values: \
             \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
        ],
    );
}

#[test]
fn versions_that_differ_are_named_one_by_one() {
    check(
        |o| {
            let mut second = o["spec"]["versions"][0].clone();
            second["name"] = "v2".into();
            second["storage"] = false.into();
            second["schema"]["openAPIV3Schema"]["type"] = "string".into();
            o.at_mut(&["spec", "versions"]).as_array_mut().unwrap().push(second);
        },
        &["spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root"],
    );
}

#[test]
fn what_may_not_change() {
    let old = definition(|o| *o.at_mut(&["status", "conditions"]) = json!([{"type": "Established", "status": "True"}]));
    let mut new = old.clone();
    *new.at_mut(&["spec", "scope"]) = "Cluster".into();
    assert_eq!(told(&validate_update(&new, &old)), ["spec.scope: Invalid value: \"Cluster\": field is immutable"]);
    let mut new = old.clone();
    *new.at_mut(&["spec", "group"]) = "other.example.com".into();
    assert_eq!(
        told(&validate_update(&new, &old)),
        ["spec.group: Invalid value: \"other.example.com\": field is immutable"]
    );
    let mut new = old.clone();
    new.at_mut(&["spec"])["versions"][0]["name"] = "v2".into();
    assert_eq!(told(&validate_update(&new, &old)).len(), 2);
}

/// A rule as errors show it.
fn shown(rule: &str) -> String {
    format!(
        "Invalid value: {{\"Rule\":\"{rule}\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\
         \"FieldPath\":\"\",\"OptionalOldSelf\":null}}"
    )
}

#[track_caller]
fn check_rules(rules: Value, expect: &[&str]) {
    let expect: Vec<String> = expect.iter().map(|e| format!(".properties[spec].x-kubernetes-validations{e}")).collect();
    let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-validations": rules});
    check_schema(spec_of(schema), &expect);
}

#[test]
fn rules_compile() {
    check_rules(
        json!([{"rule": "self.a > 'x'"}, {"rule": "self.none == 1"}, {"rule": "self.a =="}, {"rule": "self.a + 1"}]),
        &[
            &format!(
                "[0].rule: {}: compilation failed: ERROR: <input>:1:8: found no matching overload for '_>_' applied to \
                 '(int, string)'\n | self.a > 'x'\n | .......^",
                shown("self.a \\u003e 'x'")
            ),
            &format!(
                "[1].rule: {}: compilation failed: ERROR: <input>:1:5: undefined field 'none'\n | self.none == 1\n | ....^",
                shown("self.none == 1")
            ),
            &format!(
                "[2].rule: {}: compilation failed: ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>' expecting \
                 {{'[', '{{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, \
                 IDENTIFIER}}\n | self.a ==\n | .........^",
                shown("self.a ==")
            ),
            &format!("[3].rule: {}: cel expression must evaluate to a bool", shown("self.a + 1")),
        ],
    );
}

#[test]
fn messages_of_rules_compile() {
    let rule = |message: &str| json!([{"rule": "self.a > 1", "messageExpression": message}]);
    let shown = |message: &str| {
        format!(
            "[0].messageExpression: Invalid value: {{\"Rule\":\"self.a \\u003e 1\",\"Message\":\"\",\
             \"MessageExpression\":\"{message}\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}"
        )
    };
    check_rules(rule("self.a"), &[&format!("{}: messageExpression must evaluate to a string", shown("self.a"))]);
    check_rules(
        rule("nosuch"),
        &[&format!(
            "{}: messageExpression compilation failed: ERROR: <input>:1:1: undeclared reference to 'nosuch' \
             (in container '')\n | nosuch\n | ^",
            shown("nosuch")
        )],
    );
    check_rules(rule("self.a > 5 ? 'much too big' : 'too big'"), &[]);
}

#[test]
fn rules_that_cost_too_much() {
    let list = |bounds: &[(&str, u64)]| {
        let mut inner = json!({"type": "array", "items": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y))"}]});
        let mut outer = json!({"type": "array"});
        for (name, bound) in bounds {
            match *name {
                "outer" => outer["maxItems"] = (*bound).into(),
                "inner" => inner["maxItems"] = (*bound).into(),
                _ => inner["items"]["maxLength"] = (*bound).into(),
            }
        }
        outer["items"] = inner;
        spec_of(outer)
    };
    let hint = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                strings are declared)";
    let rule = ".properties[spec].items.x-kubernetes-validations[0].rule: Forbidden:";
    let contributed =
        format!("{rule} contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema");
    check_schema(
        list(&[]),
        &[
            &contributed,
            &format!("{rule} estimated rule cost exceeds budget by factor of more than 100x {hint}"),
            &format!(
                ": Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds \
                 budget by factor of more than 100x {hint}"
            ),
        ],
    );
    check_schema(list(&[("outer", 10), ("inner", 10), ("text", 10)]), &[]);
}

#[test]
fn changes_are_only_seen_where_values_have_a_past() {
    let rule = json!([{"rule": "self == oldSelf"}]);
    let items = json!({"type": "string", "maxLength": 5, "x-kubernetes-validations": rule});
    check_schema(
        spec_of(json!({"type": "array", "maxItems": 5, "items": items})),
        &[
            ".properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot \
            be used on the uncorrelatable portion of the schema within \
            spec.validation.openAPIV3Schema.properties[spec]",
        ],
    );
    check_rules(
        json!([{"rule": "self.a > 0", "optionalOldSelf": true}]),
        &["[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
    );
    check_rules(json!([{"rule": "!oldSelf.hasValue() || oldSelf.value().a < self.a", "optionalOldSelf": true}]), &[]);
}

#[test]
fn defaults_keep_rules() {
    check_schema(
        spec_of(json!({"type": "object", "properties": {"a": {
            "type": "integer", "default": 3, "x-kubernetes-validations": [{"rule": "self > 5", "message": "more"}],
        }}})),
        &[".properties[spec].properties[a].default: Invalid value: \"integer\": more"],
    );
}

#[test]
fn stored_rules_may_use_what_new_ones_may_not() {
    let with = |rule: &str| {
        definition(|o| {
            let schema = json!({"type": "object", "properties": {"spec": {
                "type": "object", "properties": {"l": {"type": "array", "maxItems": 3, "items": {"type": "integer"}}},
                "x-kubernetes-validations": [{"rule": rule}],
            }}});
            o.at_mut(&["spec"])["versions"][0]["schema"]["openAPIV3Schema"] = schema;
        })
    };
    let (sorted, plain) = ("self.l.sort() == self.l", "self.l.isSorted()");
    assert_eq!(validate(&with(sorted)).len(), 1);
    assert_eq!(validate_update(&with(sorted), &with(plain)).len(), 1);
    assert_eq!(told(&validate_update(&with(sorted), &with(sorted))), [""; 0]);
    assert_eq!(told(&validate(&with(plain))), [""; 0]);
}
