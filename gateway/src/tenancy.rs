//! `/auth/v1/projects`, `/auth/v2/userbindings` and questions about rights. What is said there is tenancy's affair; the door
//! brings the body and the caller.

use ::tenancy::api::{self, Ask, BODY_LIMIT, Caller};
use fleet::{Body, collect, full};
use http::{Request, Response};
use tokio::time::timeout;

use crate::chain::{Chain, Who};
use crate::respond::{BODY, Refusal, unread};

pub(crate) async fn answer(
    chain: &Chain,
    who: &Who,
    request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY, collect(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err(unread(error)),
        Err(_) => return Err(Refusal::malformed("the body did not arrive in time")),
    };
    let client = who.caller()?.client_of(chain.hub.fleet.hub());
    let caller = Caller { person: who.person()?, client, clusters: who.clusters() };
    let groups =
        |user: &str| -> Vec<String> { chain.hub.identity.groups_of(user).iter().map(ToString::to_string).collect() };
    let ask = Ask { parts: &parts, path, body, caller, groups: &groups };
    let response = api::answer(&chain.hub.tenancy, ask).await?;
    Ok(response.map(full))
}
