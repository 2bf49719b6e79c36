//! What a hub has said, so that several which see things differently do not talk for ever. No IO.
//!
//! There is no leader. Hubs that see the same say the same, and then none writes. While they do not - one of them has no
//! way to a cluster, or is behind - each says what it sees once, and again when it sees something else. When another has
//! said something else since, whoever reaches all that it speaks of insists, after longer and longer waits and not for
//! ever, for it knows more; whoever does not leaves it at that.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use lib_backoff::Backoff;
use serde_json::Value;
use tokio::time::Instant;

use crate::book::About;

/// The wait before a hub first insists.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait before it does.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it insists on one thing.
const TIMES: u32 = 10;

/// What was said last about each object.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<About, Word>);

#[derive(Debug)]
struct Word {
    meaning: Meaning,
    backoff: Backoff,
    times: u32,
    /// When to insist.
    again: Option<Instant>,
}

/// What the status of one object says, whenever it came to be so. Another object of its name is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning(u64);

impl Meaning {
    pub(super) fn of(uid: Option<&str>, status: &Value) -> Self {
        let mut status = status.clone();
        forget_times(&mut status);
        let mut hasher = DefaultHasher::new();
        (uid, status).hash(&mut hasher);
        Self(hasher.finish())
    }
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for time in ["lastTransitionTime", "lastReconcileTime", "lastFailureTime"] {
                fields.remove(time);
            }
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}

impl Said {
    /// Whether to say something about an object whose status says something else. `is_blind`: it speaks of clusters that
    /// are not reached from here.
    pub(super) fn may_say(
        &mut self,
        about: &About,
        meaning: Meaning,
        is_blind: bool,
        now: Instant,
        chance: f64,
    ) -> bool {
        let Some(word) = self.0.get_mut(about).filter(|word| word.meaning == meaning) else { return true };
        match word.again {
            Some(at) if at <= now => true,
            Some(_) => false,
            None => {
                if !is_blind && word.times < TIMES {
                    word.again = Some(now + word.backoff.after(PATIENCE, chance));
                }
                false
            }
        }
    }

    /// It was said.
    pub(super) fn note(&mut self, about: About, meaning: Meaning) {
        match self.0.get_mut(&about).filter(|word| word.meaning == meaning) {
            Some(word) => {
                word.again = None;
                word.times += 1;
            }
            None => {
                let word = Word { meaning, backoff: Backoff::new(FIRST), times: 0, again: None };
                self.0.insert(about, word);
            }
        }
    }

    /// The status says what is to be said.
    pub(super) fn agree(&mut self, about: &About) {
        if let Some(word) = self.0.get_mut(about) {
            word.again = None;
        }
    }

    /// Forgets what nobody will speak of again.
    pub(super) fn forget(&mut self, about: &About) {
        self.0.remove(about);
    }

    /// When to insist on something next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|word| word.again).min()
    }

    /// On what to insist by now.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = About> {
        let due = self.0.iter().filter(move |(_, word)| word.again.is_some_and(|at| at <= now));
        due.map(|(about, _)| about.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A hub, what it would say of one object, and whether it reaches all that it speaks of.
    struct Hub {
        said: Said,
        view: &'static str,
        is_blind: bool,
    }

    fn hub(view: &'static str, is_blind: bool) -> Hub {
        Hub { said: Said::default(), view, is_blind }
    }

    fn about() -> About {
        About::Template("t".into())
    }

    fn meaning(view: &str) -> Meaning {
        Meaning::of(None, &json!({"phase": view}))
    }

    /// Lets hubs talk about one object for so long, and returns what its status was, each time that it was written.
    fn talk(hubs: &mut [Hub], from: Instant, seconds: u64) -> Vec<&'static str> {
        let mut told: Vec<&'static str> = Vec::new();
        for second in 0..seconds {
            let now = from + Duration::from_secs(second);
            for hub in &mut *hubs {
                if told.last() == Some(&hub.view) {
                    hub.said.agree(&about());
                } else if hub.said.may_say(&about(), meaning(hub.view), hub.is_blind, now, 0.0) {
                    hub.said.note(about(), meaning(hub.view));
                    told.push(hub.view);
                }
            }
        }
        told
    }

    const LONG: u64 = 24 * 3600;

    #[tokio::test]
    async fn hubs_that_see_the_same_say_it_once() {
        assert_eq!(talk(&mut [hub("Synced", false), hub("Synced", false)], Instant::now(), LONG), ["Synced"]);
    }

    #[tokio::test]
    async fn whoever_reaches_a_cluster_has_the_last_word() {
        let now = Instant::now();
        assert_eq!(talk(&mut [hub("Synced", false), hub("Failed", true)], now, LONG), ["Synced", "Failed", "Synced"]);
        assert_eq!(talk(&mut [hub("Failed", true), hub("Synced", false)], now, LONG), ["Failed", "Synced"]);
        assert_eq!(talk(&mut [hub("Failed", true), hub("Away", true)], now, LONG), ["Failed", "Away"]);
    }

    #[tokio::test]
    async fn hubs_that_never_agree_fall_silent() {
        let mut hubs = [hub("Synced", false), hub("Pending", false)];
        let now = Instant::now();
        let told = talk(&mut hubs, now, LONG);
        assert!(told.len() < 30, "{}", told.len());
        let later = now + Duration::from_secs(LONG);
        assert!(hubs.iter().all(|hub| hub.said.next().is_none_or(|at| at < later)));
        // Until one of them has something new to say.
        hubs[0].view = "Failed";
        assert_eq!(talk(&mut hubs[..1], later, 10), ["Failed"]);
    }

    #[tokio::test]
    async fn it_is_insisted_when_the_time_has_come() {
        let (mut said, now) = (Said::default(), Instant::now());
        said.note(about(), meaning("Synced"));
        assert_eq!(said.next(), None);
        assert!(!said.may_say(&about(), meaning("Synced"), false, now, 0.0));
        assert_eq!(said.next(), Some(now + FIRST));
        assert_eq!(said.due(now).count(), 0);
        assert_eq!(said.due(now + FIRST).collect::<Vec<_>>(), [about()]);
        // What was written by then came back.
        said.agree(&about());
        assert_eq!(said.next(), None);
        said.forget(&about());
        assert!(said.may_say(&about(), meaning("Synced"), true, now, 0.0));
    }

    #[test]
    fn when_something_came_to_be_so_is_no_news() {
        let of = |uid: &str, phase: &str, time: &str| {
            let condition = json!({"type": "Synced", "lastTransitionTime": time});
            Meaning::of(Some(uid), &json!({"phase": phase, "conditions": [condition], "lastReconcileTime": time}))
        };
        let one = of("1", "Synced", "2026-01-01T00:00:00Z");
        assert_eq!(one, of("1", "Synced", "2026-02-02T00:00:00Z"));
        assert_ne!(one, of("1", "Failed", "2026-01-01T00:00:00Z"));
        assert_ne!(one, of("2", "Synced", "2026-01-01T00:00:00Z"));
    }
}
