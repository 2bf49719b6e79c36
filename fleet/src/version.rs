//! Which versions of Kubernetes the platform works with.

/// The range, as people read it.
pub const SUPPORTED: &str = ">=1.19.0 <1.35.0";

/// Why a version is not worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It is not a version.
    #[error("{0:?} is not a Kubernetes version")]
    Unreadable(String),
    /// It is too old or too new.
    #[error("Kubernetes {0} is outside {SUPPORTED}")]
    Outside(String),
}

/// Checks a version such as `v1.34.2`. What distributions add behind the patch number does not count; a pre-release of
/// the first excluded version is excluded, as that version is.
pub fn version_gate(version: &str) -> Result<(), VersionError> {
    let unreadable = || VersionError::Unreadable(version.chars().take(64).collect());
    let text = version.strip_prefix('v').unwrap_or(version);
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u32> = core.split('.').map(number).collect::<Option<_>>().ok_or_else(unreadable)?;
    let [major, minor, patch] = numbers[..] else { return Err(unreadable()) };
    // A pre-release comes before its release, so 1.19.0-rc.1 is older than 1.19.0.
    let prerelease = text.split('+').next().is_some_and(|text| text.contains('-'));
    let too_old = (major, minor) < (1, 19) || (major, minor, patch) == (1, 19, 0) && prerelease && !is_vendor(text);
    match too_old || (major, minor) >= (1, 35) {
        true => Err(VersionError::Outside(version.to_owned())),
        false => Ok(()),
    }
}

/// `1.19.0-eks-1` and the like are releases.
fn is_vendor(text: &str) -> bool {
    let suffix = text.split_once('-').map_or("", |(_, suffix)| suffix);
    !["alpha", "beta", "rc"].iter().any(|stage| suffix.starts_with(stage))
}

fn number(text: &str) -> Option<u32> {
    match !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: &str, inside: bool) {
        assert_eq!(version_gate(version).is_ok(), inside, "{version}: {:?}", version_gate(version));
    }

    #[test]
    fn inside() {
        for version in
            ["v1.19.0", "1.19.0", "v1.34.2", "v1.34.99", "v1.31.4+k3s1", "v1.29.3-eks-adc7111", "v1.19.0-eks-1"]
        {
            check(version, true);
        }
    }

    #[test]
    fn outside() {
        for version in ["v1.18.20", "v1.35.0", "v1.35.0-alpha.1", "v2.0.0", "v0.21.0", "v1.19.0-rc.1"] {
            check(version, false);
        }
    }

    #[test]
    fn no_versions() {
        for version in ["", "v", "1.34", "v1.34.x", "v1.+34.2", "v1.34.2.1", "latest", "v1.99999999.0", "1.-1.0"] {
            assert!(matches!(version_gate(version), Err(VersionError::Unreadable(_))), "{version}");
        }
    }
}
