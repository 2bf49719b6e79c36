//! Bounds as they are written on a command line: `limits.cpu=10,pods=50`, and before that a cluster's name.

use std::collections::BTreeMap;

use api_meta::Quantity;
use serde_json::{Map, Value, json};

use crate::args::Limits;
use crate::error::{Error, Result};
use crate::text::Text;

/// The most of each thing that is counted.
pub type Bounds = BTreeMap<String, String>;

/// What becomes of a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is this.
    Set(String, String),
    /// There is none.
    Remove(String),
}

fn bad(word: &str) -> Error {
    Error::usage(Text::BadQuota { word: word.to_owned() })
}

fn pair(word: &str) -> Result<(String, String)> {
    let (key, amount) = word.split_once('=').ok_or_else(|| bad(word))?;
    // The server knows which keys there are, and reads the amount in full.
    let is_amount = amount.starts_with(|c: char| c.is_ascii_digit())
        && amount.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
    match is_key(key) && is_amount {
        true => Ok((key.to_owned(), amount.to_owned())),
        false => Err(bad(word)),
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
}

fn insert(into: &mut Bounds, (key, amount): (String, String)) -> Result<()> {
    match into.insert(key.clone(), amount) {
        None => Ok(()),
        Some(_) => Err(Error::usage(Text::QuotaTwice { key })),
    }
}

/// Bounds that are for one thing.
pub fn bounds(words: &[String]) -> Result<Bounds> {
    let mut bounds = Bounds::new();
    for word in words.iter().flat_map(|words| words.split(',')) {
        insert(&mut bounds, pair(word)?)?;
    }
    Ok(bounds)
}

/// Amounts of a flag that is about single containers.
pub fn limits(flag: &str, words: &[String]) -> Result<Bounds> {
    let mut limits = Bounds::new();
    for word in words.iter().flat_map(|words| words.split(',')) {
        let bad = || Error::usage(Text::BadLimit { flag: flag.to_owned(), word: word.to_owned() });
        let (key, amount) = pair(word).map_err(|_| bad())?;
        amount.parse::<Quantity>().map_err(|_| bad())?;
        if limits.insert(key.clone(), amount).is_some() {
            return Err(Error::usage(Text::LimitTwice { flag: flag.to_owned(), key }));
        }
    }
    Ok(limits)
}

/// The LimitRange entry for containers, if there is anything to say. What the server would refuse is refused before anything
/// is made.
pub fn containers(limits_of: &Limits) -> Result<Option<Value>> {
    let read = [
        (
            "--limit-default-request",
            "defaultRequest",
            limits("--limit-default-request", &limits_of.limit_default_request)?,
        ),
        ("--limit-default", "default", limits("--limit-default", &limits_of.limit_default)?),
        ("--limit-max", "max", limits("--limit-max", &limits_of.limit_max)?),
    ];
    // None may be above any that comes after it.
    for (at, (flag, _, lower)) in read.iter().enumerate() {
        for (other, _, upper) in &read[at + 1..] {
            let above = lower.iter().find_map(|(key, amount)| {
                let most = upper.get(key)?;
                (amount.parse::<Quantity>().ok()? > most.parse::<Quantity>().ok()?).then_some((key, amount, most))
            });
            if let Some((key, amount, most)) = above {
                let word = format!("{key}={amount}");
                let (flag, other, most) = ((*flag).to_owned(), (*other).to_owned(), most.clone());
                return Err(Error::usage(Text::LimitAbove { flag, word, other, most }));
            }
        }
    }
    let said: Map<String, Value> = read
        .into_iter()
        .filter(|(_, _, amounts)| !amounts.is_empty())
        .map(|(_, field, amounts)| (field.to_owned(), json!(amounts)))
        .collect();
    let of_containers = [("type".to_owned(), json!("Container"))];
    Ok((!said.is_empty()).then(|| said.into_iter().chain(of_containers).collect()))
}

/// Bounds by cluster. Those without a cluster are for each.
pub fn by_cluster(words: &[String], clusters: &[String]) -> Result<BTreeMap<String, Bounds>> {
    let mut found: BTreeMap<String, Bounds> = BTreeMap::new();
    for word in words {
        let (cluster, rest) = match word.split_once(':').filter(|(cluster, _)| !cluster.contains('=')) {
            Some((cluster, rest)) => (Some(cluster), rest),
            None => (None, word.as_str()),
        };
        if let Some(cluster) = cluster.filter(|cluster| !clusters.iter().any(|known| known == cluster)) {
            return Err(Error::usage(Text::QuotaForOtherCluster { cluster: cluster.to_owned() }));
        }
        for pair in rest.split(',').map(pair) {
            let pair = pair?;
            for name in clusters.iter().filter(|name| cluster.is_none_or(|cluster| cluster == *name)) {
                insert(found.entry(name.clone()).or_default(), pair.clone())?;
            }
        }
    }
    Ok(found)
}

/// New bounds, and `KEY-` for those that go, as `kubectl label` has it.
pub fn changes(words: &[String]) -> Result<Vec<Change>> {
    let words = words.iter().flat_map(|words| words.split(','));
    words
        .map(|word| match word.strip_suffix('-').filter(|key| !key.contains('=')) {
            Some(key) if is_key(key) => Ok(Change::Remove(key.to_owned())),
            Some(_) => Err(bad(word)),
            None => pair(word).map(|(key, amount)| Change::Set(key, amount)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[track_caller]
    fn check(quota: &[&str], expect: Option<&str>) {
        let found = by_cluster(&words(quota), &words(&["east", "west"])).ok();
        assert_eq!(found.map(|found| serde_json::to_string(&found).unwrap()).as_deref(), expect, "{quota:?}");
    }

    #[test]
    fn bounds_are_for_one_cluster_or_for_each() {
        check(&[], Some("{}"));
        check(&["east:limits.cpu=10,pods=50"], Some(r#"{"east":{"limits.cpu":"10","pods":"50"}}"#));
        check(&["pods=5"], Some(r#"{"east":{"pods":"5"},"west":{"pods":"5"}}"#));
        check(&["pods=5", "west:cpu=1.5"], Some(r#"{"east":{"pods":"5"},"west":{"cpu":"1.5","pods":"5"}}"#));
        check(
            &["east:gold.storageclass.storage.k8s.io/requests.storage=1Ti"],
            Some(r#"{"east":{"gold.storageclass.storage.k8s.io/requests.storage":"1Ti"}}"#),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["north:pods=5", "east:", "east:pods", "pods=", "=5", "pods=five", "pods=-5", "pods=5,", "po ds=5"] {
            check(&[bad], None);
        }
        check(&["pods=5", "east:pods=6"], None);
        assert!(bounds(&words(&["east:pods=5"])).is_err(), "a namespace is in one cluster");
    }

    #[test]
    fn limits_of_containers_fit_each_other() {
        #[track_caller]
        fn check(default: &str, request: &str, max: &str, expect: Result<Value, &str>) {
            let words = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
            let limits =
                Limits { limit_default: words(default), limit_default_request: words(request), limit_max: words(max) };
            match (containers(&limits), expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found.unwrap_or_default(), expect),
                (Err(error), Err(expect)) => assert_eq!(error.to_string(), expect),
                (found, _) => panic!("{found:?}"),
            }
        }
        check("", "", "", Ok(Value::Null));
        check(
            "cpu=500m,memory=512Mi",
            "cpu=0.5",
            "memory=1Gi",
            Ok(json!({"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"},
                "defaultRequest": {"cpu": "0.5"}, "max": {"memory": "1Gi"}})),
        );
        check("cpu=2", "", "cpu=1500m", Err("--limit-default: cpu=2 is more than --limit-max allows, which is 1500m"));
        check(
            "cpu=1",
            "cpu=2",
            "",
            Err("--limit-default-request: cpu=2 is more than --limit-default allows, which is 1"),
        );
        check(
            "",
            "memory=2Gi",
            "memory=2G",
            Err("--limit-default-request: memory=2Gi is more than --limit-max allows, which is 2G"),
        );
        check("cpu=1,cpu=2", "", "", Err("--limit-default: \"cpu\" is given twice"));
        check("", "", "cpu=1x", Err("--limit-max: \"cpu=1x\" is not an amount such as cpu=500m or memory=512Mi"));
        check("cpu", "", "", Err("--limit-default: \"cpu\" is not an amount such as cpu=500m or memory=512Mi"));
    }

    #[test]
    fn bounds_are_set_and_removed() {
        let (set, remove) = (Change::Set("pods".to_owned(), "5".to_owned()), Change::Remove("limits.cpu".to_owned()));
        assert_eq!(changes(&words(&["pods=5,limits.cpu-"])).unwrap(), [set.clone(), remove.clone()]);
        assert_eq!(changes(&words(&["pods=5", "limits.cpu-"])).unwrap(), [set, remove]);
        for bad in ["-", "pods=-", "pods=5-x=", "p:x-", ""] {
            assert!(changes(&words(&[bad])).is_err(), "{bad}");
        }
    }
}
