//! `'%s is %d'.format([...])` (cel-go: `ext/formatting.go`).
//!
//! Numbers with a fraction are written as its message printer writes them for
//! US English: thousands apart, exponents raised.

use std::fmt::Write as _;

use crate::types::Type;
use crate::value::{Key, Val, float_text};

const DEFAULT_PRECISION: usize = 6;
/// More decimals than any number has to show.
const MAX_PRECISION: usize = 1000;

/// What stands after a percent sign.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clause {
    Text,
    Decimal,
    Fixed(usize),
    Scientific(usize),
    Binary,
    Hex { upper: bool },
    Octal,
}

enum Piece<'a> {
    Plain(&'a str),
    Clause(Clause),
}

pub(super) fn format(text: &str, args: &[Val]) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    pieces(text, |piece| {
        match piece {
            Piece::Plain(text) => out.push_str(text),
            Piece::Clause(clause) => {
                let arg = args.get(next).ok_or_else(|| format!("index {next} out of range"))?;
                next += 1;
                out.push_str(&clause.write(arg).map_err(|error| format!("error during formatting: {error}"))?);
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// What is wrong with a call whose format and argument types are known, and with which argument.
pub(crate) fn check(text: &str, args: &[Type]) -> Result<(), (Option<usize>, String)> {
    let mut next = 0;
    let mut blamed = None;
    let checked = pieces(text, |piece| {
        let Piece::Clause(clause) = piece else { return Ok(()) };
        let type_ = args.get(next).ok_or_else(|| format!("index {next} out of range"))?;
        next += 1;
        clause.check(type_).map_err(|error| {
            blamed = Some(next - 1);
            format!("error during formatting: {error}")
        })
    });
    checked.map_err(|message| (blamed, message))?;
    if args.len() > next {
        let message = format!("too many arguments supplied to string.format (expected {next}, got {})", args.len());
        return Err((None, message));
    }
    Ok(())
}

fn pieces<'a>(text: &'a str, mut each: impl FnMut(Piece<'a>) -> Result<(), String>) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        each(Piece::Plain(&rest[..at]))?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            each(Piece::Plain("%"))?;
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Err("unexpected end of string".into());
        }
        let (clause, after) = clause(rest).map_err(|error| format!("could not parse formatting clause: {error}"))?;
        each(Piece::Clause(clause))?;
        rest = after;
    }
    each(Piece::Plain(rest))
}

fn clause(text: &str) -> Result<(Clause, &str), String> {
    let mut precision = None;
    let mut rest = text;
    if let Some(after) = text.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == after.len() {
            return Err("error while parsing precision: could not find end of precision specifier".into());
        }
        let number = after[..digits].parse::<usize>().ok().filter(|number| *number <= MAX_PRECISION);
        let Some(number) = number else {
            return Err(format!(
                "error while parsing precision: error while converting precision to integer: {:?}",
                &after[..digits]
            ));
        };
        precision = Some(number);
        rest = &after[digits..];
    }
    let letter = rest.chars().next().unwrap_or_default();
    let precision = precision.unwrap_or(DEFAULT_PRECISION);
    let clause = match letter {
        's' => Clause::Text,
        'd' => Clause::Decimal,
        'f' => Clause::Fixed(precision),
        'e' => Clause::Scientific(precision),
        'b' => Clause::Binary,
        'x' | 'X' => Clause::Hex { upper: letter == 'X' },
        'o' => Clause::Octal,
        other => return Err(format!("unrecognized formatting clause \"{other}\"")),
    };
    Ok((clause, &rest[letter.len_utf8()..]))
}

impl Clause {
    /// What the clause takes, as its error says.
    fn refuses(self, type_: &str) -> String {
        match self {
            Self::Text => format!(
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {type_}"
            ),
            Self::Decimal => format!("decimal clause can only be used on integers, was given {type_}"),
            Self::Fixed(_) => format!("fixed-point clause can only be used on doubles, was given {type_}"),
            Self::Scientific(_) => format!("scientific clause can only be used on doubles, was given {type_}"),
            Self::Binary => format!("only integers and bools can be formatted as binary, was given {type_}"),
            Self::Hex { .. } => {
                format!("only integers, byte buffers, and strings can be formatted as hex, was given {type_}")
            }
            Self::Octal => format!("octal clause can only be used on integers, was given {type_}"),
        }
    }

    fn check(self, type_: &Type) -> Result<(), String> {
        let fits = match self {
            Self::Text => text_fits(type_),
            Self::Decimal | Self::Octal => matches!(type_, Type::Int | Type::Uint),
            Self::Fixed(_) | Self::Scientific(_) => matches!(type_, Type::Double | Type::String),
            Self::Binary => matches!(type_, Type::Int | Type::Uint | Type::Bool),
            Self::Hex { .. } => matches!(type_, Type::Int | Type::Uint | Type::String | Type::Bytes),
        };
        if fits || type_.is_dyn_or_error() || matches!(type_, Type::Param(_)) {
            Ok(())
        } else {
            Err(self.refuses(type_.name()))
        }
    }

    fn write(self, value: &Val) -> Result<String, String> {
        let refused = || self.refuses(value.type_().name());
        match (self, value) {
            (Self::Text, _) => text(value),
            (Self::Decimal, Val::Int(_) | Val::Uint(_)) => Ok(value.to_string()),
            (Self::Fixed(precision), _) => Ok(fixed(double(value).ok_or_else(refused)?, precision)),
            (Self::Scientific(precision), _) => Ok(scientific(double(value).ok_or_else(refused)?, precision)),
            (Self::Binary, Val::Int(i)) => Ok(signed(*i, |u| format!("{u:b}"))),
            (Self::Binary, Val::Uint(u)) => Ok(format!("{u:b}")),
            (Self::Binary, Val::Bool(b)) => Ok(if *b { "1" } else { "0" }.into()),
            (Self::Octal, Val::Int(i)) => Ok(signed(*i, |u| format!("{u:o}"))),
            (Self::Octal, Val::Uint(u)) => Ok(format!("{u:o}")),
            (Self::Hex { upper }, Val::Int(_) | Val::Uint(_) | Val::String(_) | Val::Bytes(_)) => {
                let hex = match value {
                    Val::Int(i) => signed(*i, |u| format!("{u:x}")),
                    Val::Uint(u) => format!("{u:x}"),
                    Val::String(text) => bytes_as_hex(text.as_bytes()),
                    Val::Bytes(bytes) => bytes_as_hex(bytes),
                    _ => String::new(),
                };
                Ok(if upper { hex.to_uppercase() } else { hex })
            }
            _ => Err(refused()),
        }
    }
}

fn text_fits(type_: &Type) -> bool {
    match type_ {
        Type::List(inner) => text_fits(inner),
        Type::Map(key, value) => {
            matches!(**key, Type::String | Type::Bool | Type::Int | Type::Uint | Type::Dyn) && text_fits(value)
        }
        Type::Optional(_) | Type::Abstract(_) | Type::Object(_) => false,
        _ => true,
    }
}

fn signed(value: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", digits(value.unsigned_abs()))
}

fn bytes_as_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn double(value: &Val) -> Option<f64> {
    match value {
        Val::Double(d) => Some(*d),
        Val::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn not_finite(d: f64) -> Option<String> {
    match (d.is_nan(), d.is_infinite()) {
        (true, _) => Some("NaN".into()),
        (_, true) => Some(if d > 0.0 { "∞" } else { "-∞" }.into()),
        _ => None,
    }
}

fn fixed(d: f64, precision: usize) -> String {
    if let Some(text) = not_finite(d) {
        return text;
    }
    let text = format!("{d:.precision$}");
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = sign.to_owned();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn scientific(d: f64, precision: usize) -> String {
    if let Some(text) = not_finite(d) {
        return text;
    }
    let text = format!("{d:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised: String = format!("{exponent:0>2}")
        .bytes()
        .filter_map(|digit| RAISED.get(usize::from(digit.wrapping_sub(b'0'))))
        .collect();
    format!("{digits}\u{202f}×\u{202f}10{sign}{raised}")
}

/// The most bytes that a list or a map is written as: it may hold itself many times over.
const MAX_WRITTEN: usize = 4 << 20;

/// The text of a value by itself.
fn text(value: &Val) -> Result<String, String> {
    let mut out = String::new();
    write_text(value, &mut out)?;
    Ok(out)
}

fn write_text(value: &Val, out: &mut String) -> Result<(), String> {
    if out.len() > MAX_WRITTEN {
        return Err(format!("text has more than {MAX_WRITTEN} bytes"));
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Double(d) => out.push_str(&float_text(*d)),
        Val::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => out.push_str(text),
            Err(_) => {
                let why = "could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to string";
                return Err(why.into());
            }
        },
        Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::String(_)
        | Val::Duration(_)
        | Val::Timestamp(_)
        | Val::Type(_) => out.push_str(&value.to_string()),
        Val::List(list) => {
            out.push('[');
            for (index, item) in list.items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_member(item, out)?;
            }
            out.push(']');
        }
        Val::Map(map) => {
            let written = |key: &Key| match key {
                Key::String(text) => format!("{text:?}"),
                other => other.to_val().to_string(),
            };
            let mut entries: Vec<_> = map.entries.iter().map(|(key, value)| (written(key), value)).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let _ = write!(out, "{}{key}:", if index > 0 { ", " } else { "" });
                write_member(value, out)?;
            }
            out.push('}');
        }
        _ => return Err(Clause::Text.refuses(value.type_().name())),
    }
    Ok(())
}

/// The text of a value inside of a list or a map, as an expression would write it.
fn write_member(value: &Val, out: &mut String) -> Result<(), String> {
    match value {
        Val::String(text) => {
            let _ = write!(out, "{text:?}");
        }
        Val::Bytes(_) => {
            let _ = write!(out, "b{:?}", text(value)?);
        }
        Val::Timestamp(_) => {
            let _ = write!(out, "timestamp(\"{value}\")");
        }
        Val::Duration(_) => {
            let _ = write!(out, "duration(\"{value}\")");
        }
        Val::Double(d) if d.is_finite() => {
            let _ = write!(out, "{d:.DEFAULT_PRECISION$}");
        }
        Val::Double(d) => {
            let _ = write!(out, "{:?}", float_text(*d));
        }
        Val::Opaque(_) | Val::Optional(_) => {
            return Err(format!("no formatting function for {}", value.type_().name()));
        }
        other => write_text(other, out)?,
    }
    Ok(())
}
