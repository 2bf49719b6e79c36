//! Which groups somebody is in. Pure.
//!
//! A local group lists its members. A provider says which of its groups somebody is in, and the group is known by an
//! object that names the provider. Two groups of one name would lend each other their rights, so a name has one owner:
//! the local group, else the provider whose group was here first.

use std::collections::{BTreeSet, HashMap};

use api_types::PLATFORM_ADMINS;
use api_types::auth::{Group, UserSpec};
use kube::ResourceExt;
use lib_names::GroupName;

use crate::standing::is_local;

/// What providers may not say: groups that the platform gives rights to by their names.
const KEPT: &str = "cpaas:";

/// More groups than anybody should carry in every request.
pub(crate) const MOST: usize = 500;

/// The groups that there are, by the names that bindings use.
#[derive(Default)]
pub(crate) struct Groups {
    owners: HashMap<GroupName, Owner>,
}

struct Owner {
    /// `None` for the platform itself.
    connector: Option<String>,
    members: BTreeSet<String>,
    /// Whose claim is older.
    rank: (bool, String, String),
}

impl Groups {
    pub(crate) fn of<'a>(objects: impl IntoIterator<Item = &'a Group>) -> Self {
        let mut owners: HashMap<GroupName, Owner> = HashMap::new();
        for group in objects {
            let object = group.name_any();
            let Ok(name) = group.spec.name.as_deref().unwrap_or(&object).parse::<GroupName>() else { continue };
            let connector = group.spec.ref_connector.clone().filter(|id| !id.is_empty());
            let created = group.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default();
            let rank = (connector.is_some(), created, object);
            if owners.get(&name).is_some_and(|other| other.rank <= rank) {
                continue;
            }
            let members = group.spec.users.iter().map(|email| email.to_ascii_lowercase()).collect();
            owners.insert(name, Owner { connector, members, rank });
        }
        Self { owners }
    }

    /// The groups of a user, in order.
    pub(crate) fn of_user(&self, user: &UserSpec) -> Vec<GroupName> {
        let mut groups = BTreeSet::new();
        if user.is_admin {
            groups.extend(PLATFORM_ADMINS.parse());
        }
        for (name, owner) in &self.owners {
            if owner.connector.is_none() && owner.members.contains(&user.email) {
                groups.insert(name.clone());
            }
        }
        let told = user.groups.iter().filter_map(|name| name.parse::<GroupName>().ok());
        if is_local(user) {
            groups.extend(told);
        } else {
            let connector = user.connector_id.as_deref();
            groups.extend(told.filter(|name| {
                let owner = self.owners.get(name);
                may_be_told(name.as_str()) && owner.is_some_and(|owner| owner.connector.as_deref() == connector)
            }));
        }
        groups.into_iter().take(MOST).collect()
    }

    /// Whether the platform knows this group as that provider's.
    pub(crate) fn knows(&self, name: &GroupName, connector: &str) -> bool {
        self.owners.get(name).is_some_and(|owner| owner.connector.as_deref() == Some(connector))
    }
}

/// Whether a provider may say that somebody is in a group of this name.
pub(crate) fn may_be_told(name: &str) -> bool {
    name.parse::<GroupName>().is_ok()
        && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !name.to_ascii_lowercase().starts_with(KEPT)
}

#[cfg(test)]
mod tests {
    use api_types::auth::GroupSpec;

    use super::*;

    fn group(object: &str, name: Option<&str>, connector: Option<&str>, users: &[&str]) -> Group {
        let spec = GroupSpec {
            name: name.map(str::to_owned),
            ref_connector: connector.map(str::to_owned),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            ..GroupSpec::default()
        };
        Group::new(object, spec)
    }

    fn user(connector: Option<&str>, groups: &[&str]) -> UserSpec {
        UserSpec {
            email: "ann@corp.io".into(),
            connector_id: connector.map(str::to_owned),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserSpec::default()
        }
    }

    #[track_caller]
    fn check(objects: &[Group], user: &UserSpec, expect: &[&str]) {
        let groups = Groups::of(objects).of_user(user);
        assert_eq!(groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn local_groups_list_their_members() {
        let objects = [group("dev", None, None, &["Ann@corp.io"]), group("ops", None, None, &["bob@corp.io"])];
        check(&objects, &user(None, &[]), &["dev"]);
        check(&objects, &user(None, &["qa"]), &["dev", "qa"]);
        check(&objects, &UserSpec { is_admin: true, ..user(None, &[]) }, &["cpaas:platform-admins", "dev"]);
    }

    #[test]
    fn a_providers_groups_are_those_it_owns() {
        let objects = [group("x1", Some("Team A"), Some("corp"), &[]), group("x2", Some("b"), Some("other"), &[])];
        check(&objects, &user(Some("corp"), &["Team A", "b", "unknown"]), &["Team A"]);
        check(&objects, &user(Some("other"), &["Team A", "b"]), &["b"]);
    }

    #[test]
    fn case_37_a_provider_cannot_lend_itself_a_local_groups_rights() {
        let objects = [group("dev", None, None, &[]), group("x1", Some("dev"), Some("corp"), &[])];
        check(&objects, &user(Some("corp"), &["dev"]), &[]);
    }

    #[test]
    fn case_05_groups_that_rights_hang_on_are_not_told() {
        let objects = [
            group("x1", Some("cpaas:platform-admins"), Some("corp"), &[]),
            group("x2", Some("system:masters"), Some("corp"), &[]),
            group("x3", Some("CPAAS:x"), Some("corp"), &[]),
        ];
        check(&objects, &user(Some("corp"), &["cpaas:platform-admins", "system:masters", "CPAAS:x"]), &[]);
        check(&objects, &user(None, &["system:masters"]), &[]);
    }
}
