//! The built-in kinds that have a schema of their own in OpenAPI.

use schemars::{JsonSchema, SchemaGenerator};

use super::KindKey;

pub(super) struct Kind {
    pub(super) key: KindKey,
    /// The name of its OpenAPI definition. Not asked of the type: asking sixty types touches as many pages of code.
    pub(super) definition: &'static str,
    /// Adds its definition and those it refers to.
    pub(super) generate: fn(&mut SchemaGenerator),
}

fn generate<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

macro_rules! kind {
    ($group:literal, $version:literal, $package:literal, ($($module:tt)+), $kind:ident) => {
        Kind {
            key: ($group, $version, stringify!($kind)),
            definition: concat!($package, ".", stringify!($kind)),
            generate: generate::<$($module)+::$kind>,
        }
    };
}

macro_rules! kinds {
    ($($group:literal / $version:literal => $package:literal $module:tt [$($kind:ident),+ $(,)?];)+) => {
        &[$($(kind!($group, $version, $package, $module, $kind),)+)+]
    };
}

pub(super) const KINDS: &[Kind] = kinds! {
    "admissionregistration.k8s.io" / "v1" => "io.k8s.api.admissionregistration.v1" (k8s_openapi::api::admissionregistration::v1) [MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration];
    "apps" / "v1" => "io.k8s.api.apps.v1" (k8s_openapi::api::apps::v1) [ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet];
    "authentication.k8s.io" / "v1" => "io.k8s.api.authentication.v1" (k8s_openapi::api::authentication::v1) [SelfSubjectReview, TokenRequest, TokenReview];
    "authorization.k8s.io" / "v1" => "io.k8s.api.authorization.v1" (k8s_openapi::api::authorization::v1) [LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview];
    "autoscaling" / "v1" => "io.k8s.api.autoscaling.v1" (k8s_openapi::api::autoscaling::v1) [HorizontalPodAutoscaler, Scale];
    "autoscaling" / "v2" => "io.k8s.api.autoscaling.v2" (k8s_openapi::api::autoscaling::v2) [HorizontalPodAutoscaler];
    "batch" / "v1" => "io.k8s.api.batch.v1" (k8s_openapi::api::batch::v1) [CronJob, Job];
    "certificates.k8s.io" / "v1" => "io.k8s.api.certificates.v1" (k8s_openapi::api::certificates::v1) [CertificateSigningRequest];
    "coordination.k8s.io" / "v1" => "io.k8s.api.coordination.v1" (k8s_openapi::api::coordination::v1) [Lease];
    "" / "v1" => "io.k8s.api.core.v1" (k8s_openapi::api::core::v1) [Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount];
    "discovery.k8s.io" / "v1" => "io.k8s.api.discovery.v1" (k8s_openapi::api::discovery::v1) [EndpointSlice];
    "events.k8s.io" / "v1" => "io.k8s.api.events.v1" (k8s_openapi::api::events::v1) [Event];
    "flowcontrol.apiserver.k8s.io" / "v1" => "io.k8s.api.flowcontrol.v1" (k8s_openapi::api::flowcontrol::v1) [FlowSchema, PriorityLevelConfiguration];
    "networking.k8s.io" / "v1" => "io.k8s.api.networking.v1" (k8s_openapi::api::networking::v1) [IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR];
    "node.k8s.io" / "v1" => "io.k8s.api.node.v1" (k8s_openapi::api::node::v1) [RuntimeClass];
    "policy" / "v1" => "io.k8s.api.policy.v1" (k8s_openapi::api::policy::v1) [Eviction, PodDisruptionBudget];
    "rbac.authorization.k8s.io" / "v1" => "io.k8s.api.rbac.v1" (k8s_openapi::api::rbac::v1) [ClusterRole, ClusterRoleBinding, Role, RoleBinding];
    "resource.k8s.io" / "v1" => "io.k8s.api.resource.v1" (k8s_openapi::api::resource::v1) [DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice];
    "scheduling.k8s.io" / "v1" => "io.k8s.api.scheduling.v1" (k8s_openapi::api::scheduling::v1) [PriorityClass];
    "storage.k8s.io" / "v1" => "io.k8s.api.storage.v1" (k8s_openapi::api::storage::v1) [CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass];
    "apiextensions.k8s.io" / "v1" => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" (k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1) [CustomResourceDefinition];
    "apiregistration.k8s.io" / "v1" => "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1" (k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1) [APIService];
    "" / "v1" => "io.k8s.apimachinery.pkg.apis.meta.v1" (k8s_openapi::apimachinery::pkg::apis::meta::v1) [DeleteOptions, Status];
};
