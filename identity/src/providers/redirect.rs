//! Providers that people are sent to: what begins there comes back to the browser that began it, and to no other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use api_types::dex::Connector;
use identity_oidc::Reason;
use identity_saml::{Incoming, NameId, Outgoing, ProviderSession, Replay};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Vouched;
use super::live::Live;
use crate::audit::{Action, Origin};
use crate::login::Login;
use crate::seal::Purpose;
use crate::session::{Grant, Kind, Provider, Stored};
use crate::{Inner, LoginError};

/// How long a person may take at the provider.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// How much of what came once is remembered.
const REMEMBERED: usize = 20_000;

/// What a browser carries between the beginning of a sign-in and its end, sealed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) connector: String,
    /// The path that the person wanted, or a flow of a client.
    pub(crate) next: String,
    /// Nobody is signed in: an administrator looks whether it works.
    pub(crate) validate: bool,
    of: Of,
}

#[derive(Serialize, Deserialize)]
enum Of {
    Oidc(identity_oidc::Pending),
    Saml(identity_saml::Pending),
}

/// What a browser is to do next.
pub(crate) enum Next {
    /// Go there.
    Go(Url),
    /// Post these fields there.
    Post(identity_saml::Form),
}

impl From<Outgoing> for Next {
    fn from(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Redirect(url) => Self::Go(url),
            Outgoing::Post(form) => Self::Post(form),
        }
    }
}

/// How the answer of a provider came.
pub(crate) enum Answer<'a> {
    Query(&'a str),
    Posted(&'a str),
}

/// Somebody for whom a provider has just vouched.
pub(crate) struct Arrived {
    pub(crate) vouched: Vouched,
    provider: Provider,
    /// The provider wants the session to end then.
    until: Option<Timestamp>,
}

/// What is kept to speak with the provider about a session.
#[derive(Serialize, Deserialize)]
enum Hint {
    Oidc { id_token: Option<identity_oidc::Secret>, refresh: Option<identity_oidc::Secret>, subject: String },
    Saml(ProviderSession),
}

/// What came once and must not come again.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<String, Timestamp>>);

impl Seen {
    /// Where too much has to be remembered nothing more is let in: it would be let in twice.
    fn first_time(&self, what: &str, until: Timestamp, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.retain(|_, until| now < *until);
        }
        seen.len() < REMEMBERED && seen.insert(what.to_owned(), until).is_none_or(|until| until <= now)
    }
}

struct Once<'a>(&'a Seen, Timestamp);

impl Replay for Once<'_> {
    fn first_time(&mut self, issuer: &str, id: &str, until: Timestamp) -> bool {
        self.0.first_time(&format!("{issuer}\n{id}"), until, self.1)
    }
}

impl Inner {
    /// Sends somebody to a provider; what the browser has to bring back is sealed.
    pub(crate) async fn begin_at(
        &self,
        connector: &Connector,
        next: String,
        validate: bool,
        now: Timestamp,
    ) -> Result<(Next, String), LoginError> {
        let live = self.provider(connector).await?.map_err(|_| unavailable(connector))?;
        let (to, of) = match &*live {
            Live::Oidc(provider) => {
                let begun = provider.begin(now, provider.config().redirect_uri()).await;
                let (url, pending) = begun.map_err(|error| refused(connector, &error))?;
                (Next::Go(url), Of::Oidc(pending))
            }
            Live::Saml(provider) => {
                let begun = provider.begin(now, None).map_err(|error| saml_refused(connector, &error))?;
                (begun.0.into(), Of::Saml(begun.1))
            }
            Live::Ldap(_) => return Err(LoginError::UnknownProvider),
        };
        let begun = Begun { connector: connector.id.clone(), next, validate, of };
        Ok((to, self.issuer.keys().seal.seal(Purpose::Pending, now + PATIENCE, &begun)?))
    }

    /// What a browser brought back of a sign-in that it began.
    pub(crate) fn begun(&self, cookie: &str, now: Timestamp) -> Option<Begun> {
        self.issuer.keys().seal.open(Purpose::Pending, cookie, now)
    }

    /// Reads what the provider says.
    pub(crate) async fn arrive(
        &self,
        connector: &Connector,
        begun: Begun,
        answer: Answer<'_>,
        now: Timestamp,
    ) -> Result<Arrived, LoginError> {
        let live = self.provider(connector).await?.map_err(|_| unavailable(connector))?;
        match (&*live, begun.of, answer) {
            (Live::Oidc(provider), Of::Oidc(pending), Answer::Query(query)) => {
                let person = provider.finish(pending, query, now).await;
                Ok(self.of_oidc(connector, person.map_err(|error| refused(connector, &error))?, now)?)
            }
            (Live::Saml(provider), Of::Saml(pending), Answer::Posted(response)) => {
                let mut once = Once(&self.seen, now);
                let person = provider.finish(&pending, response, now, &mut once);
                let person = person.map_err(|error| saml_refused(connector, &error))?;
                let session = serde_json::to_string(&person.session.name_id).map_err(crate::Error::Encode)?;
                let provider = Provider {
                    session: person.session.index.clone(),
                    subject: Some(session),
                    hint: Some(self.hint(&Hint::Saml(person.session.clone()), now)?),
                    ..of(connector)
                };
                let vouched = Vouched {
                    subject: person.session.name_id.value,
                    email: Some(person.email),
                    username: person.username,
                    name: person.name,
                    groups: person.groups,
                    ..Vouched::default()
                };
                Ok(Arrived { vouched, provider, until: person.session_until })
            }
            // Another way of answering than the one that was begun.
            _ => Err(LoginError::FlowExpired),
        }
    }

    fn of_oidc(
        &self,
        connector: &Connector,
        person: identity_oidc::Person,
        now: Timestamp,
    ) -> Result<Arrived, LoginError> {
        let hint =
            Hint::Oidc { id_token: person.id_token, refresh: person.refresh_token, subject: person.subject.clone() };
        let provider = Provider {
            session: person.session,
            subject: Some(person.subject),
            hint: Some(self.hint(&hint, now)?),
            ..of(connector)
        };
        let vouched = Vouched {
            subject: person.id,
            // An address that nobody has verified is whatever was typed there.
            email: Some(person.email).filter(|_| person.email_verified),
            username: person.username,
            name: person.name,
            mobile: person.phone,
            groups: person.groups,
            extra: person.extra,
        };
        Ok(Arrived { vouched, provider, until: None })
    }

    fn hint(&self, hint: &Hint, now: Timestamp) -> Result<String, crate::Error> {
        let longest = now.checked_add(SignedDuration::from_hours(24 * 31)).unwrap_or(Timestamp::MAX);
        self.issuer.keys().seal.seal(Purpose::Hint, longest, hint)
    }

    fn read_hint(&self, stored: &Stored, now: Timestamp) -> Option<Hint> {
        self.issuer.keys().seal.open(Purpose::Hint, stored.provider.hint.as_deref()?, now)
    }

    /// Signs in whom a provider vouches for.
    pub(crate) async fn welcome(
        &self,
        connector: &Connector,
        arrived: Arrived,
        origin: &Origin,
    ) -> Result<Login, LoginError> {
        let named = arrived.vouched.email.clone().unwrap_or_else(|| arrived.vouched.username.clone());
        let signed_in = async {
            let user = self.admit(connector, &arrived.vouched).await?;
            let kind = Kind::SignIn { client: "console".into(), second_factor: false };
            self.open_until(&user, arrived.provider, kind, origin, arrived.until).await
        };
        let signed_in = signed_in.await;
        self.record(Action::SignIn, &named, &connector.id, origin, signed_in.as_ref().err()).await?;
        signed_in
    }

    /// Where a browser goes to sign out at the provider too, when somebody has signed out here.
    pub(crate) async fn logout_url(&self, stored: &Stored) -> Option<String> {
        let now = Timestamp::now();
        let hint = self.read_hint(stored, now)?;
        let connector = self.index.connector(&stored.provider.id)?;
        let live = self.provider(&connector).await.ok()?.ok()?;
        let back = format!("{}/signed-out", self.issuer.platform);
        match (&*live, hint) {
            (Live::Oidc(provider), Hint::Oidc { id_token, .. }) => {
                // Nothing hangs on the answer: the session here is over in any case.
                let state = crate::token::Token::generate().ok()?.reveal();
                let url = provider.logout_url(id_token.as_ref(), &back, &state, now).await.ok()?;
                url.map(String::from)
            }
            (Live::Saml(provider), Hint::Saml(session)) => match provider.logout(&session, now, None).ok()?? {
                (Outgoing::Redirect(url), _) => Some(url.into()),
                // A form cannot be told as an address; the session here is over in any case.
                (Outgoing::Post(_), _) => None,
            },
            _ => None,
        }
    }

    /// A provider says with a signed token that somebody is signed out (OpenID Connect Back-Channel Logout 1.0).
    pub(crate) async fn signed_out_by_token(
        &self,
        connector: &Connector,
        token: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let live = self.provider(connector).await?.map_err(|_| unavailable(connector))?;
        let Live::Oidc(provider) = &*live else { return Err(LoginError::UnknownProvider) };
        let said = provider.verify_logout_token(token, now).await.map_err(|error| refused(connector, &error))?;
        let until = now + identity_oidc::OLDEST_TOKEN + identity_oidc::LEEWAY;
        if !self.seen.first_time(&format!("{}\n{}", connector.id, said.id), until, now) {
            return Err(LoginError::FlowExpired);
        }
        self.end_where(connector, origin, |provider| match (&said.session, &said.subject) {
            // The one session, where it is named.
            (Some(session), _) => provider.session.as_ref() == Some(session),
            (None, subject) => provider.subject == *subject,
        })
        .await
    }

    /// A SAML provider says that somebody is signed out, or answers that it has done so.
    pub(crate) async fn signed_out_by_message(
        &self,
        connector: &Connector,
        incoming: Incoming<'_>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Next, LoginError> {
        let live = self.provider(connector).await?.map_err(|_| unavailable(connector))?;
        let Live::Saml(provider) = &*live else { return Err(LoginError::UnknownProvider) };
        let mut once = Once(&self.seen, now);
        let request = provider.receive_logout_request(incoming, now, &mut once);
        let request = request.map_err(|error| saml_refused(connector, &error))?;
        let is_meant = |provider: &Provider| {
            let subject = provider.subject.as_deref().and_then(|text| serde_json::from_str::<NameId>(text).ok());
            // Providers leave out of a request what they said in an assertion.
            subject.is_some_and(|subject| subject.is_same(&request.name_id))
        };
        self.end_where(connector, origin, |provider| {
            let named = request.session_indexes.is_empty()
                || provider.session.as_ref().is_some_and(|index| request.session_indexes.contains(index));
            named && is_meant(provider)
        })
        .await?;
        Ok(request.answer.into())
    }

    async fn end_where(
        &self,
        connector: &Connector,
        origin: &Origin,
        of: impl Fn(&Provider) -> bool,
    ) -> Result<(), LoginError> {
        let sessions = self.index.sessions(None, Timestamp::now());
        for grant in
            sessions.iter().filter(|grant| grant.stored.provider.id == connector.id && of(&grant.stored.provider))
        {
            let stored = &grant.stored;
            self.record(Action::SignOut, &stored.username, &stored.id(), origin, None).await?;
            self.end(stored).await?;
        }
        Ok(())
    }

    /// Asks the provider whether somebody is still there, and takes over what has changed. False if not.
    pub(crate) async fn still_there(&self, stored: &Stored, now: Timestamp) -> Result<bool, LoginError> {
        let Some(Hint::Oidc { id_token, refresh: Some(refresh), subject }) = self.read_hint(stored, now) else {
            return Ok(true);
        };
        let Some(connector) = self.index.connector(&stored.provider.id) else { return Ok(false) };
        let live = self.provider(&connector).await?.map_err(|_| unavailable(&connector))?;
        let Live::Oidc(provider) = &*live else { return Ok(false) };
        let person = match provider.refresh(&refresh, &subject, now).await {
            Ok(person) => person,
            Err(error) if error.is_gone() => return Ok(false),
            // Being unreachable says nothing of anybody.
            Err(error) => return Err(refused(&connector, &error)),
        };
        let hint = Hint::Oidc {
            id_token: person.id_token.clone().or(id_token),
            refresh: person.refresh_token.clone().or(Some(refresh)),
            subject,
        };
        let hint = self.hint(&hint, now)?;
        crate::objects::change_session(&self.client, &stored.id(), |stored| {
            stored.provider.hint = Some(hint.clone());
            true
        })
        .await?;
        let arrived = self.of_oidc(&connector, person, now)?;
        if let Some(user) = self.index.user(&stored.username) {
            let groups = self.groups_of(&connector, &arrived.vouched).await?;
            self.update(&connector, &user, &arrived.vouched, groups).await?;
        }
        Ok(true)
    }

    /// Whether there is anything to ask a provider about a session.
    pub(crate) fn can_ask(&self, grant: &Grant) -> bool {
        grant.stored.provider.type_ == "oidc" && grant.stored.provider.hint.is_some()
    }
}

pub(super) fn of(connector: &Connector) -> Provider {
    let name = if connector.name.is_empty() { &connector.id } else { &connector.name };
    Provider { id: connector.id.clone(), name: name.clone(), type_: connector.type_.clone(), ..Provider::default() }
}

pub(crate) fn unavailable(connector: &Connector) -> LoginError {
    LoginError::ProviderUnavailable(connector.id.clone())
}

/// What a provider's failure is to the person. Why, the log says.
fn refused(connector: &Connector, error: &identity_oidc::Error) -> LoginError {
    tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(error), "a sign-in at a provider failed");
    match error.reason() {
        Reason::AccessDenied => LoginError::AccessDenied,
        Reason::ProviderUnavailable => unavailable(connector),
        Reason::FlowExpired => LoginError::FlowExpired,
        Reason::MissingEmail => LoginError::MissingEmail,
        Reason::ProviderRefused => LoginError::ProviderRefused(connector.id.clone()),
    }
}

fn saml_refused(connector: &Connector, error: &identity_saml::Error) -> LoginError {
    tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(error), "a sign-in at a provider failed");
    match error {
        identity_saml::Error::Refused { .. } => LoginError::AccessDenied,
        identity_saml::Error::TooLate { .. } | identity_saml::Error::Replayed(_) => LoginError::FlowExpired,
        _ => LoginError::ProviderRefused(connector.id.clone()),
    }
}
