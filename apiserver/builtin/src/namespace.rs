//! `Namespace`.

use api_meta::validation::NameRule;
use apiserver_model::Strategy;

pub(crate) struct Namespaces;

impl Strategy for Namespaces {
    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn has_status(&self) -> bool {
        true
    }
}
