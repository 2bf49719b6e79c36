//! Which objects a quota looks at.

use api_meta::{Object, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// One requirement; an object must be in all scopes of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub(crate) name: String,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<String>,
}

/// The scopes of a quota, those in its selector as well.
pub fn scopes_of(quota: &Object) -> Vec<Scope> {
    let list = |path: &[&str]| quota.at(path).and_then(Value::as_array).into_iter().flatten();
    let plain = list(&["spec", "scopes"]).filter_map(Value::as_str).map(|name| Scope {
        name: name.to_owned(),
        operator: Operator::Exists,
        values: Vec::new(),
    });
    let selected = list(&["spec", "scopeSelector", "matchExpressions"]).filter_map(|expression| {
        let text = |key: &str| expression.get(key).and_then(Value::as_str);
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        Some(Scope {
            name: text("scopeName")?.to_owned(),
            operator: match text("operator")? {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => Operator::Exists,
            },
            values: values.filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        })
    });
    plain.chain(selected).collect()
}
