//! Who vouches for people: what providers say of somebody, and what becomes of it here.

mod directory;
pub(crate) mod live;
pub(crate) mod redirect;
pub(crate) mod secrets;

use std::collections::{BTreeMap, HashMap};

use api_types::auth::{Activity, Group, GroupSpec, ProviderAccount, User as UserObject, UserSpec};
use api_types::dex::Connector;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use lib_names::GroupName;
use serde_json::{Value, json};

use crate::groups::{MOST, may_be_told};
use crate::index::UNLOCKED;
use crate::locks;
use crate::objects::{is, user_object, users};
use crate::standing::Barred;
use crate::throttle::bounded;
use crate::user::{self, md5_hex};
use crate::{Error, Inner, LoginError};

pub use self::live::Allowed;
pub(crate) use self::live::Built;
pub(crate) use self::redirect::Seen;

/// What a provider says of somebody who has just signed in there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vouched {
    /// The account at the provider, which stays when names change.
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    /// The name that the person signs in with.
    pub(crate) username: String,
    /// The name that people see.
    pub(crate) name: Option<String>,
    pub(crate) mobile: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Value>,
}

impl Inner {
    /// The user as whom an account of a provider signs in: the one whose `ids` name it, else a new one.
    ///
    /// An e-mail alone links nobody: whoever can choose an e-mail at some provider would choose the administrator's. An
    /// administrator links an account by adding it to the user's `ids`.
    pub(crate) async fn admit(&self, connector: &Connector, vouched: &Vouched) -> Result<UserObject, LoginError> {
        let groups = self.groups_of(connector, vouched).await?;
        if let Some(user) = self.index.linked_user(&connector.id, &vouched.subject) {
            return self.update(connector, &user, vouched, groups).await;
        }
        let email = vouched.email.as_deref().ok_or(LoginError::MissingEmail)?;
        let email = user::email(email).ok_or(LoginError::MissingEmail)?;
        let spec = UserSpec {
            email: email.to_string(),
            username: vouched.username.clone(),
            account: vouched.name.clone(),
            connector_id: Some(connector.id.clone()),
            connector_name: connector.name.clone(),
            connector_type: connector.type_.clone(),
            state: Some(Activity::Active),
            valid: true,
            groups,
            ids: vec![ProviderAccount { id: vouched.subject.clone(), connector: connector.id.clone() }],
            mobile: vouched.mobile.clone(),
            extra: vouched.extra.clone(),
            ..UserSpec::default()
        };
        match users(&self.client).create(&PostParams::default(), &user_object(spec)).await {
            Ok(created) => {
                self.index.put_user(created.clone());
                Ok(created)
            }
            Err(error) if is(&error, 409) => {
                // Two sign-ins of a new person may have met here.
                let present = users(&self.client).get(&user::object_name(email.as_str())).await;
                let present = present.map_err(Error::hub("read a user"))?;
                let linked = ProviderAccount { id: vouched.subject.clone(), connector: connector.id.clone() };
                if present.spec.ids.contains(&linked) { Ok(present) } else { Err(LoginError::NotLinked) }
            }
            Err(error) => Err(Error::hub("store a user")(error).into()),
        }
    }

    /// As whom [`Inner::admit`] would let an account in, in words, or why it would not. Nothing is made or changed.
    pub(crate) fn would_admit(
        &self,
        connector: &Connector,
        vouched: &Vouched,
        now: Timestamp,
    ) -> Result<String, LoginError> {
        if let Some(user) = self.index.linked_user(&connector.id, &vouched.subject) {
            return match self.index.standing(&user, now) {
                // Whoever signs in is known again, and the provider is not saved yet, or is disabled while it is tried.
                Ok(()) | Err(Barred::Unknown | Barred::ProviderGone | Barred::ProviderDisabled) => {
                    Ok(format!("the account signs in as the user {}", user.spec.email))
                }
                Err(barred) => Err(LoginError::Barred(barred)),
            };
        }
        let email = vouched.email.as_deref().and_then(user::email).ok_or(LoginError::MissingEmail)?;
        match self.index.user(email.as_str()) {
            None => Ok(format!("a new user {email} is made when the account signs in")),
            Some(_) => Err(LoginError::NotLinked),
        }
    }

    /// Brings a user in line with what its own provider says. Another provider's word changes nothing of it.
    pub(crate) async fn update(
        &self,
        connector: &Connector,
        user: &UserObject,
        vouched: &Vouched,
        groups: Vec<String>,
    ) -> Result<UserObject, LoginError> {
        if user.spec.connector_id.as_deref() != Some(&connector.id) {
            return Ok(user.clone());
        }
        let mut spec = json!({});
        let mut set = |field: &str, old: Value, new: Value| {
            if old != new {
                spec[field] = new;
            }
        };
        set("groups", json!(user.spec.groups), json!(groups));
        set("username", json!(user.spec.username), json!(vouched.username));
        set("account", json!(user.spec.account), json!(vouched.name));
        set("connector_name", json!(user.spec.connector_name), json!(connector.name));
        set("extra", json!(user.spec.extra), json!(vouched.extra));
        // Whoever signs in is known again.
        set("valid", json!(user.spec.valid), json!(true));
        if spec.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(user.clone());
        }
        let patch = Patch::Merge(json!({"spec": spec}));
        let stored = users(&self.client).patch(&user.name_any(), &PatchParams::default(), &patch).await;
        let stored = stored.map_err(Error::hub("store a user"))?;
        self.index.put_user(stored.clone());
        Ok(stored)
    }

    /// The groups that count, each with an object by which people see it and give it rights.
    pub(crate) async fn groups_of(&self, connector: &Connector, vouched: &Vouched) -> Result<Vec<String>, LoginError> {
        let mut groups: Vec<String> = vouched.groups.iter().filter(|name| may_be_told(name)).cloned().collect();
        groups.sort();
        groups.dedup();
        groups.truncate(MOST);
        for name in &groups {
            let known = name.parse::<GroupName>().is_ok_and(|name| self.index.knows_group(&name, &connector.id));
            if known {
                continue;
            }
            let spec = GroupSpec {
                name: Some(name.clone()),
                display_name: Some(name.clone()),
                ref_connector: Some(connector.id.clone()),
                users: Vec::new(),
            };
            let object = Group::new(&md5_hex(format!("{}\n{name}", connector.id).as_bytes()), spec);
            let api: Api<Group> = Api::all(self.client.clone());
            match api.create(&PostParams::default(), &object).await {
                Ok(created) => self.index.put_group(created),
                Err(error) if is(&error, 409) => {}
                Err(error) => return Err(Error::hub("store a group")(error).into()),
            }
        }
        Ok(groups)
    }
}

impl Inner {
    /// Forgets the failures of users whom an administrator has unlocked at another replica. `known` is when each was
    /// unlocked last, as far as this replica has seen.
    pub(crate) fn follow_unlocking(&self, known: &mut HashMap<String, Timestamp>) {
        let mut seen = HashMap::new();
        for user in self.index.users() {
            let unlocked = user.annotations().get(UNLOCKED).and_then(|at| at.parse::<Timestamp>().ok());
            let Some(unlocked) = unlocked else { continue };
            if known.get(&user.spec.email).is_none_or(|before| *before < unlocked) {
                self.forget_failures(&user);
            }
            seen.insert(user.spec.email.clone(), unlocked);
        }
        *known = seen;
    }

    /// Forgets failed sign-ins of a user.
    pub(crate) fn forget_failures(&self, user: &UserObject) {
        accounts(user).iter().for_each(|account| self.throttle.unlock(account));
    }

    /// Takes the locks of a user away that all replicas know of.
    pub(crate) async fn unlock(&self, user: &UserObject) -> Result<(), Error> {
        self.index.put_locks(locks::unlock(&self.client, &accounts(user)).await?);
        Ok(())
    }
}

/// As whom failures of a user are counted.
fn accounts(user: &UserObject) -> [String; 2] {
    let id = user.spec.connector_id.as_deref().unwrap_or(api_types::auth::LOCAL);
    [&user.spec.email, &user.spec.username].map(|name| bounded(&format!("{id}/{name}")))
}
