//! `resource.alauda.io/v1`: how much more than they ask for the containers of a namespace may use.

use std::fmt;
use std::str::FromStr;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Namespace and name of the object that says a cluster's ratio.
pub const CLUSTER_RATIO: (&str, &str) = (crate::PLATFORM_NAMESPACE, "cluster");

/// How many times over something is promised: 0 for "as it is asked for", or from 1 to 1000, to a thousandth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overcommit {
    thousandths: u32,
}

/// A text that is no ratio.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no overcommit ratio: it is \"0\" for none, or from \"1\" to \"1000\" with at most three decimals")]
pub struct InvalidOvercommit(String);

impl Overcommit {
    const MOST: u32 = 1_000_000;

    /// In thousandths; what is more than the most is the most.
    pub const fn from_thousandths(thousandths: u32) -> Self {
        Self { thousandths: if thousandths > Self::MOST { Self::MOST } else { thousandths } }
    }

    /// In thousandths.
    pub const fn thousandths(self) -> u32 {
        self.thousandths
    }
}

impl FromStr for Overcommit {
    type Err = InvalidOvercommit;

    fn from_str(text: &str) -> Result<Self, InvalidOvercommit> {
        let read = || {
            let (whole, part) = match text.split_once('.') {
                Some((whole, part)) => (whole, (1..=3).contains(&part.len()).then_some(part)?),
                None => (text, ""),
            };
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = (1..=4).contains(&whole.len()) && digits(whole) && digits(part);
            if !plain || (whole.len() > 1 && whole.starts_with('0')) {
                return None;
            }
            let thousandths = whole.parse::<u32>().ok()? * 1000 + format!("{part:0<3}").parse::<u32>().ok()?;
            matches!(thousandths, 0 | 1000..=Self::MOST).then_some(Self { thousandths })
        };
        read().ok_or_else(|| InvalidOvercommit(text.to_owned()))
    }
}

impl fmt::Display for Overcommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.thousandths / 1000, self.thousandths % 1000);
        match part {
            0 => write!(f, "{whole}"),
            _ => f.write_str(format!("{whole}.{part:03}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Overcommit {
    /// As people would write it: a whole one without a point.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.thousandths % 1000 {
            0 => serializer.serialize_u32(self.thousandths / 1000),
            _ => serializer.serialize_f64(f64::from(self.thousandths) / 1000.0),
        }
    }
}

impl<'de> Deserialize<'de> for Overcommit {
    /// Nearest to what is written: definitions of old clusters let pass what is too small or too large.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let thousandths = (f64::deserialize(deserializer)? * 1000.0).round().clamp(0.0, f64::from(Self::MOST));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and within bounds")]
        Ok(Self { thousandths: thousandths as u32 })
    }
}

impl JsonSchema for Overcommit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Overcommit".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 1000})
    }
}

/// By what limits are divided to give requests, for new Pods of the namespace. The name is free; of several in a namespace
/// the first by name counts. The one named `cluster` in `cpaas-system` is the cluster's ratio.
#[derive(CustomResource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "resource.alauda.io",
    version = "v1",
    kind = "NamespaceResourceRatio",
    namespaced,
    status = "NamespaceResourceRatioStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"CPU","type":"number","jsonPath":".spec.cpu","description":"Limit by request of CPU; nothing for the cluster's ratio, 0 for none"}"#,
    printcolumn = r#"{"name":"Memory","type":"number","jsonPath":".spec.memory","description":"Limit by request of memory; nothing for the cluster's ratio, 0 for none"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct NamespaceResourceRatioSpec {
    /// Of CPU. Absent: the cluster's ratio; 0: requests are left alone; else from 1, to a thousandth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Overcommit>,
    /// Of memory. Absent: the cluster's ratio; 0: requests are left alone; else from 1, to a thousandth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Overcommit>,
}

/// What the namespace would inherit, as the cluster's agent knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceResourceRatioStatus {
    /// The cluster's ratio of CPU.
    #[serde(default, rename = "clusterCPU", skip_serializing_if = "Option::is_none")]
    pub cluster_cpu: Option<Overcommit>,
    /// The cluster's ratio of memory.
    #[serde(default, rename = "clusterMemory", skip_serializing_if = "Option::is_none")]
    pub cluster_memory: Option<Overcommit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, thousandths: Option<u32>) {
        let read: Result<Overcommit, _> = text.parse();
        assert_eq!(read.clone().ok().map(Overcommit::thousandths), thousandths, "{text}");
        if let Ok(read) = read {
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(json, read.to_string());
            assert_eq!(serde_json::from_str::<Overcommit>(&json).unwrap(), read);
        }
    }

    #[test]
    fn ratios_as_they_are_written() {
        check("0", Some(0));
        check("0.0", Some(0));
        check("1", Some(1000));
        check("1.5", Some(1500));
        check("1.005", Some(1005));
        check("2.50", Some(2500));
        check("1000", Some(1_000_000));
        check("1000.0", Some(1_000_000));
    }

    #[test]
    fn what_is_no_ratio() {
        let bad = [
            "", ".", "1.", ".5", "0.5", "0.999", "-1", "+1", "1e3", "1000.001", "1001", "01", "1.0005", "two", " 1",
            "١",
        ];
        for text in bad {
            check(text, None);
        }
    }

    #[test]
    fn what_an_old_cluster_let_pass_is_taken_as_what_is_nearest() {
        for (json, thousandths) in [("-3", 0), ("0.4", 400), ("1e9", 1_000_000), ("1.23456", 1235), ("2", 2000)] {
            assert_eq!(serde_json::from_str::<Overcommit>(json).unwrap().thousandths(), thousandths, "{json}");
        }
    }
}
