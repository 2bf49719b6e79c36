//! `adm fleet`: the fleet in few numbers, as the platform counts it.

use api_meta::Quantity;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use super::listing::{Column, column, format_of_one, joined, print, text, wide};
use crate::args::{FleetSummary, ListOutput};
use crate::error::Result;
use crate::http::with_query;

const GROUPS: &[Column] = &[
    column("GROUP", |group, _| text(&group["group"])),
    column("CLUSTERS", |group, _| text(&group["clusters"]["total"])),
    column("READY", |group, _| text(&group["clusters"]["ready"])),
    column("NODES READY", |group, _| format!("{}/{}", text(&group["nodes"]["ready"]), text(&group["nodes"]["total"]))),
    column("CPU", |group, _| used(&group["resource"], "cpu", "")),
    column("MEMORY", |group, _| used(&group["resource"], "memory", "Gi")),
    column("PODS", |group, _| used(&group["resource"], "pods", "")),
    wide("VERSIONS", |group, _| versions(&group["versions"])),
];
const CONDITIONS: &[Column] = &[
    column("CONDITION", |row, _| text(&row["type"])),
    column("STATUS", |row, _| text(&row["status"])),
    column("CLUSTERS", |row, _| text(&row["total"])),
    column("NAMES", |row, _| names(row)),
];
const CERTIFICATES: &[Column] = &[
    column("CERTIFICATE", |row, _| text(&row["name"])),
    column("CLUSTER", |row, _| text(&row["cluster"])),
    column("EXPIRES", |row, clock| clock.distance(&row["notAfter"])),
];

/// How much Pods ask for of what there is for them. A dash where nobody knows.
fn used(resource: &Value, name: &str, unit: &str) -> String {
    let amount = |list: &str| Quantity::from_value(&resource[list][name]).ok().map(|amount| amount.as_f64());
    let (Some(whole), part) = (amount("allocatable"), amount("allocated").unwrap_or_default()) else {
        return "-".to_owned();
    };
    let divided = |amount: f64| if unit.is_empty() { amount } else { amount / f64::from(1 << 30) };
    let share = if whole > 0.0 { format!(" ({:.0}%)", part / whole * 100.0) } else { String::new() };
    format!("{}/{}{unit}{share}", short(divided(part)), short(divided(whole)))
}

fn short(amount: f64) -> String {
    let text = format!("{amount:.1}");
    text.strip_suffix(".0").map_or(text.clone(), ToOwned::to_owned)
}

fn versions(list: &Value) -> String {
    let said = |it: &Value| {
        let mark = if it["supported"] == true { "" } else { "!" };
        format!("{}{mark} ({})", text(&it["version"]), text(&it["clusters"]))
    };
    list.as_array().into_iter().flatten().map(said).collect::<Vec<_>>().join(", ")
}

fn names(row: &Value) -> String {
    let known = row["names"].as_array().map_or(0, Vec::len) as u64;
    let more = row["total"].as_u64().unwrap_or_default().saturating_sub(known);
    let more = if more > 0 { format!(", +{more}") } else { String::new() };
    format!("{}{more}", joined(&row["names"], ", "))
}

/// Prints the summary.
pub async fn fleet(cx: &Cx, args: &FleetSummary, now: Timestamp) -> Result<i32> {
    let output = args.list.output.as_deref();
    let is_table = matches!(output, None | Some("wide" | "tsv" | "name"));
    let format = if is_table { None } else { format_of_one(output, false)? };
    let asked = [("labelSelector", &args.selector), ("groupBy", &args.group_by)];
    let pairs: Vec<(&str, &str)> =
        asked.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect();
    let path = with_query("/platform/fleet.cpaas.io/v1/summary", &pairs);
    let answer = cx.platform().await?.get(&path).await?;
    if let Some(format) = format {
        cx.ui.out(&format.object(&answer)?)?;
        return Ok(0);
    }
    let mut groups: Vec<Value> = answer["groups"].as_array().cloned().unwrap_or_default();
    for group in &mut groups {
        group["group"] = if group["value"].is_null() { "<none>".into() } else { group["value"].take() };
    }
    let mut all = answer.clone();
    all["group"] = "<all>".into();
    groups.push(all);
    let list = json!({"items": groups});
    let code = print(cx, &args.list, GROUPS, &list, now, |item| format!("group/{}", text(&item["group"])))?;
    // Programs read one table, or the whole.
    if matches!(output, None | Some("wide")) {
        below(cx, &args.list, CONDITIONS, failing(&answer["conditions"]), now)?;
        below(cx, &args.list, CERTIFICATES, answer["certificates"].as_array().cloned().unwrap_or_default(), now)?;
    }
    Ok(code)
}

/// What does not hold, and then what nobody knows.
fn failing(conditions: &Value) -> Vec<Value> {
    let of = |key: &'static str, status: &'static str| {
        conditions.as_array().into_iter().flatten().filter_map(move |condition| {
            let clusters = &condition[key];
            let row = json!({
                "type": condition["type"], "status": status, "total": clusters["total"], "names": clusters["names"],
            });
            (clusters["total"].as_u64()? > 0).then_some(row)
        })
    };
    of("false", "False").chain(of("unknown", "Unknown")).collect()
}

fn below(cx: &Cx, args: &ListOutput, columns: &[Column], rows: Vec<Value>, now: Timestamp) -> Result<()> {
    if !rows.is_empty() {
        cx.ui.out("\n")?;
        print(cx, args, columns, &json!({"items": rows}), now, |_| String::new())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resource: &Value, name: &str, unit: &str, expect: &str) {
        assert_eq!(used(resource, name, unit), expect);
    }

    #[test]
    fn amounts_as_people_read_them() {
        let resource = json!({
            "allocatable": {"cpu": "7600m", "memory": "24772864Ki", "pods": "220", "none": "0"},
            "allocated": {"cpu": "3310m", "memory": "384Mi", "none": "0"},
        });
        check(&resource, "cpu", "", "3.3/7.6 (44%)");
        check(&resource, "memory", "Gi", "0.4/23.6Gi (2%)");
        check(&resource, "pods", "", "0/220 (0%)");
        check(&resource, "none", "", "0/0");
        check(&resource, "gpu", "", "-");
    }

    #[test]
    fn names_that_have_no_room_are_counted() {
        assert_eq!(names(&json!({"total": 3, "names": ["a", "b"]})), "a, b, +1");
    }
}
