//! Splits text into tokens.

use super::issues::Issue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Ident,
    /// An identifier in backticks.
    Escaped,
    Int,
    Uint,
    Float,
    String,
    Bytes,
    /// An operator, a bracket, or one of the words `in`, `true`, `false`, `null`.
    Sign,
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    /// In characters.
    pub(super) offset: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }

    /// As error texts show it.
    pub(super) fn shown(&self) -> &str {
        if self.kind == TokenKind::End { "<EOF>" } else { self.text }
    }
}

const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%", "=", "|",
];

/// The tokens of a text, the last of which is its end, and what is none.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Vec<Issue>) {
    let mut lexer = Lexer { text, at: 0, offset: 0 };
    let (mut tokens, mut issues) = (Vec::new(), Vec::new());
    loop {
        lexer.skip_blank();
        let (start, offset) = (lexer.at, lexer.offset);
        if start == text.len() {
            tokens.push(Token { kind: TokenKind::End, text: "", offset });
            return (tokens, issues);
        }
        let rest = &text[start..];
        match scan(rest) {
            Ok((kind, length)) => {
                lexer.advance(length);
                tokens.push(Token { kind, text: &text[start..start + length], offset });
            }
            Err(length) => {
                lexer.advance(length);
                let what = escape(&text[start..start + length]);
                issues.push(Issue {
                    offset: Some(offset),
                    message: format!("Syntax error: token recognition error at: '{what}'"),
                });
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    offset: usize,
}

impl Lexer<'_> {
    fn advance(&mut self, bytes: usize) {
        self.offset += self.text[self.at..self.at + bytes].chars().count();
        self.at += bytes;
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.bytes().take_while(|b| b" \t\r\n\x0c".contains(b)).count();
            let length = match rest[blank..].starts_with("//") {
                true => blank + rest[blank..].find('\n').unwrap_or(rest.len() - blank),
                false => blank,
            };
            if length == 0 {
                return;
            }
            self.advance(length);
        }
    }
}

/// Kind and length of the token that the text starts with, or the length of what is none.
fn scan(rest: &str) -> Result<(TokenKind, usize), usize> {
    let bytes = rest.as_bytes();
    let first = bytes.first().copied().unwrap_or_default();
    if let Some(found) = string(rest) {
        return found;
    }
    if first == b'`' {
        let inner = rest[1..].bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_.-/ ".contains(b)).count();
        return match (inner, bytes.get(1 + inner)) {
            (1.., Some(b'`')) => Ok((TokenKind::Escaped, inner + 2)),
            _ => Err(1 + inner),
        };
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let word = ["in", "true", "false", "null"].contains(&&rest[..length]);
        return Ok((if word { TokenKind::Sign } else { TokenKind::Ident }, length));
    }
    if first.is_ascii_digit() || (first == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        return Ok(number(bytes));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        // Half of `==` and `||`, which mean nothing alone; ANTLR takes the next character into the error.
        Some(&half @ ("=" | "|")) => Err(half.len() + rest[1..].chars().next().map_or(0, char::len_utf8)),
        Some(sign) => Ok((TokenKind::Sign, sign.len())),
        None if first == b'&' => Err(1 + rest[1..].chars().next().map_or(0, char::len_utf8)),
        None => Err(rest.chars().next().map_or(1, char::len_utf8)),
    }
}

fn number(bytes: &[u8]) -> (TokenKind, usize) {
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let with_unit = |length: usize| match bytes.get(length) {
        Some(b'u' | b'U') => (TokenKind::Uint, length + 1),
        _ => (TokenKind::Int, length),
    };
    if bytes.starts_with(b"0x") {
        let hex = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if hex > 0 {
            return with_unit(2 + hex);
        }
    }
    let whole = digits(0);
    let mut length = whole;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    if length > whole { (TokenKind::Float, length) } else { with_unit(whole) }
}

/// A string or byte literal with its prefixes, if the text starts with one.
fn string(rest: &str) -> Option<Result<(TokenKind, usize), usize>> {
    let bytes = rest.as_bytes();
    let is_bytes = matches!(bytes.first(), Some(b'b' | b'B'));
    let mut at = usize::from(is_bytes);
    let is_raw = matches!(bytes.get(at), Some(b'r' | b'R'));
    at += usize::from(is_raw);
    let quote = bytes.get(at).copied().filter(|b| *b == b'"' || *b == b'\'')?;
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let kind = if is_bytes { TokenKind::Bytes } else { TokenKind::String };
    let start = at + if triple { 3 } else { 1 };
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !is_raw => {
                let Some(escape) = escape_length(&bytes[at..]) else { return Some(Err(until_char(rest, at + 1))) };
                at += escape;
            }
            b'\n' | b'\r' if !triple => return Some(Err(until_char(rest, at))),
            _ if triple && bytes[at..].starts_with(&[quote; 3]) => return Some(Ok((kind, at + 3))),
            _ if !triple && byte == quote => return Some(Ok((kind, at + 1))),
            _ => at += 1,
        }
    }
    // An unfinished `'''` is an empty string and the start of another.
    if triple { Some(Ok((kind, start - 1))) } else { Some(Err(rest.len())) }
}

/// The next character boundary past the character at `at`.
fn until_char(rest: &str, at: usize) -> usize {
    (at + 1..=rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len())
}

/// The length of an escape sequence, backslash included.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    let hex = |count: usize| {
        let digits = bytes.get(2..2 + count)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(2 + count)
    };
    match bytes.get(1)? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => Some(2),
        b'x' | b'X' => hex(2),
        b'u' => hex(4),
        b'U' => hex(8),
        b'0'..=b'3' => {
            let digits = bytes.get(2..4)?;
            digits.iter().all(|b| (b'0'..=b'7').contains(b)).then_some(4)
        }
        _ => None,
    }
}
