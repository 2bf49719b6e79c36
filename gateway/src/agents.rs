//! `/agent/v1/`: how agents get their certificates.

use fleet::{AgentRefused, Body};
use http::{Method, Request, Response, StatusCode, header};
use tunnel_protocol::registration::{CertificateRequest, MAX_BODY, REGISTER_PATH, RENEW_PATH};

use crate::chain::{Chain, Connection};
use crate::respond::{self, Refusal, read_json};

pub(crate) async fn answer(
    chain: &Chain,
    connection: &Connection,
    request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if ![REGISTER_PATH, RENEW_PATH].contains(&path) {
        return Err(Refusal::not_found());
    }
    if request.method() != Method::POST {
        return Err(Refusal::method_not_allowed());
    }
    let issued = match path {
        REGISTER_PATH => {
            let token = token(&request).ok_or(AgentRefused::Token)?;
            let asked: CertificateRequest = read_json(request, MAX_BODY).await?;
            let from = connection.address.ip().to_string();
            match chain.issuing.take(chain.hub.fleet.redeem(&token, &asked, &from)).await {
                // Neither yes nor no: the agent asks again.
                Err(waiting @ AgentRefused::Waiting { .. }) => return Ok(respond::accepted(&waiting.to_string())),
                redeemed => redeemed?,
            }
        }
        _ => {
            let asked: CertificateRequest = read_json(request, MAX_BODY).await?;
            chain.issuing.take(chain.hub.fleet.renew(connection.identity.as_deref(), &asked)).await?
        }
    };
    Ok(respond::answer(StatusCode::OK, &issued))
}

/// The one bearer token.
fn token(request: &Request<Body>) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}
