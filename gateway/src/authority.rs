//! `/platform/fleet.cpaas.io/v1/authority`: by whom the hub is known, and the steps by which another authority takes the place
//! of the one that there is.
//!
//! How far that is, everybody may see who may list clusters. A step is for whoever may update the Secret of the authority on
//! the hub, whether this hub keeps it there or in its data directory.

use fleet::{Body, Caller};
use http::{Method, Request, Response, StatusCode};
use lib_tls::Step;
use serde::Deserialize;

use crate::chain::Chain;
use crate::respond::{self, Refusal, read_json};
use crate::review;

pub(crate) const PATH: &str = "/platform/fleet.cpaas.io/v1/authority";

/// What has to be typed to leave agents behind.
const WORD: &str = "leave behind";
/// More than every field at its longest.
const LIMIT: usize = 4 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StepRequest {
    #[serde(default)]
    step: String,
    /// The word, if agents are to be cut off that lack something.
    #[serde(default)]
    confirm: Option<String>,
}

impl StepRequest {
    fn read(self) -> Result<(Step, bool), Refusal> {
        let step = match self.step.as_str() {
            "introduce" => Step::Introduce,
            "switch" => Step::Switch,
            "retire" => Step::Retire,
            "back" => Step::Back,
            other => {
                let message = format!("step: must be introduce, switch, retire or back, and is {other:?}");
                return Err(Refusal::bad_request(message));
            }
        };
        match self.confirm.as_deref() {
            None => Ok((step, false)),
            Some(WORD) => Ok((step, true)),
            Some(other) => {
                let message = format!("confirm: must be {WORD:?}, if agents are to be cut off, and is {other:?}");
                Err(Refusal::bad_request(message))
            }
        }
    }
}

pub(crate) async fn answer(chain: &Chain, caller: &Caller, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    if request.method() != Method::POST {
        if !review::may(chain, caller, "list", None).await? {
            return Err(Refusal::forbidden("the hub's authorities are shown to whoever may list clusters"));
        }
        let status = chain.hub.fleet.authority_status().await?;
        return Ok(respond::answer(StatusCode::OK, &status));
    }
    if !review::may_update_secret(chain, caller, fleet::AUTHORITY_SECRET).await? {
        let message = format!(
            "the hub's authority is replaced by whoever may update the Secret {}/{} on the hub",
            fleet::NAMESPACE,
            fleet::AUTHORITY_SECRET
        );
        return Err(Refusal::forbidden(message));
    }
    let (step, leave_behind) = read_json::<StepRequest>(request, LIMIT).await?.read()?;
    let status = chain.hub.fleet.step_authority(caller, step, leave_behind).await?;
    Ok(respond::answer(StatusCode::OK, &status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(step: &str, confirm: Option<&str>, expect: Option<(Step, bool)>) {
        let request = StepRequest { step: step.to_owned(), confirm: confirm.map(str::to_owned) };
        assert_eq!(request.read().ok(), expect, "{step:?} {confirm:?}");
    }

    #[test]
    fn a_step_is_named_and_leaving_agents_behind_is_typed() {
        check("introduce", None, Some((Step::Introduce, false)));
        check("switch", None, Some((Step::Switch, false)));
        check("retire", Some("leave behind"), Some((Step::Retire, true)));
        check("back", None, Some((Step::Back, false)));
        for step in ["", "Retire", "retire "] {
            check(step, None, None);
        }
        for word in ["", "yes", "Leave behind", "leave  behind"] {
            check("retire", Some(word), None);
        }
    }
}
