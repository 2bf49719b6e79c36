//! Events: what controllers, scheduler and kubelets tell people.
//!
//! Recording never waits and never fails: the queue is bounded and what does not fit is dropped, as upstream does.
//! A repeated event counts up the first one.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
};

use k8s_openapi::{
    api::core::v1::{Event, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Client,
    api::{Api, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Kind,
    clock::Clock,
    error::chain,
    meta::{name, namespace, uid},
};

const QUEUE: usize = 4096;
/// How many recent events are remembered for counting.
const MEMORY: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

/// What there is to tell of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) severity: Severity,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Notice {
    pub(crate) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason, message: message.into() }
    }

    pub(crate) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into() }
    }
}

/// One component's way of telling; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    to: mpsc::Sender<Record>,
    clock: Clock,
    component: &'static str,
    host: Option<String>,
}

struct Record {
    at: Time,
    about: ObjectReference,
    component: &'static str,
    host: Option<String>,
    notice: Notice,
}

impl Recorder {
    pub(crate) fn for_component(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    pub(crate) fn on_host(&self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self.clone() }
    }

    pub(crate) fn normal<K: Kind>(&self, about: &K, reason: &'static str, message: impl Into<String>) {
        self.tell(reference(about), Notice::normal(reason, message));
    }

    pub(crate) fn warning<K: Kind>(&self, about: &K, reason: &'static str, message: impl Into<String>) {
        self.tell(reference(about), Notice::warning(reason, message));
    }

    pub(crate) fn tell(&self, about: ObjectReference, notice: Notice) {
        let (at, host, reason) = (self.clock.time(), self.host.clone(), notice.reason);
        let record = Record { at, about, component: self.component, host, notice };
        if self.to.try_send(record).is_err() {
            tracing::debug!(reason, "event dropped: the queue is full");
        }
    }
}

/// A reference to an object, as events carry it.
pub(crate) fn reference<K: Kind>(object: &K) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: object.meta().namespace.clone(),
        name: Some(name(object).to_owned()),
        uid: Some(uid(object).to_owned()),
        resource_version: object.meta().resource_version.clone(),
        field_path: None,
    }
}

/// A recorder and the loop that writes what it records.
pub(crate) fn channel(clock: &Clock) -> (Recorder, Writer) {
    let (to, from) = mpsc::channel(QUEUE);
    let recorder = Recorder { to, clock: clock.clone(), component: "", host: None };
    (recorder, Writer { from, seen: HashMap::new(), order: VecDeque::new() })
}

pub(crate) struct Writer {
    from: mpsc::Receiver<Record>,
    seen: HashMap<Fingerprint, Seen>,
    order: VecDeque<Fingerprint>,
}

type Fingerprint = (String, &'static str, &'static str, String);

struct Seen {
    namespace: String,
    name: String,
    count: i32,
}

impl Writer {
    pub(crate) async fn run(mut self, client: Client, token: CancellationToken) {
        loop {
            let record = tokio::select! {
                () = token.cancelled() => return,
                record = self.from.recv() => record,
            };
            let Some(record) = record else { return };
            if let Err(error) = self.write(&client, record).await {
                tracing::debug!(error = %chain(&error), "event could not be written");
            }
        }
    }

    async fn write(&mut self, client: &Client, record: Record) -> Result<(), kube::Error> {
        let notice = &record.notice;
        let print: Fingerprint =
            (record.about.uid.clone().unwrap_or_default(), record.component, notice.reason, notice.message.clone());
        if let Some(seen) = self.seen.get_mut(&print) {
            seen.count += 1;
            let api: Api<Event> = Api::namespaced(client.clone(), &seen.namespace);
            let patch = json!({"count": seen.count, "lastTimestamp": record.at});
            let manager = PatchParams { field_manager: Some(record.component.to_owned()), ..PatchParams::default() };
            match api.patch(&seen.name, &manager, &Patch::Merge(&patch)).await {
                Ok(_) => return Ok(()),
                // It expired: begin again.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let event = event(&record);
        let seen = Seen { namespace: namespace(&event).to_owned(), name: name(&event).to_owned(), count: 1 };
        let api: Api<Event> = Api::namespaced(client.clone(), &seen.namespace);
        let manager = PostParams { field_manager: Some(record.component.to_owned()), ..PostParams::default() };
        api.create(&manager, &event).await?;
        if self.seen.insert(print.clone(), seen).is_none() {
            self.order.push_back(print);
        }
        while self.order.len() > MEMORY {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
        Ok(())
    }
}

fn event(record: &Record) -> Event {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    // What is told of an object without a namespace is kept in this one.
    let namespace = record.about.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
    // Upstream appends the nanoseconds; the serial keeps two events of one nanosecond apart.
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    let serial = i128::from(SERIAL.fetch_add(1, Ordering::Relaxed) % 1024);
    let name = format!("{}.{:x}", record.about.name.as_deref().unwrap_or_default(), nanoseconds ^ serial);
    let mut event = Event {
        involved_object: record.about.clone(),
        reason: Some(record.notice.reason.to_owned()),
        message: Some(record.notice.message.chars().take(1024).collect()),
        type_: Some(match record.notice.severity {
            Severity::Normal => "Normal".to_owned(),
            Severity::Warning => "Warning".to_owned(),
        }),
        count: Some(1),
        first_timestamp: Some(record.at.clone()),
        last_timestamp: Some(record.at.clone()),
        reporting_component: Some(record.component.to_owned()),
        reporting_instance: Some(record.host.clone().unwrap_or_default()),
        source: Some(k8s_openapi::api::core::v1::EventSource {
            component: Some(record.component.to_owned()),
            host: record.host.clone(),
        }),
        ..Event::default()
    };
    event.metadata.name = Some(name);
    event.metadata.namespace = Some(namespace);
    event
}
