//! `/auth/v1/accesstoken`: tokens for programs, each with a name, an end, and what it is good for.

use api_types::auth::{AccessTokenInfo, AccessTokenInfoSpec, TokenScope};
use http::{Method, Response};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::{Resource, ResourceExt};
use lib_names::ClusterName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Bytes, Refused, list, no_content, now, ok, unreadable};
use crate::audit::Action;
use crate::objects;
use crate::session::{Grant, Kind, Stored};
use crate::user::md5_hex;
use crate::{Error, Inner, Token};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    description: String,
    #[serde(default)]
    expiration: Option<Value>,
    #[serde(default)]
    scope: TokenScope,
}

pub(super) async fn answer(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match (ask.method(), rest) {
        (&Method::POST, []) => create(inner, ask).await,
        (&Method::GET, []) => listed(inner, ask).await,
        (&Method::DELETE, [id]) => revoke(inner, ask, id).await,
        (_, [] | [_]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

async fn create(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    // A token does not make tokens: what is stolen would outlive its end.
    let session = ask.person()?;
    let wanted: Wanted = ask.json()?;
    let now = now();
    let days = inner.index.policy().access_tokens.max_days.max(1);
    let expires = check(&wanted, i64::from(days), now).map_err(Refused::invalid)?;
    let token = Token::generate()?;
    let owner = &session.grant;
    let stored = Stored {
        token: token.hash(),
        kind: Kind::ApiToken { description: wanted.description.trim().to_owned(), scope: wanted.scope.clone() },
        username: owner.stored.username.clone(),
        user_uid: owner.stored.user_uid.clone(),
        // A new password ends the token too, where it ends the session in which the token was made.
        password: owner.stored.password.clone(),
        disabled: owner.stored.disabled.clone(),
        provider: owner.stored.provider.clone(),
        created: now,
        expires,
        last_seen: now,
        address: Some(ask.origin.address.to_string()),
        user_agent: None,
        token_md5: Some(md5_hex(token.reveal().as_bytes())),
    };
    if !objects::create_session(&inner.client, &stored).await? {
        return Err(Error::Random.into());
    }
    describe(inner, &stored, &wanted).await?;
    let grant = inner.index.put_session(stored, now).map_err(|_| Refused::unauthorized())?;
    inner.record(Action::CreateToken, &grant.stored.username, &grant.stored.id(), &ask.origin, None).await?;
    let mut said = view(&grant);
    said["token"] = token.reveal().into();
    Ok(ok(&said))
}

/// When it ends, or what is wrong.
fn check(wanted: &Wanted, most_days: i64, now: Timestamp) -> Result<Timestamp, Vec<(String, String)>> {
    let mut causes = Vec::new();
    let mut wrong = |field: &str, message: String| causes.push((field.to_owned(), message));
    let length = wanted.description.trim().chars().count();
    if length == 0 || length > 128 {
        wrong("description", "is needed, and at most 128 characters long: it says what the token is for".into());
    } else if let Some(why) = unreadable(wanted.description.trim()) {
        wrong("description", why);
    }
    match &wanted.scope.clusters {
        Some(clusters) if clusters.is_empty() => {
            wrong("scope.clusters", "must name a cluster, or be left out".into());
        }
        Some(clusters) => {
            for (n, cluster) in clusters.iter().enumerate() {
                if let Err(error) = cluster.parse::<ClusterName>() {
                    wrong(&format!("scope.clusters[{n}]"), format!("{cluster:?} is no cluster's name: {error}"));
                }
            }
        }
        None => {}
    }
    let asked = match &wanted.expiration {
        None => Err("is needed: a date as in RFC 3339, or a number of seconds".to_owned()),
        Some(Value::Number(seconds)) => seconds
            .as_i64()
            .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok())
            .ok_or_else(|| format!("{seconds} is no number of seconds")),
        Some(Value::String(text)) => {
            text.parse().map_err(|_| format!("{text:?} is no date as in RFC 3339, as 2030-01-31T00:00:00Z"))
        }
        Some(other) => Err(format!("{other} is neither a date nor a number of seconds")),
    };
    let most = now + SignedDuration::from_hours(24 * most_days);
    let asked = match asked {
        Ok(until) if until <= now => Err(format!("{until} is over already")),
        Ok(until) if until > most => {
            Err(format!("{until} is later than the {most_days} days that the security policy allows"))
        }
        other => other,
    };
    match asked {
        Ok(until) if causes.is_empty() => Ok(until),
        Ok(_) => Err(causes),
        Err(message) => {
            causes.push(("expiration".to_owned(), message));
            Err(causes)
        }
    }
}

/// The published record, which goes when the token does.
async fn describe(inner: &Inner, stored: &Stored, wanted: &Wanted) -> Result<(), Error> {
    let name = objects::session_name(&stored.id());
    let secret = objects::secrets(&inner.client).get(&name).await.map_err(Error::hub("read a token"))?;
    let spec = AccessTokenInfoSpec {
        username: stored.username.clone(),
        description: wanted.description.trim().to_owned(),
        expiration: Some(Time(stored.expires)),
        scope: (wanted.scope != TokenScope::default()).then(|| wanted.scope.clone()),
    };
    let mut info = AccessTokenInfo::new(&stored.id(), spec);
    let owner = OwnerReference { uid: secret.uid().unwrap_or_default(), ..secret.owner_ref(&()).unwrap_or_default() };
    info.metadata = ObjectMeta { owner_references: Some(vec![owner]), ..info.metadata };
    let api = infos(inner);
    match api.create(&PostParams::default(), &info).await {
        Ok(info) => {
            inner.index.put_token_record(info);
            Ok(())
        }
        Err(error) => {
            // A token that nobody can see is not one to hand out.
            objects::delete_session(&inner.client, &stored.id()).await?;
            Err(Error::hub("describe a token")(error))
        }
    }
}

fn infos(inner: &Inner) -> Api<AccessTokenInfo> {
    Api::namespaced(inner.client.clone(), api_types::PLATFORM_NAMESPACE)
}

async fn listed(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    let query = ask.query();
    let username = query.one("username").map_err(|_| Refused::bad_request("username is given more than once"))?;
    let username = username.map_or_else(|| caller.name.clone(), |name| inner.index.email_of(name));
    if username != caller.name {
        caller.must("list").await?;
    }
    let mut tokens = inner.index.sessions(Some(&username), now());
    tokens.retain(|grant| matches!(grant.stored.kind, Kind::ApiToken { .. }));
    tokens.sort_by_key(|grant| std::cmp::Reverse(grant.stored.created));
    Ok(list(tokens.iter().map(|grant| view(grant)).collect()))
}

async fn revoke(inner: &Inner, ask: &Ask<'_>, id: &str) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    let found = inner.index.grant_of(id, now()).ok();
    let found = found.filter(|grant| matches!(grant.stored.kind, Kind::ApiToken { .. }));
    if found.as_ref().is_none_or(|grant| grant.stored.username != caller.name) {
        caller.must("update").await.map_err(|_| Refused::not_found())?;
    }
    let grant = found.ok_or_else(Refused::not_found)?;
    inner.record(Action::RevokeToken, &caller.name, id, &ask.origin, None).await?;
    inner.end(&grant.stored).await?;
    match infos(inner).delete(id, &DeleteParams::default()).await {
        Err(error) if !objects::is(&error, 404) => Err(error.into()),
        _ => Ok(no_content()),
    }
}

fn view(grant: &Grant) -> Value {
    let stored = &grant.stored;
    let Kind::ApiToken { description, scope } = &stored.kind else { return Value::Null };
    let seen = grant.seen.load(std::sync::atomic::Ordering::Relaxed);
    json!({
        "id": stored.id(), "description": description, "scope": scope, "username": stored.username,
        "timestamp": stored.created, "expiration": grant.until,
        "lastUsed": (seen > stored.created.as_second()).then(|| Timestamp::from_second(seen).ok()).flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(expiration: Value) -> Wanted {
        serde_json::from_value(json!({"description": "ci", "expiration": expiration})).unwrap()
    }

    #[test]
    fn case_42_every_token_has_an_end_that_the_policy_allows() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let ends = |expiration: Value| check(&wanted(expiration), 90, now);
        assert_eq!(ends(json!(3600)).unwrap(), now + SignedDuration::from_hours(1));
        assert!(ends(json!("2023-12-01T00:00:00Z")).is_ok());
        for bad in [
            Value::Null,
            json!(0),
            json!(-5),
            json!(90 * 86_400 + 1),
            json!("2024-12-01T00:00:00Z"),
            json!("never"),
            json!(true),
            json!(9_999_999_999_999_999_i64),
            json!("2020-01-01T00:00:00Z"),
        ] {
            let causes = ends(bad.clone()).unwrap_err();
            assert_eq!(causes[0].0, "expiration", "{bad}");
        }
        for (wanted, field) in [
            (json!({"description": "c\u{0}i", "expiration": 60}), "description"),
            (json!({"description": "\u{1b}[2Jci", "expiration": 60}), "description"),
            (json!({"description": "ci \u{202e}toor", "expiration": 60}), "description"),
            (
                json!({"description": "ci", "expiration": 60, "scope": {"clusters": ["eu", "../.."]}}),
                "scope.clusters[1]",
            ),
            (json!({"description": "ci", "expiration": 60, "scope": {"clusters": [""]}}), "scope.clusters[0]"),
        ] {
            let causes = check(&serde_json::from_value(wanted).unwrap(), 90, now).unwrap_err();
            assert_eq!((causes.len(), causes[0].0.as_str()), (1, field), "{causes:?}");
            assert!(!causes[0].1.chars().any(char::is_control), "{causes:?}");
        }
        let good = json!({"description": "夜间备份", "expiration": 60, "scope": {"clusters": ["global", "eu"]}});
        assert!(check(&serde_json::from_value(good).unwrap(), 90, now).is_ok());
        let none = serde_json::from_value(json!({"description": " "})).unwrap();
        assert_eq!(check(&none, 90, now).unwrap_err().len(), 2);
    }
}
