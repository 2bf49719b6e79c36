//! Something that is kept for each container, and goes with its pod.

use std::collections::HashMap;

/// By the uid of the pod and the name of the container.
pub(super) struct ByContainer<V>(HashMap<String, HashMap<String, V>>);

impl<V> Default for ByContainer<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V> ByContainer<V> {
    pub(super) fn get(&self, pod: &str, container: &str) -> Option<&V> {
        self.0.get(pod)?.get(container)
    }

    /// All of a pod, by container.
    pub(super) fn of(&self, pod: &str) -> impl Iterator<Item = (&str, &V)> {
        self.0.get(pod).into_iter().flatten().map(|(container, value)| (container.as_str(), value))
    }

    pub(super) fn of_mut(&mut self, pod: &str) -> impl Iterator<Item = (&str, &mut V)> {
        self.0.get_mut(pod).into_iter().flatten().map(|(container, value)| (container.as_str(), value))
    }

    /// What is kept of a container, made if it is not there.
    pub(super) fn entry(&mut self, pod: &str, container: &str, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(pod.to_owned()).or_default().entry(container.to_owned()).or_insert_with(make)
    }

    pub(super) fn insert(&mut self, pod: &str, container: &str, value: V) {
        self.0.entry(pod.to_owned()).or_default().insert(container.to_owned(), value);
    }

    pub(super) fn remove(&mut self, pod: &str, container: &str) {
        if let Some(containers) = self.0.get_mut(pod) {
            containers.remove(container);
        }
    }

    pub(super) fn forget(&mut self, pod: &str) {
        self.0.remove(pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_pod_go_with_it() {
        let mut kept = ByContainer::default();
        kept.insert("u", "main", 1);
        kept.insert("u", "side", 2);
        *kept.entry("v", "main", || 3) += 1;
        kept.remove("u", "side");
        assert_eq!(kept.of("u").collect::<Vec<_>>(), [("main", &1)]);
        kept.forget("u");
        assert_eq!((kept.get("u", "main"), kept.get("v", "main"), kept.of("u").count()), (None, Some(&4), 0));
    }
}
