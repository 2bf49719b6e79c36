//! The Kubernetes version that a server reports.

use std::fmt;
use std::str::FromStr;

use api_meta::{Value, json};

/// 1.31 to 1.34; the API is that of 1.34 throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubernetesVersion {
    minor: u8,
    patch: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a Kubernetes version this server can report; choose 1.31, 1.32, 1.33 or 1.34, optionally with a patch (1.34.2)"
)]
pub struct UnsupportedVersion(String);

impl Default for KubernetesVersion {
    fn default() -> Self {
        Self { minor: 34, patch: 0 }
    }
}

impl FromStr for KubernetesVersion {
    type Err = UnsupportedVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || UnsupportedVersion(text.to_owned());
        let mut parts = text.trim_start_matches('v').split('.');
        if parts.next() != Some("1") {
            return Err(refuse());
        }
        let minor = parts.next().and_then(|m| m.parse().ok()).filter(|m| (31..=34).contains(m)).ok_or_else(refuse)?;
        let patch = match parts.next() {
            None => 0,
            Some(patch) => patch.parse().map_err(|_| refuse())?,
        };
        if parts.next().is_some() {
            return Err(refuse());
        }
        Ok(Self { minor, patch })
    }
}

/// `v1.34.0`
impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

impl KubernetesVersion {
    /// The answer of `/version`.
    pub(crate) fn info(self) -> Value {
        let mut info = json!({
            "major": "1", "minor": self.minor.to_string(), "gitVersion": self.to_string(),
            "gitCommit": option_env!("ACP_COMMIT").unwrap_or_default(), "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
            "platform": format!("{}/{}", std::env::consts::OS, go_architecture()),
        });
        if self.minor >= 34 {
            info["emulationMajor"] = "1".into();
            info["emulationMinor"] = self.minor.to_string().into();
            info["minCompatibilityMajor"] = "1".into();
            info["minCompatibilityMinor"] = (self.minor - 1).to_string().into();
        }
        info
    }
}

fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!("1.31".parse::<KubernetesVersion>().unwrap().to_string(), "v1.31.0");
        assert_eq!("v1.34.2".parse::<KubernetesVersion>().unwrap().to_string(), "v1.34.2");
        for bad in ["1.30", "1.35", "2.31", "1", "1.34.x", "1.34.1.1", ""] {
            assert!(bad.parse::<KubernetesVersion>().is_err(), "{bad}");
        }
    }
}
