//! Which groups somebody is in. Pure.
//!
//! A local group lists its members. A provider says which of its groups somebody is in, and the group is known by an
//! object that names the provider. Two groups of one name would lend each other their rights, so a name has one owner:
//! the local group, else the provider whose group was here first.

use std::collections::{BTreeSet, HashMap};

use api_types::PLATFORM_ADMINS;
use api_types::auth::{Group, UserSpec};
use api_types::tenancy::USERS;
use jiff::Timestamp;
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
    /// The provider whose group it is; `None` for the platform itself.
    owners: HashMap<GroupName, Option<String>>,
    /// The local groups of each e-mail.
    of_member: HashMap<String, Vec<GroupName>>,
}

impl Groups {
    pub(crate) fn of<'a>(objects: impl IntoIterator<Item = &'a Group>) -> Self {
        let mut claims: Vec<_> = objects.into_iter().filter_map(Claim::of).collect();
        // The one that counts comes first.
        claims.sort_by(|a, b| a.rank.cmp(&b.rank));
        let mut groups = Self::default();
        for Claim { name, group, rank } in claims {
            if groups.owners.contains_key(&name) {
                continue;
            }
            if rank.is_a_providers {
                groups.owners.insert(name, group.spec.ref_connector.clone());
                continue;
            }
            groups.owners.insert(name.clone(), None);
            for email in &group.spec.users {
                groups.of_member.entry(email.to_ascii_lowercase()).or_default().push(name.clone());
            }
        }
        groups
    }

    /// The groups of a user, in order. Everybody is in that of all users.
    pub(crate) fn of_user(&self, user: &UserSpec) -> Vec<GroupName> {
        let mut groups = BTreeSet::new();
        groups.extend(self.of_member.get(&user.email).into_iter().flatten().cloned());
        let told = user.groups.iter().filter_map(|name| name.parse::<GroupName>().ok());
        if is_local(user) {
            groups.extend(told);
        } else {
            let connector = user.connector_id.as_deref();
            groups.extend(told.filter(|name| {
                may_be_told(name.as_str()) && self.owners.get(name).is_some_and(|owner| owner.as_deref() == connector)
            }));
        }
        // However many others there are.
        let kept = [Some(USERS), user.is_admin.then_some(PLATFORM_ADMINS)];
        let kept: BTreeSet<GroupName> = kept.into_iter().flatten().filter_map(|name| name.parse().ok()).collect();
        let others: Vec<_> = groups.into_iter().filter(|name| !kept.contains(name)).take(MOST - kept.len()).collect();
        kept.into_iter().chain(others).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether the platform knows this group as that provider's.
    pub(crate) fn knows(&self, name: &GroupName, connector: &str) -> bool {
        self.owners.get(name).is_some_and(|owner| owner.as_deref() == Some(connector))
    }
}

/// A group that wants a name.
struct Claim<'a> {
    name: GroupName,
    group: &'a Group,
    rank: Rank,
}

/// Who gets the name: the platform itself, else whoever was here first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_a_providers: bool,
    created: Option<Timestamp>,
    object: String,
}

impl<'a> Claim<'a> {
    fn of(group: &'a Group) -> Option<Self> {
        let object = group.name_any();
        let name = group.spec.name.as_deref().unwrap_or(&object).parse().ok()?;
        let is_a_providers = group.spec.ref_connector.as_ref().is_some_and(|id| !id.is_empty());
        let created = group.creation_timestamp().map(|time| time.0);
        Some(Self { name, group, rank: Rank { is_a_providers, created, object } })
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
        check(&objects, &user(None, &[]), &["cpaas:users", "dev"]);
        check(&objects, &user(None, &["qa"]), &["cpaas:users", "dev", "qa"]);
        let admin = UserSpec { is_admin: true, ..user(None, &[]) };
        check(&objects, &admin, &["cpaas:platform-admins", "cpaas:users", "dev"]);
    }

    #[test]
    fn a_providers_groups_are_those_it_owns() {
        let objects = [group("x1", Some("Team A"), Some("corp"), &[]), group("x2", Some("b"), Some("other"), &[])];
        check(&objects, &user(Some("corp"), &["Team A", "b", "unknown"]), &["Team A", "cpaas:users"]);
        check(&objects, &user(Some("other"), &["Team A", "b"]), &["b", "cpaas:users"]);
    }

    #[test]
    fn everybody_is_a_user_of_the_platform_however_many_groups_they_are_in() {
        let many: Vec<String> = (0..MOST + 10).map(|n| format!("a{n:04}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let groups = Groups::of(&[]).of_user(&UserSpec { is_admin: true, ..user(None, &many) });
        assert_eq!(groups.len(), MOST);
        for kept in [USERS, PLATFORM_ADMINS] {
            assert!(groups.iter().any(|group| group.as_str() == kept), "{kept}");
        }
    }

    #[test]
    fn case_37_a_provider_cannot_lend_itself_a_local_groups_rights() {
        let objects = [group("dev", None, None, &[]), group("x1", Some("dev"), Some("corp"), &[])];
        check(&objects, &user(Some("corp"), &["dev"]), &["cpaas:users"]);
    }

    #[test]
    fn case_05_groups_that_rights_hang_on_are_not_told() {
        let objects = [
            group("x1", Some("cpaas:platform-admins"), Some("corp"), &[]),
            group("x2", Some("system:masters"), Some("corp"), &[]),
            group("x3", Some("CPAAS:x"), Some("corp"), &[]),
        ];
        check(&objects, &user(Some("corp"), &["cpaas:platform-admins", "system:masters", "CPAAS:x"]), &["cpaas:users"]);
        check(&objects, &user(None, &["system:masters"]), &["cpaas:users"]);
    }
}
