//! `adm support-matrix`: which versions of Kubernetes which release of the platform works with, as the platform says it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use super::listing::{Column, column, print, text, wide};
use crate::args::ListOutput;
use crate::error::Result;

const COLUMNS: &[Column] = &[
    column("RELEASE", |item, _| text(&item["version"])),
    column("CREATE", |item, _| minors(&item["create"])),
    column("COMPATIBLE", |item, _| minors(&item["compatible"])),
    column("THIRD PARTY", |item, _| versions(&item["thirdParty"])),
    column("CURRENT", |item, _| if item["current"] == true { "*".to_owned() } else { String::new() }),
    wide("UPGRADE NEEDS", |item, _| text(&item["upgradeNeeds"])),
];

fn minors(range: &Value) -> String {
    match (text(&range["from"]), text(&range["to"])) {
        (from, to) if from == to => to,
        (from, to) => format!("{from}-{to}"),
    }
}

/// Where nothing was published, nothing is said.
fn versions(range: &Value) -> String {
    match range.is_object() {
        true => format!(">={} <{}", text(&range["from"]), text(&range["below"])),
        false => "-".to_owned(),
    }
}

/// Prints the matrix.
pub async fn matrix(cx: &Cx, args: &ListOutput, now: Timestamp) -> Result<i32> {
    let answer = cx.platform().await?.get("/platform/fleet.cpaas.io/v1/support-matrix").await?;
    let mut items = answer["releases"].as_array().cloned().unwrap_or_default();
    for release in &mut items {
        if release["version"] == answer["current"] {
            release["current"] = true.into();
        }
    }
    print(cx, args, COLUMNS, &json!({"items": items}), now, |item| format!("release/{}", text(&item["version"])))
}
