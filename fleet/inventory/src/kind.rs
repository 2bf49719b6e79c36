//! One kind: listed page by page, and then watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use lib_backoff::chance;
use lib_kubernetes::{Body, BodyError};
use lib_telemetry::chain;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};
use tunnel_protocol::inventory::{Gone, Line, Listed, Lost, Object};
use url::form_urlencoded::byte_serialize;

use crate::ask::{Error, Reader};
use crate::discovery::Served;
use crate::object::{Event, Page};
use crate::out::Out;
use crate::pause::Pause;

const WHOLE: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Objects on one page; fewer where they are large. What a page takes, an agent never quite gives back, and the round trips
/// are to a neighbour.
const PAGE: usize = 100;
/// The largest page. No single object comes near it: it would not fit into etcd.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Pages of one listing.
const PAGES: usize = 20_000;
/// The largest event.
const EVENT_BYTES: usize = 8 * 1024 * 1024;
/// All events together that have begun and not ended. Most are whole as soon as they are there.
const BEGUN_BYTES: usize = 32 * 1024 * 1024;
/// How long a watch is asked to last, and how much chance adds to it. Connections that died in silence are noticed then.
const LASTS: Duration = Duration::from_secs(240);
const LASTS_LONGER: Duration = Duration::from_secs(60);
/// How much longer than asked for a watch may take to end.
const GRACE: Duration = Duration::from_secs(15);

pub(crate) struct Follower {
    pub(crate) reader: Reader,
    pub(crate) served: Served,
    pub(crate) number: u16,
    /// To list.
    pub(crate) turns: Arc<Semaphore>,
    /// When kinds may have come or gone.
    pub(crate) kinds: Arc<Notify>,
    /// Bytes of events that are not whole, of all kinds.
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) out: Out,
}

impl Follower {
    /// Tells of the objects of the kind until it is dropped.
    pub(crate) async fn run(self) {
        let mut pause = Pause::default();
        let mut is_lost = false;
        loop {
            let began = Instant::now();
            let error = match self.list().await {
                Ok(version) => {
                    is_lost = false;
                    self.watch(version).await
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_lost, true) {
                        let why = chain(&error).to_string();
                        self.out.line(Line::Lost(Lost { kind: self.number, why })).await;
                    }
                    error
                }
            };
            if matches!(error, Error::Answered(http::StatusCode::NOT_FOUND)) {
                self.kinds.notify_one();
            }
            tracing::debug!(resource = %self.served.path(), error = %chain(&error), "a kind is listed again");
            sleep(pause.after(began.elapsed(), chance())).await;
        }
    }

    /// Lists all objects, and gives the version that they are of.
    async fn list(&self) -> Result<String, Error> {
        // Never closed.
        let _turn = self.turns.acquire().await;
        self.out.line(Line::Begin(self.served.numbered(self.number))).await;
        let (mut size, mut token) = (PAGE, String::new());
        for _ in 0..PAGES {
            let page = match self.page(size, &token).await {
                // Some objects are large: fewer of them are asked for.
                Err(Error::Read(BodyError::TooLong(_))) if size > 1 => {
                    size = (size / 8).max(1);
                    continue;
                }
                page => page?,
            };
            self.out.lines(page.objects.into_iter().map(Line::Put)).await;
            match page.next {
                Some(next) => token = byte_serialize(next.as_bytes()).collect(),
                None => {
                    self.out.line(Line::End(Listed { kind: self.number })).await;
                    return Ok(page.version);
                }
            }
        }
        Err(Error::Endless("the number of pages"))
    }

    async fn page(&self, size: usize, token: &str) -> Result<Page, Error> {
        let runs_images = self.served.runs_images();
        let accept = if runs_images { WHOLE } else { METADATA_LIST };
        let path = format!("{}?limit={size}&continue={token}", self.served.path());
        let bytes = self.reader.get(&path, accept, PAGE_BYTES).await?;
        Ok(Page::read(&bytes, self.number, runs_images)?)
    }

    /// Watches from a version on, one watch after another, until one fails: then nobody knows what was missed.
    async fn watch(&self, mut version: String) -> Error {
        let mut pause = Pause::default();
        loop {
            let began = Instant::now();
            if let Err(error) = self.watch_once(&mut version).await {
                return error;
            }
            // It ended as it should, and goes on where it was.
            sleep(pause.after(began.elapsed(), chance())).await;
        }
    }

    async fn watch_once(&self, version: &mut String) -> Result<(), Error> {
        let lasts = LASTS + LASTS_LONGER.mul_f64(chance());
        let (runs_images, from) = (self.served.runs_images(), byte_serialize(version.as_bytes()).collect::<String>());
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={from}",
            self.served.path(),
            lasts.as_secs()
        );
        let mut events = Events {
            body: self.reader.open(&path, if runs_images { WHOLE } else { METADATA }).await?.into_body(),
            begun: BytesMut::new(),
            searched: 0,
            counted: 0,
            of_all: self.begun.clone(),
        };
        let end = Instant::now() + lasts + GRACE;
        loop {
            let Ok(next) = timeout_at(end, events.next()).await else { return Err(Error::Deadline) };
            let Some(event) = next? else { return Ok(()) };
            if event.trim_ascii().is_empty() {
                continue;
            }
            match Event::read(&event, self.number, runs_images)? {
                Event::Put(object, at) => {
                    self.out.line(Line::Put(object)).await;
                    *version = at;
                }
                Event::Gone(Object { kind, namespace, name, .. }, at) => {
                    self.out.line(Line::Drop(Gone { kind, namespace, name })).await;
                    *version = at;
                }
                Event::Bookmark(at) => {
                    *version = at;
                    continue;
                }
                Event::Error(code) => {
                    let code = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
                    return Err(Error::Answered(code));
                }
            }
            if self.served.defines_kinds() {
                self.kinds.notify_one();
            }
        }
    }
}

/// Lines of an endless body.
struct Events {
    body: Body,
    begun: BytesMut,
    /// So much of what has begun holds no end.
    searched: usize,
    /// So much of it is counted among that of all.
    counted: usize,
    of_all: Arc<AtomicUsize>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl Events {
    /// Counts what has begun, and says how much that is of all watches together.
    fn count(&mut self) -> usize {
        let before = std::mem::replace(&mut self.counted, self.begun.len());
        self.of_all.fetch_sub(before, Ordering::Relaxed);
        self.of_all.fetch_add(self.counted, Ordering::Relaxed) + self.counted
    }

    async fn next(&mut self) -> Result<Option<BytesMut>, Error> {
        loop {
            if let Some(end) = self.begun[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.begun.split_to(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.begun.len();
            if self.searched > EVENT_BYTES || self.count() > BEGUN_BYTES {
                return Err(Error::Endless("the length of an event"));
            }
            match self.body.frame().await {
                None if self.begun.trim_ascii().is_empty() => return Ok(None),
                // The last event need not have an end; one that was cut cannot be decoded.
                None => return Ok(Some(std::mem::take(&mut self.begun))).inspect(|_| self.searched = 0),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() {
                        self.begun.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
