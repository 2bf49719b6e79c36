//! Against a list of objects, filtered and sorted the plain way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use api_meta::LabelSelector;
use proptest::prelude::*;

use crate::{Answer, Cursor, Entry, Found, Index, Kind, Limits, Order, Query, Reach, Refused, Sight};

fn kind(group: &str, resource: &str, kind: &str) -> Kind {
    Kind { group: group.into(), resource: resource.into(), version: "v1".into(), kind: kind.into() }
}

fn pods() -> Kind {
    kind("", "pods", "Pod")
}

fn namespaces() -> Kind {
    kind("", "namespaces", "Namespace")
}

struct All;

impl Sight for All {
    fn reach(&self, _: &str, _: &Kind) -> Reach {
        Reach::Everything
    }
}

/// Only what is in these namespaces, of every cluster but one.
struct Few {
    namespaces: Vec<&'static str>,
    not: &'static str,
}

impl Sight for Few {
    fn reach(&self, cluster: &str, _: &Kind) -> Reach {
        match cluster == self.not {
            true => Reach::Nothing,
            false => {
                Reach::Namespaces(Arc::new(self.namespaces.iter().map(|&name| name.into()).collect::<HashSet<_>>()))
            }
        }
    }
}

fn put(index: &mut Index, cluster: &str, kind: &Kind, namespace: &str, name: &str, labels: &[(&str, &str)]) {
    index.put(cluster, kind, &Entry { namespace, name, created: 7, labels, images: &[] }).unwrap();
}

fn names(answer: &Answer<'_>) -> Vec<String> {
    answer.found.iter().map(|found| format!("{}/{}/{}", found.cluster, found.namespace, found.name)).collect()
}

fn ask<'a>(index: &'a Index, query: Query<'_>) -> Answer<'a> {
    index.query(&All, &Query { limit: 100, ..query })
}

#[test]
fn a_project_is_its_namespaces_and_what_is_in_them() {
    let mut index = Index::default();
    for cluster in ["a", "b"] {
        put(&mut index, cluster, &namespaces(), "", "shop", &[("cpaas.io/project", "shop")]);
        put(&mut index, cluster, &namespaces(), "", "other", &[("cpaas.io/project", "shopping")]);
        put(&mut index, cluster, &kind("", "nodes", "Node"), "", "shop", &[]);
        put(&mut index, cluster, &pods(), "shop", "web", &[]);
        put(&mut index, cluster, &pods(), "other", "web", &[]);
    }
    // A namespace of that name in a cluster where it is somebody else's.
    put(&mut index, "c", &namespaces(), "", "shop", &[]);
    put(&mut index, "c", &pods(), "shop", "web", &[]);
    let answer = ask(&index, Query { project: Some("shop"), ..Query::default() });
    assert_eq!(names(&answer), ["a//shop", "b//shop", "a/shop/web", "b/shop/web"]);
    assert_eq!(answer.total, 4);
}

#[test]
fn case_50_what_is_not_seen_is_not_counted_either() {
    let mut index = Index::default();
    for cluster in ["a", "b"] {
        for namespace in ["mine", "theirs"] {
            put(&mut index, cluster, &namespaces(), "", namespace, &[]);
            put(&mut index, cluster, &pods(), namespace, "web", &[("app", "web")]);
        }
        put(&mut index, cluster, &kind("", "nodes", "Node"), "", "mine", &[]);
    }
    let sight = Few { namespaces: vec!["mine", "", "none"], not: "b" };
    let answer = index.query(&sight, &Query { limit: 10, ..Query::default() });
    assert_eq!(names(&answer), ["a//mine", "a/mine/web"]);
    assert_eq!(answer.total, 2);
    assert_eq!(answer.counts.iter().map(|count| count.count).sum::<usize>(), 2);
    let answer = index.query(&sight, &Query { limit: 0, text: Some("theirs"), ..Query::default() });
    assert_eq!((answer.total, answer.more, answer.counts.len()), (0, false, 0));
}

#[test]
fn words_are_found_wherever_they_are() {
    let mut index = Index::default();
    let entry = |name, namespace, labels, images| Entry { namespace, name, created: 1, labels, images };
    index.put("a", &pods(), &entry("web-1", "shop", &[("tier", "Front")], &["r/nginx:1.27"])).unwrap();
    index.put("a", &pods(), &entry("db-1", "shop", &[], &["r/Postgres:17"])).unwrap();
    index.put("a", &kind("rbac.authorization.k8s.io", "roles", "Role"), &entry("Admin-X", "ops", &[], &[])).unwrap();
    let check = |text, expect: &[&str]| {
        assert_eq!(names(&ask(&index, Query { text: Some(text), ..Query::default() })), expect, "{text}");
    };
    check("shop", &["a/shop/db-1", "a/shop/web-1"]);
    check("  shop NGINX ", &["a/shop/web-1"]);
    check("front", &["a/shop/web-1"]);
    check("tier=front", &["a/shop/web-1"]);
    check("postgres", &["a/shop/db-1"]);
    check("admin-x", &["a/ops/Admin-X"]);
    check("shop ops", &[]);
    check("", &["a/ops/Admin-X", "a/shop/db-1", "a/shop/web-1"]);
    let images = ask(&index, Query { image: Some("nginx"), ..Query::default() });
    assert_eq!(images.found[0].images, ["r/nginx:1.27"]);
    assert_eq!(images.total, 1);
}

#[test]
fn a_new_listing_ends_what_it_does_not_meet() {
    let mut index = Index::default();
    put(&mut index, "a", &pods(), "x", "old", &[("k", "v")]);
    put(&mut index, "a", &pods(), "x", "kept", &[("k", "v")]);
    index.begin("a", &pods()).unwrap();
    put(&mut index, "a", &pods(), "x", "new", &[]);
    assert_eq!(index.len(), 3, "what was there stays until the listing is over");
    // It broke off, and begins again.
    index.begin("a", &pods()).unwrap();
    put(&mut index, "a", &pods(), "x", "kept", &[("k", "w")]);
    index.finish("a", &pods());
    assert_eq!(names(&ask(&index, Query::default())), ["a/x/kept"]);
    assert_eq!(ask(&index, Query::default()).found[0].labels, [("k", "w")]);
    index.retain("a", |_| false);
    assert!(index.is_empty());
}

#[test]
fn a_name_that_nothing_has_is_refused() {
    let mut index = Index::default();
    let name = "x".repeat(70_000);
    let entry = Entry { namespace: "n", name: &name, created: 0, labels: &[], images: &[] };
    assert!(index.put("a", &pods(), &entry).is_err());
    assert!(index.is_empty());
}

/// An object of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Model {
    created: u32,
    labels: BTreeMap<String, String>,
    image: Option<String>,
}

/// Cluster, kind, namespace, name.
type Key = (usize, usize, usize, String);

#[derive(Clone, Debug)]
enum Step {
    Put(Key, Model),
    Remove(Key),
    /// A new listing of a kind in a cluster that meets these.
    List(usize, usize, Vec<(usize, String, Model)>),
    Forget(usize),
}

const CLUSTERS: [&str; 3] = ["eu-1", "eu-2", "us-1"];
const SPACES: [&str; 4] = ["ops", "shop", "shop-a", "zoo"];

fn kinds() -> [Kind; 3] {
    [pods(), kind("apps", "deployments", "Deployment"), kind("", "nodes", "Node")]
}

fn space(kind: usize, namespace: usize) -> &'static str {
    if kind == 2 { "" } else { SPACES[namespace] }
}

prop_compose! {
    fn key()(cluster in 0..3usize, kind in 0..3usize, namespace in 0..4usize, name in "[ab-]{1,10}") -> Key {
        (cluster, kind, if kind == 2 { 0 } else { namespace }, name)
    }
}

prop_compose! {
    fn model()(
        created in 0..5u32,
        labels in prop::collection::btree_map("[ab]", "[xy]{0,2}", 0..3),
        image in prop::option::of("r/[ab]{1,2}:[12]"),
    ) -> Model {
        Model { created, labels, image }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let listed = prop::collection::vec((0..4usize, "[ab-]{1,10}", model()), 0..6);
    prop_oneof![
        8 => (key(), model()).prop_map(|(key, model)| Step::Put(key, model)),
        3 => key().prop_map(Step::Remove),
        1 => (0..3usize, 0..3usize, listed).prop_map(|(cluster, kind, listed)| Step::List(cluster, kind, listed)),
        1 => (0..3usize).prop_map(Step::Forget),
    ]
}

fn insert(index: &mut Index, (cluster, kind, namespace, name): &Key, model: &Model) {
    let labels: Vec<_> = model.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    let images: Vec<_> = model.image.iter().map(|image| &**image).collect();
    let namespace = space(*kind, *namespace);
    let entry = Entry { namespace, name, created: model.created, labels: &labels, images: &images };
    index.put(CLUSTERS[*cluster], &kinds()[*kind], &entry).unwrap();
}

fn apply(index: &mut Index, objects: &mut BTreeMap<Key, Model>, step: &Step) {
    match step {
        Step::Put(key, model) => {
            insert(index, key, model);
            objects.insert(key.clone(), model.clone());
        }
        Step::Remove(key) => {
            index.remove(CLUSTERS[key.0], &kinds()[key.1], space(key.1, key.2), &key.3);
            objects.remove(key);
        }
        Step::List(cluster, kind, listed) => {
            index.begin(CLUSTERS[*cluster], &kinds()[*kind]).unwrap();
            objects.retain(|key, _| (key.0, key.1) != (*cluster, *kind));
            for (namespace, name, model) in listed {
                let key = (*cluster, *kind, if *kind == 2 { 0 } else { *namespace }, name.clone());
                insert(index, &key, model);
                objects.insert(key, model.clone());
            }
            index.finish(CLUSTERS[*cluster], &kinds()[*kind]);
        }
        Step::Forget(cluster) => {
            index.forget(CLUSTERS[*cluster]);
            objects.retain(|key, _| key.0 != *cluster);
        }
    }
}

/// The order of the whole, the plain way.
fn compare(order: Order, a: &Found<'_>, b: &Found<'_>) -> Ordering {
    let first = match order {
        Order::Name => Ordering::Equal,
        Order::Namespace => a.namespace.cmp(b.namespace),
        Order::Cluster => a.cluster.cmp(b.cluster),
        Order::Kind => a.kind.kind.cmp(&b.kind.kind),
        Order::Created => a.created.cmp(&b.created),
    };
    let rest = |found: &Found<'_>| (found.name.to_owned(), found.namespace.to_owned(), found.cluster.to_owned());
    first.then_with(|| rest(a).cmp(&rest(b))).then_with(|| a.kind.kind.cmp(&b.kind.kind))
}

#[test]
fn case_28_no_cluster_takes_more_than_its_room() {
    let mut index = Index::with_limits(Limits { cluster: 1000, all: 1500 });
    let fill = |index: &mut Index, cluster: &str| {
        (0..100).find_map(|number| {
            let name = number.to_string();
            let labels = [("key", name.as_str())];
            let entry = Entry { namespace: "n", name: &name, created: 7, labels: &labels, images: &[] };
            index.put(cluster, &pods(), &entry).err().map(|why| (number, why))
        })
    };
    assert_eq!(fill(&mut index, "a"), Some((9, Refused::Full)));
    assert_eq!(fill(&mut index, "b"), Some((5, Refused::Full)), "there is no more room for all");
    assert_eq!(fill(&mut index, "a"), Some((0, Refused::Full)));
    index.forget("a");
    assert_eq!(fill(&mut index, "b"), Some((9, Refused::Full)), "there is, and what is put again takes its place");
    index.forget("b");
    assert_eq!(index.weight, 0);
}

#[test]
fn case_28_kinds_that_are_gone_leave_room_for_others() {
    let mut index = Index::default();
    for round in 0..3 {
        for number in 0..30_000 {
            index.begin("a", &kind("example.com", &format!("k{round}-{number}"), "K")).unwrap();
        }
        index.retain("a", |_| false);
    }
    let kinds = (0..70_000).map(|number| kind("example.com", &format!("k{number}"), "K"));
    assert_eq!(kinds.map(|kind| index.begin("a", &kind)).find_map(Result::err), Some(Refused::Kinds));
}

proptest! {
    #[test]
    fn answers_are_those_of_a_plain_list(
        steps in prop::collection::vec(step(), 1..80),
        order in prop_oneof![
            Just(Order::Name), Just(Order::Namespace), Just(Order::Cluster), Just(Order::Kind), Just(Order::Created)
        ],
        descending: bool,
        limit in 1..5usize,
        text in prop::option::of("[abx1]{1,2}"),
        selector in prop::option::of(prop_oneof![Just("a"), Just("!a"), Just("a=x"), Just("b!=y")]),
        image in prop::option::of("[ab]"),
        only in prop::option::of(0..4usize),
    ) {
        let (mut index, mut objects) = (Index::default(), BTreeMap::new());
        for step in &steps {
            apply(&mut index, &mut objects, step);
        }
        prop_assert_eq!(index.len(), objects.len());
        let selector = selector.map(|text| LabelSelector::parse(text).unwrap());
        let in_space = |name: &str| only.is_none_or(|only| name == SPACES[only]);
        let all_kinds = kinds();
        let mut expect: Vec<Found<'_>> = objects
            .iter()
            .map(|((cluster, kind, namespace, name), model)| Found {
                cluster: CLUSTERS[*cluster],
                kind: &all_kinds[*kind],
                namespace: space(*kind, *namespace),
                name,
                created: model.created,
                labels: model.labels.iter().map(|(key, value)| (&**key, &**value)).collect(),
                images: model.image.iter().map(|image| &**image).collect(),
            })
            .filter(|found| in_space(found.namespace))
            .filter(|found| selector.as_ref().is_none_or(|selector| selector.matches_with(|key| {
                found.labels.iter().find(|(other, _)| *other == key).map(|(_, value)| (*value).to_owned())
            })))
            .filter(|found| image.as_ref().is_none_or(|part| found.images.iter().any(|image| image.contains(part))))
            .filter(|found| text.as_ref().is_none_or(|text| {
                found.name.contains(text)
                    || found.namespace.contains(text)
                    || found.images.iter().any(|image| image.contains(text))
                    || found.labels.iter().any(|(key, value)| format!("{key}={value}").contains(text))
            }))
            .collect();
        expect.sort_by(|a, b| if descending { compare(order, b, a) } else { compare(order, a, b) });

        let mut cursor: Option<Cursor> = None;
        let mut got = Vec::new();
        loop {
            let answer = index.query(&All, &Query {
                namespaces: Some(&in_space),
                selector: selector.as_ref(),
                image: image.as_deref(),
                text: text.as_deref(),
                order,
                descending,
                after: cursor.as_ref(),
                limit,
                ..Query::default()
            });
            prop_assert_eq!(answer.total, expect.len());
            prop_assert!(answer.found.len() <= limit);
            cursor = answer.found.last().map(Found::cursor);
            got.extend(answer.found);
            if !answer.more {
                break;
            }
        }
        for found in got.iter_mut().chain(&mut expect) {
            found.labels.sort_unstable();
        }
        prop_assert_eq!(got, expect);
    }

    #[test]
    fn nothing_is_left_of_what_is_forgotten(steps in prop::collection::vec(step(), 1..60)) {
        let (mut index, mut objects) = (Index::default(), BTreeMap::new());
        for step in &steps {
            apply(&mut index, &mut objects, step);
        }
        for cluster in CLUSTERS {
            index.forget(cluster);
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(index.namespaces.iter().count(), 0);
        prop_assert_eq!(index.labels.texts.iter().count(), 0);
        prop_assert_eq!(index.images.texts.iter().count(), 0);
        prop_assert_eq!(index.weight, 0);
        prop_assert_eq!(index.numbers.len(), 0);
    }
}
