//! Rules and words of validation that many kinds share (upstream: `apis/core/validation` and its neighbours).

use std::net::IpAddr;

use api_meta::validation::{is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name, regex_error};
use api_meta::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Quantity, Value};

use crate::fields::{Fields, FieldsExt};

pub(crate) const IMMUTABLE: &str = "field is immutable";
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

/// Values that are not supported, with those that are, in the order given.
pub(crate) fn unsupported(errors: &mut FieldErrors, path: &FieldPath, value: impl Into<Value>, supported: &[&str]) {
    let quoted: Vec<_> = supported.iter().map(|s| Value::from(*s).to_string()).collect();
    errors.push(FieldError {
        kind: FieldErrorKind::NotSupported,
        field: path.clone(),
        value: Some(value.into()),
        detail: format!("supported values: {}", quoted.join(", ")),
    });
}

/// A string that must be one of a few; an empty one is missing.
pub(crate) fn one_of(errors: &mut FieldErrors, fields: &Fields, key: &str, path: &FieldPath, supported: &[&str]) {
    match fields.text(key) {
        "" => errors.required(&path.child(key), ""),
        text if supported.contains(&text) => {}
        text => unsupported(errors, &path.child(key), text, supported),
    }
}

/// A string that is one of a few, if it is there at all.
pub(crate) fn one_of_if_any(
    errors: &mut FieldErrors,
    fields: &Fields,
    key: &str,
    path: &FieldPath,
    supported: &[&str],
) {
    if fields.says(key) && !supported.contains(&fields.text(key)) {
        unsupported(errors, &path.child(key), fields.text(key), supported);
    }
}

pub(crate) fn not_negative(errors: &mut FieldErrors, fields: &Fields, path: &FieldPath, keys: &[&str]) {
    for key in keys {
        if let Some(number) = fields.int(key).filter(|&n| n < 0) {
            errors.invalid(&path.child(key), number, NEGATIVE);
        }
    }
}

/// What is wrong with one value, each as an error of its own.
pub(crate) fn each_wrong(
    errors: &mut FieldErrors,
    path: &FieldPath,
    value: impl Into<Value> + Clone,
    wrong: Vec<String>,
) {
    for text in wrong {
        errors.invalid(path, value.clone(), text);
    }
}

pub(crate) fn label(errors: &mut FieldErrors, path: &FieldPath, text: &str) {
    each_wrong(errors, path, text, is_dns1123_label(text));
}

pub(crate) fn subdomain(errors: &mut FieldErrors, path: &FieldPath, text: &str) {
    each_wrong(errors, path, text, is_dns1123_subdomain(text));
}

pub(crate) fn qualified(errors: &mut FieldErrors, path: &FieldPath, text: &str) {
    each_wrong(errors, path, text, is_qualified_name(text));
}

pub(crate) fn labels(errors: &mut FieldErrors, labels: &Value, path: &FieldPath) {
    errors.extend(api_meta::validation::labels(Some(labels), path));
}

pub(crate) fn is_port_number(number: i64) -> Vec<String> {
    if (1..=65535).contains(&number) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".into()] }
}

pub(crate) fn is_port_name(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters");
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        wrong.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        wrong.push("must not begin or end with a hyphen");
    }
    wrong.into_iter().map(str::to_owned).collect()
}

/// A port by number or by name.
pub(crate) fn port(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    match value {
        Value::String(name) => each_wrong(errors, path, name.as_str(), is_port_name(name)),
        value => {
            let number = value.as_i64().unwrap_or_default();
            each_wrong(errors, path, number, is_port_number(number));
        }
    }
}

pub(crate) fn protocol(errors: &mut FieldErrors, fields: &Fields, path: &FieldPath) {
    one_of(errors, fields, "protocol", path, &["SCTP", "TCP", "UDP"]);
}

pub(crate) fn is_percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    vec![regex_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// A number or percentage that is not negative.
pub(crate) fn int_or_percent(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    match value {
        Value::String(text) => each_wrong(errors, path, text.as_str(), is_percent(text)),
        value => {
            if let Some(number) = value.as_i64().filter(|&n| n < 0) {
                errors.invalid(path, number, NEGATIVE);
            }
        }
    }
}

pub(crate) fn percent_of(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

pub(crate) fn at_most_all(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    if percent_of(value).is_some_and(|p| p > 100) {
        errors.invalid(path, value.clone(), "must not be greater than 100%");
    }
}

/// An address as Go reads it: no leading zeros, no zones.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(crate) fn ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) -> Option<IpAddr> {
    let parsed = parse_ip(text);
    if parsed.is_none() {
        errors.invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
    parsed
}

/// A range of addresses: its first address and the length of its prefix.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let max = if address.is_ipv4() { 32 } else { 128 };
    (length <= max).then_some((address, length))
}

pub(crate) fn cidr(errors: &mut FieldErrors, text: &str, path: &FieldPath) -> Option<(IpAddr, u32)> {
    let parsed = parse_cidr(text);
    if parsed.is_none() {
        errors.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    parsed
}

/// Addresses that mean something of their own cannot be endpoints or external addresses.
pub(crate) fn ordinary_ip(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let Some(address) = parse_ip(text) else { return };
    let link_local = match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    };
    let link_multicast = match address {
        IpAddr::V4(a) => a.octets()[..3] == [224, 0, 0],
        IpAddr::V6(a) => a.segments()[0] & 0xff0f == 0xff02,
    };
    if address.is_unspecified() {
        errors.invalid(path, text, format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if link_multicast {
        errors.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// A `metav1.LabelSelector`, if it is there.
pub(crate) fn label_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    if !selector["matchLabels"].is_null() {
        labels(errors, &selector["matchLabels"], &path.child("matchLabels"));
    }
    let expressions = selector["matchExpressions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, expression) in expressions.iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let Some(expression) = expression.as_object() else { continue };
        match expression.text("operator") {
            "In" | "NotIn" if expression.items("values").is_empty() => {
                errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
            }
            "Exists" | "DoesNotExist" if !expression.items("values").is_empty() => errors
                .forbidden(&path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            operator => errors.invalid(&path.child("operator"), operator, "not a valid selector operator"),
        }
        qualified(errors, &path.child("key"), expression.text("key"));
        for (index, value) in expression.texts("values").enumerate() {
            each_wrong(errors, &path.child("values").index(index), value, is_label_value(value));
        }
    }
}

/// Whether a selector can be understood; one that cannot selects nothing.
pub(crate) fn is_selector(selector: &Value) -> bool {
    let mut errors = FieldErrors::new();
    label_selector(&mut errors, selector, &FieldPath::root());
    errors.is_empty()
}

/// `metav1.LabelSelector` without a single requirement.
pub(crate) fn is_empty_selector(selector: &Value) -> bool {
    let filled = |key: &str| match &selector[key] {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    !filled("matchLabels") && !filled("matchExpressions")
}

/// An error about a struct, shown as Go shows it: all of its fields, by Go's names, in Go's order.
///
/// JSON objects here are sorted, so the shown value is part of the text.
pub(crate) fn wrong_struct(
    errors: &mut FieldErrors,
    kind: FieldErrorKind,
    path: &FieldPath,
    fields: &[(&str, Value)],
    detail: &str,
) {
    let shown: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let mut text = format!("{{{}}}", shown.join(","));
    if !detail.is_empty() {
        text = format!("{text}: {detail}");
    }
    errors.push(FieldError { kind, field: path.clone(), value: None, detail: text });
}

/// An update may not change this field.
pub(crate) fn immutable(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    if new != old {
        errors.invalid(path, new.clone(), IMMUTABLE);
    }
}

/// An amount of a resource; negative ones are no amounts.
pub(crate) fn amount(errors: &mut FieldErrors, value: &Value, path: &FieldPath) -> Option<Quantity> {
    let quantity = Quantity::from_value(value).ok()?;
    if quantity.is_negative() {
        errors.invalid(path, quantity.to_string(), NEGATIVE);
    }
    Some(quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_names() {
        assert!(is_port_name("http-2").is_empty());
        assert_eq!(is_port_name("UPPER").len(), 2);
        assert_eq!(
            is_port_name("-a--"),
            ["must not contain consecutive hyphens", "must not begin or end with a hyphen"]
        );
        assert_eq!(is_port_name("way-too-long-port-name").len(), 1);
    }

    #[test]
    fn ranges() {
        assert!(parse_cidr("10.0.0.0/8").is_some());
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert!(parse_cidr(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn special_addresses() {
        for (address, count) in
            [("192.0.2.1", 0), ("127.0.0.1", 1), ("169.254.1.1", 1), ("224.0.0.5", 1), ("::", 1), ("fe80::1", 1)]
        {
            let mut errors = FieldErrors::new();
            ordinary_ip(&mut errors, address, &FieldPath::root());
            assert_eq!(errors.len(), count, "{address}");
        }
    }
}
