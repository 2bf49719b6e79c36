//! Who may what, asked of a real API server, once all is there that the platform writes.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use crate::tenants::Tenants;

const PEOPLE: [&str; 6] = ["aud", "ops", "pam", "nat", "dev", "bob"];

/// An action: verb, group, resource, namespace (empty for the whole cluster), name; and a letter for each of
/// [`PEOPLE`]: `y` who may, `.` who may not.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const MATRIX: &[Row] = &[
    // What is a cluster's.                                                  audit, ops, pam, nat, dev, bob
    ("list",   "",                          "nodes",            "",       "",       "yy...."),
    ("delete", "",                          "nodes",            "",       "",       ".y...."),
    ("list",   "",                          "namespaces",       "",       "",       "yy...."),
    ("create", "",                          "namespaces",       "",       "",       ".yy..y"),
    ("list",   "",                          "secrets",          "",       "",       ".y...."),
    ("list",   "",                          "pods",             "",       "",       "yy...."),
    ("create", "",                          "persistentvolumes","",       "",       ".y...."),
    ("create", "rbac.authorization.k8s.io", "clusterroles",     "",       "",       ".y...."),
    ("list",   "storage.k8s.io",            "storageclasses",   "",       "",       "yyyyyy"),
    ("create", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "", ".y...."),
    ("update", "auth.alauda.io",            "projectquotas",    "",       "shop",   ".y...."),
    ("get",    "auth.alauda.io",            "projectquotas",    "",       "shop",   "yyy..."),
    ("get",    "auth.alauda.io",            "projectquotas",    "",       "bank",   "yy...y"),
    // In the project's own namespace.
    ("create", "auth.alauda.io",            "projectnamespaces","shop",   "",       ".yy..."),
    ("delete", "auth.alauda.io",            "projectnamespaces","shop",   "",       ".yy..."),
    ("create", "auth.alauda.io",            "projectnamespaces","bank",   "",       ".y...y"),
    ("create", "auth.alauda.io",            "projectnamespaces","",       "",       ".y...."),
    ("update", "",                          "namespaces",       "shop",   "shop",   ".y...."),
    ("create", "",                          "pods",             "shop",   "",       ".y...."),
    // In a namespace that nat administers and dev develops in.
    ("get",    "",                          "namespaces",       "shop-a", "shop-a", "yyyyy."),
    ("update", "",                          "namespaces",       "shop-a", "shop-a", ".yyy.."),
    ("delete", "",                          "namespaces",       "shop-a", "shop-a", ".yy..."),
    ("update", "auth.alauda.io",            "namespacesecurity","shop-a", "",       ".y...."),
    ("list",   "apps",                      "deployments",      "shop-a", "",       "yyyyy."),
    ("create", "apps",                      "deployments",      "shop-a", "",       ".y.yy."),
    ("get",    "",                          "secrets",          "shop-a", "x",      ".y.yy."),
    ("create", "rbac.authorization.k8s.io", "rolebindings",     "shop-a", "",       ".y.y.."),
    ("create", "",                          "resourcequotas",   "shop-a", "",       ".yy..."),
    ("create", "auth.alauda.io",            "userbindings",     "shop-a", "",       ".yyy.."),
    ("list",   "auth.alauda.io",            "userbindings",     "shop-a", "",       "yyyyy."),
    ("bind",   "auth.alauda.io",            "roletemplates",    "shop-a", "namespace-admin-system",   ".yyy.."),
    ("bind",   "auth.alauda.io",            "roletemplates",    "shop-a", "platform-admin-system",    ".y...."),
    // In another namespace of the same project, and in one of another.
    ("list",   "apps",                      "deployments",      "shop-b", "",       "yyy..."),
    ("create", "apps",                      "deployments",      "shop-b", "",       ".y...."),
    ("list",   "apps",                      "deployments",      "bank-a", "",       "yy...y"),
    ("create", "auth.alauda.io",            "userbindings",     "bank-a", "",       ".y...y"),
    // In none, and in the platform's and Kubernetes' own.
    ("list",   "",                          "pods",             "free",         "", "yy...."),
    ("list",   "",                          "configmaps",       "cpaas-system", "", "yy...."),
    ("get",    "",                          "secrets",          "cpaas-system", "x", ".y...."),
    ("list",   "",                          "pods",             "kube-system",  "", "yy...."),
];

#[tokio::test]
async fn case_51_everybody_may_what_their_role_is_and_nothing_of_others() {
    let tenants = Tenants::start().await;
    for (index, who) in PEOPLE.iter().enumerate() {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(tenants.person(who));
        for (verb, group, resource, namespace, name, expect) in MATRIX {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let attributes = ResourceAttributes {
                verb: text(verb),
                group: text(group),
                resource: text(resource),
                namespace: text(namespace),
                name: text(name),
                ..Default::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            let may = answer.status.unwrap().allowed;
            assert_eq!(may, expect.as_bytes()[index] == b'y', "{who} {verb} {group}/{resource} {namespace} {name}");
        }
    }
}
