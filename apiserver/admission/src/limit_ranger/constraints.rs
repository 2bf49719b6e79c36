//! The bounds of one LimitRange.

use api_meta::{Object, Quantity, Value};
use api_quota::{Amounts, pod_limits, pod_requests};

use super::limits;
use crate::aggregate::aggregate;

/// What is asked for and what is the most.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

pub(super) fn check_pod(range: &Object, pod: &Object) -> Result<(), String> {
    let mut errors = Vec::new();
    for limit in limits(range) {
        match limit["type"].as_str() {
            Some("Container") => {
                for container in ["containers", "initContainers"].iter().flat_map(|list| containers(pod, list)) {
                    let list = |name: &str| Amounts::of(container.get("resources").and_then(|r| r.get(name)));
                    bounds(
                        limit,
                        "Container",
                        &Asked { requests: list("requests"), limits: list("limits") },
                        &mut errors,
                    );
                }
            }
            Some("Pod") => {
                let asked = Asked { requests: pod_requests(pod, false), limits: pod_limits(pod, false) };
                bounds(limit, "Pod", &asked, &mut errors);
            }
            _ => {}
        }
    }
    aggregate(errors)
}

fn containers<'a>(pod: &'a Object, list: &str) -> impl Iterator<Item = &'a Value> {
    pod.at(&["spec", list]).and_then(Value::as_array).into_iter().flatten()
}

fn bounds(limit: &Value, kind: &str, asked: &Asked, errors: &mut Vec<String>) {
    let each = |list: &str| Amounts::of(limit.get(list)).0;
    errors.extend(each("min").into_iter().filter_map(|(name, bound)| minimum(kind, &name, bound, asked)));
    errors.extend(each("max").into_iter().filter_map(|(name, bound)| maximum(kind, &name, bound, asked)));
    let ratios = each("maxLimitRequestRatio");
    errors.extend(ratios.into_iter().filter_map(|(name, bound)| ratio(kind, &name, bound, asked)));
}

fn minimum(kind: &str, name: &str, bound: Quantity, asked: &Asked) -> Option<String> {
    let said = format!("minimum {name} usage per {kind} is {bound}");
    let Some(request) = asked.requests.get(name) else { return Some(format!("{said}.  No request is specified")) };
    if request < bound {
        return Some(format!("{said}, but request is {request}"));
    }
    let limit = asked.limits.get(name).filter(|limit| *limit < bound)?;
    Some(format!("{said}, but limit is {limit}"))
}

fn maximum(kind: &str, name: &str, bound: Quantity, asked: &Asked) -> Option<String> {
    let said = format!("maximum {name} usage per {kind} is {bound}");
    let Some(limit) = asked.limits.get(name) else { return Some(format!("{said}.  No limit is specified")) };
    if limit > bound {
        return Some(format!("{said}, but limit is {limit}"));
    }
    let request = asked.requests.get(name).filter(|request| *request > bound)?;
    Some(format!("{said}, but request is {request}"))
}

fn ratio(kind: &str, name: &str, bound: Quantity, asked: &Asked) -> Option<String> {
    let said = format!("{name} max limit to request ratio per {kind} is {bound}");
    let some = |amounts: &Amounts| amounts.get(name).filter(|amount| !amount.is_zero());
    let Some(request) = some(&asked.requests) else {
        return Some(format!("{said}, but no request is specified or request is 0"));
    };
    let Some(limit) = some(&asked.limits) else {
        return Some(format!("{said}, but no limit is specified or limit is 0"));
    };
    #[expect(clippy::cast_precision_loss, reason = "a ratio is shown with six digits")]
    let ratio = limit.milli_value() as f64 / request.milli_value() as f64;
    #[expect(clippy::cast_precision_loss, reason = "a ratio is shown with six digits")]
    let most = bound.milli_value() as f64 / 1000.0;
    (ratio > most).then(|| format!("{said}, but provided ratio is {ratio:.6}"))
}

/// Of a claim only what it requests counts; limits of claims mean nothing.
pub(super) fn check_claim(range: &Object, claim: &Object) -> Result<(), String> {
    let kind = "PersistentVolumeClaim";
    let requests = Amounts::of(claim.at(&["spec", "resources", "requests"]));
    let asked = Asked { requests, limits: Amounts::default() };
    let mut errors = Vec::new();
    for limit in limits(range).filter(|limit| limit["type"] == kind) {
        let each = |list: &str| Amounts::of(limit.get(list)).0;
        errors.extend(each("min").into_iter().filter_map(|(name, bound)| minimum(kind, &name, bound, &asked)));
        errors.extend(each("max").into_iter().filter_map(|(name, bound)| {
            let said = format!("maximum {name} usage per {kind} is {bound}");
            match asked.requests.get(&name) {
                None => Some(format!("{said}.  No request is specified")),
                Some(request) if request > bound => Some(format!("{said}, but request is {request}")),
                Some(_) => None,
            }
        }));
    }
    aggregate(errors)
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    #[track_caller]
    fn check(limit: Value, resources: Value, expect: Result<(), &str>) {
        let range = object(json!({"spec": {"limits": [limit]}}));
        let pod = object(json!({"spec": {"containers": [{"name": "a", "resources": resources}]}}));
        assert_eq!(check_pod(&range, &pod), expect.map_err(str::to_owned));
    }

    fn container(list: &str, amounts: Value) -> Value {
        json!({"type": "Container", list: amounts})
    }

    #[test]
    fn within() {
        let limit = json!({"type": "Container", "min": {"cpu": "50m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "10"}});
        check(limit, json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}), Ok(()));
    }

    #[test]
    fn minima() {
        let limit = container("min", json!({"cpu": "50m"}));
        check(limit.clone(), json!({}), Err("minimum cpu usage per Container is 50m.  No request is specified"));
        let little = json!({"requests": {"cpu": "10m"}});
        check(limit.clone(), little, Err("minimum cpu usage per Container is 50m, but request is 10m"));
        let low = json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "20m"}});
        check(limit, low, Err("minimum cpu usage per Container is 50m, but limit is 20m"));
    }

    #[test]
    fn maxima() {
        let limit = container("max", json!({"memory": "1Gi"}));
        check(limit.clone(), json!({}), Err("maximum memory usage per Container is 1Gi.  No limit is specified"));
        let much = json!({"limits": {"memory": "2Gi"}});
        check(limit, much, Err("maximum memory usage per Container is 1Gi, but limit is 2Gi"));
    }

    #[test]
    fn ratios() {
        let limit = container("maxLimitRequestRatio", json!({"cpu": "8"}));
        let said = "cpu max limit to request ratio per Container is 8, but";
        let wide = json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "900m"}});
        check(limit.clone(), wide, Err(&format!("{said} provided ratio is 18.000000")));
        check(limit.clone(), json!({}), Err(&format!("{said} no request is specified or request is 0")));
        let open = json!({"requests": {"cpu": "1"}});
        check(limit, open, Err(&format!("{said} no limit is specified or limit is 0")));
    }

    #[test]
    fn the_whole_pod_and_several_at_once() {
        let limits = json!([container("max", json!({"cpu": "1"})), {"type": "Pod", "max": {"cpu": "1500m"}}]);
        let range = object(json!({"spec": {"limits": limits}}));
        let two = json!({"resources": {"limits": {"cpu": "2"}}});
        let pod = object(json!({"spec": {"containers": [two.clone(), two]}}));
        let expect = "[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod is 1500m, but limit is 4]";
        assert_eq!(check_pod(&range, &pod), Err(expect.into()));
    }

    #[test]
    fn claims() {
        let limit = json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}});
        let range = object(json!({"spec": {"limits": [limit]}}));
        let claim = |storage: &str| object(json!({"spec": {"resources": {"requests": {"storage": storage}}}}));
        assert_eq!(check_claim(&range, &claim("1Gi")), Ok(()));
        let large = "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi";
        assert_eq!(check_claim(&range, &claim("3Gi")), Err(large.into()));
        let small = "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi";
        assert_eq!(check_claim(&range, &claim("1Mi")), Err(small.into()));
    }
}
