//! From text to a tree: lexer, parser, macros, and how errors point into the text.

pub(crate) mod ast;
pub(crate) mod issues;
mod lexer;
mod literal;
mod macros;
mod parser;
pub(crate) mod words;

pub(crate) use parser::parse;
