//! Which standard a namespace asks for, read from its labels (upstream: `pod-security-admission/api`).

use api_meta::{FieldErrors, FieldPath, Map, Value};

pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";

/// The version of Kubernetes whose standards are the latest here.
pub(super) const LATEST: u32 = 34;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A standard: a level as some version of Kubernetes had it. `None` is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) minor: Option<u32>,
}

impl std::fmt::Display for Standard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.minor {
            None => write!(f, "{}:latest", self.level.as_str()),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.as_str()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) audit: Standard,
    pub(super) warn: Standard,
}

const PRIVILEGED: Standard = Standard { level: Level::Privileged, minor: None };

impl Policy {
    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }

    /// What labels ask for. What cannot be read is enforced as strictly as can be, and neither audited nor warned about.
    pub(super) fn of(labels: Option<&Map<String, Value>>) -> (Self, FieldErrors) {
        let mut policy = Self { enforce: PRIVILEGED, audit: PRIVILEGED, warn: PRIVILEGED };
        let mut errors = FieldErrors::new();
        let mut labels = Labels { labels, errors: &mut errors };
        let enforced = labels.level("enforce");
        if let Some(level) = enforced {
            policy.enforce.level = level.unwrap_or(Level::Restricted);
        }
        if let Some(minor) = labels.version("enforce-version") {
            policy.enforce.minor = minor;
        }
        if let Some(level) = labels.level("audit") {
            policy.audit.level = level.unwrap_or(Level::Privileged);
        }
        if let Some(minor) = labels.version("audit-version") {
            policy.audit.minor = minor;
        }
        let warned = labels.level("warn");
        if let Some(level) = warned {
            policy.warn.level = level.unwrap_or(Level::Privileged);
        }
        let warn_version = labels.version("warn-version");
        if let Some(minor) = warn_version {
            policy.warn.minor = minor;
        }
        // Whoever enforces wants to hear of it, unless they say otherwise.
        if warned.is_none() && enforced.flatten().is_some_and(|level| level > policy.warn.level) {
            policy.warn.level = policy.enforce.level;
            if warn_version.is_none() {
                policy.warn.minor = policy.enforce.minor;
            }
        }
        (policy, errors)
    }
}

/// The labels of a namespace, and what is wrong with them.
struct Labels<'a> {
    labels: Option<&'a Map<String, Value>>,
    errors: &'a mut FieldErrors,
}

impl Labels<'_> {
    fn text(&self, name: &str) -> Option<String> {
        Some(self.labels?.get(&format!("{PREFIX}{name}"))?.as_str()?.to_owned())
    }

    fn complain(&mut self, name: &str, value: &str, why: &str) {
        let field = FieldPath::new("metadata").child("labels").key(&format!("{PREFIX}{name}"));
        self.errors.invalid(&field, value, why);
    }

    /// `Some(None)` for a label that is no level.
    fn level(&mut self, name: &str) -> Option<Option<Level>> {
        let text = self.text(name)?;
        let level = Level::parse(&text);
        if level.is_none() {
            self.complain(name, &text, "must be one of privileged, baseline, restricted");
        }
        Some(level)
    }

    fn version(&mut self, name: &str) -> Option<Option<u32>> {
        let text = self.text(name)?;
        if text == "latest" {
            return Some(None);
        }
        let digits = text.strip_prefix("v1.").filter(|rest| *rest == "0" || !rest.starts_with(['0', '+']));
        let minor = digits.and_then(|digits| digits.parse().ok());
        if minor.is_none() {
            self.complain(name, &text, "must be \"latest\" or \"v1.x\"");
        }
        Some(minor)
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(labels: Value, expect: &str, complaints: usize) {
        let labels: Map<String, Value> =
            labels.as_object().unwrap().iter().map(|(k, v)| (format!("{PREFIX}{k}"), v.clone())).collect();
        let (policy, errors) = Policy::of(Some(&labels));
        assert_eq!(format!("{} {} {}", policy.enforce, policy.audit, policy.warn), expect);
        assert_eq!(errors.len(), complaints, "{errors}");
    }

    #[test]
    fn nothing_said() {
        check(json!({}), "privileged:latest privileged:latest privileged:latest", 0);
    }

    #[test]
    fn warns_of_what_is_enforced() {
        check(json!({"enforce": "baseline"}), "baseline:latest privileged:latest baseline:latest", 0);
        check(
            json!({"enforce": "baseline", "enforce-version": "v1.20"}),
            "baseline:v1.20 privileged:latest baseline:v1.20",
            0,
        );
        check(
            json!({"enforce": "baseline", "enforce-version": "v1.20", "warn-version": "v1.25"}),
            "baseline:v1.20 privileged:latest baseline:v1.25",
            0,
        );
        check(
            json!({"enforce": "restricted", "warn": "privileged"}),
            "restricted:latest privileged:latest privileged:latest",
            0,
        );
    }

    #[test]
    fn what_cannot_be_read_is_enforced_strictly() {
        check(json!({"enforce": "strict"}), "restricted:latest privileged:latest privileged:latest", 1);
        check(json!({"audit": "x", "warn": "x"}), "privileged:latest privileged:latest privileged:latest", 2);
        for version in ["v1", "v1.01", "v2.1", "1.20", "v1.+1", ""] {
            check(json!({"enforce-version": version}), "privileged:latest privileged:latest privileged:latest", 1);
        }
    }
}
