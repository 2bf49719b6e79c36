use api_types::tenancy::{AGGREGATE_TO, AGGREGATE_TO_SCOPE, AggregationRule, FunctionRule, RoleTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use serde_json::{Value, from_value};

use super::*;

const READ: [&str; 3] = ["get", "list", "watch"];

fn shipped(name: &str) -> Template {
    let template = shipped_templates().into_iter().find(|template| template.name_any() == name).unwrap();
    Template::read(&template).unwrap()
}

fn native(objects: &[Object]) -> Vec<ClusterRole> {
    objects.iter().map(|object| from_value(object.body().clone()).unwrap()).collect()
}

/// What a shipped template gives in a scope, with the platform's own rules alone.
fn rules(template: &str, scope: RoleScope) -> Vec<PolicyRule> {
    shipped(template).rules(scope, &native(&base_roles(true)))
}

fn allows(rules: &[PolicyRule], verb: &str, group: &str, resource: &str) -> bool {
    let has =
        |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|item| item == "*" || item == wanted);
    rules.iter().any(|rule| {
        rule.verbs.iter().any(|item| item == "*" || item == verb)
            && has(&rule.api_groups, group)
            && has(&rule.resources, resource)
    })
}

#[test]
fn what_the_shipped_roles_may() {
    use RoleScope::{BusinessNs as Business, Cluster, ProjectNs};
    let rbac = "rbac.authorization.k8s.io";
    let auth = "auth.alauda.io";
    let (platform, auditor, cluster) = ("platform-admin-system", "platform-auditor-system", "cluster-admin-system");
    let (project, admin, developer) = ("project-admin-system", "namespace-admin-system", "namespace-developer-system");
    #[rustfmt::skip]
    let table: &[(&str, RoleScope, &str, &str, &str, bool)] = &[
        (platform, Cluster, "delete", "", "nodes", true),
        (platform, Cluster, "update", auth, "namespacesecurity", true),
        (platform, Cluster, "update", auth, "managedobjects", true),
        (cluster, Cluster, "update", auth, "namespacesecurity", true),
        (cluster, Cluster, "escalate", rbac, "clusterroles", true),
        // Auditors read everything that is no credential, and open nothing.
        (auditor, Cluster, "list", "", "pods", true),
        (auditor, Cluster, "get", "", "pods/log", true),
        (auditor, Cluster, "get", "", "secrets", false),
        (auditor, Cluster, "list", "", "secrets", false),
        (auditor, Cluster, "get", "", "pods/exec", false),
        (auditor, Cluster, "get", "", "nodes/proxy", false),
        (auditor, Cluster, "get", "", "services/proxy", false),
        (auditor, Cluster, "get", rbac, "clusterrolebindings", true),
        (auditor, Cluster, "list", auth, "userbindings", true),
        (auditor, Cluster, "delete", auth, "accesstokeninfos", true),
        (auditor, Cluster, "delete", auth, "userbindings", false),
        (auditor, Cluster, "create", auth, "projectnamespaces", false),
        // A project's administrators look after namespaces and members, and work in none of them by this role.
        (project, Cluster, "create", "", "namespaces", true),
        (project, Cluster, "list", "", "namespaces", false),
        (project, Cluster, "list", "storage.k8s.io", "storageclasses", true),
        (project, ProjectNs, "create", auth, "projectnamespaces", true),
        (project, ProjectNs, "delete", auth, "projectnamespaces", true),
        (project, ProjectNs, "update", auth, "projects", true),
        (project, ProjectNs, "delete", auth, "projects", false),
        (project, ProjectNs, "update", auth, "projectclusters", false),
        (project, ProjectNs, "update", "", "namespaces", false),
        (project, ProjectNs, "bind", auth, "roletemplates", true),
        (project, Business, "update", "", "namespaces", true),
        (project, Business, "delete", "", "namespaces", true),
        (project, Business, "create", "", "resourcequotas", true),
        (project, Business, "get", "", "secrets", false),
        (project, Business, "create", "", "pods", false),
        (project, Business, "create", "", "pods/exec", false),
        (project, Business, "update", auth, "namespacesecurity", false),
        (project, Business, "create", rbac, "rolebindings", false),
        (admin, Business, "update", "", "namespaces", true),
        (admin, Business, "delete", "", "namespaces", false),
        (admin, Business, "create", rbac, "rolebindings", true),
        (admin, Business, "escalate", rbac, "roles", false),
        (admin, Business, "bind", rbac, "clusterroles", false),
        (admin, Business, "get", "", "secrets", true),
        (admin, Business, "create", "", "serviceaccounts/token", true),
        (admin, Business, "update", "", "resourcequotas", false),
        (admin, Business, "create", auth, "userbindings", true),
        (admin, Business, "bind", auth, "roletemplates", true),
        (admin, Business, "create", "", "endpoints", false),
        (admin, Business, "create", "discovery.k8s.io", "endpointslices", false),
        (admin, ProjectNs, "get", auth, "projects", true),
        (admin, ProjectNs, "update", auth, "projects", false),
        (admin, ProjectNs, "create", auth, "projectnamespaces", false),
        (admin, Cluster, "create", "", "namespaces", false),
        (developer, Business, "create", "apps", "deployments", true),
        (developer, Business, "update", "apps", "deployments/scale", true),
        (developer, Business, "create", "", "pods/exec", true),
        (developer, Business, "get", "", "secrets", true),
        (developer, Business, "create", "app.k8s.io", "applications", true),
        (developer, Business, "create", "", "serviceaccounts", false),
        (developer, Business, "create", rbac, "rolebindings", false),
        (developer, Business, "get", rbac, "rolebindings", true),
        (developer, Business, "create", "networking.k8s.io", "networkpolicies", false),
        (developer, Business, "update", "", "namespaces", false),
        (developer, Business, "list", auth, "userbindings", true),
        (developer, Business, "create", auth, "userbindings", false),
        (developer, Business, "bind", auth, "roletemplates", false),
    ];
    for (template, scope, verb, group, resource, expect) in table {
        let is = allows(&rules(template, *scope), verb, group, resource);
        assert_eq!(is, *expect, "{template} {} {verb} {group}/{resource}", scope.as_str());
    }
}

#[test]
fn nobody_below_a_cluster_touches_what_is_a_clusters() {
    let clusters = [
        "*",
        "nodes",
        "nodes/proxy",
        "persistentvolumes",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
        "apiservices",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "certificatesigningrequests",
        "namespacesecurity",
        "managedobjects",
        "projectclusters",
        "pods/proxy",
        "services/proxy",
        "endpoints",
        "endpointslices",
        "pods/binding",
        "bindings",
        "namespaces/status",
        "namespaces/finalize",
        "users",
        "groups",
    ];
    for role in native(&base_roles(true)) {
        let to = |short: &str| role.labels().contains_key(&format!("{AGGREGATE_TO}{short}"));
        if to("platform-admin") || to("cluster-admin") || to("platform-auditor") {
            continue;
        }
        for rule in role.rules.iter().flatten() {
            let what = || format!("{} {rule:?}", role.name_any());
            let writes = rule.verbs.iter().any(|verb| !READ.contains(&&**verb));
            assert!(rule.non_resource_urls.is_none(), "{}", what());
            assert!(rule.verbs.iter().all(|verb| !["*", "impersonate", "escalate"].contains(&&**verb)), "{}", what());
            assert!(rule.api_groups.iter().flatten().all(|group| group != "*"), "{}", what());
            for resource in rule.resources.iter().flatten() {
                assert!(!writes || !clusters.contains(&&**resource), "{}", what());
                assert!(!rule.verbs.contains(&"bind".to_owned()) || resource == "roletemplates", "{}", what());
            }
            let core = rule.api_groups.iter().flatten().any(String::is_empty);
            let named = |wanted: &str| rule.resources.iter().flatten().any(|resource| resource == wanted);
            assert!(!core || !named("*"), "{}", what());
            // Where nobody looks at what is written to namespaces, nobody writes them.
            let changes = rule.verbs.iter().any(|verb| ["create", "update", "patch"].contains(&&**verb));
            let unguarded = native(&base_roles(false)).iter().any(|other| other.name_any() == role.name_any());
            assert!(!(core && named("namespaces") && changes && unguarded), "{}", what());
        }
    }
}

#[test]
fn the_files_say_what_there_is() {
    let names: Vec<_> = shipped_templates().iter().map(ResourceExt::name_any).collect();
    assert_eq!(
        names,
        [
            "platform-admin-system",
            "platform-auditor-system",
            "cluster-admin-system",
            "project-admin-system",
            "namespace-admin-system",
            "namespace-developer-system",
        ]
    );
    let roles = base_roles(true);
    let distinct: BTreeSet<_> = roles.iter().map(Object::key).collect();
    assert_eq!(distinct.len(), roles.len());
    for role in native(&roles) {
        let labels: Vec<_> = role.labels().keys().collect();
        let scopes: Vec<_> = labels.iter().filter_map(|label| label.strip_prefix(AGGREGATE_TO_SCOPE)).collect();
        assert_eq!(scopes.len(), 1, "{}", role.name_any());
        let shorts = labels.iter().filter(|label| !label.starts_with(AGGREGATE_TO_SCOPE));
        for short in shorts.filter_map(|label| label.strip_prefix(AGGREGATE_TO)) {
            let template = shipped(&format!("{short}-system"));
            assert!(template.scopes().iter().any(|scope| scope.as_str() == scopes[0]), "{}", role.name_any());
        }
        // Whoever develops in a namespace may do no more than who administers it.
        let to = |short: &str| role.labels().contains_key(&format!("{AGGREGATE_TO}{short}"));
        assert!(!to("namespace-developer") || to("namespace-admin"), "{}", role.name_any());
        assert!(role.name_any().matches(':').count() >= 3, "the names of templates' roles have two colons");
    }
}

fn template(level: Option<&str>, spec: RoleTemplateSpec) -> RoleTemplate {
    let mut template = RoleTemplate::new("ops", spec);
    template.metadata.labels = level.map(|level| [(TEMPLATE_LEVEL.to_owned(), level.to_owned())].into());
    template
}

fn selector(key: &str) -> LabelSelector {
    LabelSelector { match_labels: Some([(key.to_owned(), "true".to_owned())].into()), ..Default::default() }
}

fn aggregate(scope: RoleScope, selectors: Vec<LabelSelector>) -> RoleTemplateSpec {
    let rule = AggregationRule { scope, cluster_role_selectors: selectors };
    RoleTemplateSpec { aggregation_rules: vec![rule], ..Default::default() }
}

fn custom(rule: Value) -> RoleTemplateSpec {
    RoleTemplateSpec { custom_rules: vec![from_value(rule).unwrap()], ..Default::default() }
}

#[track_caller]
fn check_refused(level: Option<&str>, spec: RoleTemplateSpec, expect: InvalidTemplate) {
    assert_eq!(Template::read(&template(level, spec)), Err(expect.clone()));
    assert!(!expect.reason().is_empty() && !expect.to_string().is_empty());
}

#[test]
fn templates_that_cannot_be_bound() {
    let business = || aggregate(RoleScope::BusinessNs, vec![selector("a")]);
    check_refused(None, business(), InvalidTemplate::NoLevel);
    check_refused(Some("galaxy"), business(), InvalidTemplate::UnknownLevel("galaxy".into()));
    let scope = RoleScope::BusinessNs;
    check_refused(Some("cluster"), business(), InvalidTemplate::Scope { level: Level::Cluster, scope });
    check_refused(Some("platform"), business(), InvalidTemplate::Scope { level: Level::Platform, scope });
    let all = InvalidTemplate::SelectsAll(scope);
    check_refused(Some("project"), aggregate(scope, vec![LabelSelector::default()]), all.clone());
    check_refused(Some("project"), aggregate(scope, vec![]), all.clone());
    let not = LabelSelectorRequirement { key: "a".into(), operator: "DoesNotExist".into(), values: None };
    let not = LabelSelector { match_expressions: Some(vec![not]), ..Default::default() };
    check_refused(Some("project"), aggregate(scope, vec![selector("a"), not]), all);
    let function = FunctionRule { function_resource_ref: "acp-app".into(), verbs: vec![] };
    let functions = RoleTemplateSpec { rules: vec![function], ..Default::default() };
    check_refused(Some("namespace"), functions, InvalidTemplate::Function("acp-app".into()));
    let paths = || custom(json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}));
    check_refused(Some("namespace"), paths(), InvalidTemplate::PathsInNamespace(Level::Namespace));
    assert!(Template::read(&template(Some("cluster"), paths())).is_ok());
}

#[test]
fn what_follows_from_a_template() {
    let mut spec = custom(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}));
    spec.aggregation_rules = aggregate(RoleScope::ProjectNs, vec![selector("a"), selector("b")]).aggregation_rules;
    let template = Template::read(&template(Some("namespace"), spec)).unwrap();
    let roles = template.cluster_roles();
    let names: Vec<_> = roles.iter().map(|role| role.key().name.as_str()).collect();
    assert_eq!(names, ["cpaas:ops:project-ns", "cpaas:ops:business-ns", "cpaas:ops:custom"]);
    let body = |index: usize| roles[index].body();
    assert_eq!(body(0)["aggregationRule"]["clusterRoleSelectors"].as_array().unwrap().len(), 2);
    assert_eq!(body(1)["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"], json!({CUSTOM_OF: "ops"}));
    assert_eq!(body(1)["metadata"]["labels"][ROLE_RELATIVE], "ops");
    assert!(body(1).get("rules").is_none(), "the cluster fills them in");
    assert_eq!(body(2)["metadata"]["labels"][CUSTOM_OF], "ops");
    assert_eq!(body(2)["rules"][0]["resources"], json!(["pods"]));

    let aggregated = template.rules(RoleScope::BusinessNs, &native(&roles));
    assert!(allows(&aggregated, "get", "", "pods"));
    assert!(template.rules(RoleScope::Cluster, &native(&roles)).is_empty());
}

#[test]
fn auditors_read_what_is_defined_and_nothing_of_the_core() {
    let role =
        auditor_of_definitions(["kubevirt.io", "", "*", "subresources.kubevirt.io", "a.example.org", "kubevirt.io"]);
    assert_eq!(
        role.body()["rules"],
        json!([{"apiGroups": ["a.example.org", "kubevirt.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}])
    );
    assert_eq!(auditor_of_definitions([]).body()["rules"], json!([]));
    let mut roles = base_roles(true);
    roles.push(role);
    let rules = shipped("platform-auditor-system").rules(RoleScope::Cluster, &native(&roles));
    assert!(allows(&rules, "get", "kubevirt.io", "virtualmachines") && !allows(&rules, "list", "", "secrets"));
}

#[test]
fn what_the_hub_has_for_all_clusters_goes_to_them() {
    let role = |name: &str, labels: Value| -> ClusterRole {
        let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]);
        from_value(json!({"metadata": {"name": name, "labels": labels}, "rules": rules})).unwrap()
    };
    let labels =
        json!({"rbac.cpaas.io/sync.scope": "platform", "rbac.cpaas.io/aggregate-to-demo": "true", "team": "x"});
    let there = replica(&role("cpaas:demo:business-ns:view", labels.clone())).unwrap();
    let expect =
        json!({MANAGED: "true", "app.kubernetes.io/managed-by": "acp", "rbac.cpaas.io/aggregate-to-demo": "true"});
    assert_eq!(there.body()["metadata"]["labels"], expect);
    assert_eq!(there.body()["rules"][0]["resources"], json!(["deployments"]));
    for name in ["demo", "cpaas:base:view:business-ns", "cpaas:project:shop:x", "cluster-admin"] {
        assert_eq!(replica(&role(name, labels.clone())), None, "{name}");
    }
    assert_eq!(replica(&role("cpaas:demo:x", json!({"rbac.cpaas.io/sync.scope": "cluster"}))), None);
    let managed = json!({"rbac.cpaas.io/sync.scope": "platform", MANAGED: "true"});
    assert_eq!(replica(&role("cpaas:demo:x", managed)), None);
}
