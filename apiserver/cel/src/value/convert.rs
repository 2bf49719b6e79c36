//! Conversions between types, and numbers and times as text.

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::arithmetic::in_range;
use super::equality::exact_uint;
use super::{Outcome, Val};
use crate::error::Error;
use crate::types::Type;

/// `int(x)`, `string(x)` and their like.
pub(crate) fn convert(value: &Val, to: &Type) -> Outcome {
    let misfit = || Error::new(format!("type conversion error from '{}' to '{}'", value.type_().name(), to.name()));
    match (to, value) {
        (_, Val::Invalid(error)) => Err(error.clone()),
        (Type::Int, _) => to_int(value).ok_or_else(|| overflow(value, "integer overflow", misfit)),
        (Type::Uint, _) => to_uint(value).ok_or_else(|| overflow(value, "unsigned integer overflow", misfit)),
        (Type::Double, _) => to_double(value).ok_or_else(misfit),
        (Type::String, _) => to_text(value).map(Val::from).ok_or_else(|| match value {
            Val::Bytes(_) => Error::new("invalid UTF-8 in bytes, cannot convert to string"),
            _ => misfit(),
        }),
        (Type::Bytes, Val::String(text)) => Ok(Val::Bytes(text.as_bytes().into())),
        (Type::Bytes, Val::Bytes(_)) | (Type::Bool, Val::Bool(_)) => Ok(value.clone()),
        (Type::Bool, Val::String(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => Err(misfit()),
        },
        (Type::Duration, Val::Duration(_)) | (Type::Timestamp, Val::Timestamp(_)) => Ok(value.clone()),
        (Type::Duration, Val::Int(nanos)) => Ok(Val::Duration(*nanos)),
        (Type::Duration, Val::String(text)) => parse_duration(text).map(Val::Duration).ok_or_else(misfit),
        (Type::Timestamp, Val::Int(seconds)) => {
            let time = epoch().checked_add(SignedDuration::from_secs(*seconds)).ok().and_then(in_range);
            time.map(Val::Timestamp).ok_or_else(|| Error::new("timestamp overflow"))
        }
        (Type::Timestamp, Val::String(text)) => parse_timestamp(text).map(Val::Timestamp).ok_or_else(misfit),
        _ => Err(misfit()),
    }
}

/// Numbers that do not fit are an overflow, all else is the wrong type.
fn overflow(value: &Val, what: &'static str, misfit: impl Fn() -> Error) -> Error {
    match value {
        Val::Int(_) | Val::Uint(_) | Val::Double(_) => Error::new(what),
        _ => misfit(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked first")]
fn to_int(value: &Val) -> Option<Val> {
    Some(Val::Int(match value {
        Val::Int(i) => *i,
        Val::Uint(u) => i64::try_from(*u).ok()?,
        // Strictly within: the limits themselves are not all exact as doubles.
        Val::Double(d) if *d > -9.223_372_036_854_776e18 && *d < 9.223_372_036_854_776e18 => *d as i64,
        Val::String(text) => go_digits(text)?.parse().ok()?,
        Val::Timestamp(time) => {
            let since = time.duration_since(epoch());
            since.as_secs() - i64::from(since.subsec_nanos() < 0)
        }
        Val::Duration(nanos) => *nanos,
        _ => return None,
    }))
}

fn to_uint(value: &Val) -> Option<Val> {
    Some(Val::Uint(match value {
        Val::Uint(u) => *u,
        Val::Int(i) => u64::try_from(*i).ok()?,
        Val::Double(d) if *d >= 0.0 => exact_uint(d.trunc())?,
        Val::String(text) if !text.starts_with('+') => text.parse().ok()?,
        _ => return None,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "that is what the conversion does")]
fn to_double(value: &Val) -> Option<Val> {
    Some(Val::Double(match value {
        Val::Double(d) => *d,
        Val::Int(i) => *i as f64,
        Val::Uint(u) => *u as f64,
        Val::String(text) => {
            let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
            let float: f64 = text.parse().ok()?;
            // Go takes a number that is too large for an error.
            (float.is_finite() || ["inf", "infinity", "nan"].contains(&unsigned.as_str())).then_some(float)?
        }
        _ => return None,
    }))
}

fn to_text(value: &Val) -> Option<String> {
    Some(match value {
        Val::String(text) => text.to_string(),
        Val::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::Double(_)
        | Val::Duration(_)
        | Val::Timestamp(_)
        | Val::Opaque(_)
        | Val::Type(_) => value.to_string(),
        _ => return None,
    })
}

/// Rust's parser and Go's agree on digits with one sign.
fn go_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// Go's `%g` in its shortest form, with an exponent below 1e-4 and from 1e21.
pub(crate) fn float_text(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if d != 0.0 && !(1e-4..1e21).contains(&d.abs()) {
        let text = format!("{d:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{d}")
}

/// cel-go's form of a duration: seconds, with as many decimals as it takes.
pub(crate) fn duration_text(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let fraction = format!("{rest:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{seconds}s"),
        fraction => format!("{sign}{seconds}.{fraction}s"),
    }
}

/// Go's `time.ParseDuration`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(length);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
            return None;
        }
        let unit_length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_length);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = &fraction[..fraction.len().min(15)];
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let digits = u32::try_from(fraction.len()).ok()?;
        total += whole * scale + part * scale / 10_i128.pow(digits);
        if total > i128::from(i64::MAX) + 1 {
            return None;
        }
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn epoch() -> DateTime {
    date(1970, 1, 1).at(0, 0, 0, 0)
}

/// RFC 3339 with a time and an offset.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime> {
    let (civil, offset) = match text.strip_suffix('Z') {
        Some(civil) => (civil, 0),
        None => {
            let (civil, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let hours = two_digits(hours).filter(|hours| *hours < 24)?;
            let seconds = hours * 3600 + two_digits(minutes).filter(|minutes| *minutes < 60)? * 60;
            match offset.as_bytes()[0] {
                b'+' => (civil, seconds),
                b'-' => (civil, -seconds),
                _ => return None,
            }
        }
    };
    // jiff takes more forms than this one.
    let bytes = civil.as_bytes();
    let shaped = civil.is_ascii() && bytes.len() >= 19 && [4, 7, 10, 13, 16].map(|at| bytes[at]) == *b"--T::";
    let fraction = match bytes.get(19) {
        None => true,
        Some(b'.') => bytes.len() > 20 && bytes[20..].iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    if !shaped || !fraction {
        return None;
    }
    // What is finer than a nanosecond is dropped.
    let local: DateTime = civil[..civil.len().min(29)].parse().ok()?;
    local.checked_sub(SignedDuration::from_secs(offset)).ok().and_then(in_range)
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// RFC 3339 in UTC with as many decimals as it takes.
pub(crate) fn timestamp_text(time: DateTime) -> String {
    let fraction = format!("{:09}", time.subsec_nanosecond());
    match fraction.trim_end_matches('0') {
        "" => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        fraction => format!("{}.{fraction}Z", time.strftime("%Y-%m-%dT%H:%M:%S")),
    }
}
