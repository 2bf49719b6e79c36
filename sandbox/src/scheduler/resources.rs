//! Quantities, and what pods ask for.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::api::resource::Quantity,
};

/// Amounts by resource name, in thousandths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources(pub(super) BTreeMap<String, i128>);

impl Resources {
    pub(super) fn from_map(map: Option<&BTreeMap<String, Quantity>>) -> Self {
        Self(map.into_iter().flatten().filter_map(|(name, amount)| Some((name.clone(), milli(&amount.0)?))).collect())
    }

    pub(super) fn get(&self, name: &str) -> i128 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.merge(other, |a, b| a + b)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.merge(other, |a, b| (a - b).max(0))
    }

    fn max(&self, other: &Self) -> Self {
        self.merge(other, i128::max)
    }

    fn merge(&self, other: &Self, combine: impl Fn(i128, i128) -> i128) -> Self {
        let mut sum = self.0.clone();
        for (name, amount) in &other.0 {
            let entry = sum.entry(name.clone()).or_insert(0);
            *entry = combine(*entry, *amount);
        }
        Self(sum)
    }
}

/// What a pod reserves on its node: its containers together, or its largest init container if that is more.
pub(super) fn requests(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let of = |container: &Container| {
        Resources::from_map(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    };
    let mut running = spec.containers.iter().fold(Resources::default(), |sum, container| sum.plus(&of(container)));
    let mut peak = Resources::default();
    for init in spec.init_containers.iter().flatten() {
        if init.restart_policy.as_deref() == Some("Always") {
            running = running.plus(&of(init));
        } else {
            peak = peak.max(&of(init));
        }
    }
    running.max(&peak).plus(&Resources::from_map(spec.overhead.as_ref()))
}

/// A quantity in thousandths, rounded up; `None` if it is not one.
pub(super) fn milli(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 18 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (numerator, mut denominator): (i128, i128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        other => {
            let exponent: u32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1000 * 10_i128.checked_pow(exponent)?, 1)
        }
    };
    denominator *= 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.checked_mul(numerator)?;
    Some(product.div_euclid(denominator) + i128::from(product.rem_euclid(denominator) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, expect: Option<i128>) {
        assert_eq!(milli(text), expect, "{text}");
    }

    #[test]
    fn quantities() {
        check("2", Some(2000));
        check("250m", Some(250));
        check("0.5", Some(500));
        check("1.5Gi", Some(1_610_612_736_000));
        check("1e3", Some(1_000_000));
        check("100n", Some(1));
        check("twelve", None);
        check("1X", None);
    }

    #[test]
    fn a_large_init_container_counts_by_its_peak() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}},
                           {"name": "b", "resources": {"requests": {"cpu": "200m"}}}],
            "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "1"}}}]}}))
        .unwrap();
        assert_eq!(requests(&pod).get("cpu"), 1000);
    }
}
