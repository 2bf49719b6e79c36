//! The grammar of cel-spec, by recursive descent.
//!
//! Bounded three ways: by the length of the text, by how deep calls of the
//! parser nest, and by the height of the tree, which bounds everything that
//! walks it later. After a syntax error parsing stops: unlike ANTLR, nothing
//! is guessed to go on.

use std::sync::Arc;

use super::ast::{Call, Entry, Expr, Id, Kind};
use super::issues::{Issue, Issues};
use super::lexer::{Token, TokenKind, tokens};
use super::{literal, macros, words};
use crate::value::Val;

/// cel-go's limit, in characters.
const MAX_LENGTH: usize = 100_000;
/// How deep expressions nest; cel-go stops at 250. A test compiles and evaluates the deepest on half a stack.
const MAX_DEPTH: usize = 200;
/// How high a tree may be, with what macros add.
const MAX_HEIGHT: usize = 250;

const STARTS: &str = "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
/// What may stand where an expression begins, for error texts.
const PLAIN: &str = "'[', '{', '(', '.', '-', '!'";
/// How tightly `&&` binds.
const LOGIC: usize = 1;

/// How many nodes a tree may have: macros copy, and copies of copies double.
const MAX_NODES: usize = 400_000;

/// A tree, and where each node stands in the text.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Expr,
    /// By node, in characters.
    pub(crate) offsets: Vec<usize>,
}

/// Whoever returns this has told what is wrong.
pub(super) struct Failed;

type Result<T> = std::result::Result<T, Failed>;

pub(crate) fn parse(text: &str, sort_by: bool) -> std::result::Result<Parsed, Issues> {
    let length = text.chars().count();
    if length > MAX_LENGTH {
        let message = format!("expression code point size exceeds limit: size: {length}, limit {MAX_LENGTH}");
        return Err(Issues::new(text, vec![Issue { offset: None, message }]));
    }
    let (tokens, issues) = tokens(text);
    let builder = Builder { offsets: vec![0], issues, sort_by };
    let mut parser = Parser { tokens, next: 0, depth: 0, builder };
    let root = parser.whole();
    match root {
        Ok(root) if parser.builder.issues.is_empty() => Ok(Parsed { root, offsets: parser.builder.offsets }),
        _ => Err(Issues::new(text, parser.builder.issues)),
    }
}

/// Makes nodes and gathers errors.
pub(super) struct Builder {
    offsets: Vec<usize>,
    issues: Vec<Issue>,
    /// Whether there is the macro `sortBy`.
    pub(super) sort_by: bool,
}

impl Builder {
    pub(super) fn id(&mut self, offset: usize) -> Id {
        self.offsets.push(offset);
        self.offsets.len() - 1
    }

    pub(super) fn offset(&self, id: Id) -> usize {
        self.offsets.get(id).copied().unwrap_or_default()
    }

    pub(super) fn fail<T>(&mut self, offset: Option<usize>, message: impl Into<String>) -> Result<T> {
        self.issues.push(Issue { offset, message: message.into() });
        Err(Failed)
    }

    pub(super) fn node(&mut self, id: Id, kind: Kind) -> Result<Expr> {
        let mut expr = Expr { id, kind, height: 1 };
        expr.height += expr.children().iter().map(|child| child.height).max().unwrap_or(0);
        if expr.height > MAX_HEIGHT {
            return self.too_deep();
        }
        if self.offsets.len() > MAX_NODES {
            return self.fail(None, format!("expression has more than {MAX_NODES} parts"));
        }
        Ok(expr)
    }

    fn too_deep<T>(&mut self) -> Result<T> {
        self.fail(None, format!("expression recursion limit exceeded: {MAX_DEPTH}"))
    }

    pub(super) fn call(&mut self, id: Id, function: &str, args: Vec<Expr>) -> Result<Expr> {
        self.node(id, Kind::Call(Call { function: function.into(), target: None, args }))
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: usize,
    builder: Builder,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> Token<'a> {
        let last = self.tokens.len() - 1;
        self.tokens[(self.next + count).min(last)]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_if(&mut self, sign: &str) -> Option<Token<'a>> {
        self.peek().is(sign).then(|| self.take())
    }

    fn syntax<T>(&mut self, token: Token<'_>, what: String) -> Result<T> {
        self.builder.fail(Some(token.offset), format!("Syntax error: {what}"))
    }

    /// Where an expression should begin and does not; `first` and `then` are the signs that may stand there.
    fn no_expression<T>(&mut self, signs: &str) -> Result<T> {
        let token = self.peek();
        let next_starts = token.kind != TokenKind::End && starts_expression(self.ahead(1));
        let what = if next_starts { "extraneous" } else { "mismatched" };
        self.syntax(token, format!("{what} input '{}' expecting {{{signs}, {STARTS}", token.shown()))
    }

    fn want(&mut self, sign: &str, expected: &str) -> Result<Token<'a>> {
        match self.take_if(sign) {
            Some(token) => Ok(token),
            None => {
                let token = self.peek();
                self.syntax(token, format!("mismatched input '{}' expecting {expected}", token.shown()))
            }
        }
    }

    fn whole(&mut self) -> Result<Expr> {
        let expr = self.expr(PLAIN)?;
        let token = self.peek();
        if token.kind != TokenKind::End {
            let alone = self.ahead(1).kind == TokenKind::End;
            let what = if alone { "extraneous" } else { "mismatched" };
            return self.syntax(token, format!("{what} input '{}' expecting <EOF>", token.text));
        }
        Ok(expr)
    }

    /// `signs` are what may stand where the expression begins, for error texts.
    fn expr(&mut self, signs: &str) -> Result<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.builder.too_deep();
        }
        let condition = self.operation(signs, 0)?;
        let expr = match self.take_if("?") {
            None => condition,
            Some(op) => {
                let id = self.builder.id(op.offset);
                let then = self.operation(PLAIN, 0)?;
                self.want(":", "':'")?;
                let otherwise = self.expr(PLAIN)?;
                self.builder.call(id, "_?_:_", vec![condition, then, otherwise])?
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// Operands with operators between them that bind at least as tightly as `least`.
    fn operation(&mut self, signs: &str, least: usize) -> Result<Expr> {
        let mut left = self.unary(signs)?;
        loop {
            let token = self.peek();
            let Some((level, function)) = operator(token).filter(|(level, _)| *level >= least) else {
                return Ok(left);
            };
            if level <= LOGIC {
                left = self.logic(left, token.text, function, level)?;
                continue;
            }
            self.take();
            let id = self.builder.id(token.offset);
            let right = self.operation(PLAIN, level + 1)?;
            left = self.builder.call(id, function, vec![left, right])?;
        }
    }

    /// A chain of `||` or `&&`; made into a balanced tree, so that long chains stay low.
    fn logic(&mut self, first: Expr, sign: &str, function: &str, level: usize) -> Result<Expr> {
        let (mut terms, mut ops) = (vec![first], Vec::new());
        while let Some(op) = self.take_if(sign) {
            terms.push(self.operation(PLAIN, level + 1)?);
            ops.push(self.builder.id(op.offset));
        }
        self.balanced(function, &mut terms.into_iter(), &ops)
    }

    fn balanced(&mut self, function: &str, terms: &mut std::vec::IntoIter<Expr>, ops: &[Id]) -> Result<Expr> {
        if ops.is_empty() {
            return terms.next().ok_or(Failed);
        }
        let middle = ops.len() / 2;
        let left = self.balanced(function, terms, &ops[..middle])?;
        let right = self.balanced(function, terms, &ops[middle + 1..])?;
        self.builder.call(ops[middle], function, vec![left, right])
    }

    fn unary(&mut self, signs: &str) -> Result<Expr> {
        let token = self.peek();
        let (sign, function) = match token.text {
            "!" if token.kind == TokenKind::Sign => ("!", "!_"),
            // A minus before a number is the number's.
            "-" if token.kind == TokenKind::Sign && !self.is_number(1) => ("-", "-_"),
            _ => return self.member(signs),
        };
        let mut count = 0;
        while self.peek().is(sign) && !(sign == "-" && count == 0 && self.is_number(1)) {
            self.take();
            count += 1;
        }
        let inner = self.member("'[', '{', '(', '.'")?;
        if count % 2 == 0 {
            return Ok(inner);
        }
        let id = self.builder.id(token.offset);
        self.builder.call(id, function, vec![inner])
    }

    fn is_number(&self, ahead: usize) -> bool {
        matches!(self.ahead(ahead).kind, TokenKind::Int | TokenKind::Float)
    }

    fn member(&mut self, signs: &str) -> Result<Expr> {
        let mut expr = self.primary(signs)?;
        loop {
            let token = self.peek();
            if token.is(".") {
                self.take();
                expr = self.selection(expr, token)?;
            } else if token.is("[") {
                self.take();
                let optional = self.take_if("?").is_some();
                let id = self.builder.id(token.offset);
                let index = self.expr(PLAIN)?;
                self.want("]", "']'")?;
                expr = self.builder.call(id, if optional { "_[?_]" } else { "_[_]" }, vec![expr, index])?;
            } else {
                return Ok(expr);
            }
        }
    }

    /// What follows `operand.`
    fn selection(&mut self, operand: Expr, dot: Token<'a>) -> Result<Expr> {
        let optional = self.take_if("?").is_some();
        let name = self.peek();
        match name.kind {
            TokenKind::Ident => {}
            TokenKind::Escaped => {
                return self.builder.fail(Some(name.offset), "unsupported syntax: '`'");
            }
            _ => {
                let seen = if name.kind == TokenKind::End { "" } else { name.text };
                let question = if optional { "?" } else { "" };
                return self.syntax(name, format!("no viable alternative at input '.{question}{seen}'"));
            }
        }
        self.take();
        if optional {
            let id = self.builder.id(dot.offset);
            let field_id = self.builder.id(name.offset);
            let field = self.builder.node(field_id, Kind::Literal(Val::from(name.text)))?;
            return self.builder.call(id, "_?._", vec![operand, field]);
        }
        if let Some(open) = self.take_if("(") {
            let id = self.builder.id(open.offset);
            let args = self.arguments()?;
            return macros::call(&mut self.builder, id, name.text, Some(operand), args);
        }
        let id = self.builder.id(dot.offset);
        self.builder.node(id, Kind::Select { operand: operand.into(), field: name.text.into(), test: false })
    }

    /// Arguments after an opening parenthesis, and the closing one.
    fn arguments(&mut self) -> Result<Vec<Expr>> {
        let mut args = Vec::new();
        if self.take_if(")").is_some() {
            return Ok(args);
        }
        args.push(self.expr("'[', '{', '(', ')', '.', '-', '!'")?);
        while self.take_if(",").is_some() {
            args.push(self.expr(PLAIN)?);
        }
        self.want(")", "{')', ','}")?;
        Ok(args)
    }

    fn primary(&mut self, signs: &str) -> Result<Expr> {
        let token = self.peek();
        match (token.kind, token.text) {
            (TokenKind::Sign, "(") => {
                self.take();
                let inner = self.expr(PLAIN)?;
                self.want(")", "')'")?;
                Ok(inner)
            }
            (TokenKind::Sign, "[") => self.list(),
            (TokenKind::Sign, "{") => self.map(),
            (TokenKind::Ident, _) => self.name(""),
            (TokenKind::Sign, ".") if self.ahead(1).kind == TokenKind::Ident => {
                self.take();
                self.name(".")
            }
            (TokenKind::Sign, "true" | "false" | "null" | "-")
            | (TokenKind::Int | TokenKind::Uint | TokenKind::Float | TokenKind::String | TokenKind::Bytes, _)
                if token.text != "-" || self.is_number(1) =>
            {
                self.literal()
            }
            _ => self.no_expression(signs),
        }
    }

    fn literal(&mut self) -> Result<Expr> {
        let first = self.take();
        let (sign, token) = if first.is("-") { ("-", self.take()) } else { ("", first) };
        let value = match token.kind {
            TokenKind::Int => integer(sign, token.text).map(Val::Int).ok_or("invalid int literal"),
            TokenKind::Uint => {
                unsigned(&token.text[..token.text.len() - 1]).map(Val::Uint).ok_or("invalid uint literal")
            }
            TokenKind::Float => match format!("{sign}{}", token.text).parse::<f64>() {
                Ok(float) if float.is_finite() => Ok(Val::Double(float)),
                _ => Err("invalid double literal"),
            },
            TokenKind::String => literal::string(token.text).map(|text| Val::from(text.as_str())),
            TokenKind::Bytes => literal::bytes(&token.text[1..]).map(|bytes| Val::Bytes(bytes.into())),
            _ => Ok(match token.text {
                "true" => Val::Bool(true),
                "false" => Val::Bool(false),
                _ => Val::Null,
            }),
        };
        match value {
            Ok(value) => {
                let id = self.builder.id(first.offset);
                self.builder.node(id, Kind::Literal(value))
            }
            Err(message) => self.builder.fail(Some(first.offset), message),
        }
    }

    /// An identifier, a call of a function, or a message; `dot` is the dot before it.
    fn name(&mut self, dot: &str) -> Result<Expr> {
        let token = self.peek();
        if let Some(count) = self.message_ahead() {
            return self.message(dot, count);
        }
        self.take();
        if words::RESERVED.contains(&token.text) {
            return self.builder.fail(Some(token.offset), format!("reserved identifier: {}", token.text));
        }
        if let Some(open) = self.take_if("(") {
            let id = self.builder.id(open.offset);
            let args = self.arguments()?;
            return macros::call(&mut self.builder, id, token.text, None, args);
        }
        let id = self.builder.id(token.offset);
        self.builder.node(id, Kind::Ident(format!("{dot}{}", token.text).into()))
    }

    /// How many names follow each other up to a `{`.
    fn message_ahead(&self) -> Option<usize> {
        let mut count = 1;
        while self.ahead(2 * count - 1).is(".") && self.ahead(2 * count).kind == TokenKind::Ident {
            count += 1;
        }
        self.ahead(2 * count - 1).is("{").then_some(count)
    }

    fn message(&mut self, dot: &str, names: usize) -> Result<Expr> {
        let mut name = dot.to_owned();
        for _ in 0..2 * names - 1 {
            name.push_str(self.take().text);
        }
        let open = self.take();
        let id = self.builder.id(open.offset);
        let mut fields: Vec<(Arc<str>, Id, Expr, bool)> = Vec::new();
        while !self.peek().is("}") {
            let optional = self.take_if("?").is_some();
            let field = self.take();
            if field.kind != TokenKind::Ident {
                return self.syntax(field, format!("mismatched input '{}' expecting IDENTIFIER", field.shown()));
            }
            let colon = self.want(":", "':'")?;
            let field_id = self.builder.id(colon.offset);
            let value = self.expr(PLAIN)?;
            fields.push((field.text.into(), field_id, value, optional));
            if self.take_if(",").is_none() {
                break;
            }
        }
        self.want("}", "{'}', ','}")?;
        self.builder.node(id, Kind::Message { name: name.into(), fields })
    }

    fn list(&mut self) -> Result<Expr> {
        let open = self.take();
        let id = self.builder.id(open.offset);
        let mut items = Vec::new();
        // A comma may stand alone, and after the last item.
        if self.take_if(",").is_none() {
            while !self.peek().is("]") {
                let optional = self.take_if("?").is_some();
                items.push((self.expr("'[', ']', '{', '(', '.', ',', '-', '!', '?'")?, optional));
                if self.take_if(",").is_none() {
                    break;
                }
            }
        }
        self.want("]", "{']', ','}")?;
        self.builder.node(id, Kind::List(items))
    }

    fn map(&mut self) -> Result<Expr> {
        let open = self.take();
        let id = self.builder.id(open.offset);
        let mut entries = Vec::new();
        if self.take_if(",").is_none() {
            while !self.peek().is("}") {
                let optional = self.take_if("?").is_some();
                let key = self.expr("'[', '{', '}', '(', '.', ',', '-', '!', '?'")?;
                self.want(":", "':'")?;
                let value = self.expr(PLAIN)?;
                entries.push(Entry { key, value, optional });
                if self.take_if(",").is_none() {
                    break;
                }
            }
        }
        self.want("}", "{'}', ','}")?;
        self.builder.node(id, Kind::Map(entries))
    }
}

/// How tightly a binary operator binds, and its function. All are from left to right.
fn operator(token: Token<'_>) -> Option<(usize, &'static str)> {
    const OPERATORS: [(&str, usize, &str); 14] = [
        ("||", 0, "_||_"),
        ("&&", LOGIC, "_&&_"),
        ("<", 2, "_<_"),
        ("<=", 2, "_<=_"),
        (">=", 2, "_>=_"),
        (">", 2, "_>_"),
        ("==", 2, "_==_"),
        ("!=", 2, "_!=_"),
        ("in", 2, "@in"),
        ("+", 3, "_+_"),
        ("-", 3, "_-_"),
        ("*", 4, "_*_"),
        ("/", 4, "_/_"),
        ("%", 4, "_%_"),
    ];
    OPERATORS.iter().find(|(sign, ..)| token.is(sign)).map(|(_, level, function)| (*level, *function))
}

fn starts_expression(token: Token<'_>) -> bool {
    match token.kind {
        TokenKind::Sign => ["[", "{", "(", ".", "-", "!", "true", "false", "null"].contains(&token.text),
        TokenKind::End | TokenKind::Escaped => false,
        _ => true,
    }
}

fn integer(sign: &str, text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16).ok(),
        None => format!("{sign}{text}").parse().ok(),
    }
}

fn unsigned(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
