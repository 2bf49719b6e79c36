//! `/auth/v1/sessions`: signing in and out, and who is signed in where.

use http::{HeaderValue, Method, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Bytes, Refused, list, no_content, now, ok};
use crate::audit::Action;
use crate::issuer::clients::AC;
use crate::session::{Grant, Kind};
use crate::{COOKIE, Given, Identity, Inner};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
    #[serde(default)]
    pub(super) idp: Option<String>,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    new_password: Option<String>,
}

impl Credentials {
    pub(super) fn given(&self) -> Given<'_> {
        Given {
            username: &self.username,
            password: &self.password,
            provider: self.idp.as_deref(),
            code: self.code.as_deref(),
        }
    }
}

pub(super) async fn answer(identity: &Identity, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    let inner = &*identity.inner;
    match (ask.method(), rest) {
        (&Method::POST, []) => login(identity, ask).await,
        (&Method::GET, []) => listed(inner, ask).await,
        (&Method::DELETE, []) => end_many(inner, ask).await,
        (&Method::GET, ["current"]) => {
            let (session, _) = ask.caller()?.session.as_ref().ok_or_else(Refused::unauthorized)?;
            Ok(ok(&view(inner, &session.grant, Some(&session.id()))))
        }
        (&Method::DELETE, ["current"]) => logout(inner, ask).await,
        (&Method::DELETE, [id]) => end(inner, ask, id).await,
        (_, [] | [_]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

/// The console gets a cookie that its scripts cannot read; programs get the token.
async fn login(identity: &Identity, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    if ask.parts.uri.query().is_some() {
        return Err(Refused::bad_request("credentials are taken from the body only"));
    }
    let credentials: Credentials = ask.json()?;
    if credentials.new_password.is_some() {
        return Err(Refused::bad_request("newPassword is for /auth/v1/password"));
    }
    let login = identity.login(&ask.origin, client(ask), &credentials.given()).await?;
    let inner = &*identity.inner;
    let mut said = view(inner, &login.session.grant, Some(&login.session.id()));
    if !ask.console {
        said["token"] = login.token.reveal().into();
        return Ok(ok(&said));
    }
    let mut response = ok(&said);
    give_cookie(inner, &mut response, &login.token.reveal());
    Ok(response)
}

/// What a session is listed as. Anybody can say that they are `ac`, and nobody gets anything by it.
fn client(ask: &Ask<'_>) -> &'static str {
    match &ask.origin.user_agent {
        _ if ask.console => "console",
        Some(agent) if agent.starts_with("ac/") => AC,
        _ => "api",
    }
}

/// The session's cookie, which lasts as long as the browser is open, or as long as the session where the policy says so.
pub(super) fn give_cookie(inner: &Inner, response: &mut Response<Bytes>, token: &str) {
    let sessions = inner.index.policy().sessions;
    let lasting = if sessions.end_with_tab {
        String::new()
    } else {
        format!("; Max-Age={}", i64::from(sessions.lifetime_hours) * 3600)
    };
    set_cookie(response, &format!("{COOKIE}={token}; Secure; HttpOnly; SameSite=Strict; Path=/{lasting}"));
}

pub(super) fn set_cookie(response: &mut Response<Bytes>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `POST /auth/v1/password`.
pub(super) async fn password(identity: &Identity, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let credentials: Credentials = ask.json()?;
    let Some(new) = credentials.new_password.as_deref() else {
        return Err(Refused::invalid(vec![("newPassword".into(), "is needed".into())]));
    };
    identity.change_password(&ask.origin, &credentials.given(), new).await?;
    Ok(no_content())
}

async fn logout(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let (session, _) = ask.caller()?.session.as_ref().ok_or_else(Refused::unauthorized)?;
    let stored = &session.grant.stored;
    inner.end(stored).await?;
    inner.record(Action::SignOut, &stored.username, &stored.id(), &ask.origin, None).await?;
    let goes_on = inner.logout_url(stored).await;
    let mut response = match goes_on {
        Some(url) => ok(&json!({"logoutURL": url})),
        None => no_content(),
    };
    set_cookie(&mut response, &format!("{COOKIE}=; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"));
    Ok(response)
}

/// Own sessions; others' for those who may list users.
async fn listed(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    let query = ask.query();
    let one = |name: &str| query.one(name).map_err(|_| Refused::bad_request(format!("{name} is given more than once")));
    let all = one("all")? == Some("true");
    let username = one("username")?.map_or_else(|| caller.name.clone(), |name| inner.index.email_of(name));
    if all || username != caller.name {
        caller.must("list").await?;
    }
    let of = (!all).then_some(username.as_str());
    let current = caller.session.as_ref().map(|(session, _)| session.id());
    let mut sessions = inner.index.sessions(of, now());
    sessions.retain(|grant| !matches!(grant.stored.kind, Kind::ApiToken { .. }));
    sessions.sort_by_key(|grant| std::cmp::Reverse(grant.stored.created));
    Ok(list(sessions.iter().map(|grant| view(inner, grant, current.as_deref())).collect()))
}

async fn end(inner: &Inner, ask: &Ask<'_>, id: &str) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    let found = inner.index.grant_of(id, now()).ok();
    let is_own = found.as_ref().is_some_and(|grant| grant.stored.username == caller.name);
    if !is_own {
        // Whether there is one is not for everybody to know.
        caller.must("update").await.map_err(|_| Refused::not_found())?;
    }
    let grant = found.ok_or_else(Refused::not_found)?;
    inner.record(Action::EndSession, &caller.name, id, &ask.origin, None).await?;
    inner.end(&grant.stored).await?;
    Ok(no_content())
}

/// All of somebody; of oneself all but the one that asks.
async fn end_many(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    let query = ask.query();
    let username = query.one("username").map_err(|_| Refused::bad_request("username is given more than once"))?;
    let username = username.map_or_else(|| caller.name.clone(), |name| inner.index.email_of(name));
    if username != caller.name {
        caller.must("update").await?;
    }
    let current = caller.session.as_ref().map(|(session, _)| session.id());
    inner.record(Action::EndSession, &caller.name, &username, &ask.origin, None).await?;
    for grant in inner.index.sessions(Some(&username), now()) {
        let is_token = matches!(grant.stored.kind, Kind::ApiToken { .. });
        if !is_token && Some(grant.stored.id()) != current {
            inner.end(&grant.stored).await?;
        }
    }
    Ok(no_content())
}

/// A session, for people.
pub(super) fn view(inner: &Inner, grant: &Grant, current: Option<&str>) -> Value {
    let stored = &grant.stored;
    let seen = grant.seen.load(std::sync::atomic::Ordering::Relaxed);
    let user = inner.index.user(&stored.username);
    let spec = user.as_ref().map(|user| &user.spec);
    let mut view = json!({
        "id": stored.id(),
        "username": stored.username,
        "groups": grant.user.groups,
        "provider": {"id": stored.provider.id, "name": stored.provider.name, "type": stored.provider.type_},
        "createdTimestamp": stored.created,
        "expirationTimestamp": grant.until,
        "lastSeenTimestamp": jiff::Timestamp::from_second(seen).ok(),
        "client": stored.client(),
        "clientAddress": stored.address,
        "userAgent": stored.user_agent,
        "current": Some(stored.id().as_str()) == current,
        "secondFactor": stored.second_factor(),
        "admin": spec.is_some_and(|spec| spec.is_admin),
    });
    if let Some(name) = spec.and_then(|spec| spec.account.as_deref()) {
        view["displayName"] = name.into();
    }
    let idle = inner.index.policy().sessions.idle_minutes;
    if idle > 0 {
        view["idleSeconds"] = (i64::from(idle) * 60).into();
    }
    view
}
