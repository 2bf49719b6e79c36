//! Users, found by each of the things that name them: in a large directory nothing is searched for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_types::auth::User as UserObject;
use kube::ResourceExt;

use crate::objects::number;
use crate::standing::is_local;

/// How late the answer to a write may be.
const LATE: Duration = Duration::from_secs(60);
/// From how many on those who are deleted are forgotten.
const DELETED: usize = 1_000;

/// All users, each with the time when it was last heard of.
#[derive(Default)]
pub(crate) struct Users {
    by_email: HashMap<String, (Arc<UserObject>, Instant)>,
    /// The e-mail by the object's name.
    by_object: HashMap<String, String>,
    /// E-mails by an account at a provider: the provider, and how it knows the account.
    by_account: HashMap<(String, String), BTreeSet<String>>,
    /// E-mails of local users by what they sign in with, in lower case.
    by_name: HashMap<String, BTreeSet<String>>,
    /// Of those who were deleted lately, by e-mail: in which version, and when that was heard of.
    deleted: HashMap<String, (Option<u64>, Instant)>,
}

impl Users {
    pub(crate) fn get(&self, email: &str) -> Option<&Arc<UserObject>> {
        self.by_email.get(email).map(|(user, _)| user)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<UserObject>> {
        self.by_email.values().map(|(user, _)| user)
    }

    /// The one whom an account of a provider belongs to.
    pub(crate) fn of_account(&self, connector: &str, account: &str) -> Option<&Arc<UserObject>> {
        let emails = self.by_account.get(&(connector.to_owned(), account.to_owned()))?;
        self.get(emails.first()?)
    }

    /// The local user who signs in with this name. A name that two have is nobody's.
    pub(crate) fn of_name(&self, name: &str) -> Option<&Arc<UserObject>> {
        let emails = self.by_name.get(&name.to_ascii_lowercase())?;
        (emails.len() == 1).then(|| self.get(emails.first()?)).flatten()
    }

    /// The e-mail of whomever somebody means: by the e-mail, by the object's name, or by a name that one user has.
    pub(crate) fn email_of(&self, name: &str) -> Option<&str> {
        let known = self.by_email.get_key_value(&name.to_ascii_lowercase()).map(|(email, _)| email);
        let only = || {
            let mut named = self.iter().filter(|user| user.spec.username == name).map(|user| &user.spec.email);
            let first = named.next()?;
            named.next().is_none().then_some(first)
        };
        known.or_else(|| self.by_object.get(name)).or_else(only).map(String::as_str)
    }

    /// What a watch tells, if nothing newer was written here lately: it comes after the answer to a write.
    pub(crate) fn put(&mut self, user: UserObject) {
        let version = |user: &UserObject| number(user.resource_version().as_deref());
        if let Some((known, at)) = self.by_email.get_mut(&user.spec.email)
            && at.elapsed() < LATE
            && version(known) > version(&user)
        {
            *at = Instant::now();
            return;
        }
        self.set(user);
    }

    fn set(&mut self, user: UserObject) {
        let email = user.spec.email.clone();
        self.remove(&email);
        for key in names(&user) {
            self.by_name.entry(key).or_default().insert(email.clone());
        }
        for key in accounts(&user) {
            self.by_account.entry(key).or_default().insert(email.clone());
        }
        self.by_object.insert(user.name_any(), email.clone());
        self.by_email.insert(email, (Arc::new(user), Instant::now()));
    }

    /// What was written here, if nothing newer is known: the answer to a write may come after what others have written
    /// since, and brings back nobody who is disabled or deleted by now.
    pub(crate) fn put_written(&mut self, user: UserObject) {
        let version = |user: &UserObject| number(user.resource_version().as_deref());
        let known = self.get(&user.spec.email).and_then(|known| version(known));
        let deleted = self.deleted.get(&user.spec.email).filter(|(_, at)| at.elapsed() < LATE);
        let deleted = deleted.and_then(|(version, _)| *version);
        if version(&user) >= known.max(deleted) {
            self.set(user);
        }
    }

    /// This object is deleted; the e-mail of whom it was.
    pub(crate) fn delete(&mut self, object: &UserObject) -> Option<String> {
        if self.deleted.len() >= DELETED {
            self.deleted.retain(|_, (_, at)| at.elapsed() < LATE);
        }
        let email = self.remove_object(&object.name_any())?;
        self.deleted.insert(email.clone(), (number(object.resource_version().as_deref()), Instant::now()));
        Some(email)
    }

    /// Whoever had an object of this name is gone; the e-mail.
    pub(crate) fn remove_object(&mut self, name: &str) -> Option<String> {
        let email = self.by_object.get(name)?.clone();
        self.remove(&email);
        Some(email)
    }

    /// A list that began then is complete; whom it did not name is gone.
    pub(crate) fn settle(&mut self, began: Instant) {
        let gone = self.by_email.iter().filter(|(_, (_, at))| *at < began).map(|(email, _)| email.clone());
        for email in gone.collect::<Vec<_>>() {
            self.remove(&email);
        }
    }

    fn remove(&mut self, email: &str) {
        let Some((user, _)) = self.by_email.remove(email) else { return };
        self.by_object.remove(&user.name_any());
        for key in names(&user) {
            take(&mut self.by_name, key, email);
        }
        for key in accounts(&user) {
            take(&mut self.by_account, key, email);
        }
    }
}

fn names(user: &UserObject) -> impl Iterator<Item = String> {
    is_local(&user.spec).then(|| user.spec.username.to_ascii_lowercase()).into_iter()
}

fn accounts(user: &UserObject) -> impl Iterator<Item = (String, String)> {
    user.spec.ids.iter().map(|id| (id.connector.clone(), id.id.clone()))
}

fn take<K: std::hash::Hash + Eq>(all: &mut HashMap<K, BTreeSet<String>>, key: K, email: &str) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = all.entry(key) {
        entry.get_mut().remove(email);
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use api_types::auth::{ProviderAccount, UserSpec};

    use super::*;
    use crate::objects::user_object;

    fn user(email: &str, username: &str, accounts: &[(&str, &str)]) -> UserObject {
        let ids =
            accounts.iter().map(|(connector, id)| ProviderAccount { connector: (*connector).into(), id: (*id).into() });
        let ids = ids.collect();
        user_object(UserSpec { email: email.into(), username: username.into(), ids, ..UserSpec::default() })
    }

    fn email(found: Option<&Arc<UserObject>>) -> Option<&str> {
        found.map(|user| user.spec.email.as_str())
    }

    #[test]
    fn people_are_found_by_all_that_names_them() {
        let mut users = Users::default();
        users.put(user("ann@corp.io", "Ann", &[("corp", "1")]));
        users.put(user("bob@corp.io", "bob", &[("corp", "2"), ("other", "1")]));
        assert_eq!(email(users.of_name("aNN")), Some("ann@corp.io"));
        assert_eq!(email(users.of_account("corp", "2")), Some("bob@corp.io"));
        assert_eq!(email(users.of_account("corp", "3")), None);
        // What it was called before names nobody.
        users.put(user("ann@corp.io", "anna", &[("corp", "3")]));
        assert_eq!((email(users.of_name("ann")), email(users.of_account("corp", "1"))), (None, None));
        assert_eq!(email(users.of_account("corp", "3")), Some("ann@corp.io"));
        assert_eq!(users.remove_object(&crate::user::object_name("bob@corp.io")).as_deref(), Some("bob@corp.io"));
        assert_eq!((email(users.of_name("bob")), email(users.of_account("other", "1"))), (None, None));
    }

    #[test]
    fn case_37_a_name_of_two_is_nobodys() {
        let mut users = Users::default();
        users.put(user("ann@corp.io", "ann", &[]));
        users.put(user("ann@other.io", "ANN", &[]));
        assert_eq!(email(users.of_name("ann")), None);
        users.remove_object(&crate::user::object_name("ann@other.io"));
        assert_eq!(email(users.of_name("ann")), Some("ann@corp.io"));
    }

    #[test]
    fn a_late_answer_to_a_write_brings_nobody_back() {
        let of = |version: &str, disabled: bool| {
            let mut user = user("ann@corp.io", "ann", &[]);
            user.metadata.resource_version = Some(version.into());
            user.spec.is_disabled = Some(disabled);
            user
        };
        let mut users = Users::default();
        let disabled = |users: &Users| users.get("ann@corp.io").map(|user| user.spec.is_disabled == Some(true));
        users.put_written(of("9", false));
        users.put(of("11", true));
        users.put_written(of("10", false));
        assert_eq!(disabled(&users), Some(true));
        users.put_written(of("12", false));
        assert_eq!(disabled(&users), Some(false));
        // Nor does the watch, which tells later what was before, put anybody out; and whom it names is there.
        let began = Instant::now();
        users.put(of("11", true));
        users.settle(began);
        assert_eq!(disabled(&users), Some(false));
        users.delete(&of("13", false));
        users.put_written(of("12", false));
        assert_eq!(disabled(&users), None);
        // Somebody new of that e-mail is somebody.
        users.put_written(of("14", false));
        assert_eq!(disabled(&users), Some(false));
    }

    #[test]
    fn whom_a_list_does_not_name_is_gone() {
        let mut users = Users::default();
        users.put(user("ann@corp.io", "ann", &[]));
        let began = Instant::now();
        users.put(user("bob@corp.io", "bob", &[]));
        users.settle(began);
        assert_eq!((email(users.of_name("ann")), email(users.of_name("bob"))), (None, Some("bob@corp.io")));
        assert_eq!(users.iter().count(), 1);
    }
}
