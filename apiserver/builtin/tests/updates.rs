//! What may change and what may not, in upstream's words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::sync::Arc;

use api_meta::{Object, Value, json};
use apiserver_builtin::resources;
use apiserver_model::{Operation, Strategy};

fn strategy(plural: &str) -> Arc<dyn Strategy> {
    resources().into_iter().find(|r| r.info.plural == plural).unwrap().strategy
}

/// A stored object: what its creation leaves.
fn stored(plural: &str, sent: Value) -> Object {
    let mut object = Object::try_from(sent).unwrap();
    object.set_meta_str("uid", "6c1f8a9e-0000-4000-8000-000000000001");
    let strategy = strategy(plural);
    strategy.default(&mut object);
    strategy.prepare_for_create(&mut object);
    assert!(strategy.validate(&object).is_empty(), "{}", strategy.validate(&object));
    object.set_meta_str("resourceVersion", "1");
    object
}

fn merge(into: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            if !into.is_object() {
                *into = json!({});
            }
            for (key, value) in fields {
                if value.is_null() {
                    into.as_object_mut().unwrap().remove(key);
                } else {
                    merge(&mut into[key], value);
                }
            }
        }
        other => *into = other.clone(),
    }
}

/// The object after a merge patch, and what is wrong with that.
fn patched(plural: &str, old: &Object, patch: Value) -> (Object, Vec<String>) {
    let mut value = old.to_value();
    merge(&mut value, &patch);
    let mut new = Object::try_from(value).unwrap();
    let strategy = strategy(plural);
    strategy.default(&mut new);
    strategy.prepare_for_update(&mut new, old);
    let mut errors = strategy.validate(&new);
    errors.extend(strategy.validate_update(&new, old));
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let texts = errors.iter().map(|e| first_line(e.to_string())).collect();
    (new, texts)
}

#[track_caller]
fn check(plural: &str, old: &Object, patch: Value, expect: &[&str]) -> Object {
    let (new, errors) = patched(plural, old, patch);
    assert_eq!(errors, expect);
    new
}

fn pod() -> Object {
    stored(
        "pods",
        json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "main", "image": "registry.example/app:1"}],
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "activeDeadlineSeconds": 100,
            "schedulingGates": [{"name": "example.com/g"}]}}),
    )
}

fn deployment() -> Object {
    let labels = json!({"app": "demo"});
    stored(
        "deployments",
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]}}}}),
    )
}

fn service(spec: Value) -> Object {
    stored("services", json!({"metadata": {"name": "s"}, "spec": spec}))
}

#[test]
fn pods_change_little() {
    let old = pod();
    let mut container = old.at(&["spec", "containers", "0"]).cloned().unwrap_or(old["spec"]["containers"][0].clone());
    container["image"] = "registry.example/app:2".into();
    let new = check("pods", &old, json!({"spec": {"containers": [container]}}), &[]);
    assert_eq!(new.generation(), 2);
    container["env"] = json!([{"name": "A", "value": "1"}]);
    let forbidden = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                     existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                     previously negative)";
    check("pods", &old, json!({"spec": {"containers": [container]}}), &[forbidden]);
    check(
        "pods",
        &old,
        json!({"spec": {"containers": [container, {"name": "more", "image": "x"}]}}),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    check("pods", &old, json!({"spec": {"nodeSelector": {"x": "y"}}}), &[]);
    check("pods", &old, json!({"spec": {"schedulingGates": null}}), &[]);
    check(
        "pods",
        &old,
        json!({"spec": {"schedulingGates": [{"name": "example.com/h"}]}}),
        &["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate \
           'example.com/h'"],
    );
    check("pods", &old, json!({"spec": {"activeDeadlineSeconds": 50}}), &[]);
    check(
        "pods",
        &old,
        json!({"spec": {"activeDeadlineSeconds": 101}}),
        &["spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value"],
    );
    check("pods", &old, json!({"metadata": {"labels": {"a": "b"}}}), &[]);
}

#[test]
fn generations_follow_the_spec() {
    let old = deployment();
    assert_eq!(old.generation(), 1);
    assert_eq!(check("deployments", &old, json!({"spec": {"replicas": 3}}), &[]).generation(), 2);
    assert_eq!(check("deployments", &old, json!({"metadata": {"annotations": {"a": "b"}}}), &[]).generation(), 2);
    let labelled =
        check("deployments", &old, json!({"metadata": {"labels": {"a": "b"}}, "status": {"replicas": 3}}), &[]);
    assert_eq!((labelled.generation(), labelled.value_at("status")), (1, json!({})));
}

#[test]
fn versions_of_a_daemon_set_s_template_are_counted() {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let set = |count: Value| {
        json!({"metadata": {"name": "d", "annotations": {COUNT: count}}, "spec": {
            "selector": {"matchLabels": {"app": "demo"}}, "template": {"metadata": {"labels": {"app": "demo"}},
            "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]}}}})
    };
    let count = |object: &Object| object.annotation(COUNT).map(str::to_owned);
    assert_eq!(count(&stored("daemonsets", set(json!("-3")))).as_deref(), Some("1"));
    let mut plain = set(Value::Null);
    plain["metadata"].as_object_mut().unwrap().remove("annotations");
    let old = stored("daemonsets", plain);
    assert_eq!((count(&old).as_deref(), old.generation()), (Some("1"), 1));

    let check = |patch: Value, generations: (&str, i64)| {
        let new = check("daemonsets", &old, patch, &[]);
        assert_eq!((count(&new).as_deref(), new.generation()), (Some(generations.0), generations.1));
    };
    check(json!({"spec": {"template": {"spec": {"hostNetwork": true}}}}), ("2", 2));
    check(json!({"spec": {"minReadySeconds": 5}}), ("1", 2));
    // Nobody else counts.
    check(json!({"metadata": {"annotations": {COUNT: "7"}}}), ("1", 1));
    check(json!({"metadata": {"annotations": null}}), ("1", 1));
    let (_, errors) = patched("daemonsets", &old, json!({"metadata": {"annotations": {COUNT: "x"}}}));
    let wrong = format!("metadata.annotations[{COUNT}]: Invalid value: \"x\": must be an integer");
    assert_eq!(errors, [wrong]);

    let mut new = old.clone();
    new["spec"]["minReadySeconds"] = 5.into();
    new["metadata"]["annotations"] = json!({COUNT: "7", "a": "b"});
    new["status"]["numberReady"] = 1.into();
    strategy("daemonsets").prepare_for_status_update(&mut new, &old);
    assert_eq!((&new["spec"], count(&new).as_deref()), (&old["spec"], Some("1")));
    assert_eq!((new.annotation("a"), &new["status"]["numberReady"]), (Some("b"), &json!(1)));
}

trait ValueAt {
    fn value_at(&self, key: &str) -> Value;
}

impl ValueAt for Object {
    fn value_at(&self, key: &str) -> Value {
        self.get(key).cloned().unwrap_or_default()
    }
}

#[test]
fn selectors_stay() {
    let labels = json!({"app": "x"});
    check(
        "deployments",
        &deployment(),
        json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable"],
    );
}

#[test]
fn jobs_change_while_suspended() {
    let old = stored(
        "jobs",
        json!({"metadata": {"name": "j"}, "spec": {"suspend": true, "completions": 2, "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/app:1"}]}}}}),
    );
    check(
        "jobs",
        &old,
        json!({"spec": {"completions": 3}}),
        &["spec.completions: Invalid value: 3: field is immutable"],
    );
    check("jobs", &old, json!({"spec": {"parallelism": 5}}), &[]);
    check("jobs", &old, json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}), &[]);
    check(
        "jobs",
        &old,
        json!({"spec": {"completionMode": "Indexed"}}),
        &["spec.completionMode: Invalid value: \"Indexed\": field is immutable"],
    );
    let (_, errors) = patched("jobs", &old, json!({"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}}));
    assert!(errors.len() == 1 && errors[0].starts_with("spec.template: Invalid value: "), "{errors:?}");
}

#[test]
fn services_keep_their_address() {
    let old = service(json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.9"}));
    let set = "spec.clusterIPs[0]: Invalid value: ";
    check(
        "services",
        &old,
        json!({"spec": {"clusterIP": "10.96.77.77", "clusterIPs": ["10.96.77.77"]}}),
        &[&format!("{set}[\"10.96.77.77\"]: may not change once set")],
    );
    check(
        "services",
        &old,
        json!({"spec": {"clusterIP": "None"}}),
        &[&format!("{set}[\"None\"]: may not change once set")],
    );
    check(
        "services",
        &old,
        json!({"spec": {"ipFamilies": ["IPv6"]}}),
        &[&format!("{set}\"10.96.0.9\": expected an IPv6 value as indicated by `ipFamilies[0]`")],
    );
    let cleared = json!({"spec": {"clusterIP": null, "clusterIPs": null, "ipFamilies": null, "ipFamilyPolicy": null}});
    let kept = check("services", &old, cleared, &[]);
    assert_eq!(kept.value_at("spec"), old.value_at("spec"));
}

#[test]
fn services_lose_what_their_type_had() {
    let mut old = service(json!({"type": "NodePort", "ports": [{"port": 80}], "clusterIP": "10.96.0.9"}));
    old["spec"]["ports"][0]["nodePort"] = 30080.into();
    let kept = check("services", &old, json!({"spec": {"ports": [{"port": 81}]}}), &[]);
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], 30080);
    let inner = check("services", &old, json!({"spec": {"type": "ClusterIP"}}), &[]);
    assert_eq!(
        (&inner["spec"]["ports"][0]["nodePort"], &inner["spec"]["externalTrafficPolicy"]),
        (&Value::Null, &Value::Null)
    );
    let name = check("services", &old, json!({"spec": {"type": "ExternalName", "externalName": "example.org"}}), &[]);
    assert_eq!((&name["spec"]["clusterIP"], &name["spec"]["ipFamilies"]), (&Value::Null, &Value::Null));
    assert_eq!(name["spec"]["internalTrafficPolicy"], Value::Null);
}

#[test]
fn what_services_need() {
    let needs = |spec: Value| apiserver_builtin::service_needs(&service(spec));
    let ports = json!([{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 30001}]);
    let all = needs(json!({"type": "NodePort", "ports": ports}));
    assert_eq!((all.cluster_ip, &all.node_ports[..], all.health_check_node_port), (true, &[0][..], false));
    let local = needs(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 1}]}));
    assert!(local.health_check_node_port);
    assert_eq!(needs(json!({"clusterIP": "None"})), Default::default());
    assert_eq!(needs(json!({"type": "ExternalName", "externalName": "a.b"})), Default::default());
}

#[test]
fn other_kinds() {
    let secret = stored("secrets", json!({"metadata": {"name": "x"}}));
    let immutable = ["type: Invalid value: \"example.com/t\": field is immutable"];
    check("secrets", &secret, json!({"type": "example.com/t"}), &immutable);

    let frozen = stored("configmaps", json!({"metadata": {"name": "m"}, "data": {"a": "1"}, "immutable": true}));
    let text = "data: Forbidden: field is immutable when `immutable` is set";
    check("configmaps", &frozen, json!({"data": {"a": "2"}}), &[text]);

    let binding =
        stored("rolebindings", json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"}}));
    let role = "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\
                \"Name\":\"edit\"}: cannot change roleRef";
    check("rolebindings", &binding, json!({"roleRef": {"name": "edit"}}), &[role]);

    let class = stored("storageclasses", json!({"metadata": {"name": "c"}, "provisioner": "example.com/p"}));
    check(
        "storageclasses",
        &class,
        json!({"parameters": {"a": "b"}, "reclaimPolicy": "Retain"}),
        &[
            "parameters: Forbidden: updates to parameters are forbidden.",
            "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
        ],
    );
    check("storageclasses", &class, json!({"allowVolumeExpansion": true}), &[]);

    let claim = stored(
        "persistentvolumeclaims",
        json!({"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}}),
    );
    check(
        "persistentvolumeclaims",
        &claim,
        json!({"spec": {"accessModes": ["ReadWriteMany"]}}),
        &["spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName \
           for bound claims"],
    );
    check("persistentvolumeclaims", &claim, json!({"spec": {"volumeName": "pv"}}), &[]);
}

#[test]
fn status_writes_keep_the_rest() {
    let old = pod();
    let strategy = strategy("pods");
    let mut new = old.clone();
    new["spec"]["activeDeadlineSeconds"] = 1.into();
    new["metadata"]["labels"] = json!({"a": "b"});
    new.insert("status".into(), json!({"phase": "Running"}));
    strategy.prepare_for_status_update(&mut new, &old);
    assert_eq!(new["spec"], old["spec"]);
    assert_eq!(new.label("a"), Some("b"));
    assert_eq!(new["status"], json!({"phase": "Running", "qosClass": "BestEffort"}));
}

#[test]
fn namespaces_keep_their_finalizers() {
    let old = stored("namespaces", json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["example.com/hold"]}}));
    assert_eq!(old["spec"]["finalizers"], json!(["example.com/hold", "kubernetes"]));
    assert_eq!(old.label("kubernetes.io/metadata.name"), Some("n"));
    let new = check("namespaces", &old, json!({"spec": {"finalizers": []}}), &[]);
    assert_eq!(new["spec"], old["spec"]);
    let mut finalized = new.clone();
    finalized["spec"]["finalizers"] = json!([]);
    strategy("namespaces").prepare_for_subresource_update("finalize", &mut finalized, &old);
    assert_eq!(finalized["spec"]["finalizers"], json!([]));
}

#[test]
fn grace_periods() {
    let mut pod = pod();
    let strategy = strategy("pods");
    assert_eq!(strategy.grace_period_seconds(&pod, None), Some(0));
    pod["spec"]["nodeName"] = "n".into();
    assert_eq!(strategy.grace_period_seconds(&pod, None), Some(30));
    assert_eq!(strategy.grace_period_seconds(&pod, Some(5)), Some(5));
    assert_eq!(strategy.grace_period_seconds(&pod, Some(-5)), Some(1));
    pod["status"]["phase"] = "Succeeded".into();
    assert_eq!(strategy.grace_period_seconds(&pod, Some(5)), Some(0));
}

#[test]
fn warnings() {
    let of =
        |plural: &str, object: Value| strategy(plural).warnings(&Object::try_from(object).unwrap(), Operation::Create);
    let spec = json!({"containers": [{"name": "a", "env": [{"name": "X"}, {"name": "X"}]}],
                      "volumes": [{"name": "v"}, {"name": "w", "rbd": {}}]});
    assert_eq!(
        of("pods", json!({"metadata": {"name": "p"}, "spec": spec})),
        [
            "spec.volumes[1].rbd: deprecated in v1.28, non-functional in v1.31+",
            "spec.containers[0].env[1]: hides previous definition of \"X\", which may be dropped when using apply"
        ]
    );
    let deployment = of("deployments", json!({"metadata": {"name": "a.b"}, "spec": {"template": {"spec": spec}}}));
    assert_eq!(
        deployment[0],
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
         is recommended: [must not contain dots]"
    );
    assert!(deployment[1].starts_with("spec.template.spec.volumes[1].rbd: "));
    assert_eq!(
        of("secrets", json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "eA==", "tls.key": "eQ=="}})),
        ["tls: failed to find any PEM data in certificate input"]
    );
    assert!(strategy("endpoints").deprecation_warning().is_some());
}

#[test]
fn signing_requests_are_judged_once() {
    let old = stored(
        "certificatesigningrequests",
        json!({"metadata": {"name": "r"}, "spec": {
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
            "signerName": "example.com/signer",
            "usages": ["client auth"]}}),
    );
    let strategy = strategy("certificatesigningrequests");
    let judge = |from: &Object, conditions: Value| {
        let mut new = from.clone();
        new["status"]["conditions"] = conditions;
        new["spec"]["signerName"] = "example.com/other".into();
        strategy.prepare_for_subresource_update("approval", &mut new, from);
        let errors = strategy.validate_subresource_update("approval", &new, from);
        (new, errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let (approved, errors) = judge(&old, json!([{"type": "Approved", "status": "True"}]));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(approved["spec"], old["spec"]);
    let (_, errors) = judge(&approved, json!([]));
    assert_eq!(errors, ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]);
    let both = json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]);
    assert_eq!(
        judge(&approved, both).1,
        ["status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"]
    );
    // The signer's part is not the approver's: a status write cannot approve.
    let mut sneaky = old.clone();
    sneaky["status"]["conditions"] = json!([{"type": "Approved", "status": "True"}]);
    strategy.prepare_for_status_update(&mut sneaky, &old);
    assert_eq!(sneaky["status"]["conditions"], json!([]));
}

#[test]
fn webhooks_say_how_they_are_reached() {
    let strategy = strategy("validatingwebhookconfigurations");
    let mut object = Object::try_from(json!({"webhooks": [{
        "name": "short", "clientConfig": {"url": "http://x"}, "timeoutSeconds": 31, "sideEffects": "Some",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["READ"], "resources": ["pods"]}]}]}))
    .unwrap();
    strategy.default(&mut object);
    let fields: Vec<_> = strategy.validate(&object).iter().map(|e| e.field.to_string()).collect();
    assert_eq!(
        fields,
        [
            "webhooks[0].name",
            "webhooks[0].admissionReviewVersions",
            "webhooks[0].rules[0].operations[0]",
            "webhooks[0].sideEffects",
            "webhooks[0].timeoutSeconds",
            "webhooks[0].clientConfig.url",
        ]
    );
}

#[test]
fn events_are_one_object_in_two_forms() {
    let event = |plural_of: bool, value: Value| {
        let group = if plural_of { "events.k8s.io" } else { "" };
        let found = resources().into_iter().find(|r| r.info.plural == "events" && r.info.group == group).unwrap();
        let mut object = Object::try_from(value).unwrap();
        found.strategy.default(&mut object);
        (found, object)
    };
    let about = json!({"kind": "Pod", "name": "p", "namespace": "n"});
    let (core, stored) = event(
        false,
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a", "namespace": "n"},
               "involvedObject": about, "reason": "Started", "message": "it started", "count": 3,
               "source": {"component": "me"}, "lastTimestamp": "2001-01-01T00:00:05Z"}),
    );
    let (grouped, _) = event(true, json!({}));
    let seen = core.strategy.convert(stored.clone(), &grouped.info.group_version());
    assert_eq!(
        (&seen["note"], &seen["deprecatedCount"], &seen["regarding"]),
        (&json!("it started"), &json!(3), &about)
    );
    assert!(seen.get("reportingController").is_none() && seen.get("message").is_none());
    assert_eq!(grouped.strategy.convert(seen.clone(), &core.info.group_version()), stored);
    assert_eq!(core.strategy.field(&stored, "involvedObject.name").as_deref(), Some("p"));
    assert_eq!(core.strategy.field(&stored, "source").as_deref(), Some("me"));
    assert_eq!(grouped.strategy.field(&seen, "regarding.name").as_deref(), Some("p"));

    let (grouped, new) = event(true, json!({"metadata": {"name": "c", "namespace": "n"}, "regarding": about}));
    let errors: Vec<_> = grouped.strategy.validate(&new).iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["eventTime: Required value", "type: Invalid value: \"\": has invalid value: "]);
    let (core, other) = event(false, json!({"metadata": {"name": "d", "namespace": "m"}, "involvedObject": about}));
    assert_eq!(
        core.strategy.validate(&other).to_string(),
        "involvedObject.namespace: Invalid value: \"n\": does not match event.namespace"
    );
}
