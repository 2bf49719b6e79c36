//! What one feed has told, and what that means for the index. Pure.

use std::collections::{BTreeMap, BTreeSet};

use fleet_index::{Entry, Index, Kind, Refused};
use tunnel_protocol::inventory::{Gone, Line, Object};

use super::{Failed, FeedState};

/// The kinds of a feed, by its numbers.
#[derive(Default)]
pub(super) struct Told {
    kinds: BTreeMap<u16, Named>,
    /// Until it was said which kinds there are, nobody knows what is missing.
    is_complete: bool,
}

struct Named {
    kind: Kind,
    listing: Listing,
}

enum Listing {
    Begun,
    Whole,
    /// For this reason.
    Lost(String),
}

impl Told {
    /// Changes the index as a line says.
    pub(super) fn take(&mut self, index: &mut Index, cluster: &str, line: &Line) -> Result<(), Failed> {
        match line {
            Line::Begin(begun) => {
                let (group, resource) = (begun.group.as_str().into(), begun.resource.as_str().into());
                let (version, kind) = (begun.version.as_str().into(), begun.kind.as_str().into());
                let kind = Kind { group, resource, version, kind };
                index.begin(cluster, &kind)?;
                let before = self.kinds.remove(&begun.number).filter(|before| before.kind == kind);
                // What is lost stays so until it is whole: it may be tried in vain again and again.
                let listing = match before.map(|before| before.listing) {
                    Some(Listing::Lost(why)) => Listing::Lost(why),
                    _ => Listing::Begun,
                };
                self.kinds.insert(begun.number, Named { kind, listing });
            }
            Line::Put(object) => put(index, cluster, &self.named(object.kind)?.kind, object)?,
            Line::Drop(Gone { kind, namespace, name }) => {
                index.remove(cluster, &self.named(*kind)?.kind, namespace, name);
            }
            Line::End(listed) => {
                let named = self.named(listed.kind)?;
                index.finish(cluster, &named.kind);
                named.listing = Listing::Whole;
            }
            Line::Kinds(served) => {
                let served: BTreeSet<u16> = served.kinds.iter().copied().collect();
                self.kinds.retain(|number, _| served.contains(number));
                if self.kinds.len() < served.len() {
                    return Err(Failed::UnknownKind);
                }
                let kept: BTreeSet<&Kind> = self.kinds.values().map(|named| &named.kind).collect();
                index.retain(cluster, |kind| kept.contains(kind));
                self.is_complete = true;
            }
            Line::Lost(lost) => self.named(lost.kind)?.listing = Listing::Lost(lost.why.clone()),
            Line::Beat {} => {}
        }
        Ok(())
    }

    fn named(&mut self, number: u16) -> Result<&mut Named, Failed> {
        self.kinds.get_mut(&number).ok_or(Failed::UnknownKind)
    }

    /// How far the feed has come.
    pub(super) fn state(&self) -> FeedState {
        let is_listing = self.kinds.values().any(|named| matches!(named.listing, Listing::Begun));
        if !self.is_complete || is_listing {
            return FeedState::Listing;
        }
        let lost = self.kinds.values().filter_map(|Named { kind, listing }| match listing {
            Listing::Lost(why) if kind.group.is_empty() => Some((kind.resource.to_string(), why.clone())),
            Listing::Lost(why) => Some((format!("{}.{}", kind.resource, kind.group), why.clone())),
            Listing::Begun | Listing::Whole => None,
        });
        let lost: BTreeMap<String, String> = lost.collect();
        if lost.is_empty() { FeedState::Following } else { FeedState::Incomplete(lost) }
    }
}

fn put(index: &mut Index, cluster: &str, kind: &Kind, object: &Object) -> Result<(), Refused> {
    let labels: Vec<(&str, &str)> = object.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    let images: Vec<&str> = object.images.iter().map(|image| &**image).collect();
    let Object { namespace, name, created, .. } = object;
    index.put(cluster, kind, &Entry { namespace, name, created: *created, labels: &labels, images: &images })
}

#[cfg(test)]
mod tests {
    use fleet_index::{Query, Reach, Sight};

    use super::*;

    struct All;

    impl Sight for All {
        fn reach(&self, _: &str, _: &Kind) -> Reach {
            Reach::Everything
        }
    }

    struct Scene {
        index: Index,
        told: Told,
    }

    impl Scene {
        fn new() -> Self {
            Self { index: Index::default(), told: Told::default() }
        }

        fn hear(&mut self, line: &str) -> Result<(), Failed> {
            self.told.take(&mut self.index, "a", &Line::decode(line.as_bytes()).unwrap())
        }

        #[track_caller]
        fn all(&mut self, lines: &[&str]) {
            lines.iter().for_each(|line| self.hear(line).unwrap());
        }

        fn names(&self) -> Vec<&str> {
            let answer = self.index.query(&All, &Query { limit: 100, ..Query::default() });
            answer.found.into_iter().map(|found| found.name).collect()
        }
    }

    const PODS: &str = r#"{"begin":{"k":1,"version":"v1","resource":"pods","kind":"Pod"}}"#;
    const NODES: &str = r#"{"begin":{"k":2,"version":"v1","resource":"nodes","kind":"Node"}}"#;
    const A: &str = r#"{"put":{"k":1,"ns":"n","n":"a"}}"#;
    const B: &str = r#"{"put":{"k":1,"ns":"n","n":"b"}}"#;
    const END: &str = r#"{"end":{"k":1}}"#;

    #[test]
    fn a_feed_from_its_beginning() {
        let mut scene = Scene::new();
        scene.all(&[PODS, NODES, r#"{"kinds":{"k":[1,2]}}"#, A, B]);
        assert_eq!((scene.names(), scene.told.state()), (vec!["a", "b"], FeedState::Listing));
        scene.all(&[END, r#"{"end":{"k":2}}"#]);
        assert_eq!(scene.told.state(), FeedState::Following);
        scene.all(&[r#"{"drop":{"k":1,"ns":"n","n":"a"}}"#]);
        assert_eq!(scene.names(), ["b"]);
        // Another listing that breaks off, and one that does not.
        scene.all(&[PODS, A, PODS]);
        assert_eq!((scene.names(), scene.told.state()), (vec!["a", "b"], FeedState::Listing));
        scene.all(&[A, END]);
        assert_eq!((scene.names(), scene.told.state()), (vec!["a"], FeedState::Following));
        scene.all(&[r#"{"kinds":{"k":[2]}}"#]);
        assert!(scene.names().is_empty());
    }

    #[test]
    fn a_kind_that_cannot_be_listed_is_named_until_it_can() {
        let mut scene = Scene::new();
        scene.all(&[PODS, r#"{"kinds":{"k":[1]}}"#, r#"{"lost":{"k":1,"why":"no"}}"#, PODS]);
        let lost = BTreeMap::from([("pods".to_owned(), "no".to_owned())]);
        assert_eq!(scene.told.state(), FeedState::Incomplete(lost));
        scene.all(&[A, END]);
        assert_eq!(scene.told.state(), FeedState::Following);
    }

    #[test]
    fn what_was_missed_while_the_feed_was_lost_is_gone_after_it() {
        let mut scene = Scene::new();
        scene.all(&[PODS, NODES, r#"{"kinds":{"k":[1,2]}}"#, A, B, END, r#"{"put":{"k":2,"n":"node"}}"#]);
        scene.told = Told::default();
        // The numbers may be others.
        scene.all(&[r#"{"begin":{"k":7,"version":"v1","resource":"pods","kind":"Pod"}}"#]);
        assert_eq!(scene.names(), ["a", "b", "node"], "what is known stays");
        scene.all(&[r#"{"kinds":{"k":[7]}}"#, r#"{"put":{"k":7,"ns":"n","n":"b"}}"#, r#"{"end":{"k":7}}"#]);
        assert_eq!(scene.names(), ["b"]);
    }

    #[test]
    fn case_28_a_kind_that_was_not_named_ends_the_feed() {
        for line in [A, END, r#"{"kinds":{"k":[1]}}"#, r#"{"drop":{"k":1,"n":"a"}}"#, r#"{"lost":{"k":1,"why":""}}"#] {
            assert!(matches!(Scene::new().hear(line), Err(Failed::UnknownKind)), "{line}");
        }
    }
}
