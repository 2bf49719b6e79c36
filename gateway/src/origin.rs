//! Proof that a browser's request comes from the console and not from a page elsewhere.
//!
//! A cookie goes with every request to its host, whoever made the page; `SameSite` keeps it from other sites, and not from
//! other ports and other hosts of the same one. So a request that is authenticated by cookie and changes something has to
//! carry a header that other origins cannot add, and the origin that browsers state.

use http::request::Parts;
use http::{Method, header};

use crate::headers::Kind;
use crate::respond::Refusal;

/// The header that only the console adds.
pub(crate) const PROOF: &str = "x-acp-request";

/// Checks a request that is authenticated by cookie.
pub(crate) fn check(parts: &Parts, kind: Kind) -> Result<(), Refusal> {
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    match kind {
        // A WebSocket cannot carry headers of the page's choice, so here the origin is everything.
        Kind::Upgrade => same_origin(parts, false),
        // Reading may change something too, where a cluster passes it on to a program.
        Kind::Plain if safe => match site(parts) {
            Some("same-origin" | "none") | None => Ok(()),
            Some(_) => Err(elsewhere()),
        },
        Kind::Plain if has_proof(parts) => same_origin(parts, true),
        Kind::Plain => Err(Refusal::forbidden("the request lacks X-ACP-Request")),
    }
}

/// Whether a browser sends this, and not a program.
pub(crate) fn is_browsers(parts: &Parts) -> bool {
    parts.headers.contains_key(header::ORIGIN) || site(parts).is_some()
}

/// Whether the console says that it is the console.
pub(crate) fn has_proof(parts: &Parts) -> bool {
    let mut values = parts.headers.get_all(PROOF).iter();
    values.next().is_some_and(|value| value == "console") && values.next().is_none()
}

/// The stated origin is the one that was asked. With `unless_absent`, a browser that states none has to say that the page
/// is of the same origin.
pub(crate) fn same_origin(parts: &Parts, unless_absent: bool) -> Result<(), Refusal> {
    let mut origins = parts.headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        let stated = matches!(site(parts), Some("same-origin") | None);
        return if unless_absent && stated { Ok(()) } else { Err(elsewhere()) };
    };
    let host = parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| parts.headers.get(header::HOST)?.to_str().ok())
        .ok_or_else(elsewhere)?;
    let stated = origin.to_str().ok().and_then(|origin| origin.strip_prefix("https://")).ok_or_else(elsewhere)?;
    let bare = |authority: &str| authority.strip_suffix(":443").unwrap_or(authority).to_ascii_lowercase();
    match origins.next().is_none() && bare(stated) == bare(host) {
        true => Ok(()),
        false => Err(elsewhere()),
    }
}

fn elsewhere() -> Refusal {
    Refusal::forbidden("the request comes from another origin")
}

/// Where a browser says that the page is which asks: `none` if a person typed the address (Fetch Metadata, section 2.3).
fn site(parts: &Parts) -> Option<&str> {
    parts.headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check_request(method: &str, kind: Kind, pairs: &[(&str, &str)], allowed: bool) {
        let mut request = Request::builder().method(method).uri("/x").header("host", "hub:8443");
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(check(&parts, kind).is_ok(), allowed, "{method} {pairs:?}");
    }

    const PROVEN: (&str, &str) = (PROOF, "console");

    #[test]
    fn case_56_a_socket_needs_the_consoles_origin() {
        for (origin, allowed) in [
            ("https://hub:8443", true),
            ("https://HUB:8443", true),
            ("https://evil:8443", false),
            ("null", false),
            ("", false),
            ("http://hub:8443", false),
            ("https://hub", false),
            ("https://hub:8443.evil", false),
        ] {
            check_request("GET", Kind::Upgrade, &[("origin", origin)], allowed);
        }
        check_request("GET", Kind::Upgrade, &[], false);
        check_request("GET", Kind::Upgrade, &[PROVEN], false);
        check_request("GET", Kind::Upgrade, &[("origin", "https://hub:8443"), ("origin", "https://evil")], false);
    }

    #[test]
    fn case_57_a_change_needs_the_consoles_header() {
        check_request("GET", Kind::Plain, &[], true);
        for (site, allowed) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)] {
            check_request("GET", Kind::Plain, &[("sec-fetch-site", site)], allowed);
            check_request("HEAD", Kind::Plain, &[("sec-fetch-site", site)], allowed);
        }
        check_request("POST", Kind::Plain, &[], false);
        check_request("POST", Kind::Plain, &[("origin", "https://hub:8443")], false);
        check_request("DELETE", Kind::Plain, &[PROVEN, ("origin", "https://hub:8443")], true);
        check_request("PATCH", Kind::Plain, &[PROVEN, ("origin", "https://evil")], false);
        check_request("POST", Kind::Plain, &[PROVEN, ("sec-fetch-site", "cross-site")], false);
        check_request("POST", Kind::Plain, &[(PROOF, "other")], false);
    }
}
