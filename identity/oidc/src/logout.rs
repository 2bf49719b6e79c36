//! A provider's word that a session ended (OpenID Connect Back-Channel Logout 1.0).

use jiff::Timestamp;
use lib_jose::Verified;
use serde_json::Value;

use crate::Error;
use crate::tokens::check_issued;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a logout token may say that it is: providers of the time before it had a type say `JWT`.
pub(crate) const TYPES: [&str; 2] = ["logout+jwt", "JWT"];

/// Whose sessions end: those of the subject, or the one that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// A [`Person`](crate::Person)'s `subject`. At least one of the two is there.
    pub subject: Option<String>,
    /// A [`Person`](crate::Person)'s `session`.
    pub session: Option<String>,
    /// `jti`: the caller remembers it for as long as a token can be [fresh](crate::OLDEST_TOKEN), and refuses it the
    /// second time.
    pub id: String,
}

impl LogoutToken {
    /// Section 2.6, beyond what every token must be. Without the event or with a nonce it would be an ID token.
    pub(crate) fn of(token: &Verified, now: Timestamp) -> Result<Self, Error> {
        check_issued(token, now)?;
        let event = token.claims().get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(Error::Claim("it says nothing of a logout"));
        }
        if token.claims().contains_key("nonce") {
            return Err(Error::Claim("it is of a sign-in: there is a nonce in it"));
        }
        let text = |claim: &str| token.text(claim).filter(|text| !text.is_empty()).map(str::to_owned);
        let (subject, session) = (text("sub"), text("sid"));
        if subject.is_none() && session.is_none() {
            return Err(Error::Claim("it says neither whose sessions ended nor which"));
        }
        let id = text("jti").ok_or(Error::Claim("it has no jti, so it could come twice"))?;
        Ok(Self { subject, session, id })
    }
}
