//! What somebody may do in a cluster, for a whole page of questions at once.
//!
//! A person's rights in a cluster are worked out once and kept until the cluster's roles or bindings change, or their
//! groups do. A question then costs the same however many bindings there are.
//!
//! The answers tell what to show and what to offer. The cluster itself is still asked when something is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_rbac::{Attributes, Grant, Namespaces, Resource, User};
use api_types::tenancy::USERS;
use serde::{Deserialize, Serialize};

use crate::view::{Known, View};

/// How many are kept; those of clusters that have changed go first.
const KEPT: usize = 16_384;

/// Somebody, as clusters see them: with all groups that come with being authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl Person {
    /// Somebody whom the door has let in.
    pub fn authenticated(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        const AUTHENTICATED: &str = "system:authenticated";
        let mut groups: Vec<String> = groups.into_iter().filter(|group| group != AUTHENTICATED).collect();
        groups.push(AUTHENTICATED.to_owned());
        Self { name: name.into(), groups }
    }

    /// For questions to a policy.
    pub fn user(&self) -> User<'_> {
        User { name: &self.name, groups: &self.groups }
    }
}

/// One question: may they do this with that?
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// `get`, `list`, `create` and so on.
    pub verb: String,
    /// The API group; empty for the first one.
    #[serde(default)]
    pub group: String,
    /// The plural.
    pub resource: String,
    /// `log` of `pods/log`.
    #[serde(default)]
    pub subresource: String,
    /// Empty for what lies in none, and for all namespaces.
    #[serde(default)]
    pub namespace: String,
    /// Empty for all.
    #[serde(default)]
    pub name: String,
}

impl Question {
    /// For a policy.
    pub fn attributes(&self) -> Attributes<'_> {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) if self.subresource.is_empty() => (resource, subresource),
            _ => (&*self.resource, &*self.subresource),
        };
        let Self { verb, group, namespace, name, .. } = self;
        Attributes::resource(verb, Resource { group, resource, subresource, namespace, name })
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether they may.
    pub allowed: bool,
    /// Why, as an API server says it.
    pub reason: String,
}

/// The rights of everybody who has asked.
pub struct Rights {
    view: Arc<dyn View>,
    kept: Mutex<HashMap<(String, Arc<Person>), Kept>>,
}

struct Kept {
    version: u64,
    rights: Arc<api_rbac::Rights>,
}

impl Rights {
    /// Over what is known.
    pub fn new(view: Arc<dyn View>) -> Self {
        Self { view, kept: Mutex::default() }
    }

    /// What is known.
    pub fn view(&self) -> &dyn View {
        &*self.view
    }

    /// Whether somebody has a role of their own in a cluster, wherever in it: not only what everybody has.
    pub fn is_in(&self, person: &Person, cluster: &str) -> bool {
        let everybodys = |group: &str| group == USERS || group.starts_with("system:");
        let groups: Vec<String> = person.groups.iter().filter(|group| !everybodys(group)).cloned().collect();
        let known = self.view.cluster(cluster);
        known.is_some_and(|known| known.policy.binds(User { name: &person.name, groups: &groups }))
    }

    /// All that somebody holds in a cluster; nothing while nothing is known of it.
    pub fn of(&self, person: &Arc<Person>, cluster: &str) -> Option<Arc<api_rbac::Rights>> {
        let known = self.view.cluster(cluster)?;
        let key = (cluster.to_owned(), person.clone());
        let kept = |map: &HashMap<_, Kept>| {
            map.get(&key).filter(|kept| kept.version == known.version).map(|kept| kept.rights.clone())
        };
        if let Some(rights) = kept(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(rights);
        }
        // Not under the lock: one person with many bindings does not hold up the others.
        let rights = Arc::new(known.policy.rights(person.user()));
        let mut map = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= KEPT {
            self.make_room(&mut map);
        }
        map.insert(key, Kept { version: known.version, rights: rights.clone() });
        Some(rights)
    }

    fn make_room(&self, map: &mut HashMap<(String, Arc<Person>), Kept>) {
        let version = |name: String| {
            let version = self.view.cluster(&name)?.version;
            Some((name, version))
        };
        let versions: HashMap<String, u64> = self.view.clusters().into_iter().filter_map(version).collect();
        map.retain(|(cluster, _), kept| versions.get(cluster) == Some(&kept.version));
        if map.len() >= KEPT {
            map.clear();
        }
    }

    /// Answers all questions about a cluster. Of a cluster that nobody knows the answers are those of one in which the
    /// person holds nothing.
    pub fn check(&self, person: &Arc<Person>, cluster: &str, questions: &[Question]) -> Vec<Verdict> {
        let rights = self.of(person, cluster);
        let one = |question: &Question| {
            let attributes = question.attributes();
            let grant = rights.as_ref().and_then(|rights| rights.allows(&attributes));
            Verdict {
                allowed: grant.is_some(),
                reason: grant.map_or_else(|| NOTHING.to_owned(), |grant| reason(&grant)),
            }
        };
        questions.iter().map(one).collect()
    }

    /// Whether somebody may do it.
    pub fn allows(&self, person: &Arc<Person>, cluster: &str, attributes: &Attributes<'_>) -> bool {
        self.of(person, cluster).is_some_and(|rights| rights.allows(attributes).is_some())
    }

    /// In which namespaces of a cluster somebody may list a resource.
    pub fn listable(&self, person: &Arc<Person>, cluster: &str, group: &str, resource: &str) -> Namespaces {
        self.of(person, cluster).map_or_else(
            || Namespaces::These(Default::default()),
            |rights| rights.namespaces_where("list", group, resource),
        )
    }
}

const NOTHING: &str = "no role that is given to the user or a group of theirs allows it";

/// Why, as an API server's authoriser says it.
fn reason(grant: &Grant<'_>) -> String {
    let Grant { binding, subject, .. } = grant;
    let (kind, place) = match &*binding.namespace {
        "" => ("ClusterRoleBinding", binding.name.to_string()),
        namespace => ("RoleBinding", format!("{}/{namespace}", binding.name)),
    };
    let (role, of) = (&binding.role, subject.kind);
    format!("RBAC: allowed by {kind} {place:?} of {} {:?} to {of} {:?}", role.kind, &*role.name, &*subject.name)
}

/// Whether a policy says a fact: a right to one of the platform's own resources, in a namespace or in the whole cluster.
pub(crate) fn holds(known: &Known, user: User<'_>, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let group = api_types::tenancy::GROUP;
    let resource = Resource { group, resource, namespace, name, ..Resource::default() };
    known.policy.allows(user, &Attributes::resource(verb, resource)).is_some()
}

#[cfg(test)]
mod tests;
