//! The table of built-in resources: names, verbs, subresources, storage.
//!
//! A resource that is not stored (reviews, bindings, component statuses) has
//! an empty storage prefix; its verbs are answered by the endpoints alone.

use std::sync::Arc;

use api_meta::{GroupVersion, GroupVersionKind, Object, Value};
use apiserver_model::{Column, Resource, ResourceInfo, Schema, Scope, Strategy, Subresource, Verb, schema};
use jiff::Timestamp;

use crate::{
    api_service::ApiServices,
    certificate_signing_request::CertificateSigningRequests,
    config_map::ConfigMaps,
    controller_revision::ControllerRevisions,
    cron_job::CronJobs,
    csi::{CsiDrivers, CsiNodes, CsiStorageCapacities},
    custom_resource_definition::CustomResourceDefinitions,
    daemon_set::DaemonSets,
    deployment::Deployments,
    dynamic_resource::{DeviceClasses, ResourceClaimTemplates, ResourceClaims, ResourceSlices},
    endpoint_slice::EndpointSlices,
    endpoints::Endpoints,
    event::Events,
    fields::FieldsExt,
    flow_control::{FlowSchemas, PriorityLevels},
    horizontal_pod_autoscaler::HorizontalPodAutoscalers,
    ingress::{IngressClasses, Ingresses},
    ip_address::{IpAddresses, ServiceCidrs},
    job::Jobs,
    lease::Leases,
    limit_range::LimitRanges,
    namespace::Namespaces,
    network_policy::NetworkPolicies,
    node::Nodes,
    persistent_volume::PersistentVolumes,
    persistent_volume_claim::PersistentVolumeClaims,
    pod::Pods,
    pod_disruption_budget::PodDisruptionBudgets,
    pod_template::PodTemplates,
    priority_class::PriorityClasses,
    rbac::{ClusterRoleBindings, ClusterRoles, RoleBindings, Roles},
    replica_set::{ReplicaSets, ReplicationControllers},
    resource_quota::ResourceQuotas,
    runtime_class::RuntimeClasses,
    secret::Secrets,
    service::Services,
    service_account::ServiceAccounts,
    stateful_set::StatefulSets,
    storage_class::{StorageClasses, VolumeAttributesClasses},
    table,
    volume_attachment::VolumeAttachments,
    webhook::WebhookConfigurations,
    webhook::policy::{AdmissionPolicies, AdmissionPolicyBindings},
};

const READ_WRITE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
const CONNECT: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

/// A kind that is answered without being stored.
struct Virtual;

impl Strategy for Virtual {}

/// Health of a control plane's parts, from before they had health checks of their own.
struct ComponentStatuses;

impl Strategy for ComponentStatuses {
    fn deprecation_warning(&self) -> Option<&str> {
        Some("v1 ComponentStatus is deprecated in v1.19+")
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("componentstatuses")
    }

    fn row(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let healthy = object.each("conditions").map(|(_, c)| c).find(|c| c.text("type") == "Healthy");
        let text = |key: &str| healthy.map_or("", |c| c.text(key));
        let status = match text("status") {
            "True" => "Healthy",
            "False" => "Unhealthy",
            _ => "Unknown",
        };
        vec![object.name().into(), status.into(), text("message").into(), text("error").into()]
    }
}

/// The resources of one group and version, one row each.
struct Group {
    group_version: GroupVersion,
    resources: Vec<Resource>,
}

/// One row while it is being written.
struct Row<'a> {
    info: ResourceInfo,
    strategy: Arc<dyn Strategy>,
    into: &'a mut Vec<Resource>,
}

impl Group {
    fn new(group: &str, version: &str) -> Self {
        Self { group_version: GroupVersion::new(group, version), resources: Vec::new() }
    }

    fn namespaced(&mut self, kind: &str, plural: &str, strategy: impl Strategy) -> Row<'_> {
        self.row(Scope::Namespaced, kind, plural, strategy)
    }

    fn cluster(&mut self, kind: &str, plural: &str, strategy: impl Strategy) -> Row<'_> {
        self.row(Scope::Cluster, kind, plural, strategy)
    }

    fn row(&mut self, scope: Scope, kind: &str, plural: &str, strategy: impl Strategy) -> Row<'_> {
        let info = ResourceInfo {
            group: self.group_version.group.clone(),
            version: self.group_version.version.clone(),
            kind: kind.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            list_kind: format!("{kind}List"),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope,
            verbs: Verb::ALL.to_vec(),
            subresources: Vec::new(),
            storage_prefix: plural.into(),
            storage_version: self.group_version.clone(),
        };
        let has_status = strategy.has_status();
        let row = Row { info, strategy: Arc::new(strategy), into: &mut self.resources };
        if has_status { row.part("status", READ_WRITE) } else { row }
    }
}

impl Row<'_> {
    fn short(mut self, names: &[&str]) -> Self {
        self.info.short_names = names.iter().map(|&n| n.into()).collect();
        self
    }

    fn category(mut self, name: &str) -> Self {
        self.info.categories.push(name.into());
        self
    }

    /// Shown by `kubectl get all`.
    fn in_all(self) -> Self {
        self.category("all")
    }

    /// Where upstream keeps it, if not under its plural.
    fn stored_at(mut self, prefix: &str) -> Self {
        self.info.storage_prefix = prefix.into();
        self
    }

    fn stored_as(mut self, group: &str, version: &str) -> Self {
        self.info.storage_version = GroupVersion::new(group, version);
        self
    }

    fn verbs(mut self, verbs: &[Verb]) -> Self {
        self.info.verbs = verbs.to_vec();
        self
    }

    fn not_stored(self, verbs: &[Verb]) -> Self {
        self.verbs(verbs).stored_at("")
    }

    /// A subresource that reads and writes the resource's own kind.
    fn part(self, name: &str, verbs: &[Verb]) -> Self {
        let kind = self.info.group_version_kind();
        self.subresource(name, kind, verbs)
    }

    /// A subresource of another kind of the same group and version.
    fn part_of_kind(self, name: &str, kind: &str, verbs: &[Verb]) -> Self {
        let kind = self.info.group_version().kind(kind);
        self.subresource(name, kind, verbs)
    }

    fn scale(self) -> Self {
        self.subresource("scale", GroupVersionKind::new("autoscaling", "v1", "Scale"), READ_WRITE)
    }

    fn subresource(mut self, name: &str, kind: GroupVersionKind, verbs: &[Verb]) -> Self {
        self.info.subresources.push(Subresource { name: name.into(), kind, verbs: verbs.to_vec() });
        self
    }

    fn add(mut self) {
        self.info.subresources.sort_by(|a, b| a.name.cmp(&b.name));
        let schema = schema(&self.info);
        self.into.push(Resource { info: Arc::new(self.info), schema, strategy: self.strategy });
    }
}

/// The schema of a built-in kind. A test holds that there is one for each.
fn schema(info: &ResourceInfo) -> Arc<Schema> {
    schema::builtin(&info.group, &info.version, &info.kind).unwrap_or_else(|| Arc::new(Schema::any()))
}

/// Every built-in resource in every served version, in discovery's order of groups.
pub fn resources() -> Vec<Resource> {
    [
        core(),
        apiregistration(),
        apps(),
        events(),
        authentication(),
        authorization(),
        autoscaling(),
        batch(),
        certificates(),
        networking(),
        policy(),
        rbac(),
        storage(),
        admissionregistration(),
        apiextensions(),
        scheduling(),
        coordination(),
        node(),
        discovery(),
        resource(),
        flowcontrol(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn core() -> Vec<Resource> {
    let mut v1 = Group::new("", "v1");
    v1.namespaced("Binding", "bindings", Virtual).not_stored(&[Verb::Create]).add();
    v1.cluster("ComponentStatus", "componentstatuses", ComponentStatuses)
        .short(&["cs"])
        .not_stored(&[Verb::Get, Verb::List])
        .add();
    v1.namespaced("ConfigMap", "configmaps", ConfigMaps).short(&["cm"]).add();
    v1.namespaced("Endpoints", "endpoints", Endpoints).short(&["ep"]).stored_at("services/endpoints").add();
    v1.namespaced("Event", "events", Events::CORE).short(&["ev"]).add();
    v1.namespaced("LimitRange", "limitranges", LimitRanges).short(&["limits"]).add();
    v1.cluster("Namespace", "namespaces", Namespaces)
        .short(&["ns"])
        .verbs(&[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch])
        .part("finalize", &[Verb::Update])
        .add();
    v1.cluster("Node", "nodes", Nodes)
        .short(&["no"])
        .stored_at("minions")
        .part_of_kind("proxy", "NodeProxyOptions", PROXY)
        .add();
    v1.namespaced("PersistentVolumeClaim", "persistentvolumeclaims", PersistentVolumeClaims).short(&["pvc"]).add();
    v1.cluster("PersistentVolume", "persistentvolumes", PersistentVolumes).short(&["pv"]).add();
    v1.namespaced("Pod", "pods", Pods)
        .short(&["po"])
        .in_all()
        .part_of_kind("attach", "PodAttachOptions", CONNECT)
        .part_of_kind("binding", "Binding", &[Verb::Create])
        .part("ephemeralcontainers", READ_WRITE)
        .subresource("eviction", GroupVersionKind::new("policy", "v1", "Eviction"), &[Verb::Create])
        .part_of_kind("exec", "PodExecOptions", CONNECT)
        .part("log", &[Verb::Get])
        .part_of_kind("portforward", "PodPortForwardOptions", CONNECT)
        .part_of_kind("proxy", "PodProxyOptions", PROXY)
        .part("resize", READ_WRITE)
        .add();
    v1.namespaced("PodTemplate", "podtemplates", PodTemplates).add();
    v1.namespaced("ReplicationController", "replicationcontrollers", ReplicationControllers)
        .short(&["rc"])
        .in_all()
        .stored_at("controllers")
        .scale()
        .add();
    v1.namespaced("ResourceQuota", "resourcequotas", ResourceQuotas).short(&["quota"]).add();
    v1.namespaced("Secret", "secrets", Secrets).add();
    v1.namespaced("ServiceAccount", "serviceaccounts", ServiceAccounts)
        .short(&["sa"])
        .subresource("token", GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest"), &[Verb::Create])
        .add();
    v1.namespaced("Service", "services", Services)
        .short(&["svc"])
        .in_all()
        .stored_at("services/specs")
        .part_of_kind("proxy", "ServiceProxyOptions", PROXY)
        .add();
    v1.resources
}

fn apiregistration() -> Vec<Resource> {
    let mut v1 = Group::new("apiregistration.k8s.io", "v1");
    v1.cluster("APIService", "apiservices", ApiServices)
        .category("api-extensions")
        .stored_at("apiregistration.k8s.io/apiservices")
        .add();
    v1.resources
}

fn apps() -> Vec<Resource> {
    let mut v1 = Group::new("apps", "v1");
    v1.namespaced("ControllerRevision", "controllerrevisions", ControllerRevisions).add();
    v1.namespaced("DaemonSet", "daemonsets", DaemonSets).short(&["ds"]).in_all().add();
    v1.namespaced("Deployment", "deployments", Deployments).short(&["deploy"]).in_all().scale().add();
    v1.namespaced("ReplicaSet", "replicasets", ReplicaSets).short(&["rs"]).in_all().scale().add();
    v1.namespaced("StatefulSet", "statefulsets", StatefulSets).short(&["sts"]).in_all().scale().add();
    v1.resources
}

fn events() -> Vec<Resource> {
    let mut v1 = Group::new("events.k8s.io", "v1");
    v1.namespaced("Event", "events", Events::GROUPED).short(&["ev"]).stored_as("", "v1").add();
    v1.resources
}

fn authentication() -> Vec<Resource> {
    let mut v1 = Group::new("authentication.k8s.io", "v1");
    v1.cluster("SelfSubjectReview", "selfsubjectreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.cluster("TokenReview", "tokenreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.resources
}

fn authorization() -> Vec<Resource> {
    let mut v1 = Group::new("authorization.k8s.io", "v1");
    v1.namespaced("LocalSubjectAccessReview", "localsubjectaccessreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.cluster("SelfSubjectAccessReview", "selfsubjectaccessreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.cluster("SelfSubjectRulesReview", "selfsubjectrulesreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.cluster("SubjectAccessReview", "subjectaccessreviews", Virtual).not_stored(&[Verb::Create]).add();
    v1.resources
}

fn autoscaling() -> Vec<Resource> {
    [("v2", HorizontalPodAutoscalers::V2), ("v1", HorizontalPodAutoscalers::V1)]
        .into_iter()
        .flat_map(|(version, strategy)| {
            let mut group = Group::new("autoscaling", version);
            group
                .namespaced("HorizontalPodAutoscaler", "horizontalpodautoscalers", strategy)
                .short(&["hpa"])
                .in_all()
                .stored_as("autoscaling", "v2")
                .add();
            group.resources
        })
        .collect()
}

fn batch() -> Vec<Resource> {
    let mut v1 = Group::new("batch", "v1");
    v1.namespaced("CronJob", "cronjobs", CronJobs).short(&["cj"]).in_all().add();
    v1.namespaced("Job", "jobs", Jobs).in_all().add();
    v1.resources
}

fn certificates() -> Vec<Resource> {
    let mut v1 = Group::new("certificates.k8s.io", "v1");
    v1.cluster("CertificateSigningRequest", "certificatesigningrequests", CertificateSigningRequests)
        .short(&["csr"])
        .part("approval", READ_WRITE)
        .add();
    v1.resources
}

fn networking() -> Vec<Resource> {
    let mut v1 = Group::new("networking.k8s.io", "v1");
    v1.cluster("IngressClass", "ingressclasses", IngressClasses).add();
    v1.namespaced("Ingress", "ingresses", Ingresses).short(&["ing"]).stored_at("ingress").add();
    v1.cluster("IPAddress", "ipaddresses", IpAddresses).short(&["ip"]).add();
    v1.namespaced("NetworkPolicy", "networkpolicies", NetworkPolicies).short(&["netpol"]).add();
    v1.cluster("ServiceCIDR", "servicecidrs", ServiceCidrs).add();
    v1.resources
}

fn policy() -> Vec<Resource> {
    let mut v1 = Group::new("policy", "v1");
    v1.namespaced("PodDisruptionBudget", "poddisruptionbudgets", PodDisruptionBudgets).short(&["pdb"]).add();
    v1.resources
}

fn rbac() -> Vec<Resource> {
    let mut v1 = Group::new("rbac.authorization.k8s.io", "v1");
    v1.cluster("ClusterRoleBinding", "clusterrolebindings", ClusterRoleBindings).add();
    v1.cluster("ClusterRole", "clusterroles", ClusterRoles).add();
    v1.namespaced("RoleBinding", "rolebindings", RoleBindings).add();
    v1.namespaced("Role", "roles", Roles).add();
    v1.resources
}

fn storage() -> Vec<Resource> {
    let mut v1 = Group::new("storage.k8s.io", "v1");
    v1.cluster("CSIDriver", "csidrivers", CsiDrivers).add();
    v1.cluster("CSINode", "csinodes", CsiNodes).add();
    v1.namespaced("CSIStorageCapacity", "csistoragecapacities", CsiStorageCapacities).add();
    v1.cluster("StorageClass", "storageclasses", StorageClasses).short(&["sc"]).add();
    v1.cluster("VolumeAttachment", "volumeattachments", VolumeAttachments).add();
    v1.cluster("VolumeAttributesClass", "volumeattributesclasses", VolumeAttributesClasses).short(&["vac"]).add();
    v1.resources
}

fn admissionregistration() -> Vec<Resource> {
    const CATEGORY: &str = "api-extensions";
    let mut v1 = Group::new("admissionregistration.k8s.io", "v1");
    v1.cluster("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", WebhookConfigurations::MUTATING)
        .category(CATEGORY)
        .add();
    v1.cluster("ValidatingAdmissionPolicy", "validatingadmissionpolicies", AdmissionPolicies).category(CATEGORY).add();
    v1.cluster("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", AdmissionPolicyBindings)
        .category(CATEGORY)
        .add();
    v1.cluster("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", WebhookConfigurations::VALIDATING)
        .category(CATEGORY)
        .add();
    v1.resources
}

fn apiextensions() -> Vec<Resource> {
    let mut v1 = Group::new("apiextensions.k8s.io", "v1");
    v1.cluster("CustomResourceDefinition", "customresourcedefinitions", CustomResourceDefinitions)
        .short(&["crd", "crds"])
        .category("api-extensions")
        .stored_at("apiextensions.k8s.io/customresourcedefinitions")
        .add();
    v1.resources
}

fn scheduling() -> Vec<Resource> {
    let mut v1 = Group::new("scheduling.k8s.io", "v1");
    v1.cluster("PriorityClass", "priorityclasses", PriorityClasses).short(&["pc"]).add();
    v1.resources
}

fn coordination() -> Vec<Resource> {
    let mut v1 = Group::new("coordination.k8s.io", "v1");
    v1.namespaced("Lease", "leases", Leases).add();
    v1.resources
}

fn node() -> Vec<Resource> {
    let mut v1 = Group::new("node.k8s.io", "v1");
    v1.cluster("RuntimeClass", "runtimeclasses", RuntimeClasses).add();
    v1.resources
}

fn discovery() -> Vec<Resource> {
    let mut v1 = Group::new("discovery.k8s.io", "v1");
    v1.namespaced("EndpointSlice", "endpointslices", EndpointSlices).add();
    v1.resources
}

fn resource() -> Vec<Resource> {
    let mut v1 = Group::new("resource.k8s.io", "v1");
    v1.cluster("DeviceClass", "deviceclasses", DeviceClasses).add();
    v1.namespaced("ResourceClaim", "resourceclaims", ResourceClaims).add();
    v1.namespaced("ResourceClaimTemplate", "resourceclaimtemplates", ResourceClaimTemplates).add();
    v1.cluster("ResourceSlice", "resourceslices", ResourceSlices).add();
    v1.resources
}

fn flowcontrol() -> Vec<Resource> {
    let mut v1 = Group::new("flowcontrol.apiserver.k8s.io", "v1");
    v1.cluster("FlowSchema", "flowschemas", FlowSchemas).add();
    v1.cluster("PriorityLevelConfiguration", "prioritylevelconfigurations", PriorityLevels).add();
    v1.resources
}
