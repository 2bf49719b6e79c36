//! `search`: objects of all clusters by words, labels and images, from the platform's index.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use super::listing::{self, Column, column, joined, text, wide};
use crate::args::Search;
use crate::error::{Error, Result};
use crate::http::with_query;
use crate::output::table::harmless;
use crate::text::Text;

const PATH: &str = "/acp/v1/resources/search";
/// How many come at once.
const PAGE: u32 = 500;

const COLUMNS: &[Column] = &[
    column("CLUSTER", |item, _| text(&item["cluster"])),
    column("NAMESPACE", |item, _| text(&item["metadata"]["namespace"])),
    column("KIND", |item, _| kind(item)),
    column("NAME", |item, _| text(&item["metadata"]["name"])),
    column("AGE", |item, clock| clock.distance(&item["metadata"]["creationTimestamp"])),
    wide("IMAGES", |item, _| joined(&item["images"], ",")),
    wide("LABELS", |item, _| labels(&item["metadata"]["labels"])),
];

/// As it is typed: `deployments.apps`.
fn kind(item: &Value) -> String {
    let resource = text(&item["resource"]);
    match item["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
        Some((group, _)) => format!("{resource}.{}", harmless(group)),
        None => resource,
    }
}

/// What `-o name` prints.
fn printed(item: &Value) -> String {
    let namespace = text(&item["metadata"]["namespace"]);
    let namespace = if namespace.is_empty() { namespace } else { format!("{namespace}/") };
    format!("{}/{namespace}{}/{}", text(&item["cluster"]), kind(item), text(&item["metadata"]["name"]))
}

fn labels(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    pairs.map(|(key, value)| format!("{}={}", harmless(key), text(value))).collect::<Vec<_>>().join(",")
}

/// The platform's words for an order; the youngest come first by age.
fn order(word: &str) -> Result<String> {
    let (turned, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
    let (name, down) = match name {
        "name" | "namespace" | "cluster" | "kind" => (name, turned),
        "age" => ("creationTimestamp", !turned),
        _ => return Err(Error::usage(Text::BadOrder { order: word.to_owned() })),
    };
    Ok(format!("{},{name}", if down { "d" } else { "a" }))
}

/// Runs the command.
pub async fn search(cx: &Cx, args: &Search, now: Timestamp) -> Result<i32> {
    let words = args.text.join(" ");
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let mut want = |key, value: &str| {
        if !value.trim().is_empty() {
            pairs.push((key, value.trim().to_owned()));
        }
    };
    want("q", &words);
    // As elsewhere, a group follows the kind after a dot. Groups narrow all kinds, so they are left out when one has none.
    let kinds = args.kind.iter().flat_map(|kinds| kinds.split(','));
    let kinds: Vec<(&str, &str)> = kinds.map(|word| word.split_once('.').unwrap_or((word, ""))).collect();
    kinds.iter().for_each(|(kind, _)| want("kind", kind));
    if kinds.iter().all(|(_, group)| !group.is_empty()) {
        kinds.iter().for_each(|(_, group)| want("group", group));
    }
    for (key, several) in [("cluster", &cx.global.cluster), ("namespace", &cx.global.namespace)] {
        several.iter().flat_map(|names| names.split(',')).for_each(|name| want(key, name));
    }
    for (key, one) in [("project", &args.project), ("label", &args.selector), ("image", &args.image)] {
        want(key, one.as_deref().unwrap_or_default());
    }
    if pairs.is_empty() {
        return Err(Error::usage(Text::SearchForWhat {}));
    }
    if let Some(word) = &args.sort_by {
        pairs.push(("sortBy", order(word)?));
    }
    let endpoint = cx.platform().await?;
    let most = if args.all { usize::MAX } else { args.limit as usize };
    let (mut items, mut next, mut total) = (Vec::new(), String::new(), 0);
    let stale = loop {
        let page = PAGE.min(u32::try_from(most - items.len()).unwrap_or(PAGE)).to_string();
        let mut asked: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        asked.push(("limit", &page));
        if !next.is_empty() {
            asked.push(("continue", &next));
        }
        let mut answer = endpoint.get(with_query(PATH, &asked)).await?;
        let found = answer.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let came = found.len();
        items.extend(found);
        total = answer["total"].as_u64().unwrap_or(total);
        match answer["continue"].as_str() {
            Some(more) if !more.is_empty() && more != next && came > 0 && items.len() < most => next = more.to_owned(),
            // The latest page knows best who is away.
            _ => break answer["staleClusters"].take(),
        }
    };
    items.truncate(most);
    let shown = items.len();
    let mut list = json!({"items": items, "total": total});
    if !stale.is_null() {
        list["staleClusters"] = stale.clone();
    }
    let code = listing::print(cx, &args.list, COLUMNS, &list, now, printed)?;
    listing::warn_of_stale(cx, &stale);
    if !args.all && total > shown as u64 {
        cx.ui.note(&Text::MoreFound { shown: shown.to_string(), total: total.to_string() });
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        for (word, expect) in [
            ("name", Some("a,name")),
            ("-cluster", Some("d,cluster")),
            ("age", Some("d,creationTimestamp")),
            ("-age", Some("a,creationTimestamp")),
            ("", None),
            ("--name", None),
            ("size", None),
        ] {
            assert_eq!(order(word).ok().as_deref(), expect, "{word}");
        }
    }

    #[test]
    fn what_a_cluster_says_of_its_objects_is_harmless() {
        let item = json!({"resource": "x\u{1b}", "apiVersion": "g\n/v1", "labels": {"a\u{9b}": "b\r"}});
        assert_eq!(kind(&item), "x^[.g\\n");
        assert_eq!(labels(&item["labels"]), "a\\u{9b}=b\\r");
        assert_eq!(kind(&json!({"resource": "pods", "apiVersion": "v1"})), "pods");
    }
}
