//! `/kubernetes/<cluster>/...`: a cluster's Kubernetes API, in the caller's name.

use std::time::Duration;

use fleet::{Body, Caller, boxed};
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use lib_names::ClusterName;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;

use crate::chain::{Chain, Who};
use crate::headers::{Kind, strip_request, strip_response};
use crate::respond::Refusal;
use crate::rights::{Attributes, Held};
use crate::shares::Share;
use crate::until::Until;

/// How long both ends of an upgrade may take to agree that it happened.
const SWITCH: Duration = Duration::from_secs(10);

/// Passes a request on, and its answer back; both stream.
pub(crate) async fn forward(
    chain: &Chain,
    who: &Who,
    cluster: &ClusterName,
    rest: &str,
    mut request: Request<Body>,
    kind: Kind,
) -> Result<Response<Body>, Refusal> {
    let caller = who.caller()?;
    let share = chain.shares.take(&caller, cluster)?;
    // The client's end stays here, wherever the cluster is: what it streams passes through us, and ends with the session.
    let client = request.extensions_mut().remove::<OnUpgrade>();
    let held = hold(chain, who, &caller, cluster, rest, &request, kind);
    *request.uri_mut() = target(rest, request.uri().query())?;
    *request.version_mut() = http::Version::HTTP_11;
    strip_request(request.headers_mut(), kind);
    let mut response = chain.hub.fleet.send(cluster, &caller, request).await?;
    let member = response.extensions_mut().remove::<OnUpgrade>();
    let code = response.status();
    strip_response(response.headers_mut(), kind);
    match code {
        StatusCode::SWITCHING_PROTOCOLS => {
            if kind != Kind::Upgrade {
                return Err(Refusal::bad_gateway("the cluster switched protocols without being asked"));
            }
            let (Some(client), Some(member)) = (client, member) else {
                return Err(Refusal::bad_gateway("the cluster switched protocols and gave no stream"));
            };
            chain.drain.spawn(splice(client, member, revoked(who, held, share), closing(chain)));
            Ok(response)
        }
        // A client that follows would take its credential to wherever the cluster says.
        code if code.is_redirection() && code != StatusCode::NOT_MODIFIED => {
            tracing::warn!(cluster = %cluster, code = code.as_u16(), "a cluster's redirect was not passed on");
            Err(Refusal::bad_gateway("the cluster answered with a redirect, which is not passed on"))
        }
        _ => {
            let (revoked, closing) = (revoked(who, held, share), closing(chain));
            Ok(response.map(|body| boxed(Until::new(body, revoked, closing))))
        }
    }
}

/// The path as the client wrote it, without the part that is ours.
fn target(rest: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let text = match query {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    };
    let path: PathAndQuery = text.parse().map_err(|_| Refusal::malformed("the path is malformed"))?;
    Ok(path.into())
}

/// What lasts longer than an answer ends with the right to it. A certificate's holder is above all rights.
fn hold(
    chain: &Chain,
    who: &Who,
    caller: &Caller,
    cluster: &ClusterName,
    rest: &str,
    request: &Request<Body>,
    kind: Kind,
) -> Option<Held> {
    let Who::Session(..) = who else { return None };
    // Names of clusters that are not there are as many as somebody likes.
    if !chain.hub.fleet.knows(cluster) {
        return None;
    }
    let attributes = Attributes::of_lasting(request.method(), rest, request.uri().query(), kind)?;
    Some(chain.rights.hold(cluster, caller, attributes))
}

/// Completes when the caller may no longer be served: signed out, disabled, expired, or without the right. Whoever waits
/// for that serves them, and that is how long it counts as their share.
pub(crate) fn revoked(who: &Who, held: Option<Held>, share: Share) -> BoxFuture<'static, ()> {
    match who {
        Who::Session(session, _) => {
            let session = session.clone();
            Box::pin(async move {
                let _share = share;
                match held {
                    Some(held) => tokio::select! {
                        () = session.ended() => {}
                        () = held.lost() => {}
                    },
                    None => session.ended().await,
                }
            })
        }
        // A certificate lasts as long as its date, which the next connection is asked for.
        Who::Certificate(_) => Box::pin(async move {
            let _share = share;
            std::future::pending().await
        }),
    }
}

pub(crate) fn closing(chain: &Chain) -> BoxFuture<'static, ()> {
    Box::pin(chain.drain.token().clone().cancelled_owned())
}

/// Bytes in both directions until one end is done or the caller's time is over.
async fn splice(
    client: OnUpgrade,
    member: OnUpgrade,
    revoked: BoxFuture<'static, ()>,
    closing: BoxFuture<'static, ()>,
) {
    let both = async { tokio::try_join!(client, member) };
    let Ok(Ok((client, member))) = timeout(SWITCH, both).await else {
        tracing::debug!("an upgrade did not happen");
        return;
    };
    let (mut client, mut member) = (TokioIo::new(client), TokioIo::new(member));
    tokio::select! {
        // How a stream ends is its users' affair.
        _ = copy_bidirectional(&mut client, &mut member) => {}
        () = revoked => {}
        () = closing => {}
    }
}
