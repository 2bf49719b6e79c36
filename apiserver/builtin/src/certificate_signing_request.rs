//! `CertificateSigningRequest`.

use api_meta::validation::NameRule;
use apiserver_model::Strategy;

pub(crate) struct CertificateSigningRequests;

impl Strategy for CertificateSigningRequests {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn has_status(&self) -> bool {
        true
    }
}
