//! Which streams are open, by what they have to be allowed. No IO.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::Caller;
use lib_names::ClusterName;
use tokio_util::sync::CancellationToken;

use super::attributes::Attributes;

/// Whether somebody may do something in a cluster. Streams that depend on the same answer share the question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) cluster: ClusterName,
    pub(super) caller: Caller,
    pub(super) attributes: Attributes,
}

struct Open {
    streams: usize,
    lost: CancellationToken,
}

/// Clusters, also those whose streams have all ended a moment ago.
#[derive(Default)]
pub(super) struct Streams(HashMap<ClusterName, HashMap<Arc<Question>, Open>>);

impl Streams {
    /// Adds a stream, and says whether nobody has looked after its cluster yet. The token tells that the right is lost.
    pub(super) fn open(&mut self, question: Question) -> (Arc<Question>, CancellationToken, bool) {
        let is_first = !self.0.contains_key(&question.cluster);
        let cluster = self.0.entry(question.cluster.clone()).or_default();
        if let Some((question, _)) = cluster.get_key_value(&question) {
            let question = question.clone();
            if let Some(open) = cluster.get_mut(&question) {
                open.streams += 1;
                return (question, open.lost.clone(), is_first);
            }
        }
        let (question, lost) = (Arc::new(question), CancellationToken::new());
        cluster.insert(question.clone(), Open { streams: 1, lost: lost.clone() });
        (question, lost, is_first)
    }

    /// Removes a stream.
    pub(super) fn close(&mut self, question: &Arc<Question>) {
        let Some(cluster) = self.0.get_mut(&question.cluster) else { return };
        // After a loss the same question may have been put again, for later streams.
        if !cluster.get_key_value(question).is_some_and(|(known, _)| Arc::ptr_eq(known, question)) {
            return;
        }
        if let Some(open) = cluster.get_mut(question) {
            open.streams -= 1;
            if open.streams == 0 {
                cluster.remove(question);
            }
        }
    }

    pub(super) fn questions(&self, cluster: &ClusterName) -> Vec<Arc<Question>> {
        self.0.get(cluster).into_iter().flat_map(HashMap::keys).cloned().collect()
    }

    /// Ends the streams that need this right, and says how many.
    pub(super) fn lose(&mut self, question: &Arc<Question>) -> usize {
        let Some(cluster) = self.0.get_mut(&question.cluster) else { return 0 };
        if !cluster.get_key_value(question).is_some_and(|(known, _)| Arc::ptr_eq(known, question)) {
            return 0;
        }
        cluster.remove(question).map_or(0, |open| {
            open.lost.cancel();
            open.streams
        })
    }

    /// Forgets a cluster without streams. If so, nobody looks after it any more.
    pub(super) fn retire(&mut self, cluster: &ClusterName) -> bool {
        let is_idle = self.0.get(cluster).is_none_or(HashMap::is_empty);
        if is_idle {
            self.0.remove(cluster);
        }
        is_idle
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::headers::Kind;

    fn question(cluster: &str, user: &str) -> Question {
        Question {
            cluster: cluster.parse().unwrap(),
            caller: Caller::certificate(user, &[]).unwrap(),
            attributes: Attributes::of_lasting(&Method::GET, "api/v1/pods", Some("watch"), Kind::Plain).unwrap(),
        }
    }

    #[test]
    fn streams_with_one_question_end_together_and_no_others() {
        let mut streams = Streams::default();
        let (ann, first, is_first) = streams.open(question("a", "ann"));
        assert!(is_first);
        let (same, second, is_first) = streams.open(question("a", "ann"));
        assert!(!is_first && Arc::ptr_eq(&ann, &same));
        let (_, bob, _) = streams.open(question("a", "bob"));
        let (_, elsewhere, is_first) = streams.open(question("b", "ann"));
        assert!(is_first);
        assert_eq!(streams.questions(&ann.cluster).len(), 2);
        assert_eq!(streams.lose(&ann), 2);
        assert!(first.is_cancelled() && second.is_cancelled() && !bob.is_cancelled() && !elsewhere.is_cancelled());
    }

    #[test]
    fn a_right_that_comes_back_is_another_question() {
        let mut streams = Streams::default();
        let (old, _, _) = streams.open(question("a", "ann"));
        streams.lose(&old);
        let (_, lost, _) = streams.open(question("a", "ann"));
        // What is left of the earlier stream, and an answer that comes late, are not about this one.
        streams.close(&old);
        assert_eq!(streams.lose(&old), 0);
        assert!(!lost.is_cancelled());
        assert_eq!(streams.questions(&old.cluster).len(), 1);
    }

    #[test]
    fn a_cluster_goes_with_its_last_stream() {
        let mut streams = Streams::default();
        let (one, _, _) = streams.open(question("a", "ann"));
        let (two, _, _) = streams.open(question("a", "ann"));
        streams.close(&one);
        assert!(!streams.retire(&one.cluster));
        streams.close(&two);
        assert!(streams.retire(&one.cluster));
        assert!(streams.open(question("a", "ann")).2);
    }
}
