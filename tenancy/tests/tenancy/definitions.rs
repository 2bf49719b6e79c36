//! What the definitions of the platform's kinds refuse.

use kube::Client;
use serde_json::{Value, json};

use crate::support::{api_of, apply, cluster, create, refusal};

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let version = match kind {
        "RoleTemplate" => "auth.alauda.io/v1beta1",
        "NamespaceResourceRatio" => "resource.alauda.io/v1",
        "Cluster" => "cluster.x-k8s.io/v1beta1",
        _ => "auth.alauda.io/v1",
    };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    if ["NamespaceResourceRatio", "Cluster"].contains(&kind) {
        object["metadata"]["namespace"] = json!("default");
    }
    object
}

/// Creates each; what is to be refused says a part of why.
async fn check(client: &Client, kind: &str, cases: &[(&str, Value, Result<(), &str>)]) {
    for (name, spec, expect) in cases {
        let result = create(client, &object(kind, name, spec.clone())).await;
        match expect {
            Ok(()) => drop(result.unwrap_or_else(|error| panic!("{kind} {name} {spec}: {error}"))),
            Err(why) => {
                let (code, message) = refusal(result);
                assert!(code == 422 && message.contains(why), "{kind} {name} {spec}: {code} {message}");
            }
        }
    }
}

#[tokio::test]
async fn projects() {
    let cluster = cluster().await;
    let clusters = |quota: Value| json!({"clusters": [{"name": "eu", "quota": quota}]});
    let keys = Err("has the keys of a ResourceQuota");
    check(
        &cluster.admin(),
        "Project",
        &[
            ("shop", json!({}), Ok(())),
            ("full", json!({"clusters": [{"name": "eu", "type": "x", "quota": {"pods": 2, "requests.cpu": "1500m"}}, {"name": "us", "quota": {}}], "clusterDeletePolicy": "Delete"}), Ok(())),
            ("extended", clusters(json!({"requests.nvidia.com/gpu": "4", "gold.storageclass.storage.k8s.io/requests.storage": "1Ti"})), Ok(())),
            ("default", json!({}), Err("belongs to Kubernetes or to the platform")),
            ("cpaas-system", json!({}), Err("belongs to Kubernetes or to the platform")),
            ("kube-node-lease", json!({}), Err("belongs to Kubernetes or to the platform")),
            ("a.b", json!({}), Err("at most 63 lower-case letters")),
            (&"x".repeat(64), json!({}), Err("at most 63 lower-case letters")),
            ("twice", json!({"clusters": [{"name": "eu", "quota": {}}, {"name": "eu", "quota": {}}]}), Err("names a cluster twice")),
            ("keys", clusters(json!({"gpu": "1"})), keys),
            ("words", clusters(json!({"pods": "many"})), Err("should match")),
            ("negative", clusters(json!({"pods": "-1"})), Err("should match")),
            ("below", clusters(json!({"pods": -1})), Err("greater than or equal to 0")),
            ("policy", json!({"clusterDeletePolicy": "Forget"}), Err("Unsupported value")),
        ],
    )
    .await;
    check(
        &cluster.admin(),
        "ProjectQuota",
        &[("shop", json!({"hard": {"pods": "2"}}), Ok(())), ("keys", json!({"hard": {"gpu": "1"}}), keys)],
    )
    .await;
}

#[tokio::test]
async fn bindings() {
    let cluster = cluster().await;
    let ann = json!([{"kind": "User", "name": "ann@example.org"}]);
    let dev = json!([{"kind": "Group", "name": "dev"}]);
    let spec = |subjects: &Value, scope: &str, constraint: Value| json!({"subjects": subjects, "roleRef": "r", "scope": scope, "constraint": constraint});
    let place = |project: &str, cluster: &str, namespace: &str| json!([{"project": project, "cluster": cluster, "namespace": namespace}]);
    let whom = |kind: &str, name: &str| json!([{"kind": kind, "name": name}]);
    let reserved = Err("belong to Kubernetes and to the platform");
    let cases = [
        ("labels", json!({}), Ok(())),
        ("platform", spec(&ann, "platform", json!([])), Ok(())),
        ("platform-where", spec(&ann, "platform", place("", "eu", "")), Err("given everywhere")),
        ("cluster", spec(&ann, "cluster", json!([{"cluster": "eu"}, {"cluster": "us"}])), Ok(())),
        ("cluster-empty", spec(&ann, "cluster", place("", "eu", "")), Ok(())),
        ("cluster-hub", spec(&ann, "cluster", place("", "global", "")), Err("cannot be global")),
        ("cluster-none", spec(&ann, "cluster", json!([])), Err("in the clusters of")),
        ("cluster-project", spec(&ann, "cluster", place("shop", "eu", "")), Err("in the clusters of")),
        ("project", spec(&dev, "project", place("shop", "", "")), Ok(())),
        ("project-narrow", spec(&dev, "project", place("shop", "eu", "")), Ok(())),
        ("project-none", spec(&dev, "project", place("", "eu", "")), Err("in the projects of")),
        ("project-namespace", spec(&dev, "project", place("shop", "eu", "shop-a")), Err("in the projects of")),
        ("namespace", spec(&dev, "namespace", place("shop", "eu", "shop-a")), Ok(())),
        (
            "namespace-anywhere",
            spec(&dev, "namespace", place("shop", "", "shop-a")),
            Err("has project, cluster and namespace"),
        ),
        (
            "namespace-nobodys",
            spec(&dev, "namespace", place("", "eu", "shop-a")),
            Err("has project, cluster and namespace"),
        ),
        ("nobody", spec(&json!([]), "platform", json!([])), Err("subjects, roleRef and scope")),
        ("half", json!({"roleRef": "r"}), Err("subjects, roleRef and scope")),
        ("level", spec(&ann, "galaxy", json!([])), Err("Unsupported value")),
        ("case", spec(&whom("User", "Ann@example.org"), "platform", json!([])), Err("in lower case")),
        ("masters", spec(&whom("Group", "system:masters"), "platform", json!([])), reserved),
        ("masters-case", spec(&whom("Group", "System:Masters"), "platform", json!([])), reserved),
        ("hub", spec(&whom("User", "acp:hub:fleet"), "platform", json!([])), reserved),
        ("everybody", spec(&whom("Group", "cpaas:users"), "platform", json!([])), reserved),
        ("account", spec(&whom("ServiceAccount", "x"), "platform", json!([])), Err("Unsupported value")),
        ("unnamed", spec(&whom("User", ""), "platform", json!([])), Err("at least 1")),
    ];
    check(&cluster.admin(), "UserBinding", &cases).await;
    let groups = Err("of a GroupBinding are groups");
    check(
        &cluster.admin(),
        "GroupBinding",
        &[("dev", spec(&dev, "platform", json!([])), Ok(())), ("ann", spec(&ann, "platform", json!([])), groups)],
    )
    .await;
}

#[tokio::test]
async fn what_a_binding_gives_never_changes() {
    let cluster = cluster().await;
    let admin = cluster.admin();
    let spec = |role: &str| json!({"subjects": [{"kind": "User", "name": "ann@example.org"}], "roleRef": role, "scope": "platform"});
    let binding = object("UserBinding", "b", spec("platform-auditor-system"));
    apply(&admin, &binding).await.unwrap();
    apply(&admin, &binding).await.unwrap();
    for changed in [object("UserBinding", "b", spec("platform-admin-system")), object("UserBinding", "b", json!({}))] {
        let (code, message) = refusal(apply(&admin, &changed).await);
        assert!(code == 422 && message.contains("delete this binding and create another"), "{code} {message}");
    }
    let mut bare = object("UserBinding", "l", json!({}));
    bare.as_object_mut().unwrap().remove("spec");
    let made = apply(&admin, &bare).await.unwrap();
    assert_eq!(made.data["spec"], json!({}));
    let (code, _) = refusal(apply(&admin, &object("UserBinding", "l", spec("platform-admin-system"))).await);
    assert_eq!(code, 422);
}

#[tokio::test]
async fn templates_and_ratios() {
    let cluster = cluster().await;
    let aggregation =
        |selector: Value| json!({"aggregationRules": [{"scope": "cluster", "clusterRoleSelectors": [selector]}]});
    let custom = |rule: Value| json!({"customRules": [rule]});
    let all = Err("nearly all roles");
    let shape = Err("apiGroups with resources, or nonResourceURLs");
    check(
        &cluster.admin(),
        "RoleTemplate",
        &[
            ("labels", aggregation(json!({"matchLabels": {"a": "b"}})), Ok(())),
            ("expression", aggregation(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]})), Ok(())),
            ("everything", aggregation(json!({})), all),
            ("all-but", aggregation(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]})), all),
            ("nothing", json!({"aggregationRules": [{"scope": "cluster", "clusterRoleSelectors": []}]}), all),
            ("where", json!({"aggregationRules": [{"scope": "moon"}]}), Err("Unsupported value")),
            ("functions", json!({"rules": [{"functionResourceRef": "acp-app", "verbs": ["get"]}]}), Ok(())),
            ("both", json!({"rules": [{"functionResourceRef": "f"}], "aggregationRules": [{"scope": "cluster", "clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}]}), Err("not both")),
            ("custom", custom(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})), Ok(())),
            ("urls", custom(json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]})), Ok(())),
            ("verbs", custom(json!({"apiGroups": [""], "resources": ["pods"], "verbs": []})), Err("has verbs")),
            ("groups", custom(json!({"resources": ["pods"], "verbs": ["get"]})), shape),
            ("mixed", custom(json!({"apiGroups": [""], "resources": ["pods"], "nonResourceURLs": ["/x"], "verbs": ["get"]})), shape),
            (&"x".repeat(64), json!({}), Err("at most 63 characters")),
        ],
    )
    .await;
    check(
        &cluster.admin(),
        "NamespaceResourceRatio",
        &[
            ("r", json!({"cpu": 3, "memory": 0}), Ok(())),
            ("inherits", json!({}), Ok(())),
            ("fraction", json!({"cpu": 1.5, "memory": 1000}), Ok(())),
            ("negative", json!({"cpu": -1}), Err("greater than or equal to 0")),
            ("large", json!({"memory": 1000.5}), Err("less than or equal to 1000")),
            ("small", json!({"memory": 0.5}), Err("spec.memory is 0, and requests are left alone, or from 1 to 1000")),
            ("text", json!({"cpu": "2"}), Err("must be of type number")),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_ratio_of_a_cluster() {
    let cluster = cluster().await;
    let says =
        |ratio: Value| json!({"properties": {"oversoldRatio": ratio, "maxNodePodNum": 110}, "topology": {"x": 1}});
    let number = Err("or from \"1\" to \"1000\" with at most three decimals");
    let cases = [
        ("none", says(json!({})), Ok(())),
        ("both", says(json!({"cpu": "2", "memory": "1.5"})), Ok(())),
        ("bounds", says(json!({"cpu": "0", "memory": "1000"})), Ok(())),
        ("thousandths", says(json!({"cpu": "999.999", "memory": "1000.000"})), Ok(())),
        ("gpu", says(json!({"cpu": "2", "gpu": "2"})), Err("oversoldRatio has the keys cpu and memory, and no others")),
        ("whole", says(json!({"cpu": 2})), Err("spec.properties.oversoldRatio.cpu")),
        ("large", says(json!({"cpu": "1001"})), number),
        ("larger", says(json!({"cpu": "1000.001"})), number),
        ("small", says(json!({"cpu": "0.5"})), number),
        ("negative", says(json!({"memory": "-1"})), number),
        ("words", says(json!({"memory": "twice"})), number),
        ("fine", says(json!({"memory": "1.0001"})), number),
        ("padded", says(json!({"memory": "1 "})), number),
        ("empty", says(json!({"memory": ""})), number),
        ("long", says(json!({"memory": "1".repeat(17)})), Err("spec.properties.oversoldRatio.memory")),
    ];
    check(&cluster.admin(), "Cluster", &cases).await;
    // One error is told, and what others have put beside it stays.
    let (_, message) =
        refusal(create(&cluster.admin(), &object("Cluster", "one", says(json!({"cpu": "x", "gpu": "y"})))).await);
    assert_eq!(message.matches("oversoldRatio:").count(), 2, "{message}");
    let kept = api_of(&cluster.admin(), &object("Cluster", "", json!({}))).get("both").await.unwrap();
    assert_eq!(kept.data["spec"], says(json!({"cpu": "2", "memory": "1.5"})));
    // What the definition lets pass is read as it is meant.
    for (name, spec, expect) in &cases {
        let spec: Result<api_types::cluster::ClusterSpec, _> = serde_json::from_value(spec.clone());
        let ratio = spec.ok().and_then(|spec| spec.properties?.ratio().ok());
        assert_eq!(ratio.is_some(), expect.is_ok() || *name == "gpu", "{name}");
    }
}
