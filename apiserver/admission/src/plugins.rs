//! The rules of a cluster, in order (upstream: `kubeapiserver/options: AllOrderedPlugins`, those on by default).

use std::sync::Arc;

use apiserver_access::Rbac;

use crate::certificate_requester::CertificateRequester;
use crate::default_ingress_class::DefaultIngressClass;
use crate::default_storage_class::DefaultStorageClass;
use crate::default_toleration_seconds::DefaultTolerationSeconds;
use crate::limit_ranger::LimitRanger;
use crate::namespace_lifecycle::NamespaceLifecycle;
use crate::plugin::Plugin;
use crate::pod_security::PodSecurity;
use crate::priority::Priority;
use crate::resource_quota::ResourceQuota;
use crate::role_escalation::RoleEscalation;
use crate::runtime_class::RuntimeClass;
use crate::service_account::ServiceAccount;

pub fn all_ordered_plugins(rbac: Arc<Rbac>) -> Vec<Box<dyn Plugin>> {
    vec![
        Box::new(RoleEscalation(rbac)),
        Box::new(NamespaceLifecycle),
        Box::new(LimitRanger),
        Box::new(ServiceAccount),
        Box::new(PodSecurity),
        Box::new(Priority),
        Box::new(DefaultTolerationSeconds),
        Box::new(DefaultStorageClass),
        Box::new(RuntimeClass),
        Box::new(CertificateRequester),
        Box::new(DefaultIngressClass),
        Box::new(ResourceQuota::default()),
    ]
}
