//! `GET /acp/v1/resources/search`: what there is in all clusters, as far as the caller may list it there.
//!
//! Answers come from the fleet's index, and rights from what is known of each cluster; no cluster is asked. So an answer is
//! as old as what was last heard of a cluster, and clusters of which nothing is heard now are named.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ::tenancy::api::Service;
use ::tenancy::rights::Person;
use api_meta::LabelSelector;
use api_rbac::Namespaces;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleet::{Body, FeedState, Freshness, Inventory};
use fleet_index::{Cursor, Found, Kind, Order, Query, Reach, Sight};
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chain::{Chain, Who, get_only};
use crate::respond::{Refusal, answer as json_answer};

/// Rows of a page, when nothing is said, and at most.
const LIMITS: (usize, usize) = (100, 1_000);

/// The longest cursor: that of two names as long as names can be.
const CURSOR: usize = 8 * 1024;

/// The longest text that is looked for.
const TEXT: usize = 256;

/// Kinds, clusters or namespaces that are named in one request.
const NAMED: usize = 256;

pub(crate) async fn answer(
    chain: &Chain,
    who: &Who,
    request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if path != "/acp/v1/resources/search" {
        return Err(Refusal::not_found());
    }
    get_only(request.method())?;
    let wanted = Wanted::parse(request.uri().query().unwrap_or_default())?;
    let sight = (chain.hub.tenancy.clone(), who.person()?, who.clusters());
    let inventory = chain.hub.fleet.index().clone();
    // A walk over a million rows would hold up what others do on this thread.
    let found = tokio::task::spawn_blocking(move || {
        let (service, person, clusters) = sight;
        search(&inventory, &Seeing { service: &service, person, clusters, met: RefCell::default() }, &wanted)
    });
    match found.await {
        Ok(found) => Ok(json_answer(StatusCode::OK, &found)),
        Err(_) => Err(Refusal::internal()),
    }
}

fn search(inventory: &Inventory, sight: &Seeing<'_>, wanted: &Wanted) -> Value {
    let index = inventory.read();
    let among = |set: &BTreeSet<String>, text: &str| set.is_empty() || set.contains(text);
    let kinds = |kind: &Kind| {
        let named = |name: &String| name.eq_ignore_ascii_case(&kind.kind) || **name == *kind.resource;
        (wanted.kinds.is_empty() || wanted.kinds.iter().any(named)) && among(&wanted.groups, &kind.group)
    };
    let clusters = |cluster: &str| among(&wanted.clusters, cluster);
    let namespaces = |namespace: &str| among(&wanted.namespaces, namespace);
    let query = Query {
        kinds: Some(&kinds),
        clusters: Some(&clusters),
        namespaces: (!wanted.namespaces.is_empty()).then_some(&namespaces),
        project: wanted.project.as_deref(),
        selector: wanted.labels.as_ref(),
        image: wanted.image.as_deref(),
        text: wanted.text.as_deref(),
        order: wanted.order,
        descending: wanted.descending,
        after: wanted.after.as_ref(),
        limit: wanted.limit,
    };
    let found = index.query(sight, &query);
    let items: Vec<Value> = found.found.iter().map(row).collect();
    let counts = found.counts.iter().map(|count| {
        json!({"cluster": count.cluster, "group": count.kind.group, "resource": count.kind.resource, "count": count.count})
    });
    let counts: Vec<Value> = counts.collect();
    let mut said = json!({"items": items, "total": found.total, "counts": counts});
    if let Some(last) = found.found.last().filter(|_| found.more) {
        said["continue"] = Place::of(&last.cursor(), &wanted.order_text).encode().into();
    }
    drop(index);
    let stale = inventory.freshnesses().into_iter().filter(|(_, freshness)| !is_followed(freshness));
    let stale = stale.filter(|(cluster, _)| clusters(cluster) && sight.is_in(cluster));
    let stale: Vec<Value> = stale.map(|(cluster, known)| stale_cluster(&cluster, known.as_of)).collect();
    if !stale.is_empty() {
        said["staleClusters"] = stale.into();
    }
    said
}

/// Whether what is known of a cluster is what it says now, as far as it lets itself be listed.
fn is_followed(known: &Freshness) -> bool {
    matches!(known.state, FeedState::Following | FeedState::Incomplete(_))
}

/// A cluster whose objects are known as of a time, or never were as a whole.
fn stale_cluster(name: &str, as_of: Option<Timestamp>) -> Value {
    match as_of {
        Some(since) => json!({"name": name, "since": since}),
        None => json!({"name": name}),
    }
}

fn row(found: &Found<'_>) -> Value {
    let Found { cluster, kind, namespace, name, created, labels, images } = found;
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let version =
        if kind.group.is_empty() { kind.version.to_string() } else { format!("{}/{}", kind.group, kind.version) };
    let mut metadata = json!({
        "name": name, "labels": labels, "creationTimestamp": Timestamp::from_second(i64::from(*created)).ok(),
    });
    if !namespace.is_empty() {
        metadata["namespace"] = (*namespace).into();
    }
    json!({
        "cluster": cluster, "apiVersion": version, "kind": kind.kind, "resource": kind.resource, "metadata": metadata,
        "images": images,
    })
}

/// What somebody sees: what they may list.
struct Seeing<'a> {
    service: &'a Service,
    person: Arc<Person>,
    /// Those that the token is good for.
    clusters: Option<Vec<String>>,
    met: RefCell<HashMap<String, Met>>,
}

/// What is known of the caller in one cluster.
#[derive(Default)]
struct Met {
    rights: Option<Arc<api_rbac::Rights>>,
    /// Many kinds are seen in the same namespaces.
    last: Option<(Namespaces, Arc<HashSet<Box<str>>>)>,
}

impl Seeing<'_> {
    fn has(&self, cluster: &str) -> bool {
        self.clusters.as_ref().is_none_or(|clusters| clusters.iter().any(|one| one == cluster))
    }

    /// Whether they see anything that every cluster has.
    fn is_in(&self, cluster: &str) -> bool {
        let listed = |resource| !self.service.rights().listable(&self.person, cluster, "", resource).is_empty();
        self.has(cluster) && (listed("namespaces") || listed("pods"))
    }
}

impl Sight for Seeing<'_> {
    fn reach(&self, cluster: &str, kind: &Kind) -> Reach {
        if !self.has(cluster) {
            return Reach::Nothing;
        }
        let mut met = self.met.borrow_mut();
        let met = met
            .entry(cluster.to_owned())
            .or_insert_with(|| Met { rights: self.service.rights().of(&self.person, cluster), last: None });
        let Some(rights) = &met.rights else { return Reach::Nothing };
        let listable = rights.namespaces_where("list", &kind.group, &kind.resource);
        let Namespaces::These(these) = &listable else { return Reach::Everything };
        if these.is_empty() {
            return Reach::Nothing;
        }
        match &met.last {
            Some((before, set)) if *before == listable => Reach::Namespaces(set.clone()),
            _ => {
                let set: Arc<HashSet<Box<str>>> = Arc::new(these.iter().map(|name| Box::from(&**name)).collect());
                met.last = Some((listable, set.clone()));
                Reach::Namespaces(set)
            }
        }
    }
}

/// What is asked.
#[derive(Debug, Default)]
struct Wanted {
    kinds: BTreeSet<String>,
    groups: BTreeSet<String>,
    clusters: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    project: Option<String>,
    labels: Option<LabelSelector>,
    image: Option<String>,
    text: Option<String>,
    order: Order,
    descending: bool,
    order_text: String,
    limit: usize,
    after: Option<Cursor>,
}

const PARAMETERS: &str = "q, kind, group, cluster, project, namespace, label, image, sortBy, limit and continue";

impl Wanted {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut wanted = Self { limit: LIMITS.0, order_text: "a,name".to_owned(), ..Self::default() };
        let (mut seen, mut after) = (HashSet::new(), None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let several = matches!(&*name, "kind" | "group" | "cluster" | "namespace");
            if !seen.insert(name.clone().into_owned()) && !several {
                return Err(Refusal::bad_request(format!("{name} is given more than once: give it once")));
            }
            let text = |most: usize| match value.len() <= most {
                true => Ok(value.clone().into_owned()),
                false => Err(Refusal::bad_request(format!("{name} is longer than {most} bytes"))),
            };
            let set = match &*name {
                "kind" => &mut wanted.kinds,
                "group" => &mut wanted.groups,
                "cluster" => &mut wanted.clusters,
                "namespace" => &mut wanted.namespaces,
                "q" => {
                    wanted.text = Some(text(TEXT)?).filter(|text| !text.is_empty());
                    continue;
                }
                "project" => {
                    wanted.project = Some(text(TEXT)?).filter(|text| !text.is_empty());
                    continue;
                }
                "image" => {
                    wanted.image = Some(text(TEXT)?).filter(|text| !text.is_empty());
                    continue;
                }
                "label" => {
                    let selector = LabelSelector::parse(&text(16 * TEXT)?);
                    wanted.labels =
                        Some(selector.map_err(|error| Refusal::bad_request(format!("label: {}", error.0)))?);
                    continue;
                }
                "sortBy" => {
                    (wanted.order, wanted.descending) = order(&value)?;
                    wanted.order_text = value.into_owned();
                    continue;
                }
                "limit" => {
                    let limit = value.parse::<usize>();
                    let limit = limit.map_err(|_| Refusal::bad_request(format!("limit: {value:?} is no number")))?;
                    wanted.limit = if limit == 0 { LIMITS.0 } else { limit.min(LIMITS.1) };
                    continue;
                }
                "continue" => {
                    after = Some(value.into_owned()).filter(|text| !text.is_empty());
                    continue;
                }
                _ => {
                    return Err(Refusal::bad_request(format!(
                        "there is no parameter {name:?}: there are {PARAMETERS}"
                    )));
                }
            };
            set.insert(text(TEXT)?);
            if set.len() > NAMED {
                return Err(Refusal::bad_request(format!("{name} is given more than {NAMED} times: ask twice")));
            }
        }
        if let Some(text) = after {
            let place = Place::decode(&text).filter(|place| place.by == wanted.order_text);
            let place = place
                .ok_or_else(|| Refusal::bad_request("continue is not from a page in this order: begin without it"))?;
            wanted.after = Some(place.cursor());
        }
        Ok(wanted)
    }
}

/// `a,name` or `d,creationTimestamp`, as in other lists.
fn order(text: &str) -> Result<(Order, bool), Refusal> {
    let ways = "a or d, a comma, and name, namespace, cluster, kind or creationTimestamp";
    let wrong = || Refusal::bad_request(format!("sortBy is {text:?}: it is {ways}"));
    let (way, field) = text.split_once(',').ok_or_else(wrong)?;
    let order = match field {
        "name" => Order::Name,
        "namespace" => Order::Namespace,
        "cluster" => Order::Cluster,
        "kind" => Order::Kind,
        "creationTimestamp" => Order::Created,
        _ => return Err(wrong()),
    };
    match way {
        "a" => Ok((order, false)),
        "d" => Ok((order, true)),
        _ => Err(wrong()),
    }
}

/// A cursor as clients carry it. It says where a page ended and allows nothing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The order, which it is good for alone.
    by: String,
    created: u32,
    name: String,
    namespace: String,
    cluster: String,
    kind: [String; 4],
}

impl Place {
    fn of(cursor: &Cursor, by: &str) -> Self {
        let Cursor { created, name, namespace, cluster, kind } = cursor.clone();
        let kind = [kind.group, kind.resource, kind.version, kind.kind].map(String::from);
        Self { by: by.to_owned(), created, name, namespace, cluster, kind }
    }

    fn cursor(self) -> Cursor {
        let Self { created, name, namespace, cluster, kind, .. } = self;
        let [group, resource, version, kind] = kind.map(String::into_boxed_str);
        Cursor { created, name, namespace, cluster, kind: Kind { group, resource, version, kind } }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= CURSOR)?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
