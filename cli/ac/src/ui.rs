//! Talking with a person: data to standard output, everything else to standard error.
//!
//! Prompts are whole lines on standard error answered by whole lines on standard input, so a pseudo-terminal can
//! drive them. Off a terminal nothing ever waits for an answer.

use std::io::{BufRead, Write};

use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::output::table::harmless;
use crate::qr::{self, Ink};
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
        let text = harmless_lines(&text.render(self.lang));
        let label = if self.color { "\x1b[33mwarning:\x1b[0m" } else { "warning:" };
        write_line(&format!("{label} {text}"));
    }

    /// The last words of a command that failed.
    pub fn error(&self, error: &Error) {
        for line in error.lines(self.lang) {
            match line.split_once("error:") {
                Some(("", rest)) if self.color => write_line(&format!("\x1b[31merror:\x1b[0m{}", harmless_lines(rest))),
                _ => self.err_line(&line),
            }
        }
    }

    /// A QR code, where it fits; whoever calls has the text beside it.
    pub fn qr(&self, text: &str) {
        let ink = if self.color { Ink::Colours } else { Ink::Light };
        let Some(lines) = qr::lines(text, ink) else { return };
        let width = lines.len() * 2;
        if columns().is_none_or(|columns| width <= columns) {
            lines.iter().for_each(|line| write_line(line));
        }
    }

    /// Words to standard error. Whoever they come from, they do not steer the terminal.
    pub fn err_line(&self, line: &str) {
        write_line(&harmless_lines(line));
    }

    /// A line that tells how a wait goes.
    pub fn progress(&self) -> Progress {
        Progress { ui: self.clone(), last: String::new() }
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
            Ok(0) => {
                self.err_line("");
                Err(cancelled())
            }
            Ok(_) => Ok(Some(line.trim().to_owned())),
            Err(error) => Err(Error::told(Text::CouldNotReadAnswer {}).because(error)),
        }
    }

    /// Asks for one line without showing it; `None` when nobody is there.
    pub fn ask_secret(&self, question: &Text) -> Result<Option<String>> {
        if !self.interactive {
            return Ok(None);
        }
        let read = hidden::read_line(|| self.prompt(question));
        match read {
            Ok(Some(secret)) => Ok(Some(secret)),
            Ok(None) => Err(cancelled()),
            Err(error) => Err(Error::told(Text::CouldNotReadAnswer {}).because(error)),
        }
    }

    fn prompt(&self, question: &Text) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{} ", question.render(self.lang));
        let _ = stderr.flush();
    }
}

/// One line to standard error. There is nowhere to report a failure to, so there is none.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

/// How wide the terminal is that people read, where that is known.
fn columns() -> Option<usize> {
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok().map(|size| size.ws_col);
    #[cfg(not(unix))]
    let columns = None::<u16>;
    columns.filter(|columns| *columns > 0).map(usize::from)
}

/// A line that is written over on a terminal, and written once elsewhere.
pub struct Progress {
    ui: Ui,
    last: String,
}

impl Progress {
    /// Shows how it goes now.
    pub fn show(&mut self, text: &Text) {
        let line = text.render(self.ui.lang);
        if self.ui.quiet || line == self.last || (!self.ui.interactive && !self.last.is_empty()) {
            return;
        }
        match self.ui.interactive {
            // Back to the start, and clear what stood there.
            true => {
                let mut stderr = std::io::stderr().lock();
                let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
            }
            false => self.ui.err_line(&line),
        }
        self.last = line;
    }

    /// Ends the line.
    pub fn end(self) {
        if self.ui.interactive && !self.last.is_empty() {
            self.ui.err_line("");
        }
    }
}

#[cfg(unix)]
mod hidden {
    //! A line that is typed without being shown, on a terminal that is put back whatever happens.

    use std::io::{BufRead, Error, ErrorKind, Result, Write};

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    const CTRL_C: u8 = 3;

    struct Shown(Termios);

    impl Drop for Shown {
        fn drop(&mut self) {
            // A terminal that is gone needs no repair.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
        }
    }

    /// Reads a line; `None` when the person would rather not. The question comes when nothing typed is shown any more.
    pub(super) fn read_line(ask: impl FnOnce()) -> Result<Option<String>> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut quiet = before.clone();
        // Ctrl-C ends the line instead of the process, which would leave the terminal silent.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &quiet)?;
        let shown = Shown(before);
        ask();
        let line = line_of(std::io::stdin().lock());
        drop(shown);
        // The line end that was typed was not shown either; there is nowhere to report a closed terminal to.
        let _ = writeln!(std::io::stderr());
        line
    }

    fn line_of(mut from: impl BufRead) -> Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            let typed = from.fill_buf()?;
            if typed.is_empty() {
                return Ok(None);
            }
            let end = typed.iter().position(|byte| matches!(*byte, b'\n' | CTRL_C));
            let count = end.map_or(typed.len(), |end| end + 1);
            line.extend_from_slice(&typed[..count]);
            from.consume(count);
            if end.is_some() {
                return match line.pop() {
                    Some(CTRL_C) => Ok(None),
                    _ => String::from_utf8(line)
                        .map(|line| Some(line.trim_end_matches('\r').to_owned()))
                        .map_err(|_| Error::new(ErrorKind::InvalidData, "what was typed is not UTF-8")),
                };
            }
        }
    }

    #[test]
    fn a_line_ends_with_enter_and_not_with_ctrl_c() {
        let read = |typed: &[u8]| line_of(typed).ok().flatten();
        assert_eq!(read(b"sesame\nmore").as_deref(), Some("sesame"));
        assert_eq!(read(b"sesame\r\n").as_deref(), Some("sesame"));
        assert_eq!(read(b"\n").as_deref(), Some(""));
        assert_eq!(read(b"sesa\x03"), None);
        assert_eq!(read(b"sesa"), None, "the terminal went away");
        assert_eq!(read(b"\xff\n"), None);
    }
}

#[cfg(not(unix))]
mod hidden {
    //! A line that is typed without being shown.

    use std::io::{ErrorKind, Result};

    pub(super) fn read_line(ask: impl FnOnce()) -> Result<Option<String>> {
        ask();
        match rpassword::read_password() {
            Ok(line) => Ok(Some(line)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A person said no.
pub fn cancelled() -> Error {
    Error::told(Text::Cancelled {}).exit(Exit::Cancelled)
}

/// Does something that Ctrl-C ends in good order. Nothing in it may ask a person: from now on Ctrl-C ends nothing else.
pub async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        // Listened for before anything begins.
        biased;
        _ = tokio::signal::ctrl_c() => Err(cancelled()),
        done = work => done,
    }
}

/// Reads standard input to its end. What is too large is refused: a part of it would be something else.
pub fn text_from_stdin(limit: u64, shown: &str) -> Result<String> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(std::io::stdin().lock(), limit + 1), &mut text)
        .map_err(|error| Error::told(Text::CouldNotReadStdin {}).because(error))?;
    match text.len() as u64 > limit {
        true => Err(Error::told(Text::TooLarge { what: "STDIN".to_owned(), limit: shown.to_owned() })),
        false => Ok(text),
    }
}

/// Reads a secret from standard input: everything up to the end, less the line end. Empty is refused.
pub fn secret_from_stdin() -> Result<String> {
    // A password or token is small; a bound keeps a wrong pipe from filling memory.
    let text = text_from_stdin(64 * 1024, "64 KiB")?;
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
