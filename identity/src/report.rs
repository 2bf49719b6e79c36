//! Lets people see how users stand: the status and the labels of `User` objects.

use api_types::auth::{User as UserObject, UserState, UserStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::index::Index;
use crate::objects::{Credentials, is, labels, users};
use crate::standing::Barred;

/// How many users are written in one round: a change that concerns everybody is written down bit by bit.
const AT_ONCE: usize = 200;

/// Writes down what has changed.
pub(crate) async fn all(client: &Client, index: &Index, now: Timestamp) {
    let mut written = 0;
    for user in index.users() {
        let standing = index.standing(&user, now);
        let credentials = index.credentials(&user.spec.email);
        let status = status(&user, standing, credentials.as_ref(), now);
        let labels = labels(&user.spec);
        let labelled = labels.iter().all(|(key, value)| user.labels().get(key) == Some(value));
        if labelled && user.status.as_ref() == Some(&status) {
            continue;
        }
        if written == AT_ONCE {
            return;
        }
        written += 1;
        if let Err(error) = write(client, &user, (!labelled).then_some(labels), &status).await
            && !is(&error, 404)
        {
            tracing::debug!(user = %user.name_any(), error = %lib_telemetry::chain(&error), "could not write down how a user stands");
            return;
        }
    }
}

async fn write(
    client: &Client,
    user: &UserObject,
    labels: Option<std::collections::BTreeMap<String, String>>,
    status: &UserStatus,
) -> Result<(), kube::Error> {
    let (name, params) = (user.name_any(), PatchParams::default());
    if let Some(labels) = labels {
        users(client).patch_metadata(&name, &params, &Patch::Merge(json!({"metadata": {"labels": labels}}))).await?;
    }
    // What is absent is taken away, which a merge does with null.
    let mut fields = json!({
        "state": null, "reason": null, "message": null, "since": null, "lockedUntil": null, "lastLoginTime": null,
        "secondFactor": null, "mustChangePassword": null,
    });
    if let (Some(fields), Ok(serde_json::Value::Object(present))) =
        (fields.as_object_mut(), serde_json::to_value(status))
    {
        fields.extend(present);
    }
    users(client).patch_status(&name, &params, &Patch::Merge(json!({"status": fields}))).await?;
    Ok(())
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
    fn a_lock_is_over_by_itself() {
        let mut user = UserObject::new("x", UserSpec::default());
        user.status = Some(UserStatus { locked_until: Some(Time(at(100))), ..UserStatus::default() });
        assert_eq!(status(&user, Ok(()), None, at(99)).state, Some(UserState::Locked));
        let over = status(&user, Ok(()), None, at(100));
        assert_eq!((over.state, over.locked_until), (Some(UserState::Normal), None));
    }
}
