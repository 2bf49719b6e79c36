//! Named formats of text (upstream: `library/format.go`).

use api_meta::parse_time;
use api_meta::validation::{NameRule, is_label_value, is_qualified_name};

use super::Line;
use super::opaque::Opaque;
use crate::error::Error;
use crate::value::{List, Outcome, Val};

/// The longest pattern of a format, for estimates.
pub(crate) const MAX_REGEX_SIZE: f64 = 128.0;
/// The most a comparison of two formats looks at.
pub(crate) const MAX_FORMAT_SIZE: u64 = 64;

#[derive(Debug)]
pub struct Format {
    pub(super) name: &'static str,
    validate: fn(&str) -> Vec<String>,
    /// As large as the pattern that checks it would be; costs are counted by that.
    pub(crate) regex_size: u64,
}

macro_rules! formats {
    ($($function:literal => $name:literal, $size:literal, $validate:expr;)*) => {
        const FORMATS: &[(&str, Format)] = &[
            $(($function, Format { name: $name, validate: $validate, regex_size: $size }),)*
        ];
        pub(super) const LINES: &[Line] = &[
            ("validate", "format-validate", "Format.(string) -> optional(list(string))", validate),
            ("format.named", "format-named", "(string) -> optional(Format)", named),
            $((concat!("format.", $function), concat!("format.", $function), "() -> Format", |_| by_name($function)),)*
        ];
    };
}

formats! {
    "dns1123Label" => "DNS1123Label", 30, |text| NameRule::Label.check(text, false);
    "dns1123Subdomain" => "DNS1123Subdomain", 60, |text| NameRule::Subdomain.check(text, false);
    "dns1035Label" => "DNS1035Label", 30, |text| NameRule::Dns1035Label.check(text, false);
    "qualifiedName" => "QualifiedName", 60, is_qualified_name;
    "dns1123LabelPrefix" => "DNS1123LabelPrefix", 30, |text| NameRule::Label.check(text, true);
    "dns1123SubdomainPrefix" => "DNS1123SubdomainPrefix", 60, |text| NameRule::Subdomain.check(text, true);
    "dns1035LabelPrefix" => "DNS1035LabelPrefix", 30, |text| NameRule::Dns1035Label.check(text, true);
    "labelValue" => "LabelValue", 40, is_label_value;
    "uri" => "URI", 1103, uri;
    "uuid" => "uuid", 79, |text| unless(is_uuid(text), "does not match the UUID format");
    "byte" => "byte", 84, |text| unless(is_base64(text), "invalid base64");
    "date" => "date", 123, |text| unless(is_date(text), "invalid date");
    "datetime" => "datetime", 123, |text| unless(text.len() > 10 && parse_time(text).is_some(), "invalid datetime");
}

fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|(function, _)| *function == name).map(|(_, format)| format)
}

fn by_name(name: &str) -> Outcome {
    find(name).map(|format| Val::Opaque(Opaque::Format(format))).ok_or_else(Error::no_such_overload)
}

fn unless(fits: bool, why: &str) -> Vec<String> {
    if fits { Vec::new() } else { vec![why.to_owned()] }
}

fn uri(text: &str) -> Vec<String> {
    super::url::problem(text).into_iter().collect()
}

fn is_uuid(text: &str) -> bool {
    let sizes = [8, 4, 4, 4, 12];
    let mut rest = text;
    for (index, size) in sizes.iter().enumerate() {
        let Some((part, after)) = rest.split_at_checked(*size) else { return false };
        if !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return false;
        }
        rest = if index < 4 { after.strip_prefix('-').unwrap_or(after) } else { after };
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && parse_time(&format!("{text}T00:00:00Z")).is_some()
}

fn validate(args: &[Val]) -> Outcome {
    let [Val::Opaque(Opaque::Format(format)), Val::String(text)] = args else {
        return Err(Error::no_such_overload());
    };
    let problems = (format.validate)(text);
    if problems.is_empty() {
        return Ok(Val::Optional(None));
    }
    Ok(Val::some(List::of(problems.into_iter().map(Val::from).collect())))
}

fn named(args: &[Val]) -> Outcome {
    match args {
        [Val::String(name)] => Ok(Val::optional(find(name).map(|format| Val::Opaque(Opaque::Format(format))))),
        _ => Err(Error::no_such_overload()),
    }
}
