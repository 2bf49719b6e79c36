//! Logs and error chains, the same way in every process.
//!
//! Messages are constant text and facts are fields. An error is logged once, by whoever does not return it, with
//! `error = %chain(&error)`.

pub mod process;

use std::error::Error;
use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    #[default]
    Text,
    /// For a collector: one JSON object per line.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not in the form of `tracing-subscriber`'s directives.
    #[error("could not read the log filter {directives:?}")]
    Filter {
        /// The filter as it was given.
        directives: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// This process logs already.
    #[error("could not install the log subscriber")]
    Install(#[source] TryInitError),
}

/// kube's client logs as an error what it also returns as one, and what it tries again. Who asked knows what it means.
const UNTOLD: &str = "kube_client::client::builder=off";

/// Starts logging to standard error. `directives` is a filter such as `info,tunnel_hub=debug`.
///
/// The environment is not read here: the binary does that.
pub fn init(directives: &str, format: Format) -> Result<(), InitError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let filter = EnvFilter::try_new(format!("{UNTOLD},{directives}"))
        .map_err(|source| InitError::Filter { directives: directives.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(color).finish().try_init()
        }
        Format::Json => builder.json().finish().try_init(),
    }
    .map_err(InitError::Install)
}

/// Shows an error and all of its sources, each once, as `outer: middle: cause`.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> Chain<'a> {
    Chain(error)
}

/// See [`chain`].
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Foreign errors often repeat their source in their own text, or are transparent wrappers.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Step(&'static str, Option<Box<Step>>);

    impl fmt::Display for Step {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Step {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|step| step as _)
        }
    }

    #[track_caller]
    fn check(texts: &[&'static str], expect: &str) {
        let error = texts.iter().rev().fold(None, |inner, text| Some(Box::new(Step(text, inner))));
        assert_eq!(chain(&*error.unwrap()).to_string(), expect);
    }

    #[test]
    fn alone() {
        check(&["could not dial"], "could not dial");
    }

    #[test]
    fn with_sources() {
        check(&["could not dial", "could not connect", "refused"], "could not dial: could not connect: refused");
    }

    #[test]
    fn repeated_text_is_said_once() {
        check(&["could not dial: refused", "refused"], "could not dial: refused");
    }

    #[test]
    fn a_bad_filter_is_an_error() {
        assert!(matches!(init("a=b=c", Format::Text), Err(InitError::Filter { .. })));
    }
}
