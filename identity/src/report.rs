//! Lets people see how users stand: the status and the labels of `User` objects.
//!
//! A user of whom something has changed is looked at when the index sees it. Whatever changes with time, and what concerns
//! everybody, is found by looking at all users every tick. Both write one after the other and no more than so many in each
//! tick: thousands of new users, or a new policy, are written down bit by bit.

use std::collections::BTreeMap;

use api_types::auth::{User as UserObject, UserState, UserStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt};
use lib_drain::Drain;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::TICK;
use crate::index::Index;
use crate::objects::{Credentials, is, labels, users};
use crate::standing::Barred;

/// How many users are written in one tick, of those who changed and of all.
const AT_ONCE: usize = 200;

/// Writes down what changes.
pub(crate) async fn keep(client: &Client, index: &Index, mut changed: mpsc::Receiver<String>, drain: &Drain) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut left = AT_ONCE;
    loop {
        tokio::select! {
            () = drain.finishing() => return,
            _ = tick.tick() => {
                all(client, index).await;
                left = AT_ONCE;
            }
            Some(email) = changed.recv(), if left > 0 => {
                // Whom it could not be written of, the tick finds again.
                if let Some(user) = index.user(&email) && let Ok(true) = look(client, index, &user).await {
                    left -= 1;
                }
            }
        }
    }
}

async fn all(client: &Client, index: &Index) {
    let mut written = 0;
    for user in index.users() {
        match look(client, index, &user).await {
            Ok(done) => written += usize::from(done),
            // The next one would fare no better.
            Err(_) => return,
        }
        if written == AT_ONCE {
            return;
        }
    }
}

/// Writes down how a user stands, where that is another way than is written. Whether it was.
async fn look(client: &Client, index: &Index, user: &UserObject) -> Result<bool, kube::Error> {
    let now = Timestamp::now();
    let credentials = index.credentials(&user.spec.email);
    let status = status(user, index.standing(user, now), credentials.as_ref(), now);
    let labels = labels(&user.spec);
    let labelled = labels.iter().all(|(key, value)| user.labels().get(key) == Some(value));
    if labelled && user.status.as_ref() == Some(&status) {
        return Ok(false);
    }
    match write(client, user, (!labelled).then_some(labels), &status).await {
        // It is gone by now.
        Err(error) if is(&error, 404) => Ok(true),
        Err(error) => {
            tracing::debug!(user = %user.name_any(), error = %lib_telemetry::chain(&error), "could not write down how a user stands");
            Err(error)
        }
        Ok(()) => Ok(true),
    }
}

async fn write(
    client: &Client,
    user: &UserObject,
    labels: Option<BTreeMap<String, String>>,
    status: &UserStatus,
) -> Result<(), kube::Error> {
    let (name, params) = (user.name_any(), PatchParams::default());
    if let Some(labels) = labels {
        users(client).patch_metadata(&name, &params, &Patch::Merge(json!({"metadata": {"labels": labels}}))).await?;
    }
    let fields = difference(user.status.as_ref(), status);
    users(client).patch_status(&name, &params, &Patch::Merge(json!({"status": fields}))).await?;
    Ok(())
}

/// The fields that change, as a merge patch writes them: null for what is to be absent. What stays as it was known is left
/// out, so that a lock which was written down meanwhile stays.
fn difference(old: Option<&UserStatus>, new: &UserStatus) -> Map<String, Value> {
    let fields = |status: Option<&UserStatus>| match json!(status) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let (old, mut new) = (fields(old), fields(Some(new)));
    for name in old.keys() {
        new.entry(name.as_str()).or_insert(Value::Null);
    }
    new.retain(|name, value| old.get(name) != Some(value));
    new
}

/// How a user stands. Pure.
fn status(
    user: &UserObject,
    standing: Result<(), Barred>,
    credentials: Option<&Credentials>,
    now: Timestamp,
) -> UserStatus {
    let old = user.status.clone().unwrap_or_default();
    let locked = old.locked_until.clone().filter(|until| until.0 > now);
    let (state, reason, message) = match (standing, &locked) {
        (Err(barred), _) => (barred.state(), Some(barred.reason().to_owned()), Some(format!("{barred}."))),
        (Ok(()), Some(_)) => {
            let message = "Too many sign-ins failed. From where they came, none is let in for a while.";
            (UserState::Locked, Some("TooManyFailures".to_owned()), Some(message.to_owned()))
        }
        (Ok(()), None) => (UserState::Normal, None, None),
    };
    let unchanged = old.state == Some(state) && old.reason == reason;
    UserStatus {
        state: Some(state),
        since: old.since.filter(|_| unchanged).or_else(|| Some(Time(second(now)))),
        reason,
        message,
        locked_until: locked,
        last_login_time: user.spec.last_login_time.clone(),
        second_factor: Some(credentials.is_some_and(|known| known.second_factor().is_some())),
        must_change_password: credentials.map(|known| known.must_change),
    }
}

/// Times of objects have no fractions.
fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use api_types::auth::UserSpec;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_state_has_a_reason_and_a_beginning() {
        let mut user = UserObject::new("x", UserSpec::default());
        let normal = status(&user, Ok(()), None, at(10));
        assert_eq!(
            (normal.state, &normal.reason, &normal.since),
            (Some(UserState::Normal), &None, &Some(Time(at(10))))
        );
        user.status = Some(normal.clone());
        assert_eq!(status(&user, Ok(()), None, at(20)), normal);
        let disabled = status(&user, Err(Barred::Inactive), None, at(20));
        assert_eq!((disabled.state, disabled.reason.as_deref()), (Some(UserState::Disabled), Some("Inactive")));
        assert_eq!(disabled.since, Some(Time(at(20))));
    }

    #[test]
    fn only_what_changes_is_written() {
        let user = UserObject::new("x", UserSpec::default());
        let normal = status(&user, Ok(()), None, at(10));
        let disabled = status(&user, Err(Barred::Inactive), None, at(10));
        assert_eq!(json!(difference(None, &normal)), json!(normal));
        assert_eq!(difference(Some(&normal), &normal), Map::new());
        let patch = json!({"state": "Normal", "reason": null, "message": null});
        assert_eq!(json!(difference(Some(&disabled), &normal)), patch);
    }

    #[test]
    fn a_lock_is_over_by_itself() {
        let mut user = UserObject::new("x", UserSpec::default());
        user.status = Some(UserStatus { locked_until: Some(Time(at(100))), ..UserStatus::default() });
        assert_eq!(status(&user, Ok(()), None, at(99)).state, Some(UserState::Locked));
        let over = status(&user, Ok(()), None, at(100));
        assert_eq!((over.state, over.locked_until), (Some(UserState::Normal), None));
    }
}
