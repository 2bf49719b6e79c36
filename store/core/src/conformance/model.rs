//! Random histories, compared step by step with a model that is too simple to be wrong: a full copy of the state for
//! every revision.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Fixture, read_to};
use crate::{
    Compare, Content, Error, Event, EventKind, Expect, Key, KeyValue, Op, Page, Range, Revision, Span, Store, Txn,
    TxnOutcome, WatchRequest,
};

const KEYS: [&str; 8] = ["/a", "/a/", "/a/x", "/a/x/1", "/a/y", "/a0", "/b/x", "/c"];

/// Runs so many random histories against a backend.
pub fn agrees_with_the_model<F: Future<Output = Fixture>>(histories: u32, fixture: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = Config { cases: histories, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let fixture = fixture().await;
            let mut model = Model::default();
            for step in &steps {
                model.check(&fixture.store, step).await?;
            }
            model.check_watches(&fixture.store).await?;
            fixture.store.close().await.map_err(fail)
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Revisions are told as distances from the current one, so that they make sense in any history.
#[derive(Clone, Debug)]
enum Step {
    Txn { compare: Vec<(usize, Expectation)>, success: Vec<Change>, failure: Vec<Change> },
    Get { key: usize, back: Option<i64> },
    Range { span: Span, after: Option<usize>, limit: usize, back: Option<i64>, content: Content },
    Compact { back: i64 },
}

#[derive(Clone, Copy, Debug)]
enum Expectation {
    Absent,
    Present,
    AsItIs,
    Stale,
}

#[derive(Clone, Debug)]
struct Change {
    key: usize,
    /// `None` deletes.
    value: Option<u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let back = -1..12_i64;
    let expectation = prop_oneof![
        1 => Just(Expectation::Absent),
        1 => Just(Expectation::Present),
        4 => Just(Expectation::AsItIs),
        1 => Just(Expectation::Stale),
    ];
    let change = (key.clone(), prop::option::weighted(0.7, any::<u8>())).prop_map(|(key, value)| Change { key, value });
    let changes = prop::collection::vec(change, 0..4).prop_map(|mut changes| {
        changes.sort_by_key(|change| change.key);
        changes.dedup_by_key(|change| change.key);
        changes
    });
    let span = prop_oneof![
        Just(Span::all()),
        key.clone().prop_map(|key| Span::prefix(KEYS[key])),
        (key.clone(), key.clone()).prop_map(|(start, end)| Span::between(KEYS[start], KEYS[end])),
    ];
    let content = prop_oneof![Just(Content::Values), Just(Content::KeysOnly), Just(Content::CountOnly)];
    prop_oneof![
        8 => (prop::collection::vec((key.clone(), expectation), 0..3), changes.clone(), changes)
            .prop_map(|(compare, success, failure)| Step::Txn { compare, success, failure }),
        2 => (key.clone(), prop::option::of(back.clone())).prop_map(|(key, back)| Step::Get { key, back }),
        4 => (span, prop::option::of(key), 0..4_usize, prop::option::of(back), content)
            .prop_map(|(span, after, limit, back, content)| Step::Range { span, after, limit, back, content }),
        1 => (-1..8_i64).prop_map(|back| Step::Compact { back }),
    ]
}

type State = BTreeMap<&'static str, KeyValue>;

struct Model {
    /// The state at each revision, from revision zero.
    states: Vec<State>,
    compacted: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self { states: vec![State::new(); 2], compacted: 0 }
    }
}

impl Model {
    fn current(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn back(&self, back: i64) -> Revision {
        Revision(self.current().saturating_add_signed(-back))
    }

    fn at(&self, at: Option<Revision>) -> Result<(Revision, &State), String> {
        let at = at.unwrap_or(Revision(self.current()));
        if at.0 < self.compacted {
            return Err(format!("{at} compacted at {}", self.compacted));
        }
        match self.states.get(at.0 as usize) {
            Some(state) => Ok((at, state)),
            None => Err(format!("{at} ahead of {}", self.current())),
        }
    }

    async fn check(&mut self, store: &Arc<dyn Store>, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Txn { compare, success, failure } => {
                let txn = self.txn(compare, success, failure);
                let actual = store.txn(txn.clone()).await.map_err(fail)?;
                prop_assert_eq!(actual, self.apply(&txn));
            }
            Step::Get { key, back } => {
                let at = back.map(|back| self.back(back));
                let actual = store.get(KEYS[*key], at).await.map_err(told);
                let expected = self.at(at).map(|(_, state)| state.get(KEYS[*key]).cloned());
                prop_assert_eq!(actual, expected);
            }
            Step::Range { span, after, limit, back, content } => {
                let range = Range {
                    span: span.clone(),
                    after: after.map(|key| KEYS[key].to_owned()),
                    limit: *limit,
                    at: back.map(|back| self.back(back)),
                    content: *content,
                };
                let actual = store.range(range.clone()).await.map_err(told);
                prop_assert_eq!(actual, self.range(&range));
            }
            Step::Compact { back } => {
                let revision = self.back(*back);
                let expected = match revision.0 {
                    at if at > self.current() => Err(format!("{at} ahead of {}", self.current())),
                    at if at <= self.compacted => Err(format!("{at} compacted at {}", self.compacted)),
                    at => {
                        self.compacted = at;
                        Ok(())
                    }
                };
                prop_assert_eq!(store.compact(revision).await.map_err(told), expected);
            }
        }
        Ok(())
    }

    fn txn(&self, compare: &[(usize, Expectation)], success: &[Change], failure: &[Change]) -> Txn {
        let state = &self.states[self.states.len() - 1];
        let compare = compare.iter().map(|(key, expectation)| {
            let key = KEYS[*key];
            let now = state.get(key).map_or(Revision::ZERO, |kv| kv.mod_revision);
            let expect = match expectation {
                Expectation::Absent => Expect::Absent,
                Expectation::Present => Expect::Present,
                Expectation::AsItIs => Expect::ModRevision(now),
                Expectation::Stale => Expect::ModRevision(Revision(now.0.saturating_sub(1))),
            };
            Compare { key: key.into(), expect }
        });
        let ops = |changes: &[Change]| {
            let op = |change: &Change| match change.value {
                Some(value) => Op::put(KEYS[change.key], vec![value]),
                None => Op::delete(KEYS[change.key]),
            };
            changes.iter().map(op).collect()
        };
        Txn { compare: compare.collect(), success: ops(success), failure: ops(failure) }
    }

    fn apply(&mut self, txn: &Txn) -> TxnOutcome {
        let mut state = self.states[self.states.len() - 1].clone();
        let current = txn.compare.iter().map(|compare| state.get(compare.key.as_str()).cloned()).collect::<Vec<_>>();
        let succeeded = txn.compare.iter().zip(&current).all(|(compare, kv)| match compare.expect {
            Expect::Absent => kv.is_none(),
            Expect::Present => kv.is_some(),
            Expect::ModRevision(revision) => kv.as_ref().is_some_and(|kv| kv.mod_revision == revision),
        });
        let revision = Revision(self.current() + 1);
        let mut changed = false;
        for op in if succeeded { &txn.success } else { &txn.failure } {
            let key = KEYS[KEYS.iter().position(|key| *key == op.key().as_str()).unwrap()];
            changed |= match op {
                Op::Put { value, .. } => {
                    let kv = match state.get(key) {
                        Some(kv) => KeyValue { version: kv.version + 1, ..kv.clone() },
                        None => KeyValue {
                            key: Key::from(key),
                            value: Bytes::new(),
                            create_revision: revision,
                            mod_revision: revision,
                            version: 1,
                        },
                    };
                    state.insert(key, KeyValue { value: value.clone(), mod_revision: revision, ..kv });
                    true
                }
                Op::Delete { .. } => state.remove(key).is_some(),
            };
        }
        if changed {
            self.states.push(state);
        }
        let current = if succeeded { Vec::new() } else { current };
        TxnOutcome { succeeded, revision: Revision(self.current()), current }
    }

    fn range(&self, range: &Range) -> Result<Page, String> {
        let (revision, state) = self.at(range.at)?;
        let mut items = state
            .values()
            .filter(|kv| range.span.contains(&kv.key))
            .filter(|kv| range.after.as_deref().is_none_or(|after| kv.key.as_str() > after))
            .cloned()
            .collect::<Vec<_>>();
        let found = items.len();
        match (range.content, range.limit) {
            (Content::CountOnly, _) => items.clear(),
            (_, 0) => {}
            (_, limit) => items.truncate(limit),
        }
        if range.content == Content::KeysOnly {
            items.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        let remaining = (found - items.len()) as u64;
        Ok(Page { items, revision, more: remaining > 0, remaining })
    }

    /// Watches from every revision that is left tell exactly the differences between the states.
    async fn check_watches(&self, store: &Arc<dyn Store>) -> Result<(), TestCaseError> {
        for after in self.compacted..=self.current() {
            for prefix in ["", "/a/"] {
                let request = WatchRequest::prefix(prefix).after(Revision(after));
                let mut stream = store.watch(request).await.map_err(fail)?;
                let actual = read_to(&mut stream, Revision(self.current())).await;
                let actual = actual.iter().map(|event| (**event).clone()).collect::<Vec<_>>();
                prop_assert_eq!(sorted(actual), sorted(self.events(prefix, after)));
            }
        }
        Ok(())
    }

    fn events(&self, prefix: &str, after: u64) -> Vec<Event> {
        let pairs = self.states.windows(2).enumerate().skip(after as usize);
        pairs.flat_map(|(before, pair)| changes(Revision(before as u64 + 1), &pair[0], &pair[1], prefix)).collect()
    }
}

fn changes(revision: Revision, before: &State, after: &State, prefix: &str) -> Vec<Event> {
    let keys = KEYS.iter().filter(|key| key.starts_with(prefix));
    keys.filter_map(|key| {
        let (before, after) = (before.get(key), after.get(key));
        if before == after {
            return None;
        }
        let (kind, kv) = match after {
            Some(kv) => (EventKind::Put, kv.clone()),
            None => {
                let gone = KeyValue {
                    key: Key::from(*key),
                    value: Bytes::new(),
                    create_revision: Revision::ZERO,
                    mod_revision: revision,
                    version: 0,
                };
                (EventKind::Delete, gone)
            }
        };
        Some(Event { kind, kv, prev: before.cloned() })
    })
    .collect()
}

/// The order inside a revision is the backend's own.
fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| (a.kv.mod_revision, &a.kv.key).cmp(&(b.kv.mod_revision, &b.kv.key)));
    events
}

fn told(error: Error) -> String {
    match error {
        Error::Compacted { requested, compacted } => format!("{requested} compacted at {compacted}"),
        Error::FutureRevision { requested, current } => format!("{requested} ahead of {current}"),
        other => other.to_string(),
    }
}

fn fail(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
