//! Amounts as objects have them, and as they are counted.

use api_meta::Quantity;
use api_quota::Amounts;

/// Amounts as a typed object has them.
type Written = std::collections::BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

/// An amount that cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value:?}, which is no amount; write it as 500m, 2 or 4Gi")]
pub struct BadAmount {
    /// What is to be counted.
    pub key: String,
    /// What is written.
    pub value: String,
}

/// Reads them, exact.
pub fn read_amounts(written: &Written) -> Result<Amounts, BadAmount> {
    let read = |(key, value): (&String, &k8s_openapi::apimachinery::pkg::api::resource::Quantity)| {
        let amount = value.0.parse::<Quantity>();
        amount
            .map(|amount| (key.clone(), amount))
            .map_err(|_| BadAmount { key: key.clone(), value: value.0.chars().take(64).collect() })
    };
    written.iter().map(read).collect::<Result<_, _>>().map(Amounts)
}

/// Writes them as Kubernetes does.
pub fn write_amounts(amounts: &Amounts) -> Written {
    let write = |(key, amount): (&String, &Quantity)| {
        (key.clone(), k8s_openapi::apimachinery::pkg::api::resource::Quantity(amount.to_string()))
    };
    amounts.0.iter().map(write).collect()
}
