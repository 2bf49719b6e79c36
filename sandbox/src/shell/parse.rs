//! Splits a script into simple commands.

use std::collections::BTreeMap;

use super::Route;

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

/// Where a step's standard output goes, when not where its script's does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stream(Route),
    File { path: String, append: bool },
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) join: Join,
    words: Vec<Vec<Piece>>,
    pub(super) target: Option<Target>,
}

impl Step {
    pub(super) fn expand(&self, variables: &BTreeMap<String, String>, code: i32) -> Vec<String> {
        let expanded = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name) if name == "?" => code.to_string(),
            Piece::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        };
        self.words.iter().map(|word| word.iter().map(expanded).collect()).collect()
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Step>, &'static str> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
        steps: Vec::new(),
        words: Vec::new(),
        join: Join::Always,
        target: None,
    };
    parser.run()?;
    Ok(parser.steps)
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    steps: Vec<Step>,
    words: Vec<Vec<Piece>>,
    join: Join,
    target: Option<Target>,
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
        let [Piece::Text(target)] = target.as_slice() else { return Err("this redirection") };
        self.target = Some(match (descriptor, target.as_str()) {
            (true, "2") | (false, "/dev/stderr") => Target::Stream(Route::Stderr),
            (true, "1") | (false, "/dev/stdout") => Target::Stream(Route::Stdout),
            (false, "/dev/null") => Target::Stream(Route::Nowhere),
            (false, path) => Target::File { path: path.to_owned(), append },
            _ => return Err("this redirection"),
        });
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    }

    fn end(&mut self, next: Join) {
        let words = std::mem::take(&mut self.words);
        let target = self.target.take();
        if !words.is_empty() {
            self.steps.push(Step { join: self.join, words, target });
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
