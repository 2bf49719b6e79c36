//! `/auth/v1/users`: making, changing and removing people. Objects are written in the caller's name, so the hub's own
//! rules decide; what is no object follows the right to change the object.

use api_types::auth::{Activity, LOCAL, User as UserObject, UserSpec, Validity};
use http::{Method, Response, StatusCode};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Bytes, Caller, Refused, all_unreadable, json_answer, list, no_content, now, ok, unreadable};
use crate::audit::Action;
use crate::index::{DISABLED, UNLOCKED};
use crate::objects::{user_object, users};
use crate::standing::is_local;
use crate::{Inner, LoginError, token, user};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    username: Option<String>,
    email: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, rename = "displayName", alias = "account")]
    display_name: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    is_admin: bool,
    #[serde(default)]
    expired: Option<Validity>,
    #[serde(default)]
    mobile: Option<String>,
    #[serde(default)]
    mail: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    #[serde(default)]
    password: Option<String>,
}

pub(super) async fn answer(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    if rest.is_empty() {
        return match *ask.method() {
            Method::POST => create(inner, ask, caller).await,
            Method::GET => {
                let found = users(&caller.client).list(&ListParams::default()).await?;
                Ok(list(found.items.iter().map(|user| json!(user)).collect()))
            }
            _ => Err(Refused::method()),
        };
    }
    let name = object_of(rest[0]);
    match (ask.method(), &rest[1..]) {
        (&Method::GET, []) => Ok(ok(&json!(users(&caller.client).get(&name).await?))),
        (&Method::PATCH, []) => {
            let spec: Value = ask.json()?;
            let spec = match spec.get("spec") {
                Some(inner) => inner.clone(),
                None => spec,
            };
            let mut causes = Vec::new();
            all_unreadable("spec", &spec, &mut causes);
            if !causes.is_empty() {
                return Err(Refused::invalid(causes));
            }
            change(inner, ask, caller, &name, json!({"spec": spec})).await
        }
        (&Method::DELETE, []) => {
            users(&caller.client).delete(&name, &DeleteParams::default()).await?;
            inner.record(Action::Delete, &caller.name, &name, &ask.origin, None).await?;
            Ok(no_content())
        }
        (&Method::POST, ["disable"]) => {
            let spec = json!({"is_disabled": true, "state": Activity::Inactive});
            change(inner, ask, caller, &name, json!({"spec": spec})).await
        }
        (&Method::POST, ["enable"]) => {
            // Whoever was absent for too long begins anew.
            let spec = json!({"is_disabled": false, "state": Activity::Active, "last_login_time": now()});
            change(inner, ask, caller, &name, json!({"spec": spec})).await
        }
        (&Method::POST, ["unlock"]) => unlock(inner, ask, caller, &name).await,
        (&Method::POST, ["password"]) => reset(inner, ask, caller, &name).await,
        (&Method::DELETE, ["totp"]) => {
            caller.must("update").await?;
            let user = users(&caller.client).get(&name).await?;
            inner.record(Action::RemoveFactor, &caller.name, &user.spec.email, &ask.origin, None).await?;
            inner.remove_factor(&user).await?;
            Ok(no_content())
        }
        (_, [] | ["disable" | "enable" | "unlock" | "password" | "totp"]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

/// An object's name, for whoever says an e-mail too.
fn object_of(name: &str) -> String {
    user::email(name).map_or_else(|| name.to_owned(), |email| user::object_name(email.as_str()))
}

async fn create(inner: &Inner, ask: &Ask<'_>, caller: &Caller) -> Result<Response<Bytes>, Refused> {
    let wanted: Wanted = ask.json()?;
    let email = user::email(&wanted.email).ok_or_else(|| {
        Refused::invalid(vec![(
            "email".into(),
            format!(
                "{:?} is no e-mail address that can be a user's name: one @, ASCII letters, digits and ._%+-",
                wanted.email
            ),
        )])
    })?;
    let username = wanted.username.unwrap_or_else(|| email.to_string());
    if username.trim().is_empty() || username.chars().count() > 64 {
        return Err(Refused::invalid(vec![("username".into(), "must be of 1 to 64 characters".into())]));
    }
    let texts = [
        ("username", Some(&username)),
        ("displayName", wanted.display_name.as_ref()),
        ("mobile", wanted.mobile.as_ref()),
        ("mail", wanted.mail.as_ref()),
    ];
    let mut causes = Vec::new();
    for (field, text) in texts {
        causes.extend(text.and_then(|text| unreadable(text)).map(|why| (field.to_owned(), why)));
    }
    all_unreadable("groups", &json!(wanted.groups), &mut causes);
    if !causes.is_empty() {
        return Err(Refused::invalid(causes));
    }
    if inner.index.local_user(&username).is_some() {
        let message = format!("{username:?} is another user's name already: choose another one");
        return Err(Refused {
            causes: vec![("username".into(), message.clone())],
            ..Refused::new(409, "AlreadyExists", message)
        });
    }
    let generated = wanted.password.is_none();
    let password = match wanted.password {
        Some(password) => {
            // Said before anything is made.
            let policy = inner.index.policy().password;
            let weak = crate::password::weaknesses(&password, &username, &policy);
            if !weak.is_empty() {
                return Err(Refused::invalid(weak.iter().map(|one| ("password".into(), one.to_string())).collect()));
            }
            password
        }
        None => first_password()?,
    };
    let spec = UserSpec {
        email: email.to_string(),
        username,
        account: wanted.display_name,
        connector_id: Some(LOCAL.into()),
        connector_name: LOCAL.into(),
        connector_type: LOCAL.into(),
        is_admin: wanted.is_admin,
        state: Some(Activity::Active),
        valid: true,
        groups: wanted.groups,
        expired: wanted.expired,
        mobile: wanted.mobile,
        mail: wanted.mail,
        ..UserSpec::default()
    };
    let created = users(&caller.client).create(&PostParams::default(), &user_object(spec)).await?;
    inner.index.put_user(created.clone());
    inner.record(Action::Create, &caller.name, &created.spec.email, &ask.origin, None).await?;
    inner.set_password(&created, &password, true).await?;
    let mut said = json!(created);
    if generated {
        said["password"] = password.into();
    }
    Ok(json_answer(StatusCode::CREATED, &said))
}

/// One that every policy takes; it is changed at the first sign-in.
fn first_password() -> Result<String, Refused> {
    let random = token::password()?;
    Ok(format!("{}-a1", &random[..20]))
}

async fn change(
    inner: &Inner,
    ask: &Ask<'_>,
    caller: &Caller,
    name: &str,
    mut patch: Value,
) -> Result<Response<Bytes>, Refused> {
    let spec = &patch["spec"];
    if spec["is_disabled"] == true || spec["state"] == json!(Activity::Inactive) {
        patch["metadata"] = json!({"annotations": {DISABLED: now()}});
    }
    let changed = users(&caller.client).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    if crate::objects::usable(&changed) {
        inner.index.put_user(changed.clone());
    }
    inner.record(Action::Update, &caller.name, &changed.spec.email, &ask.origin, None).await?;
    Ok(ok(&json!(changed)))
}

async fn unlock(inner: &Inner, ask: &Ask<'_>, caller: &Caller, name: &str) -> Result<Response<Bytes>, Refused> {
    caller.must("update").await?;
    let user = users(&caller.client).get(name).await?;
    let patch = Patch::Merge(json!({"status": {"lockedUntil": null}}));
    let user = users(&inner.client).patch_status(&user.name_any(), &PatchParams::default(), &patch).await?;
    inner.unlock(&user).await?;
    // Every replica forgets when it sees it.
    let patch = json!({"metadata": {"annotations": {UNLOCKED: now().to_string()}}});
    let user = users(&inner.client).patch(&user.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    inner.forget_failures(&user);
    inner.record(Action::Unlock, &caller.name, &user.spec.email, &ask.origin, None).await?;
    Ok(ok(&json!(user)))
}

async fn reset(inner: &Inner, ask: &Ask<'_>, caller: &Caller, name: &str) -> Result<Response<Bytes>, Refused> {
    caller.must("update").await?;
    let wanted: NewPassword = if ask.body.is_empty() { NewPassword::default() } else { ask.json()? };
    let user: UserObject = users(&caller.client).get(name).await?;
    if !is_local(&user.spec) {
        let message = format!(
            "the password of {} is kept by the provider {}: change it there",
            user.spec.email, user.spec.connector_name
        );
        return Err(Refused::new(409, "Conflict", message));
    }
    let generated = wanted.password.is_none();
    let password = wanted.password.map_or_else(first_password, Ok)?;
    let done = inner.set_password(&user, &password, true).await;
    inner.record(Action::ResetPassword, &caller.name, &user.spec.email, &ask.origin, done.as_ref().err()).await?;
    done.map_err(|error| match error {
        LoginError::Weak(all) => Refused::invalid(all.iter().map(|one| ("password".into(), one.to_string())).collect()),
        other => other.into(),
    })?;
    Ok(ok(&if generated { json!({"password": password}) } else { json!({}) }))
}
