//! Large answers are compressed for clients that ask for it (upstream: `APIResponseCompression`).
//!
//! Only what is whole already: streams go out as they come. Small answers are not worth the work, and as upstream does,
//! speed is chosen over size.

use std::io::Write as _;

use apiserver_endpoints::{Body, body};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, VARY};
use http::{HeaderMap, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;

/// Answers below this size go out as they are (upstream: `defaultGzipThresholdBytes`).
const THRESHOLD: u64 = 128 * 1024;

/// Whether a client takes gzip. A quality of zero is a refusal (RFC 9110, 12.5.3).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.trim().parse::<f32>().ok());
        named && quality.is_none_or(|quality| quality > 0.0)
    })
}

/// The answer for a client that takes gzip.
pub(crate) async fn gzip(response: Response<Body>) -> Response<Body> {
    let large = response.body().size_hint().exact().is_some_and(|size| size >= THRESHOLD);
    if !large || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory, so this neither waits nor fails.
    let Ok(whole) = body.collect().await else { return Response::from_parts(parts, body::empty()) };
    let bytes = whole.to_bytes();
    let plain = bytes.clone();
    // Milliseconds of work for each megabyte, during which others must be served.
    let Ok(Ok(compressed)) = tokio::task::spawn_blocking(move || encode(&plain)).await else {
        return Response::from_parts(parts, body::full(bytes));
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    // Other bytes are another representation.
    if let Some(tag) = parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"))
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        parts.headers.insert(ETAG, weak);
    }
    Response::from_parts(parts, body::full(compressed))
}

fn encode(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[track_caller]
    fn check(accepted: &'static str, expect: bool) {
        let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(accepted))].into_iter().collect();
        assert_eq!(takes_gzip(&headers), expect, "{accepted}");
    }

    #[test]
    fn clients_say_what_they_take() {
        check("gzip", true);
        check("br, GZIP;q=0.5", true);
        check("*", true);
        check("gzip;q=0", false);
        check("deflate, br", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn only_large_answers_are_worth_it() {
        for (size, coded) in [(1000, false), (200_000, true)] {
            let text = "abcdefgh".repeat(size / 8);
            let answer = gzip(Response::new(body::full(text.clone()))).await;
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), coded);
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let mut back = String::new();
            match coded {
                true => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut back).map(drop).unwrap(),
                false => back.push_str(std::str::from_utf8(&bytes).unwrap()),
            }
            assert_eq!(back, text);
        }
    }

    #[tokio::test]
    async fn a_tag_names_other_bytes_weakly() {
        let mut answer = Response::new(body::full("x".repeat(200_000)));
        answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"AB\""));
        assert_eq!(gzip(answer).await.headers()[ETAG], "W/\"AB\"");
    }
}
