//! Expressions of admission: policies and match conditions (upstream: `pkg/admission/plugin/cel`).
//!
//! ```
//! use apiserver_cel::admission::{Activation, Expressions, Inputs, Policy, Uses};
//! use apiserver_cel::{RUNTIME_COST_BUDGET, Type, Val};
//!
//! let mut policy = Policy::new(Expressions::New, Uses { params: true, authorizer: false });
//! policy.add_variable("limit", "params.data.limit");
//! let rule = policy.compile("object.spec.replicas <= int(variables.limit)", &[Type::Bool]);
//!
//! let object = api_meta::json!({"spec": {"replicas": 3}});
//! let params = api_meta::json!({"data": {"limit": "5"}});
//! let request = api_meta::json!({"operation": "CREATE"});
//! let inputs = Inputs { object: Some(&object), params: Some(&params), request: &request, ..Inputs::default() };
//! let activation = Activation::new(&policy, inputs);
//! let mut budget = RUNTIME_COST_BUDGET;
//! let value = activation.evaluate(&rule, &mut budget).unwrap();
//! assert!(matches!(value, Ok(Val::Bool(true))));
//! ```
//!
//! # Flow
//!
//! A [`Policy`] is made once for each stored policy: first its variables, in
//! order, then its expressions. An [`Activation`] is made for each request;
//! its variables are evaluated when an expression first asks for them, and
//! kept. All expressions of a policy draw on one budget.
//!
//! Objects are not typed here, as upstream: a policy may match many kinds. To
//! warn of what does not fit one kind, compile with [`Policy::with_types`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use api_meta::Value;

use crate::PER_CALL_LIMIT;
use crate::error::Error;
use crate::eval::{Evaluated, Limits, Variables};
use crate::library::{AuthorizationCheck, Authorizer};
pub use crate::program::Expressions;
use crate::program::{CompileError, Environment, Program};
use crate::schema::DeclType;
use crate::types::{ObjectType, Type};
use crate::value::{Outcome, Val};

/// How deep variables may depend on other variables.
const MAX_NESTING: usize = 64;
const VARIABLES: &str = "variables";

/// Which optional variables there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub params: bool,
    pub authorizer: bool,
}

/// The variables of a policy, and what its expressions may name.
#[derive(Debug)]
pub struct Policy {
    environment: Environment,
    variables: BTreeMap<String, Expression>,
    types: BTreeMap<String, Arc<DeclType>>,
}

/// An expression with its text, compiled or not.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Result<Program, String>,
}

impl Expression {
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Why it does not compile: `compilation failed: ...` or `must evaluate to bool but got int`.
    pub fn error(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// The type of its value; `dyn` if it does not compile.
    pub fn output_type(&self) -> Type {
        self.program.as_ref().map_or(Type::Dyn, |program| program.output_type().clone())
    }
}

impl Policy {
    pub fn new(expressions: Expressions, uses: Uses) -> Self {
        Self::with_types(expressions, uses, Type::Dyn, Type::Dyn)
    }

    /// For checking the expressions against one kind: `object` and `params` are the types of those variables.
    pub fn with_types(expressions: Expressions, uses: Uses, object: Type, params: Type) -> Self {
        let mut environment = Environment::new(expressions)
            .with_variable("object", object.clone())
            .with_variable("oldObject", object)
            .with_variable("namespaceObject", namespace_type().type_.clone())
            .with_variable("request", request_type().type_.clone());
        if uses.params {
            environment = environment.with_variable("params", params);
        }
        if uses.authorizer {
            environment = environment.with_authorizer();
        }
        let mut policy = Self { environment, variables: BTreeMap::new(), types: BTreeMap::new() };
        policy.declare_variables();
        policy
    }

    /// Adds a variable, which later ones and all expressions may name. One that does not compile is an error for those
    /// who use it; the returned expression says why.
    pub fn add_variable(&mut self, name: &str, text: &str) -> &Expression {
        let expression = self.compile(text, &[]);
        let type_ = plain(&expression.output_type());
        self.types.insert(name.to_owned(), Arc::new(DeclType::simple(type_.clone(), 1)));
        self.environment = self.environment.clone().with_variable(&format!("{VARIABLES}.{name}"), type_);
        self.declare_variables();
        self.variables.entry(name.to_owned()).insert_entry(expression).into_mut()
    }

    /// `variables` as a whole, for those who do not name one of them: `has(variables.x)`.
    fn declare_variables(&mut self) {
        let object = ObjectType { name: "kubernetes.variables".into(), fields: self.types.clone() };
        self.environment = self.environment.clone().with_variable(VARIABLES, Type::Object(Arc::new(object)));
    }

    /// Compiles an expression whose value must be of one of the types; without any, of whichever.
    pub fn compile(&self, text: &str, returns: &[Type]) -> Expression {
        let program = self.environment.compile(text).map_err(|error| match error {
            CompileError::Issues(issues) => format!("compilation failed: {issues}"),
            CompileError::Program(why) => format!("program instantiation failed: {why}"),
        });
        let program = program.and_then(|program| match returns {
            [] => Ok(program),
            _ if returns.contains(program.output_type()) => Ok(program),
            [one] => Err(format!("must evaluate to {} but got {}", shown(one), shown(program.output_type()))),
            several => {
                let names: Vec<_> = several.iter().map(shown).collect();
                let names = names.join(" ");
                Err(format!("must evaluate to one of [{names}] but got {}", shown(program.output_type())))
            }
        });
        Expression { text: text.to_owned(), program }
    }

    /// The errors of an expression that does not fit the types, as cel-go shows them; `None` if it does fit.
    pub fn check(&self, text: &str) -> Option<String> {
        self.environment.compile(text).err().map(|error| error.to_string())
    }
}

/// cel-go's own name of a type, which differs from the one in its errors.
fn shown(type_: &Type) -> String {
    match type_ {
        Type::Null => "null_type".into(),
        Type::Duration => "google.protobuf.Duration".into(),
        Type::Timestamp => "google.protobuf.Timestamp".into(),
        other => other.to_string(),
    }
}

/// What is known of a variable's type: upstream forgets all but simple types, lists and maps.
fn plain(type_: &Type) -> Type {
    match type_ {
        Type::List(item) => Type::list(plain(item)),
        Type::Map(key, value) => Type::map(plain(key), plain(value)),
        Type::Optional(_) | Type::Type(_) | Type::Abstract(_) | Type::Object(_) | Type::Param(_) | Type::Error => {
            Type::Dyn
        }
        simple => simple.clone(),
    }
}

/// What a request brings along.
#[derive(Clone, Default)]
pub struct Inputs<'a> {
    /// None on deletion.
    pub object: Option<&'a Value>,
    pub old_object: Option<&'a Value>,
    pub params: Option<&'a Value>,
    /// An `AdmissionRequest` without its objects.
    pub request: &'a Value,
    /// None for what is in no namespace.
    pub namespace: Option<&'a Value>,
    /// Whom to ask, and for `authorizer.requestResource` about what.
    pub authorizer: Option<(Arc<dyn Authorizer>, AuthorizationCheck)>,
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("request", self.request).finish_non_exhaustive()
    }
}

/// The budget of a policy is used up; none of its expressions may be evaluated any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBudget;

impl std::error::Error for OutOfBudget {}

impl fmt::Display for OutOfBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("validation failed due to running out of cost budget, no further validation rules will be run")
    }
}

/// The variables of one request.
pub struct Activation<'a> {
    policy: &'a Policy,
    values: HashMap<&'static str, Val>,
    /// Variables of the policy that were asked for.
    known: RefCell<HashMap<String, Outcome>>,
    /// What they did cost since it was last looked.
    cost: Cell<u64>,
    nesting: Cell<usize>,
    interrupted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Activation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activation").field("known", &self.known).finish_non_exhaustive()
    }
}

impl<'a> Activation<'a> {
    pub fn new(policy: &'a Policy, inputs: Inputs<'_>) -> Self {
        Self::interruptible(policy, inputs, &|| false)
    }

    /// `interrupted` is asked now and then whether nobody waits any more.
    pub fn interruptible(policy: &'a Policy, inputs: Inputs<'_>, interrupted: &'a dyn Fn() -> bool) -> Self {
        let value = |json: Option<&Value>| json.map_or(Val::Null, Val::from_json);
        let mut values = HashMap::from([
            ("object", value(inputs.object)),
            ("oldObject", value(inputs.old_object)),
            ("params", value(inputs.params)),
            ("request", Val::from_json(inputs.request)),
            ("namespaceObject", value(inputs.namespace)),
        ]);
        if let Some((authorizer, check)) = inputs.authorizer {
            values.insert("authorizer.requestResource", Val::request_resource(Arc::clone(&authorizer), check));
            values.insert("authorizer", Val::authorizer(authorizer));
        }
        Self { policy, values, known: RefCell::default(), cost: Cell::new(0), nesting: Cell::new(0), interrupted }
    }

    /// The value of an expression of the policy, or why it has none: `expression '...' resulted in error: ...`.
    pub fn evaluate(&self, expression: &Expression, budget: &mut u64) -> Result<Result<Val, String>, OutOfBudget> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let Evaluated { value, cost } = self.run(program);
        let cost = self.cost.take().saturating_add(cost);
        match budget.checked_sub(cost) {
            Some(left) => *budget = left,
            None => {
                *budget = 0;
                return Err(OutOfBudget);
            }
        }
        Ok(value.map_err(|error| format!("expression '{}' resulted in error: {error}", expression.text)))
    }

    fn run(&self, program: &Program) -> Evaluated {
        program.evaluate(self, Limits { cost: PER_CALL_LIMIT, interrupted: self.interrupted })
    }

    fn charge(&self, cost: u64) {
        self.cost.set(self.cost.get().saturating_add(cost));
    }

    fn variable(&self, name: &str) -> Option<Outcome> {
        let expression = self.policy.variables.get(name)?;
        if let Some(known) = self.known.borrow().get(name) {
            return Some(known.clone());
        }
        let outcome = self.compute(name, expression);
        self.known.borrow_mut().insert(name.to_owned(), outcome.clone());
        Some(outcome)
    }

    fn compute(&self, name: &str, expression: &Expression) -> Outcome {
        let program = expression
            .program
            .as_ref()
            .map_err(|why| Error::new(format!("composited variable {name:?} fails to compile: {why}")))?;
        if self.nesting.get() >= MAX_NESTING {
            return Err(Error::new(format!("variables depend on each other more than {MAX_NESTING} deep")));
        }
        self.nesting.set(self.nesting.get() + 1);
        let Evaluated { value, cost } = self.run(program);
        self.nesting.set(self.nesting.get() - 1);
        self.charge(cost);
        value.map_err(|error| Error::new(format!("composited variable {name:?} fails to evaluate: {error}")))
    }
}

impl Variables for Activation<'_> {
    fn get(&self, name: &str) -> Option<Outcome> {
        if let Some(name) = name.strip_prefix("variables.") {
            // The one access is two of cel-go's: to the map and to its field.
            self.charge(1);
            return self.variable(name);
        }
        if name == VARIABLES {
            let all = self.policy.variables.keys().filter_map(|name| {
                let value = self.variable(name)?.unwrap_or_else(Val::Invalid);
                Some((name.as_str().into(), value))
            });
            return Some(Ok(Val::map(all)));
        }
        self.values.get(name).map(|value| Ok(value.clone()))
    }
}

fn strings() -> DeclType {
    DeclType::list(DeclType::string(), 0)
}

/// The type of the variable `request`.
pub fn request_type() -> &'static DeclType {
    static TYPE: OnceLock<DeclType> = OnceLock::new();
    TYPE.get_or_init(|| {
        let three = |name: &str, last: &'static str| {
            DeclType::object(
                name,
                [("group", DeclType::string()), ("version", DeclType::string()), (last, DeclType::string())],
            )
        };
        let kind = three("kubernetes.GroupVersionKind", "kind");
        let resource = three("kubernetes.GroupVersionResource", "resource");
        let user = DeclType::object(
            "kubernetes.UserInfo",
            [
                ("username", DeclType::string()),
                ("uid", DeclType::string()),
                ("groups", strings()),
                ("extra", DeclType::map(strings(), 0)),
            ],
        );
        DeclType::object(
            "kubernetes.AdmissionRequest",
            [
                ("kind", kind.clone()),
                ("resource", resource.clone()),
                ("subResource", DeclType::string()),
                ("requestKind", kind),
                ("requestResource", resource),
                ("requestSubResource", DeclType::string()),
                ("name", DeclType::string()),
                ("namespace", DeclType::string()),
                ("operation", DeclType::string()),
                ("userInfo", user),
                ("dryRun", DeclType::bool()),
                ("options", DeclType::dynamic()),
            ],
        )
    })
}

/// The type of the variable `namespaceObject`.
pub fn namespace_type() -> &'static DeclType {
    static TYPE: OnceLock<DeclType> = OnceLock::new();
    TYPE.get_or_init(|| {
        let time = || DeclType::simple(Type::Timestamp, 12);
        let texts = || DeclType::map(DeclType::string(), 0);
        let metadata = DeclType::object(
            "kubernetes.NamespaceMetadata",
            [
                ("name", DeclType::string()),
                ("generateName", DeclType::string()),
                ("namespace", DeclType::string()),
                ("labels", texts()),
                ("annotations", texts()),
                ("UID", DeclType::string()),
                ("creationTimestamp", time()),
                ("deletionGracePeriodSeconds", DeclType::int()),
                ("deletionTimestamp", time()),
                ("generation", DeclType::int()),
                ("resourceVersion", DeclType::string()),
                ("finalizers", strings()),
            ],
        );
        let condition = DeclType::object(
            "kubernetes.NamespaceCondition",
            [
                ("status", DeclType::string()),
                ("type", DeclType::string()),
                ("lastTransitionTime", time()),
                ("message", DeclType::string()),
                ("reason", DeclType::string()),
            ],
        );
        let status = DeclType::object(
            "kubernetes.NamespaceStatus",
            [("conditions", DeclType::list(condition, 0)), ("phase", DeclType::string())],
        );
        let spec = DeclType::object("kubernetes.NamespaceSpec", [("finalizers", strings())]);
        DeclType::object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
    })
}
