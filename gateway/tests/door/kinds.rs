//! Every kind that the hub serves: who may watch it, and what is in none of them. A kind without a line here fails.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use gateway::ROUTES;
use serde_json::{Value, json};

use crate::agents::apply;
use crate::client::{register, secret};
use crate::clusters::{administrator, api, import, is_ready, liar};
use crate::providers::connectors;
use crate::routes::{ALL, OTHERS, Who, ask, base, bound, sign_in, tenants};
use crate::streams::PASSWORD;
use crate::support::{Answer, Door, JSON, eventually, request};

const HUB: &str = "/kubernetes/global";
/// Requests at a time.
const AT_ONCE: usize = 16;

/// Kinds that can be watched, and what the tenant and the auditor are told who would watch them in all namespaces. Nobody is
/// told anything.
#[rustfmt::skip]
const WATCHED: &[(&str, [u16; 2])] = &[
    ("configmaps", [403, 200]),
    ("endpoints", [403, 200]),
    ("events", [403, 200]),
    ("limitranges", [403, 200]),
    ("namespaces", [403, 200]),
    ("nodes", [403, 200]),
    ("persistentvolumeclaims", [403, 200]),
    ("persistentvolumes", [403, 200]),
    ("pods", [403, 200]),
    ("podtemplates", [403, 200]),
    ("replicationcontrollers", [403, 200]),
    ("resourcequotas", [403, 200]),
    // Credentials of whole clusters are among them.
    ("secrets", [403, 403]),
    ("serviceaccounts", [403, 200]),
    ("services", [403, 200]),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", [403, 200]),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", [403, 200]),
    ("validatingadmissionpolicybindings.admissionregistration.k8s.io", [403, 200]),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", [403, 200]),
    ("customresourcedefinitions.apiextensions.k8s.io", [403, 200]),
    ("apiservices.apiregistration.k8s.io", [403, 200]),
    ("controllerrevisions.apps", [403, 200]),
    ("daemonsets.apps", [403, 200]),
    ("deployments.apps", [403, 200]),
    ("replicasets.apps", [403, 200]),
    ("statefulsets.apps", [403, 200]),
    ("accesstokeninfos.auth.alauda.io", [403, 200]),
    ("disabletokens.auth.alauda.io", [403, 200]),
    ("disableusers.auth.alauda.io", [403, 200]),
    ("groupbindings.auth.alauda.io", [403, 200]),
    ("groups.auth.alauda.io", [403, 200]),
    ("projectquotas.auth.alauda.io", [403, 200]),
    ("projects.auth.alauda.io", [403, 200]),
    ("roletemplates.auth.alauda.io", [403, 200]),
    ("securitypolicies.auth.alauda.io", [403, 200]),
    ("userbindings.auth.alauda.io", [403, 200]),
    ("users.auth.alauda.io", [403, 200]),
    ("horizontalpodautoscalers.autoscaling", [403, 200]),
    ("cronjobs.batch", [403, 200]),
    ("jobs.batch", [403, 200]),
    ("certificatesigningrequests.certificates.k8s.io", [403, 200]),
    ("clusters.cluster.x-k8s.io", [403, 200]),
    ("leases.coordination.k8s.io", [403, 200]),
    ("connectors.dex.coreos.com", [403, 200]),
    ("oauth2clients.dex.coreos.com", [403, 200]),
    ("endpointslices.discovery.k8s.io", [403, 200]),
    ("events.events.k8s.io", [403, 200]),
    ("flowschemas.flowcontrol.apiserver.k8s.io", [403, 200]),
    ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", [403, 200]),
    ("ingressclasses.networking.k8s.io", [403, 200]),
    ("ingresses.networking.k8s.io", [403, 200]),
    ("ipaddresses.networking.k8s.io", [403, 200]),
    ("networkpolicies.networking.k8s.io", [403, 200]),
    ("servicecidrs.networking.k8s.io", [403, 200]),
    ("runtimeclasses.node.k8s.io", [403, 200]),
    ("poddisruptionbudgets.policy", [403, 200]),
    ("clusterrolebindings.rbac.authorization.k8s.io", [403, 200]),
    ("clusterroles.rbac.authorization.k8s.io", [403, 200]),
    ("rolebindings.rbac.authorization.k8s.io", [403, 200]),
    ("roles.rbac.authorization.k8s.io", [403, 200]),
    ("namespaceresourceratios.resource.alauda.io", [403, 200]),
    ("deviceclasses.resource.k8s.io", [403, 200]),
    ("resourceclaims.resource.k8s.io", [403, 200]),
    ("resourceclaimtemplates.resource.k8s.io", [403, 200]),
    ("resourceslices.resource.k8s.io", [403, 200]),
    ("priorityclasses.scheduling.k8s.io", [403, 200]),
    ("csidrivers.storage.k8s.io", [403, 200]),
    ("csinodes.storage.k8s.io", [403, 200]),
    ("csistoragecapacities.storage.k8s.io", [403, 200]),
    ("storageclasses.storage.k8s.io", [403, 200]),
    ("volumeattachments.storage.k8s.io", [403, 200]),
    ("volumeattributesclasses.storage.k8s.io", [403, 200]),
];

/// Something that discovery tells of.
struct Served {
    /// `resource.group`, as definitions are named.
    name: String,
    path: String,
    verbs: Vec<String>,
}

impl Served {
    fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|one| one == verb)
    }
}

/// All kinds of the hub, in all their versions.
async fn served(door: &Door, bearer: &str) -> Vec<Served> {
    let get = async |path: &str| {
        let answer = ask(door, Some(bearer), "GET", &format!("{HUB}{path}"), &Value::Null).await;
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        answer.json()
    };
    let each = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut roots: Vec<_> =
        each(&get("/api").await["versions"]).iter().map(|version| format!("/api/{}", text(version))).collect();
    for group in each(&get("/apis").await["groups"]) {
        roots.extend(each(&group["versions"]).iter().map(|one| format!("/apis/{}", text(&one["groupVersion"]))));
    }
    let mut all = Vec::new();
    for root in roots {
        let group = root.strip_prefix("/apis/").and_then(|version| version.split('/').next());
        for resource in each(&get(&root).await["resources"]) {
            let name = text(&resource["name"]);
            if name.contains('/') {
                continue;
            }
            let path = format!("{HUB}{root}/{name}");
            let name = group.map_or_else(|| name.clone(), |group| format!("{name}.{group}"));
            all.push(Served { name, path, verbs: each(&resource["verbs"]).iter().map(text).collect() });
        }
    }
    all
}

/// The answers to questions, some of them at a time.
async fn all<T>(questions: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut questions = questions.peekable();
    let mut answers = Vec::new();
    while questions.peek().is_some() {
        answers.extend(join_all(questions.by_ref().take(AT_ONCE)).await);
    }
    answers
}

/// What somebody is told who begins a watch, and then hangs up.
async fn begins(door: &Door, bearer: Option<&str>, path: &str) -> u16 {
    let mut headers = vec![("connection", "keep-alive")];
    headers.extend(bearer.map(|bearer| ("authorization", bearer)));
    door.ask_once(&request("GET", path, &headers, "")).await.code
}

/// Has the tenant hold on the hub itself what a project's administrator does.
async fn administers(door: &Door, project: &str, who: &str) {
    let role = "cpaas:base:project-admin:project-ns";
    apply(&door.cluster, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": project}})).await;
    apply(&door.cluster, base("project-admin:project-ns")).await;
    apply(&door.cluster, bound("RoleBinding", project, role, who)).await;
}

#[tokio::test]
async fn case_50_every_kind_is_watched_as_nobody_as_a_tenant_and_as_an_auditor() {
    let (door, _behind) = tenants().await;
    administers(&door, "bank", "tam").await;
    let kinds: Vec<Served> =
        served(&door, &administrator(&door).await).await.into_iter().filter(|kind| kind.can("watch")).collect();
    let told = |name: &str| WATCHED.iter().find(|(known, _)| *known == name).map(|(_, codes)| codes);
    let there: BTreeSet<&str> = kinds.iter().map(|kind| &*kind.name).collect();
    let missing: Vec<_> = there.iter().filter(|name| told(name).is_none()).collect();
    assert!(missing.is_empty(), "say who may watch {missing:?}");
    let gone: Vec<_> = WATCHED.iter().filter(|(name, _)| !there.contains(name)).collect();
    assert!(gone.is_empty(), "nothing serves {gone:?}");
    let mut wrong = Vec::new();
    for who in ALL {
        let bearer = sign_in(&door, who).await;
        let paths: Vec<String> = kinds.iter().map(|kind| format!("{}?watch=true", kind.path)).collect();
        let codes = all(paths.iter().map(|path| begins(&door, bearer.as_deref(), path))).await;
        for (kind, code) in kinds.iter().zip(codes) {
            let expect = match who {
                Who::Nobody => 401,
                Who::Tenant => told(&kind.name).unwrap()[0],
                Who::Auditor => told(&kind.name).unwrap()[1],
            };
            if code != expect {
                wrong.push(format!("{who:?} {}: {code} and not {expect}", kind.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A text as it stands somewhere, also within something longer that is in base64.
fn forms(text: &str) -> Vec<String> {
    let shifted = (0..3).map(|before| {
        let bytes = [&vec![0; before][..], text.as_bytes()].concat();
        let encoded = STANDARD.encode(&bytes);
        // What does not depend on the neighbours.
        encoded[[0, 2, 3][before]..bytes.len() / 3 * 4].to_owned()
    });
    shifted.chain([text.to_owned()]).collect()
}

#[tokio::test]
async fn case_53_no_secret_is_in_what_is_read() {
    let (door, _behind) = tenants().await;
    administers(&door, "bank", "tam").await;
    let root = administrator(&door).await;
    let made = async |bearer: &str, path: &str, body: Value| {
        let answer = ask(&door, Some(bearer), "POST", path, &body).await;
        assert_eq!(answer.code, 201, "{path}: {answer:?}");
        answer.json()
    };
    // A cluster that is imported, one that is registered, a directory, a client of the issuer, people and their tokens.
    let (member, directory) = ("kubeconfig-token-of-the-member", "bind-password-of-the-directory");
    let (address, ca) = liar(|path| api(path, "v1.34.0")).await;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": format!("https://{address}"), "certificate-authority-data": ca}}],
        "users": [{"name": "x", "user": {"token": member}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    let imported = import(&door, &root, json!({"name": "kept", "kubeconfig": kubeconfig.to_string()})).await;
    assert_eq!(imported.code, 201, "{imported:?}");
    eventually("the member is ready", || is_ready(&door, &root, "kept")).await;
    let registered = made(&root, "/platform/fleet.cpaas.io/v1/registrations", json!({"name": "coming"})).await;
    let people = json!({"baseDN": "dc=corp", "username": "uid"});
    let config = json!({
        "host": "127.0.0.1:1", "insecureNoSSL": true, "bindDN": "cn=acp", "bindPW": directory, "userSearch": people,
    });
    let mut connector = json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": "corp"}, "id": "corp", "name": "Corp",
        "type": "ldap", "spec": {"config": config},
    });
    // As `kubectl apply` does.
    connector["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": connector.to_string()});
    let namespaced = format!("{HUB}/apis/dex.coreos.com/v1/namespaces/cpaas-system/connectors");
    made(&root, &namespaced, connector).await;
    eventually("the password is put away", async || {
        !json!(connectors(&door).get("corp").await.unwrap()).to_string().contains(directory)
    })
    .await;
    register(&door, "web", json!({})).await;
    let val = door.sign_in_with("val@example.com", PASSWORD).await.unwrap();
    let token =
        ask(&door, Some(&val), "POST", "/auth/v1/accesstoken", &json!({"description": OTHERS, "expiration": 600}))
            .await;
    let newcomer = made(&root, "/auth/v1/users", json!({"email": "new@example.com"})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        ("the member's token", member.to_owned()),
        ("the directory's password", directory.to_owned()),
        ("the client's secret", secret("web")),
        ("the registration's token", text(&registered["token"])),
        ("an API token", text(&token.json()["token"])),
        ("a session", val.trim_start_matches("Bearer ").to_owned()),
        ("the administrator's session", root.trim_start_matches("Bearer ").to_owned()),
        ("the first password", door.password.clone()),
        ("a new password", text(&newcomer["password"])),
    ];
    let secrets = secrets.map(|(what, secret)| (what, forms(&secret)));
    let tells = |text: &str| -> Vec<&str> {
        let told = secrets.iter().filter(|(_, forms)| forms.iter().any(|form| text.contains(form)));
        told.map(|(what, _)| *what).collect()
    };

    let kinds: Vec<Served> = served(&door, &root).await.into_iter().filter(|kind| kind.can("list")).collect();
    let routes = ROUTES.iter().filter(|(method, path)| *method == "GET" && !path.contains("{}") && *path != "/**");
    let mut paths: Vec<String> = routes.map(|(_, path)| (*path).to_owned()).collect();
    paths.extend(
        [
            "/auth/v1/sessions?all=true",
            "/auth/v1/accesstoken?all=true",
            "/auth/v1/projects/bank",
            "/auth/v2/userbindings/tam",
        ]
        .map(str::to_owned),
    );
    paths.extend(
        ["kind=cluster", "kind=connector", "q=kept", "kind=configmap"]
            .map(|query| format!("/acp/v1/resources/search?{query}")),
    );
    paths.extend(kinds.iter().map(|kind| kind.path.clone()));
    let readers = [
        ("the tenant", sign_in(&door, Who::Tenant).await.unwrap()),
        ("the auditor", sign_in(&door, Who::Auditor).await.unwrap()),
        ("the administrator", root),
    ];
    for (who, bearer) in &readers {
        let answers = all(paths.iter().map(|path| ask(&door, Some(bearer), "GET", path, &Value::Null))).await;
        let mut read = 0;
        for (path, answer) in paths.iter().zip(&answers) {
            read += usize::from(answer.code == 200);
            // Whoever reads Secrets has what is in them.
            let may = *who == "the administrator" && path.ends_with("/api/v1/secrets");
            assert!(may || tells(&answer.text).is_empty(), "{who} {path}: {:?}", tells(&answer.text));
        }
        assert!(*who == "the tenant" || read > kinds.len(), "{who} reads {read} of {}", paths.len());
    }
    // They are there, then.
    let all_secrets = ask(&door, Some(&readers[2].1), "GET", &format!("{HUB}/api/v1/secrets"), &Value::Null).await;
    let found = tells(&all_secrets.text);
    assert!(
        ["the member's token", "the directory's password", "the client's secret"].iter().all(|one| found.contains(one)),
        "{found:?}"
    );

    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for (who, bearer) in &readers[..2] {
        for path in [
            "secrets",
            "namespaces/cpaas-system/secrets",
            "namespaces/cpaas-system/secrets?fieldSelector=metadata.name%3Dconnector-corp",
            "namespaces/cpaas-system/secrets?watch=true",
            "namespaces/cpaas-system/secrets/connector-corp",
            "namespaces/bank/secrets",
        ] {
            for accept in ["application/json", metadata, table] {
                let headers = [JSON, ("authorization", &**bearer), ("accept", accept)];
                let answer: Answer = door.ask("GET", &format!("{HUB}/api/v1/{path}"), &headers, "").await;
                assert_eq!(answer.code, 403, "{who} {path} {accept}: {answer:?}");
            }
        }
    }
    let record = door.record.text();
    assert!(tells(&record).is_empty(), "the record: {:?}", tells(&record));
}
