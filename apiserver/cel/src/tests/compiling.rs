//! What is told of expressions that are wrong, and which types right ones have.

use std::collections::HashMap;

use crate::{DeclType, Environment, Expressions, Limits, Type, Val};

fn environment() -> Environment {
    let spec = DeclType::object(
        "spec",
        [
            ("a", DeclType::int()),
            ("name", DeclType::string()),
            ("names", DeclType::list(DeclType::string(), 10)),
            ("labels", DeclType::map(DeclType::string(), 10)),
            ("port", DeclType::dynamic()),
        ],
    );
    Environment::new(Expressions::New).with_variable("self", spec.type_)
}

#[track_caller]
fn refused(text: &str, expect: &str) {
    let error = environment().compile(text).map(|program| program.output_type().to_string()).unwrap_err();
    assert_eq!(error.to_string(), expect, "{text}");
}

/// The first line of the first error.
#[track_caller]
fn told(text: &str, expect: &str) {
    let error = environment().compile(text).map(|program| program.output_type().to_string()).unwrap_err().to_string();
    assert_eq!(error.lines().next(), Some(format!("ERROR: <input>:{expect}").as_str()), "{text}: {error}");
}

#[track_caller]
fn typed(text: &str, expect: &str) {
    let program = environment().compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(program.output_type().to_string(), expect, "{text}");
}

#[test]
fn types_of_expressions() {
    typed("self.a", "int");
    typed("self.names", "list(string)");
    typed("self.labels", "map(string, string)");
    typed("self", "spec");
    typed("self.port", "dyn");
    typed("self.port + 1", "int");
    typed("self.port + self.port", "dyn");
    typed("[]", "list(dyn)");
    typed("[self.a]", "list(int)");
    typed("{'a': [1]}", "map(string, list(int))");
    typed("self.?name", "optional_type(string)");
    typed("self.names[?0]", "optional_type(string)");
    typed("self.names.map(n, n.size())", "list(int)");
    typed("self.labels.map(k, self.labels[k] + 'x')", "list(string)");
    typed("self.labels.transformMap(k, v, v.size())", "map(string, int)");
    typed("self.names.exists(n, n == '')", "bool");
    typed("true ? self.a : 5", "int");
    typed("type(self.a)", "type(int)");
    typed("duration('1h')", "duration");
    typed("optional.of(self.a).optMap(x, [x])", "optional_type(list(int))");
    typed("quantity('1')", "kubernetes.Quantity");
    typed("ip('::1')", "net.IP");
    typed("dyn(self.a)", "dyn");
    typed("null", "null");
}

#[test]
fn places_are_marked() {
    refused("self.nosuch == 1", "ERROR: <input>:1:5: undefined field 'nosuch'\n | self.nosuch == 1\n | ....^");
    refused(
        "self.a > 'x'",
        "ERROR: <input>:1:8: found no matching overload for '_>_' applied to '(int, string)'\n | self.a > 'x'\n | .......^",
    );
    refused("true &&\n  self.none", "ERROR: <input>:2:7: undefined field 'none'\n |   self.none\n | ......^");
    refused(
        "'é\u{4e16}' == self.none",
        "ERROR: <input>:1:13: undefined field 'none'\n | 'é\u{4e16}' == self.none\n | .\u{ff0e}\u{ff0e}.........^",
    );
}

#[test]
fn several_errors_are_told_in_order() {
    refused(
        "other + self.none",
        "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other + self.none\n | ^\n\
         ERROR: <input>:1:13: undefined field 'none'\n | other + self.none\n | ............^",
    );
}

#[test]
fn what_types_refuse() {
    told(
        "self.names.startsWith('a')",
        "1:22: found no matching overload for 'startsWith' applied to 'list(string).(string)'",
    );
    told("nosuch(1)", "1:7: undeclared reference to 'nosuch' (in container '')");
    told("self.a.nosuch()", "1:14: undeclared reference to 'nosuch' (in container '')");
    told("self.a.b", "1:7: type 'int' does not support field selection");
    told("1 && true", "1:1: expected type 'bool' but found 'int'");
    told(
        "self.a.all(x, x)",
        "1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
    );
    told("[1].all(x, x)", "1:12: expected type 'bool' but found 'int'");
    told("[1, 'a']", "1:5: expected type 'int' but found 'string'");
    told("{'a': 1, 'b': 'c'}", "1:15: expected type 'int' but found 'string'");
    told("true ? 1 : 'a'", "1:6: found no matching overload for '_?_:_' applied to '(bool, int, string)'");
    told("Thing{a: 1}", "1:6: undeclared reference to 'Thing' (in container '')");
    told("[?self.a]", "1:7: expected type 'optional_type(int)' but found 'int'");
    told("cel.bind(x, 1, x)", "1:1: undeclared reference to 'cel' (in container '')");
    told("math.greatest(1, 2)", "1:1: undeclared reference to 'math' (in container '')");
}

#[test]
fn what_macros_refuse() {
    told("has(self)", "1:5: invalid argument to has() macro");
    told("[1].all(1, true)", "1:9: argument must be a simple name");
    told("[1].map(1, 2)", "1:9: argument is not an identifier");
    told("[1].all(x, x, true)", "1:12: duplicate variable name: x");
    told("[1].map(__result__, 1)", "1:9: iteration variable overwrites accumulator variable");
    told("optional.of(1).optMap(1, 2)", "1:23: optMap() variable name must be a simple identifier");
}

#[test]
fn what_the_grammar_refuses() {
    let starts = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, \
                  IDENTIFIER}";
    told("self.a ==", &format!("1:10: Syntax error: mismatched input '<EOF>' expecting {starts}"));
    told("1 + * 2", &format!("1:5: Syntax error: extraneous input '*' expecting {starts}"));
    told("self.a b", "1:8: Syntax error: extraneous input 'b' expecting <EOF>");
    told("self.", "1:6: Syntax error: no viable alternative at input '.'");
    told("a | b", "1:3: Syntax error: token recognition error at: '| '");
    told("'abc", "1:1: Syntax error: token recognition error at: ''abc'");
    told("namespace", "1:1: reserved identifier: namespace");
    told("99999999999999999999", "1:1: invalid int literal");
    told("99999999999999999999u", "1:1: invalid uint literal");
    told("1e999", "1:1: invalid double literal");
    told("self.`a`", "1:6: unsupported syntax: '`'");
}

#[test]
fn literals_are_checked() {
    told("duration('x') == duration('1s')", "1:10: invalid duration argument");
    told("timestamp('x') == timestamp('x')", "1:11: invalid timestamp argument");
    told("self.name.matches('[')", "1:19: invalid matches argument");
    told(
        "'%d'.format(['a'])",
        "1:14: error during formatting: decimal clause can only be used on integers, was given string",
    );
    told("'%s'.format(['a', 1])", "1:12: too many arguments supplied to string.format (expected 1, got 2)");
    let error = environment().compile("self.name.find('[') == ''").map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("error parsing regexp: "), "{error}");
}

#[test]
fn new_expressions_keep_to_what_the_version_before_knows() {
    told("[2, 1].sort() == [1, 2]", "1:12: undeclared reference to 'sort' (in container '')");
    told("lists.range(3) == [0, 1, 2]", "1:1: undeclared reference to 'lists' (in container '')");
    assert!(Environment::new(Expressions::Stored).compile("[2, 1].sort() == [1, 2]").is_ok());
}

#[test]
fn names_of_variables_may_have_dots() {
    let environment = Environment::new(Expressions::New)
        .with_variable("variables.x", Type::Int)
        .with_variable("variables", Type::Dyn);
    let program = environment.compile("variables.x + variables.y").unwrap();
    assert!(program.uses("variables.x") && program.uses("variables") && !program.uses("x"));
    let values = HashMap::from([("variables.x", Val::Int(1)), ("variables", Val::map([("y".into(), Val::Int(2))]))]);
    let evaluated = program.evaluate(&values, Limits { cost: 100, interrupted: &|| false });
    assert!(matches!(evaluated.value, Ok(Val::Int(3))), "{:?}", evaluated.value);
}

#[test]
fn a_variable_without_a_value_is_an_error() {
    let program = environment().compile("self.a > 1").unwrap();
    let none = HashMap::<&str, Val>::new();
    let evaluated = program.evaluate(&none, Limits { cost: 100, interrupted: &|| false });
    assert_eq!(evaluated.value.unwrap_err().to_string(), "no such attribute(s): self");
}
