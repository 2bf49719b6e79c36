//! The world of the tables: members, projects, namespaces, and people with their roles.

use std::path::PathBuf;
use std::sync::Arc;

use e2e::{Door, PATIENCE, Platform, write_kubeconfig};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::hub_shows;
use crate::table::{CLUSTERS, ROLES};

/// From one address not many sign in at the same moment.
const AT_ONCE: usize = 4;
pub(crate) const PASSWORD: &str = "correct-horse-7";
const AUTH: &str = "/kubernetes/global/apis/auth.alauda.io/v1";

/// How somebody came to a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A UserBinding of them.
    Binding,
    /// A UserBinding of a group.
    GroupOfUserBinding,
    /// A GroupBinding.
    GroupBinding,
    /// A UserBinding that says all in labels.
    Labels,
    /// They had it, and do not have it any more.
    Gone,
}

const WAYS: [Way; 5] = [Way::Binding, Way::GroupOfUserBinding, Way::GroupBinding, Way::Labels, Way::Gone];

/// What the members are called on this platform, by their names in the tables.
#[derive(Clone)]
pub(crate) struct Members(Vec<String>);

impl Members {
    pub(crate) fn name(&self, cluster: &str) -> &str {
        &self.0[CLUSTERS.iter().position(|one| *one == cluster).unwrap()]
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) email: String,
    /// The column of the tables; `None` may nothing.
    pub(crate) role: Option<usize>,
    pub(crate) in_console: bool,
    pub(crate) door: Door,
    /// A kubeconfig for each of the clusters.
    pub(crate) kubeconfigs: Vec<PathBuf>,
}

pub(crate) struct World {
    pub(crate) members: Members,
    pub(crate) people: Vec<Person>,
}

impl World {
    pub(crate) async fn build(platform: &Platform) -> Self {
        let admin = platform.admin().await;
        let members = members(platform, &admin).await;
        let (east, west, south) = (members.name("east"), members.name("west"), members.name("south"));
        for (project, clusters) in [("bank", [east, west]), ("shop", [west, south])] {
            let clusters: Vec<Value> = clusters.iter().map(|name| json!({"name": name, "quota": {}})).collect();
            make(&admin, &format!("{AUTH}/projects"), "Project", project, json!({"spec": {"clusters": clusters}}))
                .await;
        }
        for project in ["bank", "shop"] {
            let path = format!("{AUTH}/projects/{project}");
            hub_shows(&admin, &path, "the project to be everywhere", |it| it["status"]["phase"] == "Active").await;
        }
        for (cluster, project, name) in
            [(east, "bank", "bank-a"), (west, "bank", "bank-b"), (west, "shop", "shop-a"), (south, "shop", "shop-b")]
        {
            let labels = json!({"cpaas.io/project": project});
            let path = format!("/kubernetes/{cluster}/api/v1/namespaces");
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            admin.post(&path, object).await.ok();
        }
        let people = people(platform, &admin, &members).await;
        Self { members, people }
    }
}

/// Makes an object of `auth.alauda.io` on the hub.
async fn make(admin: &Door, path: &str, kind: &str, name: &str, rest: Value) {
    let mut object = json!({"apiVersion": "auth.alauda.io/v1", "kind": kind, "metadata": {"name": name}});
    for (key, value) in rest.as_object().unwrap() {
        match key.as_str() {
            "metadata" => object["metadata"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone()),
            _ => object[key] = value.clone(),
        }
    }
    admin.post(path, object).await.ok();
}

async fn members(platform: &Platform, admin: &Door) -> Members {
    let names = e2e::eventually("three members", PATIENCE, || async {
        let names = platform.members(admin).await;
        if names.len() == 3 { Ok(names) } else { Err(names) }
    })
    .await;
    for name in &names {
        platform.condition(admin, name, "Ready", "True", PATIENCE).await;
    }
    Members(std::iter::once("global".to_owned()).chain(names).collect())
}

/// Where a role is given, as a binding's scope and constraint.
fn place(role: &str, members: &Members) -> (&'static str, Value) {
    let east = members.name("east");
    match role.split('-').next() {
        Some("platform") => ("platform", json!([])),
        Some("cluster") => ("cluster", json!([{"cluster": east}])),
        Some("project") => ("project", json!([{"project": "bank"}])),
        _ => ("namespace", json!([{"project": "bank", "cluster": east, "namespace": "bank-a"}])),
    }
}

async fn people(platform: &Platform, admin: &Door, members: &Members) -> Vec<Person> {
    let (mut entering, turns) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for (role, name) in ROLES.iter().enumerate() {
        for (number, way) in WAYS.into_iter().enumerate() {
            let email = format!("{}-{number}@example.com", name.trim_end_matches("-system"));
            let platform = Entry::of(platform, admin, members);
            let turns = turns.clone();
            entering.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                (role, way, platform.enter(email).await)
            });
        }
    }
    let mut people = Vec::new();
    let mut gone = Vec::new();
    let mut awaited = Vec::new();
    while let Some(entered) = entering.join_next().await {
        let (role, way, (user, mut person)) = entered.unwrap();
        let binding = person.email.replace(['@', '.'], "-");
        let path = give(admin, members, role, way, &user, &person.email, &binding).await;
        if way == Way::Gone {
            gone.push(path.clone());
        }
        awaited.push(path);
        person.role = (way != Way::Gone).then_some(role);
        person.in_console =
            way == Way::GroupOfUserBinding || (way == Way::Gone && ROLES[role].starts_with("namespace-admin"));
        people.push(person);
    }
    for path in &awaited {
        hub_shows(admin, path, "the binding to be everywhere", |it| it["status"]["phase"] == "Synced").await;
    }
    for path in &gone {
        admin.delete(path).await.ok();
        e2e::eventually("a binding to be gone", PATIENCE, || async {
            let answer = admin.get(path).await;
            if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }
    people.sort_by(|a, b| a.email.cmp(&b.email));
    people
}

/// Gives somebody a role, and tells where the binding is.
async fn give(admin: &Door, members: &Members, role: usize, way: Way, user: &str, email: &str, name: &str) -> String {
    let role = ROLES[role];
    let (scope, constraint) = place(role, members);
    let group = format!("group-of-{name}");
    if matches!(way, Way::GroupBinding | Way::GroupOfUserBinding) {
        make(admin, &format!("{AUTH}/groups"), "Group", &group, json!({"spec": {"users": [email]}})).await;
    }
    let spec = |kind: &str, subject: &str| {
        json!({"spec": {
            "subjects": [{"kind": kind, "name": subject}], "roleRef": role, "scope": scope, "constraint": constraint,
        }})
    };
    let (resource, kind, rest) = match way {
        Way::Binding | Way::Gone => ("userbindings", "UserBinding", spec("User", email)),
        Way::GroupOfUserBinding => ("userbindings", "UserBinding", spec("Group", &group)),
        Way::GroupBinding => ("groupbindings", "GroupBinding", spec("Group", &group)),
        Way::Labels => {
            let mut labels = json!({
                "auth.cpaas.io/role.level": scope, "auth.cpaas.io/role.name": role, "auth.cpaas.io/user.email": user,
            });
            for key in ["project", "cluster", "namespace"] {
                if let Some(value) = constraint[0][key].as_str() {
                    labels[format!("cpaas.io/{key}")] = value.into();
                }
            }
            ("userbindings", "UserBinding", json!({"metadata": {"labels": labels}}))
        }
    };
    make(admin, &format!("{AUTH}/{resource}"), kind, name, rest).await;
    format!("{AUTH}/{resource}/{name}")
}

/// What it takes to let somebody in.
struct Entry {
    admin: Door,
    nobody: Door,
    url: String,
    ca: String,
    folder: PathBuf,
    members: Members,
}

impl Entry {
    fn of(platform: &Platform, admin: &Door, members: &Members) -> Self {
        Self {
            admin: admin.clone(),
            nobody: platform.door(None),
            url: platform.url().to_owned(),
            ca: platform.ca_pem(),
            folder: platform.folder.clone(),
            members: members.clone(),
        }
    }

    /// The name of the User, and the person.
    async fn enter(self, email: String) -> (String, Person) {
        let made = self.admin.post("/auth/v1/users", json!({"email": email})).await.ok();
        let change = json!({"username": email, "password": made["password"], "newPassword": PASSWORD});
        let changed = self.nobody.send(Method::POST, "/auth/v1/password", Some(change)).await;
        assert!(changed.status.is_success(), "{}", changed.text);
        let session =
            self.nobody.post("/auth/v1/sessions", json!({"username": email, "password": PASSWORD})).await.ok();
        let token = session["token"].as_str().unwrap();
        let folder = self.folder.join("people").join(&email);
        std::fs::create_dir_all(&folder).unwrap();
        let kubeconfigs = CLUSTERS.iter().map(|cluster| {
            let path = folder.join(format!("{cluster}.kubeconfig"));
            let server = format!("{}/kubernetes/{}", self.url, self.members.name(cluster));
            write_kubeconfig(&path, &server, &self.ca, Some(token));
            path
        });
        let kubeconfigs = kubeconfigs.collect();
        let door = Door::new(&self.url, &self.ca, Some(token));
        let person = Person { email, role: None, in_console: false, door, kubeconfigs };
        (made["metadata"]["name"].as_str().unwrap().to_owned(), person)
    }
}
