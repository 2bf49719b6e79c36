//! `APIService`: which server answers a group and version.

use api_meta::validation::NameRule;
use apiserver_model::Strategy;

pub(crate) struct ApiServices;

impl Strategy for ApiServices {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn has_status(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
