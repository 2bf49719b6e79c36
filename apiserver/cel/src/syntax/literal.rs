//! What string and byte literals stand for.

/// The text of a string literal.
pub(super) fn string(literal: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(literal.len());
    for unit in units(literal, false)? {
        match unit {
            Unit::Char(c) => out.push(c),
            Unit::Code(code) => out.push(char::from_u32(code).ok_or("invalid unicode code point")?),
        }
    }
    Ok(out)
}

/// The bytes of a byte literal, without its `b`.
pub(super) fn bytes(literal: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(literal.len());
    for unit in units(literal, true)? {
        match unit {
            Unit::Char(c) => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            Unit::Code(code) => out.push(u8::try_from(code).map_err(|_| "unable to unescape string")?),
        }
    }
    Ok(out)
}

enum Unit {
    Char(char),
    /// What an escape sequence gives by number: a code point, or in bytes a byte.
    Code(u32),
}

fn units(literal: &str, is_bytes: bool) -> Result<Vec<Unit>, &'static str> {
    const ERROR: &str = "unable to unescape string";
    let normal = literal.replace("\r\n", "\n").replace('\r', "\n");
    let (raw, quoted) = match normal.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, normal.as_str()),
    };
    let inner = ["\"\"\"", "'''", "\"", "'"]
        .iter()
        .find_map(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote))
        .ok_or(ERROR)?;
    if raw {
        return Ok(inner.chars().map(Unit::Char).collect());
    }
    let mut units = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            units.push(Unit::Char(c));
            continue;
        }
        let letter = rest.chars().next().ok_or("unable to unescape string, found '\\' as last character")?;
        rest = &rest[letter.len_utf8()..];
        let simple = match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => letter,
            _ => {
                let (digits, radix, from) = match letter {
                    'x' | 'X' => (2, 16, rest.get(..2)),
                    'u' if !is_bytes => (4, 16, rest.get(..4)),
                    'U' if !is_bytes => (8, 16, rest.get(..8)),
                    '0'..='3' => (2, 8, rest.get(..2)),
                    _ => return Err(ERROR),
                };
                let high = if radix == 8 { letter.to_digit(8).unwrap_or_default() * 64 } else { 0 };
                let code = from.and_then(|text| u32::from_str_radix(text, radix).ok()).ok_or(ERROR)?;
                rest = &rest[digits..];
                units.push(Unit::Code(high + code));
                continue;
            }
        };
        units.push(Unit::Char(simple));
    }
    Ok(units)
}
