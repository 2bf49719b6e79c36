use super::*;
use crate::schema::ListType;

#[track_caller]
fn at(schema: &Arc<Schema>, path: &str) -> Arc<Schema> {
    path.split('.').fold(Arc::clone(schema), |schema, step| {
        let next = match step {
            "[]" => schema.items.clone(),
            "{}" => schema.additional_properties.clone(),
            name => schema.properties.get(name).cloned(),
        };
        next.unwrap_or_else(|| panic!("nothing at {step} of {path}"))
    })
}

#[track_caller]
fn kind(group: &str, version: &str, kind: &str) -> Arc<Schema> {
    builtin(group, version, kind).unwrap_or_else(|| panic!("{group}/{version} {kind}"))
}

/// What discovery of a 1.34 server names.
#[test]
fn every_kind_of_discovery_has_a_schema() {
    let kinds = "
        /v1 Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node NodeProxyOptions
            PersistentVolume PersistentVolumeClaim Pod PodAttachOptions PodExecOptions PodPortForwardOptions
            PodProxyOptions PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
            ServiceProxyOptions DeleteOptions Status
        apps/v1 ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet DeleteOptions
        batch/v1 CronJob Job
        autoscaling/v1 HorizontalPodAutoscaler Scale
        autoscaling/v2 HorizontalPodAutoscaler
        networking.k8s.io/v1 IngressClass Ingress IPAddress NetworkPolicy ServiceCIDR
        rbac.authorization.k8s.io/v1 ClusterRoleBinding ClusterRole RoleBinding Role
        apiextensions.k8s.io/v1 CustomResourceDefinition
        coordination.k8s.io/v1 Lease
        authentication.k8s.io/v1 SelfSubjectReview TokenReview TokenRequest
        authorization.k8s.io/v1 LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview
        events.k8s.io/v1 Event
        apiregistration.k8s.io/v1 APIService
        certificates.k8s.io/v1 CertificateSigningRequest
        scheduling.k8s.io/v1 PriorityClass
        policy/v1 Eviction PodDisruptionBudget
        storage.k8s.io/v1 CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
        discovery.k8s.io/v1 EndpointSlice
        node.k8s.io/v1 RuntimeClass
        flowcontrol.apiserver.k8s.io/v1 FlowSchema PriorityLevelConfiguration
        admissionregistration.k8s.io/v1 MutatingWebhookConfiguration ValidatingWebhookConfiguration
            ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
        resource.k8s.io/v1 DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice
        meta.k8s.io/v1 CreateOptions UpdateOptions PatchOptions GetOptions ListOptions";
    let mut place = ("", "");
    for word in kinds.split_whitespace() {
        match word.split_once('/') {
            Some(group_version) => place = group_version,
            None => {
                let schema = kind(place.0, place.1, word);
                assert_eq!(schema.type_, Type::Object, "{word}");
                assert!(!schema.is_structural(), "{word}");
            }
        }
    }
}

#[test]
fn knows_no_other_kinds() {
    assert!(builtin("apps", "v1beta1", "Deployment").is_none());
    assert!(builtin("example.com", "v1", "Widget").is_none());
}

#[test]
fn facts_reach_the_fields() {
    let deployment = kind("apps", "v1", "Deployment");
    let containers = at(&deployment, "spec.template.spec.containers");
    assert_eq!(containers.list_type, ListType::Map(vec!["name".into()]));
    assert_eq!(containers.patch.merge_key.as_deref(), Some("name"));
    let ports = at(&containers, "[].ports");
    assert_eq!(ports.list_type, ListType::Map(vec!["containerPort".into(), "protocol".into()]));
    assert_eq!(at(&ports, "[].protocol").default, Some("TCP".into()));
    assert!(at(&deployment, "spec.strategy").patch.retain_keys);
    assert!(at(&deployment, "spec.selector").atomic);
    assert_eq!(at(&containers, "[].resources.limits.{}").type_, Type::Quantity);
    assert_eq!(at(&containers, "[].livenessProbe.httpGet.port").type_, Type::IntOrString);
    assert_eq!(at(&deployment, "metadata.finalizers").list_type, ListType::Set);
    assert_eq!(at(&deployment, "spec.template.spec.containers.[].command").list_type, ListType::Atomic);
}

#[test]
fn definitions_are_shared_between_kinds() {
    let template = |group, name| at(&kind(group, "v1", name), "spec.template.spec");
    assert!(Arc::ptr_eq(&template("apps", "Deployment"), &template("apps", "DaemonSet")));
    let plain = |path| at(&kind("", "v1", "Pod"), path);
    assert!(Arc::ptr_eq(&plain("spec.hostname"), &plain("spec.nodeName")));
}

#[test]
fn the_recursive_type_is_unrolled_and_ends() {
    let crd = kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let mut schema = at(&crd, "spec.versions.[].schema.openAPIV3Schema");
    let mut depth = 0;
    while let Some(properties) = schema.properties.get("properties") {
        schema = at(properties, "{}");
        depth += 1;
    }
    assert_eq!(depth, MAX_RECURSION);
    assert!(schema.preserve_unknown_fields);
    let items = at(&crd, "spec.versions.[].schema.openAPIV3Schema.items");
    assert!(items.properties.contains_key("properties") && items.items.is_some());
}

#[test]
fn what_go_always_writes() {
    let pod = kind("", "v1", "Pod");
    let always: Vec<_> = pod.go.as_ref().unwrap().always.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(always, ["metadata", "spec", "status"]);
    let mut service = api_meta::json!({"metadata": {"name": "a", "labels": {}}, "spec": {"ports": []}});
    kind("", "v1", "Service").tidy(&mut service);
    assert_eq!(service, api_meta::json!({"metadata": {"name": "a"}, "spec": {}, "status": {"loadBalancer": {}}}));
    let mut scale = api_meta::json!({"metadata": {}, "spec": {"replicas": 0}});
    kind("autoscaling", "v1", "Scale").tidy(&mut scale);
    assert_eq!(scale, api_meta::json!({"metadata": {}, "spec": {}, "status": {"replicas": 0}}));
}

#[test]
fn definitions_carry_upstreams_extensions() {
    let definitions = definitions();
    let container = &definitions["io.k8s.api.core.v1.Container"];
    let ports = &container["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-map-keys"], api_meta::json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(container["properties"]["args"]["x-kubernetes-list-type"], "atomic");
    let volumes = &definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(definitions["io.k8s.api.core.v1.ConfigMap"].get("required"), None);
    assert_eq!(definition_name("apps", "v1", "Deployment"), Some("io.k8s.api.apps.v1.Deployment"));
}

#[test]
fn definitions_have_the_names_that_their_types_give_them() {
    for kind in kinds::KINDS {
        let mut generator = SchemaSettings::openapi3().into_generator();
        (kind.generate)(&mut generator);
        assert!(generator.definitions().contains_key(kind.definition), "{}", kind.definition);
    }
}
