//! Whatever the text, compiling and evaluating come to an end and do not panic.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::{DeclType, Environment, ErrorKind, Evaluated, Expressions, Limits, Val};

const COST: u64 = 20_000;

fn run(text: &str) -> Option<Evaluated> {
    let type_ = DeclType::object("self", [("a", DeclType::int()), ("l", DeclType::list(DeclType::string(), 10))]);
    let environment = Environment::new(Expressions::Stored)
        .with_variable("self", type_.type_.clone())
        .with_variable("d", crate::Type::Dyn);
    let program = environment.compile(text).ok()?;
    let _ = program.estimate(Some(&std::sync::Arc::new(type_.clone())));
    let data = api_meta::json!({"a": 5, "l": ["x", "y"]});
    let values = HashMap::from([
        ("self", Val::from_data(&data, &type_)),
        ("d", Val::from_json(&api_meta::json!({"x": [1, null, {"y": 1.5}], "z": "text"}))),
    ]);
    Some(program.evaluate(&values, Limits { cost: COST, interrupted: &|| false }))
}

#[track_caller]
fn ends_soon(text: &str) -> Option<Evaluated> {
    let start = Instant::now();
    let evaluated = run(text);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} for {}", text.chars().take(200).collect::<String>());
    evaluated
}

/// Pieces that fit together now and then.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "self",
        "d",
        "self.a",
        "self.l",
        "x",
        ".a",
        ".?b",
        ".map(x, ",
        ".all(x, ",
        ".filter(x, ",
        "has(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        " ? ",
        " : ",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " == ",
        " < ",
        " in ",
        " && ",
        " || ",
        "!",
        "-",
        "1",
        "0",
        "9223372036854775807",
        "1.5",
        "2u",
        "'s'",
        "\"\"",
        "b'x'",
        "r'\\d'",
        "true",
        "null",
        "[0]",
        "[?0]",
        ".size()",
        "size(",
        "int(",
        "string(",
        "type(",
        "dyn(",
        "timestamp(",
        "duration('1s')",
        ".startsWith('",
        ".matches('.*')",
        ".optMap(x, ",
        "optional.of(",
        ".value()",
        "%d",
        "\n",
        "'''",
        "\\",
        "é",
        "`",
        "// c",
        ".format([",
        "quantity('1')",
        ".sum()",
        "sets.contains(",
        "cidr('10.0.0.0/8')",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        run(&text);
    }

    #[test]
    fn any_bytes_that_are_text(text in any::<String>()) {
        run(&text);
    }

    #[test]
    fn any_order_of_pieces(pieces in prop::collection::vec(piece(), 0..24)) {
        if let Some(evaluated) = run(&pieces.concat()) {
            // What is over the limit is known to be.
            let over = evaluated.cost > COST;
            let told = matches!(&evaluated.value, Err(error) if error.kind() == ErrorKind::CostLimit);
            prop_assert!(!over || told, "{:?}", evaluated);
        }
    }

    #[test]
    fn any_pattern(pattern in "[\\PC\\\\\\[\\]{}&~QE^-]{0,30}", text in "\\PC{0,20}") {
        let literal = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        run(&format!("'{}'.matches('{}') || true", literal(&text), literal(&pattern)));
    }

    #[test]
    fn any_arithmetic(a in any::<i64>(), b in any::<i64>(), op in prop::sample::select(vec!["+", "-", "*", "/", "%"])) {
        let exact = match op {
            "+" => a.checked_add(b),
            "-" => a.checked_sub(b),
            "*" => a.checked_mul(b),
            "/" => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        let evaluated = run(&format!("({a}) {op} ({b})")).unwrap();
        match (exact, evaluated.value) {
            (Some(exact), Ok(Val::Int(found))) => prop_assert_eq!(exact, found),
            (None, Err(_)) => {}
            (exact, found) => prop_assert!(false, "{:?} {:?}", exact, found),
        }
    }

    #[test]
    fn text_survives_its_literal(text in any::<String>()) {
        let literal: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        let value = run(&format!("'{literal}'")).unwrap().value.unwrap();
        prop_assert_eq!(value.as_str(), Some(text.as_str()));
    }
}

/// Runs on a stack that is half of what threads have.
fn on_half_a_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(test).unwrap();
    thread.join().unwrap();
}

#[test]
fn depth_is_bounded() {
    on_half_a_stack(deep_texts);
}

fn deep_texts() {
    let deep = |open: &str, close: &str, count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("-(", ")"),
        ("{'a': ", "}"),
        ("[1].map(x, ", ")"),
        ("size([", "])"),
        ("true ? 1 : ", ""),
    ] {
        ends_soon(&deep(open, close, 40));
        for count in [240, 1000, 20_000] {
            ends_soon(&deep(open, close, count));
        }
        assert!(ends_soon(&deep(open, close, 400)).is_none(), "{open}");
    }
    assert!(ends_soon(&format!("self{}", ".a".repeat(5000))).is_none());
    assert!(ends_soon(&format!("1{}", " + 1".repeat(5000))).is_none());
    assert!(ends_soon(&format!("{}true", "!".repeat(20_000))).is_some());
}

#[test]
fn long_chains_of_logic_are_fine() {
    let evaluated = ends_soon(&format!("true{}", " && true".repeat(8000))).unwrap();
    assert!(matches!(evaluated.value, Ok(Val::Bool(true))));
}

#[test]
fn length_is_bounded() {
    assert!(ends_soon(&format!("'{}'.size() > 0", "a".repeat(90_000))).is_some());
    assert!(ends_soon(&format!("'{}'.size() > 0", "a".repeat(100_000))).is_none());
}

#[test]
fn copies_of_copies_are_bounded() {
    assert!(ends_soon(&format!("optional.of(1){}", ".optMap(x, x)".repeat(60))).is_none());
}

#[test]
fn doubling_is_bounded() {
    let nested = |start: &str, step: &str, count: usize| {
        let mut text = "x".to_owned();
        for _ in 0..count {
            text = format!("optional.of({step}).optMap(x, {text}).value()");
        }
        format!("optional.of({start}).optMap(x, {text})")
    };
    ends_soon(&nested("'aaaaaaaa'", "x + x", 40));
    ends_soon(&nested("[1, 2]", "x + x", 40));
    ends_soon(&format!("{} == optional.of([])", nested("[1]", "[x, x]", 40)));
    ends_soon(&format!("string({}.value().size())", nested("[1]", "[x, x]", 40)));
    ends_soon(&format!("'%s'.format([{}.value()])", nested("[1]", "[x, x]", 40)));
    // The types double as well.
    let mut types = "x".to_owned();
    for _ in 0..60 {
        types = format!("[{{x: x}}].map(x, {types})");
    }
    ends_soon(&format!("[1].map(x, {types})"));
}

#[test]
fn loops_within_loops_are_stopped() {
    let evaluated =
        ends_soon("lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))")
            .unwrap();
    assert_eq!(evaluated.value.unwrap_err().kind(), ErrorKind::CostLimit);
    assert!(evaluated.cost > COST);
}

#[test]
fn a_stop_is_not_absorbed() {
    let evaluated = ends_soon("lists.range(100000).all(a, a >= 0) || true").unwrap();
    assert_eq!(evaluated.value.unwrap_err().kind(), ErrorKind::CostLimit);
}

#[test]
fn who_does_not_wait_is_not_served() {
    let program = Environment::new(Expressions::Stored).compile("lists.range(500).all(a, a >= 0)").unwrap();
    let none = HashMap::<&str, Val>::new();
    let evaluated = program.evaluate(&none, Limits { cost: 1_000_000, interrupted: &|| true });
    assert_eq!(evaluated.value.unwrap_err().kind(), ErrorKind::Interrupted);
}
