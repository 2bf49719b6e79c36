//! Whether a write fits into the quotas of its namespace, and what is used when it does (upstream: `CheckRequest`).

use std::collections::BTreeSet;

use api_meta::Object;
use api_quota::{Amounts, Evaluator, Write};
use jiff::Timestamp;

/// One write, as quotas see it.
pub(super) struct Charge<'a> {
    pub(super) evaluator: Evaluator,
    pub(super) write: Write,
    /// Whoever reports what is so already is charged, never refused.
    pub(super) status: bool,
    pub(super) object: &'a Object,
    pub(super) old: Option<&'a Object>,
}

/// For each quota what is used afterwards; `None` where nothing changes.
pub(super) fn check(quotas: &[&Object], charge: &Charge<'_>) -> Result<Vec<Option<Amounts>>, String> {
    let now = Timestamp::now();
    let limits: Vec<Option<Amounts>> =
        quotas.iter().map(|quota| pertinent(quota, charge)).collect::<Result<_, String>>()?;
    let usage = charge.evaluator.usage(charge.object, now);
    let negative: Vec<&str> = usage.0.iter().filter(|(_, a)| a.is_negative()).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
    }
    let before = charge.old.filter(|_| charge.write == Write::Update).map(|old| charge.evaluator.usage(old, now));
    quotas
        .iter()
        .zip(limits)
        .map(|(quota, hard)| {
            let Some(hard) = hard else { return Ok(None) };
            // What the quota looked at before is paid for already.
            let paid = before.as_ref().zip(charge.old).filter(|(_, old)| charge.evaluator.matches(quota, &hard, old));
            let asked = paid.map_or_else(|| usage.clone(), |(before, _)| usage.above(before));
            charged(quota, &hard, &asked.without_zeros(), charge.status)
        })
        .collect()
}

/// The limits of a quota that looks at this object. What it limits must be stated, and counted already.
fn pertinent(quota: &Object, charge: &Charge<'_>) -> Result<Option<Amounts>, String> {
    let hard = Amounts::of(quota.at(&["status", "hard"]));
    if !charge.evaluator.matches(quota, &hard, charge.object) {
        return Ok(None);
    }
    let limited: Vec<&str> = hard.names().filter(|name| charge.evaluator.measures(name)).collect();
    let name = quota.name();
    charge.evaluator.constraints(charge.object, &limited).map_err(|why| format!("failed quota: {name}: {why}"))?;
    let used = Amounts::of(quota.at(&["status", "used"]));
    if limited.iter().any(|resource| used.get(resource).is_none()) {
        return Err(format!("status unknown for quota: {name}, resources: {}", limited.join(",")));
    }
    Ok(Some(hard))
}

fn charged(quota: &Object, hard: &Amounts, asked: &Amounts, status: bool) -> Result<Option<Amounts>, String> {
    let asked = asked.only(|name| hard.get(name).is_some());
    if asked.is_empty() {
        return Ok(None);
    }
    let used = Amounts::of(quota.at(&["status", "used"]));
    let mut then = used.clone();
    then.add(&asked);
    let touched = then.only(|name| asked.get(name).is_some());
    let exceeded: BTreeSet<&str> = touched.beyond(hard).into_iter().collect();
    if !exceeded.is_empty() && !status {
        let of = |amounts: &Amounts| amounts.only(|name| exceeded.contains(name));
        return Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            quota.name(),
            of(&asked),
            of(&used),
            of(hard)
        ));
    }
    Ok(Some(then))
}

#[cfg(test)]
mod tests {
    use api_meta::{Value, json};

    use super::*;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    fn quota(hard: Value, used: Value) -> Object {
        object(json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}))
    }

    #[track_caller]
    fn check_one(quota: &Object, plural: &str, old: Option<Value>, new: Value, expect: Result<Option<Value>, &str>) {
        let (new, old) = (object(new), old.map(object));
        let write = if old.is_some() { Write::Update } else { Write::Create };
        let evaluator = Evaluator::of("", plural);
        let charge = Charge { evaluator, write, status: false, object: &new, old: old.as_ref() };
        let got = check(&[quota], &charge).map(|mut all| all.remove(0));
        let expect = expect.map(|used| used.map(|used| Amounts::of(Some(&used)))).map_err(str::to_owned);
        assert_eq!(got, expect);
    }

    #[test]
    fn what_fits_is_charged() {
        let q = quota(json!({"count/configmaps": 2}), json!({"count/configmaps": 1}));
        check_one(&q, "configmaps", None, json!({}), Ok(Some(json!({"count/configmaps": 2}))));
        check_one(&q, "secrets", None, json!({}), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let q = quota(json!({"configmaps": 1, "count/configmaps": 3}), json!({"configmaps": 1, "count/configmaps": 1}));
        let why = "exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1";
        check_one(&q, "configmaps", None, json!({}), Err(why));
    }

    #[test]
    fn compute_must_be_stated() {
        let q = quota(json!({"requests.cpu": 1}), json!({"requests.cpu": 0}));
        let pod = json!({"spec": {"containers": [{"name": "a"}]}});
        check_one(&q, "pods", None, pod, Err("failed quota: q: must specify requests.cpu for: a"));
    }

    #[test]
    fn what_is_not_counted_yet_cannot_be_charged() {
        let q = quota(json!({"pods": 1, "count/pods": 1}), json!({"pods": 0}));
        let pod = json!({"spec": {"containers": [{"name": "a"}]}});
        check_one(&q, "pods", None, pod, Err("status unknown for quota: q, resources: count/pods,pods"));
    }

    #[test]
    fn an_update_pays_the_difference() {
        let q = quota(json!({"services.nodeports": 2}), json!({"services.nodeports": 1}));
        let service = |ports: usize| json!({"spec": {"type": "NodePort", "ports": vec![json!({"port": 1}); ports]}});
        check_one(&q, "services", Some(service(1)), service(1), Ok(None));
        check_one(&q, "services", Some(service(1)), service(2), Ok(Some(json!({"services.nodeports": 2}))));
        let why = "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=1, limited: \
                   services.nodeports=2";
        check_one(&q, "services", Some(service(1)), service(3), Err(why));
        check_one(&q, "services", Some(service(2)), service(1), Ok(None));
    }

    #[test]
    fn scopes_decide_what_is_charged() {
        let mut q = quota(json!({"pods": 0}), json!({"pods": 0}));
        *q.at_mut(&["spec", "scopes"]) = json!(["BestEffort"]);
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "a", "resources": resources}]}});
        check_one(&q, "pods", None, pod(json!({"requests": {"cpu": 1}})), Ok(None));
        let why = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
        check_one(&q, "pods", None, pod(json!({})), Err(why));
    }

    #[test]
    fn who_reports_what_is_so_is_never_refused() {
        let q = quota(json!({"requests.storage": "1Gi"}), json!({"requests.storage": "1Gi"}));
        let claim = |given: &str| {
            object(json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}},
                "status": {"allocatedResources": {"storage": given}}}))
        };
        let (old, new) = (claim("1Gi"), claim("2Gi"));
        let charge =
            Charge { evaluator: Evaluator::Claims, write: Write::Update, status: true, object: &new, old: Some(&old) };
        let expect = Amounts::of(Some(&json!({"requests.storage": "2Gi"})));
        assert_eq!(check(&[&q], &charge), Ok(vec![Some(expect)]));
    }
}
