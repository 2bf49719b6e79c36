//! What is wrong with a malformed JSON text, in the words of Go's `encoding/json`.
//!
//! Runs only after serde_json has refused the text. It keeps its own stack, so
//! nesting does not matter here.

/// `None` when the syntax is fine.
pub fn json_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0, nesting: Vec::new(), depth: 0 };
    match scanner.run() {
        Err(error) => Some(error),
        Ok(()) if scanner.depth > MAX_DEPTH => Some("exceeded max depth".into()),
        Ok(()) => None,
    }
}

/// serde_json's limit. Go allows 10000, which an untrusted body has no use for.
const MAX_DEPTH: usize = 127;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// `{` or `[`
    nesting: Vec<u8>,
    depth: usize,
}

fn unexpected(byte: Option<u8>, context: &str) -> String {
    match byte {
        Some(byte) => format!("invalid character {} {context}", quote(byte)),
        None => "unexpected end of JSON input".into(),
    }
}

/// A byte as Go shows it, in single quotes.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'\\' => r"'\\'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        0x0b => r"'\v'".into(),
        0x0c => r"'\f'".into(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

impl Scanner<'_> {
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            self.value()?;
            if self.after_value()? {
                return match self.peek() {
                    None => Ok(()),
                    byte => Err(unexpected(byte, "after top-level value")),
                };
            }
        }
    }

    /// Goes to the end of a scalar, or into the innermost first element.
    fn value(&mut self) -> Result<(), String> {
        loop {
            let byte = self.peek();
            match byte {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.nesting.push(open);
                    self.depth = self.depth.max(self.nesting.len());
                    if self.peek() == Some(open + 2) {
                        return Ok(());
                    }
                    if open == b'{' {
                        self.key()?;
                    }
                }
                Some(b'"') => return self.string(),
                Some(b'-' | b'0'..=b'9') => return self.number(),
                Some(b't') => return self.literal("true"),
                Some(b'f') => return self.literal("false"),
                Some(b'n') => return self.literal("null"),
                _ => return Err(unexpected(byte, "looking for beginning of value")),
            }
        }
    }

    /// Closes what ends here. True when the whole text is read, false when a value follows.
    fn after_value(&mut self) -> Result<bool, String> {
        loop {
            let Some(&open) = self.nesting.last() else { return Ok(true) };
            let byte = self.peek();
            match byte {
                Some(close) if close == open + 2 => {
                    self.at += 1;
                    self.nesting.pop();
                }
                Some(b',') => {
                    self.at += 1;
                    if open == b'{' {
                        self.key()?;
                    }
                    return Ok(false);
                }
                _ if open == b'{' => return Err(unexpected(byte, "after object key:value pair")),
                _ => return Err(unexpected(byte, "after array element")),
            }
        }
    }

    fn key(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'"') => self.string()?,
            byte => return Err(unexpected(byte, "looking for beginning of object key string")),
        }
        match self.peek() {
            Some(b':') => self.at += 1,
            byte => return Err(unexpected(byte, "after object key")),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.next() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => match self.next() {
                    Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {}
                    Some(b'u') => {
                        for _ in 0..4 {
                            let byte = self.next();
                            if !byte.is_some_and(|b| b.is_ascii_hexdigit()) {
                                return Err(unexpected(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    byte => return Err(unexpected(byte, "in string escape code")),
                },
                byte @ (Some(0..0x20) | None) => return Err(unexpected(byte, "in string literal")),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            byte => return Err(unexpected(byte.copied(), "in numeric literal")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &str) -> Result<(), String> {
        let byte = self.text.get(self.at).copied();
        if !byte.is_some_and(|b| b.is_ascii_digit()) {
            return Err(unexpected(byte, context));
        }
        self.digits();
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expect in word.bytes() {
            let byte = self.next();
            if byte != Some(expect) {
                return Err(unexpected(byte, &format!("in literal {word} (expecting {})", quote(expect))));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(json_error(text.as_bytes()).as_deref(), (!expect.is_empty()).then_some(expect), "{text}");
    }

    #[test]
    fn errors_are_gos() {
        for (text, expect) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            (r#"{"a":1,"#, "unexpected end of JSON input"),
            (r#"{"a"#, "unexpected end of JSON input"),
            ("hello", "invalid character 'h' looking for beginning of value"),
            ("{a}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
            (r#""\q""#, "invalid character 'q' in string escape code"),
            (r#""\u12x4""#, "invalid character 'x' in \\u hexadecimal character escape"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("trve", "invalid character 'v' in literal true (expecting 'u')"),
            ("'a'", r"invalid character '\'' looking for beginning of value"),
            ("[]]", "invalid character ']' after top-level value"),
            ("{]", "invalid character ']' looking for beginning of object key string"),
            (" [1, {\"a\": [true, null, -0.5e+3]}] ", ""),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        check(&"[".repeat(1_000_000), "unexpected end of JSON input");
        check(&format!("{}{}", "[".repeat(200), "]".repeat(200)), "exceeded max depth");
    }
}
