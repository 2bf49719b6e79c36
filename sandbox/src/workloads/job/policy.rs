//! What a Job's own rules make of pods that failed, and of indexes that succeeded.

use k8s_openapi::api::{
    batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern},
    core::v1::{ContainerStatus, Pod, PodCondition},
};

use crate::meta::{name, namespace};

use super::indexes::Indexes;

/// What a failed pod means for its Job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It counts towards the limits, as without any rule.
    Counts,
    Ignored,
    /// Its index is not tried again.
    OfIndex,
    /// The Job fails, with this message.
    OfJob(String),
}

impl Failure {
    pub(super) fn counts(&self) -> bool {
        *self != Self::Ignored
    }
}

/// The first rule that matches decides.
pub(super) fn judge(spec: &JobSpec, pod: &Pod) -> Failure {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    for (at, rule) in rules.enumerate() {
        let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
        let what = match &rule.on_exit_codes {
            Some(wanted) => exited(pod, wanted).map(|(container, code)| {
                format!("Container {container} for pod {}/{} failed with exit code {code}", namespace(pod), name(pod))
            }),
            None => condition(pod, patterns)
                .map(|found| format!("Pod {}/{} has condition {}", namespace(pod), name(pod), found.type_)),
        };
        let Some(what) = what else { continue };
        match rule.action.as_str() {
            "Ignore" => return Failure::Ignored,
            "FailIndex" => return Failure::OfIndex,
            "Count" => return Failure::Counts,
            "FailJob" => return Failure::OfJob(format!("{what} matching FailJob rule at index {at}")),
            // Of a later version of the API: such a rule is to be skipped.
            _ => {}
        }
    }
    Failure::Counts
}

/// The container whose end a rule speaks of, and its exit code.
fn exited<'a>(pod: &'a Pod, wanted: &PodFailurePolicyOnExitCodesRequirement) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let code = |status: &ContainerStatus| Some(status.state.as_ref()?.terminated.as_ref()?.exit_code);
    let named = |status: &ContainerStatus| wanted.container_name.as_ref().is_none_or(|name| *name == status.name);
    let ends = all.filter(|status| named(status)).filter_map(|status| Some((status.name.as_str(), code(status)?)));
    ends.filter(|(_, code)| *code != 0).find(|(_, code)| match wanted.operator.as_str() {
        "In" => wanted.values.contains(code),
        "NotIn" => !wanted.values.contains(code),
        _ => false,
    })
}

fn condition<'a>(pod: &'a Pod, patterns: &[PodFailurePolicyOnPodConditionsPattern]) -> Option<&'a PodCondition> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let matches = |found: &&PodCondition| {
        patterns.iter().any(|pattern| pattern.type_ == found.type_ && pattern.status == found.status)
    };
    conditions.into_iter().find(matches)
}

/// Why the Job has succeeded before all its indexes have, if it has.
pub(super) fn success(spec: &JobSpec, succeeded: &Indexes) -> Option<String> {
    let completions = spec.completions?;
    let rules = spec.success_policy.iter().flat_map(|policy| &policy.rules);
    let met = rules.enumerate().filter(|_| !succeeded.is_empty()).find(|(_, rule)| {
        let enough = |count: i32| rule.succeeded_count.is_some_and(|wanted| count >= wanted);
        match &rule.succeeded_indexes {
            Some(text) => {
                let wanted = Indexes::parse(text, completions);
                let count = wanted.shared(succeeded);
                !wanted.is_empty() && (count == wanted.total() || enough(count))
            }
            None => enough(succeeded.total()),
        }
    });
    met.map(|(at, _)| format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(extra: &Value) -> JobSpec {
        let mut spec = json!({"completions": 10, "template": {}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn failed(code: i32) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True"}],
            "containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                                   "state": {"terminated": {"exitCode": code}}}]}}))
        .unwrap()
    }

    #[track_caller]
    fn check(rule: Value, code: i32, expect: Failure) {
        assert_eq!(judge(&spec(&json!({"podFailurePolicy": {"rules": [rule]}})), &failed(code)), expect);
    }

    #[test]
    fn exit_codes() {
        let rule = |action: &str, operator: &str| json!({"action": action, "onExitCodes": {"operator": operator, "values": [42]}});
        check(rule("Ignore", "In"), 42, Failure::Ignored);
        check(rule("Ignore", "In"), 1, Failure::Counts);
        check(rule("FailIndex", "NotIn"), 1, Failure::OfIndex);
        check(rule("Count", "In"), 42, Failure::Counts);
        check(rule("Whatever", "In"), 42, Failure::Counts);
        let message = "Container main for pod n/p failed with exit code 42 matching FailJob rule at index 0";
        check(rule("FailJob", "In"), 42, Failure::OfJob(message.to_owned()));
        check(
            json!({"action": "Ignore", "onExitCodes": {"operator": "In", "containerName": "x", "values": [42]}}),
            42,
            Failure::Counts,
        );
    }

    #[test]
    fn pod_conditions() {
        let rule = |kind: &str| json!({"action": "FailJob", "onPodConditions": [{"type": kind, "status": "True"}]});
        let message = "Pod n/p has condition DisruptionTarget matching FailJob rule at index 0";
        check(rule("DisruptionTarget"), 1, Failure::OfJob(message.to_owned()));
        check(rule("ConfigIssue"), 1, Failure::Counts);
    }

    #[test]
    fn success_before_the_end() {
        let met = |rule: Value, succeeded: &str| {
            success(&spec(&json!({"successPolicy": {"rules": [rule]}})), &Indexes::parse(succeeded, 10))
        };
        let matched = Some("Matched rules at index 0".to_owned());
        assert_eq!(met(json!({"succeededIndexes": "0,2-3"}), "0,2,3"), matched);
        assert_eq!(met(json!({"succeededIndexes": "0,2-3"}), "0,2"), None);
        assert_eq!(met(json!({"succeededIndexes": "0,2-3", "succeededCount": 2}), "0,2"), matched);
        assert_eq!(met(json!({"succeededCount": 2}), "7,9"), matched);
        assert_eq!(met(json!({"succeededCount": 2}), ""), None);
    }
}
