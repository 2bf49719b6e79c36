//! An upgrade of the clusters' agents, which is a step further whenever somebody looks.

use serde_json::{Value, json};

/// What the platform knows of it, and how often it was looked at.
#[derive(Default)]
pub(crate) struct Upgrade {
    last: Option<Value>,
    looks: usize,
}

fn planned(asked: &Value) -> Value {
    json!({
        "image": asked["image"], "phase": "Planned",
        "stages": [
            {"size": "1", "clusters": [{"name": "edge", "state": "Waiting"}]},
            {"size": "rest", "clusters": [{"name": "far", "state": "Waiting"}]},
        ],
        "skipped": [{"name": "old", "state": "Skipped", "reason": "NotConnected", "message": "its agent is not connected"}],
    })
}

/// Code and body of an answer; a refusal is a code with a message.
pub(crate) fn answer(
    upgrade: &mut Upgrade,
    is_post: bool,
    dry_run: bool,
    body: &str,
) -> Result<Value, (u16, &'static str)> {
    let asked = serde_json::from_str::<Value>(body).unwrap_or_default();
    match asked["action"].as_str() {
        Some("start") if asked["image"] == "no image" => return Err((400, "image: must be an image")),
        Some("start") if dry_run => return Ok(status(Some(&planned(&asked)))),
        Some("start") => {
            let mut begun = planned(&asked);
            begun["phase"] = "Running".into();
            *upgrade = Upgrade { last: Some(begun), looks: 0 };
        }
        Some(action) => {
            let Some(last) = &mut upgrade.last else { return Err((409, "pause: there is no upgrade")) };
            last["phase"] = match action {
                "pause" => "Paused".into(),
                "resume" => "Running".into(),
                _ => "Cancelled".into(),
            };
        }
        None => {}
    }
    if let Some(last) = upgrade.last.as_mut().filter(|last| !is_post && last["phase"] == "Running") {
        upgrade.looks += 1;
        go_on(last, upgrade.looks);
    }
    Ok(status(upgrade.last.as_ref()))
}

fn go_on(upgrade: &mut Value, looks: usize) {
    let is_broken = upgrade["image"] == "acp/agent:broken";
    let since = "2026-01-01T00:00:00Z";
    let state = match looks {
        1 => json!({"state": "Upgrading", "since": since, "from": "acp/agent:1", "message": "waits for Pod p"}),
        _ if is_broken => {
            json!({"state": "Failed", "since": since, "message": "Pod p: ImagePullBackOff. It was set back"})
        }
        _ => json!({"state": "Done", "since": since, "from": "acp/agent:1", "version": "0.2.0"}),
    };
    let mut member = state;
    member["name"] = "edge".into();
    upgrade["stages"][0]["clusters"][0] = member.clone();
    if looks > 1 && is_broken {
        upgrade["phase"] = "Stopped".into();
        upgrade["message"] = "1 have failed, and 0 may. edge: Pod p: ImagePullBackOff. It was set back".into();
    } else if looks > 1 {
        member["name"] = "far".into();
        upgrade["stages"][1]["clusters"][0] = member;
        upgrade["phase"] = "Done".into();
    }
}

fn status(upgrade: Option<&Value>) -> Value {
    let mut counts = serde_json::Map::new();
    let stages = upgrade.into_iter().flat_map(|upgrade| upgrade["stages"].as_array().unwrap());
    let members = stages.flat_map(|stage| stage["clusters"].as_array().unwrap());
    for member in members.chain(upgrade.into_iter().flat_map(|upgrade| upgrade["skipped"].as_array().unwrap())) {
        let count = counts.entry(member["state"].as_str().unwrap()).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap() + 1);
    }
    json!({"agentImage": "acp/agent:2", "upgrade": upgrade, "counts": counts})
}
