//! What rules cost, estimated and counted. The figures are upstream's (`TestCostEstimation`, `TestCelCostStability`):
//! rules that are affordable there must be affordable here, and no others.

use std::collections::HashMap;
use std::sync::Arc;

use api_meta::{Value, json};
use apiserver_cel::{DeclType, Environment, Expressions, Limits, Val};

use crate::schema::values;

fn type_of(schema: &Value, is_root: bool) -> Arc<DeclType> {
    Arc::new(DeclType::of_schema(&values(schema), is_root, "selfType").unwrap())
}

fn environment(type_: &DeclType) -> Environment {
    let environment = Environment::new(Expressions::Stored).with_variable("self", type_.type_.clone());
    environment.with_variable("oldSelf", type_.type_.clone())
}

/// Every line is a rule, true of the object, and after the last `=>` what that costs.
#[track_caller]
fn check(properties: Value, object: Value, lines: &str) {
    let type_ = type_of(&json!({"type": "object", "properties": properties}), true);
    let variables = HashMap::from([("self", Val::from_data(&object, &type_))]);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (rule, cost) = line.rsplit_once(" => ").unwrap();
        let program = environment(&type_).compile(rule).unwrap_or_else(|error| panic!("{error}"));
        let evaluated = program.evaluate(&variables, Limits { cost: u64::MAX, interrupted: &|| false });
        assert!(matches!(evaluated.value, Ok(Val::Bool(true))), "{rule}: {:?}", evaluated.value);
        assert_eq!(evaluated.cost.to_string(), cost, "{rule}");
    }
}

/// What a rule costs at most over data of a schema.
#[track_caller]
fn check_estimate(schema: Value, rule: &str, expect: u64) {
    let type_ = type_of(&schema, false);
    let program = environment(&type_).compile(rule).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.estimate(Some(&type_)).max, expect, "{rule} over {schema}");
}

/// The same schema without and with a bound.
#[track_caller]
fn check_estimates(schema: impl Fn(Option<u64>) -> Value, rule: &str, unbounded: u64, bound: u64, bounded: u64) {
    check_estimate(schema(None), rule, unbounded);
    check_estimate(schema(Some(bound)), rule, bounded);
}

fn scalar(type_: &str) -> Value {
    match type_ {
        "int-or-string" => json!({"x-kubernetes-int-or-string": true}),
        "duration" | "date" | "date-time" | "byte" => json!({"type": "string", "format": type_}),
        other => json!({"type": other}),
    }
}

fn with(mut schema: Value, key: &str, bound: Option<u64>) -> Value {
    if let Some(bound) = bound {
        schema[key] = bound.into();
    }
    schema
}

fn array(items: Value) -> impl Fn(Option<u64>) -> Value {
    move |bound| with(json!({"type": "array", "items": items}), "maxItems", bound)
}

fn map(items: Value) -> impl Fn(Option<u64>) -> Value {
    move |bound| with(json!({"type": "object", "additionalProperties": items}), "maxProperties", bound)
}

fn string(bound: Option<u64>) -> Value {
    with(scalar("string"), "maxLength", bound)
}

#[test]
fn loops_are_estimated() {
    let all = "self.all(x, true)";
    check_estimates(array(scalar("number")), all, 4_718_591, 10, 32);
    check_estimates(array(scalar("string")), all, 3_145_727, 20, 62);
    check_estimates(array(scalar("boolean")), all, 1_887_437, 5, 17);
    check_estimates(array(scalar("int-or-string")), all, 4_718_591, 10, 32);
    check_estimates(array(scalar("duration")), all, 2_359_295, 5, 17);
    check_estimates(array(scalar("date")), all, 725_936, 15, 47);
    check_estimates(array(scalar("date-time")), all, 428_963, 25, 77);
    check_estimates(array(array(scalar("number"))(None)), all, 3_145_727, 100, 302);
    check_estimates(map(scalar("number")), all, 1_348_169, 10, 32);
    check_estimates(map(scalar("string")), all, 1_179_647, 3, 11);
    check_estimates(map(scalar("boolean")), all, 943_718, 100, 302);
    check_estimates(map(scalar("date-time")), all, 349_526, 25, 77);
    check_estimates(map(map(scalar("number"))(None)), all, 1_179_647, 10, 32);
    check_estimates(array(scalar("number")), "self.all(x, x == 0.0)", 6_291_454, 3 * 1024 * 2048, 25_165_826);
    check_estimate(array(scalar("number"))(Some(10)), "self.all(x, self.all(y, true))", 352);
    check_estimate(array(scalar("number"))(Some(10)), "self.all(x, self.all(y, self.all(z, true)))", 3552);
    check_estimates(array(map(scalar("number"))(None)), "self.all(x, x.y == 25.2)", 6_291_452, 12, 74);
}

#[test]
fn accesses_are_estimated() {
    check_estimates(array(scalar("number")), "self[1] == 0.0", 2, 5000, 2);
    check_estimates(array(scalar("string")), "self[1] == self[1]", 314_577, 8, 314_577);
    check_estimates(map(scalar("number")), "self[\"x\"] == 0.0", 2, 0, 2);
    check_estimates(array(scalar("int-or-string")), "self[0] == 5", 3, 10, 3);
    check_estimates(array(scalar("boolean")), "self[0] == false", 2, 25, 2);
    check_estimates(array(array(scalar("number"))(None)), "self[0][0] == -1.0", 3, 51, 3);
    check_estimates(array(map(scalar("number"))(None)), "self[0].x > 2.0", 4, 3000, 4);
    check_estimates(array(scalar("duration")), "self[0].getHours() == 2", 4, 525, 4);
    check_estimates(map(scalar("integer")), "oldSelf.size() == self.size()", 5, 10, 5);
    check_estimates(map(scalar("date-time")), "self[\"a\"] == self[\"b\"]", 8, 7, 8);
}

#[test]
fn texts_are_estimated() {
    check_estimates(string, "self.contains('test')", 314_574, 10, 5);
    check_estimates(string, "self.startsWith('test')", 2, 15, 2);
    check_estimates(string, "size(self + \"hello\") > size(\"hello\")", 314_578, 4, 7);
    check_estimates(string, "self.matches(\"x\")", 314_574, 50, 22);
    check_estimates(string, "\"\".matches(\"(((((((((())))))))))[0-9]\")", 7, 10, 7);
    check_estimates(string, "self.matches(\"\")", 1, 100, 1);
    check_estimates(string, "self == \"x\"", 2, 0, 1);
    check_estimates(|bound| with(scalar("byte"), "maxLength", bound), "self == b\"x\"", 2, 0, 1);
    check_estimates(string, "self.find('[0-9]+') == ''", 629_147, 10, 11);
    check_estimates(string, "self.lowerAscii() == 'lower!'", 314_575, 10, 6);
    let choices = |bound| with(json!({"type": "string", "enum": ["A", "B", "LongValue"]}), "maxLength", bound);
    check_estimates(choices, "self.contains('A')", 2, 1000, 401);
    check_estimates(|bound| with(scalar("int-or-string"), "maxLength", bound), "isQuantity(self)", 314_574, 20, 9);
    let strings = |bound| with(json!({"type": "array", "items": string(bound)}), "maxItems", bound);
    check_estimates(strings, "self.join(' ') == 'aa bb'", 329_853_068_905, 10, 43);
    check_estimates(strings, "self.isSorted() == true", 329_854_432_052, 10, 52);
    let three = |bound| {
        json!({"type": "object", "properties": {
            "str": string(bound), "before": string(Some(2)), "after": string(Some(4)),
        }})
    };
    let replaced = "self.str.replace(self.before, self.after) == 'does not matter'";
    check_estimates(three, replaced, 629_154, 4, 12);
    let two = |bound| json!({"type": "object", "properties": {"str": string(bound), "separator": string(bound)}});
    check_estimates(two, "self.str.split(self.separator) == []", 629_160, 10, 22);
}

#[test]
fn scalars_are_counted() {
    let properties = json!({"a": scalar("integer"), "b": scalar("integer"), "n": scalar("number"),
        "something": scalar("int-or-string"), "obj": {"type": "object", "properties": {
            "field": {"type": "string"}, "absent": {"type": "string"}}},
        "m": map(scalar("string"))(None), "l": array(scalar("string"))(None)});
    check(
        properties,
        json!({"a": 5, "b": 5, "n": 10.0, "something": "25%", "obj": {"field": "a"}, "m": {"k": "v"}, "l": ["a"]}),
        "
        self.a == self.b => 5
        type(self.a) == int => 4
        self.a + 1 == 5 + 1 => 5
        double(self.a) < self.n => 6
        double(5) < 10.0 => 1
        double(self.a) < 10.0 => 4
        type(self.something) == int ? self.something == 1 : self.something == '25%' => 7
        self.something == 1 || self.something == '25%' => 6
        self.something == '25%' || self.something == 1 => 3
        self.something != ['anything'] => 3
        has(self.obj.field) => 2
        !has(self.obj.absent) => 3
        has(self.obj) && has(self.obj.field) => 3
        optional.of('a') != optional.of('b') => 3
        optional.of('a').or(optional.of('a')).hasValue() => 2
        optional.none().or(optional.of('a')).hasValue() => 3
        optional.of('a').optMap(v, v == 'value').hasValue() => 8
        self.obj.?field == optional.of('a') => 5
        self.obj.?absent == optional.none() => 4
        self.obj.?field.orValue('v') == 'a' => 4
        self.m[?'k'] == optional.of('v') => 5
        self.l[?0] == optional.of('a') => 5
        self.obj.field in ['a', 'b'] => 3
        type(self) == type(self) => 5
        ",
    );
}

#[test]
fn texts_are_counted() {
    check(
        json!({"val1": scalar("string"), "bytes": scalar("byte"), "when": scalar("date-time")}),
        json!({"val1": "Rook takes 👑", "bytes": "QUI=", "when": "2011-08-18T19:03:37.01+01:00"}),
        "
        self.val1.startsWith('Rook') => 4
        !self.val1.startsWith('knight') => 5
        self.val1.matches('^[^0-9]*$') => 8
        !self.val1.matches('^[0-9]*$') => 7
        size(self.val1) == 12 => 4
        self.val1.charAt(3) == 'k' => 4
        self.val1.indexOf('o') == 1 => 4
        self.val1.replace(' ', 'x') == 'Rookxtakesx👑' => 7
        self.val1.split(' ') == ['Rook', 'takes', '👑'] => 6
        self.val1.substring(5) == 'takes 👑' => 5
        self.val1.substring(4, 10).trim() == 'takes' => 6
        self.val1.upperAscii() == 'ROOK TAKES 👑' => 6
        self.val1.lowerAscii() == self.val1.lowerAscii() => 10
        self.bytes == b'AB' => 3
        self.when.getDate('01:00') == 18 => 4
        '%o %o %o'.format([7, 8, 9]) == '7 10 11' => 2
        '%b %b %b'.format([7, 8, 9]) == '111 1000 1001' => 3
        ",
    );
}

#[test]
fn loops_are_counted() {
    check(
        json!({"array": array(scalar("integer"))(None), "val": map(scalar("integer"))(None)}),
        json!({"array": [1, 1, 2, 2, 3, 3, 4, 5], "val": {"b": 1, "d": 2}}),
        "
        2 in self.array => 10
        self.array.all(e, e > 0) => 43
        self.array.exists(e, e > 2) => 36
        self.array.exists_one(e, e > 4) => 22
        !self.array.all(e, e < 2) => 21
        !self.array.exists(e, e < 0) => 52
        size(self.array.filter(e, e%2 == 0)) == 3 => 68
        self.array.map(e, e * 20).filter(e, e > 50).exists(e, e == 60) => 194
        self.array.all(i, e, e > 0) => 43
        self.array.transformList(i, e, e > 2, e * 2).size() > 0 => 77
        self.array.transformList(i, e, e * 2).size() > 0 => 117
        self.val.all(k, self.val[k] > 0) => 17
        !self.val.exists(k, self.val[k] == 3) => 20
        self.val.exists_one(k, self.val[k] == 2) => 14
        size(self.val.filter(k, self.val[k] > 1)) == 1 => 26
        self.val.all(k, v, v > 0) => 13
        self.val.transformMap(k, v, v > 1, v + 1).size() == 1 => 14
        self.val.transformMap(k, v, v + 1).size() == 2 => 15
        self.val.transformMapEntry(k, v, v > 1, {k + '2': v + 1}).size() == 1 => 45
        self.val.transformMapEntry(k, v, {k + '2': v + 1}).size() == 2 => 77
        'b' in self.val => 3
        has(self.val.b) => 2
        ",
    );
}

#[test]
fn lists_with_keys_are_counted() {
    let item = json!({"type": "object", "required": ["k"], "properties": {
        "k": scalar("string"), "v": scalar("string"), "v2": scalar("string")}});
    let list = json!({
        "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
    });
    let set = json!({"type": "array", "items": scalar("string"), "x-kubernetes-list-type": "set"});
    check(
        json!({"listMap": list, "val1": set, "val2": set}),
        json!({"listMap": [{"k": "a1", "v": "b1"}, {"k": "a2", "v": "b2"}, {"k": "a3", "v": "b3", "v2": "z"}],
               "val1": ["a", "b", "c"], "val2": ["a", "c", "b"]}),
        "
        has(self.listMap[0].v) => 3
        self.listMap.all(m, m.k.startsWith('a')) => 21
        self.listMap.all(m, !has(m.v2) || m.v2 == 'z') => 21
        self.listMap.exists(m, m.k.endsWith('1')) => 13
        self.listMap.exists_one(m, m.k == 'a3') => 15
        self.listMap.map(m, m.v).exists(v, v == 'b1') => 55
        self.listMap.filter(m, has(m.v2) && m.v2 == 'z').map(m, m.v2).size() == 1 => 39
        self.listMap.exists(m, m.v2 == 'z') => 24
        !self.listMap.all(m, m.v2 != 'z') => 22
        self.val1 == ['c', 'b', 'a'] => 3
        self.val1 == self.val2 => 5
        self.val2[0] in self.val1 => 8
        self.val1 + self.val2 == ['a', 'b', 'c'] => 6
        sets.contains(self.val1, ['a']) => 6
        sets.equivalent(self.val1, ['a', 'b', 'c']) => 21
        ",
    );
}

/// Every line is a rule over an object with such properties, and after the last `=>` what it may cost.
#[track_caller]
fn check_object(properties: Value, lines: &str) {
    let schema = json!({"type": "object", "properties": properties});
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (rule, cost) = line.rsplit_once(" => ").unwrap();
        check_estimate(schema.clone(), rule, cost.parse().unwrap());
    }
}

#[test]
fn objects_are_estimated() {
    let list =
        |items: Value, list_type: &str| json!({"type": "array", "items": items, "x-kubernetes-list-type": list_type});
    check_object(
        json!({"val1": array(scalar("integer"))(None), "val2": array(scalar("integer"))(None)}),
        "
        1 in self.val1 => 1572865
        self.val2[0] in self.val1 => 1572868
        !(0 in self.val1) => 1572866
        self.val1 + self.val2 == [1, 2, 3, 1, 2, 3] => 16
        self.val1 + [4, 5] == [1, 2, 3, 4, 5] => 24
        has(self.val1) && has(self.val2) => 2
        self.val1.all(k, size(self.val1) > 0) => 11010044
        self.val1.exists_one(k, self.val1 == [2]) => 23592949
        !self.val1.exists_one(k, size(self.val1) > 0) => 9437183
        size(self.val1) == 2 => 4
        size(self.val1.filter(k, size(self.val1) > 1)) == 1 => 26738686
        ",
    );
    check_object(
        json!({"val1": list(scalar("string"), "set"), "val2": list(scalar("string"), "set")}),
        "
        self.val1 == ['c', 'b', 'a'] => 13
        self.val1 == self.val2 => 104862
        'a' in self.val1 => 1048577
        self.val1 + ['c', 'd'] == ['a', 'b', 'c', 'd'] => 24
        self.val1.exists_one(k, self.val1 == ['a']) => 15728629
        size(self.val1.filter(k, size(self.val1) > 1)) == 1 => 17825790
        ",
    );
    let mut keyed =
        list(json!({"type": "object", "properties": {"k": scalar("string"), "v": scalar("string")}}), "map");
    keyed["x-kubernetes-list-map-keys"] = json!(["k"]);
    check_object(
        json!({"objs": array(keyed)(None)}),
        "
        self.objs[0] == self.objs[1] => 104864
        self.objs[0] + self.objs[2] == self.objs[2] => 104868
        self.objs[0] == [self.objs[0][0], self.objs[0][1]] => 22
        self.objs[2] + [self.objs[0][0], self.objs[0][1]] == self.objs[0] => 104883
        size(self.objs[0] + [self.objs[3][0]]) == 3 => 20
        ",
    );
    check_object(
        json!({
            "i": scalar("integer"), "n": scalar("number"), "s": scalar("string"), "b": scalar("byte"),
            "t": scalar("date-time"), "e": {"type": "string", "enum": ["Pending", "Available", "Failed"]},
        }),
        "
        int(self.n) == self.i => 5
        bytes(self.s) == self.b => 629150
        string(self.i) == self.s => 314578
        string(self.n) == '10.5' => 4
        string(self.b) == self.s => 629150
        timestamp(self.s) == self.t => 6
        self.e == 'Pending' => 3
        self.e in ['Pending', 'Available'] => 14
        ",
    );
}
