//! The pods that wait to be placed: in order, and each only tried again when something changed that may help it.
//!
//! No IO and no time of its own. A pod that fits nowhere waits until a change may help it (see [`super::hints`]), and
//! then as long as its back-off lasts, unless nothing else is to be done; or five minutes, in case a change was missed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{pod_info::PodInfo, refusal::Plugins};

/// The first back-off; each further one doubles it.
const BACKOFF: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// Nobody waits longer without being tried.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

type Uid = Arc<str>;
/// The most important first; then who came first.
type Turn = (Reverse<i32>, u64);

#[derive(Default)]
pub(super) struct Queue {
    entries: HashMap<Uid, Entry>,
    active: BTreeMap<Turn, Uid>,
    /// By the end of their wait.
    backing_off: BTreeSet<(Timestamp, u64, Uid)>,
    waiting: BTreeSet<(u64, Uid)>,
    arrivals: u64,
}

struct Entry {
    pod: Arc<PodInfo>,
    place: Place,
    attempts: u32,
    failed: Timestamp,
}

enum Place {
    /// Not to be looked at before its gates are gone.
    Gated,
    Active(Turn),
    BackingOff {
        until: Timestamp,
        arrival: u64,
        /// After a failed write, not for want of a node: not to be tried early.
        after_error: bool,
    },
    Waiting {
        arrival: u64,
        refused_by: Plugins,
        /// Victims are being told to go for it; until that is done it stays, whatever happens.
        held: bool,
        /// Something happened meanwhile.
        woken: bool,
    },
    /// Being bound.
    Working,
}

impl Queue {
    /// Takes in a pod, or a changed state of it. A change that matters is reason to try it at once.
    pub(super) fn put(&mut self, pod: Arc<PodInfo>, tries: bool) {
        let uid = pod.uid.clone();
        let gated = pod.is_gated();
        match self.entries.get_mut(&uid) {
            Some(entry) => {
                entry.pod = pod;
                let ungated = matches!(entry.place, Place::Gated) && !gated;
                if ungated || tries && matches!(entry.place, Place::Waiting { .. } | Place::BackingOff { .. }) {
                    self.activate(&uid);
                }
            }
            None => {
                let entry = Entry { pod, place: Place::Gated, attempts: 0, failed: Timestamp::UNIX_EPOCH };
                self.entries.insert(uid.clone(), entry);
                if !gated {
                    self.activate(&uid);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, uid: &str) {
        self.unlink(uid);
        self.entries.remove(uid);
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.entries.get(uid).map(|entry| &entry.pod)
    }

    fn unlink(&mut self, uid: &str) {
        let Some(entry) = self.entries.get(uid) else { return };
        match &entry.place {
            Place::Active(turn) => {
                self.active.remove(turn);
            }
            Place::BackingOff { until, arrival, .. } => {
                self.backing_off.remove(&(*until, *arrival, entry.pod.uid.clone()));
            }
            Place::Waiting { arrival, .. } => {
                self.waiting.remove(&(*arrival, entry.pod.uid.clone()));
            }
            Place::Gated | Place::Working => {}
        }
    }

    fn settle(&mut self, uid: &str, place: Place) {
        self.unlink(uid);
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let uid = entry.pod.uid.clone();
        match &place {
            Place::Active(turn) => {
                self.active.insert(*turn, uid);
            }
            Place::BackingOff { until, arrival, .. } => {
                self.backing_off.insert((*until, *arrival, uid));
            }
            Place::Waiting { arrival, .. } => {
                self.waiting.insert((*arrival, uid));
            }
            Place::Gated | Place::Working => {}
        }
        entry.place = place;
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Puts a pod among those to be tried now.
    pub(super) fn activate(&mut self, uid: &str) {
        let arrival = self.arrive();
        let Some(entry) = self.entries.get(uid) else { return };
        let turn = (Reverse(entry.pod.priority), arrival);
        self.settle(uid, Place::Active(turn));
    }

    /// The next pod to try. Those in back-off come early when nobody else is there.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Arc<PodInfo>> {
        self.mature(now);
        let early = || {
            let mut waiting = self.backing_off.iter().map(|(_, _, uid)| uid);
            waiting.find(|uid| {
                let place = self.entries.get(*uid).map(|entry| &entry.place);
                matches!(place, Some(Place::BackingOff { after_error: false, .. }))
            })
        };
        let uid = self.active.first_key_value().map(|(_, uid)| uid).or_else(early)?.clone();
        self.settle(&uid, Place::Working);
        let entry = self.entries.get_mut(&uid)?;
        entry.attempts += 1;
        Some(entry.pod.clone())
    }

    fn mature(&mut self, now: Timestamp) {
        while let Some((until, _, uid)) = self.backing_off.first().cloned() {
            if until > now {
                break;
            }
            self.activate(&uid);
        }
        while let Some((_, uid)) = self.waiting.first().cloned() {
            let since = self.entries.get(&uid).map_or(now, |entry| entry.failed);
            if now.duration_since(since) < LONGEST_WAIT {
                break;
            }
            self.activate(&uid);
        }
    }

    /// When somebody is to be tried by the mere passing of time.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let backed_off = self.backing_off.first().map(|(until, _, _)| *until);
        let waited = self.waiting.first().and_then(|(_, uid)| Some(self.entries.get(uid)?.failed + LONGEST_WAIT));
        backed_off.into_iter().chain(waited).min()
    }

    /// The pod fits nowhere: it waits for a change. `held` keeps it back until [`Queue::release`].
    pub(super) fn refuse(&mut self, uid: &str, refused_by: Plugins, held: bool, now: Timestamp) {
        let arrival = self.arrive();
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.failed = now;
        }
        self.settle(uid, Place::Waiting { arrival, refused_by, held, woken: false });
    }

    /// A write failed: it is tried again after its back-off.
    pub(super) fn fail(&mut self, uid: &str, now: Timestamp) {
        let arrival = self.arrive();
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.failed = now;
        let until = now + entry.backoff();
        self.settle(uid, Place::BackingOff { until, arrival, after_error: true });
    }

    /// The victims of a held pod were told to go; or that failed, and it has to try again.
    pub(super) fn release(&mut self, uid: &str, failed: bool, now: Timestamp) {
        let Some(Entry { place: Place::Waiting { held, woken, .. }, .. }) = self.entries.get_mut(uid) else { return };
        *held = false;
        if failed {
            self.fail(uid, now);
        } else if *woken {
            self.activate(uid);
        }
    }

    /// Tries again the waiting pods that `helps` says a change may help.
    pub(super) fn wake(&mut self, now: Timestamp, helps: impl Fn(&PodInfo, Plugins) -> bool) {
        let mut woken: Vec<Uid> = Vec::new();
        for (_, uid) in &self.waiting {
            let Some(entry) = self.entries.get_mut(uid) else { continue };
            let Place::Waiting { refused_by, held, woken: noted, .. } = &mut entry.place else { continue };
            if !helps(&entry.pod, *refused_by) {
                continue;
            }
            if *held {
                *noted = true;
            } else {
                woken.push(uid.clone());
            }
        }
        for uid in woken {
            let Some(entry) = self.entries.get(&uid) else { continue };
            let until = entry.failed + entry.backoff();
            if until <= now {
                self.activate(&uid);
            } else {
                let arrival = self.arrive();
                self.settle(&uid, Place::BackingOff { until, arrival, after_error: false });
            }
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Entry {
    fn backoff(&self) -> SignedDuration {
        let doublings = self.attempts.saturating_sub(1).min(10);
        BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
    }
}

#[cfg(test)]
mod tests;
