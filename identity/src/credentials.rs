//! Which credential a request carries. Two are never one too many to ignore: they are refused.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE as COOKIES};

use crate::{Token, Unauthenticated};

/// The name of the session cookie.
pub const COOKIE: &str = "__Host-acp-session";

/// Longer tokens are nobody's.
const LONGEST: usize = 16 * 1024;

/// Where the token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// In the `Authorization` header: put there on purpose.
    Bearer,
    /// In the cookie: sent by a browser with whatever asks for it.
    Cookie,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Of a session, or of a program.
    Opaque(Token),
    /// Of the issuer; nothing of it is verified yet.
    Signed(String),
}

/// The one token of a request.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<(Bearer, Presented)>, Unauthenticated> {
    let (bearer, cookie) = (bearer(headers)?, cookie(headers)?);
    match (bearer, cookie) {
        (None, None) => Ok(None),
        (Some(bearer), None) => Ok(Some((bearer, Presented::Bearer))),
        (None, Some(token)) => Ok(Some((Bearer::Opaque(token), Presented::Cookie))),
        (Some(Bearer::Opaque(bearer)), Some(cookie)) if bearer.hash() == cookie.hash() => {
            Ok(Some((Bearer::Opaque(bearer), Presented::Cookie)))
        }
        (Some(_), Some(_)) => Err(Unauthenticated("the cookie and the Authorization header disagree")),
    }
}

/// The token of the `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<Bearer>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unauthenticated("there are two Authorization headers"));
    }
    let text = value.to_str().map_err(|_| Unauthenticated("the Authorization header is not text"))?;
    let (scheme, token) = text.split_once(' ').ok_or(Unauthenticated("the Authorization header has no token"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Unauthenticated("the Authorization header is of another scheme"));
    }
    if token.len() <= LONGEST && token.bytes().filter(|byte| *byte == b'.').count() == 2 {
        return Ok(Some(Bearer::Signed(token.to_owned())));
    }
    let token = Token::parse(token).ok_or(Unauthenticated("the bearer token is malformed"))?;
    Ok(Some(Bearer::Opaque(token)))
}

fn cookie(headers: &HeaderMap) -> Result<Option<Token>, Unauthenticated> {
    let mut found = None;
    for value in headers.get_all(COOKIES) {
        let text = value.to_str().map_err(|_| Unauthenticated("the Cookie header is not text"))?;
        for (name, value) in text.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            if name != COOKIE {
                continue;
            }
            if found.is_some() {
                return Err(Unauthenticated("there are two session cookies"));
            }
            found = Some(Token::parse(value).ok_or(Unauthenticated("the session cookie is malformed"))?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn case_39_ambiguous_or_empty_credentials_are_refused() {
        let (a, b) = (Token::generate().unwrap().reveal(), Token::generate().unwrap().reveal());
        for bad in [
            vec![(AUTHORIZATION, "Bearer ")],
            vec![(AUTHORIZATION, "Bearer      ")],
            vec![(AUTHORIZATION, "Bearer")],
            vec![(AUTHORIZATION, "")],
            vec![(AUTHORIZATION, "Basic YTpi")],
            vec![(AUTHORIZATION, &*format!("Bearer {a}x"))],
            vec![(AUTHORIZATION, &format!("Bearer {a}")), (AUTHORIZATION, &format!("Bearer {a}"))],
            vec![(AUTHORIZATION, &format!("Bearer {a}")), (COOKIES, &format!("{COOKIE}={b}"))],
            vec![(COOKIES, &format!("{COOKIE}={a}; {COOKIE}={a}"))],
            vec![(COOKIES, &format!("{COOKIE}={a}")), (COOKIES, &format!("{COOKIE}={b}"))],
            vec![(COOKIES, &format!("{COOKIE}="))],
        ] {
            assert!(read(&headers(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_credential_is_read() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        let bearer = headers(&[(AUTHORIZATION, &format!("bearer {text}"))]);
        assert_eq!(read(&bearer), Ok(Some((Bearer::Opaque(token.clone()), Presented::Bearer))));
        let cookie = headers(&[(COOKIES, &format!("theme=dark; {COOKIE}={text}"))]);
        assert_eq!(read(&cookie), Ok(Some((Bearer::Opaque(token.clone()), Presented::Cookie))));
        assert_eq!(read(&headers(&[(COOKIES, "theme=dark")])), Ok(None));
        // A browser that sends both is still a browser.
        let both = headers(&[(AUTHORIZATION, &format!("Bearer {text}")), (COOKIES, &format!("{COOKIE}={text}"))]);
        assert_eq!(read(&both), Ok(Some((Bearer::Opaque(token), Presented::Cookie))));
    }
}
