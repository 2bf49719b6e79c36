//! Token exchange (RFC 8693): a workload's own token for one of the platform's, or one of the platform's for a narrower
//! one.
//!
//! A workload is whoever the hub's cluster says that its token belongs to; as which user it acts, an administrator has
//! written into the client. An access token of a client is exchanged for one that only another client takes, if that
//! client trusts the first.

use api_types::dex::Workload;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{Api, PostParams};
use lib_jose::Leeway;
use serde_json::{Value, json};

use super::authorize::scopes;
use super::clients::Client;
use super::token::{OAuthError, Request, workload};
use super::{ACCESS_TOKEN, PLATFORM};
use crate::audit::Action;
use crate::{Error, Inner};

const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The grant.
pub(crate) async fn exchange(inner: &Inner, request: &Request<'_>, client: &Client) -> Result<Value, OAuthError> {
    if request.one("actor_token")?.is_some() {
        return Err(OAuthError::new("invalid_request", "actor_token is not taken: nobody acts for another here"));
    }
    if request.one("requested_token_type")?.is_some_and(|wanted| wanted != ACCESS) {
        return Err(OAuthError::new("invalid_request", format!("requested_token_type can only be {ACCESS}")));
    }
    let subject = request.need("subject_token")?;
    match request.need("subject_token_type")? {
        ACCESS => narrow(inner, request, client, subject),
        JWT => of_workload(inner, request, client, subject).await,
        _ => Err(OAuthError::new("invalid_request", format!("subject_token_type has to be {ACCESS} or {JWT}"))),
    }
}

/// A token of the platform's for a service that trusts this client. It cannot be used at the platform itself.
fn narrow(inner: &Inner, request: &Request<'_>, client: &Client, subject: &str) -> Result<Value, OAuthError> {
    let audience = request.need("audience")?;
    let trusts = inner.find_client(audience).is_some_and(|target| {
        !target.first_party && (audience == client.object.id || target.object.trusted_peers.contains(&client.object.id))
    });
    if !trusts {
        return Err(OAuthError::new(
            "invalid_target",
            "there is no such audience, or it does not list this client in its trustedPeers",
        ));
    }
    let audiences = [inner.issuer.url.clone(), PLATFORM.to_owned()];
    let verified = inner.issuer.verify(subject, &audiences, &[ACCESS_TOKEN], Leeway::default(), request.now);
    let verified = verified.map_err(|_| OAuthError::invalid_grant())?;
    let text = |name: &str| verified.claims().get(name).and_then(Value::as_str);
    if text("client_id") != Some(&client.object.id) {
        return Err(OAuthError::invalid_grant());
    }
    let session = text("sid").ok_or_else(OAuthError::invalid_grant)?;
    let grant = inner.index.grant_of(session, request.now).map_err(|_| OAuthError::invalid_grant())?;
    let held = scopes(text("scope").unwrap_or_default());
    let wanted = request.one("scope")?.map_or_else(|| held.clone(), scopes);
    // Never more than was there, and never the platform itself.
    let given: Vec<String> = held.into_iter().filter(|scope| wanted.contains(scope) && scope != PLATFORM).collect();
    let (access, until) =
        inner.issuer.access_token(&inner.index, &grant, &client.object.id, &given, Some(audience), request.now);
    Ok(answer(access, until.duration_since(request.now).as_secs(), &given))
}

async fn of_workload(
    inner: &Inner,
    request: &Request<'_>,
    client: &Client,
    subject: &str,
) -> Result<Value, OAuthError> {
    let account = review(inner, subject).await?.ok_or_else(OAuthError::invalid_grant)?;
    let Workload { user, .. } = find(&client.object.workloads, &account).ok_or_else(|| {
        OAuthError::new(
            "invalid_grant",
            format!("{account} is not one of the client's workloads: an administrator can add it"),
        )
    })?;
    let user =
        inner.index.user(user).ok_or_else(|| OAuthError::new("invalid_grant", format!("there is no user {user}")))?;
    let wanted = scopes(request.one("scope")?.unwrap_or("acp"));
    let given: Vec<String> =
        wanted.into_iter().filter(|scope| scope != "offline_access" && scope != "openid").collect();
    let (provider, kind) = workload(client, given.clone());
    let opened = inner.open(&user, provider, kind, request.origin).await;
    inner.record(Action::Exchange, &account, &client.object.id, request.origin, opened.as_ref().err()).await?;
    let session = opened?.session;
    let (access, until) =
        inner.issuer.access_token(&inner.index, &session.grant, &client.object.id, &given, None, request.now);
    Ok(answer(access, until.duration_since(request.now).as_secs(), &given))
}

/// Whose token it is, as the hub's cluster says. It has to be meant for the issuer: one that is meant for the cluster
/// itself is nobody's to hand on.
async fn review(inner: &Inner, token: &str) -> Result<Option<String>, Error> {
    let reviews: Api<TokenReview> = Api::all(inner.client.clone());
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![inner.issuer.url.clone()]) };
    let answer = reviews.create(&PostParams::default(), &TokenReview { spec, ..TokenReview::default() }).await;
    let status = answer.map_err(Error::hub("ask whose token this is"))?.status.unwrap_or_default();
    let meant = status.audiences.iter().flatten().any(|audience| *audience == inner.issuer.url);
    let known = status.authenticated.unwrap_or_default() && meant;
    Ok(status.user.and_then(|user| user.username).filter(|_| known))
}

fn find<'a>(workloads: &'a [Workload], account: &str) -> Option<&'a Workload> {
    workloads.iter().find(|one| format!("system:serviceaccount:{}:{}", one.namespace, one.service_account) == account)
}

fn answer(access: String, seconds: i64, scopes: &[String]) -> Value {
    json!({
        "access_token": access, "issued_token_type": ACCESS, "token_type": "Bearer", "expires_in": seconds.max(0),
        "scope": scopes.join(" "),
    })
}
