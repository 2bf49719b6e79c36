//! Semantic versions (upstream: `library/semverlib.go`, `blang/semver`).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::Line;
use super::opaque::Opaque;
use super::quantity::order;
use crate::error::Error;
use crate::value::{Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("semver", "string_to_semver", "(string) -> Semver", semver),
    ("semver", "string_bool_to_semver", "(string, bool) -> Semver", semver),
    ("isSemver", "is_semver_string", "(string) -> bool", is_semver),
    ("isSemver", "is_semver_string_bool", "(string, bool) -> bool", is_semver),
    ("isGreaterThan", "semver_is_greater_than", "Semver.(Semver) -> bool", |args| test(args, Ordering::is_gt)),
    ("isLessThan", "semver_is_less_than", "Semver.(Semver) -> bool", |args| test(args, Ordering::is_lt)),
    ("compareTo", "semver_compare_to", "Semver.(Semver) -> int", compare_to),
    ("major", "semver_major", "Semver.() -> int", |args| number(args, 0)),
    ("minor", "semver_minor", "Semver.() -> int", |args| number(args, 1)),
    ("patch", "semver_patch", "Semver.() -> int", |args| number(args, 2)),
];

#[derive(Debug)]
pub struct Version {
    numbers: [u64; 3],
    pre: Vec<String>,
    build: Vec<String>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre.join("."))?;
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build.join("."))?;
        }
        Ok(())
    }
}

impl Version {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".into());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".into());
        };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
        let numbers = [whole(major, "major number")?, whole(minor, "minor number")?, whole(patch, "patch number")?];
        let pre: Vec<String> = pre.map(identifiers).unwrap_or_default();
        for part in &pre {
            check_identifier(part, "Prerelease")?;
            if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {part:?}"));
            }
        }
        let build: Vec<String> = build.map(identifiers).unwrap_or_default();
        for part in &build {
            check_identifier(part, "Build meta data")?;
        }
        Ok(Self { numbers, pre, build })
    }

    /// Of `v1.02` makes `1.2.0`.
    fn normalize(text: &str) -> Result<String, String> {
        let mut parts: Vec<String> = text
            .strip_prefix('v')
            .unwrap_or(text)
            .splitn(3, '.')
            .map(|part| match part.trim_start_matches('0') {
                _ if part.len() < 2 => part.to_owned(),
                rest if rest.starts_with(|c: char| c.is_ascii_digit()) => rest.to_owned(),
                rest => format!("0{rest}"),
            })
            .collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|part| part.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".into());
            }
            parts.resize(3, "0".into());
        }
        Ok(parts.join("."))
    }

    /// Build metadata do not count.
    pub(super) fn cmp_precedence(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.pre.iter().zip(&other.pre).map(|(a, b)| cmp_identifiers(a, b));
                pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| self.pre.len().cmp(&other.pre.len()))
            }
        })
    }
}

fn identifiers(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

fn whole(text: &str, what: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {what} {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        let mut what = what.to_owned();
        what[..1].make_ascii_uppercase();
        return Err(format!("{what} must not contain leading zeroes {text:?}"));
    }
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

fn check_identifier(text: &str, what: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(format!("Invalid character(s) found in {} {text:?}", what.to_lowercase()));
    }
    Ok(())
}

/// Numbers by size and before all else, the rest as text.
fn cmp_identifiers(a: &str, b: &str) -> Ordering {
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}

fn parse(args: &[Val]) -> Result<Result<Version, String>, Error> {
    match args {
        [Val::String(text)] | [Val::String(text), Val::Bool(false)] => Ok(Version::parse(text)),
        [Val::String(text), Val::Bool(true)] => Ok(Version::normalize(text).and_then(|text| Version::parse(&text))),
        _ => Err(Error::no_such_overload()),
    }
}

fn semver(args: &[Val]) -> Outcome {
    parse(args)?.map(|version| Val::Opaque(Opaque::Semver(Arc::new(version)))).map_err(Error::new)
}

fn is_semver(args: &[Val]) -> Outcome {
    Ok(Val::Bool(parse(args)?.is_ok()))
}

fn compared(args: &[Val]) -> Result<Ordering, Error> {
    match args {
        [Val::Opaque(Opaque::Semver(a)), Val::Opaque(Opaque::Semver(b))] => Ok(a.cmp_precedence(b)),
        _ => Err(Error::no_such_overload()),
    }
}

fn test(args: &[Val], accepts: fn(Ordering) -> bool) -> Outcome {
    compared(args).map(|order| Val::Bool(accepts(order)))
}

fn compare_to(args: &[Val]) -> Outcome {
    compared(args).map(|found| Val::Int(order(found)))
}

fn number(args: &[Val], which: usize) -> Outcome {
    match args {
        [Val::Opaque(Opaque::Semver(version))] => {
            Ok(Val::Int(i64::try_from(version.numbers[which]).unwrap_or(i64::MAX)))
        }
        _ => Err(Error::no_such_overload()),
    }
}
