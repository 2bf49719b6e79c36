//! An Event in one line.

use api_meta::{Object, Value};
use jiff::Timestamp;

use super::Events;
use crate::fields::FieldsExt;
use crate::pod::row::ago;
use crate::table::{int, part};

pub(super) fn row(events: &Events, object: &Object, now: Timestamp) -> Vec<Value> {
    let name = |core: &'static str| events.name(core);
    let time = |key: &str| Some(object.value(key)).filter(|t| !t.is_null()).map(|t| ago(t, now));
    let first = time(name("firstTimestamp")).unwrap_or_else(|| ago(object.value("eventTime"), now));
    let (last, count) = match object.fields("series") {
        Some(series) => (ago(series.value("lastObservedTime"), now), int(series, "count")),
        None => {
            let last = time(name("lastTimestamp")).unwrap_or_else(|| first.clone());
            (last, object.int(name("count")).filter(|&n| n != 0).unwrap_or(1))
        }
    };
    let about = part(object, name("involvedObject"));
    let kind = about.text("kind").to_lowercase();
    let target = match about.text("name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        object.text("type").into(),
        object.text("reason").into(),
        target.into(),
        about.text("fieldPath").into(),
        source(events, object).into(),
        object.text(name("message")).trim().into(),
        first.into(),
        count.into(),
        object.name().into(),
    ]
}

/// Who says so, and where it runs.
fn source(events: &Events, object: &Object) -> String {
    let source = part(object, events.name("source"));
    let first = |a: &'_ str, b: &'_ str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    let component = first(source.text("component"), object.text(events.name("reportingComponent")));
    match first(source.text("host"), object.text("reportingInstance")) {
        none if none.is_empty() => component,
        instance => format!("{component}, {instance}"),
    }
}
