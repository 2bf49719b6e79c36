//! Pages of a list: filtered, sorted and cut as the published API has it.
//!
//! A page begins after the last row of the one before, by the order's own key. So what comes and goes in between moves no
//! other row.

use std::cmp::Ordering;

use api_meta::{FieldSelector, LabelSelector};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Refused;
use super::params::Params;

/// The most rows of a page.
const MOST: usize = 1_000;

/// The parameters of a list.
pub(super) const PARAMETERS: [&str; 6] = ["labelSelector", "fieldSelector", "limit", "continue", "sortBy", "filterBy"];

/// The longest cursor.
const CURSOR: usize = 2_048;

/// What is wanted of a list.
pub(super) struct Wanted {
    labels: LabelSelector,
    fields: FieldSelector,
    /// Each field, and the text that has to be in it.
    filters: Vec<(Field, String)>,
    /// Each field, and whether it goes down.
    order: Vec<(Field, bool)>,
    order_text: String,
    limit: usize,
    after: Option<Vec<String>>,
}

/// What a list can be sorted and filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    DisplayName,
    Created,
    Phase,
}

impl Field {
    const ALL: [(&'static str, Self); 4] = [
        ("name", Self::Name),
        ("displayName", Self::DisplayName),
        ("creationTimestamp", Self::Created),
        ("phase", Self::Phase),
    ];

    fn parse(parameter: &str, text: &str) -> Result<Self, Refused> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, field)| field).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            Refused::bad_request(format!("{parameter} has the field {text:?}: there are {names}"))
        })
    }

    fn of(self, object: &Value) -> &str {
        let metadata = &object["metadata"];
        let value = match self {
            Self::Name => &metadata["name"],
            Self::DisplayName => &metadata["annotations"][api_types::tenancy::DISPLAY_NAME],
            Self::Created => &metadata["creationTimestamp"],
            Self::Phase => &object["status"]["phase"],
        };
        value.as_str().unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The order, which a cursor is good for alone.
    by: String,
    /// What the last row had of it, and its name.
    at: Vec<String>,
}

impl Wanted {
    /// Reads the parameters. `fields` are those that `fieldSelector` knows.
    pub(super) fn read(params: &Params, fields: &[&str]) -> Result<Self, Refused> {
        let wrong = |name: &str, error: &dyn ToString| Refused::bad_request(format!("{name}: {}", error.to_string()));
        let labels = params.one("labelSelector")?.unwrap_or_default();
        let labels = LabelSelector::parse(labels).map_err(|error| wrong("labelSelector", &error.0))?;
        let selector = FieldSelector::parse(params.one("fieldSelector")?.unwrap_or_default());
        let selector = selector.map_err(|error| wrong("fieldSelector", &error.0))?;
        if let Some((name, ..)) = selector.terms.iter().find(|(name, ..)| !fields.contains(&&**name)) {
            return Err(wrong("fieldSelector", &format!("{name:?} is not known: there are {}", fields.join(", "))));
        }
        let limit = match params.one("limit")? {
            None => MOST,
            Some(text) => match text.parse::<usize>() {
                Ok(0) => MOST,
                Ok(limit) => limit.min(MOST),
                Err(_) => return Err(wrong("limit", &format!("{text:?} is no number"))),
            },
        };
        let order_text = params.one("sortBy")?.unwrap_or("a,name").to_owned();
        let order = pairs("sortBy", &order_text)?.into_iter().map(|(way, field)| {
            let down = match way {
                "a" => false,
                "d" => true,
                _ => return Err(wrong("sortBy", &format!("{way:?} is no direction: a goes up, d goes down"))),
            };
            Ok((Field::parse("sortBy", field)?, down))
        });
        let order = order.collect::<Result<Vec<_>, _>>()?;
        let filters = pairs("filterBy", params.one("filterBy")?.unwrap_or_default())?.into_iter();
        let filters = filters.map(|(field, text)| Ok((Field::parse("filterBy", field)?, text.to_lowercase())));
        let filters = filters.collect::<Result<Vec<_>, Refused>>()?;
        let after = match params.one("continue")? {
            None => None,
            Some(text) => Some(decode(text, &order_text, order.len() + 1).ok_or_else(|| {
                wrong("continue", &"it is not from a page of this list in this order: begin without it")
            })?),
        };
        Ok(Self { labels, fields: selector, filters, order, order_text, limit, after })
    }

    /// The page, of objects that the caller may see. `field` gives what `fieldSelector` asks for.
    pub(super) fn page<'a>(
        &self,
        objects: impl IntoIterator<Item = &'a Value>,
        field: impl Fn(&Value, &str) -> Option<String>,
    ) -> (Vec<&'a Value>, Value) {
        let mut rows: Vec<(Vec<String>, &Value)> = objects
            .into_iter()
            .filter(|object| self.labels.matches(object["metadata"]["labels"].as_object()))
            .filter(|object| self.fields.matches(|name| field(object, name)))
            .filter(|object| self.filters.iter().all(|(field, text)| field.of(object).to_lowercase().contains(text)))
            .map(|object| (self.key(object), object))
            .filter(|(key, _)| self.after.as_ref().is_none_or(|after| self.compare(key, after) == Ordering::Greater))
            .collect();
        rows.sort_by(|(a, _), (b, _)| self.compare(a, b));
        let left = rows.len().saturating_sub(self.limit);
        rows.truncate(self.limit);
        let mut meta = json!({});
        if let (1.., Some((key, _))) = (left, rows.last()) {
            let cursor = Cursor { by: self.order_text.clone(), at: key.clone() };
            meta["continue"] = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default()).into();
            meta["remainingItemCount"] = left.into();
        }
        (rows.into_iter().map(|(_, object)| object).collect(), meta)
    }

    fn key(&self, object: &Value) -> Vec<String> {
        let fields = self.order.iter().map(|(field, _)| *field).chain([Field::Name]);
        fields.map(|field| field.of(object).to_owned()).collect()
    }

    fn compare(&self, a: &[String], b: &[String]) -> Ordering {
        let ways = self.order.iter().map(|(_, down)| *down).chain([false]);
        a.iter()
            .zip(b)
            .zip(ways)
            .fold(Ordering::Equal, |so_far, ((a, b), down)| so_far.then(if down { b.cmp(a) } else { a.cmp(b) }))
    }
}

/// `a,name,d,creationTimestamp`, as Kubernetes' dashboard has it.
fn pairs<'a>(parameter: &str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, Refused> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = text.split(',').collect();
    if !parts.len().is_multiple_of(2) || parts.len() > 8 {
        return Err(Refused::bad_request(format!(
            "{parameter} is {text:?}: it is one to four pairs, as a,name,d,phase"
        )));
    }
    Ok(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn decode(text: &str, order: &str, len: usize) -> Option<Vec<String>> {
    let bytes = Some(text).filter(|text| text.len() <= CURSOR).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())?;
    let cursor: Cursor = serde_json::from_slice(&bytes).ok()?;
    (cursor.by == order && cursor.at.len() == len).then_some(cursor.at)
}
