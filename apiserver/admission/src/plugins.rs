//! The rules of a cluster, in order (upstream: `kubeapiserver/options: AllOrderedPlugins`, those on by default).

use std::sync::Arc;

use apiserver_access::{Authorizer, Rbac};

use crate::certificate_requester::CertificateRequester;
use crate::certificates::{CertificateApproval, CertificateSigning, CertificateSubjectRestriction};
use crate::default_ingress_class::DefaultIngressClass;
use crate::default_storage_class::DefaultStorageClass;
use crate::default_toleration_seconds::DefaultTolerationSeconds;
use crate::limit_ranger::LimitRanger;
use crate::mutating_webhook::MutatingAdmissionWebhook;
use crate::namespace_lifecycle::NamespaceLifecycle;
use crate::node_restriction::NodeRestriction;
use crate::persistent_volume_claim_resize::PersistentVolumeClaimResize;
use crate::plugin::Plugin;
use crate::pod_security::PodSecurity;
use crate::priority::Priority;
use crate::resource_quota::ResourceQuota;
use crate::role_escalation::RoleEscalation;
use crate::runtime_class::RuntimeClass;
use crate::service_account::ServiceAccount;
use crate::storage_object_in_use_protection::StorageObjectInUseProtection;
use crate::taint_nodes_by_condition::TaintNodesByCondition;
use crate::validating_admission_policy::ValidatingAdmissionPolicy;
use crate::validating_webhook::ValidatingAdmissionWebhook;

/// `authorizer` is asked by expressions that want to know what else the user may do.
pub fn all_ordered_plugins(rbac: Arc<Rbac>, authorizer: &Arc<dyn Authorizer>) -> Vec<Box<dyn Plugin>> {
    vec![
        Box::new(RoleEscalation(rbac)),
        Box::new(NamespaceLifecycle),
        Box::new(LimitRanger),
        Box::new(ServiceAccount),
        // Off by default upstream, on wherever there are kubelets.
        Box::new(NodeRestriction),
        Box::new(TaintNodesByCondition),
        Box::new(PodSecurity),
        Box::new(Priority),
        Box::new(DefaultTolerationSeconds),
        Box::new(DefaultStorageClass),
        Box::new(StorageObjectInUseProtection),
        Box::new(PersistentVolumeClaimResize),
        Box::new(RuntimeClass),
        Box::new(CertificateRequester),
        Box::new(CertificateApproval),
        Box::new(CertificateSigning),
        Box::new(CertificateSubjectRestriction),
        Box::new(DefaultIngressClass),
        // Those that ask others, and the charge, stay last.
        Box::new(MutatingAdmissionWebhook::new(authorizer.clone())),
        Box::new(ValidatingAdmissionPolicy::new(authorizer.clone())),
        Box::new(ValidatingAdmissionWebhook::new(authorizer.clone())),
        Box::new(ResourceQuota::default()),
    ]
}
