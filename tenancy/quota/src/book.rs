//! A project's quota in a cluster, and all that counts against it.

use std::collections::{BTreeMap, BTreeSet};

use api_quota::Amounts;
use jiff::Timestamp;

use crate::{Awaited, Over, Refused, Reservation};

/// How many writes may be under way. All of them are in one object.
pub const MAX_RESERVATIONS: usize = 128;

/// A namespace of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// A ResourceQuota as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Where.
    pub namespace: String,
    /// Which.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// What it gives to the namespace.
    pub hard: Amounts,
    /// Whether it is about some objects of the namespace only, and so bounds nothing in it.
    pub scoped: bool,
}

impl Holding {
    /// Whether it is that object, in that version. An empty one is none.
    fn is(&self, uid: &str, version: &str) -> bool {
        !uid.is_empty() && !version.is_empty() && self.uid == uid && self.version == version
    }
}

/// A write that is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A ResourceQuota is created or changed.
    Write {
        /// As it is to be. UID and version are what the API server says of them now.
        new: Holding,
        /// As it was when the API server asked; `None` for a creation.
        old: Option<Holding>,
    },
    /// A ResourceQuota is deleted.
    Remove(Holding),
    /// A namespace is put into the project.
    Join {
        /// Which.
        namespace: String,
        /// Its ResourceQuotas.
        holdings: Vec<Holding>,
        /// What is under way in it, by what is noted where it was before.
        under_way: Vec<Reservation>,
    },
}

impl Change {
    /// Whether the project's namespaces may have more after it, by what the write says itself.
    pub fn grows(&self) -> bool {
        match self {
            Self::Write { new, old } => {
                let old = old.as_ref().map(|old| old.hard.clone()).unwrap_or_default();
                !new.hard.above(&old).without_zeros().is_empty()
            }
            Self::Remove(_) => false,
            Self::Join { .. } => true,
        }
    }

    /// Whether it is about a ResourceQuota in that namespace.
    pub fn is_in(&self, name: &str) -> bool {
        match self {
            Self::Write { new: holding, .. } | Self::Remove(holding) => holding.namespace == name,
            Self::Join { .. } => false,
        }
    }
}

/// A project's quota in a cluster, with what was stored after it was read.
#[derive(Clone, Debug)]
pub struct Book {
    project: String,
    hard: Amounts,
    namespaces: BTreeMap<String, Namespace>,
    holdings: BTreeMap<(String, String), Holding>,
    reservations: Vec<Reservation>,
}

impl Book {
    /// Opens it, and drops the reservations that have ended. `holdings` that lie in none of `namespaces` are not counted;
    /// they say which reservations have ended of namespaces that are no longer the project's.
    pub fn open(
        project: &str,
        hard: Amounts,
        namespaces: BTreeMap<String, Namespace>,
        holdings: impl IntoIterator<Item = Holding>,
        reservations: Vec<Reservation>,
        now: Timestamp,
    ) -> Self {
        let holdings =
            holdings.into_iter().map(|holding| ((holding.namespace.clone(), holding.name.clone()), holding)).collect();
        let mut book = Self { project: project.to_owned(), hard, namespaces, holdings, reservations: Vec::new() };
        book.reservations = reservations.into_iter().filter(|reservation| book.is_open(reservation, now)).collect();
        book
    }

    /// The bounds.
    pub fn hard(&self) -> &Amounts {
        &self.hard
    }

    /// What is under way.
    pub fn reservations(&self) -> &[Reservation] {
        &self.reservations
    }

    /// For each bound how much is used: what is stored, or will be.
    pub fn used(&self) -> Amounts {
        let mut each: BTreeMap<(&str, &str), Amounts> = BTreeMap::new();
        for ((namespace, name), holding) in &self.holdings {
            if self.belongs(namespace) {
                each.insert((namespace, name), holding.hard.clone());
            }
        }
        for reservation in &self.reservations {
            each.entry((&reservation.namespace, &reservation.name)).or_default().raise_to(&reservation.hard);
        }
        let mut used = Amounts(self.hard.names().map(|key| (key.to_owned(), Default::default())).collect());
        for amounts in each.values() {
            used.add(&self.bounded(amounts));
        }
        used
    }

    /// In what more is used than there may be.
    pub fn exceeded(&self) -> Vec<String> {
        self.used().beyond(&self.hard).into_iter().map(str::to_owned).collect()
    }

    /// The namespaces that are not bounded in all that the project is, and in what. Not the project's own, in which
    /// nothing runs.
    pub fn unbounded(&self) -> Vec<(&str, Vec<&str>)> {
        let open = self.namespaces.iter().filter(|(name, namespace)| !namespace.terminating && **name != self.project);
        let missing = open.map(|(name, _)| (name.as_str(), self.missing(name, |_| true, None)));
        missing.filter(|(_, keys)| !keys.is_empty()).map(|(name, keys)| (name, keys.into_iter().collect())).collect()
    }

    /// Judges a write, and notes what it will have until `until`. `true` if something was noted: then the write may pass
    /// when that is stored over the version from which this was opened. `false`: it may pass.
    pub fn reserve(&mut self, change: &Change, until: Timestamp) -> Result<bool, Refused> {
        self.check_bounds(change)?;
        let next = self.noted(change, until);
        let Some(next) = next else { return Ok(false) };
        if next.len() > MAX_RESERVATIONS {
            return Err(Refused::Busy { project: self.project.clone(), count: self.reservations.len() });
        }
        let used = self.used();
        let then = Self { reservations: next, ..self.clone() };
        let after = then.used();
        let over = after.beyond(&self.hard).into_iter().filter_map(|key| {
            let (before, after) = (used.get(key).unwrap_or_default(), after.get(key).unwrap_or_default());
            let hard = self.hard.get(key)?;
            (after > before).then(|| Over { key: key.to_owned(), asked: after - before, used: before, hard })
        });
        let over: Vec<Over> = over.collect();
        if !over.is_empty() {
            return Err(Refused::Exceeds { project: self.project.clone(), over });
        }
        *self = then;
        Ok(true)
    }

    fn bounded(&self, amounts: &Amounts) -> Amounts {
        amounts.only(|key| self.hard.get(key).is_some())
    }

    fn belongs(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    fn stored(&self, namespace: &str, name: &str) -> Option<&Holding> {
        self.holdings.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Whether the write may still come, so that it has to be counted.
    fn is_open(&self, reservation: &Reservation, now: Timestamp) -> bool {
        let stored = self.stored(&reservation.namespace, &reservation.name);
        reservation.until > now
            && match &reservation.awaited {
                Awaited::Joining => !self.belongs(&reservation.namespace),
                Awaited::Creation { uid } => uid.is_none() || stored.map(|stored| &stored.uid) != uid.as_ref(),
                Awaited::Update { uid, version } => stored.is_some_and(|stored| stored.is(uid, version)),
            }
    }

    /// In what a namespace has no bound where the project has one, by those of its quotas that count and by one more.
    fn missing<'a>(
        &'a self,
        namespace: &str,
        counts: impl Fn(&Holding) -> bool,
        more: Option<&Holding>,
    ) -> BTreeSet<&'a str> {
        let of = (namespace.to_owned(), String::new())..;
        let here = self.holdings.range(of).map(|(_, holding)| holding).take_while(|h| h.namespace == namespace);
        let bounding: Vec<&Holding> = here.filter(|h| counts(h)).chain(more).filter(|h| !h.scoped).collect();
        let is_bound = |key: &str| bounding.iter().any(|holding| holding.hard.get(key).is_some());
        self.hard.names().filter(|key| !is_bound(key)).collect()
    }

    /// Whether the namespace stays bounded in what it is bounded in, and becomes so in all when it gets a first quota.
    fn check_bounds(&self, change: &Change) -> Result<(), Refused> {
        match change {
            Change::Write { new, old } => {
                if !self.belongs(&new.namespace) {
                    return Ok(());
                }
                let others = |holding: &Holding| holding.name != new.name;
                let missing = self.missing(&new.namespace, others, Some(new));
                let before = match old {
                    Some(old) => self.missing(&new.namespace, others, Some(old)),
                    None => BTreeSet::new(),
                };
                missing.difference(&before).next().map_or(Ok(()), |key| Err(self.lacks(new, key)))
            }
            Change::Remove(gone) => {
                let stays = self.namespaces.get(&gone.namespace).is_some_and(|namespace| !namespace.terminating);
                let others = |holding: &Holding| holding.name != gone.name;
                let before = self.missing(&gone.namespace, others, Some(gone));
                let missing = self.missing(&gone.namespace, others, None);
                match missing.difference(&before).next() {
                    Some(key) if stays => Err(Refused::Unbounds {
                        project: self.project.clone(),
                        namespace: gone.namespace.clone(),
                        name: gone.name.clone(),
                        key: (*key).to_owned(),
                    }),
                    _ => Ok(()),
                }
            }
            Change::Join { holdings, .. } => {
                // One without any quota is as one that was just created.
                let Some(first) = holdings.first() else { return Ok(()) };
                let is_bound = |key: &str| holdings.iter().any(|h| !h.scoped && h.hard.get(key).is_some());
                self.hard.names().find(|key| !is_bound(key)).map_or(Ok(()), |key| Err(self.lacks(first, key)))
            }
        }
    }

    fn lacks(&self, holding: &Holding, key: &str) -> Refused {
        let hard = self.hard.get(key).unwrap_or_default();
        let left = (hard - self.used().get(key).unwrap_or_default()).max(Default::default());
        let (namespace, name) = (holding.namespace.clone(), holding.name.clone());
        Refused::Lacks { project: self.project.clone(), namespace, name, key: key.to_owned(), left, hard }
    }

    /// The reservations with those that the write needs, if it needs any.
    fn noted(&self, change: &Change, until: Timestamp) -> Option<Vec<Reservation>> {
        let reservation = |holding: &Holding, awaited: Awaited| Reservation {
            namespace: holding.namespace.clone(),
            name: holding.name.clone(),
            awaited,
            // All of it: what is bounded may change, and the namespace may go elsewhere, before the write is seen.
            hard: holding.hard.clone(),
            until,
        };
        let mut next = self.reservations.clone();
        match change {
            Change::Remove(_) => None,
            Change::Write { new, old } => {
                // What a creation finds there now may be gone when it comes, and its place taken by others' growth. Only a
                // change comes over the very object that is counted, or not at all.
                let over = old.as_ref().and_then(|old| {
                    let stored = self.stored(&new.namespace, &new.name).filter(|_| self.belongs(&new.namespace))?;
                    stored.is(&old.uid, &old.version).then(|| stored.hard.clone())
                });
                if new.hard.above(&over.unwrap_or_default()).without_zeros().is_empty() {
                    return None;
                }
                let awaited = match old {
                    Some(old) if old.uid.is_empty() || old.version.is_empty() => Awaited::Creation { uid: None },
                    Some(old) => Awaited::Update { uid: old.uid.clone(), version: old.version.clone() },
                    None => Awaited::Creation { uid: Some(new.uid.clone()).filter(|uid| !uid.is_empty()) },
                };
                add(&mut next, reservation(new, awaited));
                Some(next)
            }
            Change::Join { namespace, holdings, under_way } => {
                if self.belongs(namespace) {
                    return None;
                }
                // What it brings along is what it has now: an earlier try to put it here brings no other.
                next.retain(|earlier| earlier.namespace != *namespace || earlier.awaited != Awaited::Joining);
                next.push(Reservation {
                    namespace: namespace.clone(),
                    name: String::new(),
                    awaited: Awaited::Joining,
                    hard: Amounts::default(),
                    until,
                });
                next.extend(holdings.iter().map(|holding| reservation(holding, Awaited::Joining)));
                for reservation in under_way.iter().filter(|reservation| reservation.namespace == *namespace) {
                    add(&mut next, reservation.clone());
                }
                Some(next)
            }
        }
    }
}

fn add(reservations: &mut Vec<Reservation>, new: Reservation) {
    if !reservations.iter_mut().any(|earlier| earlier.absorb(&new)) {
        reservations.push(new);
    }
}
