//! Lists of the platform's own things, which are no Kubernetes objects: tables like kubectl's, and its other formats.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Cx;
use crate::args::ListOutput;
use crate::error::{Error, Result};
use crate::output::table::{align, harmless};
use crate::output::{Format, human_duration};
use crate::text::Text;

/// Says which clusters an answer of the platform may be behind of: its `staleClusters`.
pub fn warn_of_stale(cx: &Cx, clusters: &Value) {
    for away in clusters.as_array().into_iter().flatten() {
        let cluster = text(&away["name"]);
        match text(&away["since"]) {
            time if time.is_empty() => cx.ui.warn(&Text::ClusterUnseen { cluster }),
            time => cx.ui.warn(&Text::ClusterStale { cluster, time }),
        }
    }
}

/// One column.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Whether it is only in wide tables.
    pub wide: bool,
    /// What stands in it.
    pub cell: fn(&Value, &Clock) -> String,
}

/// A column of every table.
pub const fn column(name: &'static str, cell: fn(&Value, &Clock) -> String) -> Column {
    Column { name, wide: false, cell }
}

/// A column of wide tables.
pub const fn wide(name: &'static str, cell: fn(&Value, &Clock) -> String) -> Column {
    Column { name, wide: true, cell }
}

/// How times are written.
pub struct Clock {
    now: Timestamp,
    /// As the platform wrote them, for programs.
    exact: bool,
}

impl Clock {
    /// How long ago a time is, or how far off.
    pub fn distance(&self, value: &Value) -> String {
        let text = text(value);
        match text.parse::<Timestamp>() {
            Ok(time) if !self.exact => {
                let apart = Duration::try_from(self.now.duration_since(time).abs()).unwrap_or_default();
                human_duration(apart)
            }
            _ => text,
        }
    }
}

/// A field as text that cannot steer the terminal.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => harmless(&other.to_string()),
    }
}

/// Several texts.
pub fn joined(value: &Value, between: &str) -> String {
    value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(between)
}

/// The format of `-o`, of those that a list of ours has.
fn format(output: Option<&str>) -> Result<Format> {
    let unknown = || Error::usage(Text::UnknownOutput { format: output.unwrap_or_default().to_owned() });
    Format::parse(output)?.ok_or_else(unknown)
}

/// The format of `-o`, of those that one thing of ours has; `None` for the words to people.
pub fn format_of_one(output: Option<&str>, names: bool) -> Result<Option<Format>> {
    let Some(output) = output else { return Ok(None) };
    match format(Some(output))? {
        found @ (Format::Json | Format::Yaml | Format::JsonPath(_)) => Ok(Some(found)),
        Format::Name if names => Ok(Some(Format::Name)),
        _ => Err(Error::usage(Text::UnknownOutput { format: output.to_owned() })),
    }
}

/// Prints a list; `name` is what `-o name` prints for an item.
pub fn print(
    cx: &Cx,
    args: &ListOutput,
    columns: &[Column],
    list: &Value,
    now: Timestamp,
    name: fn(&Value) -> String,
) -> Result<i32> {
    let format = format(args.output.as_deref())?;
    let items = list["items"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let (is_wide, exact) = match format {
        Format::Table { wide } => (wide, false),
        Format::Tsv => (false, true),
        Format::Name => {
            cx.ui.out(&items.iter().map(|item| name(item) + "\n").collect::<String>())?;
            return Ok(0);
        }
        other => {
            cx.ui.out(&other.object(list)?)?;
            return Ok(0);
        }
    };
    if items.is_empty() {
        cx.ui.raw_note("No resources found");
        return Ok(0);
    }
    let clock = Clock { now, exact };
    let columns: Vec<&Column> = columns.iter().filter(|column| is_wide || !column.wide).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    if !args.no_headers {
        lines.push(columns.iter().map(|column| column.name.to_owned()).collect());
    }
    lines.extend(items.iter().map(|item| columns.iter().map(|column| (column.cell)(item, &clock)).collect()));
    let text = match exact {
        true => lines.iter().map(|line| line.join("\t") + "\n").collect(),
        false => align(&lines, &mut Vec::new()),
    };
    cx.ui.out(&text)?;
    Ok(0)
}
