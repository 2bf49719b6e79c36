//! Admission by others: webhook configurations and validating admission policies.

use apiserver_model::Strategy;

pub(crate) struct WebhookConfigurations {
    mutating: bool,
}

impl WebhookConfigurations {
    pub(crate) const MUTATING: Self = Self { mutating: true };
    pub(crate) const VALIDATING: Self = Self { mutating: false };
}

impl Strategy for WebhookConfigurations {
    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

pub(crate) struct AdmissionPolicies;

impl Strategy for AdmissionPolicies {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

pub(crate) struct AdmissionPolicyBindings;

impl Strategy for AdmissionPolicyBindings {
    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
