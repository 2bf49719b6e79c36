//! More functions on strings (cel-go: `ext.Strings`, version 2). Positions count characters.

use super::{Line, text_format};
use crate::error::Error;
use crate::value::{List, Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("charAt", "string_char_at_int", "string.(int) -> string", char_at),
    ("indexOf", "string_index_of_string", "string.(string) -> int", index_of),
    ("indexOf", "string_index_of_string_int", "string.(string, int) -> int", index_of),
    ("lastIndexOf", "string_last_index_of_string", "string.(string) -> int", last_index_of),
    ("lastIndexOf", "string_last_index_of_string_int", "string.(string, int) -> int", last_index_of),
    ("lowerAscii", "string_lower_ascii", "string.() -> string", lower_ascii),
    ("replace", "string_replace_string_string", "string.(string, string) -> string", replace),
    ("replace", "string_replace_string_string_int", "string.(string, string, int) -> string", replace),
    ("split", "string_split_string", "string.(string) -> list(string)", split),
    ("split", "string_split_string_int", "string.(string, int) -> list(string)", split),
    ("substring", "string_substring_int", "string.(int) -> string", substring),
    ("substring", "string_substring_int_int", "string.(int, int) -> string", substring),
    ("trim", "string_trim", "string.() -> string", trim),
    ("upperAscii", "string_upper_ascii", "string.() -> string", upper_ascii),
    ("format", "string_format", "string.(list(dyn)) -> string", format),
    ("strings.quote", "strings_quote", "(string) -> string", quote),
    ("join", "list_join", "list(string).() -> string", join),
    ("join", "list_join_string", "list(string).(string) -> string", join),
];

fn out_of_range(index: i64) -> Error {
    Error::new(format!("index out of range: {index}"))
}

/// A position within a text of so many characters, its end included.
fn position(index: i64, length: usize) -> Result<usize, Error> {
    usize::try_from(index).ok().filter(|at| *at <= length).ok_or_else(|| out_of_range(index))
}

fn char_at(args: &[Val]) -> Outcome {
    let [Val::String(text), Val::Int(index)] = args else { return Err(Error::no_such_overload()) };
    let at = position(*index, text.chars().count())?;
    Ok(Val::from(text.chars().nth(at).map(String::from).unwrap_or_default()))
}

/// A position as the int that it fits.
fn found(at: Option<usize>) -> Outcome {
    Ok(Val::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

fn index_of(args: &[Val]) -> Outcome {
    let (text, part, offset) = match args {
        [Val::String(text), Val::String(part)] => (text, part, 0),
        [Val::String(text), Val::String(part), Val::Int(offset)] => (text, part, *offset),
        _ => return Err(Error::no_such_overload()),
    };
    if part.is_empty() {
        return Ok(Val::Int(offset));
    }
    let start = usize::try_from(offset).map_err(|_| out_of_range(offset))?;
    let Some((byte, _)) = text.char_indices().nth(start) else { return Ok(Val::Int(-1)) };
    found(text[byte..].find(&**part).map(|at| start + text[byte..byte + at].chars().count()))
}

fn last_index_of(args: &[Val]) -> Outcome {
    let (text, part, offset) = match args {
        [Val::String(text), Val::String(part)] => (text, part, None),
        [Val::String(text), Val::String(part), Val::Int(offset)] => (text, part, Some(*offset)),
        _ => return Err(Error::no_such_overload()),
    };
    if part.is_empty() {
        return offset.map_or_else(|| found(Some(text.chars().count())), |offset| Ok(Val::Int(offset)));
    }
    let last = match offset {
        None => usize::MAX,
        Some(offset) => usize::try_from(offset).map_err(|_| out_of_range(offset))?,
    };
    if offset.is_some() && last >= text.chars().count() {
        return Ok(Val::Int(-1));
    }
    let starts = text.char_indices().enumerate().take(last.saturating_add(1));
    let fitting = starts.filter(|(_, (byte, _))| text[*byte..].starts_with(&**part));
    found(fitting.last().map(|(at, _)| at))
}

fn lower_ascii(args: &[Val]) -> Outcome {
    let [Val::String(text)] = args else { return Err(Error::no_such_overload()) };
    Ok(Val::from(text.to_ascii_lowercase()))
}

fn upper_ascii(args: &[Val]) -> Outcome {
    let [Val::String(text)] = args else { return Err(Error::no_such_overload()) };
    Ok(Val::from(text.to_ascii_uppercase()))
}

/// How often a count that may be negative, for "always", lets something happen.
fn times(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn replace(args: &[Val]) -> Outcome {
    let (text, old, new, count) = match args {
        [Val::String(text), Val::String(old), Val::String(new)] => (text, old, new, -1),
        [Val::String(text), Val::String(old), Val::String(new), Val::Int(count)] => (text, old, new, *count),
        _ => return Err(Error::no_such_overload()),
    };
    Ok(Val::from(text.replacen(&**old, new, times(count))))
}

fn split(args: &[Val]) -> Outcome {
    let (text, separator, count) = match args {
        [Val::String(text), Val::String(separator)] => (text, separator, -1),
        [Val::String(text), Val::String(separator), Val::Int(count)] => (text, separator, *count),
        _ => return Err(Error::no_such_overload()),
    };
    let count = times(count);
    let parts: Vec<Val> = if count == 0 {
        Vec::new()
    } else if separator.is_empty() {
        // Go splits into characters.
        let mut parts = Vec::new();
        let mut rest = &**text;
        while let Some(c) = rest.chars().next() {
            if parts.len() + 1 == count {
                break;
            }
            parts.push(Val::from(&rest[..c.len_utf8()]));
            rest = &rest[c.len_utf8()..];
        }
        if !rest.is_empty() {
            parts.push(Val::from(rest));
        }
        parts
    } else {
        text.splitn(count, &**separator).map(Val::from).collect()
    };
    Ok(List::of(parts))
}

fn substring(args: &[Val]) -> Outcome {
    let (text, start, end) = match args {
        [Val::String(text), Val::Int(start)] => (text, *start, None),
        [Val::String(text), Val::Int(start), Val::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Error::no_such_overload()),
    };
    let length = text.chars().count();
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Error::new(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = position(start, length)?;
    let to = end.map_or(Ok(length), |end| position(end, length))?;
    Ok(Val::from(text.chars().skip(from).take(to - from).collect::<String>()))
}

fn trim(args: &[Val]) -> Outcome {
    let [Val::String(text)] = args else { return Err(Error::no_such_overload()) };
    Ok(Val::from(text.trim()))
}

fn format(args: &[Val]) -> Outcome {
    let [Val::String(text), Val::List(list)] = args else { return Err(Error::no_such_overload()) };
    text_format::format(text, &list.items).map(Val::from).map_err(Error::new)
}

fn quote(args: &[Val]) -> Outcome {
    let [Val::String(text)] = args else { return Err(Error::no_such_overload()) };
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(Val::from(out))
}

fn join(args: &[Val]) -> Outcome {
    let (list, separator) = match args {
        [Val::List(list)] => (list, ""),
        [Val::List(list), Val::String(separator)] => (list, &**separator),
        _ => return Err(Error::no_such_overload()),
    };
    let mut out = String::new();
    for (index, item) in list.items.iter().enumerate() {
        let Val::String(text) = item else { return Err(Error::new(format!("join: invalid input: {item}"))) };
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    Ok(Val::from(out))
}
