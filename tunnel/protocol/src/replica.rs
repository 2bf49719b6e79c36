//! Between the replicas of one hub: which tunnels each of them has, and streams through a tunnel that another has.
//!
//! Each replica dials each other one with TLS, offers [`ALPN`], and shows a certificate of the hub's own authority that
//! says that it is one. The one that dialled is the HTTP/2 client. A `CONNECT` whose authority is [`FEED`] is answered with
//! [`Line`]s, one JSON object on each: first all tunnels that are there, then [`Line::All`], then what changes, without end.
//! A `CONNECT` whose authority is the name of a [`Target`](crate::Target) leads through the tunnel of the cluster that
//! [`CLUSTER`] names. Any status but 200 is an [`Answer`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The protocol's name in the TLS handshake.
pub const ALPN: &[u8] = b"acp-replica/1";
/// The one group of a replica's certificate.
pub const GROUP: &str = "acp:hub-replicas";
/// A name that the certificate of every replica's door has, since Pods have addresses of their own.
pub const DOOR: &str = "replica.acp-hub.internal";
/// The authority of the stream that says which tunnels there are.
pub const FEED: &str = "tunnels";

/// The header that names the cluster.
pub const CLUSTER: &str = "acp-cluster";
/// The header that says whose room in the tunnel a stream takes: [`PEOPLE`] or [`HUB`].
pub const ROOM: &str = "acp-room";
/// What people asked for.
pub const PEOPLE: &str = "people";
/// What the hub itself asks.
pub const HUB: &str = "hub";
/// The header with the milliseconds that opening may take.
pub const PATIENCE: &str = "acp-patience";
/// The header of an answer that says since when there is no tunnel, in milliseconds since 1970.
pub const SINCE: &str = "acp-since";
/// The header of an answer with the status that the agent gave.
pub const REFUSAL: &str = "acp-refusal";

/// The longest line, with its end.
pub const MAX_LINE: usize = 1024;

const USER_PREFIX: &str = "acp:hub-replica:";
/// The longest name of a Pod.
const MAX_NAME: usize = 253;

/// The user of a replica.
pub fn user(name: &str) -> String {
    format!("{USER_PREFIX}{name}")
}

/// Why a certificate is not a replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReplica {
    /// The user is no replica's.
    #[error("the user is not a replica of the hub")]
    User,
    /// The groups are not exactly the replicas' group.
    #[error("the groups are not exactly {GROUP:?}")]
    Groups,
}

/// The replica that has this user and these groups. Exact: one prefix, one valid name, one group.
pub fn replica_of(user: &str, groups: &[String]) -> Result<String, NotAReplica> {
    let name = user.strip_prefix(USER_PREFIX).ok_or(NotAReplica::User)?;
    if groups != [GROUP] {
        return Err(NotAReplica::Groups);
    }
    is_name(name).then(|| name.to_owned()).ok_or(NotAReplica::User)
}

/// Whether a replica may have this name: that of a Pod or of a machine (RFC 1123 section 2.1).
pub fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inside)
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// What a replica says of its tunnels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A cluster's tunnel is there.
    Has(Tunnel),
    /// It is not there any more.
    Lost(Gone),
    /// All that were there have been told.
    All {},
}

/// A tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Whose.
    pub cluster: String,
    /// Since when: milliseconds since 1970.
    pub since: u64,
    /// The key of its agent, as its pin.
    pub key: String,
}

/// A tunnel that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Whose.
    pub cluster: String,
    /// Since when: milliseconds since 1970.
    pub since: u64,
    /// Whether nobody has said goodbye.
    #[serde(default)]
    pub silent: bool,
}

impl Line {
    /// As it goes over the wire, with its end.
    pub fn encode(&self) -> Vec<u8> {
        // There is no map with keys other than texts in it.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads a line. None when it is not one.
    pub fn decode(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// A time on the wire.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time from the wire. What no clock shows is long ago.
pub fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

/// Why another replica opens no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no such tunnel, since then.
    NoTunnel(Option<SystemTime>),
    /// All places in the room are taken.
    Full,
    /// The agent did not answer in time.
    Deadline,
    /// The tunnel broke.
    Broken,
    /// The agent refused.
    Refused(Refusal),
    /// The request is none of those that are understood.
    NotUnderstood,
}

impl Answer {
    /// The status on the wire.
    pub fn status(self) -> u16 {
        match self {
            Self::NoTunnel(_) => 404,
            Self::Full => 429,
            Self::Deadline => 504,
            Self::Broken => 502,
            Self::Refused(_) => 421,
            Self::NotUnderstood => 400,
        }
    }

    /// The header that says more, if there is more to say.
    pub fn header(self) -> Option<(&'static str, u64)> {
        match self {
            Self::NoTunnel(Some(since)) => Some((SINCE, millis(since))),
            Self::Refused(refusal) => Some((REFUSAL, refusal.status().into())),
            _ => None,
        }
    }

    /// What a status means. `header` gives the number in a header of the answer.
    pub fn read(status: u16, header: impl Fn(&str) -> Option<u64>) -> Self {
        match status {
            404 => Self::NoTunnel(header(SINCE).map(time)),
            429 => Self::Full,
            504 => Self::Deadline,
            502 => Self::Broken,
            421 => {
                let status = header(REFUSAL).and_then(|status| u16::try_from(status).ok());
                Self::Refused(Refusal::from_status(status.unwrap_or_default()))
            }
            _ => Self::NotUnderstood,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(user: &str, groups: &[&str], expect: Result<&str, NotAReplica>) {
        let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
        assert_eq!(replica_of(user, &groups), expect.map(str::to_owned));
    }

    #[test]
    fn a_replica() {
        check("acp:hub-replica:acp-hub-7d9-x2", &["acp:hub-replicas"], Ok("acp-hub-7d9-x2"));
    }

    #[test]
    fn others() {
        check("acp:agent:eu-1", &["acp:agents"], Err(NotAReplica::User));
        check("acp:agent:eu-1", &["acp:hub-replicas"], Err(NotAReplica::User));
        check("acp:hub-replica:a", &["acp:agents"], Err(NotAReplica::Groups));
        check("acp:hub-replica:a", &["acp:hub-replicas", "system:masters"], Err(NotAReplica::Groups));
        check("acp:hub-replica:", &["acp:hub-replicas"], Err(NotAReplica::User));
        check("acp:hub-replica:A", &["acp:hub-replicas"], Err(NotAReplica::User));
        check("acp:hub-replica:a..b", &["acp:hub-replicas"], Err(NotAReplica::User));
        check("acp:hub-replica:a\n", &["acp:hub-replicas"], Err(NotAReplica::User));
    }

    #[test]
    fn every_answer_is_read_as_it_was_given() {
        let since = time(1_700_000_000_123);
        let answers = [
            Answer::NoTunnel(None),
            Answer::NoTunnel(Some(since)),
            Answer::Full,
            Answer::Deadline,
            Answer::Broken,
            Answer::Refused(Refusal::Forbidden),
            Answer::Refused(Refusal::Other(418)),
            Answer::NotUnderstood,
        ];
        for answer in answers {
            let header = |name: &str| answer.header().filter(|(known, _)| *known == name).map(|(_, number)| number);
            assert_eq!(Answer::read(answer.status(), header), answer);
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(cluster in "[a-z0-9-]{1,63}", since: u64, key in "[a-z0-9:]{0,80}") {
            let lines = [
                Line::Has(Tunnel { cluster: cluster.clone(), since, key }),
                Line::Lost(Gone { cluster, since, silent: since % 2 == 0 }),
                Line::All {},
            ];
            for line in lines {
                let written = line.encode();
                prop_assert!(written.len() <= MAX_LINE && written.ends_with(b"\n"));
                prop_assert_eq!(Line::decode(&written), Some(line));
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>, status: u16, number: Option<u64>, user: String, groups: Vec<String>) {
            let _ = (Line::decode(&bytes), Answer::read(status, |_| number), replica_of(&user, &groups));
            let _ = number.map(time);
        }
    }
}
