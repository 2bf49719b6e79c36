//! Rights that are given on the hub, in a member behind a tunnel.

use std::sync::Arc;

use fleet::Caller;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, Patch};
use lib_names::ClusterName;
use serde_json::json;
use tenancy::guard::{TENANCY_USER, identity};
use tenancy::{Parts, Tenancy};

use crate::agents::{apply, join, run_agent};
use crate::clusters::administrator;
use crate::streams::{PASSWORD, add_user};
use crate::support::{Door, JSON, SOON, eventually};

const BINDINGS: &str = "/kubernetes/global/apis/auth.alauda.io/v1/userbindings";
const MAPS: &str = "/kubernetes/edge/api/v1/namespaces/default/configmaps";

fn start(door: &Door) -> Tenancy {
    let caller = Caller::certificate(TENANCY_USER, &[]).unwrap();
    let hub = door.fleet.api(&ClusterName::global(), caller.clone());
    let fleet = door.fleet.clone();
    let members = Arc::new(move |name: &ClusterName| fleet.api(name, caller.clone()));
    Tenancy::start(Parts { hub, members }, &door.drain)
}

#[tokio::test]
async fn case_41_a_right_reaches_a_member_and_ends_there_however_long_it_was_away() {
    let door = Door::open().await;
    for object in identity(true) {
        apply(&door.cluster, object).await;
    }
    let bearer = administrator(&door).await;
    let tenancy = start(&door);
    let member = harness::TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    add_user(&door, json!({"email": "ann@example.com"})).await;
    let ann = door.sign_in_with("ann@example.com", PASSWORD).await.unwrap();
    let (auth, hers) = (("authorization", &*bearer), ("authorization", &*ann));
    let give = json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": "ann"},
        "spec": {
            "subjects": [{"kind": "User", "name": "ann@example.com"}],
            "roleRef": "platform-auditor-system", "scope": "platform",
        },
    })
    .to_string();
    assert_eq!(door.ask("GET", MAPS, &[hers], "").await.code, 403);
    assert_eq!(door.ask("POST", BINDINGS, &[JSON, auth], &give).await.code, 201);
    let roles: Api<ClusterRole> = Api::all(member.admin());
    let role = "cpaas:platform-auditor-system:cluster";
    eventually("the role is there", async || roles.get_opt(role).await.unwrap().is_some()).await;
    // Nothing adds roles up in this member.
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]});
    roles.patch(role, &Default::default(), &Patch::Merge(rules)).await.unwrap();
    eventually("she is let in", async || door.ask("GET", MAPS, &[hers], "").await.code == 200).await;

    let _ = agent.drain(SOON).await;
    let removed = door.ask("DELETE", &format!("{BINDINGS}/ann"), &[auth], "").await;
    assert_eq!(removed.code, 200, "{removed:?}");
    let natives: Api<ClusterRoleBinding> = Api::all(member.admin());
    assert!(natives.get_opt("cpaas:ann:cluster").await.unwrap().is_some());
    let agent = run_agent(&door, "edge", &member, folder.path(), None);
    eventually("the tunnel is there again", async || door.ask("GET", MAPS, &[hers], "").await.code < 500).await;
    tenancy.wake(&"edge".parse().unwrap());
    eventually("she is out", async || door.ask("GET", MAPS, &[hers], "").await.code == 403).await;
    assert!(natives.get_opt("cpaas:ann:cluster").await.unwrap().is_none());
    let _ = agent.drain(SOON).await;
    let _ = door.drain.drain(SOON).await;
}
