//! How much a cluster has and gives away, and how its core components are.

use std::collections::BTreeMap;

use api_meta::Quantity;
use serde::{Deserialize, Serialize};

use crate::plain::tame;

/// The most resources that are told.
pub const MAX_RESOURCES: usize = 24;
/// The most components that are told.
pub const MAX_COMPONENTS: usize = 32;

const NAME_CHARS: usize = 64;
const MESSAGE_CHARS: usize = 96;
/// Why components could not be looked at.
const REASON_CHARS: usize = 512;

/// Amounts by the names of resources, as `cpu` and `500m`.
pub type ResourceList = BTreeMap<String, String>;

/// What was found. What could not be found out now is what it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// `None` until they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// `None` until they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<Components>,
}

/// How much there is, over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the nodes have.
    #[serde(default)]
    pub capacity: ResourceList,
    /// What they have for Pods.
    #[serde(default)]
    pub allocatable: ResourceList,
    /// What the Pods on them ask for.
    #[serde(default)]
    pub allocated: ResourceList,
}

/// How the core components are, those first that are not well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Components {
    /// As many as have room.
    #[serde(default)]
    pub named: Vec<ComponentHealth>,
    /// Why they could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a component is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentHealth {
    /// As `coredns`.
    pub name: String,
    /// Whether all of it is available.
    pub healthy: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Survey {
    /// Makes what somebody else's machine has said short and harmless. Nothing that is left out makes the rest untrue.
    pub(crate) fn tame(&mut self) {
        if let Some(Resources { capacity, allocatable, allocated }) = &mut self.resources {
            [capacity, allocatable, allocated].into_iter().for_each(tame_list);
        }
        if let Some(Components { named, message }) = &mut self.components {
            named.truncate(MAX_COMPONENTS);
            for ComponentHealth { name, message, .. } in named {
                tame(name, NAME_CHARS);
                message.iter_mut().for_each(|message| tame(message, MESSAGE_CHARS));
            }
            message.iter_mut().for_each(|message| tame(message, REASON_CHARS));
        }
    }
}

/// Amounts become canonical, so that one amount is always written alike.
fn tame_list(list: &mut ResourceList) {
    let known = std::mem::take(list).into_iter().filter(|(name, _)| is_name(name));
    let amounts = known.filter_map(|(name, amount)| Some((name, canonical(&amount)?)));
    *list = amounts.take(MAX_RESOURCES).collect();
}

fn canonical(amount: &str) -> Option<String> {
    let amount = amount.parse::<Quantity>().ok().filter(|amount| !amount.is_negative())?;
    Some(amount.to_string())
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    !name.is_empty() && name.len() <= NAME_CHARS && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(amounts: &[(&str, &str)]) -> ResourceList {
        amounts.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect()
    }

    #[test]
    fn case_28_hostile_amounts_are_left_out() {
        let long = "x".repeat(65);
        let capacity = list(&[
            ("cpu", "0.5"),
            ("memory", "1024Mi"),
            ("pods", "-1"),
            ("<b>", "1"),
            ("", "1"),
            (&long, "1"),
            ("example.com/gpu", "many"),
            ("example.com/vgpu", "9999999999999999999999999"),
        ]);
        let mut survey =
            Survey { resources: Some(Resources { capacity, ..Resources::default() }), ..Survey::default() };
        survey.tame();
        let expect = list(&[("cpu", "500m"), ("memory", "1Gi"), ("example.com/vgpu", "9223372036854775807")]);
        assert_eq!(survey.resources.unwrap().capacity, expect);
    }

    #[test]
    fn case_28_too_much_is_cut() {
        let allocated = (0..1000).map(|number| (format!("a{number}"), "1".to_owned())).collect();
        let component =
            ComponentHealth { name: "\u{202e}".repeat(100), healthy: false, message: Some("\u{1b}[2J".repeat(100)) };
        let components = Components { named: vec![component; 1000], message: Some("x\n".repeat(1000)) };
        let resources = Resources { allocated, ..Resources::default() };
        let mut survey = Survey { resources: Some(resources), components: Some(components) };
        survey.tame();
        assert_eq!(survey.resources.unwrap().allocated.len(), MAX_RESOURCES);
        let Components { named, message } = survey.components.unwrap();
        assert_eq!(named.len(), MAX_COMPONENTS);
        assert!(named.iter().all(|it| it.name.chars().count() == 64 && it.message.as_ref().unwrap().len() < 200));
        assert_eq!(message.map(|message| (message.chars().count(), message.contains('\n'))), Some((512, false)));
    }
}
