//! Directories: people whose passwords an LDAP server knows, looked through from time to time.

use std::collections::HashSet;
use std::sync::Arc;

use api_types::auth::User as UserObject;
use api_types::dex::Connector;
use identity_ldap::{DirectoryError, Person, SignInError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use lib_cron::Schedule;
use serde_json::json;

use super::Vouched;
use super::live::{Live, Unusable};
use super::redirect::{of, unavailable};
use crate::objects::{RACES, is, users};
use crate::session::Provider;
use crate::{Error, Given, Inner, LoginError};

impl Inner {
    /// Somebody whose password a directory has found right.
    pub(crate) async fn prove_at_provider(
        &self,
        id: &str,
        given: &Given<'_>,
    ) -> Result<(Arc<UserObject>, Provider), LoginError> {
        let connector = self.index.connector(id).filter(|connector| !connector.spec.disabled);
        let connector = connector.ok_or(LoginError::UnknownProvider)?;
        let live = self.provider(&connector).await?.map_err(|_| unavailable(&connector))?;
        let Live::Ldap(directory) = &*live else { return Err(LoginError::UnknownProvider) };
        let person =
            directory.sign_in(given.username, given.password).await.map_err(|error| refused(&connector, &error))?;
        let provider = Provider { subject: Some(person.id.clone()), ..of(&connector) };
        let user = self.admit(&connector, &vouched(person)).await?;
        Ok((Arc::new(user), provider))
    }

    /// Looks through a directory: who is new is made a user, who changed is changed, who is gone becomes invalid. How many
    /// there are.
    pub(crate) async fn sync(&self, connector: &Connector, now: Timestamp) -> Result<usize, LoginError> {
        let done = self.try_sync(connector).await;
        let (status, reason, message) = match &done {
            Ok((found, unusable)) if *unusable == 0 => ("True", "Synced", format!("{found} people were found.")),
            Ok((found, unusable)) => (
                "True",
                "SyncedInPart",
                format!("{found} people were found. {unusable} entries lack an attribute that everybody needs."),
            ),
            Err(error) => ("False", error.reason(), error.to_string()),
        };
        let mut fields = json!({"lastSyncTime": now});
        if let Ok((found, _)) = &done {
            fields["users"] = (*found).into();
        }
        self.tell(connector, "Synced", (status, reason, &message), fields, now).await?;
        done.map(|(found, _)| found)
    }

    async fn try_sync(&self, connector: &Connector) -> Result<(usize, usize), LoginError> {
        let live = self.provider(connector).await?.map_err(|_| unavailable(connector))?;
        let Live::Ldap(directory) = &*live else { return Err(LoginError::UnknownProvider) };
        // All or nothing: a list that ends early would make people vanish.
        let all = directory.people().await.map_err(|error| {
            tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(&error), "a directory could not be looked through");
            directory_refused(connector, &error)
        })?;
        let (found, unusable) = (all.people.len(), all.unusable.len());
        let mut here = HashSet::new();
        for person in all.people {
            here.insert(person.id.clone());
            let vouched = vouched(person);
            match self.admit(connector, &vouched).await {
                // An administrator's word is needed; that of one person keeps nobody else from being looked at.
                Ok(_) | Err(LoginError::NotLinked | LoginError::MissingEmail) => {}
                Err(error) => return Err(error),
            }
        }
        for user in self.index.users() {
            let own = user.spec.connector_id.as_deref() == Some(&connector.id);
            let known = user.spec.ids.iter().any(|id| id.connector == connector.id && here.contains(&id.id));
            if own && !known && user.spec.valid {
                let patch = Patch::Merge(json!({"spec": {"valid": false}}));
                let stored = users(&self.client).patch(&user.name_any(), &PatchParams::default(), &patch).await;
                self.index.put_user(stored.map_err(Error::hub("store a user"))?);
            }
        }
        Ok((found, unusable))
    }

    /// Looks through the directories whose time it is, and says how all providers are.
    pub(crate) async fn look_after_providers(&self, now: Timestamp) {
        for connector in self.index.connectors() {
            let done = self.look_after(&connector, now).await;
            if let Err(error) = done {
                tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(&error), "could not look after a provider");
            }
        }
    }

    async fn look_after(&self, connector: &Connector, now: Timestamp) -> Result<(), LoginError> {
        let usable = self.provider(connector).await?;
        let said = match &usable {
            _ if connector.spec.disabled => ("False", "Disabled", "An administrator has disabled it.".to_owned()),
            Ok(_) => ("True", "Usable", "Its configuration can be used.".to_owned()),
            Err(unusable) => ("False", "InvalidConfiguration", unusable.to_string()),
        };
        let conditions = connector.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let told = conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == said.0 && one.reason == said.1 && one.message == said.2);
        if !told {
            self.tell(connector, "Ready", (said.0, said.1, &said.2), json!({}), now).await?;
        }
        let is_directory = usable.is_ok_and(|live| matches!(&*live, Live::Ldap(_)));
        if is_directory && !connector.spec.disabled && is_due(connector, now) {
            self.sync(connector, now).await?;
        }
        Ok(())
    }

    /// Writes down a condition of a provider, beside the others that it has by then.
    pub(crate) async fn tell(
        &self,
        connector: &Connector,
        kind: &str,
        (status, reason, message): (&str, &str, &str),
        mut fields: serde_json::Value,
        now: Timestamp,
    ) -> Result<(), Error> {
        let api: Api<Connector> = Api::namespaced(self.client.clone(), api_types::PLATFORM_NAMESPACE);
        let name = connector.name_any();
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        for _ in 0..RACES {
            let Some(present) = api.get_opt(&name).await.map_err(Error::hub("read a provider"))? else { return Ok(()) };
            let old = present.status.unwrap_or_default().conditions;
            let before = old.iter().find(|one| one.type_ == kind && one.status == status);
            let since = before.map_or_else(|| json!(second), |one| json!(one.last_transition_time));
            let others = old.iter().filter(|one| one.type_ != kind).map(|one| json!(one));
            let own = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since});
            fields["conditions"] = others.chain([own]).collect();
            let metadata = json!({"resourceVersion": present.metadata.resource_version});
            let patch = Patch::Merge(json!({"metadata": metadata, "status": fields}));
            match api.patch_status(&name, &PatchParams::default(), &patch).await {
                Ok(_) => return Ok(()),
                Err(error) if is(&error, 404) => return Ok(()),
                // The list of conditions is written whole, and another one was written to it.
                Err(error) if is(&error, 409) => {}
                Err(error) => return Err(Error::hub("say how a provider is")(error)),
            }
        }
        Err(Error::Contended("how a provider is"))
    }

    /// The provider that a Connector describes which is not stored yet.
    pub(crate) async fn try_provider(&self, connector: &Connector) -> Result<Result<Live, Unusable>, Error> {
        match self.configuration(connector).await? {
            Ok(config) => self.build(connector, &config).await,
            Err(unusable) => Ok(Err(unusable)),
        }
    }

    /// Whether a provider answers, in words.
    pub(crate) async fn reach(&self, live: &Live) -> Result<String, String> {
        let words = |error: &(dyn std::error::Error + 'static)| lib_telemetry::chain(error).to_string();
        match live {
            Live::Ldap(directory) => {
                let done = directory.check().await;
                done.map(|()| "the directory lets the account in and shows somebody".to_owned())
                    .map_err(|error| words(&error))
            }
            Live::Oidc(provider) => {
                let done = provider.check(Timestamp::now()).await;
                done.map(|()| "the provider's documents can be used".to_owned()).map_err(|error| words(&error))
            }
            Live::Saml(_) => Ok("the provider is reached by the browser alone".to_owned()),
        }
    }

    /// Signs a real account in, and lets nobody in.
    pub(crate) async fn try_sign_in(&self, live: &Live, username: &str, password: &str) -> Result<Vouched, String> {
        match live {
            Live::Ldap(directory) => {
                let person = directory.sign_in(username, password).await;
                person.map(vouched).map_err(|error| lib_telemetry::chain(&error).to_string())
            }
            _ => Err("people sign in at this provider's own page: follow the address".to_owned()),
        }
    }
}

/// Whether it is time to look through a directory: the first time at once, and then as its schedule says.
fn is_due(connector: &Connector, now: Timestamp) -> bool {
    let Some(Ok(schedule)) = schedule(connector) else { return false };
    let last = connector.status.as_ref().and_then(|status| status.last_sync_time.as_ref());
    last.is_none_or(|last| schedule.next(last.0, &TimeZone::UTC).is_some_and(|next| next <= now))
}

/// When a directory is looked through, or what is wrong with what its Connector says of it.
pub(super) fn schedule(connector: &Connector) -> Option<Result<Schedule, String>> {
    let text = connector.spec.sync.as_ref()?.schedule.as_deref().filter(|text| !text.is_empty())?;
    Some(Schedule::parse(text))
}

fn vouched(person: Person) -> Vouched {
    Vouched {
        subject: person.id,
        email: Some(person.email),
        username: person.login,
        name: Some(person.name),
        groups: person.groups,
        ..Vouched::default()
    }
}

/// What a directory's refusal is to the person. Why, the log says.
fn refused(connector: &Connector, error: &SignInError) -> LoginError {
    match error {
        SignInError::WrongCredentials => return LoginError::Wrong,
        SignInError::Directory(error) => return directory_refused(connector, error),
        _ => {}
    }
    tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(error), "a sign-in at a directory failed");
    match error {
        SignInError::Account(_) => LoginError::AccessDenied,
        SignInError::MissingAttribute(_) => LoginError::MissingEmail,
        _ => LoginError::ProviderRefused(connector.id.clone()),
    }
}

fn directory_refused(connector: &Connector, error: &DirectoryError) -> LoginError {
    tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(error), "a directory is of no use");
    match error {
        DirectoryError::Unavailable { .. } => unavailable(connector),
        _ => LoginError::ProviderRefused(connector.id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use api_types::dex::{ConnectorStatus, SyncSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[track_caller]
    fn check(schedule: Option<&str>, last: Option<&str>, now: &str, due: bool) {
        let mut connector = Connector::default();
        connector.spec.sync = Some(SyncSpec { schedule: schedule.map(str::to_owned) });
        let last = last.map(|last| Time(last.parse().unwrap()));
        connector.status = Some(ConnectorStatus { last_sync_time: last, ..ConnectorStatus::default() });
        assert_eq!(is_due(&connector, now.parse().unwrap()), due, "{schedule:?} {now}");
    }

    #[test]
    fn a_directory_is_looked_through_when_its_schedule_says() {
        let nightly = Some("0 2 * * *");
        check(nightly, None, "2026-01-01T12:00:00Z", true);
        check(nightly, Some("2026-01-01T12:00:00Z"), "2026-01-02T01:59:59Z", false);
        check(nightly, Some("2026-01-01T12:00:00Z"), "2026-01-02T02:00:00Z", true);
        check(None, None, "2026-01-01T12:00:00Z", false);
        check(Some("every night"), None, "2026-01-01T12:00:00Z", false);
    }
}
