//! Policies as operators write them.

use apiserver_access::User;

use super::*;

/// One rule of this text, asked about `verb group/resource/subresource:name namespace`, or `verb /path`.
fn matches(rule: &str, question: &str) -> bool {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {{level: Metadata, {rule}}}\n");
    let policy = Policy::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut words = question.split(' ');
    let (verb, target, namespace) =
        (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let resource = (!target.starts_with('/')).then(|| {
        let (address, name) = target.split_once(':').unwrap_or((target, ""));
        let mut parts = address.split('/').map(str::to_owned);
        ResourceAttributes {
            group: parts.next().unwrap_or_default(),
            resource: parts.next().unwrap_or_default(),
            subresource: parts.next().unwrap_or_default(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..ResourceAttributes::default()
        }
    });
    let user = User::new("ann", ["team"]);
    let attributes = Attributes { user, verb: verb.into(), resource, path: target.into() };
    policy.evaluate(&attributes).level == Level::Metadata
}

#[track_caller]
fn check(rule: &str, question: &str, expect: bool) {
    assert_eq!(matches(rule, question), expect, "{rule} {question}");
}

#[test]
fn users_groups_verbs() {
    check("users: [ann]", "get /x", true);
    check("users: [bob]", "get /x", false);
    check("userGroups: [team, other]", "get /x", true);
    check("userGroups: [other]", "get /x", false);
    check("verbs: [get]", "get /x", true);
    check("verbs: [list]", "get /x", false);
    check("users: [ann], verbs: [list]", "get /x", false);
}

#[test]
fn resources_and_namespaces() {
    let core = |resources: &str| format!("resources: [{{group: '', resources: [{resources}]}}]");
    check(&core("pods"), "get core/pods:p a", false);
    let core = |resources: &str| format!("resources: [{{group: core, resources: [{resources}]}}]");
    check(&core("pods"), "get core/pods:p a", true);
    check(&core("pods"), "get core/pods/log:p a", false);
    check(&core("pods"), "get /api", false);
    check(&core("pods/log"), "get core/pods/log:p a", true);
    check(&core("'*'"), "get core/pods/log:p a", true);
    check(&core("'*/log'"), "get core/pods/log:p a", true);
    check(&core("'*/log'"), "get core/pods:p a", false);
    check(&core("pods/*"), "get core/pods/exec:p a", true);
    check(&core("pods/*"), "get core/pods:p a", true);
    check(&core("pods/*"), "get core/nodes:p", false);
    check("resources: [{group: '*'}]", "get apps/deployments:d a", true);
    check("resources: [{group: apps}]", "get apps/deployments:d a", true);
    check("resources: [{group: apps}]", "get batch/jobs:d a", false);
    let named = "resources: [{group: core, resources: [configmaps], resourceNames: [leader]}]";
    check(named, "update core/configmaps:leader a", true);
    check(named, "update core/configmaps:other a", false);
    check(named, "list core/configmaps a", false);
    check("namespaces: [a]", "get core/pods:p a", true);
    check("namespaces: [a]", "get core/pods:p b", false);
    check("namespaces: ['']", "get core/nodes:n", true);
    check("namespaces: [a]", "get /x", false);
}

#[test]
fn paths() {
    check("nonResourceURLs: [/healthz*]", "get /healthz/ping", true);
    check("nonResourceURLs: [/healthz]", "get /healthz/ping", false);
    check("nonResourceURLs: ['*']", "get /x", true);
    check("nonResourceURLs: ['*']", "get core/pods a", false);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = Policy::parse(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n\
         - level: None\n  users: [quiet]\n\
         - level: Request\n  omitStages: [Panic]\n  omitManagedFields: false\n  verbs: [get]\n\
         - level: RequestResponse\n",
    )
    .unwrap();
    let ask = |user: &str, verb: &str| {
        let user = User::new(user, [""; 0]);
        policy.evaluate(&Attributes { user, verb: verb.into(), resource: None, path: "/x".into() })
    };
    assert_eq!(ask("quiet", "get").level, Level::None);
    let get = ask("ann", "get");
    assert_eq!((get.level, get.omit_managed_fields), (Level::Request, false));
    assert_eq!(get.omit_stages, [Stage::Panic, Stage::RequestReceived]);
    let list = ask("ann", "list");
    assert_eq!((list.level, list.omit_managed_fields), (Level::RequestResponse, true));
    assert_eq!(list.omit_stages, [Stage::RequestReceived]);
}

#[track_caller]
fn wrong(rules: &str, expect: &str) {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}");
    let error = Policy::parse(&text).expect_err("it is wrong").to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn mistakes_name_their_field() {
    wrong(
        "- level: Everything",
        "rules[0].level: Unsupported value: \"Everything\": supported values: \"Metadata\", \"None\"",
    );
    wrong("- users: [a]", "rules[0].level: Required value");
    wrong("- {level: None, user: [a]}", "rules[0].user: Forbidden: there is no field of this name");
    wrong("- {level: None, verbs: get}", "rules[0].verbs: Invalid value: \"get\": must be a list");
    wrong("- {level: None, nonResourceURLs: [healthz]}", "rules[0].nonResourceURLs[0]: Invalid value: \"healthz\"");
    wrong("- {level: None, nonResourceURLs: [/a*b]}", "rules[0].nonResourceURLs[0]: Invalid value: \"/a*b\"");
    wrong("- {level: None, nonResourceURLs: [/a], namespaces: [b]}", "cannot apply to both");
    wrong("- {level: None, omitStages: [Never]}", "rules[0].omitStages[0]: Invalid value: \"Never\"");
    wrong("- {level: None, resources: [{group: a/v1}]}", "rules[0].resources[0].group: Invalid value: \"a/v1\"");
    wrong("- {level: None, resources: [{resourceNames: [x]}]}", "rules[0].resources[0].resourceNames: Invalid value");
    wrong("", "has no rules");
}

#[test]
fn other_documents_are_refused() {
    for (text, expect) in [
        ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]", "kind Policy in audit.k8s.io/v1"),
        ("kind: Pod\napiVersion: v1", "kind \"Pod\" in \"v1\""),
        ("[]", "must be a map"),
        ("a: [", "is not YAML"),
    ] {
        let error = Policy::parse(text).expect_err("it is no policy").to_string();
        assert!(error.contains(expect), "{error}");
    }
}
