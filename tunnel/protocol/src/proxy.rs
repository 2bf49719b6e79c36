//! How a proxy on an agent's way to the hub is named.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::Uri;
use percent_encoding::percent_decode_str;

/// As much of each SOCKS has room for (RFC 1929).
const LOGIN: usize = 255;

/// A proxy: what it speaks, where it is, and who we are to it. Shown without the last, which is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// What it speaks.
    pub kind: ProxyKind,
    /// A DNS name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// For a proxy that wants to know.
    pub login: Option<ProxyLogin>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP's `CONNECT`.
    Http,
    /// The same within TLS.
    Https,
    /// SOCKS5. Names are looked up on this side.
    Socks5,
    /// SOCKS5. Names are looked up by the proxy.
    Socks5h,
}

/// Who we are to a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Why a text names no proxy. It quotes nothing: the text may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxyUrl {
    /// It is none at all.
    #[error(
        "a proxy is named by a URL as in http://proxy.example.com:3128 or http://USER:PASSWORD@proxy.example.com:3128, \
         where other than letters and digits in USER and PASSWORD is written as %XX"
    )]
    Url,
    /// Nobody speaks that.
    #[error("the URL of a proxy begins with http://, https://, socks5:// or socks5h://")]
    Kind,
    /// There is something behind the port.
    #[error("the URL of a proxy ends with its port: it has no path")]
    Path,
    /// It is too long, or holds what cannot be sent.
    #[error("user and password of a proxy have at most 255 bytes each and no control characters, and a user no colon")]
    Login,
}

impl ProxyKind {
    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.kind.scheme(), &self.host, self.port);
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyLogin(..)")
    }
}

impl FromStr for ProxyUrl {
    type Err = BadProxyUrl;

    /// As curl reads it: without a scheme, it is HTTP.
    fn from_str(text: &str) -> Result<Self, BadProxyUrl> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let kinds = [ProxyKind::Http, ProxyKind::Https, ProxyKind::Socks5, ProxyKind::Socks5h];
        let kind =
            kinds.into_iter().find(|kind| kind.scheme().eq_ignore_ascii_case(scheme)).ok_or(BadProxyUrl::Kind)?;
        let uri: Uri = format!("{}://{rest}", kind.scheme()).parse().map_err(|_| BadProxyUrl::Url)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(BadProxyUrl::Path);
        }
        let authority = uri.authority().ok_or(BadProxyUrl::Url)?;
        let (host, is_name) = match authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => (inner, inner.parse::<Ipv6Addr>().is_ok()),
            None => (authority.host(), is_name(authority.host())),
        };
        let port = match authority.as_str().rsplit_once(authority.host()).map(|(_, port)| port) {
            Some("") => kind.port(),
            // What is no number, the parser of URIs leaves alone.
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or(BadProxyUrl::Url)?,
            None => return Err(BadProxyUrl::Url),
        };
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| ProxyLogin::read(login)).transpose()?;
        match is_name {
            true => Ok(Self { kind, host: host.to_owned(), port, login }),
            false => Err(BadProxyUrl::Url),
        }
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

impl ProxyLogin {
    fn read(text: &str) -> Result<Self, BadProxyUrl> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| BadProxyUrl::Login);
        let (user, password) = (decoded(user)?, decoded(password)?);
        let fits = |text: &str| text.len() <= LOGIN && !text.chars().any(char::is_control);
        match fits(&user) && fits(&password) && !user.is_empty() && !user.contains(':') {
            true => Ok(Self { user: user.into_owned(), password: password.into_owned() }),
            false => Err(BadProxyUrl::Login),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str, login: Option<(&str, &str)>) {
        let read: ProxyUrl = text.parse().unwrap();
        assert_eq!(read.to_string(), shown);
        let found = read.login.as_ref().map(|login| (login.user.as_str(), login.password.as_str()));
        assert_eq!(found, login);
    }

    #[test]
    fn urls() {
        check("http://proxy:3128", "http://proxy:3128", None);
        check("HTTP://proxy:3128/", "http://proxy:3128", None);
        check("proxy.example.com:3128", "http://proxy.example.com:3128", None);
        check("proxy.example.com", "http://proxy.example.com:80", None);
        check("https://proxy", "https://proxy:443", None);
        check("socks5://10.0.0.1", "socks5://10.0.0.1:1080", None);
        check("socks5h://[::1]:9050", "socks5h://[::1]:9050", None);
        check("[2001:db8::1]:3128", "http://[2001:db8::1]:3128", None);
        check("http://me:pass@proxy:3128", "http://proxy:3128", Some(("me", "pass")));
        check("http://me:p%40ss%3A%2F@proxy", "http://proxy:80", Some(("me", "p@ss:/")));
        check("socks5://me:pass@[::1]", "socks5://[::1]:1080", Some(("me", "pass")));
        check("me@proxy:1", "http://proxy:1", Some(("me", "")));
    }

    #[test]
    fn a_text_that_names_no_proxy_is_refused_and_not_repeated() {
        let long = format!("http://me:{}@proxy:1", "s3cret".repeat(50));
        for (text, expect) in [
            ("", BadProxyUrl::Url),
            ("http://", BadProxyUrl::Url),
            ("http://:3128", BadProxyUrl::Url),
            ("http://proxy:", BadProxyUrl::Url),
            ("http://proxy:0", BadProxyUrl::Url),
            ("http://proxy:65536", BadProxyUrl::Url),
            ("http://proxy:s3cret", BadProxyUrl::Url),
            ("http://me:s3c ret@proxy:1", BadProxyUrl::Url),
            ("http://$(s3cret):1", BadProxyUrl::Url),
            ("http://[proxy]:1", BadProxyUrl::Url),
            ("ftp://me:s3cret@proxy:1", BadProxyUrl::Kind),
            ("socks4://proxy:1", BadProxyUrl::Kind),
            ("http://proxy:1/s3cret", BadProxyUrl::Path),
            ("http://proxy:1?s3cret", BadProxyUrl::Path),
            ("http://me:s3cret%0D%0AX@proxy:1", BadProxyUrl::Login),
            ("http://me%3Aus:s3cret@proxy:1", BadProxyUrl::Login),
            ("http://:s3cret@proxy:1", BadProxyUrl::Login),
            (&long, BadProxyUrl::Login),
        ] {
            let refused = text.parse::<ProxyUrl>().expect_err(text);
            assert_eq!(refused, expect, "{text}");
            assert!(!refused.to_string().contains("s3c"), "{refused}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_login() {
        let proxy: ProxyUrl = "http://robot:s3cret@proxy:3128".parse().unwrap();
        let shown = format!("{proxy} {proxy:?} {:?}", proxy.login);
        assert!(!shown.contains("s3cret") && !shown.contains("robot"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_proxy_or_an_error(text in "\\PC{0,60}") {
            if let Ok(proxy) = text.parse::<ProxyUrl>() {
                prop_assert_eq!(proxy.to_string().parse::<ProxyUrl>().map(|again| again.host), Ok(proxy.host));
            }
        }
    }
}
