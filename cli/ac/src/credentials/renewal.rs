//! Access tokens end within minutes; the next one comes silently, and once for all processes that want it.
//!
//! A refresh token works once: used twice it ends the session, since a thief may have it. So it is spent under the
//! session's lock, by the first to come; the others find its fruit. What it brings is on disk before anybody sees it,
//! so that whoever dies then loses nothing. Who dies between the platform's answer and that, has lost the session;
//! the next command says so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::cache::Locked;
use super::{CachedToken, Owner, Renewal, expired, load};
use crate::connect::Connector;
use crate::error::{Error, Result};
use crate::oauth::TokenEndpoint;

/// A token is renewed when it has less than this left.
pub(super) const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// How long the platform may take; others wait meanwhile.
const DEADLINE: Duration = Duration::from_secs(30);

/// The owner's token, renewed if it is about to end.
pub async fn current(connector: &Connector, owner: &Owner, now: Timestamp) -> Result<CachedToken> {
    let gone = || expired(&owner.session, &owner.platform_url);
    let cached = load(&connector.env, owner).ok_or_else(gone)?;
    if !is_due(&cached, now) {
        return Some(cached).filter(|cached| cached.is_usable(now)).ok_or_else(gone);
    }
    let locked = match Locked::wait(&connector.env, owner).await {
        Ok(locked) => locked,
        Err(_) if cached.is_usable(now) => return Ok(cached),
        Err(error) => return Err(error),
    };
    // Somebody may have been faster, or have signed out.
    let cached = load(&connector.env, owner).ok_or_else(gone)?;
    let Some(renewal) = cached.renewal.as_ref().filter(|_| is_due(&cached, now)) else {
        return Some(cached).filter(|cached| cached.is_usable(now)).ok_or_else(gone);
    };
    let renewed = match locked.store(&cached) {
        Ok(()) => renew(connector, &cached, renewal, now).await,
        // A disk that takes nothing would cost the session: what it cannot keep is not asked for.
        Err(error) => Err(error),
    };
    match renewed {
        Ok(next) => {
            locked.store(&next)?;
            Ok(next)
        }
        Err(error) if error.reason() == Some("invalid_grant") => {
            locked.forget()?;
            Err(gone())
        }
        // A platform that is away has refused nothing.
        Err(_) if cached.is_usable(now) => Ok(cached),
        Err(error) => Err(error),
    }
}

fn is_due(cached: &CachedToken, now: Timestamp) -> bool {
    cached.renewed_at().is_some_and(|at| at <= now)
}

async fn renew(connector: &Connector, cached: &CachedToken, renewal: &Renewal, now: Timestamp) -> Result<CachedToken> {
    let platform_url = &cached.owner.platform_url;
    let platform = connector.platform_at(platform_url, &renewal.trust, None, None)?.deadline(Some(DEADLINE));
    let endpoint = TokenEndpoint::at(&platform, platform_url, &renewal.token_endpoint, &renewal.client_id)?;
    let grant = endpoint.refresh(&renewal.refresh_token).await?;
    Ok(CachedToken {
        owner: cached.owner.clone(),
        expiration_timestamp: Some(grant.ends(now)),
        renewal: Some(Renewal {
            // A server may leave the old one in force (RFC 6749, section 6).
            refresh_token: grant.refresh_token.unwrap_or_else(|| renewal.refresh_token.clone()),
            ..renewal.clone()
        }),
        token: grant.access_token,
    })
}

/// Makes what renews a token worthless on the platform; nothing to do for a token that cannot be renewed.
pub async fn revoke(connector: &Connector, platform_url: &str, renewal: Option<&Renewal>) -> Result<(), Error> {
    let Some(renewal) = renewal else { return Ok(()) };
    let platform = connector.platform_at(platform_url, &renewal.trust, None, None)?.deadline(Some(DEADLINE));
    let endpoint = TokenEndpoint::at(&platform, platform_url, &renewal.token_endpoint, &renewal.client_id)?;
    endpoint.revoke(&renewal.refresh_token).await
}
