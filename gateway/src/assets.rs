//! The console's files.

use std::borrow::Cow;

use fleet::{Body, full};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::respond::Refusal;

/// What a page may load and do. The console is built for it; its tests fail on any violation.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

const INDEX: &str = "index.html";

/// One file.
pub struct Asset {
    /// What is in it.
    pub bytes: Cow<'static, [u8]>,
}

/// The files of the console, by path without a leading slash.
pub trait Assets: Send + Sync + 'static {
    /// One file.
    fn get(&self, path: &str) -> Option<Asset>;
}

/// A file, or the page that makes of any address what it should show.
pub(crate) fn answer(assets: &dyn Assets, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let file = path.trim_start_matches('/');
    let hashed = file.starts_with("assets/");
    let found = (!file.is_empty()).then(|| assets.get(file)).flatten();
    if let Some(asset) = found.filter(|_| file != INDEX) {
        let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        return Ok(respond(asset, media_type(file), cache));
    }
    let is_page = file.is_empty() || file == INDEX || (!hashed && wants_html(headers));
    match assets.get(INDEX).filter(|_| is_page) {
        Some(page) => Ok(respond(page, media_type(INDEX), "no-cache")),
        None => Err(Refusal::not_found()),
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

fn respond(asset: Asset, media_type: &'static str, cache: &'static str) -> Response<Body> {
    let bytes = match asset.bytes {
        Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let mut response = Response::new(full(bytes));
    *response.status_mut() = StatusCode::OK;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript",
        "css" => "text/css",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
