//! `/platform/fleet.cpaas.io/v1/agent-upgrade`: the members' agents are given another image, in stages.
//!
//! How far that is, everybody may see who may list clusters. To begin or steer it is for whoever may update the Secret of the
//! upgrade on the hub: they decide what runs in every member, in the name of the agent there.

use fleet::{Body, Caller, UpgradeAction, UpgradeRequest};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;

use crate::chain::Chain;
use crate::fleet_api::dry_run;
use crate::respond::{self, Refusal, read_json};
use crate::review;

pub(crate) const PATH: &str = "/platform/fleet.cpaas.io/v1/agent-upgrade";

/// More than every field at its longest.
const LIMIT: usize = 16 * 1024;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    action: String,
    image: Option<String>,
    label_selector: Option<String>,
    stages: Option<Vec<String>>,
    max_unavailable: Option<u32>,
    max_failures: Option<u32>,
}

#[derive(Debug)]
enum Action {
    Start(UpgradeRequest),
    Steer(UpgradeAction),
}

impl Asked {
    fn read(self) -> Result<Action, Refusal> {
        let Self { action, image, label_selector, stages, max_unavailable, max_failures } = self;
        let said = [
            ("image", image.is_some()),
            ("labelSelector", label_selector.is_some()),
            ("stages", stages.is_some()),
            ("maxUnavailable", max_unavailable.is_some()),
            ("maxFailures", max_failures.is_some()),
        ];
        let steer = match action.as_str() {
            "start" => {
                return Ok(Action::Start(UpgradeRequest {
                    image: image.unwrap_or_default(),
                    label_selector: label_selector.unwrap_or_default(),
                    stages,
                    max_unavailable,
                    max_failures: max_failures.unwrap_or_default(),
                }));
            }
            "pause" => UpgradeAction::Pause,
            "resume" => UpgradeAction::Resume,
            "cancel" => UpgradeAction::Cancel,
            other => {
                let message = format!("action: must be start, pause, resume or cancel, and is {other:?}");
                return Err(Refusal::bad_request(message));
            }
        };
        match said.iter().find(|(_, is_said)| *is_said) {
            None => Ok(Action::Steer(steer)),
            Some((field, _)) => {
                Err(Refusal::bad_request(format!("{field}: is said with action start, and not with {action}")))
            }
        }
    }
}

pub(crate) async fn answer(chain: &Chain, caller: &Caller, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let fleet = &chain.hub.fleet;
    if request.method() != Method::POST {
        if !review::may(chain, caller, "list", None).await? {
            return Err(Refusal::forbidden("the upgrade of agents is shown to whoever may list clusters"));
        }
        return Ok(respond::answer(StatusCode::OK, &fleet.agent_upgrade().await?));
    }
    if !review::may_update_secret(chain, caller, fleet::UPGRADE_SECRET).await? {
        let message = format!(
            "agents are upgraded by whoever may update the Secret {}/{} on the hub",
            fleet::NAMESPACE,
            fleet::UPGRADE_SECRET
        );
        return Err(Refusal::forbidden(message));
    }
    let dry_run = dry_run(request.uri().query())?;
    let status = match read_json::<Asked>(request, LIMIT).await?.read()? {
        Action::Start(wanted) => fleet.upgrade_agents(caller, &wanted, dry_run).await?,
        Action::Steer(_) if dry_run => {
            return Err(Refusal::bad_request("dryRun: shows what an upgrade would be, with action start"));
        }
        Action::Steer(action) => fleet.steer_upgrade(caller, action).await?,
    };
    Ok(respond::answer(StatusCode::OK, &status))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(body: serde_json::Value, expect: Result<&str, &str>) {
        let read = serde_json::from_value::<Asked>(body.clone()).map_err(|error| error.to_string());
        let read = read.and_then(|asked| asked.read().map_err(|refusal| format!("{refusal:?}")));
        match (read, expect) {
            (Ok(action), Ok(part)) => assert!(format!("{action:?}").contains(part), "{action:?}"),
            (Err(refused), Err(part)) => assert!(refused.contains(part), "{refused}"),
            (read, _) => panic!("{body}: {read:?}"),
        }
    }

    #[test]
    fn an_action_is_named_and_has_what_belongs_to_it() {
        check(
            json!({"action": "start", "image": "a:1", "stages": ["1"], "maxUnavailable": 2}),
            Ok("max_unavailable: Some(2)"),
        );
        check(json!({"action": "start"}), Ok("Start"));
        check(json!({"action": "pause"}), Ok("Steer(Pause)"));
        check(json!({"action": "resume"}), Ok("Steer(Resume)"));
        check(json!({"action": "cancel"}), Ok("Steer(Cancel)"));
        for action in ["", "Start", "stop"] {
            check(json!({"action": action}), Err("action: must be start, pause, resume or cancel"));
        }
        check(json!({"action": "pause", "image": "a:1"}), Err("image: is said with action start, and not with pause"));
        check(json!({"action": "resume", "stages": []}), Err("stages: is said"));
        check(json!({"action": "start", "Image": "a:1"}), Err("unknown field `Image`"));
        check(json!({"action": "start", "maxUnavailable": -1}), Err("invalid value"));
    }
}
