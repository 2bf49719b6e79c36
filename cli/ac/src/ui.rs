//! Talking with a person: data to standard output, everything else to standard error.
//!
//! Prompts are whole lines on standard error answered by whole lines on standard input, so a pseudo-terminal can
//! drive them. Off a terminal nothing ever waits for an answer.

use std::io::{BufRead, Write};

use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::text::{Lang, Text};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that has not asked otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two ends of the conversation.
#[derive(Clone, Debug)]
pub struct Ui {
    lang: Lang,
    quiet: bool,
    color: bool,
    interactive: bool,
}

impl Ui {
    /// Decides language, colour and whether anyone can answer.
    pub fn new(env: &Environment, quiet: bool, color: ColorChoice) -> Self {
        let wanted = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if env.has("NO_COLOR") && env.var("NO_COLOR").is_some() => false,
            ColorChoice::Auto if env.var("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
            ColorChoice::Auto if env.var("CLICOLOR") == Some("0") || env.var("TERM") == Some("dumb") => false,
            ColorChoice::Auto => env.stderr_is_terminal,
        };
        Self {
            lang: Lang::from_env(env),
            quiet,
            color: wanted,
            interactive: env.stdin_is_terminal && env.stderr_is_terminal,
        }
    }

    /// The language people read.
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// Whether a question would reach somebody.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// Data: whole text to standard output.
    pub fn out(&self, text: &str) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Data: one line to standard output.
    pub fn out_line(&self, line: impl AsRef<str>) -> Result<()> {
        self.out(&format!("{}\n", line.as_ref()))
    }

    /// A line that was published in English and stays so.
    pub fn raw_note(&self, line: &str) {
        if !self.quiet {
            self.err_line(line);
        }
    }

    /// A note that `-q` silences.
    pub fn note(&self, text: &Text) {
        if !self.quiet {
            self.err_line(&text.render(self.lang));
        }
    }

    /// Something that should not be missed.
    pub fn warn(&self, text: &Text) {
        let label = if self.color { "\x1b[33mwarning:\x1b[0m" } else { "warning:" };
        self.err_line(&format!("{label} {}", text.render(self.lang)));
    }

    /// The last words of a command that failed.
    pub fn error(&self, error: &Error) {
        for line in error.lines(self.lang) {
            match line.split_once("error:") {
                Some(("", rest)) if self.color => self.err_line(&format!("\x1b[31merror:\x1b[0m{rest}")),
                _ => self.err_line(&line),
            }
        }
    }

    /// One line to standard error. There is nowhere to report a failure to, so there is none.
    pub fn err_line(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Asks for one line; `None` when nobody is there.
    pub fn ask(&self, question: &Text) -> Result<Option<String>> {
        if !self.interactive {
            return Ok(None);
        }
        self.prompt(question);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match read {
            Ok(0) => Err(cancelled()),
            Ok(_) => Ok(Some(line.trim().to_owned())),
            Err(error) => Err(Error::told(Text::CouldNotReadAnswer {}).because(error)),
        }
    }

    /// Asks for one line without showing it; `None` when nobody is there.
    pub fn ask_secret(&self, question: &Text) -> Result<Option<String>> {
        if !self.interactive {
            return Ok(None);
        }
        self.prompt(question);
        match rpassword::read_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(cancelled()),
            Err(error) => Err(Error::told(Text::CouldNotReadAnswer {}).because(error)),
        }
    }

    fn prompt(&self, question: &Text) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{} ", question.render(self.lang));
        let _ = stderr.flush();
    }
}

/// A person said no.
pub fn cancelled() -> Error {
    Error::told(Text::Cancelled {}).exit(Exit::Cancelled)
}

/// Reads a secret from standard input: everything up to the end, less the line end. Empty is refused.
pub fn secret_from_stdin() -> Result<String> {
    let mut text = String::new();
    // A password or token is small; a bound keeps a wrong pipe from filling memory.
    std::io::Read::read_to_string(&mut std::io::Read::take(std::io::stdin().lock(), 64 * 1024), &mut text)
        .map_err(|error| Error::told(Text::CouldNotReadStdin {}).because(error))?;
    let secret = text.trim_end_matches(['\r', '\n']).to_owned();
    if secret.trim().is_empty() {
        return Err(Error::usage(Text::EmptySecret {}));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ui(variables: &[(&str, &str)], terminal: bool, color: ColorChoice) -> Ui {
        let env = Environment {
            variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            stderr_is_terminal: terminal,
            stdin_is_terminal: terminal,
            ..Environment::default()
        };
        Ui::new(&env, false, color)
    }

    #[test]
    fn colour_follows_the_conventions() {
        assert!(ui(&[], true, ColorChoice::Auto).color);
        assert!(!ui(&[], false, ColorChoice::Auto).color);
        assert!(!ui(&[("NO_COLOR", "1")], true, ColorChoice::Auto).color);
        assert!(ui(&[("CLICOLOR_FORCE", "1")], false, ColorChoice::Auto).color);
        assert!(!ui(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, ColorChoice::Auto).color);
        assert!(ui(&[("NO_COLOR", "1")], false, ColorChoice::Always).color);
    }

    #[test]
    fn nobody_is_asked_off_a_terminal() {
        assert_eq!(ui(&[], false, ColorChoice::Auto).ask(&Text::PromptUsername {}).unwrap(), None);
    }
}
