//! The page that the browser shows in the end: complete, in its own language, without scripts and without secrets.

use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Full;

use crate::text::{Lang, Text};

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f6f7f9;color:#1d2129;\
font:16px/1.6 system-ui,-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',sans-serif}\
main{max-width:30rem;margin:1.5rem;padding:2rem 2.5rem;border-radius:.75rem;background:#fff;\
box-shadow:0 1px 4px rgba(0,0,0,.12)}h1{margin:0 0 .5rem;font-size:1.375rem}p{margin:0}\
@media(prefers-color-scheme:dark){body{background:#16181d;color:#e6e8ec}main{background:#22252c}}";

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    SignedIn,
    NotSignedIn,
    /// Not an answer, with the HTTP status that says how.
    Stray(StatusCode),
}

impl Page {
    pub(super) fn of_outcome(signed_in: bool) -> Self {
        if signed_in { Self::SignedIn } else { Self::NotSignedIn }
    }

    pub(super) fn stray(status: StatusCode) -> Self {
        Self::Stray(status)
    }

    pub(super) fn is_outcome(self) -> bool {
        !matches!(self, Self::Stray(_))
    }

    pub(super) fn response(self, lang: Lang) -> Response<Full<Bytes>> {
        let (status, title, body) = match self {
            Self::SignedIn => (StatusCode::OK, Text::PageSignedIn {}, Text::PageBackToTerminal {}),
            Self::NotSignedIn => (StatusCode::OK, Text::PageNotSignedIn {}, Text::PageTerminalSaysWhy {}),
            Self::Stray(StatusCode::GONE) => (StatusCode::GONE, Text::PageAnswered {}, Text::PageBackToTerminal {}),
            Self::Stray(status) => (status, Text::PageStray {}, Text::PageStrayWhy {}),
        };
        let html = html(lang, &title.render(lang), &body.render(lang));
        let hash = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let mut response = Response::new(Full::new(Bytes::from(html)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set = |name, value: &str| {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, "text/html; charset=utf-8");
        set(header::CONTENT_SECURITY_POLICY, &policy);
        // The address of this page had the code in it.
        set(header::CACHE_CONTROL, "no-store");
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::CONNECTION, "close");
        response
    }
}

fn html(lang: Lang, title: &str, body: &str) -> String {
    let tag = match lang {
        Lang::En => "en",
        Lang::Zh => "zh-CN",
    };
    format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{body}</p>\n</main>\n</body>\n</html>\n"
    )
}

/// The browser's language, of those there are; English when it wants neither.
pub(super) fn language(headers: &HeaderMap) -> Lang {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut best = (Lang::En, 0.0);
    for range in wanted.split(',') {
        let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
        let weight = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse::<f32>().ok()).unwrap_or(0.0);
        let lang = match tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "zh" => Lang::Zh,
            "en" => Lang::En,
            _ => continue,
        };
        if weight > best.1 {
            best = (lang, weight);
        }
    }
    best.0
}
