//! Expressions: parsed, checked, estimated and evaluated.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use api_meta::{Value, json};
use apiserver_cel::{DeclType, Environment, Expressions, Limits, Type, Val};

/// A tenth of what one evaluation may cost, so that a loop to the limit takes no noticeable time.
const COST: u64 = apiserver_cel::PER_CALL_LIMIT / 10;

pub(super) const TOKENS: &[&str] = &[
    "self",
    "self.a",
    "self.l",
    "self.m",
    "object",
    ".all(x, ",
    ".map(x, ",
    ".filter(x, ",
    ".exists(x, ",
    ".exists_one(x, ",
    "has(self.a)",
    "x",
    ")",
    ".size()",
    ".matches('",
    " in ",
    " && ",
    " || ",
    " ? ",
    " : ",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    "==",
    "<",
    "[0]",
    "[?0]",
    ".?a",
    ".orValue(",
    "optional.of(",
    "int(",
    "uint(",
    "double(",
    "string(",
    "bytes(",
    "timestamp('",
    "duration('",
    "dyn(",
    "type(",
    "quantity('",
    "url('",
    "ip('",
    "cidr('",
    "semver('",
    "sets.contains(",
    ".format([",
    ".split('",
    ".join(",
    ".replace(",
    ".sum()",
    ".sort()",
    ".flatten()",
    "9223372036854775807",
    "1u",
    "1.5",
    "b'",
    "r'",
    "'''",
    "'\\U0010ffff'",
    "// ",
    "authorizer",
    "oldSelf",
    "format.named('",
];

struct Scene {
    stored: Environment,
    fresh: Environment,
    self_: Arc<DeclType>,
    values: HashMap<&'static str, Val>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let self_ = DeclType::object(
        "self",
        [
            ("a", DeclType::int()),
            ("s", DeclType::string()),
            ("l", DeclType::list(DeclType::string(), 10)),
            ("m", DeclType::map(DeclType::int(), 10)),
        ],
    );
    let data = json!({"a": 5, "s": "text", "l": ["x", "y", "10.0.0.1"], "m": {"k": 1, "l": 2}});
    let object: Value = json!({"x": [1, null, {"y": 1.5}], "z": "text", "t": "2026-01-01T00:00:00Z"});
    let environment = |expressions| {
        Environment::new(expressions)
            .with_variable("self", self_.type_.clone())
            .with_variable("oldSelf", self_.type_.clone())
            .with_variable("object", Type::Dyn)
            .with_authorizer()
    };
    let values = HashMap::from([
        ("self", Val::from_data(&data, &self_)),
        ("oldSelf", Val::from_data(&json!({"a": 4}), &self_)),
        ("object", Val::from_json(&object)),
    ]);
    Scene {
        stored: environment(Expressions::Stored),
        fresh: environment(Expressions::New),
        values,
        self_: Arc::new(self_),
    }
});

pub(super) fn cel(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Scene { stored, fresh, self_, values } = &*SCENE;
    let program = match (fresh.compile(text), stored.compile(text)) {
        (Ok(_), Err(why)) => panic!("a new expression may not be kept: {why}"),
        (_, Ok(program)) => program,
        (Err(why), Err(_)) => {
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    let estimate = program.estimate(Some(self_));
    assert!(estimate.min <= estimate.max, "{estimate:?}");
    let evaluate = || program.evaluate(values, Limits { cost: COST, interrupted: &|| false });
    let (once, again) = (evaluate(), evaluate());
    assert_eq!(format!("{once:?}"), format!("{again:?}"));
    if once.value.is_ok() {
        assert!(once.cost <= COST, "{} was spent of {COST}", once.cost);
        // The estimate takes every variable for what `self` is.
        let foreign = ["object", "authorizer", "authorizer.requestResource"].iter().any(|name| program.uses(name));
        assert!(foreign || once.cost <= estimate.max, "{} was spent of an estimated {estimate:?}", once.cost);
    }
    let stopped = program.evaluate(values, Limits { cost: 0, interrupted: &|| false });
    assert!(stopped.cost <= once.cost.max(1) || once.value.is_err(), "{} and {}", stopped.cost, once.cost);
}
