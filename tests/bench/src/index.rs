//! The fleet's index with a million objects of a hundred clusters: its memory, and how long questions and changes take;
//! and how soon it knows what has changed in a member.
//!
//! The reference is what one would write first: a list of objects with their texts, filtered and sorted for each question.

mod feed;

use std::collections::{BTreeMap, HashSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use api_meta::LabelSelector;
use fleet_index::{Entry, Index, Kind, Order, Query, Reach, Sight};

use crate::measure::shown;
use crate::process::resident;

const CLUSTERS: usize = 100;
/// Of each kind in a cluster.
const KINDS: [(&str, &str, &str, usize); 10] = [
    ("", "pods", "Pod", 3_000),
    ("apps", "replicasets", "ReplicaSet", 1_600),
    ("", "secrets", "Secret", 1_500),
    ("", "configmaps", "ConfigMap", 1_300),
    ("apps", "deployments", "Deployment", 800),
    ("", "services", "Service", 700),
    ("", "serviceaccounts", "ServiceAccount", 500),
    ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", 400),
    ("", "namespaces", "Namespace", 150),
    ("", "nodes", "Node", 50),
];
const NAMESPACES: usize = 150;
const PAGE: usize = 100;
const ROUNDS: usize = 9;
/// As a cluster's changes come.
const CHANGES: usize = 100_000;

/// An object as one would write it.
struct Plain {
    cluster: String,
    kind: &'static str,
    namespace: String,
    name: String,
    created: u32,
    labels: BTreeMap<String, String>,
    images: Vec<String>,
}

/// A tenant sees some namespaces.
struct Tenant(Arc<HashSet<Box<str>>>);

impl Sight for Tenant {
    fn reach(&self, _: &str, kind: &Kind) -> Reach {
        if &*kind.resource == "nodes" { Reach::Nothing } else { Reach::Namespaces(self.0.clone()) }
    }
}

struct Administrator;

impl Sight for Administrator {
    fn reach(&self, _: &str, _: &Kind) -> Reach {
        Reach::Everything
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    tokio::task::block_in_place(million)?;
    feed::run().await
}

fn million() -> anyhow::Result<()> {
    let before = resident(std::process::id())?;
    let started = Instant::now();
    let mut index = Index::default();
    objects(|object| put(&mut index, object));
    let filled = started.elapsed();
    let ours = resident(std::process::id())? - before;
    let count = index.len();
    ensure!(count == 1_000_000, "there are {count} objects");
    println!("{count} objects of {CLUSTERS} clusters, put in {} by one thread", shown(filled));

    let before = resident(std::process::id())?;
    let mut list = Vec::new();
    objects(|object| list.push(object));
    let theirs = resident(std::process::id())? - before;
    println!(
        "memory (promised 700 MiB)            {:>7.0} MiB, {:.0} bytes an object; a plain list {:.0} MiB, x{:.2}",
        ours,
        ours * 1024.0 * 1024.0 / count as f64,
        theirs,
        ours / theirs
    );

    let tenant = Tenant(Arc::new((0..NAMESPACES / 10).map(|number| namespace(number).into()).collect()));
    let selector = LabelSelector::parse("app in (checkout, cart),tier!=back")?;
    let none = Query { limit: PAGE, ..Query::default() };
    let middle = index.query(&Administrator, &Query { limit: 1, text: Some("payments-5"), ..Query::default() });
    let cursor = middle.found.first().map(fleet_index::Found::cursor);
    let pods: &dyn Fn(&Kind) -> bool = &|kind| &*kind.resource == "pods";
    println!("the first page of {PAGE}, the longest of {ROUNDS} times (promised 50 ms; images 100 ms):");
    let orders = [
        ("by name", Order::Name),
        ("by namespace", Order::Namespace),
        ("by cluster", Order::Cluster),
        ("by kind", Order::Kind),
        ("by age", Order::Created),
    ];
    for (what, order) in orders {
        ask(&index, &list, what, &Administrator, &Query { order, ..none_of(&none) })?;
    }
    ask(
        &index,
        &list,
        "by age, the other way",
        &Administrator,
        &Query { order: Order::Created, descending: true, ..none_of(&none) },
    )?;
    ask(&index, &list, "pods", &Administrator, &Query { kinds: Some(pods), ..none_of(&none) })?;
    ask(&index, &list, "a word in names", &Administrator, &Query { text: Some("x7"), ..none_of(&none) })?;
    ask(&index, &list, "three words", &Administrator, &Query { text: Some("cart shop-4 back"), ..none_of(&none) })?;
    ask(&index, &list, "labels", &Administrator, &Query { selector: Some(&selector), ..none_of(&none) })?;
    ask(&index, &list, "an image", &Administrator, &Query { image: Some("cart:1.9."), ..none_of(&none) })?;
    ask(&index, &list, "a page in the middle", &Administrator, &Query { after: cursor.as_ref(), ..none_of(&none) })?;
    ask(&index, &list, "a tenant, by name", &tenant, &none)?;
    ask(&index, &list, "a tenant, a word", &tenant, &Query { text: Some("x7"), ..none_of(&none) })?;

    let started = Instant::now();
    let mut changed = 0;
    objects(|mut object| {
        if changed < CHANGES && object.kind == "Pod" {
            object.labels.insert("changed".into(), "yes".into());
            put(&mut index, object);
            changed += 1;
        }
    });
    let each = started.elapsed() / u32::try_from(CHANGES)?;
    println!("{CHANGES} changes, their making included     {} each", shown_short(each));
    Ok(())
}

/// `Query` holds borrowed questions, and is no `Clone` for it.
fn none_of<'a>(query: &Query<'a>) -> Query<'a> {
    Query { limit: query.limit, ..Query::default() }
}

fn ask(index: &Index, list: &[Plain], what: &str, sight: &dyn Sight, query: &Query<'_>) -> anyhow::Result<()> {
    // What the list of the question before has left behind is the allocator's affair.
    let mut total = index.query(sight, query).total;
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        total = black_box(index.query(sight, query)).total;
        longest = longest.max(started.elapsed());
    }
    let started = Instant::now();
    let plain = plain(list, sight, query);
    let reference = started.elapsed();
    ensure!(plain == total, "{what}: the plain list has {plain} and the index {total}");
    println!(
        "  {what:<26} {:>9} of {total:>7} rows; a plain list {:>9}, x{:.3}",
        shown(longest),
        shown(reference),
        longest.as_secs_f64() / reference.as_secs_f64()
    );
    Ok(())
}

/// The same question to the list. Kinds are told by the caller's sight and nothing else that the list knows.
fn plain(list: &[Plain], sight: &dyn Sight, query: &Query<'_>) -> usize {
    let kinds: BTreeMap<&str, Kind> = KINDS.iter().map(|kind| (kind.2, kind_of(kind))).collect();
    let words: Vec<&str> = query.text.into_iter().flat_map(str::split_whitespace).collect();
    let mut found: Vec<&Plain> = list
        .iter()
        .filter(|object| {
            let kind = &kinds[object.kind];
            let namespace = if object.kind == "Namespace" { &object.name } else { &object.namespace };
            let is_seen = match sight.reach(&object.cluster, kind) {
                Reach::Nothing => false,
                Reach::Everything => true,
                Reach::Namespaces(names) => names.contains(namespace.as_str()),
            };
            let has = |word: &&str| {
                object.name.contains(word)
                    || namespace.contains(word)
                    || object.labels.iter().any(|(key, value)| key.contains(word) || value.contains(word))
                    || object.images.iter().any(|image| image.contains(word))
            };
            is_seen
                && query.kinds.is_none_or(|wanted| wanted(kind))
                && words.iter().all(has)
                && query.selector.is_none_or(|selector| selector.matches_with(|key| object.labels.get(key).cloned()))
                && query.image.is_none_or(|part| object.images.iter().any(|image| image.contains(part)))
        })
        .collect();
    let key = |object: &Plain| (object.name.clone(), object.namespace.clone(), object.cluster.clone());
    match query.order {
        Order::Name => found.sort_by_cached_key(|object| key(object)),
        Order::Namespace => found.sort_by_cached_key(|object| (object.namespace.clone(), key(object))),
        Order::Cluster => found.sort_by_cached_key(|object| (object.cluster.clone(), key(object))),
        Order::Kind => found.sort_by_cached_key(|object| (object.kind, key(object))),
        Order::Created => found.sort_by_cached_key(|object| (object.created, key(object))),
    }
    black_box(&found);
    found.len()
}

fn kind_of((group, resource, kind, _): &(&str, &str, &str, usize)) -> Kind {
    Kind { group: (*group).into(), resource: (*resource).into(), version: "v1".into(), kind: (*kind).into() }
}

fn namespace(number: usize) -> String {
    format!("{}-{number}", ["shop", "payments", "search", "platform"][number % 4])
}

/// The objects of a fleet: most of them have names of their own, and share labels and images with a few others.
fn objects(mut each: impl FnMut(Plain)) {
    const APPS: [&str; 8] = ["checkout", "cart", "catalog", "ledger", "mailer", "gateway", "indexer", "report"];
    for cluster in 0..CLUSTERS {
        for (_, _, kind, count) in KINDS {
            for number in 0..count {
                let mixed = (cluster * 7_919 + number * 104_729) % 1_000_003;
                let app = APPS[mixed % APPS.len()];
                let space = number % NAMESPACES;
                let workload = format!("{app}-{}", number / 4);
                let hash = format!("{:08x}", (mixed / 3) as u32 ^ 0x5bd1_e995);
                let (namespace, name) = match kind {
                    "Namespace" => (String::new(), namespace(space)),
                    "Node" => (String::new(), format!("node-{cluster:03}-{number:04}.example.internal")),
                    "Pod" => (namespace(space), format!("{workload}-{hash}-x{:04x}", mixed % 65_536)),
                    "ReplicaSet" => (namespace(space), format!("{workload}-{hash}-{number}")),
                    _ => (namespace(space), format!("{app}-{}-{number}", kind.to_lowercase())),
                };
                let mut labels = BTreeMap::from([
                    ("app".to_owned(), app.to_owned()),
                    ("tier".to_owned(), ["front", "back"][mixed % 2].to_owned()),
                    ("app.kubernetes.io/instance".to_owned(), workload),
                ]);
                let is_pod = matches!(kind, "Pod" | "ReplicaSet");
                if is_pod {
                    labels.insert("pod-template-hash".to_owned(), hash);
                }
                let runs = is_pod || kind == "Deployment";
                let image = format!(
                    "registry.example.com/{}/{app}:1.{}.{}",
                    ["shop", "base"][mixed % 2],
                    mixed % 20,
                    mixed % 7
                );
                each(Plain {
                    cluster: format!("cluster-{cluster:03}"),
                    kind,
                    namespace,
                    name,
                    created: 1_700_000_000 + (mixed as u32) * 17,
                    labels,
                    images: if runs { vec![image] } else { Vec::new() },
                });
            }
        }
    }
}

fn put(index: &mut Index, object: Plain) {
    let labels: Vec<(&str, &str)> = object.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    let images: Vec<&str> = object.images.iter().map(|image| &**image).collect();
    let Plain { namespace, name, created, .. } = &object;
    let entry = Entry { namespace, name, created: *created, labels: &labels, images: &images };
    if let Some(kind) = KINDS.iter().find(|kind| kind.2 == object.kind) {
        // Its names are short.
        let _ = index.put(&object.cluster, &kind_of(kind), &entry);
    }
}

fn shown_short(time: Duration) -> String {
    format!("{:.2} us", time.as_secs_f64() * 1e6)
}
