//! Whether the rules that change an object run a second time (upstream: `ReinvocationContext`).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api_meta::Object;

#[derive(Debug, Default)]
pub struct Reinvocation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    round: usize,
    /// Somebody changed the object, so that others may decide anew.
    wanted: bool,
    /// Webhooks that want to see the object again if it changes after them.
    invoked: BTreeSet<String>,
    /// Those of them after whom it did change.
    due: BTreeSet<String>,
    last: Option<Object>,
}

impl State {
    fn make_due(&mut self) {
        let invoked = std::mem::take(&mut self.invoked);
        self.due.extend(invoked);
    }
}

impl Reinvocation {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn round(&self) -> usize {
        self.state().round
    }

    /// Begins the second round, if there is to be one.
    pub(crate) fn begin_again(&self) -> bool {
        let mut state = self.state();
        let again = state.wanted && state.round == 0;
        state.round += usize::from(again);
        again
    }

    /// What other rules changed since the webhooks were asked concerns them as well.
    pub(crate) fn compare(&self, object: &Object) {
        let mut state = self.state();
        if state.round > 0 && state.last.as_ref() != Some(object) {
            state.make_due();
        }
    }

    pub(crate) fn remember(&self, object: &Object) {
        let mut state = self.state();
        // Only a second round looks at it.
        state.last = (state.wanted && state.round == 0).then(|| object.clone());
    }

    /// In the second round nobody is asked for the first time.
    pub(crate) fn skips(&self, hook: &str) -> bool {
        let state = self.state();
        state.round > 0 && !state.due.contains(hook)
    }

    pub(crate) fn changed(&self) {
        let mut state = self.state();
        state.make_due();
        state.wanted = true;
    }

    pub(crate) fn invoked(&self, hook: String) {
        self.state().invoked.insert(hook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_before_a_change_are_asked_again() {
        let reinvocation = Reinvocation::default();
        reinvocation.invoked("a".into());
        reinvocation.changed();
        reinvocation.invoked("b".into());
        let object = Object::default();
        reinvocation.remember(&object);
        assert!(reinvocation.begin_again());
        reinvocation.compare(&object);
        assert_eq!((reinvocation.skips("a"), reinvocation.skips("b")), (false, true));
        reinvocation.changed();
        assert!(!reinvocation.begin_again(), "there is no third round");
    }

    #[test]
    fn a_change_by_others_concerns_all() {
        let reinvocation = Reinvocation::default();
        reinvocation.changed();
        reinvocation.invoked("b".into());
        reinvocation.remember(&Object::default());
        assert!(reinvocation.begin_again());
        let mut other = Object::default();
        other.set_meta_str("name", "x");
        reinvocation.compare(&other);
        assert!(!reinvocation.skips("b"));
    }

    #[test]
    fn without_a_change_there_is_one_round() {
        let reinvocation = Reinvocation::default();
        reinvocation.invoked("a".into());
        assert!(!reinvocation.begin_again());
    }
}
