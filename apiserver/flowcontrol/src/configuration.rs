//! The objects of the group `flowcontrol.apiserver.k8s.io`, as what is needed to decide.

use api_meta::{Object, Value};
use apiserver_builtin::flow_control::mandatory;
use serde::Deserialize;

use crate::matching::{Digest, Rules};
use crate::queues::{Limits, Response};

pub(crate) const EXEMPT: &str = "exempt";
pub(crate) const CATCH_ALL: &str = "catch-all";

/// What makes requests of one schema different flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distinguisher {
    None,
    User,
    Namespace,
}

#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) level: String,
    pub(crate) distinguisher: Distinguisher,
    precedence: i64,
    rules: Vec<Rules>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LevelSpec {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// `None` for levels whose requests never wait.
    pub(crate) limits: Option<Limits>,
    /// How many of its seats others may use.
    pub(crate) lendable: u64,
    /// How many it may have in all.
    pub(crate) most: u64,
}

/// All schemas, in the order in which they are tried, and all levels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) schemas: Vec<Schema>,
    pub(crate) levels: Vec<LevelSpec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SchemaSpec {
    priority_level_configuration: Named,
    matching_precedence: i64,
    distinguisher_method: Option<Typed>,
    rules: Vec<Rules>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    queuing: Queuing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Queuing {
    queues: u32,
    hand_size: u32,
    queue_length_limit: u32,
}

impl Default for Queuing {
    fn default() -> Self {
        Self { queues: 64, hand_size: 8, queue_length_limit: 50 }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrioritySpec {
    #[serde(rename = "type")]
    kind: String,
    limited: Limited,
    exempt: Exempt,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limited {
    nominal_concurrency_shares: u32,
    lendable_percent: u32,
    borrowing_limit_percent: Option<u32>,
    limit_response: Typed,
}

impl Default for Limited {
    fn default() -> Self {
        Self {
            nominal_concurrency_shares: 30,
            lendable_percent: 0,
            borrowing_limit_percent: None,
            limit_response: Typed::default(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Exempt {
    nominal_concurrency_shares: u32,
}

/// How many may wait at one level, whatever its object asks for.
const MOST_WAITING: usize = 100_000;

impl Configuration {
    /// With `seats` in all, given out by shares.
    pub(crate) fn compile(schemas: &[Object], levels: &[Object], seats: u64) -> Self {
        let mut shared: Vec<(LevelSpec, u32, PrioritySpec)> = levels.iter().filter_map(priority).collect();
        for name in [EXEMPT, CATCH_ALL] {
            if !shared.iter().any(|(level, ..)| level.name == name) {
                shared.extend(mandatory("PriorityLevelConfiguration", name).as_ref().and_then(priority));
            }
        }
        let total: u64 = shared.iter().map(|(_, shares, _)| u64::from(*shares)).sum::<u64>().max(1);
        let levels: Vec<LevelSpec> = shared
            .into_iter()
            .map(|(mut level, shares, spec)| {
                let own = (seats * u64::from(shares)).div_ceil(total);
                level.limits = (spec.kind == "Limited")
                    .then(|| Limits { seats: own, response: response(&spec.limited.limit_response) });
                level.lendable = percent(own, spec.limited.lendable_percent.min(100));
                level.most = match spec.limited.borrowing_limit_percent {
                    Some(limit) => own.saturating_add(percent(own, limit)),
                    None => u64::MAX,
                };
                level
            })
            .collect();
        let mut schemas: Vec<Schema> = schemas.iter().filter_map(schema).collect();
        for name in [EXEMPT, CATCH_ALL] {
            if !schemas.iter().any(|s| s.name == name) {
                schemas.extend(mandatory("FlowSchema", name).as_ref().and_then(schema));
            }
        }
        // A schema whose level is not there takes no part.
        schemas.retain(|s| levels.iter().any(|l| l.name == s.level));
        schemas.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        Self { schemas, levels }
    }

    /// The place of the schema that a request belongs to.
    pub(crate) fn schema_of(&self, digest: &Digest<'_>) -> Option<usize> {
        let found = self.schemas.iter().position(|s| s.rules.iter().any(|r| r.matches(digest)));
        // Somebody who is in no group at all still belongs somewhere.
        found.or_else(|| self.schemas.iter().position(|s| s.name == CATCH_ALL))
    }
}

impl Schema {
    pub(crate) fn flow<'a>(&self, digest: &Digest<'a>) -> &'a str {
        match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::User => &digest.user.name,
            Distinguisher::Namespace => digest.resource.map_or("", |r| &r.namespace),
        }
    }
}

fn schema(object: &Object) -> Option<Schema> {
    let spec = SchemaSpec::deserialize(object.get("spec").unwrap_or(&Value::Null)).ok()?;
    let distinguisher = match spec.distinguisher_method.as_ref().map(|m| &*m.kind) {
        Some("ByUser") => Distinguisher::User,
        Some("ByNamespace") => Distinguisher::Namespace,
        _ => Distinguisher::None,
    };
    Some(Schema {
        name: object.name().to_owned(),
        uid: object.uid().to_owned(),
        level: spec.priority_level_configuration.name,
        distinguisher,
        precedence: spec.matching_precedence,
        rules: spec.rules,
    })
}

fn priority(object: &Object) -> Option<(LevelSpec, u32, PrioritySpec)> {
    let spec = PrioritySpec::deserialize(object.get("spec").unwrap_or(&Value::Null)).ok()?;
    let shares = match &*spec.kind {
        "Limited" => spec.limited.nominal_concurrency_shares,
        _ => spec.exempt.nominal_concurrency_shares,
    };
    let (name, uid) = (object.name().to_owned(), object.uid().to_owned());
    let level = LevelSpec { name, uid, limits: None, lendable: 0, most: 0 };
    Some((level, shares, spec))
}

fn percent(of: u64, percent: u32) -> u64 {
    (of as f64 * f64::from(percent) / 100.0).round() as u64
}

fn response(response: &Typed) -> Response {
    if response.kind != "Queue" {
        return Response::Reject;
    }
    let Queuing { queues, hand_size, queue_length_limit } = response.queuing;
    let length = queue_length_limit as usize;
    let level = length.saturating_mul(queues as usize).min(MOST_WAITING);
    Response::Queue { flow: length.saturating_mul(hand_size as usize).min(level), level }
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use apiserver_access::{MASTERS, ResourceAttributes, User};
    use apiserver_builtin::flow_control::maintained_objects;

    use super::*;

    fn shipped() -> Configuration {
        let (schemas, levels): (Vec<_>, Vec<_>) =
            maintained_objects().into_iter().map(|m| m.object).partition(|o| o.kind() == "FlowSchema");
        Configuration::compile(&schemas, &levels, 600)
    }

    #[track_caller]
    fn check(user: &User, verb: &str, resource: &str, namespace: &str, expect: &str) {
        let attributes = ResourceAttributes {
            group: if resource == "leases" { "coordination.k8s.io".into() } else { String::new() },
            resource: resource.into(),
            namespace: namespace.into(),
            ..ResourceAttributes::default()
        };
        let resource = (!resource.starts_with('/')).then_some(&attributes);
        let digest = Digest { user, verb, resource, path: &attributes.resource };
        let configuration = shipped();
        let schema = &configuration.schemas[configuration.schema_of(&digest).unwrap()];
        assert_eq!(format!("{} {}", schema.name, schema.level), expect);
    }

    #[test]
    fn requests_find_their_schema() {
        let account = |namespace: &str| {
            User::new(
                format!("system:serviceaccount:{namespace}:robot"),
                ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            )
        };
        let node = User::new("system:node:n", ["system:nodes"]);
        check(&User::new("root", [MASTERS]), "list", "pods", "", "exempt exempt");
        check(&User::anonymous(), "get", "/readyz", "", "probes exempt");
        check(&User::new("ann", [""; 0]), "list", "pods", "a", "global-default global-default");
        check(&User::anonymous(), "get", "/version", "", "global-default global-default");
        check(&account("a"), "list", "pods", "a", "service-accounts workload-low");
        check(&account("kube-system"), "list", "pods", "a", "kube-system-service-accounts workload-high");
        check(&account("kube-system"), "update", "leases", "a", "system-leader-election leader-election");
        check(&User::new("system:kube-scheduler", [""; 0]), "list", "pods", "", "kube-scheduler workload-high");
        check(&node, "update", "nodes", "", "system-node-high node-high");
        check(&node, "list", "pods", "", "system-nodes system");
        check(&User::default(), "list", "pods", "a", "catch-all catch-all");
    }

    #[test]
    fn seats_go_by_shares() {
        let seats = |name: &str| {
            let levels = shipped().levels;
            levels.into_iter().find(|l| l.name == name).unwrap().limits.map(|l| l.seats)
        };
        // 245 shares in all.
        assert_eq!(seats("exempt"), None);
        assert_eq!(seats("catch-all"), Some(13));
        assert_eq!(seats("global-default"), Some(49));
        assert_eq!(seats("workload-low"), Some(245));
    }

    #[test]
    fn without_objects_the_mandatory_hold() {
        let bare = Configuration::compile(&[], &[], 600);
        assert_eq!(bare.levels.len(), 2);
        let ann = User::new("ann", [""; 0]);
        let digest = Digest { user: &ann, verb: "get", resource: None, path: "/" };
        assert_eq!(bare.schemas[bare.schema_of(&digest).unwrap()].name, CATCH_ALL);
    }

    #[test]
    fn a_schema_without_its_level_is_passed_over() {
        let dangling = json!({"kind": "FlowSchema", "metadata": {"name": "mine"}, "spec": {
            "priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 1,
            "rules": [{"subjects": [{"kind": "User", "user": {"name": "*"}}],
                       "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}});
        let configuration = Configuration::compile(&[Object::try_from(dangling).unwrap()], &[], 600);
        let ann = User::new("ann", [""; 0]);
        let digest = Digest { user: &ann, verb: "get", resource: None, path: "/" };
        assert_eq!(configuration.schemas[configuration.schema_of(&digest).unwrap()].name, CATCH_ALL);
    }

    #[test]
    fn what_objects_ask_for_is_bounded() {
        let huge = Typed {
            kind: "Queue".into(),
            queuing: Queuing { queues: u32::MAX, hand_size: u32::MAX, queue_length_limit: u32::MAX },
        };
        assert_eq!(response(&huge), Response::Queue { flow: 100_000, level: 100_000 });
    }
}
