//! Expressions in webhooks and admission policies: what they may name, and whether they can be evaluated.
//!
//! What validation accepts and what admission evaluates must be the same, so both compile here.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use apiserver_cel::{CompileError, DeclType, Environment, Expressions, ObjectType, Program, Type};

/// An expression and what became of it.
#[derive(Debug)]
pub struct Expression {
    pub text: String,
    /// Why it cannot be evaluated, in upstream's words.
    pub program: Result<Program, String>,
}

/// What an expression may be of; in upstream's names.
pub const BOOL: &[&str] = &["bool"];
pub const STRING: &[&str] = &["string"];
pub const STRING_OR_NULL: &[&str] = &["string", "null_type"];
/// A variable may be anything.
pub const ANY: &[&str] = &[];

/// Names that expressions of one policy or webhook share.
#[derive(Clone)]
pub struct Names {
    environment: Environment,
    variables: BTreeMap<String, Arc<DeclType>>,
}

/// What there is beside the object, the request and the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub params: bool,
    pub authorizer: bool,
}

impl Names {
    pub fn new(expressions: Expressions, given: Given) -> Self {
        Self::of_types(expressions, given, Type::Dyn, Type::Dyn)
    }

    /// With types for the object and the parameters, to find mistakes that evaluation would only meet later.
    pub fn of_types(expressions: Expressions, given: Given, object: Type, params: Type) -> Self {
        let mut environment = Environment::new(expressions)
            .with_variable("object", object.clone())
            .with_variable("oldObject", object)
            .with_variable("namespaceObject", NAMESPACE.type_.clone())
            .with_variable("request", REQUEST.type_.clone());
        if given.params {
            environment = environment.with_variable("params", params);
        }
        if given.authorizer {
            environment = environment.with_authorizer();
        }
        Self { environment, variables: BTreeMap::new() }
    }

    /// Compiles a variable; what is compiled afterwards may name it.
    pub fn variable(&mut self, name: &str, text: &str) -> Expression {
        let compiled = self.compile(text, ANY);
        let type_ = compiled.program.as_ref().map_or(Type::Dyn, |program| program.output_type().clone());
        self.variables.insert(name.to_owned(), Arc::new(DeclType::simple(type_.clone(), 1)));
        let fields = self.variables.clone();
        let all = ObjectType { name: "kubernetes.variables".into(), fields };
        self.environment = self
            .environment
            .clone()
            .with_variable("variables", Type::Object(Arc::new(all)))
            // Under its whole name it is evaluated only where it is named.
            .with_variable(&format!("variables.{name}"), type_);
        compiled
    }

    pub fn compile(&self, text: &str, of: &[&str]) -> Expression {
        Expression { text: text.to_owned(), program: self.program(text, of) }
    }

    fn program(&self, text: &str, of: &[&str]) -> Result<Program, String> {
        let program = self.environment.compile(text).map_err(|error| match error {
            CompileError::Issues(issues) => format!("compilation failed: {issues}"),
            CompileError::Program(why) => format!("program instantiation failed: {why}"),
        })?;
        let got = program.output_type();
        if of.is_empty() || of.contains(&got.name()) {
            return Ok(program);
        }
        Err(match of {
            [only] => format!("must evaluate to {only} but got {got}"),
            several => format!("must evaluate to one of [{}] but got {got}", several.join(" ")),
        })
    }
}

fn timestamp() -> DeclType {
    DeclType::simple(Type::Timestamp, 21)
}

fn strings() -> DeclType {
    DeclType::list(DeclType::string(), u64::MAX)
}

fn string_map() -> DeclType {
    DeclType::map(DeclType::string(), u64::MAX)
}

/// The variable `request` (upstream: `BuildRequestType`). A word of the language is declared as it is escaped.
pub static REQUEST: LazyLock<DeclType> = LazyLock::new(|| {
    let string = DeclType::string;
    let kind = || {
        let fields = [("group", string()), ("version", string()), ("kind", string())];
        DeclType::object("kubernetes.GroupVersionKind", fields)
    };
    let resource = || {
        let fields = [("group", string()), ("version", string()), ("resource", string())];
        DeclType::object("kubernetes.GroupVersionResource", fields)
    };
    let user = DeclType::object(
        "kubernetes.UserInfo",
        [
            ("username", string()),
            ("uid", string()),
            ("groups", strings()),
            ("extra", DeclType::map(strings(), u64::MAX)),
        ],
    );
    DeclType::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", string()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", string()),
            ("name", string()),
            ("__namespace__", string()),
            ("operation", string()),
            ("userInfo", user),
            ("dryRun", DeclType::bool()),
            ("options", DeclType::dynamic()),
        ],
    )
});

/// The variable `namespaceObject` (upstream: `BuildNamespaceType`).
pub static NAMESPACE: LazyLock<DeclType> = LazyLock::new(|| {
    let string = DeclType::string;
    let condition = DeclType::object(
        "kubernetes.NamespaceCondition",
        [
            ("status", string()),
            ("type", string()),
            ("lastTransitionTime", timestamp()),
            ("message", string()),
            ("reason", string()),
        ],
    );
    let metadata = DeclType::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", string()),
            ("generateName", string()),
            ("__namespace__", string()),
            ("labels", string_map()),
            ("annotations", string_map()),
            ("UID", string()),
            ("creationTimestamp", timestamp()),
            ("deletionGracePeriodSeconds", DeclType::int()),
            ("deletionTimestamp", timestamp()),
            ("generation", DeclType::int()),
            ("resourceVersion", string()),
            ("finalizers", strings()),
        ],
    );
    let spec = DeclType::object("kubernetes.NamespaceSpec", [("finalizers", strings())]);
    let status = DeclType::object(
        "kubernetes.NamespaceStatus",
        [("conditions", DeclType::list(condition, u64::MAX)), ("phase", string())],
    );
    DeclType::object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, of: &[&str], expect: Result<(), &str>) {
        let mut names = Names::new(Expressions::New, Given { params: false, authorizer: true });
        names.variable("two", "1 + 1");
        let got = names.compile(text, of).program.map(|_| ());
        assert_eq!(got.as_ref().map_err(|why| why.lines().next().unwrap()).copied(), expect);
    }

    #[test]
    fn what_expressions_may_name() {
        check("object.metadata.name == 'a'", BOOL, Ok(()));
        check("request.userInfo.username == 'a' && oldObject == null", BOOL, Ok(()));
        check("namespaceObject.metadata.labels['a'] == 'b'", BOOL, Ok(()));
        check("request.namespace == 'a'", BOOL, Ok(()));
        check("authorizer.group('').resource('pods').check('get').allowed()", BOOL, Ok(()));
        check("variables.two == 2", BOOL, Ok(()));
        check(
            "params.x",
            ANY,
            Err("compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')"),
        );
    }

    #[test]
    fn what_they_may_be() {
        check("1", BOOL, Err("must evaluate to bool but got int"));
        check("'a'", STRING_OR_NULL, Ok(()));
        check("null", STRING_OR_NULL, Ok(()));
        check("1", STRING_OR_NULL, Err("must evaluate to one of [string null_type] but got int"));
    }
}
