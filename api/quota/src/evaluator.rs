//! How each resource is measured.

use api_meta::{Object, Quantity, Value};
use jiff::Timestamp;

use crate::scope::{Operator, Scope};
use crate::{Amounts, pod, scopes_of};

/// Which write a quota is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Create,
    Update,
}

/// Measures the objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluator {
    Pods,
    Services,
    Claims,
    /// Each object is one; the names under which it is counted.
    Count(Vec<String>),
}

const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

impl Evaluator {
    pub fn of(group: &str, plural: &str) -> Self {
        match (group, plural) {
            ("", "pods") => Self::Pods,
            ("", "services") => Self::Services,
            ("", "persistentvolumeclaims") => Self::Claims,
            ("", _) => {
                let mut names = vec![format!("count/{plural}")];
                // The names from before everything could be counted.
                if ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"].contains(&plural) {
                    names.push(plural.to_owned());
                }
                Self::Count(names)
            }
            _ => Self::Count(vec![format!("count/{plural}.{group}")]),
        }
    }

    /// Whether such a write can change what is used.
    pub fn handles(&self, write: Write, subresource: &str, new: &Object, old: Option<&Object>) -> bool {
        match (self, subresource) {
            (Self::Pods, "") => write == Write::Create,
            (Self::Pods, "resize") => write == Write::Update,
            (Self::Services, _) | (Self::Claims, "") => true,
            (Self::Claims, "status") => {
                let seen = |claim: &Object| {
                    ["allocatedResources", "currentVolumeAttributesClassName", "modifyVolumeStatus"]
                        .map(|field| claim.at(&["status", field]).cloned())
                };
                old.is_some_and(|old| seen(old) != seen(new))
            }
            (Self::Count(_), "") => write == Write::Create,
            _ => false,
        }
    }

    /// Whether this is a resource that objects of this kind use.
    pub fn measures(&self, name: &str) -> bool {
        match self {
            Self::Pods => pod::measures(name),
            Self::Services => {
                ["count/services", "services", "services.nodeports", "services.loadbalancers"].contains(&name)
            }
            Self::Claims => {
                let own = ["persistentvolumeclaims", "requests.storage"];
                let of_class = |name: &str| name.split_once(STORAGE_CLASS).is_some_and(|(_, rest)| own.contains(&rest));
                name == "count/persistentvolumeclaims" || own.contains(&name) || of_class(name)
            }
            Self::Count(names) => names.iter().any(|known| known == name),
        }
    }

    /// What one object uses.
    pub fn usage(&self, object: &Object, now: Timestamp) -> Amounts {
        match self {
            Self::Pods => pod::usage(object, now),
            Self::Services => service(object),
            Self::Claims => claim(object),
            Self::Count(names) => Amounts(names.iter().map(|name| (name.clone(), Quantity::whole(1))).collect()),
        }
    }

    /// # Errors
    ///
    /// What an object must say because a quota limits it.
    pub fn constraints(&self, object: &Object, limited: &[&str]) -> Result<(), String> {
        match self {
            Self::Pods => pod::unstated(object, limited),
            _ => Ok(()),
        }
    }

    /// Whether the quota looks at this object: it limits something that such objects use, and they are in its scopes.
    pub fn matches(&self, quota: &Object, hard: &Amounts, object: &Object) -> bool {
        hard.names().any(|name| self.measures(name)) && scopes_of(quota).iter().all(|scope| self.is_in(object, scope))
    }

    fn is_in(&self, object: &Object, scope: &Scope) -> bool {
        match self {
            Self::Pods => pod::is_in(object, scope),
            Self::Claims if scope.name == "VolumeAttributesClass" => {
                let classes = attributes_classes(object);
                match scope.operator {
                    Operator::Exists => !classes.is_empty(),
                    _ if classes.is_empty() => scope.selects(None),
                    _ => classes.iter().any(|class| scope.selects(Some(class))),
                }
            }
            _ => false,
        }
    }
}

fn attributes_classes(claim: &Object) -> Vec<&str> {
    let paths: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    paths.into_iter().filter_map(|path| claim.str_at(path)).filter(|name| !name.is_empty()).collect()
}

fn service(object: &Object) -> Amounts {
    let ports = object.at(&["spec", "ports"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let all = i64::try_from(ports.len()).unwrap_or(i64::MAX);
    let given = ports.iter().filter(|port| port.get("nodePort").and_then(Value::as_i64).unwrap_or(0) != 0).count();
    let suppressed = object.at(&["spec", "allocateLoadBalancerNodePorts"]) == Some(&Value::Bool(false));
    let (node_ports, balancers) = match object.str_at(&["spec", "type"]) {
        Some("NodePort") => (all, 0),
        Some("LoadBalancer") if suppressed => (i64::try_from(given).unwrap_or(i64::MAX), 1),
        Some("LoadBalancer") => (all, 1),
        _ => (0, 0),
    };
    let mut usage = Amounts::default();
    usage.set("count/services", Quantity::whole(1));
    usage.set("services", Quantity::whole(1));
    usage.set("services.nodeports", Quantity::whole(node_ports));
    usage.set("services.loadbalancers", Quantity::whole(balancers));
    usage
}

fn claim(object: &Object) -> Amounts {
    let class = match object.annotation("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class,
        None => object.str_at(&["spec", "storageClassName"]).unwrap_or_default(),
    };
    let mut usage = Amounts::default();
    usage.set("count/persistentvolumeclaims", Quantity::whole(1));
    let mut charge = |name: &str, amount: Quantity| {
        usage.set(name, amount);
        if !class.is_empty() {
            usage.set(format!("{class}{STORAGE_CLASS}{name}"), amount);
        }
    };
    charge("persistentvolumeclaims", Quantity::whole(1));
    let storage = |path: &[&str]| Amounts::of(object.at(path)).get("storage");
    if let Some(asked) = storage(&["spec", "resources", "requests"]) {
        let given = storage(&["status", "allocatedResources"]).unwrap_or_default();
        charge("requests.storage", asked.max(given).rounded_to_whole());
    }
    usage
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(plural: &str, object: Value, expect: Value) {
        let object = Object::try_from(object).unwrap();
        assert_eq!(Evaluator::of("", plural).usage(&object, Timestamp::UNIX_EPOCH), Amounts::of(Some(&expect)));
    }

    #[track_caller]
    fn check_service(spec: Value, node_ports: i64, balancers: i64) {
        let expect = json!({"count/services": 1, "services": 1, "services.nodeports": node_ports,
            "services.loadbalancers": balancers});
        check("services", json!({"spec": spec}), expect);
    }

    #[test]
    fn services() {
        let ports = json!([{"port": 1, "nodePort": 30000}, {"port": 2}]);
        check_service(json!({"ports": ports}), 0, 0);
        check_service(json!({"type": "NodePort", "ports": ports}), 2, 0);
        check_service(json!({"type": "LoadBalancer", "ports": ports}), 2, 1);
        let few = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports});
        check_service(few, 1, 1);
    }

    #[test]
    fn claims() {
        let spec = json!({"storageClassName": "gold", "resources": {"requests": {"storage": "1.5"}}});
        let gold = "gold.storageclass.storage.k8s.io/";
        let expect = |storage: &str| {
            json!({"count/persistentvolumeclaims": 1, "persistentvolumeclaims": 1, "requests.storage": storage,
                format!("{gold}persistentvolumeclaims"): 1, format!("{gold}requests.storage"): storage})
        };
        check("persistentvolumeclaims", json!({"spec": spec}), expect("2"));
        let grown = json!({"spec": spec, "status": {"allocatedResources": {"storage": "5"}}});
        check("persistentvolumeclaims", grown, expect("5"));
    }

    #[test]
    fn others_are_counted() {
        check("secrets", json!({}), json!({"count/secrets": 1, "secrets": 1}));
        check("endpoints", json!({}), json!({"count/endpoints": 1}));
        assert!(Evaluator::of("apps", "deployments").measures("count/deployments.apps"));
        assert!(!Evaluator::of("apps", "deployments").measures("count/deployments"));
    }

    #[test]
    fn a_quota_with_scopes_looks_at_no_other_kinds() {
        let quota = Object::try_from(json!({"spec": {"scopes": ["BestEffort"]}})).unwrap();
        let hard = Amounts::of(Some(&json!({"pods": 1, "secrets": 1})));
        let pod = Object::try_from(json!({"spec": {"containers": [{}]}})).unwrap();
        assert!(Evaluator::Pods.matches(&quota, &hard, &pod));
        assert!(!Evaluator::of("", "secrets").matches(&quota, &hard, &Object::default()));
    }
}
