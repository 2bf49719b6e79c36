//! Which streaming protocol a client asks for, and the answer that agrees to one.

use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Body, Refusal, text};

/// How the bytes after `101` are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Spdy(String),
    WebSocket(String),
}

/// Agrees to the first protocol of `spdy` or `websocket` that the client offers, in the order of preference given.
pub(super) fn negotiate<B>(
    request: &mut Request<B>,
    spdy: &[&str],
    websocket: &[&str],
) -> Result<(Response<Body>, Protocol, OnUpgrade), Refusal> {
    let wanted = header_values(request.headers(), "upgrade").next().unwrap_or_default().to_ascii_lowercase();
    let (response, protocol) = match wanted.as_str() {
        "websocket" => accept_websocket(request.headers(), websocket)?,
        "spdy/3.1" => accept_spdy(request.headers(), spdy)?,
        _ => return Err((StatusCode::BAD_REQUEST, "Upgrade request required".to_owned())),
    };
    Ok((response, protocol, hyper::upgrade::on(request)))
}

fn header_values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
}

fn choose(headers: &HeaderMap, name: &str, served: &[&str]) -> Option<String> {
    let offered: Vec<&str> = header_values(headers, name).collect();
    served.iter().find(|protocol| offered.contains(protocol)).map(|protocol| (*protocol).to_owned())
}

fn accept_spdy(headers: &HeaderMap, served: &[&str]) -> Result<(Response<Body>, Protocol), Refusal> {
    let Some(chosen) = choose(headers, "x-stream-protocol-version", served) else {
        let offered: Vec<_> = header_values(headers, "x-stream-protocol-version").collect();
        let message = format!(
            "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts {served:?}"
        );
        return Err((StatusCode::FORBIDDEN, message));
    };
    let response = switching(&[("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", &chosen)])?;
    Ok((response, Protocol::Spdy(chosen)))
}

fn accept_websocket(headers: &HeaderMap, served: &[&str]) -> Result<(Response<Body>, Protocol), Refusal> {
    let bad = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned());
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| bad("missing Sec-WebSocket-Key"))?;
    let chosen = choose(headers, "sec-websocket-protocol", served)
        .ok_or_else(|| bad("none of the requested WebSocket subprotocols is served"))?;
    let accept = derive_accept_key(key.as_bytes());
    let pairs = [("upgrade", "websocket"), ("sec-websocket-accept", &accept), ("sec-websocket-protocol", &chosen)];
    Ok((switching(&pairs)?, Protocol::WebSocket(chosen)))
}

fn switching(headers: &[(&'static str, &str)]) -> Result<Response<Body>, Refusal> {
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    response.headers_mut().clear();
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    for (name, value) in headers {
        let value = header::HeaderValue::from_str(value)
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("invalid {name}: {error}")))?;
        response.headers_mut().insert(*name, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap()
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expect: Result<Protocol, StatusCode>) {
        let served = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
        let answer = negotiate(&mut request(headers), &served[1..], &served);
        assert_eq!(answer.map(|(_, protocol, _)| protocol).map_err(|(code, _)| code), expect);
    }

    #[test]
    fn the_preferred_protocol_wins() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let offers = ("sec-websocket-protocol", "v4.channel.k8s.io, v5.channel.k8s.io");
        check(&[("upgrade", "websocket"), key, offers], Ok(Protocol::WebSocket("v5.channel.k8s.io".to_owned())));
        let spdy = ("x-stream-protocol-version", "v4.channel.k8s.io");
        check(&[("upgrade", "SPDY/3.1"), spdy], Ok(Protocol::Spdy("v4.channel.k8s.io".to_owned())));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        check(&[], Err(StatusCode::BAD_REQUEST));
        check(&[("upgrade", "h2c")], Err(StatusCode::BAD_REQUEST));
        check(&[("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "channel.k8s.io")], Err(StatusCode::FORBIDDEN));
    }
}
