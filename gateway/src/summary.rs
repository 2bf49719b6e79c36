//! `GET /platform/fleet.cpaas.io/v1/summary`: the fleet in few numbers, of those clusters whose objects the caller may read.

use api_meta::{LabelSelector, Requirement};
use fleet::{Body, FleetSummary};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::chain::{Chain, Who};
use crate::clusters::readable;
use crate::respond::{Refusal, answer};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    kind: &'static str,
    api_version: &'static str,
    #[serde(flatten)]
    fleet: FleetSummary,
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    selector: LabelSelector,
    group_by: Option<String>,
}

impl Query {
    fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "labelSelector" => {
                    let bad = |error| Refusal::bad_request(format!("labelSelector {value:?} cannot be read: {error}"));
                    read.selector.requirements.extend(LabelSelector::parse(&value).map_err(bad)?.requirements);
                }
                "groupBy" if read.group_by.is_some() => {
                    return Err(Refusal::bad_request("groupBy is one key of a label, and was given twice"));
                }
                "groupBy" if is_key(&value) => read.group_by = Some(value.into_owned()),
                "groupBy" => {
                    return Err(Refusal::bad_request(format!(
                        "groupBy {value:?} is no key of a label, such as \"region\" or \"example.com/region\""
                    )));
                }
                other => {
                    return Err(Refusal::bad_request(format!(
                        "{other:?} is no parameter: there are labelSelector and groupBy"
                    )));
                }
            }
        }
        Ok(read)
    }
}

/// A selector that is a key alone asks whether there is such a label.
fn is_key(text: &str) -> bool {
    let parsed = LabelSelector::parse(text).map(|selector| selector.requirements);
    matches!(parsed.as_deref(), Ok([Requirement::Exists(key)]) if key == text)
}

pub(crate) async fn summary(chain: &Chain, who: &Who, query: Option<&str>) -> Result<Response<Body>, Refusal> {
    let Query { selector, group_by } = Query::read(query)?;
    let clusters = readable(chain, &who.caller()?).await?;
    let fleet = FleetSummary::of(&clusters, &selector, group_by.as_deref());
    Ok(answer(StatusCode::OK, &Summary { kind: "FleetSummary", api_version: "fleet.cpaas.io/v1", fleet }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expect: Result<(usize, Option<&str>), &str>) {
        let read = Query::read(Some(query));
        match (read, expect) {
            (Ok(read), Ok(expect)) => {
                assert_eq!((read.selector.requirements.len(), read.group_by.as_deref()), expect, "{query}");
            }
            (Err(refusal), Err(part)) => {
                assert_eq!(refusal.code, StatusCode::BAD_REQUEST);
                assert!(format!("{refusal:?}").contains(part), "{query}: {refusal:?}");
            }
            (read, _) => panic!("{query}: {read:?}"),
        }
    }

    #[test]
    fn what_may_be_asked() {
        check("", Ok((0, None)));
        check("labelSelector=region%3Deu%2C!old&groupBy=example.com%2Ftier", Ok((2, Some("example.com/tier"))));
    }

    #[test]
    fn what_may_not() {
        check("labelSelector=a%3D%3D%3Db", Err("labelSelector"));
        check("groupBy=", Err("is no key of a label"));
        check("groupBy=a%3Db", Err("is no key of a label"));
        check("groupBy=a&groupBy=b", Err("twice"));
        check("limit=1", Err("there are labelSelector and groupBy"));
    }
}
