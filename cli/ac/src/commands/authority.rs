//! `adm rotate-authority`: by which certificate authority the platform is known, and the steps by which another one takes its
//! place.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use super::listing::{Column, column, print, text, wide};
use crate::args::{AuthorityStep, RotateAuthority};
use crate::error::{Error, Exit, Result};
use crate::http::Ask;
use crate::text::Text;
use crate::ui::cancelled;

const PATH: &str = "/platform/fleet.cpaas.io/v1/authority";
/// What is typed to cut agents off.
const WORD: &str = "leave behind";

const COLUMNS: &[Column] = &[
    column("ROLE", |item, _| text(&item["role"])),
    column("NAME", |item, _| text(&item["name"])),
    column("EXPIRES", |item, _| text(&item["notAfter"])),
    column("FINGERPRINT", |item, _| text(&item["fingerprint"])),
    wide("PIN", |item, _| text(&item["pin"])),
];

/// Takes the step, if there is one to take, and shows how far it is.
pub async fn rotate(cx: &Cx, args: &RotateAuthority, now: Timestamp) -> Result<i32> {
    let endpoint = cx.platform().await?;
    let mut status = match args.step {
        None => endpoint.get(PATH).await?,
        Some(step) => {
            if args.force && !args.yes {
                confirm(cx)?;
            }
            let body = json!({"step": name(step), "confirm": args.force.then_some(WORD)});
            endpoint.send(&Ask::new(Method::POST, PATH).json(&body)).await?.json()?
        }
    };
    // As a list, which is printed as others are.
    status["items"] = status["authorities"].take();
    let code = print(cx, &args.list, COLUMNS, &status, now, |item| format!("authority/{}", text(&item["name"])))?;
    if args.list.output.is_none() {
        tell(cx, &status);
    }
    Ok(code)
}

fn name(step: AuthorityStep) -> &'static str {
    match step {
        AuthorityStep::Introduce => "introduce",
        AuthorityStep::Switch => "switch",
        AuthorityStep::Retire => "retire",
        AuthorityStep::Back => "back",
    }
}

fn confirm(cx: &Cx) -> Result<()> {
    match cx.ui.ask(&Text::PromptLeaveBehind { word: WORD.to_owned() })? {
        Some(answer) if answer == WORD => Ok(()),
        Some(_) => Err(cancelled()),
        None => Err(Error::told(Text::LeaveBehindNeedsYes {}).exit(Exit::Cancelled)),
    }
}

/// How far the agents are, and what comes next.
fn tell(cx: &Cx, status: &Value) {
    let agents = &status["agents"];
    cx.ui.note(&Text::AgentsReady { ready: text(&agents["ready"]), total: text(&agents["total"]) });
    for lacking in agents["lacking"].as_array().into_iter().flatten() {
        cx.ui.note(&Text::AgentLacks { cluster: text(&lacking["cluster"]), message: text(&lacking["message"]) });
    }
    match status["step"].as_str() {
        Some("Introduced") => cx.ui.note(&Text::AuthorityIntroduced {}),
        Some("Switched") => cx.ui.note(&Text::AuthoritySwitched {}),
        _ => {}
    }
}
