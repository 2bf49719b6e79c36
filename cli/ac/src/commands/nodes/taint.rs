//! Taints as they are typed, and what a node has after them.

use serde_json::{Value, json};

use super::{has, name};
use crate::error::{Error, Result};
use crate::text::Text;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `key=value:effect`, or with a dash at its end what is to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) key: String,
    value: String,
    /// None is any, for what is to go.
    pub(super) effect: Option<String>,
    removes: bool,
}

impl Spec {
    fn read(word: &str) -> Result<Self> {
        let bad = || Error::told(Text::BadTaint { word: word.to_owned() });
        let (rest, removes) = word.strip_suffix('-').map_or((word, false), |rest| (rest, true));
        let (named, effect) = rest.split_once(':').map_or((rest, None), |(named, effect)| (named, Some(effect)));
        let (key, value) = named.split_once('=').unwrap_or((named, ""));
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
        let is_known = effect.map_or(removes, |effect| EFFECTS.contains(&effect));
        match !key.is_empty() && is_plain(key) && is_plain(value) && !value.contains('/') && is_known {
            true => {
                Ok(Self { key: key.to_owned(), value: value.to_owned(), effect: effect.map(str::to_owned), removes })
            }
            false => Err(bad()),
        }
    }

    fn to_json(&self) -> Value {
        let mut taint = json!({"key": self.key, "effect": self.effect});
        if !self.value.is_empty() {
            taint["value"] = self.value.as_str().into();
        }
        taint
    }

    fn shown(&self) -> String {
        match &self.effect {
            Some(effect) => format!("{}:{effect}", self.key),
            None => self.key.clone(),
        }
    }
}

/// A command line: which nodes, and what is to be done with their taints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) nodes: Vec<String>,
    pub(super) specs: Vec<Spec>,
}

impl Words {
    /// `are_selected` is whether flags name the nodes.
    pub(super) fn read(words: &[String], are_selected: bool) -> Result<Self> {
        let (kind, rest) = words.split_first().map_or(("", words), |(kind, rest)| (kind.as_str(), rest));
        if !matches!(kind, "node" | "nodes" | "no") {
            return Err(Error::usage(Text::TaintNeedsNodes { word: kind.to_owned() }));
        }
        let is_taint = |word: &String| word.contains([':', '=']) || word.ends_with('-');
        let (specs, nodes): (Vec<_>, Vec<_>) = rest.iter().partition(|word| is_taint(word));
        if nodes.is_empty() != are_selected {
            return Err(Error::usage(Text::TaintWhichNodes {}));
        }
        let specs: Vec<Spec> = specs.into_iter().map(|word| Spec::read(word)).collect::<Result<_>>()?;
        if specs.is_empty() {
            return Err(Error::usage(Text::TaintMissing {}));
        }
        for (at, spec) in specs.iter().enumerate() {
            if specs[..at].iter().any(|other| (&other.key, &other.effect) == (&spec.key, &spec.effect)) {
                return Err(Error::told(Text::TaintTwice { taint: spec.shown() }));
            }
        }
        Ok(Self { nodes: nodes.into_iter().cloned().collect(), specs })
    }
}

/// The taints of one node afterwards.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) taints: Vec<Value>,
    /// In one word.
    pub(super) done: &'static str,
}

impl Change {
    pub(super) fn of(node: &Value, specs: &[Spec], overwrite: bool) -> Result<Self> {
        let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let (removed, added): (Vec<&Spec>, Vec<&Spec>) = specs.iter().partition(|spec| spec.removes);
        for spec in &removed {
            if !taints.iter().any(|taint| has(taint, spec)) {
                return Err(Error::told(Text::NoSuchTaint { node: name(node), taint: spec.shown() }));
            }
        }
        for spec in &added {
            if !overwrite && taints.iter().any(|taint| has(taint, spec)) {
                return Err(Error::told(Text::TaintExists { node: name(node), taint: spec.shown() }));
            }
        }
        taints.retain(|taint| !specs.iter().any(|spec| has(taint, spec)));
        taints.extend(added.iter().map(|spec| spec.to_json()));
        let done = match (added.is_empty(), removed.is_empty()) {
            (false, true) => "tainted",
            (true, _) => "untainted",
            (false, false) => "modified",
        };
        Ok(Self { taints, done })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, are_selected: bool) -> Result<Words> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Words::read(&words, are_selected)
    }

    #[track_caller]
    fn refused(text: &str, are_selected: bool, says: &str) {
        let error = words(text, are_selected).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }

    #[test]
    fn a_command_line_names_nodes_and_taints() {
        let read = words("nodes a b k=v:NoSchedule old- x/y:NoExecute-", false).unwrap();
        assert_eq!(read.nodes, ["a", "b"]);
        assert_eq!(read.specs.iter().map(Spec::shown).collect::<Vec<_>>(), ["k:NoSchedule", "old", "x/y:NoExecute"]);
        assert!(words("node k:NoSchedule", true).unwrap().nodes.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused("pods a k:NoSchedule", false, "\"pods\"");
        refused("nodes k:NoSchedule", false, "--all");
        refused("nodes a k:NoSchedule", true, "--all");
        refused("nodes a", false, "KEY=VALUE:EFFECT");
        for bad in ["k=v:Never", "k=v", ":NoSchedule", "k=a=b:NoSchedule", "k v:NoSchedule", "-"] {
            let bad = format!("nodes a {}", bad.replace(' ', "\u{a0}"));
            assert!(words(&bad, false).is_err(), "{bad}");
        }
        refused("nodes a k=1:NoExecute k=2:NoExecute", false, "k:NoExecute");
    }

    fn change(had: Value, text: &str, overwrite: bool) -> Result<(Value, &'static str)> {
        let node = json!({"metadata": {"name": "n"}, "spec": {"taints": had}});
        let specs = words(&format!("nodes n {text}"), false).unwrap().specs;
        Change::of(&node, &specs, overwrite).map(|change| (Value::from(change.taints), change.done))
    }

    #[test]
    fn taints_come_and_go() {
        let (a, b) =
            (json!({"key": "a", "effect": "NoSchedule"}), json!({"key": "b", "effect": "NoExecute", "value": "1"}));
        assert_eq!(change(json!(null), "a:NoSchedule", false).unwrap(), (json!([a]), "tainted"));
        assert_eq!(change(json!([a, b]), "a-", false).unwrap(), (json!([b]), "untainted"));
        assert_eq!(change(json!([a]), "a:NoSchedule- b=1:NoExecute", false).unwrap(), (json!([b]), "modified"));
        let other = json!({"key": "b", "effect": "NoExecute", "value": "2"});
        assert_eq!(change(json!([b]), "b=2:NoExecute", true).unwrap(), (json!([other]), "tainted"));
        assert!(change(json!([b]), "b=2:NoExecute", false).unwrap_err().to_string().contains("--overwrite"));
        assert!(change(json!([b]), "a-", false).unwrap_err().to_string().contains("a"));
        // The same key with another effect is another taint.
        assert_eq!(change(json!([a]), "a:NoExecute", false).unwrap().0.as_array().unwrap().len(), 2);
    }
}
