//! From a request to a certificate that signs in, against a real API server.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::{sync::Arc, time::SystemTime};

use apiserver_access::{User, certificate_user};
use harness::TestCluster;
use k8s_openapi::{
    ByteString,
    api::{
        certificates::v1::CertificateSigningRequest, core::v1::Secret, flowcontrol::v1::FlowSchema,
        rbac::v1::ClusterRoleBinding,
    },
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use lib_tls::{Authority, PeerIdentity, SigningRequest, Subject, Terms, first_certificate};
use sandbox::{CertificateSigner, ControlPlane, ControlPlaneConfig, Running};
use serde_json::{Value, json};
use support::{eventually, gone};

struct Signer(Authority);

impl CertificateSigner for Signer {
    fn sign(&self, request: &SigningRequest, terms: &Terms) -> Result<String, String> {
        self.0.sign(request, terms, SystemTime::now()).map_err(|error| error.to_string())
    }
}

async fn start() -> (TestCluster, Running) {
    let server = TestCluster::start().await;
    let signer = Signer(Authority::generate("test", SystemTime::now()).unwrap());
    let config = ControlPlaneConfig { root_ca: None, signer: Some(Arc::new(signer)) };
    let running = ControlPlane::start(&server.admin(), config);
    (server, running)
}

fn request(name: &str, subject: &Subject, signer: &str) -> CertificateSigningRequest {
    let (pem, _) = SigningRequest::generate(subject).unwrap();
    let mut request: CertificateSigningRequest = serde_json::from_value(json!({"metadata": {"name": name},
        "spec": {"request": "", "signerName": signer, "expirationSeconds": 3600,
            "usages": ["client auth", "digital signature"]}}))
    .unwrap();
    request.spec.request = ByteString(pem.into_bytes());
    request
}

async fn bind(client: &Client, role: &str, group: &str) {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({"metadata": {"generateName": "b-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}]}))
    .unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
}

fn approval() -> Patch<Value> {
    Patch::Strategic(json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Test"}]}}))
}

/// The user as whom the certificate of a request signs in.
async fn signed_in(api: &Api<CertificateSigningRequest>, name: &str) -> User {
    let is_signed =
        |r: &CertificateSigningRequest| r.status.as_ref().is_some_and(|status| status.certificate.is_some());
    let signed = eventually(api, name, is_signed).await;
    let pem = String::from_utf8(signed.status.unwrap().certificate.unwrap().0).unwrap();
    let identity = PeerIdentity::of(&first_certificate(&pem).unwrap()).unwrap();
    let left = identity.validity.not_after.duration_since(SystemTime::now()).unwrap();
    assert!(left.as_secs() <= 3600, "as long as was asked for");
    certificate_user(Some(&identity)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_bootstrap_token_becomes_a_node() {
    let (server, running) = start().await;
    let bootstrapper = server.server.client(User::new("system:bootstrap:abcdef", ["system:bootstrappers"]));
    bind(&server.admin(), "system:node-bootstrapper", "system:bootstrappers").await;
    bind(&server.admin(), "system:certificates.k8s.io:certificatesigningrequests:nodeclient", "system:bootstrappers")
        .await;
    let api: Api<CertificateSigningRequest> = Api::all(bootstrapper);
    let node = Subject::new("system:node:n", ["system:nodes"]);
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    api.create(&PostParams::default(), &request("node", &node, kubelet)).await.unwrap();
    let user = signed_in(&api, "node").await;
    assert_eq!((&*user.name, &*user.groups[0]), ("system:node:n", "system:nodes"));
    let approved = api.get("node").await.unwrap().status.unwrap().conditions.unwrap();
    assert_eq!(approved[0].reason.as_deref(), Some("AutoApproved"));
    // What is no node's waits for a person.
    let other = Subject::new("system:node:n", ["system:masters"]);
    api.create(&PostParams::default(), &request("master", &other, kubelet)).await.unwrap();
    api.create(&PostParams::default(), &request("later", &node, kubelet)).await.unwrap();
    signed_in(&api, "later").await;
    assert!(api.get("master").await.unwrap().status.unwrap().conditions.is_none());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_who_may() {
    let (server, running) = start().await;
    let api: Api<CertificateSigningRequest> = Api::all(server.admin());
    let client = "kubernetes.io/kube-apiserver-client";
    let masters = request("root", &Subject::new("root", ["system:masters"]), client);
    let refused = api.create(&PostParams::default(), &masters).await.unwrap_err().to_string();
    assert!(refused.contains("with system:masters group is not allowed"), "{refused}");
    api.create(&PostParams::default(), &request("ann", &Subject::new("ann", ["dev"]), client)).await.unwrap();
    // To write the subresource is not enough: the right is on the signer.
    let role: k8s_openapi::api::rbac::v1::ClusterRole = serde_json::from_value(json!({"metadata": {"name": "writer"},
        "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"],
                   "verbs": ["get", "list", "watch", "update", "patch"]}]}))
    .unwrap();
    Api::all(server.admin()).create(&PostParams::default(), &role).await.unwrap();
    bind(&server.admin(), "writer", "approvers").await;
    let approver: Api<CertificateSigningRequest> = Api::all(server.server.client(User::new("bob", ["approvers"])));
    let approve = async || approver.patch_approval("ann", &PatchParams::default(), &approval()).await;
    let refused = approve().await.unwrap_err().to_string();
    assert!(
        refused
            .contains("user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\""),
        "{refused}"
    );
    bind(&server.admin(), "system:certificates.k8s.io:kube-apiserver-client-approver", "approvers").await;
    let approved = approve().await.unwrap();
    assert!(approved.status.unwrap().conditions.unwrap()[0].last_update_time.is_some());
    let user = signed_in(&api, "ann").await;
    assert_eq!((&*user.name, &user.groups[..]), ("ann", &["dev".to_owned(), "system:authenticated".into()][..]));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_over_go() {
    let (server, running) = start().await;
    let api: Api<Secret> = Api::namespaced(server.admin(), "kube-system");
    let create = async |name: &str, end: &str| {
        let secret: Secret = serde_json::from_value(json!({"metadata": {"name": name},
            "type": "bootstrap.kubernetes.io/token", "stringData": {"expiration": end}}))
        .unwrap();
        api.create(&PostParams::default(), &secret).await.unwrap();
    };
    create("bootstrap-token-aaaaaa", "2999-01-01T00:00:00Z").await;
    create("bootstrap-token-bbbbbb", "2001-01-01T00:00:00Z").await;
    gone(&api, "bootstrap-token-bbbbbb").await;
    api.get("bootstrap-token-aaaaaa").await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_say_whether_their_level_is_there() {
    let (server, running) = start().await;
    let api: Api<FlowSchema> = Api::all(server.admin());
    let dangling = |wanted: &'static str| {
        move |schema: &FlowSchema| {
            let conditions = schema.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions
                .into_iter()
                .any(|c| c.type_.as_deref() == Some("Dangling") && c.status.as_deref() == Some(wanted))
        }
    };
    eventually(&api, "global-default", dangling("False")).await;
    let schema: FlowSchema = serde_json::from_value(json!({"metadata": {"name": "lost"},
        "spec": {"priorityLevelConfiguration": {"name": "nowhere"}}}))
    .unwrap();
    api.create(&PostParams::default(), &schema).await.unwrap();
    eventually(&api, "lost", dangling("True")).await;
    running.stop().await;
}
