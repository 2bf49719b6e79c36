//! What a write will have, noted before it is stored.

use api_quota::Amounts;
use api_types::tenancy::QuotaReservation;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{BadAmount, read_amounts, write_amounts};

/// What a reservation waits to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A new ResourceQuota.
    Creation {
        /// Its UID, if the API server says it already.
        uid: Option<String>,
    },
    /// Another content of a ResourceQuota.
    Update {
        /// Of the object.
        uid: String,
        /// The one that it has now.
        version: String,
    },
    /// The namespace's label. What it brings along, or nothing yet: then the name is empty.
    Joining,
}

/// What one ResourceQuota will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Where.
    pub namespace: String,
    /// Which.
    pub name: String,
    /// What ends it.
    pub awaited: Awaited,
    /// How much.
    pub hard: Amounts,
    /// When it ends in any case.
    pub until: Timestamp,
}

impl Reservation {
    /// Reads one of a status.
    pub fn read(written: &QuotaReservation) -> Result<Self, BadAmount> {
        let awaited = match (written.joining, &written.uid, &written.resource_version) {
            (true, ..) => Awaited::Joining,
            (false, Some(uid), Some(version)) => Awaited::Update { uid: uid.clone(), version: version.clone() },
            // Only its end is certain.
            (false, None, Some(_)) => Awaited::Creation { uid: None },
            (false, uid, None) => Awaited::Creation { uid: uid.clone() },
        };
        Ok(Self {
            namespace: written.namespace.clone(),
            name: written.name.clone(),
            awaited,
            hard: read_amounts(&written.hard)?,
            until: written.until.0,
        })
    }

    /// For a status.
    pub fn write(&self) -> QuotaReservation {
        let (joining, uid, resource_version) = match &self.awaited {
            Awaited::Joining => (true, None, None),
            Awaited::Creation { uid } => (false, uid.clone(), None),
            Awaited::Update { uid, version } => (false, Some(uid.clone()), Some(version.clone())),
        };
        QuotaReservation {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            joining,
            uid,
            resource_version,
            hard: write_amounts(&self.hard),
            until: Time(self.until),
        }
    }

    pub(crate) fn is_of(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// Takes a second one of the same write into this one, if it is that. At most one of the two is stored, or one after
    /// the other.
    pub(crate) fn absorb(&mut self, other: &Self) -> bool {
        if !self.is_of(&other.namespace, &other.name) {
            return false;
        }
        match (&mut self.awaited, &other.awaited) {
            (Awaited::Creation { uid }, Awaited::Creation { uid: second }) => {
                // Neither is the end of the other.
                if uid != second {
                    *uid = None;
                }
            }
            (mine, theirs) if mine == theirs => {}
            _ => return false,
        }
        self.hard.raise_to(&other.hard);
        self.until = self.until.max(other.until);
        true
    }
}
