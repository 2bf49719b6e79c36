//! `Service`.

use api_meta::validation::NameRule;
use apiserver_model::Strategy;

pub(crate) struct Services;

impl Strategy for Services {
    fn name_rule(&self) -> NameRule {
        NameRule::Dns1035Label
    }

    fn has_status(&self) -> bool {
        true
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
