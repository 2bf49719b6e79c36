//! The answer that a browser brings back (RFC 6749 section 4.1.2, RFC 9207).

use url::form_urlencoded;

use crate::{Error, Pending, ProviderError, Secret};

/// Longer queries are nobody's.
const LONGEST: usize = 16 * 1024;

/// What is taken over from a provider's text into the log.
const TOLD: usize = 200;

#[derive(Default)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

/// The code, if the query is the answer to this sign-in and there is one.
pub(crate) fn code(pending: &Pending, query: &str) -> Result<Secret, Error> {
    let callback = Callback::parse(query)?;
    if !callback.state.is_some_and(|state| pending.state.is(&state)) {
        return Err(Error::State);
    }
    match callback.issuer {
        Some(issuer) if issuer != pending.issuer => return Err(Error::MixUp),
        None if pending.names_issuer => return Err(Error::MixUp),
        _ => {}
    }
    match (callback.error, callback.code) {
        (Some(error), _) => Err(refusal(&pending.connector, &error, callback.description.as_deref())),
        (None, Some(code)) if !code.is_empty() => Ok(Secret::new(code)),
        (None, _) => Err(Error::Callback("there is no code in it")),
    }
}

/// What a provider said no with. Its own words are for the log alone, escaped and cut.
pub(crate) fn refusal(connector: &str, code: &str, description: Option<&str>) -> Error {
    let cut = |text: &str| text.chars().take(TOLD).collect::<String>();
    let (code, said) = (ProviderError::of(code), (cut(code), description.map(cut)));
    tracing::info!(connector, code = ?said.0, description = ?said.1, "an OpenID Connect provider refused");
    Error::Provider(code)
}

impl Callback {
    fn parse(query: &str) -> Result<Self, Error> {
        if query.len() > LONGEST {
            return Err(Error::Callback("it is too long"));
        }
        let mut callback = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "iss" => &mut callback.issuer,
                "error" => &mut callback.error,
                "error_description" => &mut callback.description,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(Error::Callback("it says something twice"));
            }
        }
        Ok(callback)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pending(names_issuer: bool) -> Pending {
        let mut pending = Pending::new("corp", "https://idp", "https://us/callback", Timestamp::UNIX_EPOCH).unwrap();
        pending.state = Secret::new("s");
        pending.names_issuer = names_issuer;
        pending
    }

    #[track_caller]
    fn check(names_issuer: bool, query: &str, expect: Result<&str, &str>) {
        let answer = code(&pending(names_issuer), query).map_err(|error| format!("{error:?}"));
        let answer = answer.as_ref().map(Secret::expose).map_err(String::as_str);
        assert_eq!(answer, expect, "{query}");
    }

    #[test]
    fn an_answer() {
        check(false, "code=a%2Bb&state=s", Ok("a+b"));
        check(false, "state=s&code=c&session_state=x&iss=https%3A%2F%2Fidp", Ok("c"));
        check(true, "state=s&code=c&iss=https://idp", Ok("c"));
    }

    #[test]
    fn case_32_a_state_is_the_one_that_was_given() {
        for query in ["", "code=c", "code=c&state=", "code=c&state=S", "code=c&state=ss", "error=access_denied"] {
            check(false, query, Err("State"));
        }
        check(false, "code=c&state=s&state=s", Err(r#"Callback("it says something twice")"#));
        check(false, "code=c&code=d&state=s", Err(r#"Callback("it says something twice")"#));
        check(false, "state=s", Err(r#"Callback("there is no code in it")"#));
        check(false, "state=s&code=", Err(r#"Callback("there is no code in it")"#));
        let long = format!("state=s&code={}", "c".repeat(LONGEST));
        check(false, &long, Err(r#"Callback("it is too long")"#));
    }

    #[test]
    fn case_32_an_answer_is_of_the_provider_that_was_asked() {
        for issuer in ["https://other", "https://idp/", "HTTPS://idp", ""] {
            check(false, &format!("code=c&state=s&iss={issuer}"), Err("MixUp"));
            check(false, &format!("error=access_denied&state=s&iss={issuer}"), Err("MixUp"));
        }
        check(true, "code=c&state=s", Err("MixUp"));
        check(true, "error=access_denied&state=s", Err("MixUp"));
    }

    #[test]
    fn case_32_a_refusal_is_told_in_words_of_ours() {
        let query = "error=access_denied&error_description=<script>alert(1)</script>&state=s";
        check(false, query, Err("Provider(AccessDenied)"));
        check(false, "error=<b>&state=s&code=c", Err("Provider(Other)"));
        let error = code(&pending(false), query).unwrap_err();
        assert_eq!(error.to_string(), "the provider did not let the person in");
    }
}
