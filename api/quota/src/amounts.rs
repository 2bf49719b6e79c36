//! Amounts by resource name: what is asked for, used, or allowed.

use std::collections::BTreeMap;

use api_meta::{Map, Quantity, Value};

/// A resource list. `Display` is how errors show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts(pub BTreeMap<String, Quantity>);

impl Amounts {
    /// A resource list as objects hold it. Validation has refused what does not parse; here it is left out.
    pub fn of(value: Option<&Value>) -> Self {
        let fields = value.and_then(Value::as_object).into_iter().flatten();
        Self(fields.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_value(amount).ok()?))).collect())
    }

    pub fn to_value(&self) -> Value {
        Value::Object(
            self.0.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect::<Map<_, _>>(),
        )
    }

    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    pub fn set(&mut self, name: impl Into<String>, amount: Quantity) {
        self.0.insert(name.into(), amount);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn add(&mut self, more: &Self) {
        for (name, amount) in &more.0 {
            let sum = self.0.get(name).map_or(*amount, |had| *had + *amount);
            self.0.insert(name.clone(), sum);
        }
    }

    /// For each name the larger amount of the two.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let larger = self.0.get(name).map_or(*amount, |had| (*had).max(*amount));
            self.0.insert(name.clone(), larger);
        }
    }

    /// What is more here than there; never below zero.
    #[must_use]
    pub fn above(&self, other: &Self) -> Self {
        let names = self.0.keys().chain(other.0.keys());
        let more = |name: &String| {
            let (mine, theirs) = (self.get(name).unwrap_or_default(), other.get(name).unwrap_or_default());
            (mine - theirs).max(Quantity::default())
        };
        Self(names.map(|name| (name.clone(), more(name))).collect())
    }

    #[must_use]
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| wanted(name)).map(|(n, a)| (n.clone(), *a)).collect())
    }

    #[must_use]
    pub fn without_zeros(&self) -> Self {
        Self(self.0.iter().filter(|(_, amount)| !amount.is_zero()).map(|(n, a)| (n.clone(), *a)).collect())
    }

    /// The names of which there is more here than the limits allow.
    pub fn beyond<'a>(&'a self, limits: &Self) -> Vec<&'a str> {
        let over = |name: &str, amount: Quantity| limits.get(name).is_some_and(|limit| amount > limit);
        self.0.iter().filter(|(name, amount)| over(name, **amount)).map(|(name, _)| name.as_str()).collect()
    }
}

impl std::fmt::Display for Amounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, amount)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{name}={amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    fn amounts(value: Value) -> Amounts {
        Amounts::of(Some(&value))
    }

    #[test]
    fn sums_and_differences() {
        let mut sum = amounts(json!({"cpu": "500m"}));
        sum.add(&amounts(json!({"cpu": "1", "memory": "1Gi"})));
        assert_eq!(sum, amounts(json!({"cpu": "1500m", "memory": "1Gi"})));
        let less = sum.above(&amounts(json!({"cpu": "1", "memory": "2Gi", "pods": "1"})));
        assert_eq!(less, amounts(json!({"cpu": "500m", "memory": "0", "pods": "0"})));
        assert_eq!(less.without_zeros(), amounts(json!({"cpu": "500m"})));
    }

    #[test]
    fn only_what_is_limited_can_be_beyond() {
        let used = amounts(json!({"cpu": "2", "memory": "2Gi", "pods": "9"}));
        assert_eq!(used.beyond(&amounts(json!({"cpu": "1", "memory": "2Gi"}))), ["cpu"]);
    }

    #[test]
    fn is_shown_in_order_and_canonical() {
        assert_eq!(amounts(json!({"pods": 1, "cpu": "0.5"})).to_string(), "cpu=500m,pods=1");
    }
}
