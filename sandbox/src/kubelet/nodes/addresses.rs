//! Which pod holds which address of which node.

use std::collections::{BTreeMap, HashMap};

use super::Spec;

#[derive(Default)]
pub(in crate::kubelet) struct Addresses {
    taken: HashMap<String, BTreeMap<u8, String>>,
    held: HashMap<String, (String, u8)>,
}

impl Addresses {
    /// The pod's address: the one it holds, the one its status names, or a free one. `None` when all are taken.
    pub(in crate::kubelet) fn assign(&mut self, node: &Spec, pod: &str, status: Option<&str>) -> Option<String> {
        let format = |last: u8| {
            let [a, b, c] = node.network;
            format!("{a}.{b}.{c}.{last}")
        };
        if let Some((_, last)) = self.held.get(pod) {
            return Some(format(*last));
        }
        let taken = self.taken.entry(node.name.clone()).or_default();
        let named = status
            .and_then(|ip| ip.rsplit('.').next()?.parse().ok())
            .filter(|last| format(*last) == status.unwrap_or_default());
        let last = named
            .filter(|last| !taken.contains_key(last))
            .or_else(|| (2..=254).find(|last| !taken.contains_key(last)))?;
        taken.insert(last, pod.to_owned());
        self.held.insert(pod.to_owned(), (node.name.clone(), last));
        Some(format(last))
    }

    pub(in crate::kubelet) fn release(&mut self, pod: &str) {
        let Some((node, last)) = self.held.remove(pod) else { return };
        if let Some(taken) = self.taken.get_mut(&node) {
            taken.remove(&last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SandboxConfig;

    #[test]
    fn addresses_are_kept_and_given_back() {
        let spec = &Spec::numbered(&SandboxConfig::default(), 0);
        let mut addresses = Addresses::default();
        assert_eq!(addresses.assign(spec, "a", Some("10.244.0.9")).as_deref(), Some("10.244.0.9"));
        assert_eq!(addresses.assign(spec, "b", None).as_deref(), Some("10.244.0.2"));
        assert_eq!(addresses.assign(spec, "b", None).as_deref(), Some("10.244.0.2"));
        assert_eq!(addresses.assign(spec, "c", Some("192.0.2.9")).as_deref(), Some("10.244.0.3"));
        addresses.release("b");
        assert_eq!(addresses.assign(spec, "d", None).as_deref(), Some("10.244.0.2"));
    }
}
