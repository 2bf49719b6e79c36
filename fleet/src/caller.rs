//! In whose name a request reaches a cluster.
//!
//! The hub's own credential on a cluster may impersonate anybody, so a request that goes out without these headers would
//! act as the hub. A request of somebody goes out through [`Caller::impersonate`], and a `Caller` has a name.

use http::{HeaderMap, HeaderName, HeaderValue};
use lib_kubernetes::ClusterApi;
use lib_names::{ClusterName, GroupName, UserName};
use tunnel_hub::Room;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const PREFIX: &str = "impersonate-";

/// An identity that cannot be carried in headers without becoming another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the identity cannot be carried in a header")]
pub struct Unspeakable;

/// Somebody, as the headers say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    user: HeaderValue,
    groups: Vec<HeaderValue>,
    uid: Option<HeaderValue>,
    /// Whose room their requests take in a tunnel. It comes with the name, so nobody can ask for another.
    room: Room,
}

impl Caller {
    /// A person.
    pub fn person(name: &UserName, groups: &[GroupName], uid: &str) -> Result<Self, Unspeakable> {
        Ok(Self {
            user: plain(name.as_str())?,
            groups: groups.iter().map(|group| plain(group.as_str())).collect::<Result<_, _>>()?,
            uid: (!uid.is_empty()).then(|| plain(uid)).transpose()?,
            room: Room::People,
        })
    }

    /// Who shows a client certificate of the hub's own authority, for the hub itself. The authority has stated every name.
    pub fn certificate(common_name: &str, groups: &[String]) -> Result<Self, Unspeakable> {
        if common_name.is_empty() {
            return Err(Unspeakable);
        }
        let groups = groups.iter().map(|group| plain(group)).collect::<Result<_, _>>()?;
        Ok(Self { user: plain(common_name)?, groups, uid: None, room: Room::People })
    }

    /// The hub's own controllers, with the narrow role that members give them.
    pub(crate) fn fleet() -> Self {
        Self::part(crate::FLEET_USER)
    }

    /// The hub's own controllers on the hub, with the narrow role that [`install`](crate::install()) lays.
    pub fn controllers() -> Self {
        Self::part(crate::CONTROLLERS)
    }

    /// Who enforces the quotas of projects on the hub, with the narrow role that [`install`](crate::install()) lays.
    pub fn quota() -> Self {
        Self::part(crate::QUOTA_USER)
    }

    /// A part of the hub, by the name of its user.
    pub fn part(user: &'static str) -> Self {
        Self { user: HeaderValue::from_static(user), groups: Vec::new(), uid: None, room: Room::Hub }
    }

    /// The hub's own parts in a cluster, with the narrow role that they have there.
    pub fn hub_in(cluster: &ClusterName) -> Self {
        if cluster.is_global() { Self::controllers() } else { Self::fleet() }
    }

    /// Says so, and only so: whatever the headers said before is gone.
    pub fn impersonate(&self, headers: &mut HeaderMap) {
        strip(headers);
        headers.insert(USER, self.user.clone());
        for group in &self.groups {
            headers.append(GROUP, group.clone());
        }
        if let Some(uid) = &self.uid {
            headers.insert(UID, uid.clone());
        }
    }

    /// A typed client of an API whose every request is made in this name.
    pub fn client_of(self, api: &ClusterApi) -> kube::Client {
        api.client_with(move |headers| self.impersonate(headers))
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter_map(|group| group.to_str().ok())
    }

    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.user.to_str().unwrap_or_default()
    }
}

/// Whether a header asks to act as somebody else.
pub fn is_identity(name: &HeaderName) -> bool {
    name.as_str().starts_with(PREFIX)
}

fn strip(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Visible ASCII and inner spaces: what every HTTP library on the way reads as the same text. Some drop a value that they
/// cannot read, and a dropped name is the hub's.
fn plain(text: &str) -> Result<HeaderValue, Unspeakable> {
    let fits = !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match fits {
        true => HeaderValue::from_str(text).map_err(|_| Unspeakable),
        false => Err(Unspeakable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, groups: &[&str]) -> Result<Caller, Unspeakable> {
        let groups: Vec<GroupName> = groups.iter().map(|group| group.parse().unwrap()).collect();
        Caller::person(&name.parse().unwrap(), &groups, "u1")
    }

    #[test]
    fn case_01_what_was_said_before_is_gone() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("impersonate-user", "root"),
            ("impersonate-group", "system:masters"),
            ("impersonate-group", "more"),
            ("impersonate-uid", "0"),
            ("impersonate-extra-scopes", "all"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        person("ann", &["dev", "ops"]).unwrap().impersonate(&mut headers);
        assert_eq!(headers.get_all(USER).iter().collect::<Vec<_>>(), ["ann"]);
        assert_eq!(headers.get_all(GROUP).iter().collect::<Vec<_>>(), ["dev", "ops"]);
        assert_eq!(headers[UID], "u1");
        assert_eq!(headers.keys().filter(|name| is_identity(name)).count(), 3);
    }

    #[test]
    fn case_76_only_parts_of_the_hub_take_its_room() {
        let member: ClusterName = "edge".parse().unwrap();
        for part in [Caller::fleet(), Caller::controllers(), Caller::quota(), Caller::hub_in(&member)] {
            assert_eq!(part.room(), Room::Hub, "{part:?}");
        }
        assert_eq!(person("ann", &[]).unwrap().room(), Room::People);
        // Whatever they are called.
        for name in [crate::FLEET_USER, crate::CONTROLLERS, "ann"] {
            assert_eq!(Caller::certificate(name, &[]).unwrap().room(), Room::People);
        }
    }

    #[test]
    fn case_04_nobody_is_not_somebody() {
        assert_eq!(Caller::certificate("", &["system:masters".to_owned()]), Err(Unspeakable));
        assert_eq!(Caller::certificate(" ", &[]), Err(Unspeakable));
        assert_eq!(person("Zoë", &[]), Err(Unspeakable));
        assert_eq!(person("ann", &["ops-é"]), Err(Unspeakable));
    }
}
