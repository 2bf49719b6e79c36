//! Who asks.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// The value of an `Authorization` header.
#[derive(Clone)]
pub struct Authorization(HeaderValue);

impl Authorization {
    /// A client of OAuth 2.0 and its secret (RFC 6749 section 2.3.1): both are encoded as in a form before they are
    /// joined, so that a colon in one of them is not the colon between them.
    pub fn client(id: &str, secret: &str) -> Self {
        let encode = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
        let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret)));
        Self::of(&format!("Basic {}", STANDARD.encode(&*pair))).expect("base64 is fit for a header")
    }

    /// A bearer token (RFC 6750 section 2.1); `None` when the text cannot be one.
    pub fn bearer(token: &str) -> Option<Self> {
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self::of(&format!("Bearer {token}"))).flatten()
    }

    fn of(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_and_its_secret() {
        let text = Authorization::client("our id", "a:b/ü").value().to_str().unwrap().to_owned();
        let encoded = text.strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"our+id:a%3Ab%2F%C3%BC");
        assert!(!format!("{:?}", Authorization::client("id", "hush")).contains("aHVzaA"));
    }

    #[test]
    fn a_token_is_one_word() {
        assert!(Authorization::bearer("a.b-c_d~e+f/g=").is_some());
        for text in ["", " ", "a b", "a\r\nCookie: b", "ü"] {
            assert!(Authorization::bearer(text).is_none(), "{text:?}");
        }
    }
}
