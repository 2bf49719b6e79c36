//! What is wrong with an expression, shown as cel-go shows it: message, line, and a mark below the place.

use std::fmt;

/// Lines longer than this are not quoted.
const MAX_SNIPPET: usize = 16384;
/// As many errors are told.
const MAX_TOLD: usize = 100;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// In characters from the start; `None` where the whole expression is meant.
    pub offset: Option<usize>,
    pub message: String,
}

/// All that is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issues {
    text: String,
    found: Vec<Issue>,
}

impl Issues {
    pub(crate) fn new(text: &str, mut found: Vec<Issue>) -> Self {
        found.sort_by_key(|issue| issue.offset);
        Self { text: text.to_owned(), found }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Issue> {
        self.found.iter()
    }
}

impl std::error::Error for Issues {}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.found.iter().take(MAX_TOLD).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            show(&self.text, issue, f)?;
        }
        match self.found.len().saturating_sub(MAX_TOLD) {
            0 => Ok(()),
            more => write!(f, "\n{more} more errors were truncated"),
        }
    }
}

fn show(text: &str, issue: &Issue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(offset) = issue.offset else {
        return write!(f, "ERROR: <input>:-1:0: {}", issue.message);
    };
    let (line, column, snippet) = place(text, offset);
    write!(f, "ERROR: <input>:{line}:{}: {}", column + 1, issue.message)?;
    if snippet.len() > MAX_SNIPPET {
        return Ok(());
    }
    let snippet = snippet.replace('\t', " ");
    write!(f, "\n | {snippet}\n | ")?;
    let mut chars = snippet.chars();
    for c in chars.by_ref().take(column) {
        f.write_str(if c.len_utf8() > 1 { "\u{ff0e}" } else { "." })?;
    }
    f.write_str(if chars.next().is_some_and(|c| c.len_utf8() > 1) { "\u{ff3e}" } else { "^" })
}

/// Line (from 1), column (from 0) and the line itself.
fn place(text: &str, offset: usize) -> (usize, usize, &str) {
    let mut rest = offset;
    let mut number = 0;
    for line in text.split('\n') {
        number += 1;
        let length = line.chars().count();
        if rest <= length {
            return (number, rest, line);
        }
        rest -= length + 1;
    }
    (number, 0, "")
}
