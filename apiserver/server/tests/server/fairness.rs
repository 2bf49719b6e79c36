//! Priority and fairness through the whole server: order and progress, never time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::Poll;

use apiserver_access::User;
use apiserver_endpoints::{Body, body};
use apiserver_server::{Config, Service};
use bytes::Bytes;
use futures::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::support::{Answer, admin, ask, send, start};

const JSON: &str = "application/json";
const GROUP: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";
/// Anybody may ask this, so it gets as far as reading its body.
const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A question whose text arrives when the other end says so.
fn slow_question() -> (Request<Body>, oneshot::Sender<()>) {
    let (go, arrives) = oneshot::channel::<()>();
    let question = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let content = stream::once(async move {
        let _ = arrives.await;
        Ok::<_, Infallible>(Frame::data(Bytes::from(question.to_string())))
    });
    let request = Request::post(REVIEW).header("content-type", JSON);
    (request.body(body::boxed(StreamBody::new(content))).expect("the request is one"), go)
}

type Asked<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// Requests that are sent and stay under way, each with what lets it go on; and the answers to those that did not stay.
async fn flood(service: &Service, count: usize) -> (Vec<(Asked<'_>, oneshot::Sender<()>)>, Vec<Answer>) {
    let (mut under_way, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (request, go) = slow_question();
        let mut asked: Asked<'_> = Box::pin(send(service, request));
        match futures::poll!(&mut asked) {
            Poll::Ready(answer) => answers.push(answer),
            Poll::Pending => under_way.push((asked, go)),
        }
    }
    (under_way, answers)
}

#[tokio::test]
async fn a_thousand_requests_of_one_user_do_not_hold_up_another() {
    let server = start(Config::default()).await;
    let greedy = server.service_as(User::new("greedy", [""; 0]));
    let modest = server.service_as(User::new("modest", [""; 0]));
    let (mut under_way, refused) = flood(&greedy, 1000).await;
    // 600 seats by 20 shares of 245 are 49; six queues' worth of fifty may wait.
    // (Idle levels may have lent some of theirs by now.)
    assert_eq!(under_way.len() + refused.len(), 1000);
    assert!((349..600).contains(&under_way.len()), "{}", under_way.len());
    for answer in &refused {
        assert_eq!(answer.code, 429);
        assert_eq!(answer.text(), "Too many requests, please try again later.\n");
        assert!(answer.headers.contains_key("retry-after"));
    }
    // The administrator and probes do not wait at all.
    assert_eq!(ask(&admin(&server), "GET", "/version", JSON, "").await.code, 200);
    assert_eq!(ask(&modest, "GET", "/readyz", JSON, "").await.code, 200);
    let mut question: Asked<'_> = Box::pin(ask(&modest, "GET", "/version", JSON, ""));
    assert!(futures::poll!(&mut question).is_pending(), "all seats are taken");
    // One of the greedy ends, 300 of them wait, and the modest is next.
    let (first, go) = under_way.swap_remove(0);
    go.send(()).unwrap();
    assert_eq!(first.await.code, 201);
    assert_eq!(question.await.code, 200);
    // Whoever goes away gives back what it held or waited for.
    drop(under_way);
    let (again, _) = flood(&greedy, 400).await;
    assert!(again.len() >= 349, "{}", again.len());
}

#[tokio::test]
async fn answers_name_their_schema_and_level() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let uid = |kind: &'static str, name: &'static str| {
        let admin = admin.clone();
        async move {
            let object = ask(&admin, "GET", &format!("{GROUP}/{kind}/{name}"), JSON, "").await;
            object.json()["metadata"]["uid"].as_str().unwrap().to_owned()
        }
    };
    let (exempt, default) = (uid("flowschemas", "exempt").await, uid("flowschemas", "global-default").await);
    let level = uid("prioritylevelconfigurations", "global-default").await;
    let answer = ask(&admin, "GET", "/version", JSON, "").await;
    assert_eq!(answer.headers["x-kubernetes-pf-flowschema-uid"], *exempt);
    // Refusals too.
    let ann = server.service_as(User::new("ann", [""; 0]));
    let answer = ask(&ann, "GET", "/api/v1/nodes", JSON, "").await;
    assert_eq!(answer.code, 403);
    assert_eq!(answer.headers["x-kubernetes-pf-flowschema-uid"], *default);
    assert_eq!(answer.headers["x-kubernetes-pf-prioritylevel-uid"], *level);
}

#[tokio::test]
async fn objects_decide() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let list = ask(&admin, "GET", &format!("{GROUP}/flowschemas"), JSON, "").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 11);
    let level = json!({"metadata": {"name": "tiny"}, "spec": {"type": "Limited",
        "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}});
    let answer = ask(&admin, "POST", &format!("{GROUP}/prioritylevelconfigurations"), JSON, level.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    let schema = json!({"metadata": {"name": "ann"}, "spec": {
        "priorityLevelConfiguration": {"name": "tiny"}, "matchingPrecedence": 50,
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "ann"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]}]}});
    let answer = ask(&admin, "POST", &format!("{GROUP}/flowschemas"), JSON, schema.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    // 600 seats by 1 share of 246 are three, and nobody waits there.
    let ann = server.service_as(User::new("ann", [""; 0]));
    let (under_way, refused) = flood(&ann, 10).await;
    assert_eq!((under_way.len(), refused.len()), (3, 7));
    let bob = server.service_as(User::new("bob", [""; 0]));
    assert_eq!(flood(&bob, 10).await.1.len(), 0);
}

#[tokio::test]
async fn a_watch_holds_seats_until_its_beginning_is_sent() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let executing = || async {
        let text = ask(&admin, "GET", "/metrics", JSON, "").await.text();
        let line =
            "apiserver_flowcontrol_current_executing_requests{priority_level=\"exempt\",flow_schema=\"exempt\"} ";
        let rest = text.split(line).nth(1).expect("there is such a line");
        rest.lines().next().unwrap().parse::<u32>().unwrap()
    };
    let request = Request::get("/api/v1/namespaces?watch").body(body::empty()).unwrap();
    let mut watch = admin.clone().oneshot(request).await.unwrap().into_body();
    assert_eq!(executing().await, 2, "the watch and who asks");
    for _ in 0..4 {
        assert!(watch.frame().await.unwrap().unwrap().is_data());
    }
    assert!(futures::poll!(Box::pin(watch.frame())).is_pending());
    while executing().await != 1 {
        tokio::task::yield_now().await;
    }
}
