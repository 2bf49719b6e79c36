//! `LimitRange`.

mod validation;

use api_meta::{FieldErrors, Object};
use apiserver_model::Strategy;

use crate::fields::{Fields, FieldsExt, canonical_amounts};

pub(crate) struct LimitRanges;

impl Strategy for LimitRanges {
    fn default(&self, object: &mut Object) {
        for limit in object.made("spec").each_mut("limits") {
            default_limit(limit);
        }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }
}

/// For containers an unsaid default limit is the maximum, and an unsaid request the limit, else the minimum.
fn default_limit(limit: &mut Fields) {
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        canonical_amounts(limit.fields_mut(list));
    }
    if limit.text("type") != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(amounts) = limit.fields(from).cloned() else { continue };
        for (name, amount) in amounts {
            limit.made(to).or_set(&name, amount);
        }
    }
}
