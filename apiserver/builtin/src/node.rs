//! `Node`.

use apiserver_model::Strategy;

pub(crate) struct Nodes;

impl Strategy for Nodes {
    fn has_status(&self) -> bool {
        true
    }
}
