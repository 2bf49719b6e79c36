//! How answers look: tables, JSON, YAML, names, paths and columns, as kubectl prints them.

pub mod columns;
pub mod jsonpath;
pub mod table;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};

use crate::error::{Error, Result};
use crate::text::Text;

use columns::Columns;
use jsonpath::Template;

/// A form of output.
#[derive(Clone, Debug)]
pub enum Format {
    /// The server's table.
    Table {
        /// With the columns of lower priority.
        wide: bool,
    },
    /// Tab-separated values.
    Tsv,
    /// JSON, indented by four.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name` lines.
    Name,
    /// A template in kubectl's JSONPath dialect.
    JsonPath(Template),
    /// Columns made of JSONPath expressions.
    Columns(Columns),
}

impl Format {
    /// Reads the value of `-o`. `Ok(None)` means a form that only kubectl has.
    pub fn parse(text: Option<&str>) -> Result<Option<Self>> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Some(Self::Table { wide: false })) };
        let (name, argument) = text.split_once('=').map_or((text, None), |(name, argument)| (name, Some(argument)));
        let missing = || Error::told(Text::OutputNeedsArgument { format: name.to_owned() });
        Ok(Some(match name {
            "wide" => Self::Table { wide: true },
            "tsv" => Self::Tsv,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            "jsonpath" => Self::JsonPath(Template::parse(argument.ok_or_else(missing)?)?),
            "custom-columns" => Self::Columns(Columns::parse(argument.ok_or_else(missing)?)?),
            "go-template"
            | "template"
            | "go-template-file"
            | "templatefile"
            | "jsonpath-file"
            | "jsonpath-as-json"
            | "custom-columns-file"
            | "kyaml" => return Ok(None),
            _ => return Err(Error::told(Text::UnknownOutput { format: text.to_owned() })),
        }))
    }

    /// Whether the server should make the table.
    pub fn wants_table(&self) -> bool {
        matches!(self, Self::Table { .. } | Self::Tsv)
    }

    /// An object as text; tables and names are made elsewhere.
    pub fn object(&self, value: &Value) -> Result<String> {
        Ok(match self {
            Self::Json => to_json(value),
            Self::Yaml => lib_yaml::to_string(value),
            Self::JsonPath(template) => template.render(value)?,
            Self::Columns(columns) => columns.render(value, true),
            Self::Table { .. } | Self::Tsv | Self::Name => String::new(),
        })
    }
}

/// Escapes as Go does: HTML's three signs and the two line separators.
struct GoFormatter<'a>(PrettyFormatter<'a>, bool);

impl Formatter for GoFormatter<'_> {
    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, text: &str) -> std::io::Result<()> {
        let mut start = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&text.as_bytes()[start..at])?;
            writer.write_all(escape.as_bytes())?;
            start = at + c.len_utf8();
        }
        writer.write_all(&text.as_bytes()[start..])
    }

    fn write_char_escape<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, c: CharEscape) -> std::io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, c)
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        if self.1 { self.0.begin_array(w) } else { w.write_all(b"[") }
    }
    fn end_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        if self.1 { self.0.end_array(w) } else { w.write_all(b"]") }
    }
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W, first: bool) -> std::io::Result<()> {
        match (self.1, first) {
            (true, _) => self.0.begin_array_value(w, first),
            (false, true) => Ok(()),
            (false, false) => w.write_all(b","),
        }
    }
    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.0.end_array_value(w)
    }
    fn begin_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        if self.1 { self.0.begin_object(w) } else { w.write_all(b"{") }
    }
    fn end_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        if self.1 { self.0.end_object(w) } else { w.write_all(b"}") }
    }
    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, w: &mut W, first: bool) -> std::io::Result<()> {
        match (self.1, first) {
            (true, _) => self.0.begin_object_key(w, first),
            (false, true) => Ok(()),
            (false, false) => w.write_all(b","),
        }
    }
    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(if self.1 { b": " } else { b":" })
    }
    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.0.end_object_value(w)
    }
}

fn go_json(value: &Value, pretty: bool) -> String {
    let mut bytes = Vec::new();
    let formatter = GoFormatter(PrettyFormatter::with_indent(b"    "), pretty);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing a JSON value into memory has no way to fail.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// JSON as `kubectl -o json` prints it.
pub fn to_json(value: &Value) -> String {
    let mut text = go_json(value, true);
    text.push('\n');
    text
}

/// JSON on one line, escaped as Go does.
pub fn to_compact_json(value: &Value) -> String {
    go_json(value, false)
}

/// A duration as kubectl shows ages.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let pair = |a: u64, unit: &str, b: u64, rest: &str| {
        if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{rest}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_escaped_like_go() {
        assert_eq!(
            to_json(&json!({"a": "<b> & \"c\"\n", "l": [], "m": {}, "n": [1, {"x": null}]})),
            "{\n    \"a\": \"\\u003cb\\u003e \\u0026 \\\"c\\\"\\n\",\n    \"l\": [],\n    \"m\": {},\n    \"n\": [\n        1,\n        {\n            \"x\": null\n        }\n    ]\n}\n"
        );
        assert_eq!(to_compact_json(&json!({"a": ["<", 1], "b": {}})), "{\"a\":[\"\\u003c\",1],\"b\":{}}");
    }

    #[test]
    fn ages() {
        for (seconds, expect) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (660, "11m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (36_000, "10h"),
            (200_000, "2d7h"),
            (864_000, "10d"),
            (63_072_000 + 86_400, "2y1d"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), expect, "{seconds}");
        }
    }
}
