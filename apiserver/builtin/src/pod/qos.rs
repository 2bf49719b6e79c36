//! The quality of service a Pod gets (upstream: `qos.ComputePodQOS`).

use std::collections::BTreeMap;

use api_meta::Quantity;

use crate::fields::{Fields, FieldsExt};

const COUNTED: [&str; 2] = ["cpu", "memory"];

type Amounts = BTreeMap<&'static str, Quantity>;

/// `Guaranteed` if every container's limits are its requests, `BestEffort` if none asks for anything.
pub(super) fn class(spec: &Fields) -> &'static str {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut all_limited = true;
    let mut add = |resources: Option<&Fields>| {
        collect(resources, "requests", &mut requests);
        all_limited &= collect(resources, "limits", &mut limits) == COUNTED.len();
    };
    match spec.fields("resources") {
        Some(resources) => add(Some(resources)),
        None => ["initContainers", "containers"]
            .iter()
            .flat_map(|list| spec.each(list))
            .for_each(|(_, container)| add(container.fields("resources"))),
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds the amounts above zero; says how many there were.
fn collect(resources: Option<&Fields>, list: &str, into: &mut Amounts) -> usize {
    let Some(amounts) = resources.and_then(|r| r.fields(list)) else { return 0 };
    let mut count = 0;
    for name in COUNTED {
        if let Ok(amount) = Quantity::from_value(amounts.value(name))
            && amount > Quantity::default()
        {
            *into.entry(name).or_default() += amount;
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(resources: &[api_meta::Value], expect: &str) {
        let containers: Vec<_> = resources.iter().map(|r| json!({"resources": r})).collect();
        let spec = json!({"containers": containers});
        assert_eq!(class(spec.as_object().unwrap()), expect);
    }

    #[test]
    fn nothing_asked() {
        check(&[json!({}), json!({"requests": {"cpu": "0"}})], "BestEffort");
    }

    #[test]
    fn all_limited() {
        let full = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}});
        check(std::slice::from_ref(&full), "Guaranteed");
        check(&[full.clone(), json!({})], "Burstable");
        check(&[full, json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})], "Burstable");
    }

    #[test]
    fn other_resources_do_not_count() {
        check(&[json!({"limits": {"example.com/gpu": "1"}})], "BestEffort");
    }
}
