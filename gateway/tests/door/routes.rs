//! Every route of the door, asked as nobody, as another tenant and as an auditor. A route without a line here fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api_meta::Object;
use api_rbac::{Interner, Kind, Policy};
use gateway::ROUTES;
use harness::TestCluster;
use lib_drain::Drain;
use serde_json::{Value, json};
use tempfile::TempDir;
use tenancy::bindings::{Binding, BindingKind, Catalog, Cluster, Namespaces};
use tenancy::projects::Project;
use tenancy::roles::{Template, base_roles, shipped_templates};
use tenancy::view::{Bound, HubObjects, Known, Namespace};

use crate::agents::{apply, join};
use crate::clusters::administrator;
use crate::streams::{PASSWORD, add_user};
use crate::support::{Answer, Door, JSON, eventually};

/// The project that the tenant has nothing to do with. Its name is nowhere else.
pub(crate) const OTHERS: &str = "velvet";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    /// Administers project `bank`.
    Tenant,
    Auditor,
}

pub(crate) const ALL: [Who; 3] = [Who::Nobody, Who::Tenant, Who::Auditor];

/// A line: route, what is asked for, with which body, and what nobody, the tenant and the auditor are told.
struct Line(&'static str, &'static str, String, Value, [u16; 3]);

fn line(method: &'static str, pattern: &'static str, codes: [u16; 3]) -> Line {
    Line(method, pattern, pattern.to_owned(), Value::Null, codes)
}

impl Line {
    fn at(self, path: impl Into<String>) -> Self {
        Self(self.0, self.1, path.into(), self.3, self.4)
    }

    fn with(self, body: Value) -> Self {
        Self(self.0, self.1, self.2, body, self.4)
    }
}

/// What others have, by which the tenant might find it.
struct Others {
    user: String,
    session: String,
    token: String,
    kubeconfig: String,
}

#[rustfmt::skip]
fn lines(others: &Others) -> Vec<Line> {
    let Others { user, session, token, kubeconfig } = others;
    let binding = json!({
        "metadata": {"name": "x"},
        "spec": {
            "subjects": [{"kind": "User", "name": "tam@example.com"}], "roleRef": "project-admin-system",
            "scope": "project", "constraint": [{"project": OTHERS}],
        },
    });
    vec![
        line("GET", "/healthz", [200; 3]),
        line("GET", "/livez", [200; 3]),
        line("GET", "/readyz", [200; 3]),
        line("GET", "/version", [200; 3]),
        line("GET", "/metrics", [401, 403, 200]),
        line("GET", "/**", [200; 3]).at("/"),
        line("POST", "/agent/v1/register", [401, 400, 400]).with(json!({})),
        line("POST", "/agent/v1/renew", [400; 3]).with(json!({})),
        // Clusters: the cluster says. Watches of each of its kinds are in `kinds`.
        line("*", "/kubernetes/{}/**", [401, 403, 200]).at("/kubernetes/global/api/v1/namespaces"),
        line("*", "/kubernetes/{}/**", [401, 403, 403]).at("/kubernetes/global/api/v1/secrets"),
        line("*", "/kubernetes/{}/**", [401, 404, 404]).at("/kubernetes/none/api/v1/namespaces"),
        line("GET", "/auth/v1/clusters", [401, 200, 200]),
        line("POST", "/platform/fleet.cpaas.io/v1/imports", [401, 403, 403])
            .at("/platform/fleet.cpaas.io/v1/imports?dryRun=false").with(json!({"name": "x", "kubeconfig": kubeconfig})),
        line("POST", "/platform/fleet.cpaas.io/v1/registrations", [401, 403, 403]).with(json!({"name": "x"})),
        line("POST", "/platform/fleet.cpaas.io/v1/removals", [401, 403, 403]).with(json!({"name": "eu", "confirm": "eu"})),
        line("POST", "/platform/fleet.cpaas.io/v1/registrations/{}", [401, 403, 403]).at("/platform/fleet.cpaas.io/v1/registrations/eu"),
        line("GET", "/platform/fleet.cpaas.io/v1/summary", [401, 200, 200]),
        line("GET", "/platform/fleet.cpaas.io/v1/support-matrix", [401, 200, 200]),
        line("GET", "/platform/fleet.cpaas.io/v1/authority", [401, 403, 200]),
        line("POST", "/platform/fleet.cpaas.io/v1/authority", [401, 403, 403]).with(json!({"step": "introduce"})),
        line("GET", "/platform/fleet.cpaas.io/v1/agent-upgrade", [401, 403, 200]),
        line("POST", "/platform/fleet.cpaas.io/v1/agent-upgrade", [401, 403, 403]).with(json!({"action": "start", "image": "a"})),
        // The cluster says.
        line("POST", "/platform/fleet.cpaas.io/v1/clusters/{}/nodes/{}/drain", [401, 403, 403])
            .at("/platform/fleet.cpaas.io/v1/clusters/eu/nodes/n/drain").with(json!({})),
        line("POST", "/platform/fleet.cpaas.io/v1/clusters/{}/nodes/{}/drain", [401, 404, 404])
            .at("/platform/fleet.cpaas.io/v1/clusters/none/nodes/n/drain").with(json!({})),
        // Projects, roles and rights.
        line("GET", "/auth/v1/projects", [401, 200, 200]),
        line("GET", "/auth/v1/projects/{}", [401, 404, 200]).at(format!("/auth/v1/projects/{OTHERS}")),
        line("DELETE", "/auth/v1/projects/{}", [401, 404, 403]).at(format!("/auth/v1/projects/{OTHERS}")),
        line("GET", "/auth/v1/projects/{}/clusters/{}/namespaces", [401, 404, 200]).at(format!("/auth/v1/projects/{OTHERS}/clusters/eu/namespaces")),
        line("GET", "/auth/v2/userbindings", [401, 200, 200]),
        line("POST", "/auth/v2/userbindings", [401, 403, 403]).with(binding.clone()),
        line("GET", "/auth/v2/userbindings/{}", [401, 404, 200]).at("/auth/v2/userbindings/val"),
        line("DELETE", "/auth/v2/userbindings/{}", [401, 404, 403]).at("/auth/v2/userbindings/val"),
        line("POST", "/auth/v1/rights", [401, 200, 200]).with(json!({"cluster": "eu", "items": [{"verb": "get", "resource": "pods"}]})),
        line("GET", "/auth/v1/explain", [401, 403, 200])
            .at("/auth/v1/explain?user=val@example.com&cluster=eu&verb=get&resource=pods&namespace=velvet-a"),
        line("GET", "/auth/v1/who-can", [401, 403, 200]).at("/auth/v1/who-can?cluster=eu&verb=get&resource=pods&namespace=velvet-a"),
        line("POST", "/auth/v1/bindings/preview", [401, 403, 403]).with(json!({"create": [binding]})),
        line("GET", "/acp/v1/resources/search", [401, 200, 200]),
        // People. A body that says nothing is for those who are let in at all.
        line("POST", "/auth/v1/sessions", [401; 3]).with(json!({"username": "val@example.com", "password": "guess"})),
        line("GET", "/auth/v1/sessions", [401, 200, 200]),
        line("GET", "/auth/v1/sessions", [401, 403, 200]).at("/auth/v1/sessions?username=val@example.com"),
        line("DELETE", "/auth/v1/sessions", [401, 403, 403]).at("/auth/v1/sessions?username=val@example.com"),
        line("GET", "/auth/v1/sessions/current", [401, 200, 200]),
        line("DELETE", "/auth/v1/sessions/{}", [401, 404, 404]).at(format!("/auth/v1/sessions/{session}")),
        line("POST", "/auth/v1/password", [400; 3]).with(json!([])),
        line("POST", "/auth/v1/accesstoken", [401, 422, 422]).with(json!({})),
        line("GET", "/auth/v1/accesstoken", [401, 200, 200]),
        line("GET", "/auth/v1/accesstoken", [401, 403, 200]).at("/auth/v1/accesstoken?username=val@example.com"),
        line("DELETE", "/auth/v1/accesstoken/{}", [401, 404, 404]).at(format!("/auth/v1/accesstoken/{token}")),
        line("GET", "/auth/v1/totp", [401, 200, 200]),
        line("POST", "/auth/v1/totp", [401, 200, 200]),
        line("PUT", "/auth/v1/totp", [401, 400, 400]).with(json!([])),
        line("DELETE", "/auth/v1/totp", [401, 400, 400]).with(json!([])),
        line("POST", "/auth/v1/totp/enrol", [400; 3]).with(json!([])),
        line("POST", "/auth/v1/totp/confirm", [400; 3]).with(json!([])),
        line("GET", "/auth/v1/users", [401, 403, 200]),
        line("POST", "/auth/v1/users", [401, 403, 403]).with(json!({"email": "new@example.com"})),
        line("GET", "/auth/v1/users/{}", [401, 403, 200]).at(format!("/auth/v1/users/{user}")),
        line("PATCH", "/auth/v1/users/{}", [401, 403, 403]).at(format!("/auth/v1/users/{user}")).with(json!({"username": "v"})),
        line("DELETE", "/auth/v1/users/{}", [401, 403, 403]).at(format!("/auth/v1/users/{user}")),
        line("POST", "/auth/v1/users/{}/disable", [401, 403, 403]).at(format!("/auth/v1/users/{user}/disable")),
        line("POST", "/auth/v1/users/{}/enable", [401, 403, 403]).at(format!("/auth/v1/users/{user}/enable")),
        line("POST", "/auth/v1/users/{}/unlock", [401, 403, 403]).at(format!("/auth/v1/users/{user}/unlock")),
        line("POST", "/auth/v1/users/{}/password", [401, 403, 403]).at(format!("/auth/v1/users/{user}/password")).with(json!({})),
        line("DELETE", "/auth/v1/users/{}/totp", [401, 403, 403]).at(format!("/auth/v1/users/{user}/totp")),
        // Who vouches for people, and the issuer: before anybody is known.
        line("GET", "/auth/v1/providers", [200; 3]),
        line("GET", "/auth/v1/providers/{}/login", [404; 3]).at("/auth/v1/providers/none/login"),
        line("POST", "/auth/v1/connectors/validate", [401, 403, 403]).with(json!({})),
        line("POST", "/auth/v1/connectors/{}/sync", [401, 403, 403]).at("/auth/v1/connectors/none/sync").with(json!({})),
        line("POST", "/auth/v1/keys/rotate", [401, 403, 403]).with(json!({})),
        line("POST", "/auth/v1/flows/device", [401, 404, 404]).with(json!({"userCode": "BBBB-BBBB"})),
        line("GET", "/auth/v1/flows/{}", [404; 3]).at("/auth/v1/flows/none"),
        line("POST", "/auth/v1/flows/{}/approve", [401, 404, 404]).at("/auth/v1/flows/none/approve").with(json!({})),
        line("POST", "/auth/v1/flows/{}/deny", [401, 404, 404]).at("/auth/v1/flows/none/deny").with(json!({})),
        line("GET", "/dex/callback", [303; 3]),
        line("POST", "/dex/callback", [303; 3]),
        line("GET", "/dex/logout/{}", [404; 3]).at("/dex/logout/none"),
        line("POST", "/dex/logout/{}", [404; 3]).at("/dex/logout/none"),
        line("GET", "/dex/saml/{}/metadata", [404; 3]).at("/dex/saml/none/metadata"),
        line("GET", "/dex/.well-known/openid-configuration", [200; 3]),
        line("GET", "/dex/keys", [200; 3]),
        line("GET", "/dex/auth", [400; 3]),
        line("POST", "/dex/auth", [400; 3]),
        line("POST", "/dex/token", [400; 3]),
        line("POST", "/dex/token/revoke", [400; 3]),
        line("POST", "/dex/token/introspect", [400; 3]),
        line("POST", "/dex/device/code", [400; 3]),
        line("GET", "/dex/userinfo", [401; 3]),
        line("POST", "/dex/userinfo", [401; 3]),
        line("GET", "/dex/logout", [303; 3]),
        line("POST", "/dex/logout", [400; 3]),
        line("GET", "/dex/device", [303; 3]),
        line("GET", "/dex/pubkey", [200; 3]),
        line("GET", "/auth/v1/pubkey", [200; 3]),
        line("GET", "/dex/api/v1/authorize", [400; 3]),
        line("POST", "/dex/api/v1/authorize/{}", [400; 3]).at("/dex/api/v1/authorize/local").with(json!({})),
        line("GET", "/console-platform/api/v1/token/login", [400; 3]),
        line("GET", "/console-platform/api/v1/token/callback", [400; 3]),
        // Last, for it ends the session that asks.
        line("DELETE", "/auth/v1/sessions/current", [401, 204, 204]),
    ]
}

pub(crate) fn native(kind: &str, namespace: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

pub(crate) fn bound(kind: &str, namespace: &str, name: &str, who: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
    let subject = json!({"apiGroup": group, "kind": "User", "name": format!("{who}@example.com")});
    native(kind, namespace, name, json!({"roleRef": role, "subjects": [subject]}))
}

pub(crate) fn base(name: &str) -> Value {
    let name = format!("cpaas:base:{name}");
    base_roles(true).iter().map(|role| role.body().clone()).find(|role| role["metadata"]["name"] == *name).unwrap()
}

/// What a cluster has: roles of the tenant in `bank`, of the auditor everywhere, and of somebody else in the other project.
fn cluster(name: &str) -> Known {
    let mut objects =
        vec![base("platform-auditor:cluster"), base("project-admin:project-ns"), base("view:business-ns")];
    objects.push(bound("ClusterRoleBinding", "", "cpaas:base:platform-auditor:cluster", "aud"));
    for (who, project) in [("tam", "bank"), ("val", OTHERS)] {
        objects.push(bound("RoleBinding", project, "cpaas:base:project-admin:project-ns", who));
        let see = json!([{"apiGroups": ["auth.alauda.io"], "resources": ["projects"], "resourceNames": [project], "verbs": ["get"]}]);
        objects.push(native("ClusterRole", "", &format!("see-{project}"), json!({"rules": see})));
        objects.push(bound("ClusterRoleBinding", "", &format!("see-{project}"), who));
        if name == "eu" {
            objects.push(bound("RoleBinding", &format!("{project}-a"), "cpaas:base:view:business-ns", who));
        }
    }
    let (interner, mut policy) = (Interner::default(), Policy::default());
    for object in objects {
        let object = Object::try_from(object).unwrap();
        policy.insert(Kind::of(&object).unwrap(), &object, &interner);
    }
    let namespaces = ["bank", OTHERS].into_iter().flat_map(|project| {
        let all =
            if name == "eu" { vec![project.to_owned(), format!("{project}-a")] } else { vec![project.to_owned()] };
        all.into_iter().map(move |namespace| (namespace, project))
    });
    let labelled = |(namespace, project): (String, &str)| {
        let labels = [("cpaas.io/project".to_owned(), project.to_owned())].into();
        (namespace, Namespace { labels, ..Namespace::default() })
    };
    let namespaces: BTreeMap<String, Namespace> = namespaces.map(labelled).collect();
    let of_projects = namespaces.iter().map(|(namespace, seen)| {
        let project = &*seen.labels["cpaas.io/project"];
        (
            &**namespace,
            project,
            (project == namespace).then_some(if project == "bank" { "uid-bank" } else { "uid-velvet" }),
        )
    });
    Known {
        policy: Arc::new(policy),
        version: 1,
        role_labels: Arc::default(),
        cluster: Arc::new(Cluster {
            name: name.parse().unwrap(),
            namespaces: Namespaces::collect(of_projects),
            shared: BTreeSet::new(),
        }),
        namespaces: Arc::new(namespaces),
        stale_since: None,
    }
}

fn hub() -> HubObjects {
    let mut hub = HubObjects { catalog: Catalog::default(), ..HubObjects::default() };
    for template in shipped_templates() {
        let template = Template::read(&template).unwrap();
        hub.catalog.templates.insert(template.name().to_owned(), template);
    }
    for (project, who) in [("bank", "tam"), (OTHERS, "val")] {
        let object = json!({
            "apiVersion": "auth.alauda.io/v1", "kind": "Project", "metadata": {"name": project, "uid": format!("uid-{project}")},
            "spec": {"clusters": [{"name": "eu", "quota": {}}]},
        });
        let read = Project::read(&serde_json::from_value(object.clone()).unwrap()).unwrap();
        hub.catalog.projects.insert(project.to_owned(), read);
        hub.projects.insert(project.to_owned(), Arc::new(object));
        let object = json!({
            "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": who, "uid": format!("uid-{who}")},
            "spec": {
                "subjects": [{"kind": "User", "name": format!("{who}@example.com")}], "roleRef": "project-admin-system",
                "scope": "project", "constraint": [{"project": project}],
            },
        });
        let says = Binding::of_user(&serde_json::from_value(object.clone()).unwrap(), &|_| None);
        hub.bindings.insert((BindingKind::User, who.to_owned()), Arc::new(Bound { object, says }));
    }
    hub
}

/// What is behind a door: the member `eu`, and its agent, which runs until this is dropped.
pub(crate) struct Behind {
    pub(crate) member: TestCluster,
    _agent: (Drain, TempDir),
}

/// A door behind which there are two tenants and an auditor, with what they have in two clusters; one has an agent.
pub(crate) async fn tenants() -> (Door, Behind) {
    let door = Door::open().await;
    let (bearer, member) = (administrator(&door).await, TestCluster::start().await);
    let agent = join(&door, &bearer, "eu", &member).await;
    for name in ["val", "tam", "aud"] {
        add_user(&door, json!({"email": format!("{name}@example.com")})).await;
    }
    apply(&door.cluster, base("platform-auditor:cluster")).await;
    apply(&door.cluster, bound("ClusterRoleBinding", "", "cpaas:base:platform-auditor:cluster", "aud")).await;
    door.view.fixed.set_hub(hub());
    for name in ["global", "eu"] {
        door.view.fixed.set_cluster(name, Some(cluster(name)));
    }
    for project in ["bank", OTHERS] {
        let namespace = format!("{project}-a");
        let labels = json!({"cpaas.io/project": project});
        apply(
            &member,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}),
        )
        .await;
        let account = json!({"name": "default", "namespace": namespace});
        apply(&member, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})).await;
        for n in 0..3 {
            let image = format!("registry.example.com/{project}:1");
            apply(
                &member,
                json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": format!("{project}-{n}"), "namespace": namespace, "labels": {"app": project}},
                    "spec": {"containers": [{"name": "c", "image": image}]},
                }),
            )
            .await;
        }
    }
    let aud = door.sign_in_with("aud@example.com", PASSWORD).await;
    eventually("the pods are found", async || {
        let path = "/acp/v1/resources/search?kind=pod&cluster=eu";
        ask(&door, aud.as_deref(), "GET", path, &Value::Null).await.json()["total"] == 6
    })
    .await;
    (door, Behind { member, _agent: agent })
}

pub(crate) async fn sign_in(door: &Door, who: Who) -> Option<String> {
    match who {
        Who::Nobody => None,
        Who::Tenant => Some(door.sign_in_with("tam@example.com", PASSWORD).await.unwrap()),
        Who::Auditor => Some(door.sign_in_with("aud@example.com", PASSWORD).await.unwrap()),
    }
}

pub(crate) async fn ask(door: &Door, bearer: Option<&str>, method: &str, path: &str, body: &Value) -> Answer {
    let mut headers = vec![JSON];
    headers.extend(bearer.map(|bearer| ("authorization", bearer)));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    door.ask(if method == "*" { "GET" } else { method }, path, &headers, &body).await
}

#[tokio::test]
async fn case_51_every_route_is_asked_as_nobody_as_another_tenant_and_as_an_auditor() {
    let (door, _member) = tenants().await;
    let val = door.sign_in_with("val@example.com", PASSWORD).await.unwrap();
    let token =
        ask(&door, Some(&val), "POST", "/auth/v1/accesstoken", &json!({"description": OTHERS, "expiration": 600}))
            .await;
    let session = ask(&door, Some(&val), "GET", "/auth/v1/sessions/current", &Value::Null).await.json();
    let administrator = door.administrator().await;
    let users = ask(&door, Some(&administrator), "GET", "/auth/v1/users", &Value::Null).await.json();
    let user = users["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["spec"]["email"] == "val@example.com")
        .unwrap()
        .clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let others = Others {
        user: text(&user["metadata"]["name"]),
        session: text(&session["id"]),
        token: text(&token.json()["id"]),
        kubeconfig: kubeconfig(&door),
    };
    let lines = lines(&others);
    for (method, pattern) in ROUTES {
        assert!(
            lines.iter().any(|line| (line.0, line.1) == (*method, *pattern)),
            "{method} {pattern} has no line: say who is told what"
        );
    }
    let mut wrong = Vec::new();
    for who in ALL {
        let bearer = sign_in(&door, who).await;
        for Line(method, pattern, path, body, codes) in &lines {
            assert!(ROUTES.contains(&(*method, *pattern)), "{method} {pattern} is no route");
            let answer = ask(&door, bearer.as_deref(), method, path, body).await;
            let code = codes[ALL.iter().position(|one| *one == who).unwrap()];
            if answer.code != code {
                wrong.push(format!("{who:?} {method} {path}: {} and not {code}: {}", answer.code, answer.text));
            }
            // What a request says it may hear again.
            let asked = path.contains(OTHERS) || body.to_string().contains(OTHERS);
            if who != Who::Auditor && !asked && (answer.text.contains(OTHERS) || answer.text.contains("val@")) {
                wrong.push(format!("{who:?} {method} {path} tells of others: {}", answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nothing has happened to them.
    assert_eq!(ask(&door, Some(&val), "GET", "/auth/v1/sessions/current", &Value::Null).await.code, 200);
}

/// One that can be read. Nobody answers where it leads.
fn kubeconfig(door: &Door) -> String {
    use base64::Engine;
    let authority = base64::engine::general_purpose::STANDARD.encode(door.authority.certificate_pem());
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": authority}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    })
    .to_string()
}

#[tokio::test]
async fn case_50_search_finds_and_counts_what_the_caller_may_list() {
    let (door, _member) = tenants().await;
    let (tam, aud) = (sign_in(&door, Who::Tenant).await, sign_in(&door, Who::Auditor).await);
    let search = async |bearer: &Option<String>, query: &str| {
        let answer =
            ask(&door, bearer.as_deref(), "GET", &format!("/acp/v1/resources/search?{query}"), &Value::Null).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        answer.json()
    };
    for (query, mine, all) in [
        ("kind=pod", 3, 6),
        ("image=registry.example.com", 3, 6),
        ("image=velvet", 0, 3),
        ("q=velvet&kind=pod", 0, 3),
        ("label=app%3Dvelvet", 0, 3),
        ("kind=pod&namespace=velvet-a&namespace=bank-a", 3, 6),
        ("kind=pod&project=velvet", 0, 3),
        ("kind=pod&cluster=eu", 3, 6),
        ("kind=pods&group=", 3, 6),
        ("cluster=us", 0, 0),
    ] {
        let (tam, aud) = (search(&tam, query).await, search(&aud, query).await);
        assert_eq!((&tam["total"], &aud["total"]), (&json!(mine), &json!(all)), "{query}: {tam} {aud}");
        assert!(!tam.to_string().contains(OTHERS), "{query}: {tam}");
    }
    // Page by page, and a cursor that was made up leads nowhere else.
    let mut names = Vec::new();
    let mut next = String::new();
    for _ in 0..8 {
        let page = search(&aud, &format!("kind=pod&limit=2&sortBy=d,name{next}")).await;
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        match page["continue"].as_str() {
            Some(text) => next = format!("&continue={text}"),
            None => break,
        }
    }
    assert_eq!(names, ["velvet-2", "velvet-1", "velvet-0", "bank-2", "bank-1", "bank-0"]);
    let stolen = search(&tam, &format!("sortBy=d,name{next}")).await;
    assert!(!stolen.to_string().contains(OTHERS), "{stolen}");
    for (query, says) in [
        ("kinds=pod", "there is no parameter \"kinds\""),
        ("limit=x", "limit: \"x\" is no number"),
        ("sortBy=name", "sortBy is \"name\""),
        ("continue=x", "begin without it"),
        ("q=a&q=b", "q is given more than once"),
        ("label=%3D%3D", "label: "),
    ] {
        let answer =
            ask(&door, tam.as_deref(), "GET", &format!("/acp/v1/resources/search?{query}"), &Value::Null).await;
        answer.refused(400);
        assert!(answer.json()["message"].as_str().unwrap().contains(says), "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_for_some_clusters_searches_and_asks_there() {
    let (door, _member) = tenants().await;
    let tam = sign_in(&door, Who::Tenant).await;
    let made = async |scope: Value| {
        let wanted = json!({"description": "x", "expiration": 600, "scope": scope});
        let answer = ask(&door, tam.as_deref(), "POST", "/auth/v1/accesstoken", &wanted).await;
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    };
    let (eu, us, reading) = (
        made(json!({"clusters": ["eu"]})).await,
        made(json!({"clusters": ["us"]})).await,
        made(json!({"readOnly": true})).await,
    );
    let total = async |bearer: &str| {
        ask(&door, Some(bearer), "GET", "/acp/v1/resources/search?kind=pod", &Value::Null).await.json()["total"].clone()
    };
    assert_eq!((total(&eu).await, total(&us).await, total(&reading).await), (json!(3), json!(0), json!(3)));
    let rights = json!({"cluster": "eu", "items": [{"verb": "get", "resource": "pods", "namespace": "bank-a"}]});
    for (bearer, code) in [(&eu, 200), (&us, 403), (&reading, 200)] {
        assert_eq!(ask(&door, Some(bearer), "POST", "/auth/v1/rights", &rights).await.code, code);
        let namespaces = "/auth/v1/projects/bank/clusters/eu/namespaces";
        assert_eq!(ask(&door, Some(bearer), "GET", namespaces, &Value::Null).await.code, code);
    }
    assert_eq!(ask(&door, Some(&eu), "GET", "/auth/v1/projects", &Value::Null).await.code, 403);
    assert_eq!(ask(&door, Some(&reading), "GET", "/auth/v1/projects", &Value::Null).await.code, 200);
    assert_eq!(ask(&door, Some(&reading), "DELETE", "/auth/v2/userbindings/tam", &Value::Null).await.code, 403);
}
