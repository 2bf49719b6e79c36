//! What expressions ask about who may do what.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{
    AuthorizationCheck, Authorizer, Decision, DeclType, Environment, Expressions, Limits, PER_CALL_LIMIT, Val,
};

/// Lets who asks read pods in one namespace, and nothing else.
struct Reader;

impl Authorizer for Reader {
    fn authorize(&self, check: &AuthorizationCheck) -> Decision {
        if check.verb == "fail" {
            return Decision { error: Some("no answer".into()), ..Decision::default() };
        }
        let pods =
            check.resource == "pods" && check.namespace == "ns" && ["get", "list"].contains(&check.verb.as_str());
        let path = check.path.as_deref() == Some("/healthz");
        let account = check.service_account == Some(("ns".into(), "robot".into()));
        Decision { allowed: pods || path || account, reason: format!("asked to {}", check.verb), error: None }
    }
}

fn evaluate(text: &str) -> Result<bool, String> {
    let environment = Environment::new(Expressions::New).with_authorizer();
    let program = environment.compile(text).map_err(|error| error.to_string())?;
    let check = AuthorizationCheck { resource: "pods".into(), namespace: "ns".into(), ..AuthorizationCheck::default() };
    let variables = HashMap::from([
        ("authorizer", Val::authorizer(Arc::new(Reader))),
        ("authorizer.requestResource", Val::request_resource(Arc::new(Reader), check)),
    ]);
    let limits = Limits { cost: PER_CALL_LIMIT, interrupted: &|| false };
    match program.evaluate(&variables, limits).value {
        Ok(Val::Bool(value)) => Ok(value),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn questions_and_their_answers() {
    for text in [
        "authorizer.group('').resource('pods').namespace('ns').check('get').allowed()",
        "!authorizer.group('').resource('pods').namespace('other').check('get').allowed()",
        "authorizer.group('').resource('pods').namespace('ns').name('x').check('list').reason() == 'asked to list'",
        "authorizer.path('/healthz').check('get').allowed() && !authorizer.path('/x').check('get').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "!authorizer.requestResource.check('delete').allowed()",
        "authorizer.serviceAccount('ns', 'robot').group('').resource('x').check('delete').allowed()",
        "authorizer.requestResource.check('fail').errored()",
        "authorizer.requestResource.check('fail').error() == 'no answer'",
        "!authorizer.group('').resource('pods').subresource('log').fieldSelector('a=b').check('get').errored()",
    ] {
        assert_eq!(evaluate(text), Ok(true), "{text}");
    }
}

#[test]
fn questions_that_cannot_be_asked() {
    assert_eq!(evaluate("authorizer.path(' ').check('get').allowed()"), Err("path must not be empty".into()));
    let without = Environment::new(Expressions::New);
    let error = without.compile("authorizer.path('/x').check('get').allowed()").unwrap_err();
    assert!(error.to_string().contains("undeclared reference to 'authorizer'"), "{error}");
}

#[test]
fn two_questions_are_affordable_and_three_are_not() {
    let ask = "authorizer.path('/healthz').check('get').allowed()";
    assert_eq!(evaluate(&format!("{ask} && {ask}")), Ok(true));
    assert_eq!(
        evaluate(&format!("{ask} && {ask} && {ask}")),
        Err("operation cancelled: actual cost limit exceeded".into())
    );
}

#[test]
fn a_kind_of_object_can_be_checked_for() {
    let schema = apiserver_model::schema::builtin("apps", "v1", "Deployment").unwrap();
    let object = DeclType::of_schema(&schema, true, "apps.v1.Deployment").unwrap();
    let environment = Environment::new(Expressions::New).with_variable("object", object.type_);
    let check = |text| environment.compile(text).err().map(|error| error.to_string());
    assert_eq!(check("object.spec.replicas > 1 && object.metadata.name != ''"), None);
    assert_eq!(
        check("object.spec.replicas > 'x'").unwrap(),
        "ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n \
         | object.spec.replicas > 'x'\n | .....................^"
    );
    assert!(check("object.spec.nosuch == 1").unwrap().contains("undefined field 'nosuch'"));
}
