//! Which versions of Kubernetes which release of the platform works with: data, and what follows from it.
//!
//! Everybody who judges a version does it here: import and registration, what members may pretend to be, and, through the
//! door, the console and the command line. For 4.0 to 4.2 no range of third-party clusters was published, and none is made
//! up.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Matrix {
    /// The release that this program is of.
    pub current: String,
    /// Newest first.
    pub releases: Vec<Release>,
}

/// What one release works with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// As `4.3`.
    pub version: String,
    /// What new clusters can be made of.
    pub create: Minors,
    /// What clusters of the platform's own may run.
    pub compatible: Minors,
    /// What clusters that others made may run; `None` where that was not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party: Option<Versions>,
    /// What the platform's own clusters must run before the platform moves to this release.
    pub upgrade_needs: UpgradeNeeds,
}

/// What the platform's own clusters must run before an upgrade of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpgradeNeeds {
    /// Any of the compatible versions.
    Compatible,
    /// The newest compatible one.
    Newest,
}

/// Whose cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is to be made.
    Created,
    /// The platform has made it.
    Platform,
    /// It was imported or registered.
    ThirdParty,
}

/// A range of minor versions with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minors {
    /// The oldest.
    pub from: Minor,
    /// The newest.
    pub to: Minor,
}

/// A range of versions without its upper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The oldest.
    pub from: Version,
    /// The first that is too new. Its pre-releases are too.
    pub below: Version,
}

/// As `1.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Minor(u32, u32);

/// As `1.34.2`; what distributions add behind that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u32; 3],
    /// It comes before the release of that number.
    early: bool,
}

/// Why a version is not worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It is not a version.
    #[error("{0:?} is not a Kubernetes version")]
    Unreadable(String),
    /// It is too old or too new.
    #[error("Kubernetes {version} is outside {range}")]
    Outside {
        /// The version.
        version: String,
        /// The range, as people read it.
        range: String,
    },
    /// Nobody has said.
    #[error("for clusters that others made, no versions of Kubernetes were published with release {0}")]
    Unpublished(String),
}

static MATRIX: LazyLock<Matrix> = LazyLock::new(|| {
    serde_json::from_str(include_str!("support/matrix.json")).expect("the matrix is part of the program, and tested")
});

static CURRENT: LazyLock<&Release> =
    LazyLock::new(|| MATRIX.release(&MATRIX.current).expect("the current release is in the matrix, and tested"));

/// All of it.
pub fn matrix() -> &'static Matrix {
    &MATRIX
}

/// The release that this program is of.
pub fn current() -> &'static Release {
    &CURRENT
}

impl Matrix {
    /// A release, by its version.
    pub fn release(&self, version: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.version == version)
    }
}

impl Release {
    /// The range for clusters of that origin, as people read it.
    pub fn range(&self, origin: Origin) -> Option<String> {
        match origin {
            Origin::Created => Some(self.create.to_string()),
            Origin::Platform => Some(self.compatible.to_string()),
            Origin::ThirdParty => self.third_party.as_ref().map(Versions::to_string),
        }
    }

    /// Whether the release works with a cluster of that version, such as `v1.34.2`.
    pub fn judge(&self, origin: Origin, version: &str) -> Result<(), VersionError> {
        let read: Version = version.parse()?;
        let range = self.range(origin).ok_or_else(|| VersionError::Unpublished(self.version.clone()))?;
        let inside = match origin {
            Origin::Created => self.create.holds(read),
            Origin::Platform => self.compatible.holds(read),
            Origin::ThirdParty => self.third_party.is_some_and(|versions| versions.holds(read)),
        };
        match inside {
            true => Ok(()),
            false => Err(VersionError::Outside { version: version.to_owned(), range }),
        }
    }
}

impl Minors {
    fn holds(&self, version: Version) -> bool {
        let [major, minor, _] = version.numbers;
        let early = version.early && version.numbers == [self.from.0, self.from.1, 0];
        (self.from..=self.to).contains(&Minor(major, minor)) && !early
    }
}

impl Versions {
    fn holds(&self, version: Version) -> bool {
        let early = version.early && version.numbers == self.from.numbers;
        (self.from.numbers..self.below.numbers).contains(&version.numbers) && !early
    }
}

impl fmt::Display for Minors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from == self.to {
            true => write!(f, "{}", self.to),
            false => write!(f, "{} to {}", self.from, self.to),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ">={} <{}", self.from, self.below)
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl FromStr for Minor {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let [major, minor] = numbers(text).ok_or_else(|| unreadable(text))?;
        Ok(Self(major, minor))
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let plain = text.strip_prefix('v').unwrap_or(text);
        let core = plain.split(['-', '+']).next().unwrap_or_default();
        let numbers = numbers(core).ok_or_else(|| unreadable(text))?;
        // `1.19.0-eks-1` and the like are releases.
        let suffix = plain.split('+').next().and_then(|text| text.split_once('-')).map_or("", |(_, suffix)| suffix);
        let early = ["alpha", "beta", "rc"].iter().any(|stage| suffix.starts_with(stage));
        Ok(Self { numbers, early })
    }
}

impl TryFrom<String> for Minor {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Minor> for String {
    fn from(minor: Minor) -> Self {
        minor.to_string()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

fn unreadable(text: &str) -> VersionError {
    VersionError::Unreadable(text.chars().take(64).collect())
}

fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let numbers: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
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
    fn check(release: &str, origin: Origin, inside: &[&str], outside: &[&str]) {
        let release = matrix().release(release).unwrap();
        for version in inside {
            assert_eq!(release.judge(origin, version), Ok(()), "{version}");
        }
        for version in outside {
            let judged = release.judge(origin, version);
            assert!(matches!(judged, Err(VersionError::Outside { .. })), "{version}: {judged:?}");
        }
    }

    #[test]
    fn third_party_clusters_of_now() {
        check(
            "4.3",
            Origin::ThirdParty,
            &["v1.19.0", "1.19.0", "v1.34.2", "v1.34.99", "v1.31.4+k3s1", "v1.29.3-eks-adc7111", "v1.19.0-eks-1"],
            &["v1.18.20", "v1.35.0", "v1.35.0-alpha.1", "v2.0.0", "v0.21.0", "v1.19.0-rc.1"],
        );
        assert_eq!(current().range(Origin::ThirdParty).unwrap(), ">=1.19.0 <1.35.0");
    }

    #[test]
    fn clusters_of_the_platform() {
        check("4.3", Origin::Platform, &["v1.31.0", "v1.34.9"], &["v1.30.14", "v1.35.0", "v1.31.0-rc.0"]);
        check("4.2", Origin::Platform, &["v1.30.0", "v1.33.1"], &["v1.29.1", "v1.34.0"]);
        check("4.1", Origin::Platform, &["v1.29.0", "v1.32.1"], &["v1.28.1", "v1.33.0"]);
        check("4.0", Origin::Platform, &["v1.28.0", "v1.31.1"], &["v1.27.1", "v1.32.0"]);
        check("4.3", Origin::Created, &["v1.34.0"], &["v1.33.5"]);
        check("4.2", Origin::Created, &["v1.33.0"], &["v1.34.0"]);
        check("4.0", Origin::Created, &["v1.28.0", "v1.31.0"], &["v1.32.0"]);
    }

    #[test]
    fn what_was_not_published_is_not_made_up() {
        for version in ["4.0", "4.1", "4.2"] {
            let judged = matrix().release(version).unwrap().judge(Origin::ThirdParty, "v1.30.0");
            assert_eq!(judged, Err(VersionError::Unpublished(version.into())));
        }
    }

    #[test]
    fn up_to_4_2_all_must_be_on_the_newest_first() {
        let needs = |release: &Release| (release.version.clone(), release.upgrade_needs);
        assert_eq!(
            matrix().releases.iter().map(needs).collect::<Vec<_>>(),
            [
                ("4.3".to_owned(), UpgradeNeeds::Compatible),
                ("4.2".into(), UpgradeNeeds::Newest),
                ("4.1".into(), UpgradeNeeds::Newest),
                ("4.0".into(), UpgradeNeeds::Newest),
            ]
        );
    }

    #[test]
    fn no_versions() {
        for version in ["", "v", "1.34", "v1.34.x", "v1.+34.2", "v1.34.2.1", "latest", "v1.99999999.0", "1.-1.0"] {
            let judged = current().judge(Origin::ThirdParty, version);
            assert!(matches!(judged, Err(VersionError::Unreadable(_))), "{version}: {judged:?}");
        }
    }

    #[test]
    fn written_as_it_was_read() {
        let data: serde_json::Value = serde_json::from_str(include_str!("support/matrix.json")).unwrap();
        assert_eq!(serde_json::to_value(matrix()).unwrap(), data);
        for release in &matrix().releases {
            assert!(release.create.from >= release.compatible.from && release.create.to <= release.compatible.to);
        }
    }
}
