//! What each kind of object does to the index.

use std::collections::HashMap;
use std::time::Instant;

use api_types::auth::{AccessTokenInfo, DisableToken, DisableUser, Group, SecurityPolicy, User as UserObject};
use api_types::dex::{Connector, OAuth2Client};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::{Concerns, State};
use crate::locks::{self, Locks};
use crate::objects::{SESSION_PREFIX, read_credentials, read_session, usable};

/// A kind of object, as the index takes it.
pub(crate) trait Table {
    /// What the watch gives.
    type Object;

    /// There is one, and it is like this now.
    fn put(state: &mut State, object: Self::Object) -> Concerns;
    /// There is one less.
    fn gone(state: &mut State, object: &Self::Object) -> Concerns;
    /// A list that began then is complete; what it did not name is gone.
    fn listed(state: &mut State, began: Instant);
}

impl Table for UserObject {
    type Object = Self;

    fn put(state: &mut State, user: Self) -> Concerns {
        let email = user.spec.email.clone();
        if !usable(&user) {
            tracing::warn!(user = %user.name_any(), "a User is not usable: its e-mail is not one, or it has another name");
            // What it said before no longer holds either.
            return Self::gone(state, &user);
        }
        // An edit may have given it another e-mail; then its name no longer fits, and it was not usable.
        state.users.put(user);
        Concerns::User(email)
    }

    fn gone(state: &mut State, user: &Self) -> Concerns {
        state.users.delete(user).map_or(Concerns::Nobody, Concerns::User)
    }

    fn listed(state: &mut State, began: Instant) {
        state.users.settle(began);
    }
}

/// Secrets with passwords and second factors.
pub(crate) struct CredentialSecrets;

impl Table for CredentialSecrets {
    type Object = Secret;

    fn put(state: &mut State, secret: Secret) -> Concerns {
        let Some(credentials) = read_credentials(&secret) else {
            tracing::warn!(secret = %secret.name_any(), "stored credentials are not usable");
            return Self::gone(state, &secret);
        };
        let email = credentials.email.clone();
        state.credentials.insert(email.clone(), (credentials, Instant::now()));
        Concerns::User(email)
    }

    fn gone(state: &mut State, secret: &Secret) -> Concerns {
        let name = secret.name_any();
        let suffix = name.strip_prefix("credentials-").unwrap_or_default();
        let is_it = |email: &String| crate::user::object_name(email) == suffix;
        let said = read_credentials(secret).map(|credentials| credentials.email);
        let email = said.or_else(|| state.credentials.keys().find(|email| is_it(email)).cloned());
        let Some(email) = email else { return Concerns::Nobody };
        state.credentials.remove(&email);
        Concerns::User(email)
    }

    fn listed(state: &mut State, began: Instant) {
        state.credentials.retain(|_, (_, at)| *at >= began);
    }
}

/// Secrets with sessions.
pub(crate) struct SessionSecrets;

impl Table for SessionSecrets {
    type Object = Secret;

    fn put(state: &mut State, secret: Secret) -> Concerns {
        match read_session(&secret) {
            Some(stored) => state.insert_session(stored, Timestamp::now()),
            None => {
                tracing::warn!(secret = %secret.name_any(), "a stored session is not usable");
                return Self::gone(state, &secret);
            }
        }
        // It was judged as it came.
        Concerns::Nobody
    }

    fn gone(state: &mut State, secret: &Secret) -> Concerns {
        let name = secret.name_any();
        let hash = name.strip_prefix(SESSION_PREFIX).and_then(|id| state.ids.get(id)).copied();
        if let Some(hash) = hash {
            state.remove_session(&hash);
        }
        Concerns::Nobody
    }

    fn listed(state: &mut State, began: Instant) {
        let missing: Vec<_> =
            state.sessions.iter().filter(|(_, live)| live.at < began).map(|(hash, _)| *hash).collect();
        for hash in missing {
            state.remove_session(&hash);
        }
    }
}

/// The Secret with what is locked.
pub(crate) struct LockSecret;

impl Table for LockSecret {
    type Object = Secret;

    fn put(state: &mut State, secret: Secret) -> Concerns {
        if let Some(locks) = locks::read(&secret) {
            state.locks = locks;
        }
        Concerns::Nobody
    }

    fn gone(state: &mut State, secret: &Secret) -> Concerns {
        if secret.metadata.name.as_deref() == Some(locks::NAME) {
            state.locks = Locks::default();
        }
        Concerns::Nobody
    }

    /// Locks end by themselves, whatever a list leaves out.
    fn listed(_: &mut State, _: Instant) {}
}

/// Objects by their names, each with the time when it was last heard of.
pub(crate) struct Objects<T>(HashMap<String, (T, Instant)>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: ResourceExt> Objects<T> {
    pub(crate) fn put(&mut self, object: T) {
        self.0.insert(object.name_any(), (object, Instant::now()));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name).map(|(object, _)| object)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|(object, _)| object)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn remove(&mut self, object: &T) {
        self.0.remove(&object.name_any());
    }

    fn settle(&mut self, began: Instant) {
        self.0.retain(|_, (_, at)| *at >= began);
    }
}

/// Kinds of which there are few, and whom their every change concerns.
macro_rules! objects {
    ($($kind:ty: $field:ident, $concerned:ident);* $(;)?) => {$(
        impl Table for $kind {
            type Object = Self;

            fn put(state: &mut State, object: Self) -> Concerns {
                state.$field.put(object);
                Concerns::$concerned
            }

            fn gone(state: &mut State, object: &Self) -> Concerns {
                state.$field.remove(object);
                Concerns::$concerned
            }

            fn listed(state: &mut State, began: Instant) {
                state.$field.settle(began);
            }
        }
    )*};
}
objects!(
    DisableUser: suspensions, Everybody;
    DisableToken: refused_tokens, Everybody;
    Connector: connectors, Everybody;
    // No session hangs on what its client is; each request of a client looks it up.
    OAuth2Client: clients, Nobody;
    SecurityPolicy: policies, Everybody;
);

/// The record of a token, without which the token is none: whoever deletes what people see of it means the token.
impl Table for AccessTokenInfo {
    type Object = Self;

    fn put(state: &mut State, info: Self) -> Concerns {
        let concerned = Concerns::User(info.spec.username.clone());
        state.token_records.put(info);
        concerned
    }

    fn gone(state: &mut State, info: &Self) -> Concerns {
        state.token_records.remove(info);
        Concerns::User(info.spec.username.clone())
    }

    fn listed(state: &mut State, began: Instant) {
        state.token_records.settle(began);
    }
}

impl Table for Group {
    type Object = Self;

    fn put(state: &mut State, group: Self) -> Concerns {
        state.group_objects.put(group);
        state.groups_are_old = true;
        Concerns::Everybody
    }

    fn gone(state: &mut State, group: &Self) -> Concerns {
        state.group_objects.remove(group);
        state.groups_are_old = true;
        Concerns::Everybody
    }

    fn listed(state: &mut State, began: Instant) {
        state.group_objects.settle(began);
        state.groups_are_old = true;
    }
}
