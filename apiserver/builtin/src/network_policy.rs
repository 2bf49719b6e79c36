//! `NetworkPolicy`.

use apiserver_model::Strategy;

pub(crate) struct NetworkPolicies;

impl Strategy for NetworkPolicies {
    fn has_generation(&self) -> bool {
        true
    }
}
