//! Strings with a meaning: base64 and times, with Go's error texts.

use api_meta::{format_micro, format_seconds, parse_time};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Checks base64 and returns it as it would be encoded anew: without line ends and spare bits.
pub(super) fn base64(text: String) -> Result<String, String> {
    let bytes = text.as_bytes();
    if bytes.len().is_multiple_of(4) && bytes.iter().all(|b| sextet(*b).is_some()) {
        return Ok(text);
    }
    normalize(bytes).map_err(|at| format!("illegal base64 data at input byte {at}"))
}

/// Fails with the offset that Go's decoder names.
fn normalize(bytes: &[u8]) -> Result<String, usize> {
    let is_line_end = |at: usize| matches!(bytes.get(at), Some(b'\r' | b'\n'));
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    loop {
        let mut group = Vec::with_capacity(4);
        while group.len() < 4 {
            let Some(&byte) = bytes.get(at) else {
                return if group.is_empty() { Ok(out) } else { Err(at - group.len()) };
            };
            at += 1;
            match byte {
                b'\r' | b'\n' => {}
                b'=' => {
                    padding(bytes, &mut at, group.len(), is_line_end)?;
                    finish(&mut out, &group);
                    return Ok(out);
                }
                _ => group.push(sextet(byte).ok_or(at - 1)?),
            }
        }
        group.iter().for_each(|s| out.push(ALPHABET[usize::from(*s)].into()));
    }
}

/// What may follow the first `=`.
fn padding(bytes: &[u8], at: &mut usize, length: usize, is_line_end: impl Fn(usize) -> bool) -> Result<(), usize> {
    if length < 2 {
        return Err(*at - 1);
    }
    let skip = |at: &mut usize| {
        while is_line_end(*at) {
            *at += 1;
        }
    };
    if length == 2 {
        skip(at);
        match bytes.get(*at) {
            None => return Err(bytes.len()),
            Some(b'=') => *at += 1,
            Some(_) => return Err(*at - 1),
        }
    }
    skip(at);
    if *at < bytes.len() { Err(*at) } else { Ok(()) }
}

fn finish(out: &mut String, group: &[u8]) {
    let spare = if group.len() == 2 { 0b1111 } else { 0b11 };
    let last = group.len() - 1;
    for (i, sextet) in group.iter().enumerate() {
        let sextet = if i == last { sextet & !spare } else { *sextet };
        out.push(ALPHABET[usize::from(sextet)].into());
    }
    out.push_str(if last == 1 { "==" } else { "=" });
}

/// Checks a time and returns it in UTC, to the second or the microsecond.
pub(super) fn time(text: &str, micro: bool) -> Result<String, String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let fail = |what: String| format!("parsing time {text:?}{what}");
    let cannot = |rest: &str, part: &str| fail(format!(" as {layout:?}: cannot parse {rest:?} as {part:?}"));
    let mut rest = text;
    let mut numbers = [0u32; 6];
    for (number, (part, literal)) in
        numbers.iter_mut().zip([("2006", "-"), ("01", "-"), ("02", "T"), ("15", ":"), ("04", ":"), ("05", "")])
    {
        let digits = rest.get(..part.len()).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        *number = digits.and_then(|d| d.parse().ok()).ok_or_else(|| cannot(rest, part))?;
        rest = &rest[part.len()..];
        rest = rest.strip_prefix(literal).ok_or_else(|| cannot(rest, literal))?;
    }
    let limits = [("month", numbers[1], 1, 12), ("hour", numbers[3], 0, 23), ("minute", numbers[4], 0, 59)];
    for (name, number, low, high) in limits.into_iter().chain([("second", numbers[5], 0, 59)]) {
        if number < low || number > high {
            return Err(fail(format!(": {name} out of range")));
        }
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(fraction) = rest.strip_prefix(['.', ',']).filter(|f| digits(f) > 0) {
        if micro && digits(fraction) < 6 {
            return Err(cannot(rest, ".000000"));
        }
        rest = &fraction[digits(fraction)..];
    } else if micro {
        return Err(cannot(rest, ".000000"));
    }
    let offset = match rest.as_bytes() {
        [b'Z', ..] => 1,
        [b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|b| b.is_ascii_digit()) => 6,
        _ => return Err(cannot(rest, "Z07:00")),
    };
    if rest.len() > offset {
        return Err(fail(format!(": extra text: {:?}", &rest[offset..])));
    }
    // What is left to be wrong is a day that the month does not have.
    let time = parse_time(&text.replacen(',', ".", 1)).ok_or_else(|| fail(": day out of range".into()))?;
    Ok(if micro { format_micro(time) } else { format_seconds(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_base64(text: &str, expect: Result<&str, usize>) {
        let expect = expect.map(str::to_owned).map_err(|at| format!("illegal base64 data at input byte {at}"));
        assert_eq!(base64(text.to_owned()), expect, "{text:?}");
    }

    #[test]
    fn base64_is_gos() {
        check_base64("", Ok(""));
        check_base64("AAEC", Ok("AAEC"));
        check_base64("YQ==", Ok("YQ=="));
        check_base64("YWI=", Ok("YWI="));
        check_base64("YW\nJj\r\n", Ok("YWJj"));
        check_base64("YR==", Ok("YQ=="));
        check_base64("%%%", Err(0));
        check_base64("AA%=", Err(2));
        check_base64("abc", Err(0));
        check_base64("AAECab", Err(4));
        check_base64("YQ=", Err(3));
        check_base64("YQ==x", Err(4));
        check_base64("=", Err(0));
    }

    #[track_caller]
    fn check_time(text: &str, micro: bool, expect: Result<&str, &str>) {
        assert_eq!(time(text, micro), expect.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn times_are_written_in_utc() {
        check_time("2001-01-01T00:00:00Z", false, Ok("2001-01-01T00:00:00Z"));
        check_time("2001-01-01T02:00:00.5+02:00", false, Ok("2001-01-01T00:00:00Z"));
        check_time("2001-01-01T00:00:00.123456Z", true, Ok("2001-01-01T00:00:00.123456Z"));
    }

    #[test]
    fn malformed_times() {
        let text = r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#;
        check_time("x", false, Err(text));
        let text = r#"parsing time "2001-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#;
        check_time("2001-01-01", false, Err(text));
        check_time("2001-13-01T00:00:00Z", false, Err(r#"parsing time "2001-13-01T00:00:00Z": month out of range"#));
        check_time("2001-02-30T00:00:00Z", false, Err(r#"parsing time "2001-02-30T00:00:00Z": day out of range"#));
        check_time("2001-01-01T00:00:00Zx", false, Err(r#"parsing time "2001-01-01T00:00:00Zx": extra text: "x""#));
        let text = r#"parsing time "2001-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#;
        check_time("2001-01-01T00:00:00Z", true, Err(text));
    }
}
