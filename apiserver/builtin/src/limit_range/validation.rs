//! What limits may say of each other (upstream: `ValidateLimitRange`).

use std::collections::{BTreeMap, BTreeSet};

use api_meta::{FieldErrors, FieldPath, Object, Quantity};

use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{resource_amount, resource_name};
use crate::table::part;
use crate::validate::qualified;

type Amounts<'a> = BTreeMap<&'a str, Quantity>;

pub(super) fn validate(object: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let mut types = BTreeSet::new();
    for (index, limit) in part(object, "spec").each("limits") {
        let path = FieldPath::new("spec").child("limits").index(index);
        let type_ = limit.text("type");
        if !["Container", "Pod", "PersistentVolumeClaim"].contains(&type_) {
            qualified(&mut errors, &path.child("type"), type_);
        }
        if !types.insert(type_) {
            errors.duplicate(&path.child("type"), type_);
        }
        one(&mut errors, limit, type_, &path);
    }
    errors
}

fn read<'a>(errors: &mut FieldErrors, limit: &'a Fields, list: &str, path: &FieldPath) -> Amounts<'a> {
    let mut amounts = Amounts::new();
    for (name, value) in part(limit, list) {
        let path = path.child(list).key(name);
        resource_name(errors, name, &path);
        if let Some(amount) = resource_amount(errors, name, value, &path) {
            amounts.insert(name, amount);
        }
    }
    amounts
}

fn one(errors: &mut FieldErrors, limit: &Fields, type_: &str, path: &FieldPath) {
    let max = read(errors, limit, "max", path);
    let min = read(errors, limit, "min", path);
    let mut defaults = [Amounts::new(), Amounts::new()];
    for (place, list) in ["default", "defaultRequest"].into_iter().enumerate() {
        if type_ != "Pod" {
            defaults[place] = read(errors, limit, list, path);
        } else if !part(limit, list).is_empty() {
            errors.forbidden(&path.child(list), "may not be specified when `type` is 'Pod'");
        }
    }
    let [default, request] = defaults;
    if type_ == "PersistentVolumeClaim" && !min.contains_key("storage") && !max.contains_key("storage") {
        errors.required(
            &path.child("limits"),
            "either minimum or maximum storage value is required, but neither was provided",
        );
    }
    let names: BTreeSet<_> = [&max, &min, &default, &request].into_iter().flat_map(|amounts| amounts.keys()).collect();
    for name in names {
        order(errors, name, [max.get(name), min.get(name), default.get(name), request.get(name)], path);
    }
}

/// min <= default request <= default <= max, as far as they are there.
fn order(errors: &mut FieldErrors, name: &str, amounts: [Option<&Quantity>; 4], path: &FieldPath) {
    let [max, min, default, request] = amounts;
    let mut wrong = |list: &str, shown: &Quantity, text: String| {
        errors.invalid(&path.child(list).key(name), shown.to_string(), text);
    };
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        wrong("min", min, format!("min value {min} is greater than max value {max}"));
    }
    if let (Some(request), Some(min)) = (request, min)
        && min > request
    {
        wrong("defaultRequest", request, format!("min value {min} is greater than default request value {request}"));
    }
    if let (Some(request), Some(max)) = (request, max)
        && request > max
    {
        wrong("defaultRequest", request, format!("default request value {request} is greater than max value {max}"));
    }
    if let (Some(request), Some(default)) = (request, default)
        && request > default
    {
        wrong(
            "defaultRequest",
            request,
            format!("default request value {request} is greater than default limit value {default}"),
        );
    }
    if let (Some(default), Some(min)) = (default, min)
        && min > default
    {
        wrong("default", min, format!("min value {min} is greater than default value {default}"));
    }
    if let (Some(default), Some(max)) = (default, max)
        && default > max
    {
        wrong("default", max, format!("default value {default} is greater than max value {max}"));
    }
}
