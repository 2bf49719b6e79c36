//! Which types fit each other, and what type variables stand for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::types::Type;

/// What type variables stand for so far.
///
/// Changes are kept in a list, so that an attempt that fails is undone without a copy of the whole.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    bound: HashMap<Arc<str>, Type>,
    changes: Vec<(Arc<str>, Option<Type>)>,
}

/// How many parts a type has, or more than `limit`.
pub(super) fn parts(type_: &Type, limit: usize) -> usize {
    let mut count = 1;
    for part in type_.parameters() {
        if count > limit {
            break;
        }
        count += parts(part, limit - count);
    }
    count
}

impl Mapping {
    /// Whether values of `b` may be used for `a`; if so, variables are bound to make it so.
    pub(super) fn assign(&mut self, a: &Type, b: &Type) -> bool {
        self.assign_all(std::slice::from_ref(a), std::slice::from_ref(b))
    }

    pub(super) fn assign_all(&mut self, a: &[Type], b: &[Type]) -> bool {
        self.changes.clear();
        let fits = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.fits(a, b));
        if !fits {
            while let Some((name, before)) = self.changes.pop() {
                match before {
                    Some(type_) => self.bound.insert(name, type_),
                    None => self.bound.remove(&name),
                };
            }
        }
        fits
    }

    fn bind(&mut self, name: &Arc<str>, type_: Type) {
        let before = self.bound.insert(Arc::clone(name), type_);
        self.changes.push((Arc::clone(name), before));
    }

    fn fits(&mut self, a: &Type, b: &Type) -> bool {
        if let Type::Param(name) = b {
            let (valid, bound) = self.stands_for(a, name);
            if valid || bound {
                return valid;
            }
        }
        if let Type::Param(name) = a {
            return self.stands_for(b, name).0;
        }
        if a.is_dyn_or_error() || b.is_dyn_or_error() {
            return true;
        }
        if matches!(a, Type::Null) || matches!(b, Type::Null) {
            let other = if matches!(a, Type::Null) { b } else { a };
            return matches!(
                other,
                Type::Null | Type::Abstract(_) | Type::Optional(_) | Type::Object(_) | Type::Duration | Type::Timestamp
            );
        }
        match (a, b) {
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fits(a, b),
            (Type::Map(a, c), Type::Map(b, d)) => self.fits(a, b) && self.fits(c, d),
            (Type::Type(_), Type::Type(_)) => true,
            _ => a == b,
        }
    }

    /// Whether the variable can stand for the type, and whether it stood for something before.
    fn stands_for(&mut self, type_: &Type, name: &Arc<str>) -> (bool, bool) {
        if matches!(type_, Type::Param(other) if other == name) {
            return (true, true);
        }
        if let Some(known) = self.bound.get(name).cloned() {
            if *type_ == known {
                return (true, true);
            }
            if !self.fits(type_, &known) {
                return (false, true);
            }
            let general = if is_equal_or_less_specific(type_, &known) { type_.clone() } else { known };
            if !self.occurs(name, &general) {
                self.bind(name, general);
            }
            return (true, true);
        }
        if self.occurs(name, type_) {
            return (false, false);
        }
        self.bind(name, type_.clone());
        (true, false)
    }

    fn occurs(&self, name: &Arc<str>, type_: &Type) -> bool {
        match type_ {
            Type::Param(other) if other == name => true,
            Type::Param(other) => self.bound.get(other).is_some_and(|bound| self.occurs(name, bound)),
            other => other.parameters().into_iter().any(|part| self.occurs(name, part)),
        }
    }

    /// The type with variables replaced by what they stand for; with `finish`, those that stand for nothing by `dyn`.
    pub(super) fn substitute(&self, type_: &Type, finish: bool) -> Type {
        match type_ {
            Type::Param(name) => match self.bound.get(name) {
                Some(bound) => self.substitute(bound, finish),
                None if finish => Type::Dyn,
                None => type_.clone(),
            },
            Type::List(item) => Type::list(self.substitute(item, finish)),
            Type::Map(key, value) => Type::map(self.substitute(key, finish), self.substitute(value, finish)),
            Type::Optional(inner) => Type::optional(self.substitute(inner, finish)),
            Type::Type(Some(inner)) => Type::Type(Some(Arc::new(self.substitute(inner, finish)))),
            other => other.clone(),
        }
    }
}

/// Whether `a` is the same as `b` or says less of it.
pub(super) fn is_equal_or_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => is_equal_or_less_specific(a, b),
        (Type::Map(a, c), Type::Map(b, d)) => is_equal_or_less_specific(a, b) && is_equal_or_less_specific(c, d),
        (Type::Type(_), Type::Type(_)) => true,
        _ => a == b,
    }
}
