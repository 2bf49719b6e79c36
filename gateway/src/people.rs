//! `/auth`, `/dex` and the published login API: people, their sessions and tokens, and the issuer. What is said there is
//! identity's affair; the door brings the body and the caller.

use fleet::{Body, collect, full};
use http::{Request, Response, header};
use identity::Origin;
use identity::api::{self, Ask, BODY_LIMIT, Caller};
use tokio::time::timeout;

use crate::chain::{Chain, Connection, Who};
use crate::origin;
use crate::respond::{BODY, Refusal, unread};

pub(crate) async fn answer(
    chain: &Chain,
    connection: &Connection,
    who: Option<Who>,
    request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let console = origin::has_proof(&parts);
    if console {
        origin::same_origin(&parts, true)?;
    }
    let body = match timeout(BODY, collect(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err(unread(error)),
        Err(_) => return Err(Refusal::malformed("the body did not arrive in time")),
    };
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let caller = match who {
        None => None,
        Some(who) => {
            let caller = who.caller()?;
            let name = caller.name().to_owned();
            let client = caller.client_of(chain.hub.fleet.hub());
            let session = match who {
                Who::Session(session, presented) => Some((*session, presented)),
                Who::Certificate(_) => None,
            };
            Some(Caller { session, name, client })
        }
    };
    let origin = Origin { address: connection.address.ip().to_canonical(), user_agent };
    let ask = Ask { parts: &parts, path, body, origin, caller, console };
    let response = api::answer(&chain.hub.identity, ask).await?;
    Ok(response.map(full))
}
