//! Rules over whole objects, as a definition's strategy judges them.

use api_meta::{FieldErrors, Object, Value, json};

use crate::resources;

mod costs;

/// A definition whose `spec` (and `status`, which is a subresource) have these schemas, served.
fn strategy(spec: Value, status: Value) -> std::sync::Arc<dyn apiserver_model::Strategy> {
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    });
    let names = json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let object = json!({"metadata": {"name": "things.example.com"}, "spec": spec});
    resources(&Object::try_from(object).unwrap()).unwrap().remove(0).strategy
}

fn thing(spec: Value) -> Object {
    let object = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec});
    Object::try_from(object).unwrap()
}

fn told(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_create(schema: Value, spec: Value, expect: &[&str]) {
    let errors = strategy(schema, json!({"type": "object"})).validate(&thing(spec));
    assert_eq!(told(&errors), expect);
}

#[track_caller]
fn check_update(schema: Value, old: Value, new: Value, expect: &[&str]) {
    let errors = strategy(schema, json!({"type": "object"})).check_update(&thing(new), &thing(old));
    assert_eq!(told(&errors), expect);
}

/// An object of integers with rules.
fn ints(names: &[&str], rules: Value) -> Value {
    let properties: api_meta::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "integer"}))).collect();
    json!({"type": "object", "properties": properties, "x-kubernetes-validations": rules})
}

fn range() -> Value {
    json!({
        "type": "object",
        "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"},
            "items": {"type": "array", "items": {"type": "string"}}, "grow": {"type": "integer"},
            "owner": {"type": "string"},
            "frozen": {"type": "string", "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "frozen is frozen"}]},
        },
        "x-kubernetes-validations": [
            {"rule": "!has(self.min) || !has(self.max) || self.min <= self.max", "message": "not used",
             "messageExpression": "has(self.name) ? 'bad range of ' + self.name : 'bad range'"},
            {"rule": "!has(self.name) || self.name.startsWith('ok')", "message": "name must start with ok",
             "reason": "FieldValueForbidden", "fieldPath": ".name"},
            {"rule": "!has(self.items) || self.items.all(i, i.matches('^[a-z]+$'))"},
            {"rule": "has(oldSelf.owner) == has(self.owner)", "message": "owner cannot come or go"},
            {"rule": "!oldSelf.hasValue() || !has(self.grow) || !has(oldSelf.value().grow) \
              || self.grow >= oldSelf.value().grow", "optionalOldSelf": true, "message": "grow only grows"},
            {"rule": "!has(self.min) || 100 / self.min > 0"},
        ],
    })
}

#[test]
fn messages() {
    let check = |spec, expect: &[&str]| check_create(range(), spec, expect);
    check(json!({"min": 1, "max": 2, "name": "okay", "items": ["x"], "frozen": "ice", "owner": "me", "grow": 5}), &[]);
    check(json!({"min": 3, "max": 2}), &["spec: Invalid value: \"object\": bad range"]);
    check(json!({"min": 3, "max": 2, "name": "okay"}), &["spec: Invalid value: \"object\": bad range of okay"]);
    check(json!({"name": "bad"}), &["spec.name: Forbidden: name must start with ok"]);
    check(
        json!({"items": ["X"]}),
        &["spec: Invalid value: \"object\": failed rule: !has(self.items) || self.items.all(i, i.matches('^[a-z]+$'))"],
    );
    check(
        json!({"min": 0}),
        &["spec: Invalid value: \"object\": division by zero evaluating rule: !has(self.min) || 100 / self.min > 0"],
    );
    check(
        json!({"min": 3, "max": 2, "name": "bad"}),
        &["spec: Invalid value: \"object\": bad range of bad", "spec.name: Forbidden: name must start with ok"],
    );
}

#[test]
fn an_object_of_the_wrong_shape_is_not_asked_about() {
    check_create(
        range(),
        json!({"min": "x", "name": "bad"}),
        &[
            "spec.min: Invalid value: \"string\": spec.min in body must be of type integer: \"string\"",
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
             correct the existing errors to complete validation",
        ],
    );
}

#[test]
fn transitions() {
    let check = |old, new, expect: &[&str]| check_update(range(), old, new, expect);
    check(
        json!({"frozen": "ice"}),
        json!({"frozen": "water"}),
        &["spec.frozen: Invalid value: \"string\": frozen is frozen"],
    );
    check(json!({"frozen": "ice"}), json!({}), &[]);
    check(json!({}), json!({"frozen": "ice"}), &[]);
    check(json!({"owner": "me"}), json!({}), &["spec: Invalid value: \"object\": owner cannot come or go"]);
    check(json!({"grow": 5}), json!({"grow": 4}), &["spec: Invalid value: \"object\": grow only grows"]);
    check(json!({"grow": 5}), json!({"grow": 6}), &[]);
    check(json!({}), json!({"grow": 6}), &[]);
}

#[test]
fn items_with_keys_have_a_past() {
    let list = |list_type: &str| {
        let item = json!({
            "type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "v only grows"}],
        });
        let mut list = json!({"type": "array", "x-kubernetes-list-type": list_type, "items": item});
        if list_type == "map" {
            list["x-kubernetes-list-map-keys"] = json!(["k"]);
        }
        json!({"type": "object", "properties": {"list": list}})
    };
    let old = json!({"list": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]});
    let new = json!({"list": [{"k": "b", "v": 4}, {"k": "a", "v": 2}, {"k": "c", "v": 0}]});
    check_update(list("map"), old.clone(), new.clone(), &["spec.list[0]: Invalid value: \"object\": v only grows"]);
    check_update(list("atomic"), old, new, &[]);
}

#[test]
fn unchanged_values_are_not_judged_again() {
    let strict = json!({"type": "object", "properties": {
        "a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'good'", "message": "must be good"}]},
        "b": {"type": "integer"},
    }});
    let check = |old, new, expect: &[&str]| check_update(strict.clone(), old, new, expect);
    let error = "spec.a: Invalid value: \"string\": must be good";
    check(json!({"a": "bad", "b": 1}), json!({"a": "bad", "b": 2}), &[]);
    check(json!({"a": "bad"}), json!({"a": "worse"}), &[error]);
    check(json!({"b": 1}), json!({"a": "bad", "b": 1}), &[error]);
    // A rule that looks at a change is asked even if there is none.
    let never = ints(&["a"], json!([{"rule": "self.a > oldSelf.a", "message": "must grow"}]));
    check_update(never, json!({"a": 1}), json!({"a": 1}), &["spec: Invalid value: \"object\": must grow"]);
}

#[test]
fn an_error_is_not_forgiven() {
    let divides = ints(&["a", "b"], json!([{"rule": "1 / self.a > 0", "message": "m"}]));
    check_update(
        divides,
        json!({"a": 0}),
        json!({"a": 0}),
        &["spec: Invalid value: \"object\": division by zero evaluating rule: m"],
    );
}

#[test]
fn reasons() {
    let schema = ints(
        &["a", "b"],
        json!([
            {"rule": "self.a > 9", "reason": "FieldValueRequired", "fieldPath": ".a", "message": "r"},
            {"rule": "self.a > 9", "reason": "FieldValueDuplicate", "fieldPath": ".a", "message": "d"},
            {"rule": "self.a > 9", "reason": "FieldValueInvalid", "message": " i "},
        ]),
    );
    check_create(
        schema,
        json!({"a": 1}),
        &["spec.a: Required value: r", "spec.a: Duplicate value: \"object\"", "spec: Invalid value: \"object\": i"],
    );
}

#[test]
fn messages_that_cannot_be_shown() {
    let rule = |expression: &str| json!({"rule": "self.a > 9", "message": "plain", "messageExpression": expression});
    let schema = ints(&["a"], json!([rule("''"), rule("'a\\nb'"), rule("[''][self.a]"), rule("' padded '")]));
    let plain = "spec: Invalid value: \"object\": plain";
    check_create(schema, json!({"a": 1}), &[plain, plain, plain, "spec: Invalid value: \"object\": padded"]);
}

#[test]
fn types_that_are_only_known_later() {
    let schema = json!({
        "type": "object", "properties": {"port": {"x-kubernetes-int-or-string": true}},
        "x-kubernetes-validations": [{"rule": "self.port > 5"}],
    });
    check_create(schema.clone(), json!({"port": 6}), &[]);
    check_create(
        schema,
        json!({"port": "http"}),
        &["spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, \
            function or macro signature for rule: self.port > 5"],
    );
}

#[test]
fn names_that_need_escaping() {
    let schema = json!({
        "type": "object", "properties": {"a-b": {"type": "integer"}, "namespace": {"type": "integer"}},
        "x-kubernetes-validations": [
            {"rule": "self.a__dash__b < self.namespace", "message": "m", "fieldPath": "['a-b']"},
            {"rule": "self.__namespace__ > 0", "message": "n"},
        ],
    });
    check_create(schema.clone(), json!({"a-b": 1, "namespace": 2}), &[]);
    check_create(
        schema,
        json!({"a-b": 2, "namespace": 0}),
        &["spec.a-b: Invalid value: \"object\": m", "spec: Invalid value: \"object\": n"],
    );
}

#[test]
fn the_order_of_sets_and_keyed_lists_means_nothing() {
    let strings = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    let keyed = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}},
    });
    let schema = json!({
        "type": "object", "properties": {"set": strings, "keyed": keyed},
        "x-kubernetes-validations": [
            {"rule": "self.set == ['b', 'a'] && self.set + ['a', 'c'] == ['a', 'b', 'c']"},
            {"rule": "self.keyed == oldSelf.keyed"},
        ],
    });
    let with = |keys: [&str; 2]| json!({"set": ["a", "b"], "keyed": [{"k": keys[0]}, {"k": keys[1]}]});
    check_create(schema.clone(), with(["x", "y"]), &[]);
    check_update(schema.clone(), with(["x", "y"]), with(["y", "x"]), &[]);
    check_update(
        schema,
        with(["x", "y"]),
        with(["x", "z"]),
        &["spec: Invalid value: \"object\": failed rule: self.keyed == oldSelf.keyed"],
    );
}

#[test]
fn times_and_maps() {
    let schema = json!({
        "type": "object",
        "properties": {
            "when": {"type": "string", "format": "date-time"}, "long": {"type": "string", "format": "duration"},
            "day": {"type": "string", "format": "date"}, "raw": {"type": "string", "format": "byte"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "x-kubernetes-validations": [
            {"rule": "self.when > timestamp('2020-01-01T00:00:00Z') && self.when.getFullYear() == 2021"},
            {"rule": "self.long < duration('2h') && self.day.getMonth() == 1 && self.raw == b'hi'"},
            {"rule": "self.labels.all(k, self.labels[k].size() > 0) && 'a.b/c' in self.labels"},
        ],
    });
    let fits = json!({
        "when": "2021-01-01T00:00:00Z", "long": "1h30m", "day": "2021-02-03", "raw": "aGk=", "labels": {"a.b/c": "x"},
    });
    check_create(schema, fits, &[]);
}

#[test]
fn metadata_of_the_root_are_known_by_name() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object"}}, "x-kubernetes-validations": [
        {"rule": "self.metadata.name.size() < 2 && self.kind == 'Thing' && self.apiVersion == 'example.com/v1'"},
    ]});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names = json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let definition = Object::try_from(json!({"metadata": {"name": "things.example.com"}, "spec": spec})).unwrap();
    let strategy = resources(&definition).unwrap().remove(0).strategy;
    assert_eq!(told(&strategy.validate(&thing(json!({})))), [""; 0]);
    let mut long = thing(json!({}));
    long.set_meta_str("name", "long");
    let errors = told(&strategy.validate(&long));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("<nil>: Invalid value: \"object\": failed rule: self.metadata.name"), "{errors:?}");
}

#[test]
fn rules_of_the_status_hold_for_updates_of_it() {
    let status = ints(&["ready"], json!([{"rule": "self.ready >= 0", "message": "cannot be less than none"}]));
    let strategy = strategy(json!({"type": "object"}), status);
    let mut new = thing(json!({}));
    new.insert("status".into(), json!({"ready": -1}));
    let errors = strategy.validate_status_update(&new, &thing(json!({})));
    assert_eq!(told(&errors), ["status: Invalid value: \"object\": cannot be less than none"]);
    new.insert("status".into(), json!({"ready": 1}));
    assert_eq!(told(&strategy.validate_status_update(&new, &thing(json!({})))), [""; 0]);
}

#[test]
fn rules_within_all_of() {
    let schema = json!({
        "type": "object", "properties": {"a": {"type": "integer"}},
        "allOf": [{"x-kubernetes-validations": [{"rule": "self.a > 1", "message": "more"}],
                   "properties": {"a": {"x-kubernetes-validations": [{"rule": "self < 9", "message": "less"}]}}}],
    });
    check_create(schema.clone(), json!({"a": 5}), &[]);
    check_create(schema.clone(), json!({"a": 1}), &["spec: Invalid value: \"object\": more"]);
    check_create(schema, json!({"a": 9}), &["spec.a: Invalid value: \"integer\": less"]);
}

#[test]
fn what_costs_too_much_is_stopped() {
    let rule = "self.items.all(a, self.items.all(b, self.items.all(c, a + b + c >= 0)))";
    let schema = json!({
        "type": "object", "properties": {"items": {"type": "array", "items": {"type": "integer"}}},
        "x-kubernetes-validations": [{"rule": rule}, {"rule": "false"}],
    });
    let items: Vec<i64> = (0..200).collect();
    check_create(
        schema,
        json!({"items": items}),
        &[&format!(
            "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': \
             no further validation rules will be run due to call cost exceeds limit for rule: {rule}"
        )],
    );
}

#[test]
fn all_rules_share_a_budget() {
    // Each item is cheap enough, all together are not.
    let schema = json!({"type": "object", "properties": {"lists": {"type": "array", "items": {
        "type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a + b >= 0))", "message": "m"}],
    }}}});
    let list: Vec<i64> = (0..300).collect();
    let errors = strategy(schema, json!({"type": "object"})).validate(&thing(json!({"lists": vec![list; 30]})));
    let told = told(&errors);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("validation failed due to running out of cost budget"), "{told:?}");
}
