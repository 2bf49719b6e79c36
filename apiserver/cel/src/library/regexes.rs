//! Regular expressions: `matches`, and upstream's `find` and `findAll`.

use regex::{Regex, RegexBuilder};

use super::Line;
use crate::error::Error;
use crate::value::{List, Outcome, Val};

/// A compiled pattern may take this much memory.
const SIZE: usize = 1 << 20;

pub(super) const LINES: &[Line] = &[
    ("find", "string_find_string", "string.(string) -> string", find),
    ("findAll", "string_find_all_string", "string.(string) -> list(string)", find_all),
    ("findAll", "string_find_all_string_int", "string.(string, int) -> list(string)", find_all),
];

/// Whether the second argument of a function is a pattern.
pub(crate) fn takes_pattern(function: &str) -> bool {
    ["matches", "find", "findAll"].contains(&function)
}

pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE).build().map_err(|error| {
        // The last line says what is wrong; those before draw a picture of where.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("error parsing regexp: {why}: `{pattern}`")
    })
}

/// One of the functions with its pattern compiled before.
pub(crate) fn apply(function: &str, regex: &Regex, args: &[Val]) -> Outcome {
    match (function, args) {
        ("matches", [Val::String(text), _]) => Ok(Val::Bool(regex.is_match(text))),
        ("find", [Val::String(text), _]) => Ok(Val::from(regex.find(text).map_or("", |found| found.as_str()))),
        ("findAll", [Val::String(text), _]) => Ok(all(regex, text, -1)),
        ("findAll", [Val::String(text), _, Val::Int(count)]) => Ok(all(regex, text, *count)),
        _ => Err(Error::no_such_overload()),
    }
}

fn all(regex: &Regex, text: &str, count: i64) -> Val {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    List::of(regex.find_iter(text).take(count).map(|found| Val::from(found.as_str())).collect())
}

fn with_pattern(function: &str, args: &[Val], prefix: &str) -> Outcome {
    let Some(Val::String(pattern)) = args.get(1) else { return Err(Error::no_such_overload()) };
    let regex = compile(pattern).map_err(|error| Error::new(format!("{prefix}{error}")))?;
    apply(function, &regex, args)
}

pub(super) fn matches(args: &[Val]) -> Outcome {
    with_pattern("matches", args, "")
}

fn find(args: &[Val]) -> Outcome {
    with_pattern("find", args, "Illegal regex: ")
}

fn find_all(args: &[Val]) -> Outcome {
    with_pattern("findAll", args, "Illegal regex: ")
}
