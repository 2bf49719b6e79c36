//! `Event`, in the core group and in `events.k8s.io`: one object, two forms.

use api_meta::validation::NameRule;
use apiserver_model::Strategy;

pub(crate) struct Events {
    /// Served in `events.k8s.io`, not in the core group.
    grouped: bool,
}

impl Events {
    pub(crate) const CORE: Self = Self { grouped: false };
    pub(crate) const GROUPED: Self = Self { grouped: true };
}

impl Strategy for Events {
    fn name_rule(&self) -> NameRule {
        if self.grouped { NameRule::Subdomain } else { NameRule::PathSegment }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
