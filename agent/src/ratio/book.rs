//! All ratios of the cluster, and which of them counts where.

use std::collections::BTreeMap;

use api_types::tenancy::{
    CLUSTER_RATIO, NamespaceResourceRatio, NamespaceResourceRatioSpec, NamespaceResourceRatioStatus,
};
use kube::ResourceExt;

use super::pod::Ratio;

/// Namespace and name of a ratio.
pub(super) type Key = (String, String);

/// What ratios say, and what they are told, by namespace and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Book(BTreeMap<Key, (NamespaceResourceRatioSpec, NamespaceResourceRatioStatus)>);

impl Book {
    pub(super) fn put(&mut self, ratio: &NamespaceResourceRatio) {
        self.0.insert(key(ratio), (ratio.spec, ratio.status.unwrap_or_default()));
    }

    pub(super) fn remove(&mut self, ratio: &NamespaceResourceRatio) {
        self.0.remove(&key(ratio));
    }

    /// By what limits in a namespace are divided: as its ratio says, and where that says nothing, as the cluster's. Of
    /// several the first by name counts.
    pub(super) fn ratio_of(&self, namespace: &str) -> Ratio {
        let mut from = self.0.range((namespace.to_owned(), String::new())..);
        let own = from.next().filter(|((place, _), _)| place == namespace).map(|(_, (spec, _))| *spec);
        let (own, cluster) = (own.unwrap_or_default(), self.cluster());
        Ratio {
            cpu: own.cpu.or(cluster.cpu).unwrap_or_default(),
            memory: own.memory.or(cluster.memory).unwrap_or_default(),
        }
    }

    /// Those whose status does not say what the cluster's ratio is.
    pub(super) fn behind(&self) -> Vec<Key> {
        let inherited = self.inherited();
        let others = self.0.iter().filter(|((namespace, name), _)| (&**namespace, &**name) != CLUSTER_RATIO);
        others.filter(|(_, (_, status))| *status != inherited).map(|(key, _)| key.clone()).collect()
    }

    /// What every namespace would inherit.
    pub(super) fn inherited(&self) -> NamespaceResourceRatioStatus {
        let NamespaceResourceRatioSpec { cpu, memory } = self.cluster();
        NamespaceResourceRatioStatus { cluster_cpu: cpu, cluster_memory: memory }
    }

    fn cluster(&self) -> NamespaceResourceRatioSpec {
        let (namespace, name) = CLUSTER_RATIO;
        self.0.get(&(namespace.to_owned(), name.to_owned())).map(|(spec, _)| *spec).unwrap_or_default()
    }
}

fn key(ratio: &NamespaceResourceRatio) -> Key {
    (ratio.namespace().unwrap_or_default(), ratio.name_any())
}

#[cfg(test)]
mod tests {
    use api_types::tenancy::Overcommit;

    use super::*;

    fn times(ratio: u32) -> Overcommit {
        Overcommit::from_thousandths(ratio * 1000)
    }

    fn book(ratios: &[(&str, &str, Option<u32>, Option<u32>)]) -> Book {
        let mut book = Book::default();
        for (namespace, name, cpu, memory) in ratios {
            let spec = NamespaceResourceRatioSpec { cpu: cpu.map(times), memory: memory.map(times) };
            let mut ratio = NamespaceResourceRatio::new(name, spec);
            ratio.metadata.namespace = Some((*namespace).to_owned());
            book.put(&ratio);
        }
        book
    }

    #[track_caller]
    fn check(book: &Book, namespace: &str, cpu: u32, memory: u32) {
        assert_eq!(book.ratio_of(namespace), Ratio { cpu: times(cpu), memory: times(memory) }, "{namespace}");
    }

    #[test]
    fn what_a_namespace_does_not_say_the_cluster_does() {
        let cluster = ("cpaas-system", "cluster", Some(2), Some(3));
        let book = book(&[cluster, ("a", "x", Some(5), None), ("b", "x", Some(0), Some(0)), ("c", "x", None, None)]);
        check(&book, "a", 5, 3);
        check(&book, "b", 0, 0);
        check(&book, "c", 2, 3);
        check(&book, "d", 2, 3);
    }

    #[test]
    fn without_any_nothing_is_divided() {
        check(&Book::default(), "a", 0, 0);
        check(&book(&[("a", "x", None, Some(2))]), "a", 0, 2);
        // Another name is not the cluster's.
        check(&book(&[("cpaas-system", "other", Some(9), Some(9)), ("b", "cluster", Some(9), None)]), "a", 0, 0);
    }

    #[test]
    fn of_several_the_first_by_name_counts() {
        let mut book = book(&[("a", "y", Some(4), Some(4)), ("a", "x", Some(2), None), ("aa", "a", Some(9), Some(9))]);
        check(&book, "a", 2, 0);
        let mut gone = NamespaceResourceRatio::new("x", NamespaceResourceRatioSpec::default());
        gone.metadata.namespace = Some("a".into());
        book.remove(&gone);
        check(&book, "a", 4, 4);
    }

    #[test]
    fn those_are_behind_that_say_something_else() {
        let keys = |book: &Book| book.behind().into_iter().map(|(namespace, _)| namespace).collect::<Vec<_>>();
        let mut all =
            book(&[("cpaas-system", "cluster", Some(2), None), ("a", "x", None, None), ("b", "x", None, None)]);
        assert_eq!(keys(&all), ["a", "b"]);
        let status = NamespaceResourceRatioStatus { cluster_cpu: Some(times(2)), cluster_memory: None };
        assert_eq!(all.inherited(), status);
        let mut told = NamespaceResourceRatio::new("x", NamespaceResourceRatioSpec::default());
        told.metadata.namespace = Some("a".into());
        told.status = Some(status);
        all.put(&told);
        assert_eq!(keys(&all), ["b"]);
        // Where the cluster has none any more, nobody says so.
        let mut alone = book(&[("b", "x", Some(1), None)]);
        alone.put(&told);
        assert_eq!(keys(&alone), ["a"]);
    }
}
