//! Tables: the server decides the columns and cells, we decide the spacing.
//!
//! Spacing is kubectl's: three spaces between columns, at least six characters a column, nothing after the last one.
//! Widths only grow while a table is being watched, so rows keep their places.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::human_duration;

/// What to show beside the server's cells.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Columns of lower priority too.
    pub wide: bool,
    /// No line of column names.
    pub no_headers: bool,
    /// A NAMESPACE column first.
    pub with_namespace: bool,
    /// A CLUSTER column before everything.
    pub with_cluster: bool,
    /// An EVENT column before everything but the cluster.
    pub with_event: bool,
    /// `kind/` before each name.
    pub with_kind: Option<String>,
    /// A LABELS column last.
    pub show_labels: bool,
    /// A column for each of these labels.
    pub label_columns: Vec<String>,
    /// Tabs between cells instead of spaces.
    pub tsv: bool,
}

/// Prints one table, in one go or row by row.
#[derive(Debug)]
pub struct TablePrinter {
    options: TableOptions,
    columns: Vec<(String, bool)>,
    headers_done: bool,
    widths: Vec<usize>,
}

impl TablePrinter {
    /// A printer that has printed nothing.
    pub fn new(options: TableOptions) -> Self {
        Self { options, columns: Vec::new(), headers_done: false, widths: Vec::new() }
    }

    /// The lines for the tables, aligned with everything printed before. Nothing for no rows.
    pub fn render<'a>(&mut self, tables: impl IntoIterator<Item = Part<'a>>) -> String {
        let mut lines = Vec::new();
        for part in tables {
            let columns = columns_of(part.table);
            if !columns.is_empty() && self.columns.is_empty() {
                self.columns = columns.clone();
            }
            let order = self.order(&columns);
            let all = part.table["rows"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            for row in part.row.map_or(all, std::slice::from_ref) {
                lines.push(self.row(row, &part, &order));
            }
        }
        if lines.is_empty() {
            return String::new();
        }
        if !self.headers_done && !self.options.no_headers {
            lines.insert(0, self.headers());
        }
        self.headers_done = true;
        // Whatever stands here is a server's: cells, and names of columns, labels and namespaces as well.
        lines.iter_mut().flatten().for_each(|text| *text = harmless(text));
        if self.options.tsv {
            return lines.iter().map(|line| line.join("\t") + "\n").collect();
        }
        align(&lines, &mut self.widths)
    }

    /// Where each of our columns stands in a table that may have others, as other clusters' versions do.
    fn order(&self, columns: &[(String, bool)]) -> Vec<(usize, Option<usize>)> {
        let shown = self.columns.iter().enumerate().filter(|(_, (_, low))| self.options.wide || !low);
        shown
            .map(|(i, (name, _))| match columns.is_empty() {
                true => (i, Some(i)),
                false => (i, columns.iter().position(|(other, _)| other == name)),
            })
            .collect()
    }

    fn headers(&self) -> Vec<String> {
        let mut line = Vec::new();
        let options = &self.options;
        for (name, shown) in
            [("CLUSTER", options.with_cluster), ("EVENT", options.with_event), ("NAMESPACE", options.with_namespace)]
        {
            if shown {
                line.push(name.to_owned());
            }
        }
        line.extend(self.columns.iter().filter(|(_, low)| options.wide || !low).map(|(name, _)| name.to_uppercase()));
        line.extend(options.label_columns.iter().map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase()));
        if options.show_labels {
            line.push("LABELS".to_owned());
        }
        line
    }

    fn row(&self, row: &Value, part: &Part<'_>, order: &[(usize, Option<usize>)]) -> Vec<String> {
        let metadata = &row["object"]["metadata"];
        let mut line = Vec::new();
        if self.options.with_cluster {
            line.push(part.cluster.to_owned());
        }
        if self.options.with_event {
            line.push(part.event.to_owned());
        }
        if self.options.with_namespace {
            line.push(metadata["namespace"].as_str().unwrap_or_default().to_owned());
        }
        for (i, (_, at)) in order.iter().enumerate() {
            let text = at.map(|at| cell(&row["cells"][at])).unwrap_or_default();
            line.push(match &self.options.with_kind {
                Some(kind) if i == 0 => format!("{kind}/{text}"),
                _ => text,
            });
        }
        let labels = metadata["labels"].as_object();
        for label in &self.options.label_columns {
            let value = labels.and_then(|labels| labels.get(label)).and_then(Value::as_str);
            line.push(value.unwrap_or_default().to_owned());
        }
        if self.options.show_labels {
            let pairs: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            line.push(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") });
        }
        line
    }
}

/// A table with where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The table.
    pub table: &'a Value,
    /// The only row of it that is meant; `None` for all.
    pub row: Option<&'a Value>,
    /// The cluster it came from.
    pub cluster: &'a str,
    /// The kind of event that brought it.
    pub event: &'a str,
}

impl<'a> Part<'a> {
    /// A table from the only cluster.
    #[cfg(test)]
    fn plain(table: &'a Value) -> Self {
        Self { table, row: None, cluster: "", event: "" }
    }

    /// Each row as a part of its own.
    pub fn rows(&self) -> Vec<Self> {
        let rows = self.table["rows"].as_array();
        rows.into_iter().flatten().map(|row| Self { row: Some(row), ..*self }).collect()
    }
}

fn columns_of(table: &Value) -> Vec<(String, bool)> {
    let definitions = table["columnDefinitions"].as_array();
    definitions
        .into_iter()
        .flatten()
        .map(|column| {
            let name = column["name"].as_str().unwrap_or_default().to_owned();
            (name, column["priority"].as_i64().unwrap_or(0) != 0)
        })
        .collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let line = text.find(['\n', '\r', '\u{c}']).map(|at| format!("{}...", &text[..at]));
            line.unwrap_or_else(|| text.clone())
        }
        other => other.to_string(),
    }
}

/// Text from a server that cannot steer the terminal.
pub fn harmless(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '\u{1b}' => safe.push_str("^["),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push(' '),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

/// Lines of cells as text, each column as wide as its widest cell and three more.
pub fn align(lines: &[Vec<String>], widths: &mut Vec<usize>) -> String {
    const PADDING: usize = 3;
    const MINIMUM: usize = 6;
    for line in lines {
        // The last cell ends the line, so it needs no width.
        for (i, text) in line.iter().take(line.len().saturating_sub(1)).enumerate() {
            let needed = (text.chars().count() + PADDING).max(MINIMUM);
            match widths.get_mut(i) {
                Some(width) => *width = (*width).max(needed),
                None => widths.push(needed),
            }
        }
    }
    let mut out = String::new();
    for line in lines {
        for (i, text) in line.iter().enumerate() {
            out.push_str(text);
            if i + 1 < line.len() {
                let width = widths.get(i).copied().unwrap_or(MINIMUM);
                out.push_str(&" ".repeat(width.saturating_sub(text.chars().count())));
            }
        }
        out.push('\n');
    }
    out
}

/// A table of names and ages for servers that do not make tables.
pub fn table_of_objects(answer: &Value, now: Timestamp) -> Value {
    let single = [answer.clone()];
    let items: &[Value] = match answer["items"].as_array() {
        Some(items) => items,
        None => &single,
    };
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let created = item["metadata"]["creationTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
            let age = created.map_or("<unknown>".to_owned(), |created| {
                human_duration(Duration::try_from(now.duration_since(created)).unwrap_or_default())
            });
            json!({"cells": [item["metadata"]["name"], age], "object": {"metadata": item["metadata"]}})
        })
        .collect();
    json!({"kind": "Table", "metadata": answer["metadata"], "rows": rows,
        "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Age", "priority": 0}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str, &str)]) -> Value {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, status, node)| {
                json!({"cells": [name, status, 0, node],
                    "object": {"metadata": {"name": name, "namespace": "ns", "labels": {"app": "x", "b/tier": "y"}}}})
            })
            .collect();
        json!({"columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Status", "priority": 0},
            {"name": "Restarts", "priority": 0}, {"name": "Node", "priority": 1}], "rows": rows})
    }

    #[track_caller]
    fn check(options: TableOptions, rows: &[(&str, &str, &str)], expect: &str) {
        let table = table(rows);
        assert_eq!(TablePrinter::new(options).render([Part::plain(&table)]), expect);
    }

    #[test]
    fn three_spaces_between_columns_and_none_at_the_end() {
        check(
            TableOptions::default(),
            &[("a", "Running", "n1"), ("longer-name", "Ok", "n2")],
            "NAME          STATUS    RESTARTS\na             Running   0\nlonger-name   Ok        0\n",
        );
    }

    #[test]
    fn a_narrow_column_is_six_wide() {
        check(TableOptions { no_headers: true, ..Default::default() }, &[("a", "b", "c")], "a     b     0\n");
    }

    #[test]
    fn wide_namespace_kind_and_labels() {
        let options = TableOptions {
            wide: true,
            with_namespace: true,
            with_kind: Some("pod".to_owned()),
            show_labels: true,
            label_columns: vec!["b/tier".to_owned()],
            ..Default::default()
        };
        check(
            options,
            &[("a", "Ok", "n1")],
            "NAMESPACE   NAME    STATUS   RESTARTS   NODE   TIER   LABELS\n\
             ns          pod/a   Ok       0          n1     y      app=x,b/tier=y\n",
        );
    }

    #[test]
    fn no_rows_print_nothing() {
        check(TableOptions::default(), &[], "");
    }

    #[test]
    fn a_watched_table_keeps_its_widths_and_one_header() {
        let mut printer = TablePrinter::new(TableOptions::default());
        printer.render([Part::plain(&table(&[("long-name", "Ok", "")]))]);
        let mut second = table(&[("a", "Ok", "")]);
        second["columnDefinitions"] = Value::Null;
        assert_eq!(printer.render([Part::plain(&second)]), "a           Ok       0\n");
    }

    #[test]
    fn clusters_with_other_columns_are_matched_by_name() {
        let (one, mut two) = (table(&[("a", "Ok", "")]), table(&[("b", "No", "")]));
        two["columnDefinitions"].as_array_mut().unwrap().swap(1, 2);
        two["rows"][0]["cells"] = json!(["b", 7, "No", ""]);
        let mut printer = TablePrinter::new(TableOptions { with_cluster: true, ..Default::default() });
        let text = printer.render([
            Part { table: &one, row: None, cluster: "east", event: "" },
            Part { table: &two, row: None, cluster: "west", event: "" },
        ]);
        assert_eq!(
            text,
            "CLUSTER   NAME   STATUS   RESTARTS\neast      a      Ok       0\nwest      b      No       7\n"
        );
    }

    #[test]
    fn nothing_in_a_table_steers_the_terminal() {
        let evil = "a\u{1b}[31m\u{9b}2J";
        let table = json!({"kind": "Table", "columnDefinitions": [{"name": evil}], "rows": [
            {"cells": [evil], "object": {"metadata": {"namespace": evil, "labels": {"x": evil, evil: "y"}}}},
            {"cells": [[evil]], "object": {}},
        ]});
        for tsv in [false, true] {
            let label_columns = vec!["x".to_owned()];
            let options =
                TableOptions { with_namespace: true, show_labels: true, label_columns, tsv, ..Default::default() };
            let text = TablePrinter::new(options).render([Part::plain(&table)]);
            assert_eq!(text.lines().count(), 3, "{text:?}");
            assert!(!text.chars().any(|c| c.is_control() && !['\n', '\t'].contains(&c)), "{text:?}");
        }
    }

    #[test]
    fn a_cell_is_one_line() {
        assert_eq!(cell(&json!("first\nsecond")), "first...");
        assert_eq!(cell(&Value::Null), "");
    }

    #[test]
    fn tab_separated() {
        check(
            TableOptions { tsv: true, ..Default::default() },
            &[("a", "Ok", "")],
            "NAME\tSTATUS\tRESTARTS\na\tOk\t0\n",
        );
    }
}
