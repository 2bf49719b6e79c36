//! A reader of feeds, and clusters whose answers are made up.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fleet_inventory::Feed;
use futures::{Stream, StreamExt};
use http::{Response, StatusCode};
use lib_kubernetes::{Body, ClusterApi, collect, full};
use tokio::time::timeout;
use tunnel_protocol::inventory::{Decoder, Gone, Kind, Line, Object};

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What a feed has told, kept the plain way.
pub(crate) struct Told {
    lines: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    decoder: Decoder,
    kinds: BTreeMap<u16, Kind>,
    /// Those whose listing is over.
    whole: BTreeSet<u16>,
    pub(crate) objects: BTreeMap<(u16, String, String), Object>,
    /// Of a kind that is being listed, what was not put again.
    old: BTreeMap<u16, BTreeSet<(u16, String, String)>>,
    pub(crate) listings: BTreeMap<String, usize>,
    pub(crate) lost: BTreeMap<String, String>,
    pub(crate) beats: usize,
    is_served: bool,
}

impl Told {
    pub(crate) fn new(feed: Feed) -> Self {
        Self {
            lines: Box::pin(feed.into_lines()),
            decoder: Decoder::default(),
            kinds: BTreeMap::new(),
            whole: BTreeSet::new(),
            objects: BTreeMap::new(),
            old: BTreeMap::new(),
            listings: BTreeMap::new(),
            lost: BTreeMap::new(),
            beats: 0,
            is_served: false,
        }
    }

    /// Reads on until something holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let read = async {
            while !holds(self) {
                self.read().await;
            }
        };
        let held = timeout(SOON, read).await;
        assert!(held.is_ok(), "{what}; lost: {:?}, kinds: {}", self.lost, self.kinds.len());
    }

    /// Takes one piece.
    pub(crate) async fn read(&mut self) {
        let piece = self.lines.next().await.unwrap();
        for line in self.decoder.push(&piece).unwrap() {
            self.take(line);
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Begin(kind) => {
                let number = kind.number;
                *self.listings.entry(kind.resource.clone()).or_default() += 1;
                self.whole.remove(&number);
                self.old.insert(number, self.objects.keys().filter(|key| key.0 == number).cloned().collect());
                self.kinds.insert(number, kind);
            }
            Line::Put(object) => {
                assert!(self.kinds.contains_key(&object.kind), "an object of an unknown kind");
                let key = (object.kind, object.namespace.clone(), object.name.clone());
                if let Some(old) = self.old.get_mut(&object.kind) {
                    old.remove(&key);
                }
                self.objects.insert(key, object);
            }
            Line::Drop(Gone { kind, namespace, name }) => drop(self.objects.remove(&(kind, namespace, name))),
            Line::End(listed) => {
                for key in self.old.remove(&listed.kind).expect("a listing that began") {
                    self.objects.remove(&key);
                }
                self.whole.insert(listed.kind);
                self.lost.remove(&self.kinds[&listed.kind].resource);
            }
            Line::Kinds(kinds) => {
                let kept: BTreeSet<u16> = kinds.kinds.into_iter().collect();
                self.kinds.retain(|kind, _| kept.contains(kind));
                self.objects.retain(|key, _| kept.contains(&key.0));
                self.is_served = true;
            }
            Line::Lost(lost) => drop(self.lost.insert(self.kinds[&lost.kind].resource.clone(), lost.why)),
            Line::Beat {} => self.beats += 1,
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_served && self.kinds.keys().all(|kind| self.whole.contains(kind))
    }

    pub(crate) fn serves(&self, resource: &str) -> bool {
        self.kinds.values().any(|kind| kind.resource == resource)
    }

    pub(crate) fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<&Object> {
        let (number, _) = self.kinds.iter().find(|(_, kind)| kind.resource == resource)?;
        self.objects.get(&(*number, namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn count(&self, resource: &str) -> usize {
        self.objects.keys().filter(|key| self.kinds.get(&key.0).is_some_and(|kind| kind.resource == resource)).count()
    }
}

/// The paths that were asked for.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

pub(crate) fn count(asked: &Asked, part: &str) -> usize {
    asked.lock().unwrap().iter().filter(|path| path.contains(part)).count()
}

pub(crate) const APIS: &str = r#"{"groups":[]}"#;
pub(crate) const API: &str = r#"{"versions":["v1"]}"#;
pub(crate) const RESOURCES: &str = r#"{"resources":[
    {"name":"configmaps","kind":"ConfigMap","verbs":["list","watch"]},
    {"name":"services","kind":"Service","verbs":["list","watch"]},
    {"name":"services/status","kind":"Service","verbs":["list","watch"]},
    {"name":"events","kind":"Event","verbs":["list","watch"]},
    {"name":"../../x","kind":"X","verbs":["list","watch"]},
    {"name":"bindings","kind":"Binding","verbs":["create"]}]}"#;

/// A cluster that answers as `answer` says, and what else a cluster answers where it says nothing.
pub(crate) fn made_up(answer: impl Fn(&str) -> Option<Response<Body>> + Send + Sync + 'static) -> (ClusterApi, Asked) {
    let (asked, answer) = (Asked::default(), Arc::new(answer));
    let noted = asked.clone();
    let api = ClusterApi::from_fn(move |request| {
        let (asked, answer) = (noted.clone(), answer.clone());
        Box::pin(async move {
            assert_eq!(request.headers()["impersonate-user"], "acp:hub:inventory");
            let path = request.uri().path_and_query().unwrap().to_string();
            asked.lock().unwrap().push(path.clone());
            let _ = collect(request.into_body(), 4096).await;
            Ok(answer(&path).unwrap_or_else(|| usual(&path)))
        })
    });
    (api, asked)
}

fn usual(path: &str) -> Response<Body> {
    match path {
        path if path.ends_with("selfsubjectaccessreviews") => text(201, r#"{"status":{"allowed":true}}"#),
        "/api" => text(200, API),
        "/apis" => text(200, APIS),
        "/api/v1" => text(200, RESOURCES),
        path if path.contains("watch=true") => endless(b""),
        _ => text(200, r#"{"metadata":{"resourceVersion":"1"},"items":[]}"#),
    }
}

pub(crate) fn text(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(full(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// The same bytes again and again; without bytes, silence.
pub(crate) fn endless(bytes: &'static [u8]) -> Response<Body> {
    let frame = move || Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(bytes)));
    Response::new(match bytes {
        b"" => lib_kubernetes::boxed(http_body_util::StreamBody::new(futures::stream::pending::<
            Result<http_body::Frame<Bytes>, std::convert::Infallible>,
        >())),
        _ => lib_kubernetes::boxed(http_body_util::StreamBody::new(futures::stream::repeat_with(frame))),
    })
}
