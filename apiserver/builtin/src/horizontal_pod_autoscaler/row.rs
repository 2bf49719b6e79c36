//! An autoscaler in one line.

use api_meta::{Object, Value};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::{NONE, UNKNOWN, UNSET, age, int, number_or_text, part};

pub(super) fn row(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (part(object, "spec"), part(object, "status"));
    let target = part(spec, "scaleTargetRef");
    vec![
        object.name().into(),
        format!("{}/{}", target.text("kind"), target.text("name")).into(),
        targets(spec, status).into(),
        number_or_text(spec.value("minReplicas"), UNSET),
        int(spec, "maxReplicas").into(),
        int(status, "currentReplicas").into(),
        age(object, now),
    ]
}

/// The first two metrics: what is, and what is wanted.
fn targets(spec: &Fields, status: &Fields) -> String {
    const MAX: usize = 2;
    let current = status.items("currentMetrics");
    let all: Vec<_> = spec.each("metrics").filter_map(|(i, metric)| text(metric, current.get(i))).collect();
    match all.len() {
        0 => NONE.into(),
        n if n > MAX => format!("{} + {} more...", all[..MAX].join(", "), n - MAX),
        _ => all.join(", "),
    }
}

fn text(metric: &Fields, current: Option<&Value>) -> Option<String> {
    let holder = match metric.text("type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return Some("<unknown type>".into()),
    };
    let source = metric.fields(holder)?;
    let target = part(source, "target");
    let now = |key: &str| match current.map_or(&Value::Null, |c| &c[holder]["current"][key]) {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let unknown = || UNKNOWN.to_owned();
    let average = target.text("averageValue");
    Some(match holder {
        "resource" | "containerResource" if average.is_empty() => {
            let is = now("averageUtilization").map_or_else(unknown, |n| format!("{n}%"));
            let wanted = target.int("averageUtilization").map_or_else(|| "<auto>".to_owned(), |n| format!("{n}%"));
            format!("{}: {is}/{wanted}", source.text("name"))
        }
        "resource" | "containerResource" => {
            format!("{}: {}/{average}", source.text("name"), now("averageValue").unwrap_or_else(unknown))
        }
        "pods" => format!("{}/{average}", now("averageValue").unwrap_or_else(unknown)),
        _ if average.is_empty() => format!("{}/{}", now("value").unwrap_or_else(unknown), target.text("value")),
        _ => format!("{}/{average} (avg)", now("averageValue").unwrap_or_else(unknown)),
    })
}
