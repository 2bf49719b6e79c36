//! Expressions of policies, over a request.

use std::sync::Arc;

use api_meta::json;

use crate::admission::{Activation, Expressions, Inputs, OutOfBudget, Policy, Uses};
use crate::{AuthorizationCheck, Authorizer, Decision, RUNTIME_COST_BUDGET, Type, Val};

const ALL: Uses = Uses { params: true, authorizer: true };

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

fn evaluate(policy: &Policy, text: &str, budget: &mut u64) -> Result<Result<Val, String>, OutOfBudget> {
    let object = json!({"metadata": {"name": "ok", "labels": {"a": "b"}}, "spec": {"replicas": 3}});
    let params = json!({"data": {"limit": "5"}});
    let namespace = json!({"metadata": {"name": "ns", "labels": {"env": "prod"}}});
    let request = json!({"operation": "CREATE", "name": "ok", "userInfo": {"username": "me", "groups": ["g"]},
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "dryRun": false});
    let check = AuthorizationCheck { resource: "pods".into(), namespace: "ns".into(), ..AuthorizationCheck::default() };
    let inputs = Inputs {
        object: Some(&object),
        old_object: None,
        params: Some(&params),
        request: &request,
        namespace: Some(&namespace),
        authorizer: Some((Arc::new(Reader), check)),
    };
    Activation::new(policy, inputs).evaluate(&policy.compile(text, &[]), budget)
}

#[track_caller]
fn holds(policy: &Policy, text: &str) {
    match evaluate(policy, text, &mut RUNTIME_COST_BUDGET.clone()) {
        Ok(Ok(Val::Bool(true))) => {}
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn fails(policy: &Policy, text: &str, expect: &str) {
    let told = evaluate(policy, text, &mut RUNTIME_COST_BUDGET.clone()).unwrap().map(|value| value.to_string());
    assert_eq!(told, Err(expect.to_owned()), "{text}");
}

#[test]
fn what_a_request_brings_along() {
    let policy = Policy::new(Expressions::New, ALL);
    holds(&policy, "object.metadata.name == 'ok' && oldObject == null && object.spec.replicas < 5");
    holds(&policy, "has(object.metadata.labels) && object.metadata.labels.a == 'b' && !has(object.status)");
    holds(
        &policy,
        "request.operation == 'CREATE' && request.userInfo.username == 'me' && 'g' in request.userInfo.groups",
    );
    holds(&policy, "request.kind.kind == 'Deployment' && !request.dryRun");
    holds(&policy, "namespaceObject.metadata.labels['env'] == 'prod'");
    holds(&policy, "object.spec.replicas <= int(params.data.limit)");
    fails(
        &policy,
        "int(object.metadata.name) > 0",
        "expression 'int(object.metadata.name) > 0' resulted in error: \
        type conversion error from 'string' to 'int'",
    );
    fails(&policy, "object.spec.none > 0", "expression 'object.spec.none > 0' resulted in error: no such key: none");
}

#[test]
fn the_authorizer_is_asked() {
    let policy = Policy::new(Expressions::New, ALL);
    holds(&policy, "authorizer.group('').resource('pods').namespace('ns').check('get').allowed()");
    holds(&policy, "!authorizer.group('').resource('pods').namespace('other').check('get').allowed()");
    holds(
        &policy,
        "authorizer.group('').resource('pods').namespace('ns').name('x').check('list').reason() == 'asked to list'",
    );
    holds(
        &policy,
        "authorizer.path('/healthz').check('get').allowed() && !authorizer.path('/x').check('get').allowed()",
    );
    holds(&policy, "authorizer.requestResource.check('get').allowed()");
    holds(&policy, "!authorizer.requestResource.check('delete').allowed()");
    holds(&policy, "authorizer.serviceAccount('ns', 'robot').group('').resource('x').check('delete').allowed()");
    holds(
        &policy,
        "authorizer.requestResource.check('fail').errored() \
        && authorizer.requestResource.check('fail').error() == 'no answer'",
    );
    holds(
        &policy,
        "!authorizer.group('').resource('pods').subresource('log').fieldSelector('a=b').check('get').errored()",
    );
    fails(
        &policy,
        "authorizer.path(' ').check('get').allowed()",
        "expression 'authorizer.path(' ').check('get').allowed()' resulted in error: path must not be empty",
    );
    let without = Policy::new(Expressions::New, Uses::default());
    assert!(
        without
            .compile("authorizer.path('/x').check('get').allowed()", &[])
            .error()
            .unwrap()
            .contains("undeclared reference to 'authorizer'")
    );
}

#[test]
fn two_questions_are_affordable_and_three_are_not() {
    let policy = Policy::new(Expressions::New, ALL);
    let ask = "authorizer.path('/healthz').check('get').allowed()";
    holds(&policy, &format!("{ask} && {ask}"));
    fails(
        &policy,
        &format!("{ask} && {ask} && {ask}"),
        &format!(
            "expression '{ask} && {ask} && {ask}' resulted in error: operation cancelled: actual cost limit exceeded"
        ),
    );
}

#[test]
fn variables_build_on_each_other() {
    let mut policy = Policy::new(Expressions::New, ALL);
    assert_eq!(policy.add_variable("limit", "int(params.data.limit)").error(), None);
    assert_eq!(policy.add_variable("left", "variables.limit - object.spec.replicas").error(), None);
    policy.add_variable("wrong", "nosuch");
    policy.add_variable("boom", "1 / 0");
    holds(&policy, "variables.left == 2 && variables.limit == 5 && has(variables.left)");
    holds(&policy, "variables.?left.orValue(0) == 2 || true");
    // Nobody asked for the ones that fail.
    fails(
        &policy,
        "variables.boom > 1",
        "expression 'variables.boom > 1' resulted in error: composited variable \"boom\" fails to evaluate: division by zero",
    );
    let told = evaluate(&policy, "variables.wrong == 1", &mut RUNTIME_COST_BUDGET.clone()).unwrap().unwrap_err();
    assert!(
        told.contains(
            "composited variable \"wrong\" fails to compile: compilation failed: ERROR: <input>:1:1: undeclared"
        ),
        "{told}"
    );
    let unknown = policy.compile("variables.none", &[]);
    assert!(unknown.error().unwrap().contains("undefined field 'none'"), "{unknown:?}");
    let mistyped = policy.compile("variables.left == 'x'", &[]);
    assert!(mistyped.error().unwrap().contains("'_==_' applied to '(int, string)'"), "{mistyped:?}");
}

#[test]
fn long_chains_of_variables_are_refused() {
    let mut policy = Policy::new(Expressions::New, ALL);
    policy.add_variable("v0", "1");
    for number in 1..200 {
        policy.add_variable(&format!("v{number}"), &format!("variables.v{} + 1", number - 1));
    }
    holds(&policy, "variables.v50 == 51");
    let told = evaluate(&policy, "variables.v199 == 200", &mut RUNTIME_COST_BUDGET.clone()).unwrap().unwrap_err();
    assert!(told.contains("variables depend on each other more than 64 deep"), "{told}");
}

#[test]
fn types_of_values_are_wanted() {
    let policy = Policy::new(Expressions::New, ALL);
    let told = |text, returns: &[Type]| policy.compile(text, returns).error().map(str::to_owned);
    assert_eq!(told("1", &[Type::Bool]).unwrap(), "must evaluate to bool but got int");
    assert_eq!(
        told("1", &[Type::String, Type::Null]).unwrap(),
        "must evaluate to one of [string null_type] but got int"
    );
    assert_eq!(told("null", &[Type::String, Type::Null]), None);
    assert_eq!(told("object.a", &[Type::Bool]).unwrap(), "must evaluate to bool but got dyn");
    assert!(
        told("object.", &[Type::Bool]).unwrap().starts_with("compilation failed: ERROR: <input>:1:8: Syntax error")
    );
}

#[test]
fn all_expressions_share_a_budget() {
    let mut policy = Policy::new(Expressions::Stored, Uses::default());
    policy.add_variable("many", "lists.range(300).map(x, x)");
    let mut budget = 10_000;
    assert!(matches!(evaluate(&policy, "variables.many.size() == 300", &mut budget), Ok(Ok(Val::Bool(true)))));
    assert!(budget < 10_000 - 300 * 10);
    assert_eq!(
        evaluate(&policy, "variables.many.all(x, variables.many.size() > x)", &mut budget).unwrap_err(),
        OutOfBudget
    );
    assert_eq!(budget, 0);
}

#[test]
fn one_kind_can_be_checked_for() {
    let schema = apiserver_model::schema::builtin("apps", "v1", "Deployment").unwrap();
    let object = crate::DeclType::of_schema(&schema, true, "apps.v1.Deployment").unwrap();
    let policy = Policy::with_types(Expressions::New, Uses::default(), object.type_, Type::Dyn);
    assert_eq!(policy.check("object.spec.replicas > 1 && object.metadata.name != ''"), None);
    assert_eq!(
        policy.check("object.spec.replicas > 'x'").unwrap(),
        "ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n \
         | object.spec.replicas > 'x'\n | .....................^"
    );
    assert!(policy.check("object.spec.nosuch == 1").unwrap().contains("undefined field 'nosuch'"));
}
