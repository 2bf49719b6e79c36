//! Which groups a person is in, and which groups those are in.

use std::collections::BTreeSet;

use crate::config::{GroupSearch, Matcher, Source};
use crate::directory::{Limit, Session};
use crate::error::{DirectoryError, MissingAttribute};
use crate::protocol::filter::{Filter, Matching};
use crate::protocol::message::{Entry, Search};

/// How many groups of groups of groups are looked at. What is further away confers nothing.
const DEEPEST: usize = 16;

/// How many members are asked for in one search.
const AT_ONCE: usize = 50;

impl Session<'_> {
    /// The names of all groups of an entry, in order.
    pub(crate) async fn groups(&mut self, entry: &Entry) -> Result<Vec<String>, DirectoryError> {
        let mut known = Known::default();
        let Some(groups) = &self.directory.config.groups else { return Ok(Vec::new()) };
        for matcher in &groups.matchers {
            known.entries.clear();
            let mut members = matcher.user.values(entry);
            let mut how = Some(&matcher.group);
            for _ in 0..=DEEPEST {
                let Some(matching) = how.filter(|_| !members.is_empty()) else { break };
                members = self.level(groups, matching, &members, &mut known).await?;
                how = matcher.nested.as_ref();
            }
        }
        Ok(known.names.into_iter().collect())
    }

    /// The groups of these members that were not known, by the names of their entries.
    async fn level(
        &mut self,
        groups: &GroupSearch,
        matching: &Matching,
        members: &[Vec<u8>],
        known: &mut Known,
    ) -> Result<Vec<Vec<u8>>, DirectoryError> {
        let limit = Limit { what: "groups of one person", limit: self.directory.limits.groups };
        let mut found = Vec::new();
        for some in members.chunks(AT_ONCE) {
            let filter = groups.of(matching, some);
            let attributes = [groups.name.as_str()];
            let search = Search::all(&groups.base, groups.scope, &filter, &attributes);
            for group in self.all("groupSearch", search, &limit).await? {
                found.extend(known.add(groups, &group)?);
                if known.entries.len() > limit.limit {
                    return Err(limit.error("groupSearch"));
                }
            }
        }
        Ok(found)
    }
}

impl Source {
    /// What groups name the entry by.
    fn values(&self, entry: &Entry) -> Vec<Vec<u8>> {
        match self {
            Self::Dn => vec![entry.dn.clone().into_bytes()],
            Self::Attribute(attribute) => entry.values(attribute).to_vec(),
        }
    }
}

impl Matcher {
    /// Which attribute of a person it wants.
    pub(crate) fn attribute(&self) -> Option<&str> {
        match &self.user {
            Source::Dn => None,
            Source::Attribute(attribute) => Some(attribute),
        }
    }
}

impl GroupSearch {
    /// That a group names one of these members.
    fn of(&self, matching: &Matching, members: &[Vec<u8>]) -> Filter {
        let mut each: Vec<Filter> = members.iter().map(|member| matching.value(member)).collect();
        let one = match each.len() {
            1 => each.remove(0),
            _ => Filter::Or(each),
        };
        match &self.filter {
            Some(configured) => Filter::And(vec![configured.clone(), one]),
            None => one,
        }
    }
}

/// Groups that were found.
#[derive(Default)]
struct Known {
    names: BTreeSet<String>,
    /// Those of one matcher, by their names in the directory, which has one spelling for each. None is followed twice, so
    /// going round in a circle ends.
    entries: BTreeSet<String>,
}

impl Known {
    /// The name of its entry, if it was not known.
    fn add(&mut self, groups: &GroupSearch, group: &Entry) -> Result<Option<Vec<u8>>, DirectoryError> {
        let name = group.text(&groups.name).ok_or_else(|| {
            let (dn, attribute) = (group.dn.clone(), groups.name.clone());
            DirectoryError::Group(MissingAttribute { dn, attribute, field: "groupSearch.nameAttr" })
        })?;
        self.names.insert(name.to_owned());
        Ok(self.entries.insert(group.dn.clone()).then(|| group.dn.clone().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Scope;

    fn groups(filter: Option<&str>) -> GroupSearch {
        let filter = filter.map(|text| Filter::parse(text).unwrap());
        GroupSearch { base: "ou=groups".into(), scope: Scope::Sub, filter, name: "cn".into(), matchers: vec![] }
    }

    #[track_caller]
    fn check(filter: Option<&str>, matching: &str, members: &[&str], expect: &str) {
        let members: Vec<Vec<u8>> = members.iter().map(|member| member.as_bytes().to_vec()).collect();
        assert_eq!(groups(filter).of(&Matching::parse(matching).unwrap(), &members).to_string(), expect);
    }

    #[test]
    fn one_member() {
        check(None, "member", &["uid=ann"], "(member=uid=ann)");
        check(Some("(objectClass=group)"), "member", &["uid=ann"], "(&(objectClass=group)(member=uid=ann))");
    }

    #[test]
    fn more_members() {
        check(None, "member", &["cn=a", "cn=b"], "(|(member=cn=a)(member=cn=b))");
    }

    #[test]
    fn active_directory_follows_groups_itself() {
        let chain = "member:1.2.840.113556.1.4.1941:";
        check(None, chain, &["cn=ann"], "(member:1.2.840.113556.1.4.1941:=cn=ann)");
    }

    #[test]
    fn case_38_a_member_s_name_is_a_value() {
        check(None, "member", &["cn=a)(cn=*,dc=x"], r"(member=cn=a\29\28cn=\2a,dc=x)");
    }
}
