//! The functions that expressions may call, one module for each of upstream's libraries.
//!
//! A function has overloads; each says its signature in a line, and what to
//! do. The line is cel-spec's notation: `string.(string) -> bool` is called on
//! a string with one. Single capital letters are type variables.

mod authorizer;
pub(crate) mod format;
mod lists;
mod network;
pub(crate) mod opaque;
mod optional;
mod quantity;
pub(crate) mod regexes;
mod semver;
mod sets;
mod signature;
mod standard;
mod strings;
mod text_format;
mod url;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use authorizer::{AuthorizationCheck, Authorizer, Decision};
pub(crate) use lists::insert;
pub(crate) use standard::index;
pub(crate) use text_format::check as check_format;

use crate::error::Error;
use crate::types::Type;
use crate::value::{Outcome, Val};

/// What an overload does with arguments that fit its signature; the receiver comes first.
pub(crate) type Implementation = fn(&[Val]) -> Outcome;

pub(crate) struct Overload {
    pub(crate) id: &'static str,
    pub(crate) member: bool,
    /// The receiver comes first.
    pub(crate) params: Vec<Type>,
    pub(crate) result: Type,
    pub(crate) has_variables: bool,
    implementation: Implementation,
    /// Whether expressions that are new may use it, or only those that were stored by a newer server.
    pub(crate) since: Since,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    Always,
    /// Known to this version only; new expressions keep off it, so that the version before can read them.
    ThisVersion,
}

#[derive(Default)]
pub(crate) struct Function {
    pub(crate) overloads: Vec<Overload>,
}

/// A line of a library: function, overload, signature, implementation.
type Line = (&'static str, &'static str, &'static str, Implementation);

/// All functions by name.
pub(crate) fn functions() -> &'static HashMap<&'static str, Function> {
    static FUNCTIONS: OnceLock<HashMap<&'static str, Function>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let mut functions: HashMap<&'static str, Function> = HashMap::new();
        let always = [
            standard::OPERATORS,
            standard::COMPARISONS,
            standard::CONVERSIONS,
            standard::FUNCTIONS,
            standard::TIMES,
            url::LINES,
            regexes::LINES,
            lists::KUBERNETES,
            authorizer::LINES,
            optional::LINES,
            quantity::LINES,
            strings::LINES,
            sets::LINES,
            network::IP,
            network::CIDR,
            format::LINES,
            lists::TWO_VARIABLES,
            semver::LINES,
        ];
        for line in always.into_iter().flatten() {
            add(&mut functions, line, Since::Always);
        }
        for line in lists::EXTENSION {
            add(&mut functions, line, Since::ThisVersion);
        }
        functions
    })
}

fn add(functions: &mut HashMap<&'static str, Function>, line: &Line, since: Since) {
    let (name, id, signature, implementation) = *line;
    // A test reads all signatures.
    let Some(signature) = signature::parse(signature) else { return };
    functions.entry(name).or_default().overloads.push(Overload {
        id,
        member: signature.member,
        params: signature.params,
        result: signature.result,
        has_variables: signature.has_variables,
        implementation,
        since,
    });
}

/// Calls the overload that is known to be meant, or the first that takes these values.
pub(crate) fn call(function: &str, member: bool, meant: &str, args: &[Val]) -> Outcome {
    if let Some(Val::Invalid(error)) = args.iter().find(|arg| matches!(arg, Val::Invalid(_))) {
        return Err(error.clone());
    }
    let overloads = functions().get(function).map(|f| f.overloads.as_slice()).unwrap_or_default();
    // Operators look at their operands themselves.
    let is_operator = standard::is_operator(function);
    let fitting = overloads.iter().find(|overload| {
        let fits = || overload.params.iter().zip(args).all(|(param, arg)| takes(param, arg));
        overload.params.len() == args.len()
            && (is_operator || (overload.id == meant || meant.is_empty()) && overload.member == member && fits())
    });
    match fitting {
        Some(overload) => (overload.implementation)(args),
        None if is_operator => Err(Error::no_such_overload()),
        None => {
            let types: Vec<String> = args.iter().map(|arg| arg.type_().name().to_owned()).collect();
            Err(Error::no_such_call(function, &types))
        }
    }
}

/// Whether a value is of a type, without looking at what it holds.
fn takes(param: &Type, arg: &Val) -> bool {
    match param {
        Type::Dyn | Type::Param(_) => true,
        Type::List(_) => matches!(arg, Val::List(_)),
        Type::Map(..) => matches!(arg, Val::Map(_)),
        Type::Optional(_) => matches!(arg, Val::Optional(_)),
        Type::Type(_) => matches!(arg, Val::Type(_)),
        _ => param.name() == arg.type_().name(),
    }
}

/// Names that stand for types.
pub(crate) fn type_by_name(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "string" => Type::String,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "type" => Type::Type(None),
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "optional_type" => Type::optional(Type::Dyn),
        "net.IP" => Type::Abstract("net.IP"),
        "net.CIDR" => Type::Abstract("net.CIDR"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_read() {
        let lines = [
            standard::OPERATORS,
            standard::COMPARISONS,
            standard::CONVERSIONS,
            standard::FUNCTIONS,
            standard::TIMES,
            url::LINES,
            regexes::LINES,
            lists::KUBERNETES,
            lists::TWO_VARIABLES,
            lists::EXTENSION,
            authorizer::LINES,
            optional::LINES,
            quantity::LINES,
            strings::LINES,
            sets::LINES,
            network::IP,
            network::CIDR,
            format::LINES,
            semver::LINES,
        ];
        let lines: Vec<_> = lines.into_iter().flatten().collect();
        for (name, id, signature, _) in &lines {
            assert!(signature::parse(signature).is_some(), "{name} {id}: {signature}");
        }
        let known: usize = functions().values().map(|f| f.overloads.len()).sum();
        assert_eq!(known, lines.len());
    }
}
