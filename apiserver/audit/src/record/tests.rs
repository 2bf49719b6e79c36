//! Records as they come out at the other end.

use apiserver_access::{Attributes, ResourceAttributes};

use super::*;
use crate::sink::tests::controlled;

struct Written {
    auditor: Auditor,
    answer: std::sync::mpsc::Sender<bool>,
    lines: std::sync::mpsc::Receiver<String>,
    registry: Registry,
}

fn auditor(rules: &str, mode: Mode) -> Written {
    let policy = Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rules}")).unwrap();
    let (sink, answer, lines) = controlled();
    let mut registry = Registry::default();
    Written { auditor: Auditor::new(policy, sink, mode, &mut registry), answer, lines, registry }
}

impl Written {
    fn begin(&self, resource: &str, subresource: &str) -> Option<Record> {
        let resource = ResourceAttributes {
            version: "v1".into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "a".into(),
            ..ResourceAttributes::default()
        };
        let attributes = Attributes {
            user: User::new("ann\u{1b}[2J\r\n{\"fake\":1}", ["team"]),
            verb: "create".into(),
            resource: Some(resource),
            path: "/x".into(),
        };
        self.auditor.begin(&Request {
            audit_id: "id",
            uri: "/api/v1/namespaces/a/pods?access_token=s3cret",
            attributes: &attributes,
            forwarded_for: vec!["192.0.2.1, nonsense", "192.0.2.2"],
            real_ip: "192.0.2.2",
            peer: Some([192, 0, 2, 3].into()),
            user_agent: "curl\u{9b}31m",
            received: Timestamp::UNIX_EPOCH,
        })
    }

    fn line(&self) -> Value {
        let line = self.lines.recv().unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        serde_json::from_str(&line).unwrap()
    }
}

#[tokio::test]
async fn threat_75_an_event_is_one_line_that_moves_no_cursor() {
    let written = auditor("rules: [{level: Metadata}]", Mode::Blocking);
    let record = written.begin("pods", "").unwrap();
    written.answer.send(true).unwrap();
    record.received().await.unwrap();
    let mut line = written.line();
    line.as_object_mut().unwrap().remove("stageTimestamp");
    assert_eq!(
        line,
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "id",
            "stage": "RequestReceived", "requestURI": "/api/v1/namespaces/a/pods?access_token=REDACTED",
            "verb": "create",
            "user": {"username": "ann\u{1b}[2J\r\n{\"fake\":1}", "groups": ["team", "system:authenticated"]},
            "sourceIPs": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "userAgent": "curl\u{9b}31m",
            "objectRef": {"resource": "pods", "namespace": "a", "apiVersion": "v1"},
            "requestReceivedTimestamp": "1970-01-01T00:00:00.000000Z",
        })
    );
}

#[tokio::test]
async fn levels_say_how_much() {
    for (level, request, response) in
        [("Metadata", false, false), ("Request", true, false), ("RequestResponse", true, true)]
    {
        let written = auditor(&format!("rules: [{{level: {level}}}]"), Mode::Blocking);
        let record = written.begin("pods", "").unwrap();
        record.request_object(&Object::try_from(json!({"metadata": {"name": "p", "managedFields": []}})).unwrap());
        record.response(201, Some(&Bytes::from_static(b"{\"metadata\":{\"name\":\"p\",\"managedFields\":[]}}\n")));
        written.answer.send(true).unwrap();
        record.emit(Stage::ResponseComplete).await.unwrap();
        let line = written.line();
        assert_eq!((line.get("requestObject").is_some(), line.get("responseObject").is_some()), (request, response));
        assert_eq!(line["objectRef"]["name"], "p");
        assert_eq!(line["responseStatus"], json!({"metadata": {}, "code": 201}));
    }
    let written = auditor("rules: [{level: None, verbs: [create]}, {level: Metadata}]", Mode::Blocking);
    assert!(written.begin("pods", "").is_none());
}

#[tokio::test]
async fn threat_44_tokens_are_on_no_record() {
    let written = auditor("rules: [{level: RequestResponse}]", Mode::Blocking);
    for (resource, subresource) in [("serviceaccounts", "token"), ("tokenreviews", "")] {
        let record = written.begin(resource, subresource).unwrap();
        record.request_object(&Object::try_from(json!({"spec": {"token": "s3cret"}})).unwrap());
        record.response(
            201,
            Some(&Bytes::from_static(b"{\"spec\":{\"token\":\"s3cret\"},\"status\":{\"token\":\"s3cret\"}}")),
        );
        written.answer.send(true).unwrap();
        record.emit(Stage::ResponseComplete).await.unwrap();
        let line = written.line();
        assert!(!line.to_string().contains("s3cret"), "{line}");
        assert_eq!(line["responseObject"]["spec"]["token"], "REDACTED");
    }
}

#[tokio::test]
async fn stages_and_managed_fields_may_be_left_out() {
    let rules = "omitStages: [RequestReceived]\nomitManagedFields: true\nrules: [{level: RequestResponse}]";
    let written = auditor(rules, Mode::BlockingStrict);
    let record = written.begin("pods", "").unwrap();
    record.received().await.unwrap();
    record.response(200, Some(&Bytes::from_static(b"{\"items\":[{\"metadata\":{\"managedFields\":[1]}}]}")));
    written.answer.send(true).unwrap();
    record.emit(Stage::ResponseComplete).await.unwrap();
    let line = written.line();
    assert_eq!(
        (&line["stage"], &line["responseObject"]),
        (&json!("ResponseComplete"), &json!({"items": [{"metadata": {}}]}))
    );
}

#[tokio::test]
async fn a_failure_tells_its_status() {
    let written = auditor("rules: [{level: Metadata}]", Mode::Blocking);
    let record = written.begin("pods", "").unwrap();
    let status = Status::failure(403, api_meta::Reason::Forbidden, "no");
    record.response(403, Some(&serde_json::to_vec(&status).unwrap().into()));
    written.answer.send(true).unwrap();
    record.emit(Stage::ResponseComplete).await.unwrap();
    let expect = json!({"metadata": {}, "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403});
    assert_eq!(written.line()["responseStatus"], expect);
}

#[tokio::test]
async fn a_lost_event_refuses_only_where_it_must() {
    for (mode, refused) in [(Mode::Blocking, false), (Mode::BlockingStrict, true)] {
        let written = auditor("rules: [{level: Metadata}]", mode);
        written.answer.send(false).unwrap();
        assert_eq!(written.begin("pods", "").unwrap().received().await.is_err(), refused);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &written.registry).unwrap();
        assert!(text.contains("apiserver_audit_error_total{plugin=\"log\"} 1"), "{text}");
        assert!(text.contains(&format!("apiserver_audit_requests_rejected_total {}", u8::from(refused))), "{text}");
        assert!(text.contains("apiserver_audit_level_total{level=\"Metadata\"} 1"), "{text}");
    }
}
