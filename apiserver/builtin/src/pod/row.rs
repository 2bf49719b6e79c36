//! A Pod in one line (upstream: `printPod`).

use api_meta::{Object, Value, parse_time};
use apiserver_model::{human_age, human_duration};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::{NONE, age, int, is_true, part, text_or};

/// What the container statuses add up to.
#[derive(Default)]
struct Tally {
    ready: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Tally {
    fn restarted(&mut self, container: &Fields) {
        self.restarts += int(container, "restartCount");
        let finished = part(container, "lastState").fields("terminated").and_then(|t| parse_time(t.text("finishedAt")));
        self.last_restart = self.last_restart.max(finished);
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(time) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, human_duration(now.as_second() - time.as_second()))
            }
            _ => self.restarts.to_string(),
        }
    }
}

pub(super) fn row(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (part(object, "spec"), part(object, "status"));
    let sidecars: Vec<_> =
        spec.each("initContainers").map(|(_, c)| c).filter(|c| c.text("restartPolicy") == "Always").collect();
    let total = spec.items("containers").len() + sidecars.len();

    let mut reason = match status.text("reason") {
        "" => status.text("phase").to_owned(),
        reason => reason.to_owned(),
    };
    if status.each("conditions").any(|(_, c)| c.text("type") == "PodScheduled" && c.text("reason") == "SchedulingGated")
    {
        reason = "SchedulingGated".into();
    }
    let is_sidecar = |name: &str| sidecars.iter().any(|c| c.text("name") == name);
    let (mut tally, sidecar_tally, stuck) = initialization(spec, status, is_sidecar);
    let initialized = stuck.is_none() || is_true(status, "Initialized");
    reason = stuck.unwrap_or(reason);
    if initialized {
        tally = Tally { ready: tally.ready, ..sidecar_tally };
        reason = running(status, &mut tally, reason);
    }
    if object.deletion_timestamp().is_some() {
        if status.text("reason") == "NodeLost" {
            reason = "Unknown".into();
        } else if !matches!(status.text("phase"), "Failed" | "Succeeded") {
            reason = "Terminating".into();
        }
    }
    let address = status.each("podIPs").next().map_or("", |(_, ip)| ip.text("ip"));
    vec![
        object.name().into(),
        format!("{}/{total}", tally.ready).into(),
        reason.into(),
        tally.restarts(now).into(),
        age(object, now),
        if address.is_empty() { NONE.into() } else { address.into() },
        text_or(spec, "nodeName", NONE),
        text_or(status, "nominatedNodeName", NONE),
        readiness_gates(spec, status).into(),
    ]
}

/// Counts init containers up to the first that is not done; says what that one is stuck at.
fn initialization(spec: &Fields, status: &Fields, is_sidecar: impl Fn(&str) -> bool) -> (Tally, Tally, Option<String>) {
    let (mut all, mut sidecars) = (Tally::default(), Tally::default());
    for (index, container) in status.each("initContainerStatuses") {
        all.restarted(container);
        let sidecar = is_sidecar(container.text("name"));
        if sidecar {
            sidecars.restarted(container);
        }
        let state = part(container, "state");
        if let Some(ended) = state.fields("terminated") {
            if int(ended, "exitCode") == 0 {
                continue;
            }
            if !(sidecar && container.flag("started")) {
                return (all, sidecars, Some(format!("Init:{}", ending(ended))));
            }
        }
        if sidecar && container.flag("started") {
            all.ready += usize::from(container.flag("ready"));
            continue;
        }
        let waiting = part(state, "waiting").text("reason");
        let stuck = match waiting {
            "" | "PodInitializing" => format!("Init:{index}/{}", spec.items("initContainers").len()),
            reason => format!("Init:{reason}"),
        };
        return (all, sidecars, Some(stuck));
    }
    (all, sidecars, None)
}

/// Counts the containers; the first in the list that has something to say decides.
fn running(status: &Fields, tally: &mut Tally, mut reason: String) -> String {
    let mut has_running = false;
    for (_, container) in status.each("containerStatuses").collect::<Vec<_>>().into_iter().rev() {
        tally.restarted(container);
        let state = part(container, "state");
        match (part(state, "waiting").text("reason"), state.fields("terminated")) {
            ("", Some(ended)) => reason = ending(ended),
            ("", None) => {
                if container.flag("ready") && state.fields("running").is_some() {
                    has_running = true;
                    tally.ready += 1;
                }
            }
            (waiting, _) => reason = waiting.to_owned(),
        }
    }
    match reason == "Completed" && has_running {
        true if is_true(status, "Ready") => "Running".into(),
        true => "NotReady".into(),
        false => reason,
    }
}

/// How a container ended: its reason, or the signal or code.
fn ending(terminated: &Fields) -> String {
    match (terminated.text("reason"), int(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(spec: &Fields, status: &Fields) -> String {
    let gates = spec.items("readinessGates").len();
    if gates == 0 {
        return NONE.into();
    }
    let open = spec.each("readinessGates").filter(|(_, gate)| is_true(status, gate.text("conditionType"))).count();
    format!("{open}/{gates}")
}

/// How long ago; `<unknown>` for no time at all.
pub(crate) fn ago(time: &Value, now: Timestamp) -> String {
    human_age(time.as_str().unwrap_or_default(), now)
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(pod: Value, ready: &str, status: &str, restarts: &str) {
        let now = parse_time("2026-01-01T01:00:00Z").unwrap();
        let cells = row(&Object::try_from(pod).unwrap(), now);
        assert_eq!(cells[1..4], [json!(ready), json!(status), json!(restarts)]);
    }

    fn pod(status: Value) -> Value {
        json!({
            "metadata": {"name": "p"},
            "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]},
            "status": status,
        })
    }

    #[test]
    fn fresh() {
        check(pod(json!({"phase": "Pending"})), "0/2", "Pending", "0");
    }

    #[test]
    fn initializing() {
        let init =
            |state: Value| pod(json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": state}]}));
        check(init(json!({"running": {}})), "0/2", "Init:0/1", "0");
        check(init(json!({"waiting": {"reason": "PodInitializing"}})), "0/2", "Init:0/1", "0");
        check(init(json!({"waiting": {"reason": "ImagePullBackOff"}})), "0/2", "Init:ImagePullBackOff", "0");
        check(init(json!({"terminated": {"exitCode": 3}})), "0/2", "Init:ExitCode:3", "0");
        check(init(json!({"terminated": {"exitCode": 1, "reason": "Error"}})), "0/2", "Init:Error", "0");
    }

    #[test]
    fn crashing() {
        check(
            pod(json!({"phase": "Running", "containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}},
                 "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:50:00Z"}}},
                {"name": "b", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
            "1/2",
            "CrashLoopBackOff",
            "3 (10m ago)",
        );
    }

    #[test]
    fn one_done_one_running() {
        let status = |ready: &str| {
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                {"name": "b", "ready": true, "state": {"running": {}}}]})
        };
        check(pod(status("True")), "1/2", "Running", "0");
        check(pod(status("False")), "1/2", "NotReady", "0");
    }

    #[test]
    fn going() {
        let mut going = pod(json!({"phase": "Running"}));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check(going.clone(), "0/2", "Terminating", "0");
        going["status"]["phase"] = json!("Succeeded");
        check(going.clone(), "0/2", "Succeeded", "0");
        going["status"]["reason"] = json!("NodeLost");
        check(going, "0/2", "Unknown", "0");
    }
}
