//! Splits a script into simple commands.

use std::collections::BTreeMap;

use super::Route;

/// How long a command may be when its variables are in it: each may hold another one twice.
const COMMAND_LIMIT: usize = 1 << 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Always,
    IfOk,
    IfFailed,
}

/// A piece of a word: as written, or the name of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) join: Join,
    words: Vec<Vec<Piece>>,
    pub(super) route: Option<Route>,
    file: Option<(Vec<Piece>, bool)>,
}

/// The file that a command's output goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    /// Whether it keeps what is in it.
    pub(super) append: bool,
}

impl Step {
    /// Its words, and the file that its output goes to; nothing if all that is longer than a command may be.
    pub(super) fn expand(
        &self,
        variables: &BTreeMap<String, String>,
        code: i32,
    ) -> Option<(Vec<String>, Option<Target>)> {
        let (code, mut room) = (code.to_string(), COMMAND_LIMIT);
        let mut expanded = |word: &Vec<Piece>| {
            let mut text = String::new();
            for piece in word {
                let piece = match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Variable(name) if name == "?" => &code,
                    Piece::Variable(name) => variables.get(name).map_or("", String::as_str),
                };
                room = room.checked_sub(piece.len())?;
                text.push_str(piece);
            }
            Some(text)
        };
        let argv = self.words.iter().map(&mut expanded).collect::<Option<_>>()?;
        let target = match &self.file {
            Some((path, append)) => Some(Target { path: expanded(path)?, append: *append }),
            None => None,
        };
        Some((argv, target))
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Step>, &'static str> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
        steps: Vec::new(),
        words: Vec::new(),
        join: Join::Always,
        route: None,
        file: None,
    };
    parser.run()?;
    Ok(parser.steps)
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    steps: Vec<Step>,
    words: Vec<Vec<Piece>>,
    join: Join,
    route: Option<Route>,
    file: Option<(Vec<Piece>, bool)>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), &'static str> {
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\r' => {
                    self.rest.next();
                }
                '\n' | ';' => {
                    self.rest.next();
                    self.end(Join::Always);
                }
                '#' => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '&' => {
                    self.rest.next();
                    self.rest.next_if_eq(&'&').ok_or("background jobs")?;
                    self.end(Join::IfOk);
                }
                '|' => {
                    self.rest.next();
                    self.rest.next_if_eq(&'|').ok_or("pipes")?;
                    self.end(Join::IfFailed);
                }
                '>' => self.redirection()?,
                '<' => return Err("input redirection"),
                '(' | ')' | '`' => return Err("sub-shells"),
                _ => {
                    let word = self.word()?;
                    self.take_word(word)?;
                }
            }
        }
        self.end(Join::Always);
        Ok(())
    }

    fn take_word(&mut self, word: Vec<Piece>) -> Result<(), &'static str> {
        if self.words.is_empty()
            && let [Piece::Text(text)] = word.as_slice()
            && matches!(
                text.as_str(),
                "while" | "for" | "if" | "case" | "until" | "do" | "done" | "then" | "fi" | "{" | "function"
            )
        {
            return Err("loops, conditions and functions");
        }
        // `2>&1` arrives as a word before the sign.
        if word == [Piece::Text("2".to_owned())] && self.rest.peek() == Some(&'>') {
            self.rest.next();
            self.rest.next_if_eq(&'>');
            if self.rest.next_if_eq(&'&').is_none() {
                self.skip_blanks();
            }
            self.word()?;
            return Ok(());
        }
        self.words.push(word);
        Ok(())
    }

    fn redirection(&mut self) -> Result<(), &'static str> {
        self.rest.next();
        let append = self.rest.next_if_eq(&'>').is_some();
        let descriptor = self.rest.next_if_eq(&'&').is_some();
        self.skip_blanks();
        let target = self.word()?;
        let known = match target.as_slice() {
            [Piece::Text(text)] => text.as_str(),
            _ => "",
        };
        (self.route, self.file) = match (descriptor, known) {
            (true, "2") | (false, "/dev/stderr") => (Some(Route::Stderr), None),
            (true, "1") | (false, "/dev/stdout") => (Some(Route::Stdout), None),
            (false, "/dev/null") => (Some(Route::Nowhere), None),
            (false, _) => (None, Some((target, append))),
            _ => return Err("this redirection"),
        };
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    }

    fn end(&mut self, next: Join) {
        let words = std::mem::take(&mut self.words);
        let (route, file) = (self.route.take(), self.file.take());
        if !words.is_empty() || file.is_some() {
            self.steps.push(Step { join: self.join, words, route, file });
        }
        self.join = next;
    }

    fn word(&mut self) -> Result<Vec<Piece>, &'static str> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '>' | '<' | '(' | ')' | '`' => break,
                '\'' => {
                    self.rest.next();
                    loop {
                        match self.rest.next().ok_or("an open quote")? {
                            '\'' => break,
                            c => text.push(c),
                        }
                    }
                }
                '"' => {
                    self.rest.next();
                    self.quoted(&mut text, &mut pieces)?;
                }
                '\\' => {
                    self.rest.next();
                    text.extend(self.rest.next());
                }
                '$' => self.variable(&mut text, &mut pieces)?,
                _ => {
                    text.push(c);
                    self.rest.next();
                }
            }
        }
        if !text.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    fn quoted(&mut self, text: &mut String, pieces: &mut Vec<Piece>) -> Result<(), &'static str> {
        loop {
            match self.rest.peek().copied().ok_or("an open quote")? {
                '"' => {
                    self.rest.next();
                    return Ok(());
                }
                '\\' => {
                    self.rest.next();
                    match self.rest.next().ok_or("an open quote")? {
                        c @ ('"' | '\\' | '$' | '`') => text.push(c),
                        c => text.extend(['\\', c]),
                    }
                }
                '$' => self.variable(text, pieces)?,
                '`' => return Err("sub-shells"),
                c => {
                    text.push(c);
                    self.rest.next();
                }
            }
        }
    }

    fn variable(&mut self, text: &mut String, pieces: &mut Vec<Piece>) -> Result<(), &'static str> {
        self.rest.next();
        let mut name = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(c) = self.rest.next_if(|c| *c != '}') {
                name.push(c);
            }
            self.rest.next().ok_or("an open brace")?;
        } else if self.rest.next_if_eq(&'?').is_some() {
            name.push('?');
        } else if self.rest.peek() == Some(&'(') {
            return Err("sub-shells");
        } else {
            while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
        }
        if name.is_empty() {
            text.push('$');
            return Ok(());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(text)));
        }
        pieces.push(Piece::Variable(name));
        Ok(())
    }
}
