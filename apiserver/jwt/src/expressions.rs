//! Expressions over claims, and over the user that they make (upstream: `pkg/authentication/cel`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use api_meta::{FieldErrors, FieldPath, Map, Value, json};
use apiserver_access::{Unauthenticated, User};
use apiserver_cel::{DeclType, Environment, Expressions, Limits, PER_CALL_LIMIT, Program, Type, Val};

const CLAIMS: &str = "claims";
const USER: &str = "user";

/// One expression, ready to be evaluated.
#[derive(Clone)]
pub(crate) struct Expression {
    pub(crate) text: String,
    program: Arc<Program>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

static OF_CLAIMS: LazyLock<Environment> =
    LazyLock::new(|| Environment::new(Expressions::New).with_variable(CLAIMS, Type::map(Type::String, Type::Dyn)));

static OF_USER: LazyLock<Environment> = LazyLock::new(|| {
    // As many as there may be; sizes only matter to estimates, which nobody asks for.
    const MANY: u64 = 1 << 16;
    let user = DeclType::object(
        "kubernetes.UserInfo",
        [
            ("username", DeclType::string()),
            ("uid", DeclType::string()),
            ("groups", DeclType::list(DeclType::string(), MANY)),
            ("extra", DeclType::map(DeclType::list(DeclType::string(), MANY), MANY)),
        ],
    );
    Environment::new(Expressions::New).with_variable(USER, user.type_)
});

impl Expression {
    /// Over `claims`. What it makes is looked at when it is evaluated.
    pub(crate) fn mapping(text: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Self> {
        Self::compile(&OF_CLAIMS, text, path, errors)
    }

    /// Over `claims`, true or false.
    pub(crate) fn claim_rule(text: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Self> {
        Self::compile(&OF_CLAIMS, text, path, errors).filter(|rule| rule.is_rule(path, errors))
    }

    /// Over `user`, true or false.
    pub(crate) fn user_rule(text: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Self> {
        Self::compile(&OF_USER, text, path, errors).filter(|rule| rule.is_rule(path, errors))
    }

    fn compile(environment: &Environment, text: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Self> {
        match environment.compile(text) {
            Ok(program) => Some(Self { text: text.to_owned(), program: Arc::new(program) }),
            Err(error) => {
                errors.invalid(path, text, format!("compilation failed: {error}"));
                None
            }
        }
    }

    fn is_rule(&self, path: &FieldPath, errors: &mut FieldErrors) -> bool {
        let is_rule = matches!(self.program.output_type(), Type::Bool);
        if !is_rule {
            errors.invalid(path, self.text.as_str(), "must evaluate to bool");
        }
        is_rule
    }

    /// Whether it reads this claim by its name.
    pub(crate) fn reads(&self, claim: &str) -> bool {
        [".", ".?"].iter().any(|dot| {
            let name = format!("{CLAIMS}{dot}{claim}");
            self.text.match_indices(&name).any(|(at, _)| {
                let next = self.text[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        })
    }

    fn evaluate(&self, variable: &str, value: Val) -> Result<Val, Unauthenticated> {
        let variables = HashMap::from([(variable, value)]);
        let limits = Limits { cost: PER_CALL_LIMIT, interrupted: &|| false };
        self.program.evaluate(&variables, limits).value.map_err(|error| {
            tracing::debug!(expression = %self.text, error = %error, "an expression over a token has no value");
            Unauthenticated("an expression of the configuration has no value for the token")
        })
    }

    pub(crate) fn of_claims(&self, claims: &Val) -> Result<Val, Unauthenticated> {
        self.evaluate(CLAIMS, claims.clone())
    }

    pub(crate) fn of_user(&self, user: &User) -> Result<Val, Unauthenticated> {
        let User { name, uid, groups, extra } = user;
        let value = json!({"username": name, "uid": uid, "groups": groups, "extra": extra});
        self.evaluate(USER, Val::from_json(&value))
    }
}

pub(crate) fn claims_value(claims: &Map<String, Value>) -> Val {
    Val::from_json(&Value::Object(claims.clone()))
}

/// A text or a list of them; nothing is none.
pub(crate) fn texts(value: &Val) -> Option<Vec<String>> {
    match value {
        Val::Null => Some(Vec::new()),
        Val::String(text) if text.is_empty() => Some(Vec::new()),
        Val::String(text) => Some(vec![text.to_string()]),
        other => Some(other.as_texts()?.into_iter().map(str::to_owned).collect()),
    }
}
